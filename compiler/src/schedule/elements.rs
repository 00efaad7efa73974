//! Building one kernel: elements of values, through the nodes that are fused into it.

use super::groups::unit_axes;
use super::homes::Home;
use crate::graph::{Graph, NodeId, ValueId};
use crate::ops::{At, Build, Lowering, Target, row_major};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Scalar, Storage};
use mlc_codegen::kernel::{Argument, Body, Buffer, BufferId, ExprId, Kernel, Node, OperandId, Role, Store};
use std::collections::HashMap;

/// A kernel under construction, and what its caller passes.
pub(super) struct Elements<'a> {
    graph: &'a Graph,
    homes: &'a HashMap<ValueId, Home>,
    kernel: Kernel,
    arguments: Vec<Argument>,
    /// Nodes whose values are computed here, by the values they define.
    inlined: HashMap<ValueId, NodeId>,
    /// The nodes whose lowerings are running, innermost last.
    running: Vec<NodeId>,
    /// What is computed already: the anchor's results at the place of their store, elements of inlined values.
    bound: Vec<(ValueId, Vec<At>, ExprId)>,
    /// What is stored when the anchor stores: its own results, or what its consumers make of them.
    kept: Vec<ValueId>,
    temps: &'a [(TensorType, Argument)],
}

impl<'a> Elements<'a> {
    /// An empty kernel that computes the nodes of a group and keeps some of their values.
    pub(super) fn new(
        graph: &'a Graph,
        homes: &'a HashMap<ValueId, Home>,
        group: &[NodeId],
        kept: Vec<ValueId>,
        temps: &'a [(TensorType, Argument)],
    ) -> Self {
        let defined = |n: &NodeId| graph.nodes[*n].outputs.iter().map(|v| (*v, *n)).collect::<Vec<_>>();
        let inlined = group.iter().flat_map(defined).collect();
        let (kernel, running) = (Kernel::empty(), vec![]);
        Elements { graph, homes, kernel, arguments: vec![], inlined, running, bound: vec![], kept, temps }
    }

    /// A map over the dims of the kept values.
    pub(super) fn map(mut self, name: String) -> (Kernel, Vec<Argument>) {
        let dims = self.graph.ty(self.kept[0]).dims.clone();
        let axes = (&mut self as &mut dyn Build).axes(&dims);
        let at = At::axes(&axes);
        let stores = self.keep(&at);
        self.finish(name, Body::Map(stores))
    }

    /// A stage of a node's lowering.
    pub(super) fn stage(
        mut self,
        node: NodeId,
        name: String,
        stage: impl FnOnce(&mut dyn Build) -> Body,
    ) -> (Kernel, Vec<Argument>) {
        for output in &self.graph.nodes[node].outputs {
            self.inlined.remove(output);
        }
        self.running.push(node);
        let body = stage(&mut self);
        self.finish(name, body)
    }

    /// A map that writes a value into a rectangle of a state.
    pub(super) fn write(
        mut self,
        name: String,
        value: ValueId,
        to: (&Argument, &TensorType),
        starts: &[mlc_codegen::base::Dim],
    ) -> (Kernel, Vec<Argument>) {
        let dims = self.graph.ty(value).dims.clone();
        let axes = (&mut self as &mut dyn Build).axes(&dims);
        let element = self.element(value, &At::axes(&axes), None);
        let shifted: Vec<At> = axes
            .iter()
            .zip(starts)
            .map(|(axis, start)| At::index(mlc_codegen::kernel::Index::affine(vec![(*axis, 1)], start)))
            .collect();
        let buffer = self.buffer(to.0, Storage::Plain(to.1.dtype), Role::Write);
        let access = row_major(buffer, to.1, &shifted, Scalar::zero(to.1.dtype));
        self.finish(name, Body::Map(vec![Store { access, value: element }]))
    }

    fn finish(mut self, name: String, body: Body) -> (Kernel, Vec<Argument>) {
        self.kernel.name = name;
        self.kernel.body = body;
        (self.kernel, self.arguments)
    }

    fn keep(&mut self, at: &[At]) -> Vec<Store> {
        let kept = self.kept.clone();
        kept.into_iter()
            .map(|value| {
                let element = self.element(value, at, None);
                self.store_to(value, at, element)
            })
            .collect()
    }

    fn store_to(&mut self, value: ValueId, at: &[At], element: ExprId) -> Store {
        let Home::Memory { argument, storage } = &self.homes[&value] else { unreachable!("kept values have buffers") };
        let buffer = self.buffer(argument, *storage, Role::Write);
        let ty = self.graph.ty(value);
        Store { access: row_major(buffer, ty, at, Scalar::zero(ty.dtype)), value: element }
    }

    /// The element of a value: computed here, a literal, or read from where the value lies.
    fn element(&mut self, value: ValueId, at: &[At], fill: Option<Scalar>) -> ExprId {
        if let Some((_, _, expr)) = self.bound.iter().find(|(v, place, _)| *v == value && place == at) {
            return *expr;
        }
        if let Some(node) = self.inlined.get(&value).copied() {
            let element = self.computed(node, at);
            self.bound.push((value, at.to_vec(), element));
            return element;
        }
        let ty = self.graph.ty(value).clone();
        match &self.homes[&value] {
            Home::Literal(number) => (self as &mut dyn Build).constant(*number),
            Home::Virtual(node) => self.computed(*node, at),
            Home::Memory { argument, storage } => {
                let buffer = self.buffer(argument, *storage, Role::Read);
                self.operand(buffer, &ty, at, fill)
            }
        }
    }

    fn computed(&mut self, node: NodeId, at: &[At]) -> ExprId {
        self.graph.with_call(node, |op, call| {
            let point = match op.op().lower(call) {
                Lowering::Point(point) => point,
                Lowering::Alias => return self.renamed(node, at),
                Lowering::Stages { .. } => unreachable!("only points are computed in place"),
            };
            self.running.push(node);
            let element = point(self, at);
            self.running.pop();
            self.wrapped(call.result(0).dtype, element)
        })
    }

    /// The element of an alias that `groups` looks through.
    fn renamed(&mut self, node: NodeId, at: &[At]) -> ExprId {
        let axes = unit_axes(self.graph, node).expect("other aliases lie in memory");
        let first = At::index(mlc_codegen::kernel::Index::constant(0));
        let at: Vec<At> = axes.into_iter().map(|axis| axis.map_or(first.clone(), |axis| at[axis].clone())).collect();
        self.element(self.graph.nodes[node].inputs[0], &at, None)
    }

    /// An element that does not go through memory: integers wrap as memory would make them.
    fn wrapped(&mut self, dtype: DType, element: ExprId) -> ExprId {
        let narrow = dtype.is_integer() && dtype != dtype.compute();
        if narrow { (self as &mut dyn Build).convert(dtype, element) } else { element }
    }

    fn operand(&mut self, buffer: BufferId, ty: &TensorType, at: &[At], fill: Option<Scalar>) -> ExprId {
        let fill = fill.unwrap_or(Scalar::zero(ty.dtype));
        let access = row_major(buffer, ty, at, fill);
        let operands = &mut self.kernel.operands;
        let found = operands.iter().position(|a| *a == access).unwrap_or_else(|| {
            operands.push(access);
            operands.len() - 1
        });
        self.kernel.expr.push(Node::Operand(OperandId(found as u32)))
    }

    /// The parameter for an argument in a role; one that is written and read back is both.
    fn buffer(&mut self, argument: &Argument, storage: Storage, role: Role) -> BufferId {
        let found = self.arguments.iter().position(|a| a == argument);
        let index = found.unwrap_or_else(|| {
            let name = format!("b{}", self.arguments.len());
            self.kernel.buffers.push(Buffer { name, storage, role });
            self.arguments.push(argument.clone());
            self.arguments.len() - 1
        });
        let have = &mut self.kernel.buffers[index].role;
        if *have != role {
            *have = Role::ReadWrite;
        }
        BufferId(index as u32)
    }

    fn target(&mut self, target: Target, role: Role) -> (BufferId, TensorType) {
        match target {
            Target::Temp(i) => {
                let (ty, argument) = &self.temps[i];
                (self.buffer(argument, Storage::Plain(ty.dtype), role), ty.clone())
            }
            Target::Result(i) => {
                let node = *self.running.last().expect("a stage is running");
                let value = self.graph.nodes[node].outputs[i];
                let Home::Memory { argument, storage } = &self.homes[&value] else {
                    unreachable!("results of stages have buffers")
                };
                (self.buffer(argument, *storage, role), self.graph.ty(value).clone())
            }
        }
    }
}

impl Build for Elements<'_> {
    fn kernel(&mut self) -> &mut Kernel {
        &mut self.kernel
    }

    fn input_or(&mut self, input: usize, at: &[At], fill: Option<Scalar>) -> ExprId {
        let node = *self.running.last().expect("a lowering is running");
        self.element(self.graph.nodes[node].inputs[input], at, fill)
    }

    fn store(&mut self, target: Target, at: &[At], value: ExprId) -> Vec<Store> {
        let node = *self.running.last().expect("a stage is running");
        if let Target::Result(i) = target {
            let result = self.graph.nodes[node].outputs[i];
            if self.kept != [result] && self.graph.nodes[node].outputs.len() == 1 {
                let value = self.wrapped(self.graph.ty(result).dtype, value);
                self.bound.push((result, at.to_vec(), value));
                return self.keep(at);
            }
        }
        let (buffer, ty) = self.target(target, Role::Write);
        vec![Store { access: row_major(buffer, &ty, at, Scalar::zero(ty.dtype)), value }]
    }

    fn load(&mut self, target: Target, at: &[At], fill: Option<Scalar>) -> ExprId {
        let (buffer, ty) = self.target(target, Role::Read);
        self.operand(buffer, &ty, at, fill)
    }
}
