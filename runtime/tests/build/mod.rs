//! Kernels of one axis and plans of one entry, in few words.

use mlc_codegen::base::{DType, Dim, Scalar, Slot, SlotDef, Slots, Storage};
use mlc_codegen::kernel::{
    Access, Argument, Axis, AxisId, Binary, Body, Buffer, BufferDef, BufferId, Call, Compare, Coord, EntryPlan, Expr,
    ExprId, Index, Kernel, KernelId, Loops, Node, OperandId, Place, Plan, PlanBuffer, Port, Role, Statement, Step,
    Store, Variant,
};

/// A kernel over one axis of `extent` positions.
pub(crate) struct Builder {
    kernel: Kernel,
}

impl Builder {
    /// Reads f32 buffers `reads`, writes buffers `writes`.
    pub(crate) fn new(name: &str, reads: &[&str], writes: &[(&str, DType)], extent: Dim) -> Builder {
        let buffer = |name: &str, dtype, role| Buffer { name: name.into(), storage: Storage::Plain(dtype), role };
        let reads = reads.iter().map(|name| buffer(name, DType::F32, Role::Read));
        let writes = writes.iter().map(|(name, dtype)| buffer(name, *dtype, Role::Write));
        let buffers = reads.chain(writes).collect();
        let axes = vec![Axis { name: "i".into(), extent }];
        let body = Body::Map(vec![]);
        Builder { kernel: Kernel { name: name.into(), axes, buffers, operands: vec![], expr: Expr::default(), body } }
    }

    /// A buffer that `loops` reads and writes.
    pub(crate) fn add_read_write(&mut self, name: &str, dtype: DType) {
        self.kernel.buffers.push(Buffer { name: name.into(), storage: Storage::Plain(dtype), role: Role::ReadWrite });
    }

    fn operand(&mut self, buffer: u32, index: Index) -> ExprId {
        let access = Access::new(BufferId(buffer), vec![Coord::new(index, 1)], Scalar::F32(0.0));
        self.kernel.operands.push(access);
        self.kernel.expr.push(Node::Operand(OperandId(self.kernel.operands.len() as u32 - 1)))
    }

    /// The element at the axis.
    pub(crate) fn read(&mut self, buffer: u32) -> ExprId {
        self.operand(buffer, Index::axis(AxisId(0)))
    }

    /// Element 0.
    pub(crate) fn read_first(&mut self, buffer: u32) -> ExprId {
        self.operand(buffer, Index::constant(0))
    }

    /// An f32.
    pub(crate) fn constant(&mut self, value: f32) -> ExprId {
        self.kernel.expr.push(Node::Constant(Scalar::F32(value)))
    }

    /// An operation.
    pub(crate) fn binary(&mut self, op: Binary, a: ExprId, b: ExprId) -> ExprId {
        self.kernel.expr.push(Node::Binary(op, a, b))
    }

    /// A comparison.
    pub(crate) fn compare(&mut self, op: Compare, a: ExprId, b: ExprId) -> ExprId {
        self.kernel.expr.push(Node::Compare(op, a, b))
    }

    fn stored(&self, buffer: u32, value: ExprId) -> Store {
        let fill = Scalar::zero(self.kernel.buffers[buffer as usize].storage.compute());
        Store { access: Access::new(BufferId(buffer), vec![Coord::new(Index::axis(AxisId(0)), 1)], fill), value }
    }

    /// A map that stores the value at the axis.
    pub(crate) fn store(mut self, buffer: u32, value: ExprId) -> Kernel {
        self.kernel.body = Body::Map(vec![self.stored(buffer, value)]);
        self.kernel
    }

    /// The same as loops, which may read what they write.
    pub(crate) fn store_loops(mut self, buffer: u32, value: ExprId) -> Kernel {
        let body = vec![Statement::Store(self.stored(buffer, value))];
        let statements = vec![Statement::For { axis: AxisId(0), parallel: true, body }];
        self.kernel.body = Body::Loops(Loops { cells: vec![], statements });
        self.kernel
    }
}

pub(crate) fn slot(slot: Slot) -> Dim {
    Dim::slot(slot)
}

pub(crate) fn table(defs: Vec<SlotDef>) -> Slots {
    let mut slots = Slots::default();
    defs.into_iter().for_each(|def| {
        slots.add(def);
    });
    slots
}

pub(crate) fn plain(place: Place, dtype: DType, elements: Dim) -> BufferDef {
    BufferDef { place, storage: Storage::Plain(dtype), elements }
}

pub(crate) fn input_place(number: u32) -> Place {
    Place::Input(number)
}

pub(crate) fn arena_place(offset: impl Into<Dim>) -> Place {
    Place::Arena { offset: offset.into() }
}

pub(crate) fn input(number: u32, elements: Dim) -> BufferDef {
    plain(Place::Input(number), DType::F32, elements)
}

pub(crate) fn output(number: u32, elements: Dim) -> BufferDef {
    plain(Place::Output(number), DType::F32, elements)
}

pub(crate) fn constant(number: u32, elements: i64) -> BufferDef {
    plain(Place::Constant(number), DType::F32, elements.into())
}

pub(crate) fn state(number: u32, elements: Dim) -> BufferDef {
    plain(Place::State(number), DType::F32, elements)
}

pub(crate) fn arena(offset: impl Into<Dim>, elements: Dim) -> BufferDef {
    plain(arena_place(offset), DType::F32, elements)
}

pub(crate) fn port(name: &str, dtype: DType, dim: Dim) -> Port {
    Port { name: name.into(), dtype, dims: vec![dim], source: 0 }
}

pub(crate) fn always(kernel: u32, arguments: Vec<Argument>) -> Call {
    Call { variants: vec![Variant { guard: vec![], kernel: KernelId(kernel) }], arguments }
}

pub(crate) fn call(kernel: u32, buffers: &[u32]) -> Step {
    Step::Call(always(kernel, buffers.iter().map(|b| Argument::Buffer(PlanBuffer(*b))).collect()))
}

/// A plan of one entry, `main`, without ports.
pub(crate) fn plan(defs: Vec<SlotDef>, kernels: Vec<Kernel>, buffers: Vec<BufferDef>, steps: Vec<Step>) -> Plan {
    let entry = EntryPlan {
        name: "main".into(),
        inputs: vec![],
        sizes: vec![],
        outputs: vec![],
        guards: vec![],
        buffers,
        arena: Dim::from(0),
        steps,
    };
    Plan { slots: table(defs), kernels, states: vec![], constants: vec![], entries: vec![entry] }
}

/// Steps of building.
pub(crate) trait With {
    fn with_ports(self, inputs: &[Port], outputs: &[Port]) -> Self;
    fn with_constant(self, storage: Storage, elements: i64) -> Self;
}

impl With for Plan {
    fn with_ports(mut self, inputs: &[Port], outputs: &[Port]) -> Plan {
        (self.entries[0].inputs, self.entries[0].outputs) = (inputs.to_vec(), outputs.to_vec());
        self
    }

    fn with_constant(mut self, storage: Storage, elements: i64) -> Plan {
        self.constants.push((storage, elements));
        self
    }
}
