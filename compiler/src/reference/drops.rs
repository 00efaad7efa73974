//! When a value is last used, so that it is held no longer.

use crate::graph::{Block, Graph, NodeId, NodeKind, ValueId};
use std::collections::HashMap;

/// For each node of a block, the values defined in the block that nothing uses after it. `kept` are used after the block.
pub(super) fn drops(graph: &Graph, block: &Block, kept: &[ValueId]) -> Vec<Vec<ValueId>> {
    let mut last: HashMap<ValueId, usize> = HashMap::new();
    for (i, node) in block.nodes.iter().enumerate() {
        last.extend(defined(graph, *node).into_iter().map(|value| (value, i)));
        for value in used(graph, *node) {
            last.entry(value).and_modify(|at| *at = i);
        }
    }
    last.retain(|value, _| !kept.contains(value));
    let mut drops = vec![vec![]; block.nodes.len()];
    last.into_iter().for_each(|(value, at)| drops[at].push(value));
    drops
}

/// What is visible after a node; a fused group hides nothing.
fn defined(graph: &Graph, node: NodeId) -> Vec<ValueId> {
    let data = &graph.nodes[node];
    let inner = match &data.kind {
        NodeKind::Fused { body, .. } => body.nodes.as_slice(),
        _ => &[],
    };
    inner.iter().flat_map(|n| &graph.nodes[*n].outputs).chain(&data.outputs).copied().collect()
}

/// What a node reads, inner blocks included.
fn used(graph: &Graph, node: NodeId) -> Vec<ValueId> {
    let data = &graph.nodes[node];
    let inner = data.kind.blocks().into_iter().flat_map(|block| graph.uses_within(block));
    inner.chain(data.inputs.iter().copied()).chain(data.kind.named()).collect()
}
