//! What `mlc eval` measures, summed up over batches.

use super::dataset::sketch;
use super::failure::Failure;
use clap::ValueEnum;
use mlc_runtime::tensor::Tensor;
use serde_json::{Value, json};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Metric {
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

/// A measurement under way.
#[derive(Debug)]
pub(super) struct Tally {
    metric: Metric,
    /// Rows counted as right, for shares.
    right: usize,
    /// Samples, elements or tokens.
    count: usize,
    /// Sum of what is averaged.
    sum: f64,
    /// For rank correlation.
    pairs: Vec<(f64, f64)>,
}

impl Tally {
    /// Nothing measured yet.
    pub(super) fn new(metric: Metric) -> Tally {
        Tally { metric, right: 0, count: 0, sum: 0.0, pairs: vec![] }
    }

    /// Scores `[n, classes]` of samples with these labels.
    pub(super) fn labels(&mut self, scores: &Tensor, labels: &Tensor) -> Result<(), Failure> {
        let [n, classes] = *scores.shape() else {
            let message = format!("the metric needs scores [n, classes], the entry gives {}", sketch(scores));
            return Err(Failure::new("MDL0705", message));
        };
        let (kept, values) = (if self.metric == Metric::Top1 { 1 } else { 5 }, scores.to_f64_vec());
        for row in 0..n.min(labels.len()) {
            let scores = &values[row * classes..][..classes];
            let own = usize::try_from(labels.get(row).as_i64()).ok().and_then(|label| scores.get(label));
            let right = own.is_some_and(|own| scores.iter().filter(|score| *score > own).count() < kept);
            self.right += usize::from(right);
        }
        self.count += n;
        Ok(())
    }

    /// Outputs and what they should be, one shape.
    pub(super) fn target(&mut self, found: &Tensor, wanted: &Tensor) {
        let (found, wanted, n) = (found.to_f64_vec(), wanted.to_f64_vec(), found.shape().first().copied().unwrap_or(1));
        let width = found.len() / n.max(1);
        for (a, b) in found.chunks(width.max(1)).zip(wanted.chunks(width.max(1))) {
            self.sum += match self.metric {
                Metric::Cosine => cosine(a, b),
                _ => a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / width as f64,
            };
            self.count += 1;
        }
    }

    /// Outputs `[n, …]` for the two sides of a pair, and how alike people found them.
    pub(super) fn pairs(&mut self, left: &Tensor, right: &Tensor, scores: &[f64]) {
        let width = left.len() / scores.len().max(1);
        let (left, right) = (left.to_f64_vec(), right.to_f64_vec());
        let rows = left.chunks(width.max(1)).zip(right.chunks(width.max(1)));
        self.pairs.extend(rows.map(|(a, b)| cosine(a, b)).zip(scores.iter().copied()));
        self.count += scores.len();
    }

    /// The scores of all tokens at one place, and the token that came.
    pub(super) fn token(&mut self, logits: &[f64], next: i64) -> Result<(), Failure> {
        let own = usize::try_from(next).ok().and_then(|next| logits.get(next));
        let Some(own) = own else {
            let message = format!("token {next} is none of the {} that the entry scores", logits.len());
            return Err(Failure::new("MDL0705", message));
        };
        let greatest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = logits.iter().map(|logit| (logit - greatest).exp()).sum();
        self.sum += total.ln() + greatest - own;
        self.count += 1;
        Ok(())
    }

    /// Two answers to the same samples: floats agree where their greatest score along the last axis is at one place,
    /// everything else where it is equal.
    pub(super) fn answers(&mut self, found: &Tensor, other: &Tensor) -> Result<(), Failure> {
        if found.shape() != other.shape() {
            let message = format!("one gives {}, the other {}", sketch(found), sketch(other));
            return Err(Failure::new("MDL0705", message));
        }
        let scores = found.dtype().is_float() && found.shape().len() > 1;
        let width = if scores { found.shape()[found.shape().len() - 1].max(1) } else { 1 };
        let (found, other) = (found.to_f64_vec(), other.to_f64_vec());
        for (a, b) in found.chunks(width).zip(other.chunks(width)) {
            let alike = if scores { best(a) == best(b) } else { a == b };
            self.right += usize::from(alike);
            self.count += 1;
        }
        Ok(())
    }

    /// The number.
    pub(super) fn value(&self) -> f64 {
        let count = self.count.max(1) as f64;
        match self.metric {
            Metric::Top1 | Metric::Top5 | Metric::Agreement => self.right as f64 / count,
            Metric::Mse | Metric::Cosine => self.sum / count,
            Metric::Perplexity => (self.sum / count).exp(),
            Metric::Spearman => spearman(&self.pairs),
        }
    }

    fn word(&self) -> String {
        self.metric.to_possible_value().expect("no metric is hidden").get_name().to_owned()
    }

    /// `{"metric": …, "value": …, "samples": …}`; shares also say how many were right.
    pub(super) fn json(&self) -> Value {
        let mut json = json!({"metric": self.word(), "value": self.value()});
        if self.is_share() {
            json["right"] = json!(self.right);
        }
        json[if self.metric == Metric::Perplexity { "tokens" } else { "samples" }] = json!(self.count);
        json
    }

    /// A line for people.
    pub(super) fn line(&self) -> String {
        let (word, value, count) = (self.word(), self.value(), self.count);
        match self.metric {
            _ if self.is_share() => format!("{word} {:.2} % ({} of {count})", value * 100.0, self.right),
            Metric::Perplexity => format!("{word} {value:.4} ({count} tokens)"),
            Metric::Mse => format!("{word} {value:.4e} ({count} samples)"),
            _ => format!("{word} {value:.4} ({count} samples)"),
        }
    }

    fn is_share(&self) -> bool {
        matches!(self.metric, Metric::Top1 | Metric::Top5 | Metric::Agreement)
    }
}

fn best(scores: &[f64]) -> Option<usize> {
    (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]).then(b.cmp(a)))
}

/// 0 where one of the two is 0.
fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths == 0.0 { 0.0 } else { dot(a, b) / lengths }
}

/// The correlation of the ranks; equal numbers share the mean of theirs.
fn spearman(pairs: &[(f64, f64)]) -> f64 {
    let a = ranks(pairs.iter().map(|(a, _)| *a).collect());
    let b = ranks(pairs.iter().map(|(_, b)| *b).collect());
    let mean = (pairs.len() as f64 - 1.0) / 2.0;
    let centred = |ranks: Vec<f64>| ranks.into_iter().map(|rank| rank - mean).collect::<Vec<f64>>();
    cosine(&centred(a), &centred(b))
}

fn ranks(values: Vec<f64>) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let equal = order[start..].iter().take_while(|i| values[**i] == values[order[start]]).count().max(1);
        let shared = start as f64 + (equal as f64 - 1.0) / 2.0;
        order[start..start + equal].iter().for_each(|i| ranks[*i] = shared);
        start += equal;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::{ranks, spearman};

    #[test]
    fn equal_numbers_share_their_rank() {
        assert_eq!(ranks(vec![3.0, 1.0, 3.0, 2.0]), [2.5, 0.0, 2.5, 1.0]);
    }

    #[test]
    fn correlation_of_ranks_is_scipys() {
        let pairs: Vec<(f64, f64)> = [0.1, 0.4, 0.35, 0.8, 0.8].into_iter().zip([1.0, 2.0, 3.0, 5.0, 4.0]).collect();
        // scipy.stats.spearmanr
        assert!((spearman(&pairs) - 0.872_081_599_272_381).abs() < 1e-12);
        let reversed: Vec<(f64, f64)> = (0..5).map(|i| (f64::from(i), f64::from(-i))).collect();
        assert!((spearman(&reversed) + 1.0).abs() < 1e-12);
    }
}
