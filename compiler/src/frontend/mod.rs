//! From a syntax tree to a typed graph: names, dims, types, weights, with every independent mistake reported.
//!
//! Blocks and functions are elaborated at each call; the same fault in several calls is one diagnostic.
//! Invariant: opens weight files by their headers only; decides nothing about kernels.

mod calls;
mod elaborate;
mod entries;
mod exprs;
mod statics;
mod typing;
mod weights;

pub use elaborate::{Checked, Options, check};
