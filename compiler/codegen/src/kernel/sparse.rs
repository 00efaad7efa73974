//! What a kernel may do with a sparse buffer: read it as the right side of a contraction, in the one way that its form is
//! made for. So whoever lowers a verified kernel meets it nowhere else.

use super::{
    Access, AxisId, Body, BufferId, Contract, Coord, Index, Kernel, Node, OperandId, Role, Source, VerifyError,
};
use crate::base::{DType, Dim, Scalar, Sparse, Storage};

/// Element (n, k) of a sparse matrix: a row for each position of `n`, the axes `k` flat along its columns.
pub fn sparse_right(kernel: &Kernel, buffer: BufferId, n: AxisId, k: &[AxisId]) -> Access {
    let mut stride = Dim::from(1);
    let mut coords = Vec::new();
    for axis in k.iter().rev().chain([&n]) {
        coords.push(Coord::new(Index::axis(*axis), stride.clone()));
        stride = stride * &kernel.axis(*axis).extent;
    }
    coords.reverse();
    Access::new(buffer, coords, Scalar::zero(DType::F32))
}

/// A matrix in a buffer of plain f32 that a contraction reads once as a side of its own: one that could be sparse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// The buffer.
    pub buffer: BufferId,
    /// Positions of its one axis that results have.
    pub rows: u32,
    /// Where element 0 of a row lies behind that of the row before.
    pub by_row: usize,
    /// Where the elements of the first row lie, one for each flat position of k.
    pub columns: Vec<usize>,
    operand: OperandId,
    /// The contraction, its sides in such places that this one is the right one.
    contract: Contract,
}

impl Right {
    /// Every side of a kernel that could be sparse.
    pub fn all_of(kernel: &Kernel) -> Vec<Right> {
        let Body::Contract(c) = &kernel.body else { return vec![] };
        let turned = Contract { m: c.n.clone(), n: c.m.clone(), a: c.b, b: c.a, ..c.clone() };
        [c.clone(), turned].into_iter().filter_map(|contract| Right::of(kernel, contract)).collect()
    }

    fn of(kernel: &Kernel, contract: Contract) -> Option<Right> {
        let ([n], DType::F32) = (&contract.n[..], contract.accumulator) else { return None };
        let Node::Operand(operand) = kernel.expr.nodes[contract.b.0 as usize] else { return None };
        let access = kernel.operand(operand);
        let buffer = kernel.buffer(access.buffer);
        let readers = kernel.operands.iter().filter(|other| other.buffer == access.buffer).count();
        if buffer.storage != Storage::Plain(DType::F32) || buffer.role != Role::Read || readers != 1 {
            return None;
        }
        let extent = |axis: &AxisId| usize::try_from(kernel.axis(*axis).extent.as_constant()?).ok();
        let rows = u32::try_from(extent(n)?).ok()?;
        let mut columns = vec![usize::try_from(access.base.as_constant()?).ok()?];
        for coord in &access.coords {
            let Source::Index(index) = &coord.source else { return None };
            let known = index.terms.iter().all(|(axis, _)| axis == n || contract.k.contains(axis));
            let plain = index.is_affine() && index.plus == Dim::from(0) && coord.guard.is_none();
            if !known || !plain {
                return None;
            }
        }
        for axis in &contract.k {
            let (step, extent) = (step(access, *axis)?, extent(axis)?);
            columns = columns.iter().flat_map(|at| (0..extent).map(move |i| at + i * step)).collect();
        }
        let by_row = step(access, *n)?;
        Some(Right { buffer: access.buffer, rows, by_row, columns, operand, contract })
    }

    /// How many elements the buffer has at least.
    pub fn reach(&self) -> Option<usize> {
        let last = (self.rows as usize).checked_sub(1)?.checked_mul(self.by_row)?;
        last.checked_add(*self.columns.iter().max()?)?.checked_add(1)
    }

    /// The kernel with this side sparse.
    pub fn sparse(&self, kernel: &Kernel, sparse: Sparse) -> Kernel {
        let mut kernel = kernel.clone();
        kernel.buffers[self.buffer.0 as usize].storage = Storage::Sparse(sparse);
        let access = sparse_right(&kernel, self.buffer, self.contract.n[0], &self.contract.k);
        kernel.operands[self.operand.0 as usize] = access;
        kernel.body = Body::Contract(self.contract.clone());
        kernel
    }

    /// Rows of the other side, where that is known.
    pub fn others(&self, kernel: &Kernel) -> Dim {
        let axes = self.contract.batch.iter().chain(&self.contract.m);
        axes.map(|axis| kernel.axis(*axis).extent.clone()).product()
    }
}

/// Elements between neighbours along an axis; the access has only affine coordinates.
fn step(access: &Access, axis: AxisId) -> Option<usize> {
    let steps = access.coords.iter().map(|coord| {
        let Source::Index(index) = &coord.source else { return None };
        let coefficient = index.terms.iter().find(|(a, _)| *a == axis).map_or(0, |(_, c)| *c);
        let step = coord.stride.as_constant()?.checked_mul(coefficient)?;
        usize::try_from(step).ok()
    });
    steps.sum()
}

/// Every access to a sparse buffer is that of `sparse_right`, of its size, by the right side itself.
pub(super) fn verify(kernel: &Kernel) -> Result<(), VerifyError> {
    for (i, access) in kernel.operands.iter().enumerate() {
        let operand = OperandId(i as u32);
        if let Storage::Sparse(sparse) = kernel.buffer(access.buffer).storage
            && !is_right(kernel, operand, access, sparse)
        {
            return Err(VerifyError::SparseRead(access.buffer));
        }
    }
    Ok(())
}

fn is_right(kernel: &Kernel, operand: OperandId, access: &Access, sparse: Sparse) -> bool {
    let Body::Contract(Contract { n, k, b, accumulator: DType::F32, .. }) = &kernel.body else { return false };
    let [n] = n[..] else { return false };
    let known = |axis: &AxisId| (axis.0 as usize) < kernel.axes.len();
    if !known(&n) || !k.iter().all(known) {
        return false;
    }
    let depth: Dim = k.iter().map(|axis| kernel.axis(*axis).extent.clone()).product();
    let rows = kernel.axis(n).extent.as_constant() == Some(i64::from(sparse.rows));
    let fits = rows && depth.as_constant() == Some(i64::from(sparse.columns));
    let readers = kernel.expr.nodes.iter().zip(0u32..).filter(|(node, _)| **node == Node::Operand(operand));
    let alone = readers.map(|(_, id)| id).eq([b.0]);
    fits && alone && *access == sparse_right(kernel, access.buffer, n, k)
}
