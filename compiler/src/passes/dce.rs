//! `dce`: takes away what nothing uses.
//! Invariant: what is set stays, and so does what counts a dim, which other types may name.

use crate::graph::{Block, Graph, NodeId, NodeKind, ValueId};
use cranelift_entity::SecondaryMap;
use mlc_codegen::base::{Dim, SlotDef};

pub(super) const DOC: &str = "\
Removes what nothing uses. That is nodes, values that loops carry for themselves alone, and results that branches give \
to nobody. What sets a state stays, with all it needs.";

/// Removes them; gives how many nodes and carried values went.
pub(super) fn run(graph: &mut Graph) -> usize {
    let mut live = Live::new(graph);
    for entry in &graph.entries {
        live.roots(&entry.body);
        live.waiting.extend(entry.outputs.iter().map(|(_, value)| *value));
        live.spread();
    }
    let Live { nodes, values, .. } = live;
    let mut gone = 0;
    for entry in 0..graph.entries.len() {
        let body = std::mem::take(&mut graph.entries[entry].body);
        graph.entries[entry].body = sweep(graph, body, &nodes, &values, &mut gone);
    }
    gone
}

/// What is used, and what is about to be looked at.
struct Live<'g> {
    graph: &'g Graph,
    nodes: SecondaryMap<NodeId, bool>,
    values: SecondaryMap<ValueId, bool>,
    waiting: Vec<ValueId>,
    /// Where a value comes from.
    sources: SecondaryMap<ValueId, Source>,
    /// The nodes that a node stands in, by node.
    around: SecondaryMap<NodeId, Option<NodeId>>,
}

#[derive(Clone, Copy, Default)]
enum Source {
    /// An input of an entry.
    #[default]
    Input,
    /// An output of a node.
    Output(NodeId, usize),
    /// A carried value.
    Param(NodeId, usize),
}

impl<'g> Live<'g> {
    fn new(graph: &'g Graph) -> Self {
        let mut live = Live {
            graph,
            nodes: SecondaryMap::new(),
            values: SecondaryMap::new(),
            waiting: vec![],
            sources: SecondaryMap::new(),
            around: SecondaryMap::new(),
        };
        for node in graph.entries.iter().flat_map(|entry| graph.nodes_within(&entry.body)) {
            let data = &graph.nodes[node];
            data.outputs.iter().enumerate().for_each(|(i, value)| live.sources[*value] = Source::Output(node, i));
            if let NodeKind::Repeat(repeat) = &data.kind {
                repeat.params.iter().enumerate().for_each(|(i, value)| live.sources[*value] = Source::Param(node, i));
            }
            let inner = data.kind.blocks().into_iter().flat_map(|block| &block.nodes);
            inner.for_each(|inner| live.around[*inner] = Some(node));
        }
        live
    }

    /// What has an effect, wherever it stands.
    fn roots(&mut self, body: &Block) {
        for node in self.graph.nodes_within(body) {
            let data = &self.graph.nodes[node];
            if matches!(data.kind, NodeKind::Set { .. }) || counts(self.graph, node) {
                self.node(node);
            }
        }
    }

    /// A node runs: what it reads is used, and the nodes around it run.
    fn node(&mut self, node: NodeId) {
        let mut next = Some(node);
        while let Some(node) = next {
            if std::mem::replace(&mut self.nodes[node], true) {
                return;
            }
            let data = &self.graph.nodes[node];
            match &data.kind {
                NodeKind::Repeat(repeat) => self.waiting.extend(repeat.condition.iter().map(|(_, flag)| *flag)),
                NodeKind::Fused { body, .. } => body.nodes.iter().for_each(|inner| self.inside(*inner)),
                _ => self.waiting.extend(&data.inputs),
            }
            next = self.around[node];
        }
    }

    /// A group is kept as it is.
    fn inside(&mut self, node: NodeId) {
        self.nodes[node] = true;
        let data = &self.graph.nodes[node];
        self.waiting.extend(&data.inputs);
        self.waiting.extend(data.kind.named());
        for block in data.kind.blocks() {
            block.nodes.iter().for_each(|inner| self.inside(*inner));
        }
    }

    fn spread(&mut self) {
        while let Some(value) = self.waiting.pop() {
            if std::mem::replace(&mut self.values[value], true) {
                continue;
            }
            match self.sources[value] {
                Source::Input => {}
                Source::Output(node, i) => {
                    self.node(node);
                    match &self.graph.nodes[node].kind {
                        NodeKind::Repeat(repeat) => self.waiting.push(repeat.params[i]),
                        NodeKind::If { then, otherwise } => self.waiting.extend([then.1[i], otherwise.1[i]]),
                        _ => {}
                    }
                }
                Source::Param(node, i) => {
                    self.node(node);
                    self.waiting.push(self.graph.nodes[node].inputs[i]);
                    if let NodeKind::Repeat(repeat) = &self.graph.nodes[node].kind {
                        self.waiting.extend([repeat.results[i], self.graph.nodes[node].outputs[i]]);
                    }
                }
            }
        }
    }
}

/// Whether a node gives a counted dim its number.
fn counts(graph: &Graph, node: NodeId) -> bool {
    let data = &graph.nodes[node];
    let counted = |value: &ValueId| {
        let slots = graph.ty(*value).dims.iter().flat_map(Dim::slots);
        slots.filter(|slot| matches!(graph.slots.def(*slot), SlotDef::Counted { .. })).collect::<Vec<_>>()
    };
    let before: Vec<_> = data.inputs.iter().flat_map(counted).collect();
    matches!(data.kind, NodeKind::Op { .. })
        && data.outputs.iter().flat_map(counted).any(|slot| !before.contains(&slot))
}

/// The block without what is not used.
fn sweep(
    graph: &mut Graph,
    mut block: Block,
    nodes: &SecondaryMap<NodeId, bool>,
    values: &SecondaryMap<ValueId, bool>,
    gone: &mut usize,
) -> Block {
    let before = block.nodes.len();
    block.nodes.retain(|node| nodes[*node]);
    *gone += before - block.nodes.len();
    for node in &block.nodes {
        *gone += cut(graph, *node, values);
        if matches!(graph.nodes[*node].kind, NodeKind::Fused { .. }) {
            continue;
        }
        for i in 0..graph.nodes[*node].kind.blocks().len() {
            let inner = std::mem::take(graph.nodes[*node].kind.blocks_mut()[i]);
            let inner = sweep(graph, inner, nodes, values, gone);
            *graph.nodes[*node].kind.blocks_mut()[i] = inner;
        }
    }
    block
}

/// Drops carried values and results of branches that are not used; gives how many.
fn cut(graph: &mut Graph, node: NodeId, values: &SecondaryMap<ValueId, bool>) -> usize {
    let data = &mut graph.nodes[node];
    let unused: Vec<usize> = (0..data.outputs.len()).rev().filter(|i| !values[data.outputs[*i]]).collect();
    match &mut data.kind {
        NodeKind::Repeat(repeat) => unused.iter().for_each(|i| {
            data.inputs.remove(*i);
            repeat.params.remove(*i);
            repeat.results.remove(*i);
        }),
        NodeKind::If { then, otherwise } => unused.iter().for_each(|i| {
            then.1.remove(*i);
            otherwise.1.remove(*i);
        }),
        _ => return 0,
    }
    let removed = unused.into_iter().map(|i| data.outputs.remove(i));
    removed.count()
}
