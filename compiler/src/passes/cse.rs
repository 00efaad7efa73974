//! `cse`: what is computed twice, computed once.
//! Invariant: reads of a state are one only where nothing was set between them.

use super::rewrite::{Outcome, Rewriter, Rule, rewrite};
use crate::graph::{Block, ConstantData, Graph, NodeId, NodeKind, StateId, ValueId};
use std::collections::HashMap;

pub(super) const DOC: &str = "\
Computes once what is computed twice. That is equal ops on equal inputs, equal constants, and reads of a state with no \
`set` between them. A value is looked for in the blocks around, never in a branch or a loop that has ended.";

/// Merges from the inputs to the outputs.
pub(super) fn run(graph: &mut Graph) -> usize {
    rewrite(graph, &mut Cse::default())
}

#[derive(Default)]
struct Cse {
    /// What each open block has computed, outermost first.
    scopes: Vec<HashMap<String, Vec<ValueId>>>,
    /// How often a state may have been set.
    versions: HashMap<StateId, u32>,
}

impl Rule for Cse {
    fn node(&mut self, cx: &mut Rewriter, node: NodeId) -> Outcome {
        let Some(key) = self.key(cx.graph, node) else { return Outcome::Keep };
        let outputs = &cx.graph.nodes[node].outputs;
        let same = |known: &&Vec<ValueId>| {
            known.len() == outputs.len() && known.iter().zip(outputs).all(|(a, b)| cx.graph.ty(*a) == cx.graph.ty(*b))
        };
        if let Some(known) = self.scopes.iter().rev().find_map(|scope| scope.get(&key).filter(same)) {
            return Outcome::Replace(known.clone());
        }
        let outputs = outputs.clone();
        self.scopes.last_mut().expect("a block is open").insert(key, outputs);
        Outcome::Keep
    }

    fn enter(&mut self) {
        self.scopes.push(HashMap::new());
    }

    fn leave(&mut self) {
        self.scopes.pop();
    }
}

impl Cse {
    /// What a node computes, as text; `None` when it is no value.
    fn key(&mut self, graph: &Graph, node: NodeId) -> Option<String> {
        let data = &graph.nodes[node];
        match &data.kind {
            NodeKind::Op { op, arguments } => Some(format!("{op:?} {:?} {arguments:?}", data.inputs)),
            NodeKind::Constant { members, counter } => Some(match (members.as_slice(), counter) {
                ([only], None) => match &graph.constants[*only].data {
                    ConstantData::Tensor(tensor) if tensor.len() <= 64 => {
                        format!("{:?} {:?} {:?}", tensor.dtype(), tensor.shape(), tensor.bytes())
                    }
                    _ => format!("{only:?}"),
                },
                (members, counter) => format!("{members:?} by {counter:?}"),
            }),
            NodeKind::Read(state) => Some(format!("{state:?} version {}", self.versions.entry(*state).or_default())),
            NodeKind::Set { state, .. } => {
                *self.versions.entry(*state).or_default() += 1;
                None
            }
            NodeKind::Repeat(_) | NodeKind::If { .. } | NodeKind::Fused { .. } => {
                data.kind.blocks().into_iter().for_each(|block| self.sets(graph, block));
                None
            }
        }
    }

    /// What a block sets has another version from the start: a loop comes round again.
    fn sets(&mut self, graph: &Graph, block: &Block) {
        for node in graph.nodes_within(block) {
            if let NodeKind::Set { state, .. } = graph.nodes[node].kind {
                *self.versions.entry(state).or_default() += 1;
            }
        }
    }
}
