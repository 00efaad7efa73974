//! Every stage's errors as diagnostics, one file for each stage.
//!
//! Invariant: words only; nothing is decided here.

mod codes;
pub mod compression;
pub mod kernels;
mod syntax;

pub use codes::{PAGES, Page, near, page};
pub use syntax::syntax;
