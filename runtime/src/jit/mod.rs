//! Machine code in memory, and the walk over a plan that calls it.
//!
//! # Safety
//!
//! What must hold when a kernel runs: it passed `verify`, `check_plan` accepted the entry for the size block and for
//! buffers no larger than the ones it is given, and no buffer that a part writes is read or written by other code while it
//! runs. Who upholds it: `Code::compile` verifies every kernel; `Checked` can only be made by `check_plan`, and `walk` takes
//! sizes and lengths from it alone; a `Region` borrows its bytes for as long as it lives, exclusively where they are
//! written. Code is mapped writable, then executable, never both, and freed when its owner is dropped.
//! Which tests check it: `runtime/tests/plans.rs`.

mod code;
mod walk;

pub(crate) use code::Code;
pub use code::JitError;
pub(crate) use walk::{Checked, Region, Stop, walk};
