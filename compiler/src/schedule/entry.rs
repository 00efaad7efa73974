//! The walk over an entry that makes its steps.

use super::arena::Arena;
use super::elements::Elements;
use super::groups::Groups;
use super::homes::{Home, Lease};
use super::kernels::{Purpose, name};
use super::plan::{ScheduleError, Shared};
use crate::graph::{Block, ConstantData, ConstantId, Entry, NodeId, NodeKind, Repeat, StateId, ValueId};
use crate::ops::{IndexUse, Lowering};
use crate::types::TensorType;
use mlc_codegen::base::{Dim, Slot, SlotDef, Storage};
use mlc_codegen::kernel::{
    Argument, BufferDef, Call, EntryPlan, Family, IndexCheck, Kernel, Place, PlanBuffer, Port, SizeGuard, Step, Variant,
};
use std::collections::HashMap;

/// One entry.
pub(super) struct Walk<'s, 'g> {
    shared: &'s mut Shared<'g>,
    groups: Groups,
    homes: HashMap<ValueId, Home>,
    /// Where a value shall be made, when someone has said so.
    wanted: HashMap<ValueId, Argument>,
    buffers: Vec<BufferDef>,
    /// The dims of each buffer's tensor, of those in the arena.
    pub(super) shapes: Vec<Option<Vec<Dim>>>,
    arena: Arena,
    leases: HashMap<ValueId, Lease>,
    /// By call.
    purposes: Vec<Purpose>,
}

impl<'s, 'g> Walk<'s, 'g> {
    pub(super) fn new(shared: &'s mut Shared<'g>, entry: &Entry) -> Self {
        let outputs: Vec<ValueId> = entry.outputs.iter().map(|(_, value)| *value).collect();
        let groups = Groups::of(shared.graph, &entry.body, &outputs);
        Walk {
            shared,
            groups,
            homes: HashMap::new(),
            wanted: HashMap::new(),
            buffers: vec![],
            shapes: vec![],
            arena: Arena::default(),
            leases: HashMap::new(),
            purposes: vec![],
        }
    }

    /// The steps of an entry, and what its calls are for.
    pub(super) fn run(&mut self, entry: &Entry) -> Result<(Vec<Step>, Vec<Purpose>), ScheduleError> {
        let graph = self.shared.graph;
        self.check_sizes(entry)?;
        for (i, input) in entry.inputs.iter().enumerate() {
            let home = self.placed(Place::Input(i as u32), graph.ty(input.value));
            self.homes.insert(input.value, home);
        }
        let mut copies = Vec::new();
        for (i, (_, value)) in entry.outputs.iter().enumerate() {
            let Home::Memory { argument, .. } = self.placed(Place::Output(i as u32), graph.ty(*value)) else {
                unreachable!("a placed value is in memory")
            };
            if !self.want(*value, &entry.body, argument.clone()) {
                copies.push((*value, argument));
            }
        }
        let outputs: Vec<ValueId> = entry.outputs.iter().map(|(_, value)| *value).collect();
        let mut steps = Vec::new();
        self.block(&entry.body, &outputs, &mut steps);
        for (value, argument) in copies {
            self.copy(value, argument, &mut steps);
        }
        Ok((steps, std::mem::take(&mut self.purposes)))
    }

    pub(super) fn plan(self, entry: &Entry, steps: Vec<Step>) -> EntryPlan {
        let graph = self.shared.graph;
        let port = |name: &str, value: ValueId, source: u32| {
            let ty = graph.ty(value);
            Port { name: name.into(), dtype: ty.dtype, dims: ty.dims.clone(), source }
        };
        let own = self.shared.source(entry.loc);
        let inputs = entry.inputs.iter().map(|input| {
            let source = self.shared.source(graph.values[input.value].loc);
            port(&input.name, input.value, source)
        });
        let inputs = inputs.collect();
        let guards = entry.guards.iter().map(|guard| SizeGuard {
            at_least_zero: guard.at_least_zero.clone(),
            exactly_zero: guard.exactly_zero,
            message: guard.message.clone(),
            source: self.shared.source(guard.loc),
        });
        EntryPlan {
            name: entry.name.clone(),
            inputs,
            sizes: entry.sizes.clone(),
            outputs: entry.outputs.iter().map(|(name, value)| port(name, *value, own)).collect(),
            guards: guards.collect(),
            buffers: self.buffers,
            arena: self.arena.total(),
            steps,
        }
    }

    /// Every tensor has a size whose coefficients 64 bits hold; what its dims make of that is checked with each call.
    fn check_sizes(&self, entry: &Entry) -> Result<(), ScheduleError> {
        let graph = self.shared.graph;
        for node in graph.nodes_within(&entry.body) {
            for value in &graph.nodes[node].outputs {
                let ty = graph.ty(*value);
                if ty.elements().overflowed() {
                    return Err(ScheduleError::TooLarge { ty: ty.show(&graph.slots), loc: graph.nodes[node].loc });
                }
            }
        }
        Ok(())
    }

    /// Nodes in order. `kept` are used after the block.
    fn block(&mut self, block: &Block, kept: &[ValueId], steps: &mut Vec<Step>) {
        let last = self.last_uses(block, kept);
        let mut ends: Vec<Vec<ValueId>> = vec![vec![]; block.nodes.len() + 1];
        last.iter().for_each(|(value, at)| ends[*at].push(*value));
        for (i, node) in block.nodes.iter().enumerate() {
            self.node(*node, (block, i), &last, steps);
            let mut dead = std::mem::take(&mut ends[i]);
            let unused = self.shared.graph.nodes[*node].outputs.iter().filter(|v| !last.contains_key(v));
            dead.extend(unused);
            dead.sort();
            dead.into_iter().for_each(|value| self.release(value));
        }
    }

    /// The last node of the block that reads a value defined in it; the block's length when it is kept.
    fn last_uses(&self, block: &Block, kept: &[ValueId]) -> HashMap<ValueId, usize> {
        let graph = self.shared.graph;
        let mut own: HashMap<ValueId, bool> = HashMap::new();
        for node in &block.nodes {
            let inner = match &graph.nodes[*node].kind {
                NodeKind::Fused { body, .. } => body.nodes.as_slice(),
                _ => &[],
            };
            let defined = inner.iter().chain([node]).flat_map(|n| &graph.nodes[*n].outputs);
            own.extend(defined.map(|v| (*v, true)));
        }
        let mut last = HashMap::new();
        let mut note = |value: ValueId, at: usize| {
            if own.contains_key(&value) {
                last.insert(value, at);
            }
        };
        for (i, node) in block.nodes.iter().enumerate() {
            self.groups.reads(graph, *node).into_iter().for_each(|value| note(value, i));
        }
        let mut waiting = kept.to_vec();
        while let Some(value) = waiting.pop() {
            note(value, block.nodes.len());
            waiting.extend(self.groups.behind(graph, value));
        }
        last
    }

    /// The node at a place of a block; `last` has the last uses in that block.
    fn node(&mut self, node: NodeId, place: (&Block, usize), last: &HashMap<ValueId, usize>, steps: &mut Vec<Step>) {
        let graph = self.shared.graph;
        let data = &graph.nodes[node];
        match &data.kind {
            NodeKind::Op { .. } if self.groups.looked_through.contains(&node) => {
                self.homes.insert(data.outputs[0], Home::Virtual(node));
            }
            NodeKind::Op { .. } if self.groups.traits[&node].alias => {
                let home = self.solid(data.inputs[0], steps);
                self.homes.insert(data.outputs[0], home);
            }
            NodeKind::Op { .. } => self.unit(node, &[node], data.outputs.clone(), steps),
            NodeKind::Fused { results, .. } if results.is_empty() => {}
            NodeKind::Fused { body, results, .. } => match self.groups.one_kernel(graph, body, results) {
                Some(members) => {
                    let others = body.nodes.iter().filter(|inner| !members.contains(inner));
                    others.for_each(|inner| self.node(*inner, place, last, steps));
                    self.unit(node, &members, results.clone(), steps);
                }
                None => body.nodes.iter().for_each(|inner| self.node(*inner, place, last, steps)),
            },
            NodeKind::Constant { members, counter } => self.constant(data.outputs[0], members, *counter),
            NodeKind::Read(state) => self.read(data.outputs[0], *state, place, last, steps),
            NodeKind::Set { state, starts } => self.set(node, *state, starts, steps),
            NodeKind::Repeat(repeat) => {
                let dies = |value: ValueId| last.get(&value).is_some_and(|at| *at <= place.1);
                self.repeat(node, repeat, &dies, steps);
            }
            NodeKind::If { then, otherwise } => self.branch(node, then, otherwise, steps),
        }
    }

    /// A node or fused group that becomes kernels.
    fn unit(&mut self, node: NodeId, members: &[NodeId], kept: Vec<ValueId>, steps: &mut Vec<Step>) {
        let graph = self.shared.graph;
        members.iter().for_each(|member| self.check_indices(*member, steps));
        kept.iter().for_each(|value| self.make_room(*value));
        let anchor = members.iter().copied().find(|m| !self.groups.traits[m].point && !self.groups.traits[m].alias);
        let name = self.name(node);
        let Some(anchor) = anchor else {
            let elements = Elements::new(graph, &self.homes, members, kept, &[]);
            let made = elements.map(name);
            self.call(Purpose::Node(node), made, steps);
            return;
        };
        let lowered = graph.with_call(anchor, |op, call| {
            let Lowering::Stages { temps, stages } = op.op().lower(call) else { unreachable!("the anchor has stages") };
            let temps: Vec<(TensorType, Argument)> =
                temps.into_iter().map(|ty| (ty.clone(), self.room(&ty).0)).collect();
            let count = stages.len();
            let build = |(i, stage)| {
                let name = if count == 1 { name.clone() } else { format!("{name}.{i}") };
                Elements::new(graph, &self.homes, members, kept.clone(), &temps).stage(anchor, name, stage)
            };
            stages.into_iter().enumerate().map(build).collect::<Vec<(Kernel, Vec<Argument>)>>()
        });
        for (i, made) in lowered.into_iter().enumerate() {
            self.call(Purpose::Node(node), made, steps);
            if i == 0 {
                self.count(anchor, steps);
            }
        }
    }

    /// The source path of a node and the ops in it.
    fn name(&self, node: NodeId) -> String {
        name(self.shared.graph, node)
    }

    fn call(&mut self, purpose: Purpose, (kernel, arguments): (Kernel, Vec<Argument>), steps: &mut Vec<Step>) {
        self.purposes.push(purpose);
        let kernel = self.shared.kernels.intern(kernel);
        steps.push(Step::Call(Call { variants: vec![Variant { guard: vec![], kernel }], arguments }));
    }

    fn check_indices(&mut self, node: NodeId, steps: &mut Vec<Step>) {
        let graph = self.shared.graph;
        let checks = graph.with_call(node, |op, call| op.op().checked_indices(call));
        for IndexUse { indices, data, axis, column, columns } in checks {
            let inputs = &graph.nodes[node].inputs;
            let Home::Memory { argument, .. } = self.solid(inputs[indices], steps) else {
                unreachable!("a solid value is in memory")
            };
            let count = graph.ty(inputs[indices]).elements();
            let extent = graph.ty(inputs[data]).dims[axis].clone();
            let source = self.shared.source(graph.nodes[node].loc);
            let (column, columns) = (column as i64, columns as i64);
            let check = IndexCheck { indices: argument, count, extent, negative: true, column, columns, source };
            steps.push(Step::Check(check));
        }
    }

    /// Counted dims become known once the first stage of the op that counts has run: its last result is the count.
    fn count(&mut self, node: NodeId, steps: &mut Vec<Step>) {
        let graph = self.shared.graph;
        let outputs = &graph.nodes[node].outputs;
        let mut slots = graph.ty(outputs[0]).dims.iter().flat_map(Dim::slots);
        let counted = slots.find(|slot| matches!(self.shared.slots.def(*slot), SlotDef::Counted { .. }));
        let by_this = outputs.len() > 1
            && !graph.nodes[node]
                .inputs
                .iter()
                .any(|v| graph.ty(*v).dims.iter().flat_map(Dim::slots).any(|slot| Some(slot) == counted));
        let (Some(slot), true) = (counted, by_this) else { return };
        if let Some(Home::Memory { argument: Argument::Buffer(from), .. }) = outputs.last().map(|v| &self.homes[v]) {
            steps.push(Step::Count { slot, from: *from });
        }
    }

    fn constant(&mut self, value: ValueId, members: &[ConstantId], counter: Option<Slot>) {
        let graph = self.shared.graph;
        if let (None, [only]) = (counter, members) {
            let constant = &graph.constants[*only];
            if let (ConstantData::Tensor(tensor), true) = (&constant.data, constant.ty.dims.is_empty()) {
                self.homes.insert(value, Home::Literal(tensor.get(0)));
                return;
            }
        }
        let buffers: Vec<PlanBuffer> = members.iter().map(|c| self.constant_buffer(*c)).collect();
        let storage = graph.constants[members[0]].storage;
        let argument = match (counter, buffers.as_slice()) {
            (Some(counter), [_, _, ..]) => Argument::Family(Family { members: buffers, counter, ahead: 0 }),
            _ => Argument::Buffer(buffers[0]),
        };
        self.homes.insert(value, Home::Memory { argument, storage });
    }

    fn constant_buffer(&mut self, constant: ConstantId) -> PlanBuffer {
        let data = &self.shared.graph.constants[constant];
        let place = Place::Constant(self.shared.constants.number(constant));
        self.buffer(BufferDef { place, storage: data.storage, elements: data.ty.elements() }, &data.ty.dims)
    }

    /// The state itself, or a copy of it where it is still used after it has been written.
    fn read(
        &mut self,
        value: ValueId,
        state: StateId,
        (block, at): (&Block, usize),
        last: &HashMap<ValueId, usize>,
        steps: &mut Vec<Step>,
    ) {
        let graph = self.shared.graph;
        let home = self.placed(Place::State(state.as_u32()), graph.ty(value));
        self.homes.insert(value, home);
        let writes = |node: &NodeId| {
            let inner = graph.nodes[*node].kind.blocks().into_iter().flat_map(|b| graph.nodes_within(b));
            inner.chain([*node]).any(|n| matches!(graph.nodes[n].kind, NodeKind::Set { state: s, .. } if s == state))
        };
        let written = block.nodes[at + 1..].iter().position(writes).map(|i| at + 1 + i);
        let used = last.get(&value).copied().unwrap_or(at);
        if written.is_some_and(|written| used >= written) {
            let (argument, lease) = self.room(graph.ty(value));
            self.copy(value, argument.clone(), steps);
            self.homes.insert(value, Home::Memory { argument, storage: Storage::Plain(graph.ty(value).dtype) });
            self.leases.insert(value, lease);
        }
    }

    fn set(&mut self, node: NodeId, state: StateId, starts: &[Dim], steps: &mut Vec<Step>) {
        let graph = self.shared.graph;
        let ty = &graph.states[state].ty;
        let Home::Memory { argument, .. } = self.placed(Place::State(state.as_u32()), ty) else {
            unreachable!("a placed value is in memory")
        };
        let name = format!("set {}", graph.states[state].name);
        let elements = Elements::new(graph, &self.homes, &[], vec![], &[]);
        let made = elements.write(name, graph.nodes[node].inputs[0], (&argument, ty), starts);
        self.call(Purpose::Node(node), made, steps);
    }

    fn branch(
        &mut self,
        node: NodeId,
        then: &(Block, Vec<ValueId>),
        otherwise: &(Block, Vec<ValueId>),
        steps: &mut Vec<Step>,
    ) {
        let data = &self.shared.graph.nodes[node];
        let Home::Memory { argument: flag, .. } = self.solid(data.inputs[0], steps) else {
            unreachable!("a solid value is in memory")
        };
        data.outputs.iter().for_each(|value| self.make_room(*value));
        let [then, otherwise] = [then, otherwise].map(|(block, results)| {
            let mut inner = Vec::new();
            self.block(block, results, &mut inner);
            for (result, output) in results.iter().zip(&data.outputs) {
                let Home::Memory { argument, .. } = self.homes[output].clone() else {
                    unreachable!("outputs have room")
                };
                self.copy(*result, argument, &mut inner);
                self.release_made(*result, block);
            }
            inner
        });
        steps.push(Step::Branch { flag, then, otherwise });
    }
}

#[path = "repeat.rs"]
mod repeat;
#[path = "room.rs"]
mod room;
