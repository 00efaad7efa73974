//! Visiting blocks: nested blocks of a node, uses of values.

use super::{Block, Graph, NodeId, NodeKind, ValueId};
use crate::ops::{Call, OpKind};
use crate::types::TensorType;

impl NodeKind {
    /// The blocks inside, outermost first.
    pub fn blocks(&self) -> Vec<&Block> {
        match self {
            NodeKind::Repeat(repeat) => repeat.condition.iter().map(|(block, _)| block).chain([&repeat.body]).collect(),
            NodeKind::If { then, otherwise } => vec![&then.0, &otherwise.0],
            NodeKind::Fused { body, .. } => vec![body],
            _ => vec![],
        }
    }

    /// The same, to change.
    pub fn blocks_mut(&mut self) -> Vec<&mut Block> {
        match self {
            NodeKind::Repeat(repeat) => {
                repeat.condition.iter_mut().map(|(block, _)| block).chain([&mut repeat.body]).collect()
            }
            NodeKind::If { then, otherwise } => vec![&mut then.0, &mut otherwise.0],
            NodeKind::Fused { body, .. } => vec![body],
            _ => vec![],
        }
    }

    /// The values of inner blocks that the node itself names: results, conditions.
    pub fn named(&self) -> Vec<ValueId> {
        match self {
            NodeKind::Repeat(repeat) => {
                repeat.results.iter().copied().chain(repeat.condition.iter().map(|(_, flag)| *flag)).collect()
            }
            NodeKind::If { then, otherwise } => then.1.iter().chain(&otherwise.1).copied().collect(),
            NodeKind::Fused { results, .. } => results.clone(),
            _ => vec![],
        }
    }

    /// The same, to change.
    pub fn named_mut(&mut self) -> Vec<&mut ValueId> {
        match self {
            NodeKind::Repeat(repeat) => {
                repeat.results.iter_mut().chain(repeat.condition.iter_mut().map(|(_, flag)| flag)).collect()
            }
            NodeKind::If { then, otherwise } => then.1.iter_mut().chain(&mut otherwise.1).collect(),
            NodeKind::Fused { results, .. } => results.iter_mut().collect(),
            _ => vec![],
        }
    }
}

impl Graph {
    /// Every node of a block and of the blocks inside, in order.
    pub fn nodes_within(&self, block: &Block) -> Vec<NodeId> {
        let mut found = Vec::new();
        let mut waiting: Vec<NodeId> = block.nodes.iter().rev().copied().collect();
        while let Some(node) = waiting.pop() {
            found.push(node);
            let inner = self.nodes[node].kind.blocks().into_iter().flat_map(|b| &b.nodes);
            waiting.extend(inner.copied().collect::<Vec<_>>().into_iter().rev());
        }
        found
    }

    /// Every fused group, in the order of the text.
    pub fn groups(&self) -> Vec<NodeId> {
        let nodes = self.entries.iter().flat_map(|entry| self.nodes_within(&entry.body));
        nodes.filter(|node| matches!(self.nodes[*node].kind, NodeKind::Fused { .. })).collect()
    }

    /// Every use of a value within a block, named results of inner blocks included.
    pub fn uses_within(&self, block: &Block) -> Vec<ValueId> {
        let nodes = self.nodes_within(block);
        nodes.iter().flat_map(|n| self.nodes[*n].inputs.iter().copied().chain(self.nodes[*n].kind.named())).collect()
    }

    /// The call of an op node, for as long as `body` runs.
    ///
    /// # Panics
    /// The node is no op.
    pub fn with_call<R>(&self, node: NodeId, body: impl FnOnce(OpKind, &Call) -> R) -> R {
        let data = &self.nodes[node];
        let NodeKind::Op { op, arguments } = &data.kind else { unreachable!("the caller looks at an op") };
        let types = |values: &[ValueId]| values.iter().map(|v| self.ty(*v).clone()).collect::<Vec<TensorType>>();
        let (inputs, results) = (types(&data.inputs), types(&data.outputs));
        let call = Call { signature: op.op().signature(), arguments, inputs: &inputs, results: &results };
        body(*op, &call)
    }
}
