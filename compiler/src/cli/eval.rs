//! `mlc eval`: how good a model is on data.

use super::dataset::{Batches, DataSet, rows, sketch};
use super::failure::Failure;
use super::inputs::Inputs;
use super::load::{self, RunArgs};
use super::metric::{Metric, Tally};
use super::output::{self, MessageFormat};
use super::progress;
use super::runner::{Device, Interface, Runner};
use super::source::ModelArgs;
use anyhow::Result;
use mlc_runtime::tensor::Tensor;
use serde_json::{Map, Value, json};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A `.mdl` or `.mlc` file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// An npz or safetensors file: keys named as the entry's inputs hold samples along axis 0; --print-schema says more.
    #[arg(long, value_name = "FILE.npz", required_unless_present = "print_schema")]
    data: Option<PathBuf>,
    /// What is measured.
    #[arg(long, value_enum)]
    metric: Metric,
    /// What agreement is measured with: the reference, or another model.
    #[arg(long, value_name = "reference|FILE", default_value = "reference")]
    against: PathBuf,
    /// Prints what the data set must hold, as JSON, and measures nothing.
    #[arg(long)]
    print_schema: bool,
    /// One JSON object instead of a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// `Ok(true)` when the data could be measured.
pub(super) fn run(args: &Args, format: MessageFormat) -> Result<bool> {
    let Some(mut runner) = load::runner(&args.file, &args.model, &args.run, format)? else { return Ok(false) };
    let interface = runner.interface(args.run.entry.as_deref())?;
    let Some(data) = args.data.as_ref().filter(|_| !args.print_schema) else {
        output::data(&format!("{:#}\n", schema(&interface, args.metric)));
        return Ok(true);
    };
    let other = match args.metric {
        Metric::Agreement => match other(args, format)? {
            None => return Ok(false),
            other => other,
        },
        _ => None,
    };
    let tally = measured(&mut runner, interface, DataSet::open(data)?, args.metric, other)?;
    output::data(&if args.json { format!("{}\n", tally.json()) } else { format!("{}\n", tally.line()) });
    Ok(true)
}

/// A metric of a model on data; agreement needs another model.
pub(super) fn measured(
    runner: &mut Runner,
    interface: Interface,
    data: DataSet,
    metric: Metric,
    other: Option<Runner>,
) -> Result<Tally> {
    let mut measure = Measure { data, tally: Tally::new(metric), interface };
    match (metric, other) {
        (Metric::Spearman, _) => measure.pairs(runner)?,
        (Metric::Perplexity, _) => measure.tokens(runner)?,
        (Metric::Agreement, Some(mut other)) => measure.answers(runner, &mut other)?,
        (Metric::Agreement, None) => return Err(Failure::new("MDL0705", "agreement needs another model").into()),
        (Metric::Top1 | Metric::Top5 | Metric::Mse | Metric::Cosine, _) => measure.targets(runner, metric)?,
    }
    Ok(measure.tally)
}

/// What agreement is measured with.
fn other(args: &Args, format: MessageFormat) -> Result<Option<Runner>> {
    let (file, device) = match args.against == Path::new("reference") {
        true => (&args.file, Device::Reference),
        false => (&args.against, Device::Cpu),
    };
    let run = RunArgs { device, ..args.run.clone() };
    load::runner(file, &args.model, &run, format)
}

struct Measure {
    data: DataSet,
    tally: Tally,
    interface: Interface,
}

impl Measure {
    /// The first output on some samples, from empty states.
    fn first(&self, runner: &mut Runner, inputs: &Inputs) -> Result<Tensor> {
        runner.reset();
        let outputs = runner.run(&self.interface.entry, inputs)?;
        let none = || Failure::new("MDL0705", format!("`{}` gives nothing to measure", self.interface.entry));
        Ok(outputs.into_iter().next().ok_or_else(none)?.1)
    }

    fn each(
        &mut self,
        batches: Batches,
        mut measure: impl FnMut(&mut Measure, Range<usize>) -> Result<()>,
    ) -> Result<()> {
        let bar = progress::steps("samples", batches.samples as u64);
        for range in batches.ranges() {
            let done = range.end;
            measure(self, range)?;
            bar.set_position(done as u64);
        }
        Ok(())
    }

    fn targets(&mut self, runner: &mut Runner, metric: Metric) -> Result<()> {
        let batches = self.data.batches(&self.interface, "")?;
        let classes = matches!(metric, Metric::Top1 | Metric::Top5);
        if classes {
            self.data.target("labels", &[batches.samples], true)?;
        }
        self.each(batches, |m, range| {
            let inputs = m.data.inputs(&m.interface, "", range.clone())?;
            let found = m.first(runner, &inputs)?;
            if classes {
                let labels = rows(m.data.get("labels")?, range)?;
                let single = found.shape().len() == 1 && labels.len() == 1;
                let scores = if single { [1, found.len()].to_vec() } else { found.shape().to_vec() };
                return Ok(m.tally.labels(&found.reshape(scores)?, &labels)?);
            }
            let target = m.data.get("target")?;
            let own = if found.shape().len() < target.shape().len() { found.shape() } else { &found.shape()[1..] };
            let shape = [&[batches.samples], own].concat();
            let target = rows(m.data.target("target", &shape, false)?, range)?;
            m.tally.target(&found.reshape(target.shape())?, &target);
            Ok(())
        })
    }

    fn pairs(&mut self, runner: &mut Runner) -> Result<()> {
        let batches = self.data.batches(&self.interface, ".a")?;
        let right = self.data.batches(&self.interface, ".b")?;
        if right.samples != batches.samples {
            let message = format!("NAME.a has {} samples, NAME.b has {}", batches.samples, right.samples);
            return Err(Failure::new("MDL0705", message).into());
        }
        self.data.target("score", &[batches.samples], false)?;
        self.each(batches, |m, range| {
            let [a, b] = [".a", ".b"].map(|side| {
                let inputs = m.data.inputs(&m.interface, side, range.clone())?;
                m.first(runner, &inputs)
            });
            let scores = rows(m.data.get("score")?, range)?.to_f64_vec();
            m.tally.pairs(&a?, &b?, &scores);
            Ok(())
        })
    }

    fn answers(&mut self, runner: &mut Runner, other: &mut Runner) -> Result<()> {
        let batches = self.data.batches(&self.interface, "")?;
        self.each(batches, |m, range| {
            let inputs = m.data.inputs(&m.interface, "", range)?;
            let (a, b) = (m.first(runner, &inputs)?, m.first(other, &inputs)?);
            Ok(m.tally.answers(&a, &b)?)
        })
    }

    /// Scores of the next token at every place: from one call where the entry gives all, else a token at a time.
    fn tokens(&mut self, runner: &mut Runner) -> Result<()> {
        let wanted =
            || Failure::new("MDL0705", "perplexity needs an entry that takes `tokens` and nothing but sizes beside");
        let rank = match (self.interface.inputs.as_slice(), self.interface.outputs.first()) {
            ([tokens], Some(logits)) if tokens.name == "tokens" && tokens.dims.len() == 2 => logits.dims.len(),
            _ => return Err(wanted().into()),
        };
        let batches = self.data.batches(&self.interface, "")?;
        let tokens = self.data.get("tokens")?.clone();
        let length = tokens.shape()[1];
        self.each(batches, |m, range| {
            let tokens = rows(&tokens, range)?;
            runner.reset();
            let steps = if rank == 3 { 1 } else { length.saturating_sub(1) };
            for step in 0..steps {
                let own = if rank == 3 { tokens.clone() } else { column(&tokens, step)? };
                let sizes = m.interface.sizes.iter().map(|(name, _)| (name.clone(), step as i64)).collect();
                let inputs = Inputs { tensors: vec![("tokens".into(), own)], sizes, drawn: vec![] };
                let outputs = runner.run(&m.interface.entry, &inputs)?;
                let logits = &outputs[0].1;
                let places = if rank == 3 { length } else { 1 };
                let width = logits.shape().last().copied().unwrap_or(0);
                if logits.len() != tokens.shape()[0] * places * width || width == 0 {
                    let message = format!("perplexity needs scores [n, s, tokens], the entry gives {}", sketch(logits));
                    return Err(Failure::new("MDL0705", message).into());
                }
                for (i, scores) in logits.to_f64_vec().chunks(width).enumerate() {
                    let (row, next) = (i / places, step + i % places + 1);
                    if next < length {
                        m.tally.token(scores, tokens.get(row * length + next).as_i64())?;
                    }
                }
            }
            Ok(())
        })
    }
}

/// Column `at` of a matrix, kept as one.
fn column(matrix: &Tensor, at: usize) -> Result<Tensor> {
    let [n, width] = [0, 1].map(|axis: usize| matrix.shape()[axis]);
    Ok(Tensor::from_fn(matrix.dtype(), [n, 1], |row| matrix.get(row * width + at))?)
}

/// What a data set for this entry and metric holds: element types and dims by key.
fn schema(interface: &Interface, metric: Metric) -> Value {
    let mut keys = Map::new();
    let sides: &[&str] = if metric == Metric::Spearman { &[".a", ".b"] } else { &[""] };
    for port in &interface.inputs {
        sides
            .iter()
            .for_each(|side| drop(keys.insert(format!("{}{side}", port.name), json!(port.show(&interface.slots)))));
    }
    let sizes = interface.sizes.iter().filter(|_| metric != Metric::Perplexity);
    sizes.for_each(|(name, _)| drop(keys.insert(name.clone(), json!("i64"))));
    let output = interface.outputs.first().map_or_else(|| "none".into(), |port| port.show(&interface.slots));
    let target = match metric {
        Metric::Top1 | Metric::Top5 => Some(("labels", json!("i64[n]"))),
        Metric::Mse | Metric::Cosine => Some(("target", json!(output))),
        Metric::Spearman => Some(("score", json!("f32[n]"))),
        Metric::Perplexity | Metric::Agreement => None,
    };
    keys.extend(target.map(|(name, shape)| (name.to_owned(), shape)));
    json!({"entry": interface.entry, "samples": "axis 0", "keys": keys})
}
