//! `repeat`: carried values keep one name before, inside and after the loop where nothing else needs it.

use super::body::Body;
use super::tree;
use crate::graph::{Block, Graph, NodeId, NodeKind, Repeat, ValueId};
use mlc_codegen::base::SlotDef;
use mlc_grammar::ast::{Ident, StmtKind};

impl Body<'_, '_> {
    /// The loop of a node.
    pub(super) fn repeat(&mut self, id: NodeId, repeat: &Repeat) {
        let graph = self.cx.graph;
        let node = &graph.nodes[id];
        let names = self.carried(id, &node.inputs, &repeat.params);
        let (outer_scope, outer_bound) = (self.scope.clone(), self.bound.clone());
        let index = match graph.slots.def(repeat.counter) {
            SlotDef::Counter { name, .. } => self.names.index(name, &self.scope),
            _ => self.names.index("i", &self.scope),
        };
        let start = self.cx.constants.start(repeat.counter);
        let end = self.scope.dim(&(repeat.trips.clone() + start));
        self.scope.bind(repeat.counter, &index, start);
        repeat.params.iter().zip(&names).for_each(|(param, name)| self.bind(*param, name));
        let cond =
            repeat.condition.as_ref().map(|(block, flag)| self.branch(block, &[*flag], "While", Some(repeat.counter)));
        self.take_names(repeat, &names);
        let around = std::mem::take(&mut self.stmts);
        self.asserts();
        self.block(&repeat.body);
        let moved: Vec<(&String, ValueId)> =
            names.iter().zip(&repeat.results).map(|(name, result)| (name, *result)).collect();
        self.alias(moved.into_iter().filter(|(name, result)| self.bound.get(*name) != Some(result)).collect());
        let body = tree::body(std::mem::replace(&mut self.stmts, around));
        (self.scope, self.bound) = (outer_scope, outer_bound);
        node.outputs.iter().zip(&names).for_each(|(output, name)| self.bind(*output, name));
        let carry = names.iter().map(|name| Ident::new(name)).collect();
        let (index, start) = (Ident::new(&index), tree::int(start));
        self.stmts.push(tree::stmt(StmtKind::Repeat { index, start, end, cond, carry, body }));
    }

    /// The names of the carried values, bound to what they are before the loop.
    fn carried(&mut self, id: NodeId, initial: &[ValueId], params: &[ValueId]) -> Vec<String> {
        let place = self.cx.uses.place(id);
        let mut moved = vec![];
        let mut names = vec![];
        for (initial, param) in initial.iter().zip(params) {
            let own = self.values.get(initial).filter(|name| !self.states.values().any(|state| state == *name));
            let name = match own {
                Some(own) if self.cx.uses.ends_at(*initial, place) => own.clone(),
                _ => {
                    let name = match &self.cx.graph.values[*param].name {
                        Some(stem) => self.names.fresh(stem),
                        None => self.names.numbered("carried"),
                    };
                    moved.push((name.clone(), *initial));
                    name
                }
            };
            names.push(name);
        }
        self.alias(moved.iter().map(|(name, value)| (name, *value)).collect());
        names
    }

    /// Gives results of the body the names they are carried by, where what bore the name is not used any more.
    fn take_names(&mut self, repeat: &Repeat, names: &[String]) {
        let graph = self.cx.graph;
        for ((result, param), name) in repeat.results.iter().zip(&repeat.params).zip(names) {
            let once = repeat.results.iter().filter(|other| *other == result).count() == 1;
            let Some(node) = definition(graph, &repeat.body, *result).filter(|_| once) else { continue };
            if !self.cx.uses.after(*param, self.cx.uses.place(node)) {
                self.forced.insert(*result, name.clone());
            }
        }
    }

    /// One `let` that binds names to values which have others.
    fn alias(&mut self, moved: Vec<(&String, ValueId)>) {
        if moved.is_empty() {
            return;
        }
        let names: Vec<String> = moved.iter().map(|(name, _)| (*name).clone()).collect();
        let values = moved.into_iter().map(|(_, value)| self.value(value)).collect();
        self.stmts.push(tree::bind(tree::pattern(&names), None, tree::tuple(values)));
    }
}

/// The node at the top level of a block that defines a value; not a loop, which names its results itself.
fn definition(graph: &Graph, block: &Block, value: ValueId) -> Option<NodeId> {
    block.nodes.iter().find_map(|id| match &graph.nodes[*id].kind {
        NodeKind::Fused { body, .. } => definition(graph, body, value),
        NodeKind::Repeat(_) => None,
        _ => graph.nodes[*id].outputs.contains(&value).then_some(*id),
    })
}
