//! A metric of a model on a data set, batch by batch.
//!
//! Invariant: every call begins with empty states, so that samples do not know each other.

use super::data::{Batches, DataSet, rows, sketch};
use super::error::TuneError;
use super::metric::{Metric, Tally};
use crate::runner::{Inputs, Interface, Runner};
use mlc_runtime::tensor::Tensor;
use std::ops::Range;

/// Told how many samples are done, and how many there are.
pub type Watch<'w> = &'w mut dyn FnMut(usize, usize);

/// A metric of a model on data; agreement needs another model.
///
/// # Errors
/// The data does not fit the entry or the metric, or a call is refused.
pub fn measured(
    runner: &mut Runner,
    interface: &Interface,
    data: &DataSet,
    metric: Metric,
    other: Option<&mut Runner>,
    watch: Watch,
) -> Result<Tally, TuneError> {
    let mut measure = Measure { data, tally: Tally::new(metric), interface, watch };
    match (metric, other) {
        (Metric::Spearman, _) => measure.pairs(runner)?,
        (Metric::Perplexity, _) => measure.tokens(runner)?,
        (Metric::Agreement, Some(other)) => measure.answers(runner, other)?,
        (Metric::Agreement, None) => return Err(TuneError::data("agreement needs another model")),
        (Metric::Top1 | Metric::Top5 | Metric::Mse | Metric::Cosine, _) => measure.targets(runner, metric)?,
    }
    Ok(measure.tally)
}

struct Measure<'a> {
    data: &'a DataSet,
    tally: Tally,
    interface: &'a Interface,
    watch: Watch<'a>,
}

impl Measure<'_> {
    /// The first output on some samples.
    fn first(&self, runner: &mut Runner, inputs: &Inputs) -> Result<Tensor, TuneError> {
        runner.reset();
        let outputs = runner.run(&self.interface.entry, inputs)?;
        let none = || TuneError::data(format!("`{}` gives nothing to measure", self.interface.entry));
        Ok(outputs.into_iter().next().ok_or_else(none)?.1)
    }

    fn each(
        &mut self,
        batches: Batches,
        mut measure: impl FnMut(&mut Self, Range<usize>) -> Result<(), TuneError>,
    ) -> Result<(), TuneError> {
        for range in batches.ranges() {
            let done = range.end;
            measure(self, range)?;
            (self.watch)(done, batches.samples);
        }
        Ok(())
    }

    fn targets(&mut self, runner: &mut Runner, metric: Metric) -> Result<(), TuneError> {
        let batches = self.data.batches(self.interface, "")?;
        let classes = matches!(metric, Metric::Top1 | Metric::Top5);
        if classes {
            self.data.target("labels", &[batches.all], true)?;
        }
        self.each(batches, |m, range| {
            let inputs = m.data.inputs(m.interface, "", range.clone())?;
            let found = m.first(runner, &inputs)?;
            if classes {
                let labels = rows(m.data.get("labels")?, range)?;
                let single = found.shape().len() == 1 && labels.len() == 1;
                let scores = if single { [1, found.len()].to_vec() } else { found.shape().to_vec() };
                return m.tally.labels(&found.reshape(scores)?, &labels);
            }
            let target = m.data.get("target")?;
            let own = if found.shape().len() < target.shape().len() { found.shape() } else { &found.shape()[1..] };
            let shape = [&[batches.all], own].concat();
            let target = rows(m.data.target("target", &shape, false)?, range)?;
            m.tally.target(&found.reshape(target.shape())?, &target);
            Ok(())
        })
    }

    fn pairs(&mut self, runner: &mut Runner) -> Result<(), TuneError> {
        let batches = self.data.batches(self.interface, ".a")?;
        let right = self.data.batches(self.interface, ".b")?;
        if right.all != batches.all {
            let message = format!("NAME.a has {} samples, NAME.b has {}", batches.all, right.all);
            return Err(TuneError::data(message));
        }
        self.data.target("score", &[batches.all], false)?;
        self.each(batches, |m, range| {
            let [a, b] = [".a", ".b"].map(|side| {
                let inputs = m.data.inputs(m.interface, side, range.clone())?;
                m.first(runner, &inputs)
            });
            let scores = rows(m.data.get("score")?, range)?.to_f64_vec();
            m.tally.pairs(&a?, &b?, &scores);
            Ok(())
        })
    }

    fn answers(&mut self, runner: &mut Runner, other: &mut Runner) -> Result<(), TuneError> {
        let batches = self.data.batches(self.interface, "")?;
        self.each(batches, |m, range| {
            let inputs = m.data.inputs(m.interface, "", range)?;
            let (a, b) = (m.first(runner, &inputs)?, m.first(other, &inputs)?);
            m.tally.answers(&a, &b)
        })
    }

    /// Scores of the next token at every place: from one call where the entry gives all, else a token at a time.
    fn tokens(&mut self, runner: &mut Runner) -> Result<(), TuneError> {
        let wanted = || TuneError::data("perplexity needs an entry that takes `tokens` and nothing but sizes beside");
        let rank = match (self.interface.inputs.as_slice(), self.interface.outputs.first()) {
            ([tokens], Some(logits)) if tokens.name == "tokens" && tokens.dims.len() == 2 => logits.dims.len(),
            _ => return Err(wanted()),
        };
        let batches = self.data.batches(self.interface, "")?;
        let tokens = self.data.get("tokens")?.clone();
        let length = tokens.shape()[1];
        self.each(batches, |m, range| {
            let (first, tokens) = (m.tally.samples.len(), rows(&tokens, range)?);
            (0..tokens.shape()[0]).for_each(|_| m.tally.row());
            runner.reset();
            let steps = if rank == 3 { 1 } else { length.saturating_sub(1) };
            for step in 0..steps {
                let own = if rank == 3 { tokens.clone() } else { column(&tokens, step)? };
                let sizes = m.interface.sizes.iter().map(|(name, _)| (name.clone(), step as i64)).collect();
                let inputs = Inputs { tensors: vec![("tokens".into(), own)], sizes };
                let outputs = runner.run(&m.interface.entry, &inputs)?;
                let logits = &outputs[0].1;
                let places = if rank == 3 { length } else { 1 };
                let width = logits.shape().last().copied().unwrap_or(0);
                if logits.len() != tokens.shape()[0] * places * width || width == 0 {
                    let message = format!("perplexity needs scores [n, s, tokens], the entry gives {}", sketch(logits));
                    return Err(TuneError::data(message));
                }
                for (i, scores) in logits.to_f64_vec().chunks(width).enumerate() {
                    let (row, next) = (i / places, step + i % places + 1);
                    if next < length {
                        m.tally.token(first + row, scores, tokens.get(row * length + next).as_i64())?;
                    }
                }
            }
            Ok(())
        })
    }
}

/// Column `at` of a matrix, kept as one.
fn column(matrix: &Tensor, at: usize) -> Result<Tensor, TuneError> {
    let [n, width] = [0, 1].map(|axis: usize| matrix.shape()[axis]);
    Ok(Tensor::from_fn(matrix.dtype(), [n, 1], |row| matrix.get(row * width + at))?)
}
