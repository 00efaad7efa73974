//! The walk over an entry's nodes.

use super::Refusal;
use super::drops::drops;
use super::model::{Unit, read, shape};
use crate::graph::{Block, ConstantId, Graph, Node, NodeId, NodeKind, Repeat, StateId, ValueId};
use crate::ops::{Arguments, Call, IndexUse, OpKind};
use crate::types::TensorType;
use cranelift_entity::SecondaryMap;
use mlc_codegen::base::{Dim, Slot, SlotDef};
use mlc_runtime::tensor::Tensor;

/// What is computed and still used.
pub(super) type Values = SecondaryMap<ValueId, Option<Tensor>>;

/// One call.
pub(super) struct Walk<'w> {
    pub(super) graph: &'w Graph,
    pub(super) constants: &'w mut SecondaryMap<ConstantId, Option<Tensor>>,
    /// As this call leaves them; the reference takes them over when it succeeds.
    pub(super) states: Vec<Option<Tensor>>,
    pub(super) values: Values,
    pub(super) sizes: Vec<i64>,
    /// No tensor is larger.
    pub(super) most_bytes: i64,
    pub(super) watch: &'w mut dyn FnMut(&Unit) -> Result<(), Refusal>,
}

impl<'w> Walk<'w> {
    /// Nodes in order; after each the values that `drops` names are let go.
    pub(super) fn block(&mut self, block: &Block, drops: &[Vec<ValueId>]) -> Result<(), Refusal> {
        for (node, dead) in block.nodes.iter().zip(drops) {
            self.node(*node)?;
            dead.iter().for_each(|value| self.values[*value] = None);
        }
        Ok(())
    }

    /// The tensor of a value that is defined here.
    pub(super) fn value(&self, value: ValueId) -> &Tensor {
        self.values[value].as_ref().expect("the graph defines values before it uses them")
    }

    fn node(&mut self, id: NodeId) -> Result<(), Refusal> {
        let graph = self.graph;
        let node = &graph.nodes[id];
        match &node.kind {
            NodeKind::Op { op, arguments } => {
                self.op(*op, arguments, node)?;
                self.watched(id)?;
            }
            NodeKind::Fused { body, .. } => {
                for inner in &body.nodes {
                    let node = &graph.nodes[*inner];
                    match &node.kind {
                        NodeKind::Op { op, arguments } => self.op(*op, arguments, node)?,
                        _ => self.node(*inner)?,
                    }
                }
                self.watched(id)?;
            }
            NodeKind::Constant { members, counter } => {
                let turn = counter.map_or(0, |counter| self.sizes[counter.0 as usize] as usize);
                self.values[node.outputs[0]] = Some(self.constant(members[turn % members.len()])?);
            }
            NodeKind::Read(state) => {
                self.values[node.outputs[0]] = self.states[state.as_u32() as usize].clone();
            }
            NodeKind::Set { state, starts } => self.set(*state, starts, node)?,
            NodeKind::Repeat(repeat) => self.repeat(repeat, node)?,
            NodeKind::If { then, otherwise } => {
                let (block, results) = if self.flag(node.inputs[0]) { then } else { otherwise };
                self.block(block, &drops(graph, block, results))?;
                self.hand_over(results, &node.outputs);
            }
        }
        Ok(())
    }

    fn watched(&mut self, node: NodeId) -> Result<(), Refusal> {
        (self.watch)(&Unit { node, sizes: &self.sizes, values: &self.values })
    }

    fn flag(&self, value: ValueId) -> bool {
        self.value(value).get(0).as_i64() != 0
    }

    fn constant(&mut self, id: ConstantId) -> Result<Tensor, Refusal> {
        if let Some(tensor) = &self.constants[id] {
            return Ok(tensor.clone());
        }
        let tensor = read(self.graph, id)?;
        self.constants[id] = Some(tensor.clone());
        Ok(tensor)
    }

    fn op(&mut self, op: OpKind, arguments: &Arguments, node: &Node) -> Result<(), Refusal> {
        let graph = self.graph;
        let types = |values: &[ValueId]| values.iter().map(|v| graph.ty(*v).clone()).collect::<Vec<TensorType>>();
        let (inputs, results) = (types(&node.inputs), types(&node.outputs));
        let call = Call { signature: op.op().signature(), arguments, inputs: &inputs, results: &results };
        for ty in &results {
            shape(graph, ty, &self.sizes, self.most_bytes).map_err(|error| Refusal { loc: Some(node.loc), ..error })?;
        }
        for used in op.op().checked_indices(&call) {
            self.check_indices(used, node)?;
        }
        let tensors: Vec<&Tensor> = node.inputs.iter().map(|value| self.value(*value)).collect();
        let made = op.op().eval(&call, &tensors, &self.sizes).map_err(|error| Refusal::of(error, node))?;
        self.count(&made, node)?;
        for ((value, tensor), ty) in node.outputs.iter().zip(made).zip(&results) {
            let promised = ty.shape_at(&self.sizes).is_some_and(|shape| {
                shape.iter().eq(tensor.shape().iter().map(|extent| *extent as i64).collect::<Vec<_>>().iter())
            });
            assert!(promised && tensor.dtype() == ty.dtype, "`{}` gives {tensor:?}, not {ty:?}", op.name());
            self.values[*value] = Some(tensor);
        }
        Ok(())
    }

    /// Indices lie in their axis, as a session checks before kernels run.
    fn check_indices(&self, used: IndexUse, node: &Node) -> Result<(), Refusal> {
        let indices = self.value(node.inputs[used.indices]);
        let extent = self.value(node.inputs[used.data]).shape()[used.axis] as i64;
        for place in (used.column..indices.len()).step_by(used.columns) {
            let index = indices.get(place).as_i64();
            if !(-extent..extent).contains(&index) {
                let message = format!("index {index} at position {place} is outside {}..{extent}", -extent);
                return Err(Refusal::new("MDL0703", message, node.loc));
            }
        }
        Ok(())
    }

    /// Counted dims become known when the op that counts has run.
    fn count(&mut self, made: &[Tensor], node: &Node) -> Result<(), Refusal> {
        let graph = self.graph;
        let mentions =
            |value: &ValueId, slot: Slot| graph.ty(*value).dims.iter().any(|dim| dim.slots().any(|s| s == slot));
        for (value, tensor) in node.outputs.iter().zip(made) {
            for (dim, extent) in graph.ty(*value).dims.iter().zip(tensor.shape()) {
                let Some(slot) = dim.as_slot() else { continue };
                let counted = matches!(graph.slots.def(slot), SlotDef::Counted { .. });
                if counted && !node.inputs.iter().any(|input| mentions(input, slot)) {
                    self.sizes[slot.0 as usize] = *extent as i64;
                    self.refill(slot, node)?;
                }
            }
        }
        Ok(())
    }

    fn refill(&mut self, slot: Slot, node: &Node) -> Result<(), Refusal> {
        let filled = self.graph.slots.refill(slot, &mut self.sizes);
        filled.map_err(|error| Refusal::new("MDL0702", error.to_string(), node.loc))
    }

    fn repeat(&mut self, repeat: &Repeat, node: &Node) -> Result<(), Refusal> {
        let graph = self.graph;
        let trips = repeat.trips.eval(&self.sizes);
        let trips = trips.ok_or_else(|| Refusal::new("MDL0702", "a size does not fit in 64 bits", node.loc))?;
        let dead = drops(graph, &repeat.body, &repeat.results);
        for (param, initial) in repeat.params.iter().zip(&node.inputs) {
            self.values[*param] = Some(self.value(*initial).clone());
        }
        for turn in 0..trips {
            self.sizes[repeat.counter.0 as usize] = turn;
            self.refill(repeat.counter, node)?;
            if let Some((block, flag)) = &repeat.condition {
                self.block(block, &drops(graph, block, &[*flag]))?;
                if !self.flag(*flag) {
                    break;
                }
            }
            self.block(&repeat.body, &dead)?;
            self.hand_over(&repeat.results, &repeat.params);
        }
        self.hand_over(&repeat.params, &node.outputs);
        self.sizes[repeat.counter.0 as usize] = 0;
        self.refill(repeat.counter, node)
    }

    /// Gives values other names, all at once: a loop may swap two.
    fn hand_over(&mut self, from: &[ValueId], to: &[ValueId]) {
        let moved: Vec<Tensor> = from.iter().map(|value| self.value(*value).clone()).collect();
        to.iter().zip(moved).for_each(|(value, tensor)| self.values[*value] = Some(tensor));
    }

    /// Writes a rectangle of a state.
    fn set(&mut self, state: StateId, starts: &[Dim], node: &Node) -> Result<(), Refusal> {
        let value = self.value(node.inputs[0]).clone();
        let target = self.states[state.as_u32() as usize].as_mut().expect("an entry's states are made before it runs");
        let extents = target.shape().to_vec();
        let mut first = 0;
        for ((start, extent), reach) in starts.iter().zip(&extents).zip(value.shape()) {
            let start = start.eval(&self.sizes).and_then(|start| usize::try_from(start).ok());
            let inside = start.filter(|start| start.checked_add(*reach).is_some_and(|end| end <= *extent));
            let outside = || {
                let message = format!("a write leaves state `{}`", self.graph.states[state].name);
                Refusal::new("MDL0709", message, node.loc)
            };
            first = first * extent + inside.ok_or_else(outside)?;
        }
        for i in 0..value.len() {
            let (mut rest, mut stride, mut at) = (i, 1, first);
            for (extent, reach) in extents.iter().zip(value.shape()).rev() {
                at += rest % reach * stride;
                rest /= reach;
                stride *= extent;
            }
            target.set(at, value.get(i));
        }
        Ok(())
    }
}
