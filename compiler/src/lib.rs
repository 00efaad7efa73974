//! mlc compiles `.mdl` models to machine code.
//!
//! Import law, bottom up: `types` | `diag` → `ops` → `graph` → `frontend` | `passes` | `schedule` → the pipeline → `cli`.
#![forbid(unsafe_code)]

pub mod diag;
pub mod graph;
pub mod ops;
pub mod types;
