//! mlc compiles `.mdl` models to machine code.
//!
//! Import law, bottom up: `types` | `diag` → `ops` → `graph` → `schedule` → `report` → `cli`.
#![forbid(unsafe_code)]

pub mod cli;
pub mod diag;
pub mod graph;
pub mod ops;
pub mod report;
pub mod schedule;
pub mod types;
