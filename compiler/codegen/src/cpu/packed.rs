//! Few rows of f32 against rows in packed groups, in wide vectors: the groups are read where they lie.
//!
//! The f32 rows are arranged into scratch once, and every packed row is dotted with each of them by itself, so that its
//! sum does not depend on which part takes it or on what stands beside it.

use super::address::{Motion, motion};
use super::contract::{ContractPlan, row_access};
use super::driver::Driver;
use super::pack::{self, Right};
use super::select::{DOT_ROWS, Isa};
use super::tiles::{self, Frame};
use super::x86;
use crate::base::{Dim, Packing, Storage};
use crate::kernel::Access;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// A right side whose packed rows lie one after another at equal distances.
pub(super) struct PackedRows<'k> {
    packing: Packing,
    access: &'k Access,
    /// Elements from a row to the next: whole groups.
    step: Dim,
}

impl<'k> PackedRows<'k> {
    /// `None` where rows are not packed, lie otherwise, or vectors are not wide.
    pub(super) fn new(plan: &ContractPlan<'k>, isa: Isa) -> Option<Self> {
        isa.wide()?;
        let Right::Rows(Storage::Packed(packing)) = plan.right else { return None };
        let access = row_access(plan.kernel, plan.c.b, &plan.c.k)?;
        let (inner, outer) = plan.c.n.split_last()?;
        let Motion::Step(step) = motion(plan.kernel, access, *inner) else { return None };
        let mut dense = step.clone() * &plan.kernel.axis(*inner).extent;
        for axis in outer.iter().rev() {
            if motion(plan.kernel, access, *axis) != Motion::Step(dense.clone()) {
                return None;
            }
            dense = dense * &plan.kernel.axis(*axis).extent;
        }
        Some(PackedRows { packing, access, step })
    }
}

/// Bytes of an arranged row; `None` where rows are taken as they are.
fn arranged_bytes(d: &mut Driver, f: &Frame, packing: Packing) -> Option<Value> {
    let bytes = x86::arranged(packing)?;
    let rounded = d.b.ins().iadd_imm_s(f.depth, 63);
    let pairs = d.floor_divide(rounded, 64);
    Some(d.times(pairs, bytes))
}

/// Brings rows `from..to` of the left side into scratch, in the order that their dots take them in, if they are few.
pub(super) fn arrange(d: &mut Driver, plan: &ContractPlan, f: &Frame, rows: &PackedRows, (from, to): (Value, Value)) {
    let Some(bytes) = arranged_bytes(d, f, rows.packing) else { return };
    let few = d.b.ins().icmp_imm_s(IntCC::SignedLessThanOrEqual, f.height, DOT_ROWS);
    let leaf = d.leaf(x86::arrange(rows.packing), 3);
    d.when(few, &mut |d| {
        d.enter_lanes(None, false);
        let groups = d.floor_divide(f.depth, 32);
        d.each(from, to, 1, &mut |d, row| {
            let x = tiles::left_row(d, plan, f, row);
            let number = d.b.ins().isub(row, from);
            let skipped = d.b.ins().imul(number, bytes);
            let place = d.offset(f.rows, skipped);
            d.b.ins().call(leaf, &[groups, x, place]);
        });
    });
}

/// Rows `from..to` of the left side against the columns of the panel at `n`.
pub(super) fn dot_rows(
    d: &mut Driver,
    plan: &ContractPlan,
    f: &Frame,
    rows: &PackedRows,
    n: Value,
    (from, to): (Value, Value),
) {
    let PackedRows { packing, access, step } = rows;
    let place = |d: &mut Driver, element: Value| {
        let group = d.floor_divide(element, packing.elements());
        d.times(group, packing.bytes())
    };
    d.enter_lanes(None, false);
    d.unflatten(&plan.c.n, n);
    pack::bind_first(d, &plan.c.k);
    d.forget();
    let (element, _) = d.element(access, None);
    let skipped = place(d, element);
    let first = d.offset(d.buffers[access.buffer.0 as usize], skipped);
    let step = d.dim(step);
    let stride = place(d, step);
    let groups = d.floor_divide(f.depth, packing.elements());
    let left = d.b.ins().isub(f.width, n);
    let limit = d.integer(plan.width);
    let columns = d.b.ins().smin(left, limit);
    let bytes = arranged_bytes(d, f, *packing);
    let leaf = d.leaf(x86::dots(*packing), 6);
    d.each(from, to, 1, &mut |d, row| {
        let number = d.b.ins().isub(row, from);
        let x = match bytes {
            Some(bytes) => {
                let skipped = d.b.ins().imul(number, bytes);
                d.offset(f.rows, skipped)
            }
            None => tiles::left_row(d, plan, f, row),
        };
        let skipped = d.times(number, plan.width * 4);
        let results = d.offset(f.tile, skipped);
        d.b.ins().call(leaf, &[groups, x, first, results, stride, columns]);
    });
    tiles::epilogue(d, plan, f, from, to, n);
}
