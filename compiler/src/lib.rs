//! mlc compiles `.mdl` models to machine code.
//!
//! Import law, bottom up: `types` | `diag` | `formats` → `ops` → `graph` → `report` | `frontend` | `import` | `export` | `passes` |
//! `schedule` | `reference` → the pipeline | `conversion` → `compile` | `isolate` | `runner` → `tune` → `cli`.
#![forbid(unsafe_code)]

pub mod cli;
mod compile;
pub mod conversion;
pub mod diag;
pub mod export;
pub mod formats;
pub mod frontend;
pub mod graph;
pub mod import;
pub mod isolate;
pub mod ops;
pub mod passes;
mod pipeline;
pub mod reference;
pub mod report;
pub mod runner;
pub mod schedule;
pub mod tune;
pub mod types;

pub use compile::{CompileError, compile};
pub use pipeline::{BuildError, PIPELINE, Pipeline, artifact, artifact_by, lowered, place};
