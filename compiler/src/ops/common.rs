//! What several ops share: walking positions, checking dtypes.

use super::{Blame, Call, Infer, OpError};
use mlc_codegen::base::DType;

/// Every position of a shape in row-major order; one, empty, for a scalar.
pub(super) fn positions(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let shape = shape.to_vec();
    let total: usize = shape.iter().product();
    (0..total).map(move |mut i| {
        let mut position = vec![0; shape.len()];
        for (p, extent) in position.iter_mut().zip(&shape).rev() {
            *p = i % extent;
            i /= extent;
        }
        position
    })
}

/// The row-major offset of a position.
pub(super) fn offset(shape: &[usize], position: &[usize]) -> usize {
    shape.iter().zip(position).fold(0, |sum, (extent, p)| sum * extent + p)
}

/// The offsets of each row along `axis`, rows in row-major order of the other axes.
pub(super) fn rows(shape: &[usize], axis: usize) -> Vec<Vec<usize>> {
    let inner: usize = shape[axis + 1..].iter().product();
    let outer: usize = shape[..axis].iter().product();
    let start = |row: usize| row / inner * inner * shape[axis] + row % inner;
    (0..outer * inner).map(|row| (0..shape[axis]).map(|i| start(row) + i * inner).collect()).collect()
}

/// The greater of two; NaN if either is.
pub(super) fn nan_max(a: f64, b: f64) -> f64 {
    if a > b || a.is_nan() { a } else { b }
}

/// Refuses an input that is no float.
pub(super) fn require_float(call: &Call, input: usize, cx: &Infer) -> Result<(), OpError> {
    let ty = call.input(input);
    if ty.dtype.is_float() {
        return Ok(());
    }
    let message = format!("`{}` needs a float, found {}", call.signature.name, ty.dtype);
    let label = format!("this is {}", cx.show(ty));
    let error = OpError::new("MDL0306", message, Blame::Input(input), label).cast(input, DType::F32);
    Err(if ty.dtype.is_integer() { error.note("integers are never converted silently") } else { error })
}
