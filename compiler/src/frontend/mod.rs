//! From a syntax tree to a typed graph: names, dims, types, weights, with every independent mistake reported.
//!
//! Blocks and functions are elaborated at each call; the same fault in several calls is one diagnostic. A `repeat` is
//! elaborated once and stays rolled; only where a number of the body depends on the iteration is it unrolled.
//! Invariant: opens weight files by their headers only; decides nothing about kernels. A value whose type failed is
//! `Poison`: the mistake has been reported, and whoever depends on it stays silent.

mod arguments;
mod attributes;
mod attrs;
mod blame;
mod bodies;
mod calls;
mod check;
mod control;
mod declare;
mod elaborate;
mod entries;
mod exprs;
mod fixed_math;
mod functions;
mod fused;
mod index;
mod keys;
mod lints;
mod lookup;
mod models;
mod modules;
mod operators;
mod origin;
mod profile_table;
mod profiles;
mod repeat;
mod scope;
mod setters;
mod standalone;
mod state;
mod statics;
mod suggest;
mod term;
mod text;
mod typing;
mod unify;
mod weight_files;
mod weights;
mod words;

pub use check::{Checked, Options, check};
pub use profiles::{Argument, Directive, Override, Profile, selects};
pub use text::{TextError, read_text};
