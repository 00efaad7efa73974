//! Contractions whose right side is packed rows that lie side by side.
//!
//! Few rows of the left side are dotted with four rows of blocks at once, which lie a quarter of a part's columns apart. A
//! number is summed in one order wherever its row stands in its part. For more rows, blocks become columns of a panel.

use super::address::{Motion, motion};
use super::contract::{ContractPlan, row_access};
use super::driver::Driver;
use super::pack::{self, Right};
use super::select::Isa;
use super::tiles::{self, Frame};
use super::x86::{self, ARRANGED, STREAMS};
use crate::base::{Dim, Interleaved, Packing, ROWS, Storage};
use crate::kernel::{Access, AxisId, Body, BufferId, Kernel, Source};
use cranelift_codegen::ir::{InstBuilder, Value};

/// What a kernel makes of packed rows that would lie side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Taste {
    /// It reads them as well one after another.
    Indifferent,
    /// It cannot take them.
    Refuses,
    /// It multiplies by them, and is faster so.
    Wants(Interleaved),
}

/// How a kernel would have the packed rows of a buffer.
pub fn taste(kernel: &Kernel, buffer: BufferId) -> Taste {
    let Storage::Packed(packing) = kernel.buffer(buffer).storage else { return Taste::Refuses };
    let Body::Contract(contract) = &kernel.body else { return Taste::Indifferent };
    let wanted = || {
        let depth = extent(kernel, &contract.k).as_constant()?;
        let rows = Interleaved::new(packing, depth)?;
        let laid_out = reading(kernel, buffer, rows);
        let plan = ContractPlan::new(&laid_out, Isa::Avx2)?;
        SideBySide::new(&plan, Isa::Avx2).filter(|side| side.access.buffer == buffer)?;
        Some(rows)
    };
    wanted().map_or(Taste::Refuses, Taste::Wants)
}

/// The kernel that reads a buffer's rows side by side.
pub fn reading(kernel: &Kernel, buffer: BufferId, rows: Interleaved) -> Kernel {
    let mut kernel = kernel.clone();
    kernel.buffers[buffer.0 as usize].storage = Storage::Interleaved(rows);
    kernel
}

fn extent(kernel: &Kernel, axes: &[AxisId]) -> Dim {
    axes.iter().map(|axis| kernel.axis(*axis).extent.clone()).product()
}

/// A right side whose rows lie side by side from its first one on.
pub(super) struct SideBySide<'k> {
    rows: Interleaved,
    access: &'k Access,
}

impl<'k> SideBySide<'k> {
    /// `None` where rows lie otherwise, or vectors are not wide.
    pub(super) fn new(plan: &ContractPlan<'k>, isa: Isa) -> Option<Self> {
        isa.wide()?;
        let Right::Rows(Storage::Interleaved(rows)) = plan.right else { return None };
        let (kernel, c) = (plan.kernel, &plan.c);
        let access = row_access(kernel, c.b, &c.k)?;
        let whole = |dim: &Dim, by: i64| dim.terms().iter().all(|(_, coefficient)| coefficient % by == 0);
        let mut dense = Dim::from(i64::from(rows.depth));
        if extent(kernel, &c.k) != dense || !whole(&extent(kernel, &c.n), ROWS) {
            return None;
        }
        for axis in c.n.iter().rev() {
            if motion(kernel, access, *axis) != Motion::Step(dense.clone()) {
                return None;
            }
            dense = dense * &kernel.axis(*axis).extent;
        }
        let others =
            (0..kernel.axes.len() as u32).map(AxisId).filter(|axis| !c.n.contains(axis) && !c.k.contains(axis));
        let aligned = others.into_iter().all(|axis| match motion(kernel, access, axis) {
            Motion::Fixed => true,
            Motion::Step(step) => whole(&step, rows.elements()),
            Motion::Free => false,
        });
        let starts = access.coords.iter().all(|coord| match &coord.source {
            Source::Index(index) => index.is_affine() && whole(&(coord.stride.clone() * &index.plus), rows.elements()),
            Source::Value(_) => false,
        });
        (aligned && starts && whole(&access.base, rows.elements())).then_some(SideBySide { rows, access })
    }

    /// The first row of blocks.
    fn first(&self, d: &mut Driver, plan: &ContractPlan) -> Value {
        let zero = d.integer(0);
        d.enter_lanes(None, false);
        d.unflatten(&plan.c.n, zero);
        pack::bind_first(d, &plan.c.k);
        d.forget();
        let (element, _) = d.element(self.access, None);
        let number = d.floor_divide(element, self.rows.elements());
        let skipped = d.times(number, self.rows.row());
        d.offset(d.buffers[self.access.buffer.0 as usize], skipped)
    }

    /// Groups of a row.
    fn groups(&self, d: &mut Driver) -> Value {
        d.integer(i64::from(self.rows.depth) / self.rows.packing.elements())
    }
}

/// The panel at column `n`; columns past the last are those of its last block.
pub(super) fn unpack(d: &mut Driver, plan: &ContractPlan, f: &Frame, side: &SideBySide, n: Value) {
    let (first, groups) = (side.first(d, plan), side.groups(d));
    let leaf = d.leaf(x86::panel_side_by_side(side.rows, plan.width as i32 * 4), 3);
    let from = d.floor_divide(n, ROWS);
    let blocks = d.floor_divide(f.width, ROWS);
    let last = d.b.ins().iadd_imm_s(blocks, -1);
    for i in 0..plan.width / ROWS {
        let number = d.b.ins().iadd_imm_s(from, i);
        let number = d.b.ins().smin(number, last);
        let skipped = d.times(number, side.rows.row());
        let block = d.offset(first, skipped);
        let to = d.b.ins().iadd_imm_s(f.panel, i * ROWS * 4);
        d.b.ins().call(leaf, &[groups, block, to]);
    }
}

/// Few rows `from..to` of the left side against the columns of panels `first..end`.
pub(super) fn dot_panels(
    d: &mut Driver,
    plan: &ContractPlan,
    f: &Frame,
    side: &SideBySide,
    (from, to): (Value, Value),
    (first, end): (Value, Value),
) {
    arrange(d, plan, f, side, (from, to));
    let whole = d.floor_divide(f.width, plan.width);
    let whole = d.b.ins().smin(whole, end);
    let (zero, panels) = (d.integer(0), d.b.ins().isub(whole, first));
    let panels = d.b.ins().smax(panels, zero);
    let quarter = d.floor_divide(panels, STREAMS as i64);
    let dots = Dots {
        start: side.first(d, plan),
        groups: side.groups(d),
        row: side.rows.row(),
        list: d.stack(STREAMS * 16),
        leaf: d.leaf(x86::dots_side_by_side(side.rows), 3),
    };
    let per_panel = plan.width / ROWS;
    let four = d.integer(STREAMS as i64);
    d.each(zero, quarter, 1, &mut |d, i| {
        let panel = d.b.ins().iadd(first, i);
        each_row(d, f, side, (from, to), &mut |d, m, x| {
            for half in 0..per_panel {
                for stream in 0..STREAMS as i64 {
                    let apart = d.times(quarter, stream);
                    let panel = d.b.ins().iadd(panel, apart);
                    let block = d.times(panel, per_panel);
                    let block = d.b.ins().iadd_imm_s(block, half);
                    let slot = d.integer(stream * per_panel + half);
                    dots.set(d, f, stream as i32, (block, slot));
                }
                dots.call(d, x);
            }
            d.each(zero, four, 1, &mut |d, stream| {
                let apart = d.b.ins().imul(quarter, stream);
                let panel = d.b.ins().iadd(panel, apart);
                store(d, plan, f, m, (panel, stream));
            });
        });
    });
    let done = d.times(quarter, STREAMS as i64);
    let rest = d.b.ins().iadd(first, done);
    let from_block = d.times(rest, per_panel);
    let blocks = d.floor_divide(f.width, ROWS);
    let to_block = d.times(end, per_panel);
    let to_block = d.b.ins().smin(to_block, blocks);
    let last = d.b.ins().iadd_imm_s(to_block, -1);
    let count = d.b.ins().isub(to_block, from_block);
    let rounded = d.b.ins().iadd_imm_s(count, STREAMS as i64 - 1);
    each_row(d, f, side, (from, to), &mut |d, m, x| {
        d.each(zero, rounded, STREAMS as i64, &mut |d, j| {
            for stream in 0..STREAMS as i64 {
                let slot = d.b.ins().iadd_imm_s(j, stream);
                let block = d.b.ins().iadd(from_block, slot);
                let block = d.b.ins().smin(block, last);
                dots.set(d, f, stream as i32, (block, slot));
            }
            dots.call(d, x);
        });
        d.each(rest, end, 1, &mut |d, panel| {
            let number = d.b.ins().isub(panel, rest);
            store(d, plan, f, m, (panel, number));
        });
    });
}

/// What calls of the leaf have in common.
struct Dots {
    start: Value,
    groups: Value,
    /// Bytes from a row of blocks to the next.
    row: i64,
    list: Value,
    leaf: cranelift_codegen::ir::FuncRef,
}

impl Dots {
    /// A stream's row of blocks, and the place of its eight results in the tile.
    fn set(&self, d: &mut Driver, f: &Frame, stream: i32, (block, slot): (Value, Value)) {
        let skipped = d.times(block, self.row);
        let block = d.offset(self.start, skipped);
        d.write(block, self.list, stream * 8);
        let skipped = d.times(slot, ROWS * 4);
        let results = d.offset(f.tile, skipped);
        d.write(results, self.list, (STREAMS as i32 + stream) * 8);
    }

    fn call(&self, d: &mut Driver, x: Value) {
        d.b.ins().call(self.leaf, &[self.groups, x, self.list]);
    }
}

/// Stores row `m` of a panel whose results are the tile's row `place`.
fn store(d: &mut Driver, plan: &ContractPlan, f: &Frame, m: Value, (panel, place): (Value, Value)) {
    let skipped = d.times(place, plan.width * 4);
    let f = f.with_tile(d.offset(f.tile, skipped));
    let n = d.times(panel, plan.width);
    let to = d.b.ins().iadd_imm_s(m, 1);
    tiles::epilogue(d, plan, &f, m, to, n);
}

fn arranged_bytes(rows: Interleaved) -> i64 {
    i64::from(rows.depth) / Packing::elements(rows.packing) * ARRANGED
}

/// Brings rows of the left side into scratch, in the form that their dots take them in.
fn arrange(d: &mut Driver, plan: &ContractPlan, f: &Frame, side: &SideBySide, (from, to): (Value, Value)) {
    let leaf = d.leaf(x86::arrange_side_by_side(side.rows), 3);
    let groups = side.groups(d);
    d.enter_lanes(None, false);
    d.each(from, to, 1, &mut |d, row| {
        let x = tiles::left_row(d, plan, f, row);
        let number = d.b.ins().isub(row, from);
        let skipped = d.times(number, arranged_bytes(side.rows));
        let place = d.offset(f.rows, skipped);
        d.b.ins().call(leaf, &[groups, x, place]);
    });
}

/// Each row with the place where it is arranged.
fn each_row(
    d: &mut Driver,
    f: &Frame,
    side: &SideBySide,
    (from, to): (Value, Value),
    body: &mut dyn FnMut(&mut Driver, Value, Value),
) {
    d.each(from, to, 1, &mut |d, m| {
        let number = d.b.ins().isub(m, from);
        let skipped = d.times(number, arranged_bytes(side.rows));
        let x = d.offset(f.rows, skipped);
        body(d, m, x);
    });
}
