//! Broadcasting: dims aligned from the right, where only a static 1 stretches.

use super::{At, Blame, Call, Infer, OpError};
use crate::types::TensorType;
use mlc_codegen::base::Dim;

/// The dims of the result of an elementwise op.
pub(super) fn broadcast(call: &Call, cx: &mut Infer) -> Result<Vec<Dim>, OpError> {
    let one = Dim::from(1);
    let rank = call.inputs.iter().map(TensorType::rank).max().unwrap_or(0);
    let mut dims = vec![one.clone(); rank];
    for (i, ty) in call.inputs.iter().enumerate() {
        let start = rank - ty.rank();
        for (axis, dim) in ty.dims.iter().enumerate() {
            let known = dims[start + axis].clone();
            if known == one {
                dims[start + axis] = dim.clone();
            } else if *dim != one && !cx.equal(&known, dim, Blame::Input(i)) {
                return Err(mismatch(call, (&known, dim), cx));
            }
        }
    }
    Ok(dims)
}

fn mismatch(call: &Call, (known, found): (&Dim, &Dim), cx: &Infer) -> OpError {
    let types: Vec<String> = call.inputs.iter().map(|ty| cx.show(ty)).collect();
    let message = format!("cannot `{}` {}", call.signature.name, types.join(" and "));
    let (x, y) = (cx.slots.show(known), cx.slots.show(found));
    let mut error = OpError::new("MDL0302", message, Blame::Call, "these shapes do not broadcast");
    for (i, ty) in types.iter().enumerate() {
        error = error.label(Blame::Input(i), format!("this is {ty}"));
    }
    error
        .note(format!("aligned from the right: {x} is not {y}; only a dim that is written 1 broadcasts"))
        .dim(known)
        .dim(found)
}

/// Where an input is read for an element of the result.
pub(super) fn place(ty: &TensorType, result: &TensorType, at: &[At]) -> Vec<At> {
    let start = result.rank() - ty.rank();
    let one = Dim::from(1);
    let pick = |(axis, dim): (usize, &Dim)| {
        if *dim == one && result.dims[start + axis] != one { At::zero() } else { at[start + axis].clone() }
    };
    ty.dims.iter().enumerate().map(pick).collect()
}

/// The offset in an input of shape `from` for the element at `position` of the result.
pub(super) fn source(from: &[usize], position: &[usize]) -> usize {
    let start = position.len() - from.len();
    let clipped: Vec<usize> =
        from.iter().zip(&position[start..]).map(|(extent, p)| if *extent == 1 { 0 } else { *p }).collect();
    super::offset(from, &clipped)
}

/// The offsets in an operand of shape `from` for every position of a result of shape `to`.
pub(super) fn sources(from: &[usize], to: &[usize]) -> Vec<usize> {
    let own = super::numbers::strides(from);
    let stretched = from.iter().zip(own).map(|(extent, stride)| if *extent == 1 { 0 } else { stride });
    let steps: Vec<usize> = std::iter::repeat_n(0, to.len() - from.len()).chain(stretched).collect();
    super::numbers::offsets(to, &steps)
}

/// Refuses operands of different element types.
pub(super) fn require_same_dtype(call: &Call, cx: &Infer) -> Result<(), OpError> {
    let first = call.input(0);
    let Some(other) = call.inputs.iter().position(|ty| ty.dtype != first.dtype) else { return Ok(()) };
    let found = call.input(other);
    let message = format!("expected {}, found {}", first.dtype, found.dtype);
    let mut error = OpError::new("MDL0306", message, Blame::Input(other), format!("this is {}", cx.show(found)))
        .label(Blame::Input(0), format!("this is {}", cx.show(first)))
        .cast(other, first.dtype);
    if found.dtype.is_integer() || first.dtype.is_integer() {
        error = error.note("integers are never converted silently");
    }
    Err(error)
}
