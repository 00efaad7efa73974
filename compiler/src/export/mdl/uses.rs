//! Where the text of an entry uses values by name, in its order.
//!
//! A name may be bound anew where what it stood for is not used any more; a `repeat` lives on that.

use super::literals::Literals;
use crate::graph::{Block, Graph, Node, NodeId, NodeKind, ValueId};
use std::collections::{HashMap, HashSet};

/// Places in the text are counted; each node has one, and so has the end of each inner block.
#[derive(Debug, Default)]
pub(super) struct Uses {
    places: HashMap<NodeId, u32>,
    uses: HashMap<ValueId, Vec<u32>>,
    /// All of them, in order.
    order: Vec<ValueId>,
    next: u32,
}

impl Uses {
    /// The uses of an entry, whose results are used at its end.
    pub(super) fn of(graph: &Graph, literals: &Literals, body: &Block, results: &[ValueId]) -> Uses {
        let mut uses = Uses::default();
        uses.block(graph, literals, body, results);
        uses
    }

    fn block(&mut self, graph: &Graph, literals: &Literals, block: &Block, results: &[ValueId]) {
        for id in &block.nodes {
            let node = &graph.nodes[*id];
            self.next += 1;
            self.places.insert(*id, self.next);
            let written = literals.of(graph, node);
            for (input, _) in node.inputs.iter().zip(written).filter(|(_, literal)| literal.is_none()) {
                self.add(*input);
            }
            match &node.kind {
                NodeKind::Repeat(repeat) => {
                    if let Some((block, flag)) = &repeat.condition {
                        self.block(graph, literals, block, &[*flag]);
                    }
                    self.block(graph, literals, &repeat.body, &repeat.results);
                }
                NodeKind::If { then, otherwise } => {
                    self.block(graph, literals, &then.0, &then.1);
                    self.block(graph, literals, &otherwise.0, &otherwise.1);
                }
                NodeKind::Fused { body, .. } => self.block(graph, literals, body, &[]),
                _ => {}
            }
        }
        self.next += 1;
        results.iter().for_each(|result| self.add(*result));
    }

    fn add(&mut self, value: ValueId) {
        self.uses.entry(value).or_default().push(self.next);
        self.order.push(value);
    }

    /// The place of a node.
    pub(super) fn place(&self, node: NodeId) -> u32 {
        self.places[&node]
    }

    /// How often a value is used by name.
    pub(super) fn count(&self, value: ValueId) -> usize {
        self.uses.get(&value).map_or(0, Vec::len)
    }

    /// Whether a value is used by name after a place.
    pub(super) fn after(&self, value: ValueId, place: u32) -> bool {
        self.uses.get(&value).and_then(|uses| uses.last()).is_some_and(|last| *last > place)
    }

    /// Whether a value is used once at a place and never after.
    pub(super) fn ends_at(&self, value: ValueId, place: u32) -> bool {
        let here = self.uses.get(&value).map_or(0, |uses| uses.iter().filter(|at| **at == place).count());
        here == 1 && !self.after(value, place)
    }
}

/// The values that a block uses by name and does not define, in the order of their first use. What `outer` nodes define
/// counts as defined around the block.
pub(super) fn free(
    graph: &Graph,
    literals: &Literals,
    block: &Block,
    results: &[ValueId],
    outer: &dyn Fn(&Node) -> bool,
) -> Vec<ValueId> {
    let uses = Uses::of(graph, literals, block, results);
    let mut defined: HashSet<ValueId> = HashSet::new();
    for id in graph.nodes_within(block) {
        let node = &graph.nodes[id];
        match &node.kind {
            NodeKind::Repeat(repeat) => defined.extend(repeat.params.iter().chain(&node.outputs)),
            _ if outer(node) => {}
            _ => defined.extend(&node.outputs),
        }
    }
    uses.order.into_iter().filter(|value| defined.insert(*value)).collect()
}
