//! How much worse one model is than another on the same samples, and how sure that is.

use super::metric::{Metric, Sample, Tally};
use super::stats;

/// A drop, in the metric's own unit, in the worse direction; or in parts of the baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Drop {
    /// As measured.
    pub(super) measured: f64,
    /// It is not more than this, with the confidence that was asked for.
    pub(super) upper: f64,
    /// Pairs of samples.
    pub(super) samples: usize,
}

/// What a drop means for a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// It is within the limit.
    Met,
    /// It is not.
    Missed,
    /// The data cannot tell; about so many samples could.
    Undecided(usize),
}

impl Drop {
    /// Compares two measurements of the same samples in the same order.
    pub(super) fn between(before: &Tally, after: &Tally, relative: bool, confidence: f64) -> Drop {
        let (metric, samples) = (before.metric, before.samples.len().min(after.samples.len()));
        let by = if relative { before.value().abs().max(f64::MIN_POSITIVE) } else { 1.0 };
        let measured = metric.drop(before.value(), after.value()) / by;
        let upper = match metric.is_share() {
            true => share(&before.samples, &after.samples, confidence).min(1.0) / by,
            false => redrawn(metric, &before.samples, &after.samples, confidence, relative),
        };
        Drop { measured, upper: upper.max(measured), samples }
    }

    /// Whether it is within a limit.
    pub(super) fn verdict(&self, limit: f64) -> Verdict {
        if self.upper <= limit {
            return Verdict::Met;
        }
        if self.measured >= limit {
            return Verdict::Missed;
        }
        // The distance to the bound shrinks with the root of the number of samples.
        let ratio = (self.upper - self.measured) / (limit - self.measured);
        Verdict::Undecided((self.samples as f64 * ratio * ratio).ceil() as usize)
    }
}

/// The upper bound of a difference of paired shares: half a pair is added to each kind that differs, so that no difference
/// in a few samples is no proof of none (A. Agresti and Y. Min, 2005).
fn share(before: &[Sample], after: &[Sample], confidence: f64) -> f64 {
    let pairs = || before.iter().zip(after);
    let lost = pairs().filter(|(a, b)| a.value > b.value).count() as f64 + 0.5;
    let won = pairs().filter(|(a, b)| a.value < b.value).count() as f64 + 0.5;
    let count = pairs().count() as f64 + 2.0;
    let mean = (lost - won) / count;
    let spread = ((lost + won) / count - mean * mean).max(0.0) / count;
    mean + stats::normal_quantile(confidence) * spread.sqrt()
}

/// The upper bound of any difference, from pairs drawn again.
fn redrawn(metric: Metric, before: &[Sample], after: &[Sample], confidence: f64, relative: bool) -> f64 {
    let count = before.len().min(after.len());
    if count < 10 {
        return f64::INFINITY;
    }
    let figures = stats::redrawn(count, &|drawn| {
        let pick = |samples: &[Sample]| metric.of(&drawn.iter().map(|i| samples[*i]).collect::<Vec<_>>());
        let (a, b) = (pick(before), pick(after));
        metric.drop(a, b) / if relative { a.abs().max(f64::MIN_POSITIVE) } else { 1.0 }
    });
    figures[((figures.len() - 1) as f64 * confidence).round() as usize]
}

#[cfg(test)]
mod tests {
    use super::{Drop, Verdict};
    use crate::tune::metric::{Metric, Sample, Tally};

    fn tally(metric: Metric, values: impl Iterator<Item = f64>) -> Tally {
        Tally { metric, samples: values.map(|value| Sample { value, weight: 1.0 }).collect() }
    }

    #[test]
    fn few_samples_decide_little() {
        let all = |count| tally(Metric::Top1, (0..count).map(|_| 1.0));
        let same = Drop::between(&all(100), &all(100), false, 0.95);
        assert!(same.measured == 0.0 && same.upper > 0.01, "{same:?}");
        let Verdict::Undecided(wanted) = same.verdict(0.005) else {
            panic!("a hundred samples cannot tell half a percent")
        };
        assert!((300..2000).contains(&wanted), "{wanted}");
        assert_eq!(Drop::between(&all(10_000), &all(10_000), false, 0.95).verdict(0.005), Verdict::Met);
    }

    #[test]
    fn a_clear_drop_is_missed_and_a_gain_is_met() {
        let worse = |share: usize| tally(Metric::Top1, (0..2000).map(move |i| f64::from(u8::from(i % 100 >= share))));
        assert_eq!(Drop::between(&worse(5), &worse(10), false, 0.95).verdict(0.01), Verdict::Missed);
        assert_eq!(Drop::between(&worse(10), &worse(5), false, 0.95).verdict(0.01), Verdict::Met);
        let drop = Drop::between(&worse(5), &worse(10), true, 0.95);
        assert!((drop.measured - 0.05 / 0.95).abs() < 1e-12);
    }

    #[test]
    fn errors_drop_upwards() {
        let mse = |add: f64| tally(Metric::Mse, (0..200).map(move |i| f64::from(i % 5) + add));
        let drop = Drop::between(&mse(0.0), &mse(0.5), false, 0.95);
        assert!((drop.measured - 0.5).abs() < 1e-9 && (drop.upper - 0.5).abs() < 1e-9, "{drop:?}");
        assert_eq!(drop.verdict(0.6), Verdict::Met);
    }
}
