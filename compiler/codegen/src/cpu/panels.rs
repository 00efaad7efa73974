//! How weights are laid out when a model is built, and kernels that read them so.
//!
//! The layout is the same for every machine: sixteen columns are one vector of AVX-512, two of AVX2 and four of 128 bits,
//! so that an artifact is bound to none of them. What is past the last column is zero.

use super::address::{Motion, motion};
use super::select::Isa;
use super::windows::{WindowPlan, as_window};
use crate::base::{DType, Dim, Scalar, Storage};
use crate::kernel::{Access, AxisId, Body, BufferId, Contract, Coord, ExprId, Index, Kernel, Node, OperandId, Source};

/// Columns of a panel. A step of k is one cache line.
pub const PANEL: i64 = 16;

/// Fewer columns are not worth a panel.
const FEWEST: i64 = PANEL / 2;

/// A matrix of f32 as `[column / width][k…][column % width]`, and where its elements come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panels {
    /// The element of the first row and column.
    start: i64,
    columns: Side,
    /// The axes of the sum, the last innermost.
    depth: Vec<Side>,
    width: i64,
}

/// An axis: how many positions, and elements from one to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Side {
    extent: i64,
    step: i64,
}

impl Panels {
    /// What an access makes of its buffer, where that is a matrix whatever the sizes.
    fn new(kernel: &Kernel, access: &Access, n: AxisId, k: &[AxisId], width: i64) -> Option<Panels> {
        let side = |axis: AxisId| {
            let extent = kernel.axis(axis).extent.as_constant().filter(|extent| *extent > 0)?;
            let step = match motion(kernel, access, axis) {
                Motion::Fixed => 0,
                Motion::Step(step) => step.as_constant().filter(|step| *step >= 0)?,
                Motion::Free => return None,
            };
            Some(Side { extent, step })
        };
        let mut start = access.base.clone();
        for coord in &access.coords {
            let Source::Index(index) = &coord.source else { return None };
            if coord.guard.is_some() || !index.is_affine() {
                return None;
            }
            start = start + coord.stride.clone() * &index.plus;
        }
        let mut others = (0..kernel.axes.len() as u32).map(AxisId).filter(|axis| *axis != n && !k.contains(axis));
        if others.any(|axis| kernel.access_mentions(access, axis)) {
            return None;
        }
        let start = start.as_constant().filter(|start| *start >= 0)?;
        let panels =
            Panels { start, columns: side(n)?, depth: k.iter().map(|axis| side(*axis)).collect::<Option<_>>()?, width };
        panels.counted()?;
        Some(panels)
    }

    fn counted(&self) -> Option<i64> {
        let depth = self.depth.iter().try_fold(self.width, |product, side| product.checked_mul(side.extent))?;
        (self.columns.extent + self.width - 1).div_euclid(self.width).checked_mul(depth)
    }

    /// How many numbers there are, those past the last column included.
    pub fn elements(&self) -> i64 {
        self.counted().expect("counted when it was made")
    }

    /// The panels' bytes from those of the constant.
    pub fn pack(&self, from: &[u8]) -> Vec<u8> {
        let (panel, word) = (self.width as usize, size_of::<f32>());
        let mut rows = vec![self.start];
        for side in &self.depth {
            let along = |row: &i64| (0..side.extent).map(|i| row + i * side.step).collect::<Vec<_>>();
            rows = rows.iter().flat_map(along).collect();
        }
        let mut to = vec![0; self.elements() as usize * word];
        for (number, block) in to.chunks_exact_mut(rows.len() * panel * word).enumerate() {
            let first = number as i64 * self.width;
            let columns = (self.columns.extent - first).min(self.width) as usize;
            for (row, line) in rows.iter().zip(block.chunks_exact_mut(panel * word)) {
                let start = (row + first * self.columns.step) as usize * word;
                let line = &mut line[..columns * word];
                if self.columns.step == 1 {
                    line.copy_from_slice(&from[start..start + columns * word]);
                    continue;
                }
                let step = self.columns.step as usize * word;
                for (column, number) in line.chunks_exact_mut(word).enumerate() {
                    let at = start + column * step;
                    number.copy_from_slice(&from[at..at + word]);
                }
            }
        }
        to
    }
}

/// The panels in which a kernel wants a constant, and the kernel that reads them; `None` where it reads as well as is.
pub fn wanted(kernel: &Kernel, buffer: BufferId) -> Option<(Panels, Kernel)> {
    if kernel.buffer(buffer).storage != Storage::Plain(DType::F32) {
        return None;
    }
    let mut reads = (0..).map(OperandId).zip(&kernel.operands).filter(|(_, access)| access.buffer == buffer);
    let (Some((operand, access)), None) = (reads.next(), reads.next()) else { return None };
    let window = as_window(kernel).unwrap_or_else(|| kernel.clone());
    let (n, k, width, body) = match WindowPlan::new(&window, Isa::Avx2) {
        Some(plan) => {
            let n = plan.lanes();
            if motion(kernel, access, n) == Motion::Step(Dim::from(1)) {
                return None;
            }
            (n, plan.reduce.over.clone(), kernel.axis(n).extent.as_constant()?, kernel.body.clone())
        }
        None => {
            let contract = with_right_side(kernel, operand)?;
            (contract.n[0], contract.k.clone(), PANEL, Body::Contract(contract))
        }
    };
    let panels = Panels::new(kernel, access, n, &k, width).filter(|panels| panels.columns.extent >= FEWEST)?;
    let mut laid_out = Kernel { body, ..kernel.clone() };
    laid_out.operands[operand.0 as usize] = packed_panels(kernel, buffer, n, &k, width);
    Some((panels, laid_out))
}

/// The contraction of a kernel with an operand as its right side, its roles exchanged where that was the left one; `None`
/// where the operand is read elsewhere too or has not one axis of columns.
fn with_right_side(kernel: &Kernel, operand: OperandId) -> Option<Contract> {
    let Body::Contract(contract) = &kernel.body else { return None };
    let nodes = &kernel.expr.nodes;
    let mut places = (0..nodes.len()).filter(|i| nodes[*i] == Node::Operand(operand));
    let (Some(place), None) = (places.next(), places.next()) else { return None };
    let node = ExprId(place as u32);
    let stored = contract.stores.iter().any(|store| store.value == node);
    let used = nodes.iter().any(|other| other.inputs().any(|input| input == node));
    if stored || used || contract.accumulator != DType::F32 || contract.a == contract.b {
        return None;
    }
    let mut contract = contract.clone();
    if contract.a == node {
        (contract.m, contract.n) = (contract.n, contract.m);
        (contract.a, contract.b) = (contract.b, contract.a);
        let [columns] = contract.n[..] else { return None };
        let mut stores = contract.stores.iter();
        if !stores.all(|store| motion(kernel, &store.access, columns) == Motion::Step(Dim::from(1))) {
            return None;
        }
    }
    (contract.b == node && contract.n.len() == 1).then_some(contract)
}

/// Element (k, n) of panels, `k` being axes of which the last is innermost. Whoever packs a weight so fills the last panel
/// with zeros.
pub fn packed_panels(kernel: &Kernel, buffer: BufferId, n: AxisId, k: &[AxisId], width: i64) -> Access {
    let mut coords = Vec::new();
    let mut stride = Dim::from(width);
    for axis in k.iter().rev() {
        coords.push(Coord::new(Index::axis(*axis), stride.clone()));
        stride = stride * &kernel.axis(*axis).extent;
    }
    let along = |div, modulus| Index { terms: vec![(n, 1)], plus: Dim::from(0), div, modulus };
    if kernel.axis(n).extent.as_constant().is_some_and(|columns| columns <= width) {
        coords.insert(0, Coord::new(Index::axis(n), 1));
    } else {
        coords.push(Coord::new(along(width, None), stride));
        coords.insert(0, Coord::new(along(1, Some(width)), 1));
    }
    coords.reverse();
    Access::new(buffer, coords, Scalar::zero(DType::F32))
}

/// The buffer of a side that is read in panels.
pub(super) fn in_panels(kernel: &Kernel, side: ExprId, n: AxisId, k: &[AxisId]) -> Option<BufferId> {
    let Node::Operand(operand) = kernel.expr.nodes[side.0 as usize] else { return None };
    let access = kernel.operand(operand);
    let panels = packed_panels(kernel, access.buffer, n, k, PANEL);
    let plain = kernel.buffer(access.buffer).storage == Storage::Plain(DType::F32);
    (plain && access.base == panels.base && access.coords == panels.coords).then_some(access.buffer)
}

#[cfg(test)]
#[path = "panels_tests.rs"]
mod tests;
