//! Keys and values of a batch position in panels, as the leaves of tiles read them.
//! Invariant: only rows of keys that are there are read, and of them only what lies along d and e.

use super::arithmetic::Arithmetic;
use super::attention::{at_number, at_row, rows_of};
use super::attention_tiles::Tiles;
use super::driver::Driver;
use super::lanes;
use crate::base::Scalar;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F32X4};
use cranelift_codegen::ir::{InstBuilder, Value};

impl Tiles<'_, '_> {
    /// `[n / width][d][width]`; columns past the last key repeat it, and nothing reads their scores.
    pub(super) fn pack_keys(&self, d: &mut Driver) {
        let plan = self.plan;
        let rows = rows_of(d, plan.keys, self.f.keys, self.f.depth, &[plan.a.d], plan.a.n);
        let panels = self.panels(d, self.keys);
        let last = d.b.ins().iadd_imm_s(self.keys, -1);
        let (zero, groups) = (d.integer(0), d.integer(self.width / 4));
        let panel_bytes = d.times(self.f.depth, self.row_bytes);
        d.each(zero, panels, 1, &mut |d, panel| {
            let skipped = d.b.ins().imul(panel, panel_bytes);
            let to = d.offset(self.key_panels, skipped);
            let first = d.times(panel, self.width);
            d.each(zero, groups, 1, &mut |d, group| {
                let column = d.times(group, 4);
                let sources: Vec<Value> = (0..4)
                    .map(|i| {
                        let n = d.b.ins().iadd(first, column);
                        let n = d.b.ins().iadd_imm_s(n, i);
                        let n = d.b.ins().smin(n, last);
                        at_row(d, rows, n)
                    })
                    .collect();
                let bytes = d.times(group, 16);
                let to = d.offset(to, bytes);
                self.transpose(d, &sources, to);
            });
        });
    }

    /// Four rows along d as four columns of a panel.
    fn transpose(&self, d: &mut Driver, sources: &[Value], to: Value) {
        let zero = d.integer(0);
        let place = |d: &mut Driver, k: Value| {
            let offset = d.times(k, 4);
            let row = d.times(k, self.row_bytes);
            (offset, d.offset(to, row))
        };
        let rest = d.each(zero, self.f.depth, 4, &mut |d, k| {
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
    pub(super) fn pack_values(&self, d: &mut Driver) {
        let plan = self.plan;
        let rows = rows_of(d, plan.values, self.f.values, self.f.width, &[plan.a.e], plan.a.n);
        let zero = d.integer(0);
        let end = d.b.ins().iadd_imm_s(self.f.width, self.width - 1);
        let panel_bytes = d.times(self.keys, self.row_bytes);
        d.each(zero, end, self.width, &mut |d, column| {
            let panel = d.floor_divide(column, self.width);
            let skipped = d.b.ins().imul(panel, panel_bytes);
            let to = d.offset(self.value_panels, skipped);
            let whole = d.b.ins().iadd_imm_s(column, self.width);
            let whole = d.b.ins().icmp(IntCC::SignedLessThanOrEqual, whole, self.f.width);
            let first = d.times(column, 4);
            d.each(zero, self.keys, 1, &mut |d, n| {
                let from = at_row(d, rows, n);
                let from = d.offset(from, first);
                let skipped = d.times(n, self.row_bytes);
                let to = d.offset(to, skipped);
                d.either(
                    whole,
                    &[],
                    &mut |d| {
                        for i in 0..self.width as i32 / 4 {
                            let part = d.read(F32X4, from, i * 16);
                            d.write(part, to, i * 16);
                        }
                        vec![]
                    },
                    &mut |d| {
                        let left = d.b.ins().isub(self.f.width, column);
                        let rest = d.each(zero, left, 1, &mut |d, x| {
                            let at = at_number(d, from, x);
                            let number = d.read(F32, at, 0);
                            let at = at_number(d, to, x);
                            d.write(number, at, 0);
                        });
                        let all = d.integer(self.width);
                        self.zeros(d, to, rest, all);
                        vec![]
                    },
                );
            });
        });
    }

    fn zeros(&self, d: &mut Driver, to: Value, from: Value, end: Value) {
        let nothing = d.single().constant(Scalar::F32(0.0)).scalar();
        d.each(from, end, 1, &mut |d, x| {
            let at = at_number(d, to, x);
            d.write(nothing, at, 0);
        });
    }
}
