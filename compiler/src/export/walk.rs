//! An entry as straight-line code, for formats that have no families of constants, no state and no `fused`.
//!
//! A `repeat` of a known number of rounds is unrolled, so that each round reads its own weights; one whose count is known
//! only at a call, or that has a condition, stays a loop where the format has one. A state becomes an input, and the value
//! that it has after the call an output.
//! Invariant: a sink never sees a counter of an unrolled loop: dims are rewritten before it is called.

use super::Refusal;
use crate::graph::{Block, ConstantId, Entry, Graph, Node, NodeKind, Repeat, StateId, ValueId};
use crate::ops::{Arguments, Attr, Call};
use crate::types::TensorType;
use mlc_codegen::base::{Dim, Slot, SlotDef};
use std::collections::{BTreeMap, HashMap};

/// What a format has no word for.
pub(super) type Why = String;

/// A format that is written op by op.
pub(super) trait Sink {
    /// What stands for a value.
    type Item: Clone;
    /// A finished block.
    type Block;

    /// A constant under a name.
    fn constant(&mut self, id: ConstantId) -> Result<Self::Item, Why>;
    /// A use of an op.
    fn op(&mut self, call: &Call, inputs: &[Self::Item]) -> Result<Vec<Self::Item>, Why>;
    /// `whole` with `part` written at `starts`.
    fn set(&mut self, whole: Typed<Self::Item>, starts: &[Dim], part: Typed<Self::Item>) -> Result<Self::Item, Why>;
    /// What stands for a value that was refused, so that the walk goes on.
    fn missing(&mut self) -> Self::Item;
    /// What is made next belongs to this value, which stands at this path.
    fn at(&mut self, path: &str, name: Option<&str>);
    /// The value has this type; its dims may tell a size.
    fn learn(&mut self, item: &Self::Item, ty: &TensorType);
    /// What follows goes into a block of its own.
    fn open(&mut self);
    /// Ends that block.
    fn close(&mut self, results: &[Self::Item]) -> Self::Block;
    /// A run-time choice of two blocks.
    fn choose(
        &mut self,
        condition: &Self::Item,
        parts: [Self::Block; 2],
        results: &[TensorType],
    ) -> Result<Vec<Self::Item>, Why>;
    /// Begins a loop that stays one; gives the carried values inside.
    fn open_loop(&mut self, counter: Slot, carried: &[TensorType]) -> Result<Vec<Self::Item>, Why>;
    /// Ends it.
    fn close_loop(&mut self, ends: Loop<Self::Item>) -> Result<Vec<Self::Item>, Why>;
}

/// A value and its type.
pub(super) type Typed<'a, I> = (&'a I, &'a TensorType);

/// A loop that stays one, when its body is whole.
pub(super) struct Loop<'a, I> {
    /// How often, at most.
    pub(super) trips: &'a Dim,
    /// The carried values before it.
    pub(super) initial: &'a [I],
    /// Whether the first round runs, and whether another follows; always where it is not given.
    pub(super) conditions: Option<(I, I)>,
    /// The carried values after a round.
    pub(super) results: &'a [I],
    /// Their types.
    pub(super) types: &'a [TensorType],
}

/// The walk over one entry.
pub(super) struct Walk<'g, S: Sink> {
    graph: &'g Graph,
    /// What is written.
    pub(super) sink: S,
    /// What stands for each value.
    pub(super) values: HashMap<ValueId, S::Item>,
    /// The present version of each state.
    pub(super) states: BTreeMap<StateId, S::Item>,
    /// The round of each loop that is being unrolled.
    rounds: HashMap<Slot, i64>,
    /// Loops that stay loops.
    rolled: Vec<Slot>,
    /// Of the blocks that are open.
    depth: usize,
    /// What the format has no word for.
    pub(super) refused: Vec<Refusal>,
}

/// The states that an entry reads or writes, in order.
pub(super) fn states_of(graph: &Graph, entry: &Entry) -> Vec<StateId> {
    let mut states: Vec<StateId> = graph
        .nodes_within(&entry.body)
        .into_iter()
        .filter_map(|id| match &graph.nodes[id].kind {
            NodeKind::Read(state) | NodeKind::Set { state, .. } => Some(*state),
            _ => None,
        })
        .collect();
    states.sort_unstable();
    states.dedup();
    states
}

impl<'g, S: Sink> Walk<'g, S> {
    /// Before the first node; inputs and states are still to be named.
    pub(super) fn new(graph: &'g Graph, sink: S) -> Self {
        Walk {
            graph,
            sink,
            values: HashMap::new(),
            states: BTreeMap::new(),
            rounds: HashMap::new(),
            rolled: vec![],
            depth: 0,
            refused: vec![],
        }
    }

    /// Every node of a block.
    pub(super) fn block(&mut self, block: &Block) {
        block.nodes.iter().for_each(|id| self.node(&self.graph.nodes[*id]));
    }

    fn items(&self, values: &[ValueId]) -> Vec<S::Item> {
        values.iter().map(|value| self.values[value].clone()).collect()
    }

    fn types(&self, values: &[ValueId]) -> Vec<TensorType> {
        values.iter().map(|value| self.unrolled(self.graph.ty(*value))).collect()
    }

    fn node(&mut self, node: &'g Node) {
        let name = node.outputs.first().and_then(|value| self.graph.values[*value].name.as_deref());
        let path = self.path(&node.path);
        self.sink.at(&path, name);
        let made = match &node.kind {
            NodeKind::Op { op, arguments } => {
                let arguments = self.arguments(arguments);
                let (inputs, results) = (self.types(&node.inputs), self.types(&node.outputs));
                let signature = op.op().signature();
                let call = Call { signature, arguments: &arguments, inputs: &inputs, results: &results };
                let items = self.items(&node.inputs);
                self.sink.op(&call, &items).map_err(|why| format!("{}: {why}", signature.name))
            }
            NodeKind::Constant { members, counter } => {
                let round = counter.and_then(|slot| self.rounds.get(&slot)).copied().unwrap_or(0);
                match counter.filter(|slot| self.rolled.contains(slot)) {
                    Some(_) => Err("a loop that ends early reads other weights in each round".into()),
                    None => self.sink.constant(members[round as usize]).map(|item| vec![item]),
                }
            }
            NodeKind::Read(state) => Ok(vec![self.states[state].clone()]),
            NodeKind::Set { state, starts } => self.set(node, *state, starts).map(|()| vec![]),
            NodeKind::Repeat(repeat) => self.repeat(node, repeat),
            NodeKind::If { then, otherwise } => self.choose(node, [then, otherwise]),
            NodeKind::Fused { body, .. } => {
                self.block(body);
                return;
            }
        };
        let items = made.unwrap_or_else(|why| {
            self.refused.push(Refusal { why, path, loc: node.loc });
            node.outputs.iter().map(|_| self.sink.missing()).collect()
        });
        for (value, item) in node.outputs.iter().zip(items) {
            let ty = self.unrolled(self.graph.ty(*value));
            self.sink.learn(&item, &ty);
            self.values.insert(*value, item);
        }
    }

    fn set(&mut self, node: &Node, state: StateId, starts: &[Dim]) -> Result<(), Why> {
        if self.depth > 0 {
            return Err("a state is written in a branch or in a loop that ends early".into());
        }
        let starts: Vec<Dim> = starts.iter().map(|start| self.dim(start)).collect();
        let (whole, part) = (self.states[&state].clone(), self.values[&node.inputs[0]].clone());
        let (outer, inner) = (&self.graph.states[state].ty, self.unrolled(self.graph.ty(node.inputs[0])));
        let next = self.sink.set((&whole, outer), &starts, (&part, &inner))?;
        self.states.insert(state, next);
        Ok(())
    }

    fn repeat(&mut self, node: &Node, repeat: &'g Repeat) -> Result<Vec<S::Item>, Why> {
        let trips = self.dim(&repeat.trips);
        match (trips.as_constant(), &repeat.condition) {
            (Some(trips), None) => Ok(self.unroll(node, repeat, trips)),
            _ => self.roll(node, repeat, &trips),
        }
    }

    fn unroll(&mut self, node: &Node, repeat: &'g Repeat, trips: i64) -> Vec<S::Item> {
        let mut carried = self.items(&node.inputs);
        for round in 0..trips {
            self.rounds.insert(repeat.counter, round);
            self.values.extend(repeat.params.iter().copied().zip(carried));
            self.block(&repeat.body);
            carried = self.items(&repeat.results);
        }
        self.rounds.remove(&repeat.counter);
        carried
    }

    fn roll(&mut self, node: &Node, repeat: &'g Repeat, trips: &Dim) -> Result<Vec<S::Item>, Why> {
        let (initial, types) = (self.items(&node.inputs), self.types(&node.outputs));
        self.values.extend(repeat.params.iter().copied().zip(initial.iter().cloned()));
        let first = repeat.condition.as_ref().map(|(block, flag)| {
            self.block(block);
            self.values[flag].clone()
        });
        let params = self.sink.open_loop(repeat.counter, &types)?;
        self.rolled.push(repeat.counter);
        self.depth += 1;
        self.values.extend(repeat.params.iter().copied().zip(params));
        self.block(&repeat.body);
        let results = self.items(&repeat.results);
        let next = repeat.condition.as_ref().map(|(block, flag)| {
            self.values.extend(repeat.params.iter().copied().zip(results.iter().cloned()));
            self.block(block);
            self.values[flag].clone()
        });
        self.depth -= 1;
        self.rolled.pop();
        let ends = Loop { trips, initial: &initial, conditions: first.zip(next), results: &results, types: &types };
        self.sink.close_loop(ends)
    }

    fn choose(&mut self, node: &Node, parts: [&'g (Block, Vec<ValueId>); 2]) -> Result<Vec<S::Item>, Why> {
        self.depth += 1;
        let parts = parts.map(|(block, results)| {
            self.sink.open();
            self.block(block);
            let results = self.items(results);
            self.sink.close(&results)
        });
        self.depth -= 1;
        let (condition, types) = (self.values[&node.inputs[0]].clone(), self.types(&node.outputs));
        self.sink.choose(&condition, parts, &types)
    }

    /// `{i}` of a path with the number of the round.
    fn path(&self, path: &str) -> String {
        let mut shown = path.to_owned();
        for (slot, round) in &self.rounds {
            let counter = self.graph.slots.show(&(*slot).into());
            shown = shown.replace(&format!("{{{counter}}}"), &round.to_string());
        }
        shown
    }

    fn dim(&self, dim: &Dim) -> Dim {
        if self.rounds.is_empty() { dim.clone() } else { dim.substitute(&mut |slot| self.slot(slot)) }
    }

    /// A slot, as a number where the rounds decide it.
    fn slot(&self, slot: Slot) -> Dim {
        let number = |dim: &Dim| self.dim(dim).as_constant();
        let decided = match self.graph.slots.def(slot) {
            SlotDef::Given { .. } | SlotDef::Counted { .. } => None,
            SlotDef::Counter { .. } => self.rounds.get(&slot).copied(),
            SlotDef::Floor(a, k) => number(a).map(|a| a.div_euclid(*k)),
            SlotDef::Quotient(a, b) => number(a).zip(number(b)).map(|(a, b)| if b == 0 { 0 } else { a.div_euclid(b) }),
            SlotDef::Max(a, b) => number(a).zip(number(b)).map(|(a, b)| a.max(b)),
            SlotDef::Min(a, b) => number(a).zip(number(b)).map(|(a, b)| a.min(b)),
        };
        decided.map_or_else(|| Dim::slot(slot), Dim::from)
    }

    fn unrolled(&self, ty: &TensorType) -> TensorType {
        TensorType::new(ty.dtype, ty.dims.iter().map(|dim| self.dim(dim)))
    }

    fn arguments(&self, arguments: &Arguments) -> Arguments {
        let attr = |attr: &Attr| match attr {
            Attr::Dim(dim) => Attr::Dim(self.dim(dim)),
            Attr::Dims(dims) => Attr::Dims(dims.iter().map(|dim| dim.as_ref().map(|dim| self.dim(dim))).collect()),
            Attr::Names(names) => Attr::Names(names.iter().map(|(name, dim)| (name.clone(), self.dim(dim))).collect()),
            other => other.clone(),
        };
        Arguments { counts: arguments.counts.clone(), attrs: arguments.attrs.iter().map(attr).collect() }
    }
}
