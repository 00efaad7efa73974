//! A plain interpreter of kernels over byte buffers: what a kernel means, and the oracle that backends are held to.
//!
//! Invariant: nothing here is clever. Bodies are desugared to loops, every element access is bounds-checked by the
//! slices of Rust, every number passes through the same `Scalar` operations.

mod numbers;
mod storage;

pub use numbers::{binary, compare, convert, unary};
pub use storage::{read_element, write_element};

use super::{Access, Body, ExprId, Index, Kernel, Node, Source, Statement, Store};
use crate::base::{Dim, Scalar};

/// Runs a verified kernel. Panics where an access leaves its buffer, which `check_call` excludes.
pub fn run(kernel: &Kernel, sizes: &[i64], buffers: &mut [Vec<u8>]) {
    let kernel = kernel.as_loops();
    let Body::Loops(loops) = &kernel.body else { unreachable!("desugared above") };
    let cells = loops.cells.iter().map(|dtype| Scalar::zero(*dtype)).collect();
    let mut point = Point { kernel: &kernel, sizes, buffers, positions: vec![0; kernel.axes.len()], cells };
    loops.statements.iter().for_each(|statement| point.run(statement));
}

struct Point<'a> {
    kernel: &'a Kernel,
    sizes: &'a [i64],
    buffers: &'a mut [Vec<u8>],
    positions: Vec<i64>,
    cells: Vec<Scalar>,
}

impl Point<'_> {
    fn run(&mut self, statement: &Statement) {
        match statement {
            Statement::For { axis, body, .. } => {
                for position in 0..self.size(&self.kernel.axis(*axis).extent) {
                    self.positions[axis.0 as usize] = position;
                    body.iter().for_each(|inner| self.run(inner));
                }
            }
            Statement::If { condition, body } => {
                if self.value(*condition) == Scalar::Bool(true) {
                    body.iter().for_each(|inner| self.run(inner));
                }
            }
            Statement::SetCell { cell, value } => self.cells[*cell as usize] = self.value(*value),
            Statement::Store(store) => self.store(store),
        }
    }

    fn store(&mut self, store: &Store) {
        let values = self.values(&[&[store.value][..], &store.access.values().collect::<Vec<_>>()].concat());
        if let Some(element) = self.element(&store.access, &values) {
            let storage = self.kernel.buffer(store.access.buffer).storage;
            let value = values[store.value.0 as usize].expect("a root is computed");
            write_element(storage, &mut self.buffers[store.access.buffer.0 as usize], element, value);
        }
    }

    fn value(&self, root: ExprId) -> Scalar {
        self.values(&[root])[root.0 as usize].expect("a root is computed")
    }

    fn values(&self, roots: &[ExprId]) -> Vec<Option<Scalar>> {
        let mut values: Vec<Option<Scalar>> = vec![None; self.kernel.expr.nodes.len()];
        for id in self.kernel.reachable(roots) {
            let of = |x: &ExprId| values[x.0 as usize].expect("nodes stand after what they use");
            let value = match &self.kernel.expr.nodes[id.0 as usize] {
                Node::Operand(operand) => {
                    let access = self.kernel.operand(*operand);
                    match self.element(access, &values) {
                        Some(element) => {
                            let storage = self.kernel.buffer(access.buffer).storage;
                            read_element(storage, &self.buffers[access.buffer.0 as usize], element)
                        }
                        None => access.fill,
                    }
                }
                Node::Constant(scalar) => *scalar,
                Node::Size(dim) => Scalar::I64(self.size(dim)),
                Node::Position(axis) => Scalar::I64(self.positions[axis.0 as usize]),
                Node::Cell(cell) => self.cells[*cell as usize],
                Node::Accumulator => unreachable!("loops have cells"),
                Node::Unary(op, a) => unary(*op, of(a)),
                Node::Binary(op, a, b) => binary(*op, of(a), of(b)),
                Node::Compare(op, a, b) => Scalar::Bool(compare(*op, of(a), of(b))),
                Node::Select(condition, yes, no) => match of(condition) {
                    Scalar::Bool(true) => of(yes),
                    _ => of(no),
                },
                Node::Convert(dtype, a) => convert(*dtype, of(a)),
            };
            values[id.0 as usize] = Some(value);
        }
        values
    }

    /// The element an access touches here; `None` outside a guard.
    fn element(&self, access: &Access, values: &[Option<Scalar>]) -> Option<i64> {
        let mut element = self.size(&access.base);
        for coord in &access.coords {
            let position = match &coord.source {
                Source::Index(index) => self.index(index),
                Source::Value(value) => values[value.0 as usize].expect("coordinates are computed first").as_i64(),
            };
            if coord.guard.as_ref().is_some_and(|guard| !(0..self.size(guard)).contains(&position)) {
                return None;
            }
            element += self.size(&coord.stride) * position;
        }
        Some(element)
    }

    fn index(&self, index: &Index) -> i64 {
        let terms = index.terms.iter().map(|(axis, c)| c * self.positions[axis.0 as usize]);
        let quotient = (self.size(&index.plus) + terms.sum::<i64>()).div_euclid(index.div);
        index.modulus.map_or(quotient, |m| quotient.rem_euclid(m))
    }

    fn size(&self, dim: &Dim) -> i64 {
        dim.eval(self.sizes).expect("checked when the sizes were set")
    }
}
