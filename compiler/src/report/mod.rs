//! Every stage's errors as diagnostics, one file for each stage.
//!
//! Invariant: words only; nothing is decided here.

pub mod kernels;
mod syntax;

pub use syntax::syntax;
