//! Models and sessions: load once, run many times.
//!
//! Invariant: nothing runs before shapes, types, ranges, guards and memory were checked; a refusal names the input, what it
//! was given and the place in the source.

mod bind;
mod error;
mod model;

pub use crate::jit::JitError;
pub use error::RunError;
pub use model::{Model, Options, Session};
