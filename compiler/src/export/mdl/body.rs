//! The statements of an entry, or of a block that a branch became: a node each, in the graph's order.

use super::constants::{Constants, Form};
use super::dims::Scope;
use super::families::Part;
use super::literals::{Literals, spelled};
use super::names::Names;
use super::tree;
use super::uses::Uses;
use crate::graph::{Block, ConstantData, Graph, GuardNode, NodeId, NodeKind, StateId, ValueId};
use mlc_codegen::base::{Dim, Slot, SlotDef, Storage};
use mlc_grammar::ast::{self, DimKind, Expr, Ident, IndexKind, Item, Stmt, StmtKind, Text, Type, TypeDimKind};
use std::collections::{HashMap, HashSet};

/// What the bodies of a file share.
pub(super) struct Writer<'g> {
    pub(super) graph: &'g Graph,
    pub(super) constants: Constants,
    /// Of the present entry.
    pub(super) literals: Literals,
    pub(super) uses: Uses,
    /// What a value becomes in a loop that alone uses it.
    pub(super) hints: HashMap<ValueId, ValueId>,
    /// Guards that wait for the names in them.
    pub(super) guards: Vec<GuardNode>,
    /// Blocks that branches became.
    pub(super) items: Vec<Item>,
    pub(super) item_names: Names,
    /// Of the values that the entries name.
    pub(super) types: HashMap<String, Type>,
}

/// One body in the making.
pub(super) struct Body<'w, 'g> {
    pub(super) cx: &'w mut Writer<'g>,
    pub(super) names: Names,
    pub(super) scope: Scope<'g>,
    /// The name of each value that has one.
    pub(super) values: HashMap<ValueId, String>,
    /// What each name stands for at the present place.
    pub(super) bound: HashMap<String, ValueId>,
    /// Results of an iteration that take the name they are carried by.
    pub(super) forced: HashMap<ValueId, String>,
    /// Values that stand where they are used.
    pub(super) inline: HashMap<ValueId, NodeId>,
    pub(super) states: HashMap<StateId, String>,
    /// States that the body may not set: it was handed their contents.
    pub(super) frozen: HashSet<StateId>,
    pub(super) stmts: Vec<Stmt>,
}

impl<'g> Writer<'g> {
    /// Turns to another entry.
    pub(super) fn enter(&mut self, body: &Block, results: &[ValueId], guards: &[GuardNode]) {
        let graph = self.graph;
        self.literals = Literals::default();
        for id in graph.nodes_within(body) {
            let (members, _) = super::constants::members(graph, id);
            if let [only] = members
                && let constant = &graph.constants[*only]
                && let (ConstantData::Tensor(tensor), []) = (&constant.data, constant.ty.dims.as_slice())
                && constant.storage == Storage::Plain(constant.ty.dtype)
                && let Some(list) = spelled(tensor)
            {
                self.literals.add(graph.nodes[id].outputs[0], constant.ty.dtype, list);
            }
        }
        self.uses = Uses::of(graph, &self.literals, body, results);
        self.hints.clear();
        for id in graph.nodes_within(body) {
            if let NodeKind::Repeat(repeat) = &graph.nodes[id].kind {
                let carried = graph.nodes[id].inputs.iter().zip(&repeat.params);
                let alone = carried.filter(|(initial, _)| self.uses.ends_at(**initial, self.uses.place(id)));
                self.hints.extend(alone.map(|(initial, param)| (*initial, *param)));
            }
        }
        self.guards = guards.to_vec();
    }
}

impl<'g> Body<'_, 'g> {
    /// The statements of a block.
    pub(super) fn block(&mut self, block: &Block) {
        block.nodes.iter().for_each(|id| self.node(*id));
    }

    fn node(&mut self, id: NodeId) {
        let graph = self.cx.graph;
        let node = &graph.nodes[id];
        match &node.kind {
            NodeKind::Op { op, .. } => {
                let call = self.call(id);
                self.define(&node.outputs, op.name(), call);
            }
            NodeKind::Constant { .. } => self.constant(id),
            NodeKind::Read(state) if self.frozen.contains(state) => {
                self.values.insert(node.outputs[0], self.states[state].clone());
            }
            NodeKind::Read(state) => {
                let name = self.states[state].clone();
                self.define(&node.outputs, &name, tree::name(&name));
            }
            NodeKind::Set { state, starts } => self.set(*state, starts, node.inputs[0]),
            NodeKind::Repeat(repeat) => self.repeat(id, repeat),
            NodeKind::If { then, otherwise } => self.either(id, then, otherwise),
            NodeKind::Fused { name, body, .. } => {
                let around = std::mem::take(&mut self.stmts);
                self.block(body);
                let body = tree::body(std::mem::replace(&mut self.stmts, around));
                self.stmts.push(tree::stmt(StmtKind::Fused { name: Text::new(name), body }));
            }
        }
    }

    /// What a value is called from here on.
    pub(super) fn name(&mut self, value: ValueId, stem: &str) -> String {
        if let Some(name) = self.forced.remove(&value) {
            return name;
        }
        let graph = self.cx.graph;
        let hinted = self.cx.hints.get(&value).and_then(|param| graph.values[*param].name.as_deref());
        let own = hinted.or(graph.values[value].name.as_deref());
        let mark = match own.unwrap_or(stem) {
            word if self.cx.uses.count(value) == 0 && !word.starts_with('_') => "_",
            _ => "",
        };
        match own {
            Some(own) => self.names.fresh(&format!("{mark}{own}")),
            None => self.names.numbered(&format!("{mark}{stem}")),
        }
    }

    /// Binds a name to a value.
    pub(super) fn bind(&mut self, value: ValueId, name: &str) {
        self.values.insert(value, name.to_owned());
        self.bound.insert(name.to_owned(), value);
        self.cx.types.insert(name.to_owned(), self.scope.ty(self.cx.graph.ty(value)));
    }

    /// A value where it is used.
    pub(super) fn value(&mut self, value: ValueId) -> Expr {
        match self.inline.get(&value) {
            Some(node) => self.inlined(*node),
            None => tree::name(self.values.get(&value).expect("a value is named before it is used")),
        }
    }

    fn inlined(&mut self, id: NodeId) -> Expr {
        match &self.cx.graph.nodes[id].kind {
            NodeKind::Read(state) => tree::name(&self.states[state]),
            NodeKind::If { then, otherwise } => self.choice(id, then, otherwise),
            _ => self.call(id),
        }
    }

    /// `let` of a node's results. A dim that the node counts gets its name in the type.
    pub(super) fn define(&mut self, outputs: &[ValueId], stem: &str, expr: Expr) {
        let graph = self.cx.graph;
        let names: Vec<String> = outputs.iter().map(|output| self.name(*output, stem)).collect();
        outputs.iter().zip(&names).for_each(|(output, name)| self.bind(*output, name));
        let counted: Vec<(usize, Type)> =
            outputs.iter().enumerate().filter_map(|(i, output)| Some((i, self.counted(*output)?))).collect();
        let alone = outputs.iter().skip(1).all(|output| self.cx.uses.count(*output) == 0);
        match counted.as_slice() {
            [(0, ty)] if alone => {
                let pattern = tree::pattern(&names[..1]);
                self.stmts.push(tree::bind(pattern, Some(ty.clone()), expr));
            }
            counted => {
                self.stmts.push(tree::bind(tree::pattern(&names), None, expr));
                for (i, ty) in counted {
                    let pattern = tree::pattern(&names[*i..=*i]);
                    self.stmts.push(tree::bind(pattern, Some(ty.clone()), tree::name(&names[*i])));
                }
            }
        }
        if !counted.is_empty() {
            self.asserts();
        }
        debug_assert!(outputs.iter().all(|output| graph.values.is_valid(*output)));
    }

    /// The type of a value that brings counted dims into scope.
    fn counted(&mut self, value: ValueId) -> Option<Type> {
        let ty = self.cx.graph.ty(value);
        let (mut dims, mut found) = (vec![], false);
        for dim in &ty.dims {
            let slot = dim.as_slot().filter(|slot| self.scope.get(*slot).is_none());
            dims.push(match slot.map(|slot| (slot, self.cx.graph.slots.def(slot))) {
                Some((slot, SlotDef::Counted { name, most })) => {
                    let most = self.scope.dim(most);
                    let name = self.names.fresh(name);
                    self.scope.bind(slot, &name, 0);
                    found = true;
                    TypeDimKind::Counted(Ident::new(&name), tree::int(0), most)
                }
                _ => TypeDimKind::Size(self.scope.dim(dim)),
            });
        }
        found.then(|| tree::tensor_type(ty.dtype.name(), dims))
    }

    fn constant(&mut self, id: NodeId) {
        let value = self.cx.graph.nodes[id].outputs[0];
        match self.cx.constants.get(id).clone() {
            Form::List(_) if self.cx.uses.count(value) == 0 => {}
            Form::List(list) => {
                let ty = self.scope.ty(self.cx.graph.ty(value));
                let name = self.name(value, "constant");
                self.bind(value, &name);
                self.stmts.push(tree::bind(tree::pattern(&[name]), Some(ty), list));
            }
            Form::Key(key) => {
                let name = self.name(value, "weight");
                self.weight(id, &name, &escaped(&key));
                self.bind(value, &name);
            }
            Form::Family(counter, parts) => {
                let key = self.family_key(counter, &parts);
                let name = self.name(value, "weight");
                self.weight(id, &name, &escaped(&key));
                self.bind(value, &name);
            }
            Form::Stacked(counter, keys) => self.stacked(id, counter, &keys),
        }
    }

    fn weight(&mut self, id: NodeId, name: &str, key: &str) {
        let graph = self.cx.graph;
        let constant = &graph.constants[super::constants::members(graph, id).0[0]];
        let ty = self.scope.ty(&constant.ty);
        let kind = StmtKind::Weight { name: Ident::new(name), ty, from: Text::new(key), default: None };
        let mut stmt = tree::stmt(kind);
        if constant.storage != Storage::Plain(constant.ty.dtype) {
            let kept = tree::arg(tree::text(&constant.storage.to_string()));
            stmt.attrs.push(tree::attribute(tree::call(tree::name("storage"), vec![kept])));
        }
        self.stmts.push(stmt);
    }

    /// The key of a family; a number that is not the loop's index gets a `dim` first.
    fn family_key(&mut self, counter: Slot, parts: &[Part]) -> String {
        let (index, start) = self.scope.get(counter).cloned().expect("a family stands in its loop");
        let mut key = String::new();
        for part in parts {
            match part {
                Part::Text(text) => key.push_str(text),
                Part::Number { first, step: 1 } if *first == start => key += &format!("{{{index}}}"),
                Part::Number { first, step } => {
                    let names = &mut self.names;
                    let (name, made) = self.scope.number((counter, *first, *step), || names.fresh("number"));
                    if made {
                        let kind = DimKind::Is(self.scope.dim(&(Dim::slot(counter) * *step + *first)));
                        self.stmts.push(tree::stmt(StmtKind::Dim(ast::Dim { name: Ident::new(&name), kind })));
                    }
                    key += &format!("{{{name}}}");
                }
            }
        }
        key
    }

    /// Members without a pattern: all of them as one tensor, and the one of the iteration.
    fn stacked(&mut self, id: NodeId, counter: Slot, keys: &[String]) {
        let graph = self.cx.graph;
        let value = graph.nodes[id].outputs[0];
        let stem = graph.values[value].name.clone().unwrap_or_else(|| "weight".into());
        let mut all = vec![];
        for key in keys {
            let name = self.names.fresh(&stem);
            self.weight(id, &name, &escaped(key));
            all.push(tree::name(&name));
        }
        let at = Dim::slot(counter);
        let (whole, part, name) = (self.names.fresh(&stem), self.names.fresh(&stem), self.name(value, "weight"));
        let stack = tree::call(tree::name("stack"), vec![tree::arg(tree::list(all))]);
        self.stmts.push(tree::bind(tree::pattern(std::slice::from_ref(&whole)), None, stack));
        let mut items = vec![IndexKind::Slice(Some(self.scope.dim(&at)), Some(self.scope.dim(&(at + 1))))];
        items.extend(graph.ty(value).dims.iter().map(|_| IndexKind::Slice(None, None)));
        let cut = tree::index(tree::name(&whole), items);
        self.stmts.push(tree::bind(tree::pattern(std::slice::from_ref(&part)), None, cut));
        let shape = graph.ty(value).dims.iter().map(|dim| self.scope.dim(dim)).collect();
        let args = vec![tree::arg(tree::name(&part)), tree::arg(tree::list(shape))];
        self.bind(value, &name);
        self.stmts.push(tree::bind(tree::pattern(&[name]), None, tree::call(tree::name("reshape"), args)));
    }

    fn set(&mut self, state: StateId, starts: &[Dim], input: ValueId) {
        let graph = self.cx.graph;
        let (whole, part) = (&graph.states[state].ty.dims, &graph.ty(input).dims);
        let cut = |axis: usize| starts[axis] != Dim::from(0) || part[axis] != whole[axis];
        let name = tree::name(&self.states[&state]);
        let target = match (0..starts.len()).any(cut) {
            false => name,
            true => tree::index(
                name,
                (0..starts.len())
                    .map(|axis| match cut(axis) {
                        true => self.scope.range(&starts[axis], &(starts[axis].clone() + &part[axis])),
                        false => IndexKind::Slice(None, None),
                    })
                    .collect(),
            ),
        };
        let value = self.value(input);
        self.stmts.push(tree::stmt(StmtKind::Set { target, value }));
    }
}

/// A key as `from` takes it: one that begins with `/` gets another, which is dropped when it is read.
fn escaped(key: &str) -> String {
    if key.starts_with('/') { format!("/{key}") } else { key.to_owned() }
}
