//! Where a value is found: in memory, as a number, or nowhere because its readers compute it.

use super::arena::Region;
use crate::graph::NodeId;
use mlc_codegen::base::{Scalar, Storage};
use mlc_codegen::kernel::Argument;

/// Where a value is found.
#[derive(Clone, Debug)]
pub(super) enum Home {
    /// In memory, row-major.
    Memory {
        /// Which buffer.
        argument: Argument,
        /// How its elements lie.
        storage: Storage,
    },
    /// Nowhere: a literal in every expression that uses it.
    Literal(Scalar),
    /// Nowhere: readers compute its elements through the node that defines it.
    Virtual(NodeId),
}

/// The region that a value owns until it dies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lease {
    pub(super) region: Region,
}
