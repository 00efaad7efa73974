//! Ranges of activations: what was seen of a value, and the scale that costs it least.

use crate::passes::quantize::Scale;
use mlc_codegen::base::DType;

/// How a range is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calibrator {
    /// All that was seen.
    MinMax,
    /// All but the farthest numbers.
    Percentile,
    /// Where the mean square error of rounding and clipping is least.
    Mse,
}

impl Calibrator {
    /// As profiles and reports have it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Calibrator::MinMax => "minmax",
            Calibrator::Percentile => "percentile",
            Calibrator::Mse => "mse",
        }
    }
}

/// How many numbers were where.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    low: f64,
    high: f64,
    /// Of equal width. Zeros are in none: they cost nothing, and what is rectified has many.
    bins: Vec<f64>,
}

const BINS: usize = 2048;
/// Ranges that a search tries, from the whole down to a tenth.
const STEPS: usize = 72;

/// A chosen range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    /// The scale.
    pub(super) scale: Scale,
    /// Who chose it.
    pub(super) by: Calibrator,
    /// The mean square error of a number.
    pub(super) error: f64,
    /// The share of numbers beyond the range.
    pub(super) clipped: f64,
}

impl Histogram {
    /// Nothing counted yet between two ends.
    pub(super) fn new(low: f64, high: f64) -> Histogram {
        Histogram { low, high, bins: vec![0.0; BINS] }
    }

    /// Counts a number.
    pub(super) fn count(&mut self, number: f64) {
        if number != 0.0 {
            let place = (number - self.low) / (self.high - self.low) * BINS as f64;
            self.bins[(place as usize).min(BINS - 1)] += 1.0;
        }
    }

    /// The greatest magnitude.
    pub(super) fn greatest(&self) -> f64 {
        self.low.abs().max(self.high)
    }

    fn centre(&self, bin: usize) -> f64 {
        self.low + (self.high - self.low) * (bin as f64 + 0.5) / BINS as f64
    }

    /// The range that is best of those that are allowed; all are tried where none is named.
    pub(super) fn best(&self, allowed: Option<Calibrator>, share: f64, symmetric: bool) -> Range {
        let (low, high) = (self.low.min(0.0), self.high.max(0.0));
        let (tail_low, tail_high) = self.tails(share);
        let mut tried = vec![(Calibrator::MinMax, low, high), (Calibrator::Percentile, tail_low, tail_high)];
        for step in 1..STEPS {
            let part = 1.0 - step as f64 / (STEPS as f64 * 1.1);
            tried.push((Calibrator::Mse, low * part, high * part));
            if low < 0.0 && high > 0.0 {
                tried.extend([(Calibrator::Mse, low, high * part), (Calibrator::Mse, low * part, high)]);
            }
        }
        let allowed = |by: Calibrator| allowed.is_none_or(|one| one == by);
        let ranges = tried.into_iter().filter(|(by, ..)| allowed(*by) || allowed(Calibrator::Mse));
        let ranges = ranges.map(|(by, low, high)| {
            let scale = between(low, high, symmetric);
            let (error, clipped) = self.error(scale);
            Range { scale, by, error, clipped }
        });
        ranges.min_by(|a, b| a.error.total_cmp(&b.error)).expect("the whole range is tried")
    }

    /// The ends that leave out `1 - share` of the numbers, half of them on either side where there are two.
    fn tails(&self, share: f64) -> (f64, f64) {
        let total: f64 = self.bins.iter().sum();
        let sides = if self.low < 0.0 && self.high > 0.0 { 2.0 } else { 1.0 };
        let spare = total * (1.0 - share) / sides;
        let mut passed = 0.0;
        let beyond = |count: &f64, passed: &mut f64| {
            *passed += count;
            *passed <= spare
        };
        let first = self.bins.iter().take_while(|count| beyond(count, &mut passed)).count();
        passed = 0.0;
        let last = self.bins.iter().rev().take_while(|count| beyond(count, &mut passed)).count();
        let width = (self.high - self.low) / BINS as f64;
        let low = if self.low < 0.0 { (self.low + width * first as f64).min(0.0) } else { 0.0 };
        let high = if self.high > 0.0 { (self.high - width * last as f64).max(0.0) } else { 0.0 };
        (low, high)
    }

    /// The mean square error of a scale, and the share of numbers that it clips.
    fn error(&self, scale: Scale) -> (f64, f64) {
        let (least, most) = scale.dtype.integer_range().expect("codes are integers");
        let (least, most, step) = (least as f64, most as f64, f64::from(scale.step));
        let (mut sum, mut clipped, mut total) = (0.0, 0.0, 0.0);
        for (bin, count) in self.bins.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            let number = self.centre(bin);
            let code = (number / step).round_ties_even() + scale.zero as f64;
            let error = number - (code.clamp(least, most) - scale.zero as f64) * step;
            // Within a bin numbers differ; where they are rounded to a code their error is that of the step.
            let within = code >= least && code <= most;
            sum += count * if within { (error * error).max(step * step / 12.0 * 0.5) } else { error * error };
            clipped += if within { 0.0 } else { *count };
            total += count;
        }
        if total == 0.0 { (0.0, 0.0) } else { (sum / total, clipped / total) }
    }
}

/// The scale of a range: u8 with the code of 0 where it falls, or i8 about 0.
pub(super) fn between(low: f64, high: f64, symmetric: bool) -> Scale {
    let (low, high) = (low.min(0.0), high.max(0.0));
    if symmetric {
        let greatest = low.abs().max(high);
        return Scale { dtype: DType::I8, step: step(greatest / 127.0), zero: 0 };
    }
    let step = step((high - low) / 255.0);
    Scale { dtype: DType::U8, step, zero: (-low / f64::from(step)).round_ties_even().clamp(0.0, 255.0) as i64 }
}

fn step(step: f64) -> f32 {
    if step == 0.0 { 1.0 } else { (step as f32).max(f32::MIN_POSITIVE) }
}

#[cfg(test)]
mod tests {
    use super::{Calibrator, Histogram, between};
    use mlc_codegen::base::DType;

    fn filled(numbers: impl Iterator<Item = f64> + Clone) -> Histogram {
        let low = numbers.clone().fold(f64::INFINITY, f64::min);
        let high = numbers.clone().fold(f64::NEG_INFINITY, f64::max);
        let mut histogram = Histogram::new(low, high);
        numbers.for_each(|number| histogram.count(number));
        histogram
    }

    #[test]
    fn zero_is_a_code() {
        for (low, high) in [(-1.0, 3.0), (0.5, 2.0), (-2.0, -1.0), (0.0, 0.0)] {
            let scale = between(low, high, false);
            assert!(scale.dtype == DType::U8 && (0..=255).contains(&scale.zero) && scale.step > 0.0, "{scale:?}");
        }
        assert_eq!(between(0.0, 255.0, false).zero, 0);
        assert_eq!(between(-254.0, 100.0, true).step, 2.0);
    }

    #[test]
    fn what_lies_evenly_is_not_clipped_and_a_stray_is() {
        let even = filled((0..10_000).map(|i| f64::from(i) / 1e4));
        assert_eq!(even.best(None, 0.9999, false).clipped, 0.0);
        let strayed = filled((0..10_000).map(|i| if i == 0 { 100.0 } else { (f64::from(i) * 0.7).sin() }));
        let best = strayed.best(None, 0.9999, false);
        let all = strayed.best(Some(Calibrator::MinMax), 0.9999, false);
        assert!(all.clipped == 0.0 && all.by == Calibrator::MinMax);
        assert!(best.error <= all.error);
        let cut = strayed.best(Some(Calibrator::Percentile), 0.999, false);
        assert!(f64::from(cut.scale.step) * 255.0 < 5.0, "{cut:?}");
    }
}
