//! The kernels of a plan, each kept once.

use crate::graph::{Graph, NodeId, NodeKind, ValueId};
use mlc_codegen::kernel::{Kernel, KernelId};
use std::collections::HashMap;

/// The source path of a node and the ops in it.
pub(super) fn name(graph: &Graph, node: NodeId) -> String {
    let data = &graph.nodes[node];
    let what = match &data.kind {
        NodeKind::Op { op, .. } => op.name().to_owned(),
        NodeKind::Fused { name, .. } => name.clone(),
        _ => "copy".into(),
    };
    if data.path.is_empty() { what } else { format!("{}: {what}", data.path) }
}

/// What a call of the plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An op, a group, or a write into a state.
    Node(NodeId),
    /// To have a value at another place.
    Copy(ValueId),
}

/// Kernels by what they do; their names and the names of axes and buffers do not count.
#[derive(Debug, Default)]
pub(super) struct Kernels {
    list: Vec<Kernel>,
    known: HashMap<String, KernelId>,
}

impl Kernels {
    /// The number of a kernel, which may be that of an equal one. The first name is kept.
    pub(super) fn intern(&mut self, kernel: Kernel) -> KernelId {
        let mut nameless = kernel.clone();
        nameless.name.clear();
        nameless.axes.iter_mut().for_each(|axis| axis.name.clear());
        nameless.buffers.iter_mut().for_each(|buffer| buffer.name.clear());
        let key = format!("{nameless:?}");
        *self.known.entry(key).or_insert_with(|| {
            self.list.push(kernel);
            KernelId(self.list.len() as u32 - 1)
        })
    }

    /// All of them, by number.
    pub(super) fn finish(self) -> Vec<Kernel> {
        self.list
    }
}
