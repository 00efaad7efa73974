//! Every stage's errors as diagnostics, one file for each stage.
//!
//! Invariant: words only; nothing is decided here.

mod syntax;

pub use syntax::syntax;
