//! What the test suites share.
//!
//! Invariant: knows mlc from outside, by its program and its libraries' public items.

pub mod answers;
pub mod book;
pub mod forms;
pub mod golden;
mod lines;
pub mod made;
pub mod onnx_suite;
pub mod pages;
pub mod schema;

/// The book's programs.
#[cfg(doctest)]
#[allow(rustdoc::invalid_codeblock_attributes)]
#[doc = include_str!("../../docs/src/tutorial.md")]
struct Tutorial;
