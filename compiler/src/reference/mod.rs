//! What a graph means: each node's `eval`, one after another, in plain loops.
//!
//! Every device is held to the answers that come out here. Names, shapes, ranges and guards of a call are checked as a
//! session checks them, in the same words; a failed call leaves every state as it was.
//! Invariant: knows no kernel and no plan; each op rounds once, where its result is stored.

mod bind;
mod drops;
mod error;
mod model;
mod walk;

pub use error::Refusal;
pub use model::{Reference, Unit};
