//! Nodes without blocks inside: ops, constants, states.

use super::super::{ConstantData, ConstantId, Node, NodeId, NodeKind, StateId};
use super::{Fault, Walk};
use crate::ops::{Arguments, Attr, Call, Default, Infer, Kind, OpKind, Param, fits};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim, Slot, SlotDef, Storage, Truth};

/// A write is compared with so many before it, so that the walk stays linear.
const WRITES: usize = 64;

impl Walk<'_> {
    pub(super) fn op(&mut self, node: &Node, op: OpKind, arguments: &Arguments) -> Result<(), Fault> {
        let signature = op.op().signature();
        let (tensors, others): (Vec<&Param>, Vec<&Param>) = signature.params.iter().partition(|p| p.is_tensor());
        self.count("tensor arguments", arguments.counts.len(), tensors.len())?;
        self.count("inputs", node.inputs.len(), arguments.counts.iter().sum::<u32>() as usize)?;
        self.count("other arguments", arguments.attrs.len(), others.len())?;
        for (param, count) in tensors.into_iter().zip(&arguments.counts) {
            let optional = param.default != Default::Required;
            if param.kind == Kind::Tensor && !(*count == 1 || *count == 0 && optional) {
                return Err(Fault::Argument(param.name));
            }
        }
        for (param, attr) in others.into_iter().zip(&arguments.attrs) {
            let absent = *attr == Attr::None && !matches!(param.default, Default::None);
            if absent || !fits(param.kind, attr) || !self.axes_fit(node, op, param.kind, attr) {
                return Err(Fault::Argument(param.name));
            }
        }
        let inputs: Vec<TensorType> = node.inputs.iter().map(|value| self.graph.ty(*value).clone()).collect();
        let call = Call { signature, arguments, inputs: &inputs, results: &[] };
        let mut cx = Infer::new(&mut self.slots, &self.graph.facts);
        let results = op.op().infer(&call, &mut cx);
        let results = results.map_err(|error| Fault::Refused { op: signature.name, why: error.message })?;
        self.count("outputs", node.outputs.len(), results.len())?;
        node.outputs.iter().zip(&results).try_for_each(|(output, ty)| self.typed(*output, ty))
    }

    /// Axes are counted from zero once the frontend is done with them; `stack` makes one more.
    fn axes_fit(&self, node: &Node, op: OpKind, kind: Kind, attr: &Attr) -> bool {
        let rank = node.inputs.first().map_or(0, |first| self.graph.ty(*first).rank());
        let axes = 0..(rank + usize::from(op == OpKind::Stack)).max(1) as i64;
        match (kind, attr) {
            (Kind::Axis | Kind::Axes, Attr::Int(axis)) => axes.contains(axis),
            (Kind::Axes, Attr::Ints(all)) => all.iter().all(|axis| axes.contains(axis)),
            _ => true,
        }
    }

    pub(super) fn constant(&mut self, node: &Node, members: &[ConstantId], counter: Option<Slot>) -> Result<(), Fault> {
        self.count("inputs", node.inputs.len(), 0)?;
        self.count("outputs", node.outputs.len(), 1)?;
        let trips = match counter {
            None => 1,
            Some(slot) if self.counters.contains(&slot) => match self.graph.slots.def(slot) {
                SlotDef::Counter { trips, .. } => trips.as_constant().ok_or(Fault::Counter)?,
                _ => return Err(Fault::Counter),
            },
            Some(_) => return Err(Fault::Counter),
        };
        self.count("members", members.len(), trips.max(1) as usize)?;
        let ty = &self.graph.values.get(node.outputs[0]).ok_or(Fault::Absent("value"))?.ty;
        members.iter().try_for_each(|member| self.member(*member, ty))?;
        let storage = |member: &ConstantId| self.graph.constants[*member].storage;
        match members.windows(2).find(|pair| storage(&pair[0]) != storage(&pair[1])) {
            None => Ok(()),
            Some(pair) => Err(Fault::Mixed(storage(&pair[0]), storage(&pair[1]))),
        }
    }

    fn member(&self, member: ConstantId, ty: &TensorType) -> Result<(), Fault> {
        let constant = self.graph.constants.get(member).ok_or(Fault::Absent("constant"))?;
        let name = || constant.name.clone();
        let Some(shape) = constant.ty.shape() else { return Err(Fault::Dynamic(name())) };
        if constant.ty != *ty {
            let [found, expected] = [&constant.ty, ty].map(|ty| ty.show(&self.slots));
            return Err(Fault::ConstantType { name: name(), found, expected });
        }
        let narrower = |kept: DType| ty.dtype == DType::F32 && matches!(kept, DType::F16 | DType::BF16);
        let readable = match constant.storage {
            Storage::Plain(kept) => kept == ty.dtype || narrower(kept),
            Storage::Interleaved(_) | Storage::Sparse(_) => false,
            Storage::Packed(packing) => {
                ty.dtype == DType::F32 && shape.last().is_some_and(|last| last % packing.elements() == 0)
            }
        };
        if !readable {
            return Err(Fault::Storage { name: name(), storage: constant.storage });
        }
        let ConstantData::Tensor(tensor) = &constant.data else { return Ok(()) };
        let elements = shape.iter().product();
        let same = tensor.shape().iter().map(|d| *d as i64).eq(shape);
        let held = match constant.storage {
            Storage::Packed(_) => {
                let bytes = constant.storage.bytes_for(elements);
                tensor.dtype() == DType::U8 && bytes == Some(tensor.len() as i64)
            }
            storage => same && Storage::Plain(tensor.dtype()) == storage,
        };
        match held {
            true => Ok(()),
            false => Err(Fault::Numbers(name())),
        }
    }

    pub(super) fn read(&mut self, node: &Node, state: StateId) -> Result<(), Fault> {
        self.count("inputs", node.inputs.len(), 0)?;
        self.count("outputs", node.outputs.len(), 1)?;
        let ty = &self.graph.states.get(state).ok_or(Fault::Absent("state"))?.ty;
        self.typed(node.outputs[0], ty)
    }

    pub(super) fn set(&mut self, id: NodeId, node: &Node, state: StateId, starts: &[Dim]) -> Result<(), Fault> {
        self.count("inputs", node.inputs.len(), 1)?;
        self.count("outputs", node.outputs.len(), 0)?;
        let written = self.graph.states.get(state).ok_or(Fault::Absent("state"))?;
        let value = self.graph.ty(node.inputs[0]);
        self.count("starts", starts.len(), written.ty.rank())?;
        self.count("axes of the value", value.rank(), written.ty.rank())?;
        self.typed(node.inputs[0], &value.with_dtype(written.ty.dtype))?;
        let before = self.writes.remove(&state).unwrap_or_default();
        let clash = before.iter().copied().find(|other| self.clash(*other, id));
        let kept = before[before.len().saturating_sub(WRITES - 1)..].iter().copied().chain([id]).collect();
        self.writes.insert(state, kept);
        clash.map_or(Ok(()), |first| Err(Fault::Writers { state: written.name.clone(), first }))
    }

    /// Whether two sets may write one place. Those of one statement are iterations of a loop that was unrolled.
    fn clash(&mut self, first: NodeId, second: NodeId) -> bool {
        let [a, b] = [first, second].map(|node| &self.graph.nodes[node]);
        let (NodeKind::Set { starts: x, .. }, NodeKind::Set { starts: y, .. }) = (&a.kind, &b.kind) else {
            unreachable!("only sets are noted")
        };
        let [from, to] = [a, b].map(|node| &self.graph.ty(node.inputs[0]).dims);
        let cx = Infer::new(&mut self.slots, &self.graph.facts);
        let before =
            |start: &Dim, extent: &Dim, other: &Dim| cx.not_negative(&(other.clone() - start - extent)) == Truth::Yes;
        let apart =
            (0..x.len()).any(|axis| before(&x[axis], &from[axis], &y[axis]) || before(&y[axis], &to[axis], &x[axis]));
        !apart && (a.loc != b.loc || x == y)
    }
}
