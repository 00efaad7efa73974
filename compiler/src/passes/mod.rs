//! The passes: each makes a graph smaller or faster and keeps what it computes. One pass, one file, one row of `PASSES`.
//!
//! A pass reads and makes constants and moves nothing across the versions of a state. Groups that are `Fused` already
//! are left as they are. A pass may leave nodes behind that nothing uses; `dce` takes them away.
//! Invariant: knows the graph and the ops' words, types and meanings; runs no kernel.

mod canonicalize;
mod constants;
mod cse;
mod dce;
mod fold;
mod fold_qdq;
mod fold_scales;
mod fuse;
mod fuse_attention;
mod groups;
mod merge_matmuls;
mod products;
pub mod quantize;
mod rewrite;
pub mod store;

pub use groups::Keep;
pub use products::{Product, products};

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
pub static PASSES: &[Pass] = &[
    Pass { name: "canonicalize", doc: canonicalize::DOC, run: canonicalize::run },
    Pass { name: "cse", doc: cse::DOC, run: cse::run },
    Pass { name: "dce", doc: dce::DOC, run: dce::run },
    Pass { name: "fold", doc: fold::DOC, run: fold::run },
    Pass { name: "fold-qdq", doc: fold_qdq::DOC, run: fold_qdq::run },
    Pass { name: "fold-scales", doc: fold_scales::DOC, run: fold_scales::run },
    Pass { name: "fuse", doc: fuse::DOC, run: fuse::run },
    Pass { name: "fuse-attention", doc: fuse_attention::DOC, run: fuse_attention::run },
    Pass { name: "merge-matmuls", doc: merge_matmuls::DOC, run: merge_matmuls::run },
];

impl Pass {
    /// The pass of a name.
    pub fn by_name(name: &str) -> Option<&'static Pass> {
        PASSES.iter().find(|pass| pass.name == name)
    }
}
