//! Weights as small integers, one scale for each channel.

use mlc_codegen::base::{DType, Scalar};
use mlc_runtime::tensor::Tensor;

/// A weight's codes in its shape, and a step for each channel, or one for all.
#[derive(Clone, Debug)]
pub struct Rounded {
    /// i8.
    pub codes: Tensor,
    /// f32.
    pub steps: Tensor,
}

/// Rounds to the nearest of `-(2^bits - 1)..=2^bits - 1` steps, ties to even; the greatest magnitude of a channel is one of
/// them. `None` where a number is not finite, or memory is short.
pub fn per_channel(weight: &Tensor, axis: Option<usize>, bits: u32) -> Option<Rounded> {
    let limit = f64::from((1u32 << bits) - 1);
    let shape = weight.shape();
    let channels = axis.map_or(1, |axis| shape[axis]);
    let inner: usize = axis.map_or(1, |axis| shape[axis + 1..].iter().product());
    let channel = |i: usize| if axis.is_some() { i / inner.max(1) % channels.max(1) } else { 0 };
    let numbers = weight.to_f64_vec();
    if numbers.iter().any(|number| !number.is_finite()) {
        return None;
    }
    let mut greatest = vec![0.0f64; channels];
    numbers.iter().enumerate().for_each(|(i, number)| greatest[channel(i)] = greatest[channel(i)].max(number.abs()));
    let step = |greatest: f64| if greatest == 0.0 { 1.0 } else { ((greatest / limit) as f32).max(f32::MIN_POSITIVE) };
    let steps: Vec<f32> = greatest.into_iter().map(step).collect();
    let code = |i: usize| {
        let code = (numbers[i] / f64::from(steps[channel(i)])).round_ties_even().clamp(-limit, limit);
        Scalar::I64(code as i64)
    };
    let codes = Tensor::from_fn(DType::I8, shape, code).ok()?;
    let steps = match axis {
        Some(_) => Tensor::from_f32([channels], &steps).ok()?,
        None => Tensor::scalar(DType::F32, Scalar::F32(steps[0])),
    };
    Some(Rounded { codes, steps })
}

impl Rounded {
    /// The number that a code stands for, by its place.
    pub fn number(&self, axis: Option<usize>, i: usize) -> f64 {
        let inner: usize = axis.map_or(1, |axis| self.codes.shape()[axis + 1..].iter().product());
        let channel = axis.map_or(0, |axis| i / inner.max(1) % self.codes.shape()[axis].max(1));
        self.codes.get(i).as_f64() * self.steps.get_f64(channel)
    }
}
