//! What `infer` of several ops refuses, in one tone.
//! Invariant: every message names the argument, shows both types, and labels both places.

use super::{Blame, Call, Infer, OpError};

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
        .help(format!("cast it first: cast({name}, {})", wanted.dtype)))
}
