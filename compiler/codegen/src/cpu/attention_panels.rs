//! Keys and values of a batch position in panels, as the leaves of tiles read them.
//! Invariant: only rows of keys that are there are read, and of them only what lies along d and e.

use super::arithmetic::Arithmetic;
use super::attention::{AttentionPlan, Frame, at_number, at_row, rows_of};
use super::clif::Parts;
use super::driver::Driver;
use super::select::TILE_VECTORS;
use super::{lanes, x86};
use crate::base::{DType, Scalar};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F32X4};
use cranelift_codegen::ir::{InstBuilder, Value};

/// Where panels lie.
pub(super) struct Panels<'p, 'k> {
    plan: &'p AttentionPlan<'k>,
    f: &'p Frame,
    pub(super) keys: Value,
    pub(super) values: Value,
    /// How many keys there are.
    count: Value,
    /// Columns of a panel, and bytes of them.
    width: i64,
    row_bytes: i64,
}

impl<'p, 'k> Panels<'p, 'k> {
    pub(super) fn new(d: &mut Driver, plan: &'p AttentionPlan<'k>, f: &'p Frame, [keys, values]: [Value; 2]) -> Self {
        let count = d.extent(plan.a.n);
        Panels { plan, f, keys, values, count, width: plan.width, row_bytes: plan.width * 4 }
    }

    /// How many panels so many columns take.
    pub(super) fn of(&self, d: &mut Driver, columns: Value) -> Value {
        let rounded = d.b.ins().iadd_imm_s(columns, self.width - 1);
        d.floor_divide(rounded, self.width)
    }

    /// Brings the keys and values of the batch position that the driver is at.
    pub(super) fn pack(&self, d: &mut Driver) {
        self.pack_keys(d);
        self.pack_values(d);
    }

    /// `[n / width][d][width]`; columns past the last key repeat it, and nothing reads their scores.
    fn pack_keys(&self, d: &mut Driver) {
        let plan = self.plan;
        let rows = rows_of(d, plan.keys, self.f.keys, self.f.depth, &[plan.a.d], plan.a.n);
        let panels = self.of(d, self.count);
        let last = d.b.ins().iadd_imm_s(self.count, -1);
        let together = if d.isa.wide().is_some() { 8 } else { 4 };
        let (zero, groups) = (d.integer(0), d.integer(self.width / together));
        let panel_bytes = d.times(self.f.depth, self.row_bytes);
        let list = d.stack(together as usize * 8);
        d.each(zero, panels, 1, &mut |d, panel| {
            let skipped = d.b.ins().imul(panel, panel_bytes);
            let to = d.offset(self.keys, skipped);
            let first = d.times(panel, self.width);
            d.each(zero, groups, 1, &mut |d, group| {
                let column = d.times(group, together);
                let sources: Vec<Value> = (0..together)
                    .map(|i| {
                        let n = d.b.ins().iadd(first, column);
                        let n = d.b.ins().iadd_imm_s(n, i);
                        let n = d.b.ins().smin(n, last);
                        at_row(d, rows, n)
                    })
                    .collect();
                let bytes = d.times(group, together * 4);
                let to = d.offset(to, bytes);
                self.transpose(d, &sources, to, list);
            });
        });
    }

    /// Rows along d as columns of a panel: by eights in wide vectors, then by fours.
    fn transpose(&self, d: &mut Driver, sources: &[Value], to: Value, list: Value) {
        let mut done = d.integer(0);
        if d.isa.wide().is_some() {
            (0..).zip(sources).for_each(|(i, source)| d.write(*source, list, i * 8));
            let leaf = d.leaf(x86::transpose(self.row_bytes as i32), 3);
            d.b.ins().call(leaf, &[self.f.depth, list, to]);
            done = d.b.ins().band_imm_s(self.f.depth, !7);
            if self.plan.extent(self.plan.a.d).as_constant().is_some_and(|depth| depth % 8 == 0) {
                return;
            }
        }
        (0..).zip(sources.chunks(4)).for_each(|(i, four)| {
            let to = d.b.ins().iadd_imm_s(to, i * 16);
            self.transpose_four(d, four, to, done);
        });
    }

    fn transpose_four(&self, d: &mut Driver, sources: &[Value], to: Value, from: Value) {
        let place = |d: &mut Driver, k: Value| {
            let offset = d.times(k, 4);
            let row = d.times(k, self.row_bytes);
            (offset, d.offset(to, row))
        };
        let rest = d.each(from, self.f.depth, 4, &mut |d, k| {
            let (offset, to) = place(d, k);
            let rows = [0, 1, 2, 3].map(|i| {
                let at = d.offset(sources[i], offset);
                d.read(F32X4, at, 0)
            });
            let columns = lanes::transpose(&mut d.b, rows);
            for (i, column) in (0..).zip(columns) {
                d.write(column, to, i * self.row_bytes as i32);
            }
        });
        d.each(rest, self.f.depth, 1, &mut |d, k| {
            let (offset, to) = place(d, k);
            for (i, source) in (0..).zip(sources) {
                let at = d.offset(*source, offset);
                let number = d.read(F32, at, 0);
                d.write(number, to, i * 4);
            }
        });
    }

    /// `[e / width][n][width]`; zeros past the last column.
    fn pack_values(&self, d: &mut Driver) {
        let plan = self.plan;
        let rows = rows_of(d, plan.values, self.f.values, self.f.width, &[plan.a.e], plan.a.n);
        let zero = d.integer(0);
        let end = d.b.ins().iadd_imm_s(self.f.width, self.width - 1);
        let panel_bytes = d.times(self.count, self.row_bytes);
        let all_whole = plan.extent(plan.a.e).as_constant().is_some_and(|width| width % self.width == 0);
        d.each(zero, end, self.width, &mut |d, column| {
            let panel = d.floor_divide(column, self.width);
            let skipped = d.b.ins().imul(panel, panel_bytes);
            let to = d.offset(self.values, skipped);
            let first = d.times(column, 4);
            let from = d.offset(rows.0, first);
            if all_whole {
                return self.copy(d, (from, rows.1), to);
            }
            let whole = d.b.ins().iadd_imm_s(column, self.width);
            let whole = d.b.ins().icmp(IntCC::SignedLessThanOrEqual, whole, self.f.width);
            d.either(
                whole,
                &[],
                &mut |d| {
                    self.copy(d, (from, rows.1), to);
                    vec![]
                },
                &mut |d| {
                    let left = d.b.ins().isub(self.f.width, column);
                    self.copy_some(d, (from, rows.1), to, left);
                    vec![]
                },
            );
        });
    }

    /// A panel of values whose columns are all there.
    fn copy(&self, d: &mut Driver, rows: (Value, Value), to: Value) {
        if let Some(width) = d.isa.wide() {
            let leaf = d.leaf(x86::copy(width, TILE_VECTORS), 4);
            d.b.ins().call(leaf, &[self.count, rows.0, to, rows.1]);
            return;
        }
        let zero = d.integer(0);
        d.each(zero, self.count, 1, &mut |d, n| {
            let from = at_row(d, rows, n);
            let skipped = d.times(n, self.row_bytes);
            let to = d.offset(to, skipped);
            for i in 0..self.width as i32 / 4 {
                let part = d.read(F32X4, from, i * 16);
                d.write(part, to, i * 16);
            }
        });
    }

    /// A panel of which so many columns are there.
    fn copy_some(&self, d: &mut Driver, rows: (Value, Value), to: Value, left: Value) {
        let zero = d.integer(0);
        d.each(zero, self.count, 1, &mut |d, n| {
            let from = at_row(d, rows, n);
            let skipped = d.times(n, self.row_bytes);
            let to = d.offset(to, skipped);
            let rest = d.each(zero, left, 1, &mut |d, x| {
                let at = at_number(d, from, x);
                let number = d.read(F32, at, 0);
                let at = at_number(d, to, x);
                d.write(number, at, 0);
            });
            let (all, nothing) = (d.integer(self.width), d.single().constant(Scalar::F32(0.0)).scalar());
            d.each(rest, all, 1, &mut |d, x| {
                let at = at_number(d, to, x);
                d.write(nothing, at, 0);
            });
        });
    }
}

/// What `right` holds of values: rows of keys, of so many bytes.
pub(super) struct Rows {
    pub(super) right: Value,
    pub(super) row_bytes: i64,
}

/// The sums of a row that begin in `tile`, in vectors of four, with what keys `from..to` add that its tile left out:
/// `Σ_n weight[n] · value[n]`.
pub(super) fn with_rest(
    d: &mut Driver,
    tile: Value,
    rows: &Rows,
    [from, to]: [Value; 2],
    weight: &dyn Fn(&mut Driver, Value) -> Value,
) -> Vec<Parts> {
    let parts = rows.row_bytes as i32 / 16;
    let sums = d.new_variables(4 * parts as usize, Scalar::F32(0.0));
    for (i, variable) in (0..parts).zip(&sums) {
        let part = d.read(F32X4, tile, i * 16);
        d.b.def_var(*variable, part);
    }
    d.each(from, to, 1, &mut |d, n| {
        let weight = weight(d, n);
        let weight = d.read(F32, weight, 0);
        let weight = Parts::one(d.vector(4).splat(DType::F32, weight).all()[0]);
        let skipped = d.times(n, rows.row_bytes);
        let row = d.offset(rows.right, skipped);
        for (i, variable) in (0..parts).zip(&sums) {
            let value = Parts::one(d.read(F32X4, row, i * 16));
            let old = Parts::one(d.b.use_var(*variable));
            let new = d.vector(4).multiply_add(DType::F32, value, weight, old);
            d.b.def_var(*variable, new.scalar());
        }
    });
    (0..parts).zip(&sums).map(|(_, variable)| Parts::one(d.b.use_var(*variable))).collect()
}
