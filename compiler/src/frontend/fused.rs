//! `fused "name" { … }`: a group that becomes one kernel, transparent to names.

use super::elaborate::Elaborator;
use super::scope::Frame;
use crate::graph::{Block, Graph, NodeId, NodeKind, ValueId};
use crate::types::Loc;
use mlc_grammar::ast::{Body, Text};
use std::collections::HashMap;

impl<'t> Elaborator<'t> {
    /// The statements of the group, whose constants stand before it; which of its values are used after it is known at the
    /// end of the entry.
    pub(super) fn fused(&mut self, frame: &mut Frame, name: &Text, body: &'t Body, loc: Loc) {
        let mut block = Block::default();
        self.inside(&mut block, |e| body.stmts.iter().for_each(|stmt| e.statement(frame, stmt)));
        let is_constant = |node: &NodeId| matches!(self.graph.nodes[*node].kind, NodeKind::Constant { .. });
        let (constants, nodes) = block.nodes.into_iter().partition(is_constant);
        self.block.nodes.extend::<Vec<NodeId>>(constants);
        let block = Block { nodes };
        let kind = NodeKind::Fused { name: name.value.to_string(), body: block, results: vec![] };
        self.push(frame, kind, vec![], vec![], loc);
    }
}

/// Names, in every group of a block, the values that are used outside of it, in the order of their definition.
pub(super) fn name_results(graph: &mut Graph, block: &Block, outputs: &[ValueId]) {
    let nodes = graph.nodes_within(block);
    let groups: Vec<NodeId> =
        nodes.into_iter().filter(|n| matches!(graph.nodes[*n].kind, NodeKind::Fused { .. })).collect();
    if groups.is_empty() {
        return;
    }
    let mut uses: HashMap<ValueId, usize> = HashMap::new();
    let all = graph.uses_within(block);
    all.into_iter().chain(outputs.iter().copied()).for_each(|value| *uses.entry(value).or_default() += 1);
    for group in groups {
        let NodeKind::Fused { body, .. } = &graph.nodes[group].kind else { continue };
        let mut inside: HashMap<ValueId, usize> = HashMap::new();
        graph.uses_within(body).into_iter().for_each(|value| *inside.entry(value).or_default() += 1);
        let defined = graph.nodes_within(body).into_iter().flat_map(|node| graph.nodes[node].outputs.clone());
        let count = |counts: &HashMap<ValueId, usize>, value| counts.get(&value).copied().unwrap_or(0);
        let used: Vec<ValueId> = defined.filter(|value| count(&uses, *value) > count(&inside, *value)).collect();
        if let NodeKind::Fused { results, .. } = &mut graph.nodes[group].kind {
            *results = used;
        }
    }
}
