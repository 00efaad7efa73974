//! What `infer` of several ops refuses, in one tone.
//! Invariant: every message names the argument, shows both types, and labels both places.

use super::{Blame, Call, Infer, OpError};
use crate::types::TensorType;
use mlc_codegen::base::Dim;

/// Refuses an input with another number of axes than `axes` names.
pub(super) fn require_rank(call: &Call, input: usize, axes: &[&str], cx: &Infer) -> Result<(), OpError> {
    let ty = call.input(input);
    if ty.rank() == axes.len() {
        return Ok(());
    }
    let (name, layout) = (call.parameter_of(input).0, axes.join(", "));
    let message = format!("`{}` takes `{name}` as [{layout}], found {}", call.signature.name, cx.show(ty));
    let label = format!("this has {}, not {}", axes_of(ty.rank()), axes.len());
    Err(OpError::new("MDL0301", message, Blame::Input(input), label))
}

/// Refuses an input with fewer axes than `axes` names; more may stand before them.
pub(super) fn require_rank_from(call: &Call, input: usize, axes: &[&str], cx: &Infer) -> Result<(), OpError> {
    let ty = call.input(input);
    if ty.rank() >= axes.len() {
        return Ok(());
    }
    let (name, layout) = (call.parameter_of(input).0, axes.join(", "));
    let message = format!("`{}` takes `{name}` as [.., {layout}], found {}", call.signature.name, cx.show(ty));
    let label = format!("this has {}, at least {} are needed", axes_of(ty.rank()), axes.len());
    Err(OpError::new("MDL0301", message, Blame::Input(input), label))
}

/// Refuses an input whose dtype is not that of another.
pub(super) fn require_dtype_of(call: &Call, input: usize, other: usize, cx: &Infer) -> Result<(), OpError> {
    let (found, wanted) = (call.input(input), call.input(other));
    if found.dtype == wanted.dtype {
        return Ok(());
    }
    let name = call.parameter_of(input).0;
    let message = format!("expected {} for `{name}`, found {}", wanted.dtype, found.dtype);
    Err(OpError::new("MDL0306", message, Blame::Input(input), format!("this is {}", cx.show(found)))
        .label(Blame::Input(other), format!("this is {}", cx.show(wanted)))
        .cast(input, wanted.dtype))
}

/// Refuses an input whose type is not `wanted`; `against` is the input that `wanted` follows from.
pub(super) fn require_type(
    call: &Call,
    input: usize,
    wanted: &TensorType,
    against: usize,
    cx: &mut Infer,
) -> Result<(), OpError> {
    let (found, name) = (call.input(input), call.parameter_of(input).0);
    if found.dtype != wanted.dtype {
        let message = format!("expected {} for `{name}`, found {}", wanted.dtype, found.dtype);
        return Err(OpError::new("MDL0306", message, Blame::Input(input), format!("this is {}", cx.show(found)))
            .cast(input, wanted.dtype));
    }
    let differing = match found.rank() == wanted.rank() {
        true => found.dims.iter().zip(&wanted.dims).find(|(a, b)| !cx.equal(a, b, Blame::Input(input))),
        false => None,
    };
    if found.rank() == wanted.rank() && differing.is_none() {
        return Ok(());
    }
    let message = format!("`{name}` of `{}` must be {}", call.signature.name, cx.show(wanted));
    let mut error = OpError::new("MDL0301", message, Blame::Input(input), format!("this is {}", cx.show(found)))
        .label(Blame::Input(against), format!("this is {}", cx.show(call.input(against))));
    if let Some((a, b)) = differing {
        error = error.note(format!("`{}` is not `{}`", cx.slots.show(a), cx.slots.show(b))).dim(a).dim(b);
    }
    Err(error)
}

/// Refuses two dims of two inputs that should be one: `what` says which.
pub(super) fn require_equal(
    call: &Call,
    cx: &mut Infer,
    what: &str,
    left: (usize, &Dim),
    right: (usize, &Dim),
) -> Result<(), OpError> {
    let ((left, a), (right, b)) = (left, right);
    if cx.equal(a, b, Blame::Input(right)) {
        return Ok(());
    }
    let (x, y) = (cx.slots.show(a), cx.slots.show(b));
    let message = format!("`{}` needs {what}: `{x}` is not `{y}`", call.signature.name);
    Err(OpError::new("MDL0301", message, Blame::Input(right), format!("this is {}", cx.show(call.input(right))))
        .label(Blame::Input(left), format!("this is {}", cx.show(call.input(left))))
        .dim(a)
        .dim(b))
}

/// A dim that must be a number when the model is compiled.
pub(super) fn require_static(call: &Call, input: usize, axis: usize, cx: &Infer) -> Result<i64, OpError> {
    let ty = call.input(input);
    ty.dims[axis].as_constant().ok_or_else(|| {
        let dim = cx.slots.show(&ty.dims[axis]);
        let message = format!("`{}` needs axis {axis} ({dim}) to be known at compile time", call.signature.name);
        OpError::new("MDL0309", message, Blame::Input(input), format!("this is {}", cx.show(ty))).dim(&ty.dims[axis])
    })
}

/// Refuses an argument: one sentence, and what was found.
pub(super) fn bad_argument(name: &'static str, message: String, found: impl std::fmt::Display) -> OpError {
    OpError::new("MDL0309", message, Blame::Argument(name), format!("this is {found}"))
}

/// An integer argument that must be at least 1.
pub(super) fn positive(call: &Call, name: &'static str) -> Result<i64, OpError> {
    let value = call.int(name).unwrap_or(1);
    match value >= 1 {
        true => Ok(value),
        false => Err(bad_argument(name, format!("`{name}` must be at least 1"), value)),
    }
}

fn axes_of(rank: usize) -> String {
    match rank {
        0 => "no axes".into(),
        1 => "1 axis".into(),
        n => format!("{n} axes"),
    }
}
