//! Which nodes become one kernel, and which become none.

use crate::graph::{Block, Graph, NodeId, NodeKind, ValueId};
use crate::ops::{Traits, traits_of};
use mlc_codegen::base::Dim;
use std::collections::{HashMap, HashSet};

/// What is known of the nodes of an entry before any is lowered.
pub(super) struct Groups {
    /// By op node.
    pub(super) traits: HashMap<NodeId, Traits>,
    /// The node that defines a value.
    pub(super) defined_by: HashMap<ValueId, NodeId>,
    /// Views that every reader can look through: they get no buffer.
    pub(super) looked_through: HashSet<NodeId>,
    /// Nodes inside a fused group: the group gives them what buffers they have.
    pub(super) grouped: HashSet<NodeId>,
}

impl Groups {
    /// Looks at every node within a block. `outputs` need buffers.
    pub(super) fn of(graph: &Graph, block: &Block, outputs: &[ValueId]) -> Self {
        let nodes = graph.nodes_within(block);
        let mut groups = Groups {
            traits: HashMap::new(),
            defined_by: HashMap::new(),
            looked_through: HashSet::new(),
            grouped: HashSet::new(),
        };
        for node in &nodes {
            let data = &graph.nodes[*node];
            groups.defined_by.extend(data.outputs.iter().map(|v| (*v, *node)));
            match &data.kind {
                NodeKind::Op { .. } => {
                    groups.traits.insert(*node, graph.with_call(*node, traits_of));
                }
                NodeKind::Fused { body, .. } => groups.grouped.extend(&body.nodes),
                _ => {}
            }
        }
        let mut solid = groups.solid(graph, &nodes, outputs);
        groups.look_through_aliases(graph, &nodes, &mut solid);
        for node in nodes {
            let view = groups.traits.get(&node).is_some_and(|t| t.view);
            if view && !groups.grouped.contains(&node) && !solid.contains(&graph.nodes[node].outputs[0]) {
                groups.looked_through.insert(node);
            }
        }
        groups
    }

    /// Aliases of views that only name or drop axes of one position are views themselves; of what other aliases are of
    /// becomes solid.
    fn look_through_aliases(&mut self, graph: &Graph, nodes: &[NodeId], solid: &mut HashSet<ValueId>) {
        let is_view = |groups: &Self, value: ValueId| {
            let node = groups.defined_by.get(&value);
            node.is_some_and(|node| {
                let traits = groups.traits.get(node);
                !groups.grouped.contains(node)
                    && traits.is_some_and(|t| t.view || (t.alias && unit_axes(graph, *node).is_some()))
            })
        };
        for node in nodes.iter().rev().filter(|node| self.traits.get(node).is_some_and(|t| t.alias)) {
            let data = &graph.nodes[*node];
            let read_through = unit_axes(graph, *node).is_some()
                && !self.grouped.contains(node)
                && !solid.contains(&data.outputs[0])
                && is_view(self, data.inputs[0]);
            if read_through {
                self.looked_through.insert(*node);
            } else {
                solid.extend(&data.inputs);
            }
        }
    }

    /// Values that must lie in memory: read under guards, checked as indices, named by inner blocks, or returned.
    fn solid(&self, graph: &Graph, nodes: &[NodeId], outputs: &[ValueId]) -> HashSet<ValueId> {
        let mut solid: HashSet<ValueId> = outputs.iter().copied().collect();
        for node in nodes {
            let data = &graph.nodes[*node];
            solid.extend(data.kind.named());
            match &data.kind {
                NodeKind::Op { .. } => {
                    let traits = &self.traits[node];
                    let guarded = data.inputs.iter().zip(&traits.reads).filter(|(_, reads)| reads.guarded);
                    solid.extend(guarded.map(|(v, _)| *v));
                    let checked = graph.with_call(*node, |op, call| op.op().checked_indices(call));
                    solid.extend(checked.into_iter().map(|checked| data.inputs[checked.indices]));
                }
                NodeKind::Repeat(_) | NodeKind::If { .. } => solid.extend(&data.inputs),
                _ => {}
            }
        }
        solid
    }

    /// What a node reads, through views and aliases, down to values that lie somewhere; the values on the way included.
    pub(super) fn reads(&self, graph: &Graph, node: NodeId) -> HashSet<ValueId> {
        let data = &graph.nodes[node];
        let inner = data.kind.blocks().into_iter().flat_map(|block| graph.uses_within(block));
        self.down(graph, data.inputs.iter().copied().chain(data.kind.named()).chain(inner).collect())
    }

    /// What the nodes of a block read and what it results in, likewise.
    pub(super) fn reads_within(&self, graph: &Graph, block: &Block, results: &[ValueId]) -> HashSet<ValueId> {
        self.down(graph, graph.uses_within(block).into_iter().chain(results.iter().copied()).collect())
    }

    fn down(&self, graph: &Graph, mut waiting: Vec<ValueId>) -> HashSet<ValueId> {
        let mut seen = HashSet::new();
        while let Some(value) = waiting.pop() {
            if seen.insert(value) {
                waiting.extend(self.behind(graph, value));
            }
        }
        seen
    }

    /// What a value without memory of its own is made of.
    pub(super) fn behind(&self, graph: &Graph, value: ValueId) -> Vec<ValueId> {
        let Some(node) = self.defined_by.get(&value) else { return vec![] };
        let alias = self.traits.get(node).is_some_and(|t| t.alias);
        match alias || self.looked_through.contains(node) {
            true => graph.nodes[*node].inputs.clone(),
            false => vec![],
        }
    }
}

/// Of an alias that leaves all axes but those of one position as they are: the axis of the result for each of its input.
pub(super) fn unit_axes(graph: &Graph, node: NodeId) -> Option<Vec<Option<usize>>> {
    let data = &graph.nodes[node];
    let [from, to] = [data.inputs[0], data.outputs[0]].map(|value| &graph.ty(value).dims);
    let one = Dim::from(1);
    let mut rest = (0..to.len()).filter(|axis| to[*axis] != one);
    let axes =
        from.iter().map(|dim| if *dim == one { Some(None) } else { rest.next().filter(|r| to[*r] == *dim).map(Some) });
    let axes: Option<Vec<_>> = axes.collect();
    axes.filter(|_| rest.next().is_none())
}
