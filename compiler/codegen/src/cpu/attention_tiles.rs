//! `attention` in f32 by tiles of rows in 128 bits: keys and values in panels, the scores of a few rows in scratch.
//!
//! A panel meets a block of tiles while it is near. A tile computes the panels of keys that one of its rows sees, and sums
//! the values that all of them see together; each row adds what it sees beyond that by itself, so that no row reads what
//! is hidden from it. Tiles begin at multiples of their height and are shared whole: a row's bits do not depend on the
//! number of parts.

use super::arithmetic::Arithmetic;
use super::attention::{AttentionPlan, Frame, at_number, most_of, shares, shift_of, store_row, weigh};
use super::attention_panels::{Panels, Rows, with_rest};
use super::driver::Driver;
use super::select::TILE_ROWS;
use super::{leaves, pack};
use crate::base::{DType, Dim};
use crate::kernel::Binary;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, I64};
use cranelift_codegen::ir::{InstBuilder, Value};

/// Tiles of a block, and its rows.
const TILES: i64 = 4;
const ROWS: i64 = TILES * TILE_ROWS;

/// Scratch and counts of the tiles of a part.
struct Tiles<'p, 'k> {
    plan: &'p AttentionPlan<'k>,
    f: &'p Frame,
    panels: Panels<'p, 'k>,
    /// Columns of a panel, and bytes of them.
    width: i64,
    row_bytes: i64,
    queries: Value,
    scores: Value,
    weights: Value,
    outs: Value,
    /// On the stack: how many keys each row sees, the least and the greatest number of each tile, what the weights of a
    /// row sum to, and a finished tile.
    ends: Value,
    spans: Value,
    sums: Value,
    tile: Value,
    keys: Value,
    /// Bytes from a row to the next in `queries`, `weights` and `outs`, from a tile to the next in `scores`.
    query_bytes: Value,
    score_bytes: Value,
    weight_bytes: Value,
    out_bytes: Value,
}

/// Bytes of scratch: panels of keys and of values, queries, scores, weights, results.
pub(super) fn regions(plan: &AttentionPlan) -> [Dim; 6] {
    let [n, d, e] = [plan.a.n, plan.a.d, plan.a.e].map(|axis| plan.extent(axis).clone());
    let rounded = |dim: &Dim| dim.clone() + plan.width;
    [
        rounded(&n) * &d * 4,
        rounded(&e) * &n * 4,
        d * (4 * ROWS),
        rounded(&n) * (4 * ROWS),
        n.clone() * (4 * ROWS),
        rounded(&e) * (4 * ROWS),
    ]
}

/// Emits the loops over batches and tiles. `start` is this part's scratch behind that of rows.
pub(super) fn lower(d: &mut Driver, plan: &AttentionPlan, f: &Frame, start: Value, rows: Value) {
    let t = tiles(d, plan, f, start);
    let rounded = d.b.ins().iadd_imm_s(rows, TILE_ROWS - 1);
    let count = d.floor_divide(rounded, TILE_ROWS);
    let ranges = shares(d, plan, count);
    let (outer, tiles) = ranges.split_at(plan.a.batch.len());
    let (from, to) = tiles[0];
    let any = d.b.ins().icmp(IntCC::SignedLessThan, from, to);
    let [from, to] = [from, to].map(|tile| d.times(tile, TILE_ROWS));
    let to = d.b.ins().smin(to, rows);
    let end = d.b.ins().iadd_imm_s(to, ROWS - 1);
    d.when(any, &mut |d| {
        d.each_in(&plan.a.batch, outer, &mut |d| {
            plan.evaluate(d, f, [false; 2]);
            t.panels.pack(d);
            d.each(from, end, ROWS, &mut |d, first| t.emit(d, first, to));
        });
    });
}

fn tiles<'p, 'k>(d: &mut Driver, plan: &'p AttentionPlan<'k>, f: &'p Frame, start: Value) -> Tiles<'p, 'k> {
    let mut at = start;
    let starts = regions(plan).map(|region| {
        let start = at;
        let bytes = d.dim(&region);
        at = d.offset(at, bytes);
        start
    });
    let [key_panels, value_panels, queries, scores, weights, outs] = starts;
    let keys = d.extent(plan.a.n);
    let rounded = d.b.ins().iadd_imm_s(keys, plan.width);
    let score_bytes = d.times(rounded, 4 * TILE_ROWS);
    let rounded = d.b.ins().iadd_imm_s(f.width, plan.width);
    Tiles {
        plan,
        f,
        panels: Panels::new(d, plan, f, [key_panels, value_panels]),
        width: plan.width,
        row_bytes: plan.width * 4,
        queries,
        scores,
        weights,
        outs,
        ends: d.stack(ROWS as usize * 8),
        spans: d.stack(TILES as usize * 16),
        sums: d.stack(ROWS as usize * 4),
        tile: d.stack((TILE_ROWS * plan.width) as usize * 4),
        keys,
        query_bytes: d.times(f.depth, 4),
        score_bytes,
        weight_bytes: d.times(keys, 4),
        out_bytes: d.times(rounded, 4),
    }
}

impl Tiles<'_, '_> {
    /// The block of rows from `first` on, those before `to`.
    fn emit(&self, d: &mut Driver, first: Value, to: Value) {
        let left = d.b.ins().isub(to, first);
        let most = d.integer(ROWS);
        let count = d.b.ins().smin(left, most);
        self.queries(d, first, count);
        let rounded = d.b.ins().iadd_imm_s(count, TILE_ROWS - 1);
        let tiles = d.floor_divide(rounded, TILE_ROWS);
        let most = self.spans(d, tiles, count);
        self.products(d, tiles, most);
        self.shares(d, first, count);
        self.sums(d, tiles, count);
        self.each_row(d, first, count, &mut |d, r| {
            let out = self.row(d, self.outs, self.out_bytes, r);
            store_row(d, self.plan, out, self.f.width);
        });
    }

    fn each_row(&self, d: &mut Driver, first: Value, count: Value, body: &mut dyn FnMut(&mut Driver, Value)) {
        let zero = d.integer(0);
        d.each(zero, count, 1, &mut |d, r| {
            let m = d.b.ins().iadd(first, r);
            d.enter_lanes(None, false);
            d.unflatten(&self.plan.a.m, m);
            d.forget();
            body(d, r);
        });
    }

    fn row(&self, d: &mut Driver, start: Value, bytes: Value, r: Value) -> Value {
        let skipped = d.b.ins().imul(bytes, r);
        d.offset(start, skipped)
    }

    /// The rows of a tile. Those past the last hold anything, and nothing is kept of them.
    fn rows_of_tile(&self, d: &mut Driver, start: Value, bytes: Value, tile: Value) -> Vec<Value> {
        let r = d.times(tile, TILE_ROWS);
        let first = self.row(d, start, bytes, r);
        std::iter::successors(Some(first), |row| Some(d.b.ins().iadd(*row, bytes))).take(TILE_ROWS as usize).collect()
    }

    fn end_of(&self, d: &mut Driver, r: Value) -> Value {
        let at = d.times(r, 8);
        let at = d.offset(self.ends, at);
        d.read(I64, at, 0)
    }

    /// Evaluates the queries and notes how many keys each sees.
    fn queries(&self, d: &mut Driver, first: Value, count: Value) {
        let zero = d.integer(0);
        self.each_row(d, first, count, &mut |d, r| {
            let to = self.row(d, self.queries, self.query_bytes, r);
            pack::evaluate(d, self.plan.a.q, &[self.plan.a.d], to);
            let (_, end) = self.plan.visible(d, self.keys);
            let end = d.b.ins().smax(end, zero);
            let at = d.times(r, 8);
            let at = d.offset(self.ends, at);
            d.write(end, at, 0);
        });
    }

    /// Notes the least and the greatest number of keys that rows of a tile see; gives the greatest of all.
    fn spans(&self, d: &mut Driver, tiles: Value, count: Value) -> Value {
        let zero = d.integer(0);
        let last = d.b.ins().iadd_imm_s(count, -1);
        let greatest = d.b.declare_var(I64);
        d.b.def_var(greatest, zero);
        d.each(zero, tiles, 1, &mut |d, tile| {
            let first = d.times(tile, TILE_ROWS);
            let (mut least, mut most) = (self.keys, zero);
            for i in 0..TILE_ROWS {
                let r = d.b.ins().iadd_imm_s(first, i);
                let r = d.b.ins().smin(r, last);
                let end = self.end_of(d, r);
                (least, most) = (d.b.ins().smin(least, end), d.b.ins().smax(most, end));
            }
            let at = self.span(d, tile);
            d.write(least, at, 0);
            d.write(most, at, 8);
            let old = d.b.use_var(greatest);
            let new = d.b.ins().smax(old, most);
            d.b.def_var(greatest, new);
        });
        d.b.use_var(greatest)
    }

    fn span(&self, d: &mut Driver, tile: Value) -> Value {
        let skipped = d.times(tile, 16);
        d.offset(self.spans, skipped)
    }

    /// Queries times keys, panel by panel: `[tile][n / width][row][width]`.
    fn products(&self, d: &mut Driver, tiles: Value, most: Value) {
        let panels = self.panels.of(d, most);
        let zero = d.integer(0);
        let panel_bytes = d.times(self.f.depth, self.row_bytes);
        d.each(zero, panels, 1, &mut |d, panel| {
            let skipped = d.b.ins().imul(panel, panel_bytes);
            let right = d.offset(self.panels.keys, skipped);
            let skipped = d.times(panel, TILE_ROWS * self.row_bytes);
            let results = d.offset(self.scores, skipped);
            let first = d.times(panel, self.width);
            d.each(zero, tiles, 1, &mut |d, tile| {
                let at = self.span(d, tile);
                let end = d.read(I64, at, 8);
                let seen = d.b.ins().icmp(IntCC::SignedLessThan, first, end);
                d.when(seen, &mut |d| {
                    let result = self.row(d, results, self.score_bytes, tile);
                    let queries = self.rows_of_tile(d, self.queries, self.query_bytes, tile);
                    call_tile(d, [self.f.depth, right, result], &queries);
                });
            });
        });
    }

    /// The exponentials of each row, side by side, and their sums.
    fn shares(&self, d: &mut Driver, first: Value, count: Value) {
        let zero = d.integer(0);
        self.each_row(d, first, count, &mut |d, r| {
            let tile = d.floor_divide(r, TILE_ROWS);
            let own = self.row(d, self.scores, self.score_bytes, tile);
            let above = d.times(tile, TILE_ROWS);
            let within = d.b.ins().isub(r, above);
            let skipped = d.times(within, self.row_bytes);
            let own = d.offset(own, skipped);
            let place = |d: &mut Driver, n: Value| {
                let panel = d.floor_divide(n, self.width);
                let begin = d.times(panel, self.width);
                let column = d.b.ins().isub(n, begin);
                let skipped = d.times(panel, TILE_ROWS * self.row_bytes);
                let at = d.offset(own, skipped);
                at_number(d, at, column)
            };
            let weights = self.row(d, self.weights, self.weight_bytes, r);
            let end = self.end_of(d, r);
            let most = most_of(d, self.plan, &place, (zero, end), self.plan.score_lanes);
            let shift = shift_of(d, most);
            let sum = weigh(d, &place, &|d, n| at_number(d, weights, n), (zero, end), shift, true);
            let at = at_number(d, self.sums, r);
            d.write(sum, at, 0);
        });
    }

    /// `out[r][e] = Σ_n weight[r][n] · value[n][e] / sum[r]`, panel by panel.
    fn sums(&self, d: &mut Driver, tiles: Value, count: Value) {
        let panels = self.panels.of(d, self.f.width);
        let zero = d.integer(0);
        let panel_bytes = d.times(self.keys, self.row_bytes);
        d.each(zero, panels, 1, &mut |d, panel| {
            let skipped = d.b.ins().imul(panel, panel_bytes);
            let right = d.offset(self.panels.values, skipped);
            let first = d.times(panel, self.row_bytes);
            d.each(zero, tiles, 1, &mut |d, tile| {
                let at = self.span(d, tile);
                let least = d.read(I64, at, 0);
                let weights = self.rows_of_tile(d, self.weights, self.weight_bytes, tile);
                call_tile(d, [least, right, self.tile], &weights);
                let from = d.times(tile, TILE_ROWS);
                let to = d.b.ins().iadd_imm_s(from, TILE_ROWS);
                let to = d.b.ins().smin(to, count);
                d.each(from, to, 1, &mut |d, r| {
                    let within = d.b.ins().isub(r, from);
                    let skipped = d.times(within, self.row_bytes);
                    let tile = d.offset(self.tile, skipped);
                    let out = self.row(d, self.outs, self.out_bytes, r);
                    let out = d.offset(out, first);
                    self.finish(d, r, (tile, right, out), least);
                });
            });
        });
    }

    /// Adds what a row sees beyond the others of its tile, and divides.
    fn finish(&self, d: &mut Driver, r: Value, (tile, right, out): (Value, Value, Value), least: Value) {
        let weights = self.row(d, self.weights, self.weight_bytes, r);
        let end = self.end_of(d, r);
        let rows = Rows { right, row_bytes: self.row_bytes };
        let sums = with_rest(d, tile, &rows, [least, end], &|d, n| at_number(d, weights, n));
        let at = at_number(d, self.sums, r);
        let sum = d.read(F32, at, 0);
        for (i, total) in (0..).zip(sums) {
            let mut e = d.vector(4);
            let divisor = e.splat(DType::F32, sum);
            let quotient = e.binary(Binary::Div, DType::F32, total, divisor);
            let result = self.f.unless_blind(&mut e, quotient, divisor);
            d.write(result.all()[0], out, i * 16);
        }
    }
}

/// `TILE (depth, right panel, result, list of left rows)`.
fn call_tile(d: &mut Driver, [depth, right, result]: [Value; 3], rows: &[Value]) {
    let list = d.stack(TILE_ROWS as usize * 8);
    (0..).zip(rows).for_each(|(i, row)| d.write(*row, list, i * 8));
    let leaf = d.leaves[leaves::tile_of_rows(d.isa)];
    d.b.ins().call(leaf, &[depth, right, result, list]);
}
