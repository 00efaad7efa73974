//! Models and sessions: load once, run many times.
//!
//! Invariant: nothing runs before names, types, shapes, ranges, guards and memory were checked; a refusal names the input,
//! what was given, what the entry takes, and the place in the source; a failed call leaves every state as it was.

mod bind;
mod bounds;
mod call;
mod error;
mod memory;
mod model;

pub use crate::jit::{CacheError, CodeCache, Cpu, Event, JitError, KernelTime, Machine, Profile};
pub use bounds::{CallMemory, check_model, check_sizes};
pub use call::{Held, Session};
pub use error::{RunError, human, list};
pub use model::{Model, Options};
