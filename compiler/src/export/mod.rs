//! From the typed graph to text and foreign formats.
//!
//! Invariant: reads a graph and changes nothing; knows no kernel and runs nothing. What is written is read back by the
//! checker, never trusted.

pub mod dot;
mod error;
pub mod mdl;
pub mod onnx;
mod walk;

pub use error::{ExportError, Refusal};
