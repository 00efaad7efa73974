//! `contract` in f32: how a contraction runs; `tiles` emits it.
//!
//! The right side is taken in panels: in place where it lies so (`packed_panels`), transposed where
//! its rows lie along k, as weights do, else evaluated column by column. With few rows on the left, rows that lie along k
//! are dotted as they are. The left side is read in place where its rows lie along k, else evaluated into scratch once.
//! A tile sums in the order of k and a dot product in sixteen sums, whatever the number of parts.

use super::address::{Motion, motion};
use super::leaves;
use super::nest::Lanes;
use super::pack::Right;
use super::panels::in_panels;
use super::select::{Isa, is_unit, lanes_along, panel_width};
use crate::base::{DType, Dim, Storage};
use crate::kernel::{Access, AxisId, Body, Contract, ExprId, Kernel, Node};

/// How a contraction runs.
pub(super) struct ContractPlan<'k> {
    pub(super) kernel: &'k Kernel,
    /// With m and n exchanged where n has one position.
    pub(super) c: Contract,
    pub(super) right: Right,
    /// Whether rows of the left side are read in place.
    pub(super) left_in_place: bool,
    /// The innermost axis of n, where the epilogue and packing may take a panel's columns together.
    pub(super) columns: Option<AxisId>,
    pub(super) width: i64,
    /// Heights of tiles, the tallest first.
    pub(super) heights: &'static [i64],
}

/// Columns that the epilogue and packing take together.
pub(super) const LANES: usize = 8;

/// Bytes between evaluated rows of the left side.
pub(super) const ROW_GAP: i64 = 64;

impl<'k> ContractPlan<'k> {
    /// `None` when the loops do as well: other types, or one row against columns that lie side by side.
    pub(super) fn new(kernel: &'k Kernel, isa: Isa) -> Option<Self> {
        let Body::Contract(contract) = &kernel.body else { return None };
        if contract.accumulator != DType::F32 {
            return None;
        }
        let mut c = contract.clone();
        if is_unit(kernel, &c.n) && !is_unit(kernel, &c.m) {
            (c.m, c.n, c.a, c.b) = (c.n, c.m, c.b, c.a);
        }
        let mut width = panel_width(isa);
        let mut right = right_side(kernel, &c);
        if is_unit(kernel, &c.m) && matches!(right, Right::Columns) {
            if isa.wide().is_none() || c.n.len() != 1 || column_rows(kernel, &c).is_none() {
                return None;
            }
            (right, width) = (Right::Strips, leaves::STRIP[0].0);
        }
        let left_in_place = row_access(kernel, c.a, &c.k)
            .is_some_and(|access| kernel.buffer(access.buffer).storage == Storage::Plain(DType::F32))
            && !(isa.wide().is_some() && rows_collide(kernel, &c));
        let columns = c.n.last().copied().filter(|axis| {
            c.stores.iter().all(|store| motion(kernel, &store.access, *axis) == Motion::Step(Dim::from(1)))
        });
        let heights = isa.tile_heights();
        Some(ContractPlan { kernel, c, right, left_in_place, columns, width, heights })
    }

    pub(super) fn tallest(&self) -> i64 {
        self.heights[0]
    }

    pub(super) fn extent(&self, axes: &[AxisId]) -> Dim {
        axes.iter().map(|axis| self.kernel.axis(*axis).extent.clone()).product()
    }

    /// Bytes of scratch for each part.
    pub(super) fn scratch(&self) -> Dim {
        let [left, panel, rows] = self.regions();
        left + panel + rows
    }

    /// Bytes of the left rows, the panel and the fetched rows.
    pub(super) fn regions(&self) -> [Dim; 3] {
        let depth = self.extent(&self.c.k) * 4;
        let left = if self.left_in_place { Dim::from(0) } else { self.extent(&self.c.m) * (depth.clone() + ROW_GAP) };
        let panel = if matches!(self.right, Right::Panels(_) | Right::Strips) {
            Dim::from(0)
        } else {
            depth.clone() * self.width
        };
        let rows = match self.right {
            Right::Rows(storage) if storage != Storage::Plain(DType::F32) => depth * self.width,
            _ => Dim::from(0),
        };
        [left, panel, rows]
    }

    /// Lanes of a panel's columns for an expression.
    pub(super) fn column_lanes(&self, root: ExprId) -> Option<Lanes> {
        lanes_along(self.kernel, &[root], *self.c.n.last()?, LANES)
    }

    /// The right side and the bytes between its rows, where `column_rows` finds them.
    pub(super) fn column_rows(&self) -> Option<(&'k Access, Dim)> {
        column_rows(self.kernel, &self.c)
    }
}

/// A right side that is a plain read of f32 with its columns side by side, and the bytes between its rows.
fn column_rows<'k>(kernel: &'k Kernel, c: &Contract) -> Option<(&'k Access, Dim)> {
    let Node::Operand(operand) = &kernel.expr.nodes[c.b.0 as usize] else { return None };
    let access = kernel.operand(*operand);
    let plain = kernel.buffer(access.buffer).storage == Storage::Plain(DType::F32);
    let columns = motion(kernel, access, *c.n.last()?) == Motion::Step(Dim::from(1));
    if !plain || !columns || access.coords.iter().any(|coord| coord.guard.is_some()) {
        return None;
    }
    let (inner, outer) = c.k.split_last()?;
    let Motion::Step(step) = motion(kernel, access, *inner) else { return None };
    let mut dense = step.clone() * &kernel.axis(*inner).extent;
    for axis in outer.iter().rev() {
        if motion(kernel, access, *axis) != Motion::Step(dense.clone()) {
            return None;
        }
        dense = dense * &kernel.axis(*axis).extent;
    }
    Some((access, step * 4))
}

/// Whether many rows of the left side would lie whole pages apart, so that those of a tile share the few places that a
/// first-level cache has for them. Evaluated rows lie `ROW_GAP` further apart.
fn rows_collide(kernel: &Kernel, c: &Contract) -> bool {
    let extent = |axes: &[AxisId]| axes.iter().map(|axis| kernel.axis(*axis).extent.clone()).product::<Dim>();
    let many = extent(&c.m).as_constant().is_none_or(|rows| rows > 8);
    many && extent(&c.k).as_constant().is_some_and(|depth| depth > 0 && depth % 1024 == 0)
}

/// The access of a side that is a plain read whose rows lie along k, element after element, without guards.
pub(super) fn row_access<'k>(kernel: &'k Kernel, side: ExprId, k: &[AxisId]) -> Option<&'k Access> {
    let Node::Operand(operand) = &kernel.expr.nodes[side.0 as usize] else { return None };
    let access = kernel.operand(*operand);
    if access.coords.iter().any(|coord| coord.guard.is_some()) {
        return None;
    }
    let mut dense = Dim::from(1);
    for axis in k.iter().rev() {
        if motion(kernel, access, *axis) != Motion::Step(dense.clone()) {
            return None;
        }
        dense = dense * &kernel.axis(*axis).extent;
    }
    Some(access)
}

fn right_side(kernel: &Kernel, c: &Contract) -> Right {
    if let [n] = c.n[..]
        && let Some(buffer) = in_panels(kernel, c.b, n, &c.k, Storage::Plain(DType::F32))
    {
        return Right::Panels(buffer);
    }
    let Some(access) = row_access(kernel, c.b, &c.k) else { return Right::Columns };
    let storage = kernel.buffer(access.buffer).storage;
    let whole = match storage {
        Storage::Plain(dtype) if dtype.bits() < 8 => None,
        Storage::Plain(_) => Some(1),
        Storage::Packed(packing) => Some(packing.elements()),
        Storage::Interleaved(rows) => Some(rows.packing.elements()),
        Storage::Sparse(_) => unreachable!("sparse products have a lowering of their own"),
    };
    // Rows of groups begin with a group and end with one.
    let fits = |dim: &Dim, by: i64| dim.terms().iter().all(|(_, coefficient)| coefficient % by == 0);
    let depth: Dim = c.k.iter().map(|axis| kernel.axis(*axis).extent.clone()).product();
    match whole {
        Some(by) if by == 1 || (fits(&depth, by) && row_starts_fit(access, &c.k, by)) => Right::Rows(storage),
        _ => Right::Columns,
    }
}

/// Whether every row begins at a multiple of `by` elements: what does not move along k has such strides.
fn row_starts_fit(access: &Access, k: &[AxisId], by: i64) -> bool {
    let fits = |dim: &Dim| dim.terms().iter().all(|(_, coefficient)| coefficient % by == 0);
    fits(&access.base)
        && access.coords.iter().all(|coord| match &coord.source {
            crate::kernel::Source::Index(index) => {
                let along = index.terms.iter().any(|(axis, _)| k.contains(axis));
                let alone = index.terms.len() == 1 && index.is_affine() && fits(&index.plus);
                fits(&coord.stride) || (along && alone)
            }
            crate::kernel::Source::Value(_) => false,
        })
}
