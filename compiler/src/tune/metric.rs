//! What is measured of a model on data, sample by sample.
//!
//! Invariant: every sample keeps its own figure, in the order of the data, so that two models can be compared in pairs.

use super::data::sketch;
use super::error::TuneError;
use super::stats::{self, Interval, cosine, spearman};
use clap::ValueEnum;
use mlc_runtime::tensor::Tensor;
use serde_json::{Value, json};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Metric {
    /// The share of rows whose greatest score is the label's.
    Top1,
    /// The share of rows whose five greatest scores hold the label's.
    Top5,
    /// The mean square of the difference to `target`.
    Mse,
    /// The mean over samples of the cosine with `target`.
    Cosine,
    /// The rank correlation of `score` with the cosine of the outputs for NAME.a and NAME.b.
    Spearman,
    /// The exponential of the mean surprise at the next of `tokens`.
    Perplexity,
    /// The share of rows that another model, or the reference, decides alike.
    Agreement,
}

impl Metric {
    /// The word on the command line and in profiles.
    pub fn word(self) -> String {
        self.to_possible_value().expect("no metric is hidden").get_name().to_owned()
    }

    /// The metric of a word.
    pub fn named(word: &str) -> Option<Metric> {
        Metric::from_str(word, false).ok()
    }

    /// Whether it is a share of samples that are right.
    pub fn is_share(self) -> bool {
        matches!(self, Metric::Top1 | Metric::Top5 | Metric::Agreement)
    }

    /// Whether less is better.
    pub fn is_error(self) -> bool {
        matches!(self, Metric::Mse | Metric::Perplexity)
    }

    /// The figure of some samples.
    pub fn of(self, samples: &[Sample]) -> f64 {
        let weight: f64 = samples.iter().map(|sample| sample.weight).sum();
        let mean = samples.iter().map(|sample| sample.value).sum::<f64>() / weight.max(1.0);
        match self {
            Metric::Perplexity => mean.exp(),
            Metric::Spearman => spearman(&samples.iter().map(|s| (s.value, s.weight)).collect::<Vec<_>>()),
            _ => mean,
        }
    }

    /// How much worse `after` is than `before`, in the metric's own unit.
    pub fn drop(self, before: f64, after: f64) -> f64 {
        if self.is_error() { after - before } else { before - after }
    }

    /// A figure for people.
    pub fn show(self, value: f64) -> String {
        match self {
            _ if self.is_share() => format!("{:.2} %", value * 100.0),
            Metric::Mse => format!("{value:.4e}"),
            _ => format!("{value:.4}"),
        }
    }
}

/// What one sample gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// 1 where a share counts it as right; a square error; a cosine; the surprise at all its tokens.
    pub value: f64,
    /// 1; for perplexity how many tokens were foretold; for rank correlation the score that people gave.
    pub weight: f64,
}

/// A measurement, under way or done.
#[derive(Clone, Debug)]
pub struct Tally {
    /// What is measured.
    pub metric: Metric,
    /// Each sample, in the order of the data.
    pub samples: Vec<Sample>,
}

impl Tally {
    /// Nothing measured yet.
    pub fn new(metric: Metric) -> Tally {
        Tally { metric, samples: vec![] }
    }

    fn push(&mut self, value: f64) {
        self.samples.push(Sample { value, weight: 1.0 });
    }

    /// Scores `[n, classes]` of samples with these labels. A score that is no number is never right.
    ///
    /// # Errors
    /// The scores have another shape.
    pub fn labels(&mut self, scores: &Tensor, labels: &Tensor) -> Result<(), TuneError> {
        let [n, classes] = *scores.shape() else {
            let message = format!("the metric needs scores [n, classes], the entry gives {}", sketch(scores));
            return Err(TuneError::data(message));
        };
        let (kept, values) = (if self.metric == Metric::Top1 { 1 } else { 5 }, scores.to_f64_vec());
        for row in 0..n.min(labels.len()) {
            let scores = &values[row * classes..][..classes];
            let own = usize::try_from(labels.get(row).as_i64()).ok().and_then(|label| scores.get(label));
            let own = own.filter(|own| !own.is_nan());
            let right = own.is_some_and(|own| scores.iter().filter(|score| *score > own).count() < kept);
            self.push(f64::from(right));
        }
        Ok(())
    }

    /// Outputs and what they should be, one shape.
    pub fn target(&mut self, found: &Tensor, wanted: &Tensor) {
        let (found, wanted, n) = (found.to_f64_vec(), wanted.to_f64_vec(), found.shape().first().copied().unwrap_or(1));
        let width = found.len() / n.max(1);
        for (a, b) in found.chunks(width.max(1)).zip(wanted.chunks(width.max(1))) {
            self.push(match self.metric {
                Metric::Cosine => cosine(a, b),
                _ => a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / width as f64,
            });
        }
    }

    /// Outputs `[n, …]` for the two sides of a pair, and how alike people found them.
    pub fn pairs(&mut self, left: &Tensor, right: &Tensor, scores: &[f64]) {
        let width = left.len() / scores.len().max(1);
        let (left, right) = (left.to_f64_vec(), right.to_f64_vec());
        let rows = left.chunks(width.max(1)).zip(right.chunks(width.max(1)));
        let cosines = rows.map(|(a, b)| cosine(a, b)).zip(scores);
        self.samples.extend(cosines.map(|(value, score)| Sample { value, weight: *score }));
    }

    /// Another row of tokens begins.
    pub fn row(&mut self) {
        self.samples.push(Sample { value: 0.0, weight: 0.0 });
    }

    /// The scores of all tokens at one place of row `row`, and the token that came.
    ///
    /// # Errors
    /// No score is that token's.
    pub fn token(&mut self, row: usize, logits: &[f64], next: i64) -> Result<(), TuneError> {
        let own = usize::try_from(next).ok().and_then(|next| logits.get(next));
        let Some(own) = own else {
            let message = format!("token {next} is none of the {} that the entry scores", logits.len());
            return Err(TuneError::data(message));
        };
        let greatest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = logits.iter().map(|logit| (logit - greatest).exp()).sum();
        let sample = &mut self.samples[row];
        sample.value += total.ln() + greatest - own;
        sample.weight += 1.0;
        Ok(())
    }

    /// Two answers to the same samples: floats agree where their greatest score along the last axis is at one place,
    /// everything else where it is equal.
    ///
    /// # Errors
    /// They are of different shapes.
    pub fn answers(&mut self, found: &Tensor, other: &Tensor) -> Result<(), TuneError> {
        if found.shape() != other.shape() {
            let message = format!("one gives {}, the other {}", sketch(found), sketch(other));
            return Err(TuneError::data(message));
        }
        let scores = found.dtype().is_float() && found.shape().len() > 1;
        let width = if scores { found.shape()[found.shape().len() - 1].max(1) } else { 1 };
        let (found, other) = (found.to_f64_vec(), other.to_f64_vec());
        for (a, b) in found.chunks(width).zip(other.chunks(width)) {
            let alike = if scores { best(a) == best(b) } else { a == b };
            self.push(f64::from(alike));
        }
        Ok(())
    }

    /// The figure of all samples.
    pub fn value(&self) -> f64 {
        self.metric.of(&self.samples)
    }

    /// Samples; for perplexity the tokens that were foretold.
    fn count(&self) -> usize {
        match self.metric {
            Metric::Perplexity => self.samples.iter().map(|sample| sample.weight).sum::<f64>() as usize,
            _ => self.samples.len(),
        }
    }

    fn right(&self) -> usize {
        self.samples.iter().filter(|sample| sample.value > 0.0).count()
    }

    /// Where the figure of all data like this lies with 95 % confidence: for shares exactly (Clopper and Pearson), else by
    /// drawing samples again. `None` where there is too little data to tell.
    pub fn interval(&self) -> Option<Interval> {
        if self.metric.is_share() {
            return stats::share(self.right(), self.samples.len());
        }
        stats::bootstrap(self.samples.len(), &|drawn| {
            let samples: Vec<Sample> = drawn.iter().map(|i| self.samples[*i]).collect();
            self.metric.of(&samples)
        })
    }

    /// `{"metric": …, "value": …, "samples": …, "interval": [low, high]}`; shares also say how many were right.
    pub fn json(&self) -> Value {
        let mut json = json!({"metric": self.metric.word(), "value": self.value()});
        if self.metric.is_share() {
            json["right"] = json!(self.right());
        }
        json[if self.metric == Metric::Perplexity { "tokens" } else { "samples" }] = json!(self.count());
        json["interval"] = json!(self.interval().map(|interval| [interval.low, interval.high]));
        json
    }

    /// A line for people.
    pub fn line(&self) -> String {
        let (word, value, count) = (self.metric.word(), self.metric.show(self.value()), self.count());
        let counted = match self.metric {
            _ if self.metric.is_share() => format!("{} of {count}", self.right()),
            Metric::Perplexity => format!("{count} tokens"),
            _ => format!("{count} samples"),
        };
        let likely = self.interval().map_or(String::new(), |Interval { low, high }| {
            format!("; 95 %: {} to {}", self.metric.show(low), self.metric.show(high))
        });
        format!("{word} {value} ({counted}{likely})")
    }
}

fn best(scores: &[f64]) -> Option<usize> {
    (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]).then(b.cmp(a)))
}
