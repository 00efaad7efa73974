//! mlc compiles `.mdl` models to machine code.
//!
//! Import law, bottom up: `types` | `diag` → `ops` → `graph` → `report` | `frontend` | `schedule` → the pipeline → `compile` → `cli`.
#![forbid(unsafe_code)]

pub mod cli;
mod compile;
pub mod diag;
pub mod frontend;
pub mod graph;
pub mod ops;
mod pipeline;
pub mod report;
pub mod schedule;
pub mod types;

pub use compile::{CompileError, compile};
pub use pipeline::{BuildError, artifact};
