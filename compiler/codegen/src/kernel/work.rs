//! How much a call of a kernel does, from its sizes alone: what measurements are compared with.

use super::{Access, AxisId, Body, ExprId, Kernel, Node};
use crate::base::Storage;

/// Arithmetic and memory traffic of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Operations: a multiply-add counts two, a function of many instructions one.
    pub flops: f64,
    /// Bytes of the elements that accesses name, each counted once.
    pub bytes: f64,
}

impl Kernel {
    /// The work of a call with these sizes.
    pub fn work(&self, sizes: &[i64]) -> Work {
        let extents: Vec<f64> =
            self.axes.iter().map(|axis| axis.extent.eval(sizes).unwrap_or(0).max(0) as f64).collect();
        let stores = self.stores();
        let accesses = self.operands.iter().chain(stores.iter().map(|store| &store.access));
        Work { flops: self.flops(&extents), bytes: accesses.map(|access| self.bytes(access, &extents)).sum() }
    }

    fn flops(&self, extents: &[f64]) -> f64 {
        let points = |axes: &[AxisId]| axes.iter().map(|axis| extents[axis.0 as usize]).product::<f64>();
        let every = |roots: &[ExprId], points: f64| self.operations(roots) * points;
        let all: f64 = extents.iter().product();
        let values: Vec<ExprId> = self.stores().iter().map(|store| store.value).collect();
        match &self.body {
            Body::Map(_) => every(&values, all),
            Body::Reduce(reduce) => {
                let folds: Vec<ExprId> = reduce.folds.iter().map(|fold| fold.value).collect();
                every(&folds, all) + reduce.folds.len() as f64 * all + every(&values, all)
            }
            Body::Contract(c) => {
                let results = points(&c.batch) * points(&c.m) * points(&c.n);
                2.0 * results * points(&c.k) + every(&values, results)
            }
            Body::Attention(a) => {
                let rows = points(&a.batch) * points(&a.m);
                let scores = rows * points(&[a.n]);
                2.0 * scores * (points(&[a.d]) + points(&[a.e])) + every(&[a.score], scores)
            }
            Body::Loops(_) => every(&values, all),
        }
    }

    /// The nodes that compute something.
    fn operations(&self, roots: &[ExprId]) -> f64 {
        let computes = |id: &ExprId| {
            use Node::{Binary, Compare, Convert, Select, Unary};
            matches!(self.expr.nodes[id.0 as usize], Unary(..) | Binary(..) | Compare(..) | Select(..) | Convert(..))
        };
        self.reachable(roots).iter().filter(|id| computes(id)).count() as f64
    }

    fn bytes(&self, access: &Access, extents: &[f64]) -> f64 {
        let moved = (0..).zip(extents).filter(|(axis, _)| self.access_mentions(access, AxisId(*axis)));
        let elements: f64 = moved.map(|(_, extent)| extent).product();
        if let Storage::Sparse(sparse) = self.buffer(access.buffer).storage {
            return sparse.bytes() as f64;
        }
        let bits = match self.buffer(access.buffer).storage {
            Storage::Plain(dtype) => f64::from(dtype.bits()),
            packed => packed.bytes_for(1 << 20).map_or(0.0, |bytes| bytes as f64 * 8.0 / f64::from(1 << 20)),
        };
        elements * bits / 8.0
    }
}

#[cfg(test)]
mod tests {
    use crate::base::{DType, Dim, Scalar};
    use crate::kernel::{
        Access, Axis, AxisId, Body, Buffer, BufferId, Contract, Coord, Expr, Index, Kernel, Node, Role,
    };
    use crate::kernel::{OperandId, Store};

    #[test]
    fn a_product_of_matrices() {
        let axis = |name: &str, extent: i64| Axis { name: name.into(), extent: Dim::from(extent) };
        let access = |buffer: u32, row: u32, column: u32, width: i64| {
            let coords = [(row, width), (column, 1)].map(|(a, stride)| Coord::new(Index::axis(AxisId(a)), stride));
            Access::new(BufferId(buffer), coords.to_vec(), Scalar::F32(0.0))
        };
        let buffer = |role| Buffer { name: String::new(), storage: crate::base::Storage::Plain(DType::F32), role };
        let mut expr = Expr::default();
        let [a, b] = [0, 1].map(|i| expr.push(Node::Operand(OperandId(i))));
        let value = expr.push(Node::Accumulator);
        let [m, n, k] = [0, 1, 2].map(|i| vec![AxisId(i)]);
        let stores = vec![Store { access: access(2, 0, 1, 5), value }];
        let kernel = Kernel {
            name: "product".into(),
            axes: vec![axis("m", 3), axis("n", 5), axis("k", 7)],
            buffers: vec![buffer(Role::Read), buffer(Role::Read), buffer(Role::Write)],
            operands: vec![access(0, 0, 2, 7), access(1, 2, 1, 5)],
            expr,
            body: Body::Contract(Contract { batch: vec![], m, n, k, a, b, accumulator: DType::F32, stores }),
        };
        let work = kernel.work(&[]);
        assert_eq!((work.flops, work.bytes), (2.0 * 3.0 * 5.0 * 7.0, 4.0 * f64::from(3 * 7 + 7 * 5 + 3 * 5)));
    }
}
