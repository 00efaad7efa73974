//! What `eval` walks and fills: offsets of positions, numbers in and out of tensors.
//! Invariant: offsets are row-major; floats are f64 here, whatever the tensor holds.

use super::{Call, EvalError};
use mlc_codegen::base::{DType, Scalar};
use mlc_runtime::tensor::Tensor;

/// Elements between neighbours along each axis.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// `Σ stride·position` for every position of `extents`, in row-major order.
pub(super) fn offsets(extents: &[usize], strides: &[usize]) -> Vec<usize> {
    extents.iter().zip(strides).fold(vec![0], |starts, (extent, stride)| {
        starts.iter().flat_map(|start| (0..*extent).map(move |i| start + i * stride)).collect()
    })
}

/// For every position of the other axes, the offsets of all positions along `axes`; both in row-major order.
pub(super) fn slices(shape: &[usize], axes: &[usize]) -> Vec<Vec<usize>> {
    let strides = strides(shape);
    let walk = |inside: bool| {
        let chosen: Vec<usize> = (0..shape.len()).filter(|axis| axes.contains(axis) == inside).collect();
        let pick = |of: &[usize]| chosen.iter().map(|axis| of[*axis]).collect::<Vec<_>>();
        offsets(&pick(shape), &pick(&strides))
    };
    let steps = walk(true);
    walk(false).into_iter().map(|start| steps.iter().map(|step| start + step).collect()).collect()
}

/// The shape of a result at `sizes`.
pub(super) fn result_shape(call: &Call, result: usize, sizes: &[i64]) -> Result<Vec<usize>, EvalError> {
    let shape = call.result(result).shape_at(sizes);
    let whole = shape.and_then(|dims| dims.into_iter().map(|dim| usize::try_from(dim).ok()).collect());
    whole.ok_or_else(|| EvalError::Size(format!("result {result} of `{}`", call.signature.name)))
}

/// A tensor of these numbers, each rounded to `dtype`.
pub(super) fn from_floats(dtype: DType, shape: &[usize], values: &[f64]) -> Result<Tensor, EvalError> {
    assert_eq!(values.len(), shape.iter().product::<usize>(), "as many numbers as the shape has places");
    from_scalars(dtype, shape, |i| Scalar::F64(values[i]))
}

/// A tensor whose element `i` is `value(i)`, converted to `dtype`.
pub(super) fn from_scalars(
    dtype: DType,
    shape: &[usize],
    value: impl FnMut(usize) -> Scalar,
) -> Result<Tensor, EvalError> {
    Tensor::from_fn(dtype, shape, value).map_err(|error| EvalError::Size(error.to_string()))
}
