//! How much a call of a kernel does, from its sizes alone: what measurements are compared with.

use super::{Access, AxisId, Body, Coord, ExprId, Index, Kernel, Node, Source};
use crate::base::Storage;

/// Arithmetic and memory traffic of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Operations: a multiply-add counts two, a function of many instructions one.
    pub flops: f64,
    /// Bytes of the distinct elements that are read, and of those that are written; packed ones as they are packed.
    pub bytes: f64,
}

/// Bytes of the distinct elements of one buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Of those that are read.
    pub read: f64,
    /// Of those that are written.
    pub written: f64,
}

impl Kernel {
    /// The work of a call with these sizes.
    pub fn work(&self, sizes: &[i64]) -> Work {
        let bytes = self.traffic(sizes).iter().map(|buffer| buffer.read + buffer.written).sum();
        Work { flops: self.flops(sizes), bytes }
    }

    /// What a call with these sizes moves, by buffer. Two different accesses to a buffer count as if they shared no element,
    /// so that it may be more than the buffer holds.
    pub fn traffic(&self, sizes: &[i64]) -> Vec<Traffic> {
        let extents = self.extents(sizes);
        let mut traffic = vec![Traffic::default(); self.buffers.len()];
        for (i, access) in self.operands.iter().enumerate() {
            if !self.operands[..i].contains(access) {
                traffic[access.buffer.0 as usize].read += self.bytes(access, &extents, sizes);
            }
        }
        let stores = self.stores();
        for (i, store) in stores.iter().enumerate() {
            if stores[..i].iter().all(|other| other.access != store.access) {
                traffic[store.access.buffer.0 as usize].written += self.bytes(&store.access, &extents, sizes);
            }
        }
        traffic
    }

    fn extents(&self, sizes: &[i64]) -> Vec<f64> {
        self.axes.iter().map(|axis| axis.extent.eval(sizes).unwrap_or(0).max(0) as f64).collect()
    }

    /// The operations of a call with these sizes.
    pub fn flops(&self, sizes: &[i64]) -> f64 {
        let extents = self.extents(sizes);
        let points = |axes: &[AxisId]| axes.iter().map(|axis| extents[axis.0 as usize]).product::<f64>();
        let every = |roots: &[ExprId], points: f64| self.operations(roots).count() as f64 * points;
        let all: f64 = extents.iter().product();
        let values: Vec<ExprId> = self.stores().iter().map(|store| store.value).collect();
        match &self.body {
            Body::Map(_) => every(&values, all),
            Body::Reduce(reduce) => {
                let rows = all / points(&reduce.over).max(1.0);
                let moves = |id: &ExprId| reduce.over.iter().any(|axis| self.value_mentions(*id, *axis));
                let folded: Vec<ExprId> = reduce.folds.iter().map(|fold| fold.value).collect();
                let roots = [folded, values].concat();
                let inner = self.operations(&roots).filter(moves).count() + reduce.folds.len();
                let outer = self.operations(&roots).filter(|id| !moves(id)).count();
                inner as f64 * all + outer as f64 * rows
            }
            Body::Contract(c) => {
                let results = points(&c.batch) * points(&c.m) * points(&c.n);
                let products = match self.stored(c.b) {
                    Some(numbers) => points(&c.batch) * points(&c.m) * numbers,
                    None => results * points(&c.k),
                };
                2.0 * products + every(&values, results)
            }
            Body::Attention(a) => {
                let rows = points(&a.batch) * points(&a.m);
                let keys = points(&[a.n]);
                let scores = rows * a.visible.as_ref().map_or(keys, |range| seen(range, keys, &extents, sizes));
                2.0 * scores * (points(&[a.d]) + points(&[a.e])) + every(&[a.score], scores)
            }
            Body::Loops(_) => every(&values, all),
        }
    }

    /// How many numbers a sparse right side holds.
    fn stored(&self, right: ExprId) -> Option<f64> {
        let Node::Operand(operand) = self.expr.nodes[right.0 as usize] else { return None };
        match self.buffer(self.operand(operand).buffer).storage {
            Storage::Sparse(sparse) => Some(f64::from(sparse.steps) * sparse.form.lanes() as f64),
            _ => None,
        }
    }

    /// The nodes that compute something.
    fn operations(&self, roots: &[ExprId]) -> impl Iterator<Item = ExprId> {
        let computes = |id: &ExprId| {
            use Node::{Binary, Compare, Convert, Select, Unary};
            matches!(self.expr.nodes[id.0 as usize], Unary(..) | Binary(..) | Compare(..) | Select(..) | Convert(..))
        };
        self.reachable(roots).into_iter().filter(computes)
    }

    /// Bytes of the distinct elements of an access: no more than there are points of the axes that move it, and no more
    /// than its coordinates can have positions.
    fn bytes(&self, access: &Access, extents: &[f64], sizes: &[i64]) -> f64 {
        let moving = (0..).zip(extents).filter(|(axis, _)| self.access_mentions(access, AxisId(*axis)));
        let points: f64 = moving.map(|(_, extent)| extent).product();
        let positions: f64 = access.coords.iter().map(|coord| self.positions(coord, extents, sizes)).product();
        if let Storage::Sparse(sparse) = self.buffer(access.buffer).storage {
            return sparse.bytes() as f64;
        }
        let bits = match self.buffer(access.buffer).storage {
            Storage::Plain(dtype) => f64::from(dtype.bits()),
            packed => packed.bytes_for(1 << 20).map_or(0.0, |bytes| bytes as f64 * 8.0 / f64::from(1 << 20)),
        };
        points.min(positions) * bits / 8.0
    }

    /// How many positions a coordinate can have; 1 where they are all the same element.
    fn positions(&self, coord: &Coord, extents: &[f64], sizes: &[i64]) -> f64 {
        if coord.stride.eval(sizes) == Some(0) {
            return 1.0;
        }
        let guard =
            coord.guard.as_ref().and_then(|guard| guard.eval(sizes)).map_or(f64::MAX, |guard| guard.max(0) as f64);
        match &coord.source {
            Source::Value(_) => guard,
            Source::Index(index) => {
                let (least, most) = ends(index, extents, sizes);
                let div = index.div as f64;
                match index.modulus {
                    Some(modulus) => {
                        ((most / div).floor() - (least / div).floor() + 1.0).min(modulus as f64).min(guard)
                    }
                    None => {
                        let (first, last) = ((least / div).floor().max(0.0), (most / div).floor().min(guard - 1.0));
                        let steps = index.terms.iter().map(|(_, c)| c.unsigned_abs()).fold(0, gcd).max(1);
                        let stride = if index.div == 1 { steps as f64 } else { 1.0 };
                        ((last - first) / stride).floor().max(-1.0) + 1.0
                    }
                }
            }
        }
    }
}

/// The least and the greatest value of `Σ coefficient·axis + plus`.
fn ends(index: &Index, extents: &[f64], sizes: &[i64]) -> (f64, f64) {
    let plus = index.plus.eval(sizes).unwrap_or(0) as f64;
    index.terms.iter().fold((plus, plus), |(least, most), (axis, coefficient)| {
        let far = *coefficient as f64 * (extents[axis.0 as usize] - 1.0).max(0.0);
        (least + far.min(0.0), most + far.max(0.0))
    })
}

/// How many of `keys` a row sees: the mean of what the first and the last row see, since the range is affine in the rows.
fn seen((from, to): &(Index, Index), keys: f64, extents: &[f64], sizes: &[i64]) -> f64 {
    let ([low, high], [first, last]) =
        (<[f64; 2]>::from(ends(from, extents, sizes)), <[f64; 2]>::from(ends(to, extents, sizes)));
    let width = |from: f64, to: f64| (to.min(keys) - from.max(0.0)).max(0.0);
    (width(low, first) + width(high, last)) / 2.0
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use crate::base::{DType, Dim, Form, Packing, Scalar, Sparse, Storage};
    use crate::kernel::{
        Access, Axis, AxisId, Binary, Body, Buffer, BufferId, Contract, Coord, Expr, ExprId, Fold, FoldKind, Index,
        Kernel, Node, OperandId, Reduce, Role, Store, Work,
    };

    const F32: Storage = Storage::Plain(DType::F32);

    fn axes(extents: &[i64]) -> Vec<Axis> {
        extents.iter().map(|extent| Axis { name: "axis".into(), extent: Dim::from(*extent) }).collect()
    }

    /// Buffers that are read, and one more that is written.
    fn buffers(read: &[Storage]) -> Vec<Buffer> {
        let buffer = |storage, role| Buffer { name: String::new(), storage, role };
        let read = read.iter().map(|storage| buffer(*storage, Role::Read));
        read.chain([buffer(F32, Role::Write)]).collect()
    }

    fn access(buffer: u32, coords: Vec<Coord>) -> Access {
        Access::new(BufferId(buffer), coords, Scalar::F32(0.0))
    }

    fn axis(axis: u32, stride: i64) -> Coord {
        Coord::new(Index::axis(AxisId(axis)), stride)
    }

    fn binary(expr: &mut Expr, left: ExprId, right: ExprId) -> ExprId {
        expr.push(Node::Binary(Binary::Mul, left, right))
    }

    /// A product of 3 × 64 and 64 × 5, the right side in a storage.
    fn product(storage: Storage) -> Work {
        let mut expr = Expr::default();
        let [a, b] = [0, 1].map(|i| expr.push(Node::Operand(OperandId(i))));
        let value = expr.push(Node::Accumulator);
        let [m, n, k] = [0, 1, 2].map(|i| vec![AxisId(i)]);
        let stores = vec![Store { access: access(2, vec![axis(0, 5), axis(1, 1)]), value }];
        let kernel = Kernel {
            axes: axes(&[3, 5, 64]),
            buffers: buffers(&[F32, storage]),
            operands: vec![access(0, vec![axis(0, 64), axis(2, 1)]), access(1, vec![axis(1, 64), axis(2, 1)])],
            expr,
            body: Body::Contract(Contract { batch: vec![], m, n, k, a, b, accumulator: DType::F32, stores }),
            ..Kernel::empty()
        };
        kernel.work(&[])
    }

    #[test]
    fn a_product_of_matrices() {
        let flops = f64::from(2 * 3 * 5 * 64);
        assert_eq!(product(F32), Work { flops, bytes: 4.0 * f64::from(3 * 64 + 64 * 5 + 3 * 5) });
        // Ten groups of 32 weights, 20 bytes each.
        let packed = f64::from(10 * 20 + 4 * (3 * 64 + 3 * 5));
        assert_eq!(product(Storage::Packed(Packing::Q4_1)), Work { flops, bytes: packed });
        // Three steps of eight numbers each.
        let sparse = Sparse { rows: 5, columns: 64, form: Form::Cached, steps: 3 };
        let bytes = sparse.bytes() as f64 + f64::from(4 * (3 * 64 + 3 * 5));
        assert_eq!(product(Storage::Sparse(sparse)), Work { flops: f64::from(2 * 3 * 3 * 8), bytes });
    }

    /// A window of 3 that slides by 1 over 10 numbers with a border of 1: 30 reads of 10 elements.
    #[test]
    fn what_a_window_reads_again_counts_once() {
        let window = Coord::new(Index::affine(vec![(AxisId(0), 1), (AxisId(1), 1)], -1), 1).guarded(10);
        let read = access(0, vec![window]);
        let mut kernel = Kernel {
            axes: axes(&[10, 3]),
            buffers: buffers(&[F32]),
            operands: vec![read.clone(), read],
            ..Kernel::empty()
        };
        let value = kernel.expr.push(Node::Operand(OperandId(0)));
        kernel.body = Body::Map(vec![Store { access: access(1, vec![axis(0, 1)]), value }]);
        let traffic = kernel.traffic(&[]);
        assert_eq!(traffic.iter().map(|t| (t.read, t.written)).collect::<Vec<_>>(), [(40.0, 0.0), (0.0, 40.0)]);
        // A stride of 2 skips every other number.
        kernel.operands.truncate(1);
        kernel.operands[0].coords[0] = Coord::new(Index::affine(vec![(AxisId(0), 2)], 0), 1);
        assert_eq!(kernel.traffic(&[])[0].read, 40.0);
    }

    /// 7 channels of 10 numbers, each filtered by 3 weights of its own; the sum is scaled once.
    #[test]
    fn what_follows_a_fold_counts_once_a_row() {
        let window = Coord::new(Index::affine(vec![(AxisId(1), 1), (AxisId(2), 1)], -1), 1).guarded(10);
        let mut kernel = Kernel {
            axes: axes(&[7, 10, 3]),
            buffers: buffers(&[F32, F32]),
            operands: vec![access(0, vec![axis(0, 10), window]), access(1, vec![axis(0, 3), axis(2, 1)])],
            ..Kernel::empty()
        };
        let [x, w] = [0, 1].map(|i| kernel.expr.push(Node::Operand(OperandId(i))));
        let folded = binary(&mut kernel.expr, x, w);
        let sum = kernel.expr.push(Node::Cell(0));
        let scaled = binary(&mut kernel.expr, sum, sum);
        let folds = vec![Fold { kind: FoldKind::Sum, value: folded }];
        let body = |access, value| {
            Body::Reduce(Reduce { over: vec![AxisId(2)], folds: folds.clone(), stores: vec![Store { access, value }] })
        };
        kernel.body = body(access(2, vec![axis(0, 10), axis(1, 1)]), scaled);
        let bytes = f64::from(4 * (7 * 10 + 7 * 3 + 7 * 10));
        assert_eq!(kernel.work(&[]), Work { flops: f64::from(7 * 10 * (2 * 3 + 1)), bytes });
        // A store for each element: the square is of the row, what it scales is not.
        let each = binary(&mut kernel.expr, scaled, w);
        kernel.body = body(access(2, vec![axis(0, 30), axis(1, 3), axis(2, 1)]), each);
        assert_eq!(kernel.flops(&[]), f64::from(7 * 10 * (3 * 3 + 1)));
    }
}
