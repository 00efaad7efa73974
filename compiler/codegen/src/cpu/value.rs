//! Expressions at the current point: what varies between lanes as vectors, what does not as one number.

use super::arithmetic::Arithmetic;
use super::clif::{Parts, scalar_type, vector_type, wide};
use super::driver::{Accumulator, Driver};
use super::nest::Lanes;
use super::{expr, lanes};
use crate::base::{DType, Scalar};
use crate::kernel::{ExprId, Node, Role, Source};
use cranelift_codegen::ir::Value;
use cranelift_frontend::Variable;

impl<'f> Driver<'f, '_> {
    /// The value of a node, one number per lane.
    pub(super) fn value(&mut self, root: ExprId) -> Parts {
        let value = self.computed(root);
        self.in_lanes(root, value)
    }

    /// The value of a node that does not vary between lanes.
    pub(super) fn uniform(&mut self, root: ExprId) -> Value {
        self.computed(root).scalar()
    }

    fn computed(&mut self, root: ExprId) -> Parts {
        for id in self.needed(root) {
            let value = self.node(id);
            self.values[id.0 as usize] = Some(value);
        }
        self.values[root.0 as usize].expect("it was just computed")
    }

    /// The nodes that a root needs and that are not computed yet, in order. Coordinates that vary are not among them:
    /// they are computed lane by lane where they are used.
    fn needed(&self, root: ExprId) -> Vec<ExprId> {
        let nodes = &self.kernel.expr.nodes;
        let mut needed = vec![false; nodes.len()];
        let mark = |needed: &mut Vec<bool>, id: ExprId| needed[id.0 as usize] |= self.values[id.0 as usize].is_none();
        mark(&mut needed, root);
        for i in (0..=root.0 as usize).rev() {
            if !needed[i] {
                continue;
            }
            nodes[i].inputs().for_each(|input| mark(&mut needed, input));
            if let Node::Operand(operand) = &nodes[i] {
                let values = self.kernel.operand(*operand).values();
                values.filter(|v| !self.varies[v.0 as usize]).for_each(|v| mark(&mut needed, v));
            }
        }
        (0..nodes.len()).filter(|i| needed[*i]).map(|i| ExprId(i as u32)).collect()
    }

    fn in_lanes(&mut self, id: ExprId, value: Parts) -> Parts {
        match self.lanes {
            Some(lanes) if !self.varies[id.0 as usize] => {
                let dtype = self.types.of(id);
                self.vector(lanes.count).splat(dtype, value.scalar())
            }
            _ => value,
        }
    }

    /// One node whose inputs are computed.
    fn node(&mut self, id: ExprId) -> Parts {
        let varies = self.varies[id.0 as usize];
        let count = self.lanes.filter(|_| varies).map_or(1, |lanes| lanes.count);
        let input = |d: &mut Self, x: ExprId| {
            let value = d.values[x.0 as usize].expect("nodes stand after what they use");
            if varies { d.in_lanes(x, value) } else { value }
        };
        let dtype = self.types.of(id);
        match self.kernel.expr.nodes[id.0 as usize].clone() {
            Node::Operand(operand) => {
                let access = self.kernel.operand(operand);
                if varies { self.load(access) } else { Parts::one(self.load_one(access)) }
            }
            Node::Constant(scalar) => self.vector(count).constant(scalar),
            Node::Size(dim) => Parts::one(self.dim(&dim)),
            Node::Position(axis) => {
                let position = self.positions[axis.0 as usize].expect("the skeleton binds its axes");
                if !varies {
                    return Parts::one(position);
                }
                let mut e = self.vector(count);
                let first = e.splat(DType::I64, position);
                let numbers = lanes::lane_numbers(&mut e);
                e.binary(crate::kernel::Binary::Add, DType::I64, first, numbers)
            }
            Node::Cell(cell) => self.read_cell(cell),
            Node::Accumulator => self.read_accumulator(dtype),
            Node::Unary(op, a) => {
                let a = input(self, a);
                expr::unary(&mut self.vector(count), op, dtype, a)
            }
            Node::Binary(op, a, b) => {
                let (a, b) = (input(self, a), input(self, b));
                expr::binary(&mut self.vector(count), op, dtype, a, b)
            }
            Node::Compare(op, x, y) => {
                let operands = self.types.of(x);
                let (x, y) = (input(self, x), input(self, y));
                self.vector(count).compare(op, operands, x, y)
            }
            Node::Select(condition, yes, no) => {
                let (condition, yes, no) = (input(self, condition), input(self, yes), input(self, no));
                self.vector(count).select(dtype, condition, yes, no)
            }
            Node::Convert(to, a) => {
                let from = self.types.of(a);
                let a = input(self, a);
                expr::convert(&mut self.vector(count), from, to, a)
            }
        }
    }

    pub(super) fn read_cell(&mut self, cell: u32) -> Parts {
        let variables = self.cells[cell as usize].clone();
        self.read_variables(&variables)
    }

    pub(super) fn set_cell(&mut self, cell: u32, value: Parts) {
        let variables = self.cells[cell as usize].clone();
        self.set_variables(&variables, &value);
    }

    /// Variables that hold the same literal in each of `count` lanes, one for each vector of them.
    pub(super) fn new_variables(&mut self, count: usize, start: Scalar) -> Vec<Variable> {
        let (parts, kind) = (self.vector(count).constant(start), self.vector(count).part_type(start.dtype()));
        let declare = |part: &Value| {
            let variable = self.b.declare_var(kind);
            self.b.def_var(variable, *part);
            variable
        };
        parts.all().iter().map(declare).collect()
    }

    pub(super) fn read_variables(&mut self, variables: &[Variable]) -> Parts {
        Parts::new(variables.iter().map(|v| self.b.use_var(*v)).collect::<Vec<_>>())
    }

    pub(super) fn set_variables(&mut self, variables: &[Variable], value: &Parts) {
        variables.iter().zip(value.all()).for_each(|(variable, part)| self.b.def_var(*variable, *part));
    }

    fn read_accumulator(&mut self, dtype: DType) -> Parts {
        let Accumulator::At(at) = self.accumulator else { unreachable!("loops have cells") };
        match self.lanes {
            None => Parts::one(self.read(scalar_type(dtype), at, 0)),
            Some(lanes) => {
                let each = if wide(dtype) { 2 } else { 4 };
                let parts = (0..lanes.count / each).map(|i| self.read(vector_type(dtype), at, i as i32 * 16));
                Parts::new(parts.collect::<Vec<_>>())
            }
        }
    }

    /// From here on lanes along an axis are computed together, or single points.
    pub(super) fn enter_lanes(&mut self, lanes: Option<Lanes>, cells_vary: bool) {
        self.lanes = lanes;
        self.varies = vec![false; self.kernel.expr.nodes.len()];
        self.values = vec![None; self.kernel.expr.nodes.len()];
        let Some(lanes) = lanes else { return };
        for i in 0..self.varies.len() {
            let node = &self.kernel.expr.nodes[i];
            self.varies[i] = match node {
                Node::Position(axis) => *axis == lanes.axis,
                Node::Operand(operand) => self.kernel.operand(*operand).coords.iter().any(|c| match &c.source {
                    Source::Index(index) => index.mentions(lanes.axis),
                    Source::Value(value) => self.varies[value.0 as usize],
                }),
                Node::Cell(_) => cells_vary,
                Node::Accumulator => true,
                node => node.inputs().any(|input| self.varies[input.0 as usize]),
            };
        }
    }

    /// Finds what may change between statements.
    pub(super) fn find_unstable(&mut self) {
        self.unstable = vec![false; self.kernel.expr.nodes.len()];
        for i in 0..self.unstable.len() {
            self.unstable[i] = match &self.kernel.expr.nodes[i] {
                Node::Cell(_) | Node::Accumulator => true,
                Node::Operand(operand) => {
                    let access = self.kernel.operand(*operand);
                    self.kernel.buffer(access.buffer).role == Role::ReadWrite
                        || access.values().any(|value| self.unstable[value.0 as usize])
                }
                node => node.inputs().any(|input| self.unstable[input.0 as usize]),
            };
        }
    }

    /// Forgets what may have changed.
    pub(super) fn forget_unstable(&mut self) {
        for (value, unstable) in self.values.iter_mut().zip(&self.unstable) {
            if *unstable {
                *value = None;
            }
        }
    }

    /// Forgets everything: another point begins.
    pub(super) fn forget(&mut self) {
        self.values.fill(None);
    }
}
