//! The walk that most passes share: every node in order, each kept, replaced by other values, or taken apart.
//! Invariant: what replaces a value has its type exactly, and is defined before the place of the node it replaces.

use super::constants::Made;
use crate::graph::{Block, Graph, Node, NodeId, NodeKind, Value, ValueId};
use crate::ops::{Arguments, Call, Infer, OpKind};
use crate::types::{Loc, TensorType};
use cranelift_entity::SecondaryMap;
use cranelift_entity::packed_option::PackedOption;
use std::collections::HashMap;

/// What becomes of a node.
pub(super) enum Outcome {
    /// It stays.
    Keep,
    /// It goes; these stand for its outputs.
    Replace(Vec<ValueId>),
    /// It goes; the nodes of this block of it stand in its place, and these values of theirs for its outputs.
    Inline(Block, Vec<ValueId>),
}

/// What a pass does at each node.
pub(super) trait Rule {
    /// Decides about a node, whose inputs are up to date; new nodes go before it.
    fn node(&mut self, cx: &mut Rewriter, node: NodeId) -> Outcome;

    /// A block inside of the node begins.
    fn enter(&mut self) {}

    /// It ends.
    fn leave(&mut self) {}
}

/// An op node by itself.
#[derive(Clone)]
pub(super) struct Use {
    pub(super) op: OpKind,
    pub(super) arguments: Arguments,
    pub(super) inputs: Vec<ValueId>,
    pub(super) types: Vec<TensorType>,
    pub(super) results: Vec<TensorType>,
    pub(super) loc: Loc,
    pub(super) path: String,
}

impl Use {
    /// What the op is asked about.
    pub(super) fn call(&self) -> Call<'_> {
        let signature = self.op.op().signature();
        Call { signature, arguments: &self.arguments, inputs: &self.types, results: &self.results }
    }
}

/// The graph on its way.
pub(super) struct Rewriter<'g> {
    pub(super) graph: &'g mut Graph,
    /// Constants that were made.
    pub(super) made: Made,
    /// The entry that is walked.
    pub(super) entry: usize,
    definitions: SecondaryMap<ValueId, PackedOption<NodeId>>,
    uses: SecondaryMap<ValueId, u32>,
    replaced: HashMap<ValueId, ValueId>,
    /// The block as it becomes.
    block: Vec<NodeId>,
    /// Where new nodes come from.
    loc: Loc,
    path: String,
    changed: usize,
}

/// Walks every entry; gives how many nodes were replaced.
pub(super) fn rewrite(graph: &mut Graph, rule: &mut dyn Rule) -> usize {
    let mut cx = Rewriter {
        uses: uses(graph),
        graph,
        made: Made::default(),
        entry: 0,
        definitions: SecondaryMap::new(),
        replaced: HashMap::new(),
        block: vec![],
        loc: Loc::default(),
        path: String::new(),
        changed: 0,
    };
    for entry in 0..cx.graph.entries.len() {
        cx.entry = entry;
        let nodes = std::mem::take(&mut cx.graph.entries[entry].body.nodes);
        rule.enter();
        cx.graph.entries[entry].body.nodes = cx.block(rule, nodes);
        rule.leave();
        let mut outputs = std::mem::take(&mut cx.graph.entries[entry].outputs);
        outputs.iter_mut().for_each(|(_, value)| *value = cx.present(*value));
        cx.graph.entries[entry].outputs = outputs;
    }
    cx.changed
}

/// How often each value is used.
fn uses(graph: &Graph) -> SecondaryMap<ValueId, u32> {
    let mut uses = SecondaryMap::new();
    for entry in &graph.entries {
        let outputs = entry.outputs.iter().map(|(_, value)| *value);
        graph.uses_within(&entry.body).into_iter().chain(outputs).for_each(|value| uses[value] += 1);
    }
    uses
}

impl Rewriter<'_> {
    /// The node that defines a value; `None` for inputs, carried values, and what stands in a group.
    pub(super) fn definition(&self, value: ValueId) -> Option<&Node> {
        self.definitions[value].expand().map(|node| &self.graph.nodes[node])
    }

    /// The op that defines a value, when it is one of these.
    pub(super) fn defined_by(&self, value: ValueId, ops: &[OpKind]) -> Option<Use> {
        let node = self.definitions[value].expand()?;
        self.op(node).filter(|found| ops.contains(&found.op))
    }

    /// A node as an op.
    pub(super) fn op(&self, node: NodeId) -> Option<Use> {
        let data = &self.graph.nodes[node];
        let NodeKind::Op { op, arguments } = &data.kind else { return None };
        let types = |values: &[ValueId]| values.iter().map(|value| self.graph.ty(*value).clone()).collect();
        Some(Use {
            op: *op,
            arguments: arguments.clone(),
            inputs: data.inputs.clone(),
            types: types(&data.inputs),
            results: types(&data.outputs),
            loc: data.loc,
            path: data.path.clone(),
        })
    }

    /// How often a value was used when the walk began, by what replaced it too.
    pub(super) fn uses(&self, value: ValueId) -> u32 {
        self.uses[value]
    }

    /// New nodes come from this place too.
    pub(super) fn merge(&mut self, loc: Loc) {
        self.loc = self.loc.to(loc);
    }

    /// New nodes are this one, changed.
    pub(super) fn continues(&mut self, found: &Use) {
        self.merge(found.loc);
        self.path.clone_from(&found.path);
    }

    /// A new op before the node, when `infer` accepts it; its first result.
    pub(super) fn apply(&mut self, op: OpKind, arguments: Arguments, inputs: Vec<ValueId>) -> Option<ValueId> {
        let types: Vec<TensorType> = inputs.iter().map(|value| self.graph.ty(*value).clone()).collect();
        let call = Call { signature: op.op().signature(), arguments: &arguments, inputs: &types, results: &[] };
        let mut cx = Infer::new(&mut self.graph.slots, &self.graph.facts);
        let results = op.op().infer(&call, &mut cx).ok()?;
        let outputs: Vec<ValueId> = results.into_iter().map(|ty| self.value(ty)).collect();
        let first = outputs.first().copied();
        self.push(NodeKind::Op { op, arguments }, inputs, outputs);
        first
    }

    /// A new value without a name.
    pub(super) fn value(&mut self, ty: TensorType) -> ValueId {
        self.graph.values.push(Value { ty, name: None, loc: self.loc })
    }

    /// A new node before the present one.
    pub(super) fn push(&mut self, kind: NodeKind, inputs: Vec<ValueId>, outputs: Vec<ValueId>) {
        inputs.iter().for_each(|value| self.uses[*value] += 1);
        let node = Node { kind, inputs, outputs, loc: self.loc, path: self.path.clone() };
        let node = self.graph.nodes.push(node);
        self.keep(node);
    }

    /// From here on, `new` stands where `old` stood. `false`, and nothing, when they are of different types.
    pub(super) fn substitute(&mut self, old: ValueId, new: ValueId) -> bool {
        if self.graph.ty(old) != self.graph.ty(new) {
            return false;
        }
        self.uses[new] += self.uses[old];
        self.replaced.insert(old, new);
        let name = self.graph.values[old].name.clone();
        let kept = &mut self.graph.values[new].name;
        *kept = kept.take().or(name);
        true
    }

    fn present(&self, value: ValueId) -> ValueId {
        self.replaced.get(&value).copied().unwrap_or(value)
    }

    fn keep(&mut self, node: NodeId) {
        for output in &self.graph.nodes[node].outputs {
            self.definitions[*output] = node.into();
        }
        self.block.push(node);
    }

    fn block(&mut self, rule: &mut dyn Rule, nodes: Vec<NodeId>) -> Vec<NodeId> {
        let outer = std::mem::take(&mut self.block);
        nodes.into_iter().for_each(|node| self.node(rule, node));
        std::mem::replace(&mut self.block, outer)
    }

    fn node(&mut self, rule: &mut dyn Rule, node: NodeId) {
        self.rename(node);
        let data = &self.graph.nodes[node];
        (self.loc, self.path) = (data.loc, data.path.clone());
        match rule.node(self, node) {
            Outcome::Keep => {}
            Outcome::Replace(values) => {
                if self.stands_for(node, &values) {
                    self.changed += 1;
                    return;
                }
            }
            Outcome::Inline(block, results) => {
                block.nodes.into_iter().for_each(|inner| self.node(rule, inner));
                let results: Vec<ValueId> = results.into_iter().map(|value| self.present(value)).collect();
                let fits = self.stands_for(node, &results);
                assert!(fits, "the branches of an `if` have the types of its outputs");
                self.changed += 1;
                return;
            }
        }
        self.inner(rule, node);
        self.keep(node);
    }

    /// Replaces all outputs of a node, or none.
    fn stands_for(&mut self, node: NodeId, values: &[ValueId]) -> bool {
        let outputs = self.graph.nodes[node].outputs.clone();
        let mut pairs = outputs.iter().zip(values);
        let fits = outputs.len() == values.len() && pairs.all(|(old, new)| self.graph.ty(*old) == self.graph.ty(*new));
        fits && outputs.into_iter().zip(values).all(|(old, new)| self.substitute(old, *new))
    }

    /// The blocks inside of a node that stays. Groups only learn the new names.
    fn inner(&mut self, rule: &mut dyn Rule, node: NodeId) {
        let fused = matches!(self.graph.nodes[node].kind, NodeKind::Fused { .. });
        for i in 0..self.graph.nodes[node].kind.blocks().len() {
            let nodes = std::mem::take(&mut self.graph.nodes[node].kind.blocks_mut()[i].nodes);
            let nodes = if fused {
                self.graph.nodes_within(&Block { nodes: nodes.clone() }).into_iter().for_each(|n| self.rename_all(n));
                nodes
            } else {
                rule.enter();
                let nodes = self.block(rule, nodes);
                rule.leave();
                nodes
            };
            self.graph.nodes[node].kind.blocks_mut()[i].nodes = nodes;
        }
        self.rename_all(node);
    }

    fn rename(&mut self, node: NodeId) {
        let replaced = &self.replaced;
        let present = |value: &mut ValueId| *value = replaced.get(value).copied().unwrap_or(*value);
        self.graph.nodes[node].inputs.iter_mut().for_each(present);
    }

    fn rename_all(&mut self, node: NodeId) {
        self.rename(node);
        let replaced = &self.replaced;
        let present = |value: &mut ValueId| *value = replaced.get(value).copied().unwrap_or(*value);
        self.graph.nodes[node].kind.named_mut().into_iter().for_each(present);
    }
}
