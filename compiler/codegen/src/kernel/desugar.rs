//! Every skeleton as `loops`: the meaning of a skeleton in the one general form, and the code path that every kernel has.
//! A backend's faster lowerings are held to this one.

use super::{
    Access, Attention, AxisId, Binary, Body, Compare, Contract, Expr, ExprId, Fold, FoldKind, Index, Kernel, Loops,
    Node, Reduce, Statement, Store, Unary,
};
use crate::base::{DType, Scalar};

impl FoldKind {
    /// How two values combine.
    pub fn combine(self, dtype: DType) -> Binary {
        match (self, dtype) {
            (FoldKind::Sum | FoldKind::Max, DType::Bool) => Binary::Or,
            (FoldKind::Product | FoldKind::Min, DType::Bool) => Binary::And,
            (FoldKind::Sum, _) => Binary::Add,
            (FoldKind::Product, _) => Binary::Mul,
            (FoldKind::Max, _) => Binary::Max,
            (FoldKind::Min, _) => Binary::Min,
        }
    }

    /// The neutral element.
    pub fn start(self, dtype: DType) -> Scalar {
        match (self, dtype) {
            (FoldKind::Sum | FoldKind::Max, DType::Bool) => Scalar::Bool(false),
            (FoldKind::Product | FoldKind::Min, DType::Bool) => Scalar::Bool(true),
            (FoldKind::Sum, _) => Scalar::zero(dtype),
            (FoldKind::Product, _) => Scalar::from_i64(dtype, 1),
            (FoldKind::Max, _) if dtype.is_float() => Scalar::from_f64(dtype, f64::NEG_INFINITY),
            (FoldKind::Min, _) if dtype.is_float() => Scalar::from_f64(dtype, f64::INFINITY),
            (FoldKind::Max, _) => Scalar::from_i64(dtype, dtype.integer_range().map_or(0, |(lo, _)| lo)),
            (FoldKind::Min, _) => Scalar::from_i64(dtype, dtype.integer_range().map_or(0, |(_, hi)| hi)),
        }
    }
}

impl Kernel {
    /// The same kernel with a `Loops` body. The kernel is verified.
    pub fn as_loops(&self) -> Kernel {
        let mut kernel = self.clone();
        kernel.body = Body::Loops(match &self.body {
            Body::Map(stores) => {
                let axes: Vec<AxisId> = (0..self.axes.len() as u32).map(AxisId).collect();
                Loops { cells: vec![], statements: nest(&axes, true, store_all(stores)) }
            }
            Body::Reduce(reduce) => kernel.reduce_loops(reduce),
            Body::Contract(contract) => kernel.contract_loops(contract),
            Body::Attention(attention) => kernel.attention_loops(attention),
            Body::Loops(loops) => loops.clone(),
        });
        kernel
    }

    fn dtype(&self, id: ExprId) -> DType {
        self.types().expect("the kernel is verified").of(id)
    }

    fn reduce_loops(&mut self, reduce: &Reduce) -> Loops {
        let types = self.types().expect("the kernel is verified");
        let cells: Vec<DType> = reduce.folds.iter().map(|fold| types.of(fold.value)).collect();
        let rows: Vec<AxisId> = (0..self.axes.len() as u32).map(AxisId).filter(|a| !reduce.over.contains(a)).collect();
        let mut body = Vec::new();
        for (cell, fold) in reduce.folds.iter().enumerate() {
            body.extend(fold_loop(&mut self.expr, cell as u32, fold, cells[cell], &reduce.over));
        }
        for store in &reduce.stores {
            let per_row = !reduce.over.iter().any(|axis| self.access_mentions(&store.access, *axis));
            let axes: &[AxisId] = if per_row { &[] } else { &reduce.over };
            body.extend(nest(axes, false, vec![Statement::Store(store.clone())]));
        }
        Loops { cells, statements: nest(&rows, true, body) }
    }

    fn contract_loops(&mut self, c: &Contract) -> Loops {
        let product = self.product(c.a, c.b, c.accumulator);
        for node in &mut self.expr.nodes {
            if *node == Node::Accumulator {
                *node = Node::Cell(0);
            }
        }
        let fold = Fold { kind: FoldKind::Sum, value: product };
        let mut body = fold_loop(&mut self.expr, 0, &fold, c.accumulator, &c.k);
        body.extend(store_all(&c.stores));
        let outputs = [&c.batch[..], &c.m, &c.n].concat();
        Loops { cells: vec![c.accumulator], statements: nest(&outputs, true, body) }
    }

    /// `a * b` in the accumulator's type.
    fn product(&mut self, a: ExprId, b: ExprId, accumulator: DType) -> ExprId {
        let [a, b] = [a, b].map(|side| match self.dtype(side) == accumulator {
            true => side,
            false => self.expr.convert(accumulator, side),
        });
        self.expr.binary(Binary::Mul, a, b)
    }

    /// Three passes over n, each computing the scores again: their maximum, the sum of their exponentials, and for each e
    /// the weighted sum. Hidden scores are -inf; where all are, the sum is 0.
    fn attention_loops(&mut self, a: &Attention) -> Loops {
        const DOT: u32 = 0;
        const MAX: u32 = 1;
        const SUM: u32 = 2;
        const OUT: u32 = 3;
        let dtype = self.dtype(a.q);
        let dot = self.expr.push(Node::Cell(DOT));
        let score = replaced(&mut self.expr, &[a.score], dot)[0];
        let dot_product = self.expr.binary(Binary::Mul, a.q, a.k);
        let (max, sum, out) =
            (self.expr.push(Node::Cell(MAX)), self.expr.push(Node::Cell(SUM)), self.expr.push(Node::Cell(OUT)));
        let zero = self.expr.constant(Scalar::zero(dtype));
        let nothing = self.expr.constant(Scalar::from_f64(dtype, f64::NEG_INFINITY));
        let hidden = self.expr.compare(Compare::Eq, max, nothing);
        let shift = self.expr.select(hidden, zero, max);
        let shifted = self.expr.binary(Binary::Sub, score, shift);
        let weight = self.expr.unary(Unary::Exp, shifted);
        let weighted = self.expr.binary(Binary::Mul, weight, a.v);
        let visible = self.visible(a);
        let pass = |expr: &mut Expr, cell, kind, value| {
            let mut inner = fold_loop(expr, DOT, &Fold { kind: FoldKind::Sum, value: dot_product }, dtype, &[a.d]);
            inner.extend(fold_loop(expr, cell, &Fold { kind, value }, dtype, &[]).into_iter().skip(1));
            let body = match visible {
                Some(condition) => vec![Statement::If { condition, body: inner }],
                None => inner,
            };
            let mut all = vec![Statement::SetCell { cell, value: expr.constant(FoldKind::start(kind, dtype)) }];
            all.extend(nest(&[a.n], false, body));
            all
        };
        let mut body = pass(&mut self.expr, MAX, FoldKind::Max, score);
        body.extend(pass(&mut self.expr, SUM, FoldKind::Sum, weight));
        let mut each = pass(&mut self.expr, OUT, FoldKind::Sum, weighted);
        let quotient = self.expr.binary(Binary::Div, out, sum);
        let result = match a.blind_is_zero {
            true => {
                let blind = self.expr.compare(Compare::Eq, sum, zero);
                self.expr.select(blind, zero, quotient)
            }
            false => quotient,
        };
        for store in &a.stores {
            let mut roots = vec![store.value];
            roots.extend(store.access.values());
            let new = replaced(&mut self.expr, &roots, result);
            let access = with_values(&store.access, &new[1..]);
            each.push(Statement::Store(Store { access, value: new[0] }));
        }
        body.extend(nest(&[a.e], false, each));
        let rows = [&a.batch[..], &a.m].concat();
        Loops { cells: vec![dtype; 4], statements: nest(&rows, true, body) }
    }

    /// Whether the position of n lies in the visible range.
    fn visible(&mut self, a: &Attention) -> Option<ExprId> {
        let (from, to) = a.visible.as_ref()?;
        let n = self.expr.push(Node::Position(a.n));
        let (from, to) = (self.affine(from), self.affine(to));
        let above = self.expr.compare(Compare::Le, from, n);
        let below = self.expr.compare(Compare::Lt, n, to);
        Some(self.expr.binary(Binary::And, above, below))
    }

    fn affine(&mut self, index: &Index) -> ExprId {
        let mut sum = self.expr.push(Node::Size(index.plus.clone()));
        for (axis, coefficient) in &index.terms {
            let position = self.expr.push(Node::Position(*axis));
            let coefficient = self.expr.constant(Scalar::I64(*coefficient));
            let step = self.expr.binary(Binary::Mul, position, coefficient);
            sum = self.expr.binary(Binary::Add, sum, step);
        }
        sum
    }
}

/// Copies of `roots` in which `Accumulator` is `with`.
fn replaced(expr: &mut Expr, roots: &[ExprId], with: ExprId) -> Vec<ExprId> {
    let mut new: Vec<ExprId> = Vec::new();
    let old = expr.nodes.clone();
    let limit = roots.iter().map(|root| root.0 as usize + 1).max().unwrap_or(0);
    for (i, node) in old[..limit].iter().enumerate() {
        let at = |id: &ExprId| new[id.0 as usize];
        let id = match node {
            Node::Accumulator => with,
            _ if node.inputs().all(|input| at(&input) == input) => ExprId(i as u32),
            Node::Unary(op, a) => expr.push(Node::Unary(*op, at(a))),
            Node::Convert(dtype, a) => expr.push(Node::Convert(*dtype, at(a))),
            Node::Binary(op, a, b) => expr.push(Node::Binary(*op, at(a), at(b))),
            Node::Compare(op, a, b) => expr.push(Node::Compare(*op, at(a), at(b))),
            Node::Select(a, b, c) => expr.push(Node::Select(at(a), at(b), at(c))),
            _ => ExprId(i as u32),
        };
        new.push(id);
    }
    roots.iter().map(|root| new[root.0 as usize]).collect()
}

/// The access with its computed coordinates replaced in order.
fn with_values(access: &Access, values: &[ExprId]) -> Access {
    let mut access = access.clone();
    let mut values = values.iter();
    for coord in &mut access.coords {
        if let super::Source::Value(value) = &mut coord.source {
            *value = *values.next().expect("one value per computed coordinate");
        }
    }
    access
}

fn store_all(stores: &[Store]) -> Vec<Statement> {
    stores.iter().cloned().map(Statement::Store).collect()
}

fn fold_loop(expr: &mut Expr, cell: u32, fold: &Fold, dtype: DType, over: &[AxisId]) -> Vec<Statement> {
    let start = expr.constant(fold.kind.start(dtype));
    let old = expr.push(Node::Cell(cell));
    let combined = expr.binary(fold.kind.combine(dtype), old, fold.value);
    let mut statements = vec![Statement::SetCell { cell, value: start }];
    statements.extend(nest(over, false, vec![Statement::SetCell { cell, value: combined }]));
    statements
}

fn nest(axes: &[AxisId], parallel: bool, body: Vec<Statement>) -> Vec<Statement> {
    axes.iter().rev().fold(body, |body, axis| vec![Statement::For { axis: *axis, parallel, body }])
}
