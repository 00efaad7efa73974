//! The passes: each makes a graph smaller or faster and keeps what it computes. One pass, one file, one row of `PASSES`.
//! Invariant: knows the graph and the ops' words, types and meanings; runs no kernel.

mod fuse;

pub use fuse::{Missed, Reason, missed};

use crate::graph::Graph;

/// One pass.
#[derive(Debug)]
pub struct Pass {
    /// The word on the command line.
    pub name: &'static str,
    /// What it does, first sentence first.
    pub doc: &'static str,
    /// Changes the graph and says how often.
    pub run: fn(&mut Graph) -> usize,
}

/// Every pass, by name.
pub static PASSES: &[Pass] = &[Pass { name: "fuse", doc: fuse::DOC, run: fuse::run }];

impl Pass {
    /// The pass of a name.
    pub fn by_name(name: &str) -> Option<&'static Pass> {
        PASSES.iter().find(|pass| pass.name == name)
    }
}
