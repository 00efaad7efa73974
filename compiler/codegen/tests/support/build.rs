//! Kernels by hand.

use mlc_codegen::base::{DType, Dim, Scalar, Slot, Storage};
use mlc_codegen::kernel::*;

/// A kernel under construction.
pub struct Build(pub Kernel);

pub fn slot(i: u32) -> Dim {
    Dim::slot(Slot(i))
}

impl Build {
    pub fn new(name: &str) -> Build {
        Build(Kernel {
            name: name.into(),
            axes: vec![],
            buffers: vec![],
            operands: vec![],
            expr: Expr::default(),
            body: Body::Map(vec![]),
        })
    }

    pub fn axis(&mut self, name: &str, extent: impl Into<Dim>) -> AxisId {
        self.0.axes.push(Axis { name: name.into(), extent: extent.into() });
        AxisId(self.0.axes.len() as u32 - 1)
    }

    pub fn buffer(&mut self, name: &str, storage: Storage, role: Role) -> BufferId {
        self.0.buffers.push(Buffer { name: name.into(), storage, role });
        BufferId(self.0.buffers.len() as u32 - 1)
    }

    pub fn input(&mut self, dtype: DType) -> BufferId {
        self.buffer("x", Storage::Plain(dtype), Role::Read)
    }

    pub fn output(&mut self, dtype: DType) -> BufferId {
        self.buffer("y", Storage::Plain(dtype), Role::Write)
    }

    pub fn read(&mut self, access: Access) -> ExprId {
        self.0.operands.push(access);
        let id = OperandId(self.0.operands.len() as u32 - 1);
        self.0.expr.push(Node::Operand(id))
    }

    /// The row-major element of axes.
    pub fn dense(&self, buffer: BufferId, axes: &[AxisId]) -> Access {
        let fill = Scalar::zero(self.0.buffer(buffer).storage.compute());
        let mut stride = Dim::from(1);
        let mut coords = Vec::new();
        for axis in axes.iter().rev() {
            coords.push(Coord::new(Index::axis(*axis), stride.clone()));
            stride = stride * &self.0.axis(*axis).extent;
        }
        coords.reverse();
        Access::new(buffer, coords, fill)
    }

    pub fn read_dense(&mut self, buffer: BufferId, axes: &[AxisId]) -> ExprId {
        let access = self.dense(buffer, axes);
        self.read(access)
    }

    pub fn store_dense(&self, buffer: BufferId, axes: &[AxisId], value: ExprId) -> Store {
        Store { access: self.dense(buffer, axes), value }
    }

    pub fn f32(&mut self, value: f32) -> ExprId {
        self.0.expr.constant(Scalar::F32(value))
    }

    pub fn binary(&mut self, op: Binary, a: ExprId, b: ExprId) -> ExprId {
        self.0.expr.binary(op, a, b)
    }

    pub fn unary(&mut self, op: Unary, a: ExprId) -> ExprId {
        self.0.expr.unary(op, a)
    }

    pub fn finish(mut self, body: Body) -> Kernel {
        self.0.body = body;
        self.0
    }
}
