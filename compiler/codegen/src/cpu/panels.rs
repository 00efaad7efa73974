//! How weights are laid out when a model is built, and kernels that read them so.
//!
//! The layout is the same for every machine: sixteen columns are one vector of AVX-512, two of AVX2 and four of 128 bits,
//! so that an artifact is bound to none of them. What is past the last column is zero. Of bytes, four steps of the innermost
//! axis of k lie together for each column, which is what instructions multiply and sum at once; zeros fill the last four.

use super::address::{Motion, motion};
use super::blocks::BlockPlan;
use super::integers::IntegerPlan;
use super::select::Isa;
use super::windows::{WindowPlan, as_window};
use crate::base::{DType, Dim, Scalar, Storage};
use crate::kernel::{Access, AxisId, Body, BufferId, Contract, Coord, ExprId, Index, Kernel, Node, OperandId, Source};

/// Columns of a panel. A step of k is one cache line.
pub const PANEL: i64 = 16;

/// Fewer columns are not worth a panel.
const FEWEST: i64 = PANEL / 2;

/// A matrix as `[column / width][k… / group][column % width][k % group]`, and where its elements come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panels {
    /// The element of the first row and column.
    start: i64,
    columns: Side,
    /// The axes of the sum, the last innermost.
    depth: Vec<Side>,
    width: i64,
    /// Steps of the innermost axis that lie together.
    group: i64,
    /// Bytes of an element.
    bytes: usize,
}

/// Steps of k that lie together for each column; `None` for what is not kept in panels.
pub fn group_of(storage: Storage) -> Option<i64> {
    match storage {
        Storage::Plain(DType::F32 | DType::F16 | DType::BF16) => Some(1),
        Storage::Plain(DType::I8 | DType::U8) => Some(4),
        _ => None,
    }
}

/// An axis: how many positions, and elements from one to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Side {
    extent: i64,
    step: i64,
}

impl Panels {
    /// What an access makes of its buffer, where that is a matrix whatever the sizes.
    fn new(kernel: &Kernel, access: &Access, n: AxisId, k: &[AxisId], (width, group): (i64, i64)) -> Option<Panels> {
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
        let storage = kernel.buffer(access.buffer).storage;
        let bytes = storage.bytes_for(1)? as usize;
        let depth = k.iter().map(|axis| side(*axis)).collect::<Option<_>>()?;
        let panels = Panels { start, columns: side(n)?, depth, width, group, bytes };
        panels.counted()?;
        Some(panels)
    }

    fn counted(&self) -> Option<i64> {
        let (inner, outer) = self.depth.split_last()?;
        let inner = inner.extent.checked_add(self.group - 1)? / self.group * self.group;
        let depth = outer.iter().try_fold(self.width.checked_mul(inner)?, |p, side| p.checked_mul(side.extent))?;
        (self.columns.extent + self.width - 1).div_euclid(self.width).checked_mul(depth)
    }

    /// How many numbers there are, those past the last column included.
    pub fn elements(&self) -> i64 {
        self.counted().expect("counted when it was made")
    }

    /// The panels' bytes from those of the constant.
    pub fn pack(&self, from: &[u8]) -> Vec<u8> {
        let (panel, word, group) = (self.width as usize, self.bytes, self.group as usize);
        // Where each step of k starts; those that fill the last group are none.
        let mut rows = vec![Some(self.start)];
        for (place, side) in self.depth.iter().enumerate() {
            let filled = if place + 1 == self.depth.len() { self.group } else { 1 };
            let extent = (side.extent + filled - 1) / filled * filled;
            let along = |row: &Option<i64>| {
                let row = *row;
                (0..extent).map(move |i| row.filter(|_| i < side.extent).map(|row| row + i * side.step))
            };
            rows = rows.iter().flat_map(along).collect();
        }
        let mut to = vec![0; self.elements() as usize * word];
        for (number, block) in to.chunks_exact_mut(rows.len() * panel * word).enumerate() {
            let first = number as i64 * self.width;
            let columns = (self.columns.extent - first).min(self.width) as usize;
            for (rows, line) in rows.chunks_exact(group).zip(block.chunks_exact_mut(panel * group * word)) {
                for (place, row) in rows.iter().enumerate() {
                    let Some(row) = row else { continue };
                    let start = (row + first * self.columns.step) as usize * word;
                    if self.columns.step == 1 && group == 1 {
                        line[..columns * word].copy_from_slice(&from[start..start + columns * word]);
                        continue;
                    }
                    let step = self.columns.step as usize * word;
                    let line = line[place * word..].chunks_mut(group * word).take(columns).enumerate();
                    for (column, element) in line {
                        let at = start + column * step;
                        element[..word].copy_from_slice(&from[at..at + word]);
                    }
                }
            }
        }
        to
    }
}

/// The panels in which a kernel wants a constant, and the kernel that reads them; `None` where it reads as well as is.
pub fn wanted(kernel: &Kernel, buffer: BufferId) -> Option<(Panels, Kernel)> {
    let storage = kernel.buffer(buffer).storage;
    let group = group_of(storage)?;
    let mut reads = (0..).map(OperandId).zip(&kernel.operands).filter(|(_, access)| access.buffer == buffer);
    let (Some((operand, access)), None) = (reads.next(), reads.next()) else { return None };
    let window = as_window(kernel).unwrap_or_else(|| kernel.clone());
    let (n, k, form, body) = match WindowPlan::new(&window, Isa::Avx2) {
        Some(plan) => {
            let n = plan.lanes();
            if motion(kernel, access, n) == Motion::Step(Dim::from(1)) {
                return None;
            }
            (n, plan.reduce.over.clone(), (kernel.axis(n).extent.as_constant()?, 1), kernel.body.clone())
        }
        None => {
            let contract = with_right_side(kernel, operand)?;
            (contract.n[0], contract.k.clone(), (PANEL, group), Body::Contract(contract))
        }
    };
    let panels = Panels::new(kernel, access, n, &k, form).filter(|panels| panels.columns.extent >= FEWEST)?;
    let mut laid_out = Kernel { body, ..kernel.clone() };
    laid_out.operands[operand.0 as usize] = panels_of(kernel, buffer, n, &k, form);
    let fits = match storage {
        Storage::Plain(DType::F16 | DType::BF16) => BlockPlan::new(&laid_out, Isa::Avx2).is_some(),
        _ => form.1 == 1 || IntegerPlan::new(&laid_out, Isa::Avx2).is_some(),
    };
    fits.then_some((panels, laid_out))
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
    let storage = kernel.buffer(kernel.operand(operand).buffer).storage;
    let sums = storage.compute();
    if stored || used || contract.accumulator != sums || contract.a == contract.b {
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

/// Element (k, n) of panels, `k` being axes of which the last is innermost. Whoever packs a weight so fills the last panel,
/// and the last group of the innermost axis, with zeros.
pub fn packed_panels(kernel: &Kernel, buffer: BufferId, n: AxisId, k: &[AxisId], width: i64) -> Access {
    let group = group_of(kernel.buffer(buffer).storage).expect("only what is kept in panels is packed");
    panels_of(kernel, buffer, n, k, (width, group))
}

fn panels_of(kernel: &Kernel, buffer: BufferId, n: AxisId, k: &[AxisId], (width, group): (i64, i64)) -> Access {
    let storage = kernel.buffer(buffer).storage;
    let part = |axis, div, modulus| Index { terms: vec![(axis, 1)], plus: Dim::from(0), div, modulus };
    let mut coords = Vec::new();
    let mut stride = Dim::from(width * group);
    for (place, axis) in k.iter().enumerate().rev() {
        let extent = kernel.axis(*axis).extent.clone();
        if place + 1 < k.len() || group == 1 {
            coords.push(Coord::new(Index::axis(*axis), stride.clone()));
            stride = stride * &extent;
            continue;
        }
        let extent = extent.as_constant().expect("groups are of a known extent");
        coords.push(Coord::new(part(*axis, group, None), stride.clone()));
        coords.insert(0, Coord::new(part(*axis, 1, Some(group)), 1));
        stride = stride * ((extent + group - 1) / group);
    }
    if kernel.axis(n).extent.as_constant().is_some_and(|columns| columns <= width) {
        coords.insert(0, Coord::new(Index::axis(n), group));
    } else {
        coords.push(Coord::new(part(n, width, None), stride));
        coords.insert(0, Coord::new(part(n, 1, Some(width)), group));
    }
    coords.reverse();
    Access::new(buffer, coords, Scalar::zero(storage.compute()))
}

/// The buffer of a side that is read in panels of numbers of one storage.
pub(super) fn in_panels(kernel: &Kernel, side: ExprId, n: AxisId, k: &[AxisId], storage: Storage) -> Option<BufferId> {
    let Node::Operand(operand) = kernel.expr.nodes[side.0 as usize] else { return None };
    let access = kernel.operand(operand);
    let known = group_of(storage)? == 1 || kernel.axis(*k.last()?).extent.as_constant().is_some();
    if kernel.buffer(access.buffer).storage != storage || !known {
        return None;
    }
    let panels = packed_panels(kernel, access.buffer, n, k, PANEL);
    (access.base == panels.base && access.coords == panels.coords).then_some(access.buffer)
}

#[cfg(test)]
#[path = "panels_tests.rs"]
mod tests;
