//! Branches of a run-time `if`, and conditions of loops: expressions of the language.
//!
//! A few ops that are used once stand as one expression, their constants before it. Anything more becomes a block with the
//! sizes it needs as static arguments, and the values and states as parameters.

use super::body::Body;
use super::dims::Scope;
use super::names::Names;
use super::tree;
use super::uses;
use crate::graph::{Block, Node, NodeId, NodeKind, StateId, ValueId};
use crate::ops::Attr;
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim, Slot, SlotDef};
use mlc_grammar::ast::{
    Expr, ExprKind, Func, Ident, If, IndexKind, Item, ItemKind, Param, Ret, Span, StaticParam, StmtKind, Type,
};
use std::collections::{HashMap, HashSet};

/// The most ops that stand as one expression.
const MOST_INLINE: usize = 6;

/// What a block must be given.
struct Needs {
    values: Vec<ValueId>,
    /// Contents of states that the body around was handed: each state is given once, as a value.
    readers: HashMap<ValueId, StateId>,
    states: Vec<StateId>,
    slots: Vec<Slot>,
}

impl<'g> Body<'_, 'g> {
    /// `let y = if c { a } else { b }`.
    pub(super) fn either(&mut self, id: NodeId, then: &(Block, Vec<ValueId>), otherwise: &(Block, Vec<ValueId>)) {
        let choice = self.choice(id, then, otherwise);
        let outputs = &self.cx.graph.nodes[id].outputs;
        match outputs.is_empty() {
            true => {
                let name = self.names.numbered("_done");
                self.stmts.push(tree::bind(tree::pattern(&[name]), None, choice));
            }
            false => self.define(outputs, "chosen", choice),
        }
    }

    /// `if c { a } else { b }`.
    pub(super) fn choice(
        &mut self,
        id: NodeId,
        then: &(Block, Vec<ValueId>),
        otherwise: &(Block, Vec<ValueId>),
    ) -> Expr {
        let cond = self.value(self.cx.graph.nodes[id].inputs[0]);
        let then = self.branch(&then.0, &then.1, "Then", None);
        let otherwise = self.branch(&otherwise.0, &otherwise.1, "Else", None);
        Expr::new(ExprKind::If(Box::new(If { cond, then, otherwise })))
    }

    /// The results of a block as an expression. Constants that `counter` selects cannot stand before it.
    pub(super) fn branch(&mut self, block: &Block, results: &[ValueId], stem: &str, counter: Option<Slot>) -> Expr {
        match self.simple(block, counter) {
            Some((constants, ops)) if !results.is_empty() || ops.is_empty() => {
                let graph = self.cx.graph;
                self.block(&Block { nodes: constants });
                self.inline.extend(ops.into_iter().map(|id| (graph.nodes[id].outputs[0], id)));
                match results {
                    [] => Expr::new(ExprKind::Bool(true)),
                    results => tree::tuple(results.iter().map(|result| self.value(*result)).collect()),
                }
            }
            _ => self.lifted(block, results, stem),
        }
    }

    /// The constants and the ops of a block that can be one expression.
    fn simple(&self, block: &Block, counter: Option<Slot>) -> Option<(Vec<NodeId>, Vec<NodeId>)> {
        let graph = self.cx.graph;
        let (mut constants, mut ops) = (vec![], vec![]);
        for id in &block.nodes {
            let node = &graph.nodes[*id];
            let once = matches!(node.outputs[..], [only] if self.cx.uses.count(only) == 1);
            match &node.kind {
                NodeKind::Constant { counter: own, .. } if own.is_none() || *own != counter => constants.push(*id),
                NodeKind::Op { .. } | NodeKind::Read(_) | NodeKind::If { .. } if once => ops.push(*id),
                _ => return None,
            }
        }
        let inside = |id: &NodeId| {
            let blocks = graph.nodes[*id].kind.blocks();
            blocks.into_iter().flat_map(|block| graph.uses_within(block)).chain(graph.nodes[*id].kind.named())
        };
        let defined = |value: ValueId| ops.iter().any(|id| graph.nodes[*id].outputs.contains(&value));
        let apart = !ops.iter().flat_map(inside).any(defined);
        (ops.len() <= MOST_INLINE && apart).then_some((constants, ops))
    }

    /// A block of its own, and the call of it.
    fn lifted(&mut self, block: &Block, results: &[ValueId], stem: &str) -> Expr {
        let needs = self.needs(block, results);
        for (value, state) in &needs.readers {
            self.values.insert(*value, self.states[state].clone());
        }
        let mut name = self.cx.item_names.fresh(stem);
        while self.names.has(&name) {
            name = self.cx.item_names.fresh(stem);
        }
        self.names.reserve(&name);
        let statics: Vec<(String, i64, Slot)> = {
            let named = |slot: &Slot| self.scope.get(*slot).map(|(name, start)| (name.clone(), *start, *slot));
            let mut all: Vec<_> = needs.slots.iter().filter_map(named).collect();
            all.sort();
            all
        };
        let mut args: Vec<Expr> = needs.values.iter().map(|value| self.value(*value)).collect();
        args.extend(needs.states.iter().map(|state| tree::name(&self.states[state])));
        let around = self.cx.types.clone();
        let (params, ret, body) = self.inner(block, results, &needs, &statics);
        self.cx.types = around;
        let func = Func {
            name: Ident::new(&name),
            statics: statics.iter().map(|(name, ..)| static_param(name)).collect(),
            params,
            ret,
            body: tree::body(body),
        };
        let kind = ItemKind::Block(func);
        self.cx.items.push(Item { docs: vec![], attrs: vec![], kind, span: Span::default() });
        let given = |(name, ..): &(String, i64, Slot)| IndexKind::Named(Ident::new(name), tree::name(name));
        let callee = match statics.is_empty() {
            true => tree::name(&name),
            false => tree::index(tree::name(&name), statics.iter().map(given).collect()),
        };
        tree::call(callee, args.into_iter().map(tree::arg).collect())
    }

    fn inner(
        &mut self,
        block: &Block,
        results: &[ValueId],
        needs: &Needs,
        statics: &[(String, i64, Slot)],
    ) -> (Vec<Param>, Ret, Vec<mlc_grammar::ast::Stmt>) {
        let graph = self.cx.graph;
        let (mut names, mut scope) = (Names::default(), Scope::new(&graph.slots));
        for (name, start, slot) in statics {
            names.reserve(name);
            scope.bind(*slot, name, *start);
        }
        let mut params = vec![];
        let (mut values, mut bound, mut states) = (HashMap::new(), HashMap::new(), HashMap::new());
        for value in &needs.values {
            let name = self.values[value].clone();
            names.reserve(&name);
            params.push(param(&name, scope.ty(graph.ty(*value))));
            bound.insert(name.clone(), *value);
            values.insert(*value, name);
        }
        let mut frozen: HashSet<StateId> = HashSet::new();
        for (value, state) in &needs.readers {
            values.insert(*value, self.states[state].clone());
            states.insert(*state, self.states[state].clone());
            frozen.insert(*state);
        }
        for state in &needs.states {
            let name = self.states[state].clone();
            names.reserve(&name);
            params.push(param(&name, scope.ty(&graph.states[*state].ty)));
            states.insert(*state, name);
        }
        let nodes = graph.nodes_within(block);
        let sets = |state: &StateId| {
            nodes.iter().any(|id| matches!(&graph.nodes[*id].kind, NodeKind::Set { state: own, .. } if own == state))
        };
        frozen.extend(needs.states.iter().filter(|state| !sets(state)));
        let (forced, inline, stmts) = (HashMap::new(), HashMap::new(), vec![]);
        let cx = &mut *self.cx;
        let mut inner = Body { cx, names, scope, values, bound, forced, inline, states, frozen, stmts };
        inner.block(block);
        let types: Vec<Type> = results.iter().map(|result| inner.scope.ty(graph.ty(*result))).collect();
        let value = match results {
            [] => Expr::new(ExprKind::Bool(true)),
            results => tree::tuple(results.iter().map(|result| inner.value(*result)).collect()),
        };
        inner.stmts.push(tree::stmt(StmtKind::Return(value)));
        (params, returned(types), inner.stmts)
    }

    /// What a block uses of what stands around it.
    fn needs(&self, block: &Block, results: &[ValueId]) -> Needs {
        let graph = self.cx.graph;
        let nodes = graph.nodes_within(block);
        let handed = |node: &Node| matches!(&node.kind, NodeKind::Read(state) if self.frozen.contains(state));
        let (mut values, mut readers) = (vec![], HashMap::new());
        for node in nodes.iter().map(|id| &graph.nodes[*id]).filter(|node| handed(node)) {
            if let NodeKind::Read(state) = node.kind {
                readers.insert(node.outputs[0], state);
            }
        }
        let mut given = HashSet::new();
        for value in uses::free(graph, &self.cx.literals, block, results, &handed) {
            if readers.get(&value).is_none_or(|state| given.insert(*state)) {
                values.push(value);
            }
        }
        let mut states = vec![];
        let mut dims: Vec<&Dim> = vec![];
        let mut counters: Vec<Slot> = vec![];
        let mut types: Vec<&TensorType> = values.iter().chain(results).map(|value| graph.ty(*value)).collect();
        for id in nodes {
            let node = &graph.nodes[id];
            types.extend(node.outputs.iter().map(|output| graph.ty(*output)));
            match &node.kind {
                NodeKind::Op { arguments, .. } => dims.extend(arguments.attrs.iter().flat_map(attr_dims)),
                NodeKind::Constant { counter, .. } => counters.extend(counter),
                NodeKind::Read(_) if handed(node) => {}
                NodeKind::Read(state) => states.push(*state),
                NodeKind::Set { state, starts } => {
                    states.push(*state);
                    dims.extend(starts);
                }
                NodeKind::Repeat(repeat) => dims.push(&repeat.trips),
                NodeKind::If { .. } | NodeKind::Fused { .. } => {}
            }
        }
        let mut seen = HashSet::new();
        states.retain(|state| seen.insert(*state));
        types.extend(states.iter().map(|state| &graph.states[*state].ty));
        dims.extend(types.iter().flat_map(|ty| &ty.dims));
        let mut slots: Vec<Slot> = dims.iter().flat_map(|dim| self.scope.leaves(dim)).chain(counters).collect();
        let counted = |slot: &Slot| match graph.slots.def(*slot) {
            SlotDef::Counted { most, .. } => self.scope.leaves(most),
            _ => vec![],
        };
        slots.extend(slots.iter().flat_map(counted).collect::<Vec<_>>());
        slots.sort_unstable();
        slots.dedup();
        Needs { values, readers, states, slots }
    }
}

fn attr_dims(attr: &Attr) -> Vec<&Dim> {
    match attr {
        Attr::Dim(dim) => vec![dim],
        Attr::Dims(dims) => dims.iter().flatten().collect(),
        Attr::Names(names) => names.iter().map(|(_, dim)| dim).collect(),
        _ => vec![],
    }
}

fn static_param(name: &str) -> StaticParam {
    StaticParam { name: Ident::new(name), ty: None, default: None, span: Span::default() }
}

pub(super) fn param(name: &str, ty: Type) -> Param {
    Param { name: Ident::new(name), ty, span: Span::default() }
}

/// What a block of these results promises; one without any gives `true`.
fn returned(mut types: Vec<Type>) -> Ret {
    match types.len() {
        0 => Ret::Type(tree::tensor_type(DType::Bool.name(), vec![])),
        1 => Ret::Type(types.remove(0)),
        _ => {
            let field = |(i, ty)| param(&format!("result_{i}"), ty);
            Ret::Named(types.into_iter().enumerate().map(field).collect())
        }
    }
}
