//! Every skeleton as `loops`: the meaning of skeletons in terms of the general form, and the code path that every
//! kernel has on day one. A backend's faster lowerings are held to this one.

use super::*;
use crate::base::{DType, Scalar};

impl Kernel {
    /// The same kernel with a `Loops` body. The kernel is verified.
    pub fn as_loops(&self) -> Kernel {
        let mut kernel = self.clone();
        let types = self.types();
        let all: Vec<AxisId> = (0..self.axes.len() as u32).map(AxisId).collect();
        let loops = match &self.body {
            Body::Loops(_) => return kernel,
            Body::Map(s) => Loops { cells: vec![], statements: nest(&all, true, stores(s)) },
            Body::Reduce(r) => {
                let rows: Vec<AxisId> = all.into_iter().filter(|a| !r.over.contains(a)).collect();
                let mut body = Vec::new();
                for (cell, fold) in r.folds.iter().enumerate() {
                    body.extend(kernel.fold_loop(cell as u32, fold, &r.over, types[fold.value.0 as usize]));
                }
                for store in &r.stores {
                    let per_row = !r.over.iter().any(|axis| self.access_mentions(&store.access, *axis));
                    let axes: &[AxisId] = if per_row { &[] } else { &r.over };
                    body.extend(nest(axes, false, vec![Statement::Store(store.clone())]));
                }
                let cells = r.folds.iter().map(|fold| types[fold.value.0 as usize]).collect();
                Loops { cells, statements: nest(&rows, true, body) }
            }
            Body::Contract(c) => {
                kernel.accumulator_is_cell();
                let [a, b] = [c.a, c.b].map(|side| kernel.as_type(side, types[side.0 as usize], c.accumulator));
                let product = kernel.expr.binary(Binary::Mul, a, b);
                let fold = Fold { kind: FoldKind::Sum, value: product };
                let mut body = kernel.fold_loop(0, &fold, &c.k, c.accumulator);
                body.extend(stores(&c.stores));
                let outputs = [&c.batch[..], &c.m, &c.n].concat();
                Loops { cells: vec![c.accumulator], statements: nest(&outputs, true, body) }
            }
        };
        kernel.body = Body::Loops(loops);
        kernel
    }

    fn accumulator_is_cell(&mut self) {
        for node in &mut self.expr.nodes {
            if *node == Node::Accumulator {
                *node = Node::Cell(0);
            }
        }
    }

    fn as_type(&mut self, value: ExprId, have: DType, want: DType) -> ExprId {
        if have == want { value } else { self.expr.convert(want, value) }
    }

    /// Sets the cell to the neutral element, then combines over the axes.
    fn fold_loop(&mut self, cell: u32, fold: &Fold, over: &[AxisId], dtype: DType) -> Vec<Statement> {
        let op = match fold.kind {
            FoldKind::Sum => Binary::Add,
            FoldKind::Product => Binary::Mul,
            FoldKind::Max => Binary::Max,
            FoldKind::Min => Binary::Min,
        };
        let start = self.expr.constant(fold.kind.neutral(dtype));
        let old = self.expr.push(Node::Cell(cell));
        let new = self.expr.binary(op, old, fold.value);
        let mut statements = vec![Statement::SetCell { cell, value: start }];
        statements.extend(nest(over, false, vec![Statement::SetCell { cell, value: new }]));
        statements
    }
}

impl FoldKind {
    /// What a fold starts from, in a compute type.
    pub fn neutral(self, dtype: DType) -> Scalar {
        let least = |greatest: bool| match dtype {
            DType::I64 => Scalar::I64(if greatest { i64::MAX } else { i64::MIN }),
            DType::I32 => Scalar::I32(if greatest { i32::MAX } else { i32::MIN }),
            _ => Scalar::from_f64(dtype, if greatest { f64::INFINITY } else { f64::NEG_INFINITY }),
        };
        match self {
            FoldKind::Sum => Scalar::from_f64(dtype, 0.0),
            FoldKind::Product => Scalar::from_f64(dtype, 1.0),
            FoldKind::Max => least(false),
            FoldKind::Min => least(true),
        }
    }
}

fn stores(stores: &[Store]) -> Vec<Statement> {
    stores.iter().cloned().map(Statement::Store).collect()
}

/// Loops around a body, the first axis outermost; only that one is shared between parts.
fn nest(axes: &[AxisId], parallel: bool, body: Vec<Statement>) -> Vec<Statement> {
    let wrap =
        |body, (i, axis): (usize, &AxisId)| vec![Statement::For { axis: *axis, parallel: parallel && i == 0, body }];
    axes.iter().enumerate().rev().fold(body, wrap)
}
