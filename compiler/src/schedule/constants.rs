//! The constants that a plan's kernels read, each once.

use crate::graph::{ConstantId, Graph};
use mlc_codegen::base::Storage;

/// Constants in the order of their first use.
#[derive(Debug, Default)]
pub(super) struct Constants {
    list: Vec<ConstantId>,
}

impl Constants {
    /// The number of a constant in the plan.
    pub(super) fn number(&mut self, constant: ConstantId) -> u32 {
        let found = self.list.iter().position(|c| *c == constant);
        found.unwrap_or_else(|| {
            self.list.push(constant);
            self.list.len() - 1
        }) as u32
    }

    /// Storage and elements of each.
    pub(super) fn table(&self, graph: &Graph) -> Vec<(Storage, i64)> {
        let row = |c: &ConstantId| {
            let constant = &graph.constants[*c];
            (constant.storage, constant.ty.elements().as_constant().expect("constants have static dims"))
        };
        self.list.iter().map(row).collect()
    }

    /// The constants, by number.
    pub(super) fn finish(self) -> Vec<ConstantId> {
        self.list
    }
}
