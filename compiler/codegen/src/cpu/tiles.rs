//! The loops of a contraction: panels, register tiles, and the epilogue on each finished tile.
//!
//! A part sums the tiles that are its own, and whatever the number of parts a number is summed by one leaf in one order.

use super::chain;
use super::contract::{ContractPlan, LANES, ROW_GAP, row_access};
use super::driver::{Accumulator, Driver};
use super::interleaved::{self, SideBySide};
use super::leaves;
use super::nest::Lanes;
use super::pack::{self, Right};
use super::packed::{self, PackedRows};
use super::panels::PANEL;
use super::select::DOT_ROWS;
use crate::base::{DType, Storage};
use crate::kernel::{BufferId, Store};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// What a lowering in progress keeps at hand.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) depth: Value,
    /// Scratch of this part: evaluated left rows, a panel, fetched rows of the right side.
    left: Value,
    pub(super) panel: Value,
    pub(super) rows: Value,
    /// Pointers to the right side's rows of a panel and to the left side's rows of a tile, and a finished tile; on the
    /// stack.
    pub(super) pointers: Value,
    left_rows: Value,
    pub(super) tile: Value,
    /// The first row that was evaluated into scratch.
    first_row: Value,
    pub(super) height: Value,
    pub(super) width: Value,
}

impl Frame {
    /// The same with a tile elsewhere.
    pub(super) fn with_tile(&self, tile: Value) -> Frame {
        Frame { tile, ..*self }
    }
}

/// Emits the loops around the leaves.
pub(super) fn lower(d: &mut Driver, plan: &ContractPlan) {
    let c = &plan.c;
    d.find_unstable();
    let height = d.dim(&plan.extent(&c.m));
    let width = d.dim(&plan.extent(&c.n));
    let rounded = d.b.ins().iadd_imm_s(height, plan.tallest() - 1);
    let tiles = d.floor_divide(rounded, plan.tallest());
    let rounded = d.b.ins().iadd_imm_s(width, plan.width - 1);
    let panels = d.floor_divide(rounded, plan.width);
    let mut extents: Vec<Value> = c.batch.iter().map(|axis| d.extent(*axis)).collect();
    extents.extend([tiles, panels]);
    let ranges = d.shares(&extents);
    let (outer, inner) = ranges.split_at(c.batch.len());
    let [rows, panels] = [inner[0], inner[1]];
    let mut f = frame(d, plan, height, width);
    let [from, to] = [rows.0, rows.1].map(|tile| d.times(tile, plan.tallest()));
    let to = d.b.ins().smin(to, height);
    f.first_row = from;
    d.each_in(&c.batch, outer, &mut |d| {
        if !plan.left_in_place {
            pack::evaluate_left(d, c, f.left, (from, to), f.depth);
        }
        if let Some(rows) = PackedRows::new(plan, d.isa) {
            packed::arrange(d, plan, &f, &rows, (from, to));
        }
        let mut each_panel = |d: &mut Driver, rows| {
            d.each(panels.0, panels.1, 1, &mut |d, panel| emit_panel(d, plan, &f, panel, rows));
        };
        if let Some(side) = SideBySide::new(plan, d.isa) {
            let few = d.b.ins().icmp_imm_s(IntCC::SignedLessThanOrEqual, f.height, DOT_ROWS);
            d.when(few, &mut |d| interleaved::dot_panels(d, plan, &f, &side, (from, to), panels));
            let many = d.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, f.height, DOT_ROWS);
            return d.when(many, &mut |d| each_panel(d, (from, to)));
        }
        match plan.right {
            Right::Panels(_) => each_block(d, plan, f.depth, (from, to), &mut each_panel),
            _ => each_panel(d, (from, to)),
        }
    });
}

/// Bytes of left rows that stay in a second-level cache while panels pass.
const BLOCK: i64 = 192 << 10;

/// So many rows at least are taken together, since every block reads all panels.
const BLOCK_ROWS: i64 = 96;

/// `rows` in blocks, all of them whole tiles but the last.
fn each_block(
    d: &mut Driver,
    plan: &ContractPlan,
    depth: Value,
    (from, to): (Value, Value),
    body: &mut dyn FnMut(&mut Driver, (Value, Value)),
) {
    let (bytes, one, least) = (d.integer(BLOCK / 4), d.integer(1), d.integer(BLOCK_ROWS / plan.tallest()));
    let depth = d.b.ins().smax(depth, one);
    let fitting = d.b.ins().udiv(bytes, depth);
    let tiles = d.floor_divide(fitting, plan.tallest());
    let tiles = d.b.ins().smax(tiles, least);
    let rows = d.times(tiles, plan.tallest());
    let all = d.b.ins().isub(to, from);
    let rounded = d.b.ins().iadd(all, rows);
    let rounded = d.b.ins().iadd_imm_s(rounded, -1);
    let blocks = d.b.ins().sdiv(rounded, rows);
    let zero = d.integer(0);
    d.each(zero, blocks, 1, &mut |d, block| {
        let skipped = d.b.ins().imul(block, rows);
        let start = d.b.ins().iadd(from, skipped);
        let end = d.b.ins().iadd(start, rows);
        let end = d.b.ins().smin(end, to);
        body(d, (start, end));
    });
}

fn frame(d: &mut Driver, plan: &ContractPlan, height: Value, width: Value) -> Frame {
    let depth = d.dim(&plan.extent(&plan.c.k));
    let bytes = d.dim(&plan.scratch());
    let mine = d.b.ins().imul(bytes, d.part);
    let left = d.offset(d.buffers[plan.kernel.buffers.len()], mine);
    let [left_bytes, panel_bytes, _] = plan.regions().map(|dim| d.dim(&dim));
    let panel = d.offset(left, left_bytes);
    let rows = d.offset(panel, panel_bytes);
    let (pointers, left_rows) = (d.stack(plan.width as usize * 8), d.stack((plan.tallest() as usize + 2) * 8));
    let tile = d.stack((plan.tallest() * plan.width) as usize * 4);
    Frame { depth, left, panel, rows, pointers, left_rows, tile, first_row: depth, height, width }
}

fn emit_panel(d: &mut Driver, plan: &ContractPlan, f: &Frame, panel: Value, (from, to): (Value, Value)) {
    let n = d.times(panel, plan.width);
    let tiles = |d: &mut Driver, right: Value| {
        each_tile(d, plan, from, to, &mut |d, m| {
            if matches!(plan.right, Right::Panels(_)) {
                look_ahead(d, plan, f, (m, from), right);
            }
            call_tile(d, plan, f, (m, to), right);
            epilogue(d, plan, f, m, to, n);
        });
    };
    match plan.right {
        Right::Panels(buffer) => {
            let right = built_panel(d, plan, f, buffer, n);
            tiles(d, right);
        }
        Right::Columns => {
            pack::evaluate_columns(d, plan, f, n);
            tiles(d, f.panel);
        }
        Right::Strips => strips(d, plan, f, n, (from, to)),
        Right::Rows(storage) => {
            if let Some(side) = SideBySide::new(plan, d.isa) {
                interleaved::unpack(d, plan, f, &side, n);
                return tiles(d, f.panel);
            }
            let few = d.b.ins().icmp_imm_s(IntCC::SignedLessThanOrEqual, f.height, DOT_ROWS);
            let (dots, whole, end) = (d.b.create_block(), d.b.create_block(), d.b.create_block());
            d.b.ins().brif(few, dots, &[], whole, &[]);
            d.b.switch_to_block(dots);
            let packed = PackedRows::new(plan, d.isa);
            let narrow = match storage {
                Storage::Plain(DType::F16) if d.isa.wide().is_some() => Some(leaves::DOT_F16),
                Storage::Plain(DType::BF16) if d.isa.wide().is_some() => Some(leaves::DOT_BF16),
                _ => None,
            };
            match packed {
                Some(rows) => packed::dot_rows(d, plan, f, &rows, n, (from, to)),
                None => {
                    pack::fetch_rows(d, plan, f, storage, n, narrow.is_some());
                    dot_rows(d, plan, f, n, (from, to), narrow.unwrap_or(leaves::DOT));
                }
            }
            d.b.ins().jump(end, &[]);
            d.b.switch_to_block(whole);
            pack::fetch_rows(d, plan, f, storage, n, false);
            pack::transpose_rows(d, plan, f);
            tiles(d, f.panel);
            d.b.ins().jump(end, &[]);
            d.b.switch_to_block(end);
        }
    }
}

/// Where the columns from `n` on lie in panels of the build, part of one, one or two; a second one's pointer goes where
/// tiles look for it.
fn built_panel(d: &mut Driver, plan: &ContractPlan, f: &Frame, buffer: BufferId, n: Value) -> Value {
    let panel = d.floor_divide(n, PANEL);
    let column = d.b.ins().band_imm_s(n, PANEL - 1);
    let bytes = d.times(f.depth, PANEL * 4);
    let skipped = d.b.ins().imul(bytes, panel);
    let inside = d.times(column, 4);
    let skipped = d.b.ins().iadd(skipped, inside);
    let first = d.offset(d.buffers[buffer.0 as usize], skipped);
    if plan.width > PANEL {
        let next = d.offset(first, bytes);
        let after = d.b.ins().iadd_imm_s(n, PANEL);
        let exists = d.b.ins().icmp(IntCC::SignedLessThan, after, f.width);
        let second = d.b.ins().select(exists, next, first);
        d.write(second, f.left_rows, plan.tallest() as i32 * 8);
    }
    first
}

/// Where the tile at row `m` asks for its share of the next panel: the first tiles of a panel ask for all of it, so that
/// memory and arithmetic are busy at once. Others look at their own panel, which is at hand.
fn look_ahead(d: &mut Driver, plan: &ContractPlan, f: &Frame, (m, from): (Value, Value), right: Value) {
    let passed = d.b.ins().isub(m, from);
    let number = d.floor_divide(passed, plan.tallest());
    let panel = d.times(f.depth, PANEL * 4);
    let next = d.offset(right, panel);
    let share = d.times(f.depth, PANEL * 4 / leaves::AHEAD_TILES);
    let skipped = d.b.ins().imul(share, number);
    let next = d.offset(next, skipped);
    let first = d.b.ins().icmp_imm_s(IntCC::SignedLessThan, number, leaves::AHEAD_TILES);
    let place = d.b.ins().select(first, next, right);
    d.write(place, f.left_rows, (plan.tallest() as i32 + 1) * 8);
}

/// Every row of the left side against every column of the panel.
fn dot_rows(d: &mut Driver, plan: &ContractPlan, f: &Frame, n: Value, (from, to): (Value, Value), leaf: usize) {
    let zero = d.integer(0);
    let left = d.b.ins().isub(f.width, n);
    let limit = d.integer(plan.width);
    let columns = d.b.ins().smin(left, limit);
    each_tile(d, plan, from, to, &mut |d, m| {
        let rest = d.b.ins().isub(to, m);
        let tallest = d.integer(plan.tallest());
        let rows = d.b.ins().smin(rest, tallest);
        d.each(zero, rows, 1, &mut |d, r| {
            let row = d.b.ins().iadd(m, r);
            let row = left_row(d, plan, f, row);
            let skipped = d.times(r, plan.width * 4);
            let results = d.offset(f.tile, skipped);
            d.each(zero, columns, 1, &mut |d, x| {
                let at = d.times(x, 8);
                let at = d.offset(f.pointers, at);
                let column = d.read(cranelift_codegen::ir::types::I64, at, 0);
                let at = d.times(x, 4);
                let result = d.offset(results, at);
                let leaf = d.leaves[leaf];
                d.b.ins().call(leaf, &[f.depth, row, column, result]);
            });
        });
        epilogue(d, plan, f, m, to, n);
    });
}

/// One row of the left side against the columns from `n` on, which are read where they lie.
fn strips(d: &mut Driver, plan: &ContractPlan, f: &Frame, n: Value, (from, to): (Value, Value)) {
    let (access, stride) = plan.column_rows().expect("the plan found it");
    let zero = d.integer(0);
    let left = d.b.ins().isub(f.width, n);
    let limit = d.integer(plan.width);
    let columns = d.b.ins().smin(left, limit);
    d.each(from, to, 1, &mut |d, m| {
        let row = left_row(d, plan, f, m);
        d.unflatten(&plan.c.n, n);
        pack::bind_first(d, &plan.c.k);
        d.forget();
        let (element, _) = d.element(access, None);
        let start = d.address(access, element);
        let stride = d.dim(&stride);
        let mut done = zero;
        for (count, leaf) in leaves::STRIP {
            done = d.each(done, columns, count, &mut |d, x| {
                let bytes = d.times(x, 4);
                let [from, to] = [start, f.tile].map(|at| d.offset(at, bytes));
                let leaf = d.leaves[leaf];
                d.b.ins().call(leaf, &[f.depth, from, to, row, stride]);
            });
        }
        let after = d.b.ins().iadd_imm_s(m, 1);
        epilogue(d, plan, f, m, after, n);
    });
}

/// The pointer to a row of the left side.
pub(super) fn left_row(d: &mut Driver, plan: &ContractPlan, f: &Frame, row: Value) -> Value {
    if !plan.left_in_place {
        let number = d.b.ins().isub(row, f.first_row);
        let bytes = d.times(f.depth, 4);
        let bytes = d.b.ins().iadd_imm_s(bytes, ROW_GAP);
        let skipped = d.b.ins().imul(number, bytes);
        return d.offset(f.left, skipped);
    }
    let access = row_access(plan.kernel, plan.c.a, &plan.c.k).expect("the plan found it");
    d.unflatten(&plan.c.m, row);
    pack::bind_first(d, &plan.c.k);
    d.forget();
    let (element, _) = d.element(access, None);
    d.address(access, element)
}

/// Stores what a finished tile holds of rows `m..to` and columns from `n` on.
pub(super) fn epilogue(d: &mut Driver, plan: &ContractPlan, f: &Frame, m: Value, to: Value, n: Value) {
    let zero = d.integer(0);
    let rest = d.b.ins().isub(to, m);
    let tallest = d.integer(plan.tallest());
    let rows = d.b.ins().smin(rest, tallest);
    let left = d.b.ins().isub(f.width, n);
    let limit = d.integer(plan.width);
    let columns = d.b.ins().smin(left, limit);
    let single = |d: &mut Driver| {
        d.enter_lanes(None, false);
        d.each(zero, rows, 1, &mut |d, r| {
            let at = row_of_tile(d, plan, f, m, r);
            d.each(zero, columns, 1, &mut |d, x| {
                let flat = d.b.ins().iadd(n, x);
                d.unflatten(&plan.c.n, flat);
                let bytes = d.times(x, 4);
                let at = d.offset(at, bytes);
                store_all(d, plan, at);
            });
        });
    };
    let Some(axis) = plan.columns else { return single(d) };
    let together = pack::one_run(d, plan, n, f.width);
    let (fast, slow, end) = (d.b.create_block(), d.b.create_block(), d.b.create_block());
    d.b.ins().brif(together, fast, &[], slow, &[]);
    d.b.switch_to_block(slow);
    single(d);
    d.b.ins().jump(end, &[]);
    d.b.switch_to_block(fast);
    d.enter_lanes(Some(Lanes { axis, count: LANES }), false);
    tile_together(d, plan, f, (m, n), rows).unwrap_or_else(|| each_row(d, plan, f, (m, n), rows));
    d.enter_lanes(None, false);
    d.b.ins().jump(end, &[]);
    d.b.switch_to_block(end);
}

/// Stores a tile whose columns are all there with one leaf.
fn tile_together(d: &mut Driver, plan: &ContractPlan, f: &Frame, (m, n): (Value, Value), rows: Value) -> Option<()> {
    let vectors = plan.width / d.isa.wide()?.lanes();
    d.unflatten(&plan.c.m, m);
    d.unflatten(&plan.c.n, n);
    d.accumulator = Accumulator::At(f.tile);
    d.forget();
    let stores: Vec<&Store> = plan.c.stores.iter().collect();
    chain::store_tile(d, &stores, &plan.c.m, rows, vectors)
}

/// The same row by row.
fn each_row(d: &mut Driver, plan: &ContractPlan, f: &Frame, (m, n): (Value, Value), rows: Value) {
    let axis = plan.columns.expect("the epilogue takes columns together");
    let zero = d.integer(0);
    d.each(zero, rows, 1, &mut |d, r| {
        let at = row_of_tile(d, plan, f, m, r);
        d.unflatten(&plan.c.n, n);
        let from = d.positions[axis.0 as usize].expect("just bound");
        let to = d.b.ins().iadd_imm_s(from, plan.width);
        d.accumulator = Accumulator::At(at);
        d.forget();
        let stores: Vec<&Store> = plan.c.stores.iter().collect();
        if chain::store_along(d, &stores, from, to).is_some() {
            return;
        }
        let (zero, width) = (d.integer(0), d.integer(plan.width));
        d.each(zero, width, LANES as i64, &mut |d, x| {
            let flat = d.b.ins().iadd(n, x);
            d.unflatten(&plan.c.n, flat);
            let bytes = d.times(x, 4);
            let at = d.offset(at, bytes);
            store_all(d, plan, at);
        });
    });
}

/// Goes to row `r` of the tile at `m`; where its sums are.
fn row_of_tile(d: &mut Driver, plan: &ContractPlan, f: &Frame, m: Value, r: Value) -> Value {
    let flat = d.b.ins().iadd(m, r);
    d.unflatten(&plan.c.m, flat);
    let skipped = d.times(r, plan.width * 4);
    d.offset(f.tile, skipped)
}

fn store_all(d: &mut Driver, plan: &ContractPlan, accumulator: Value) {
    d.accumulator = Accumulator::At(accumulator);
    d.forget();
    plan.c.stores.iter().for_each(|store| d.store(store));
}

/// `for m in from..to` by tiles, the last perhaps not whole.
fn each_tile(d: &mut Driver, plan: &ContractPlan, from: Value, to: Value, body: &mut dyn FnMut(&mut Driver, Value)) {
    let end = d.b.ins().iadd_imm_s(to, plan.tallest() - 1);
    d.each(from, end, plan.tallest(), body);
}

/// Sums a tile of rows `m..to` with the lowest leaf that is tall enough. Rows past the last repeat it; nothing is stored
/// of them.
fn call_tile(d: &mut Driver, plan: &ContractPlan, f: &Frame, (m, to): (Value, Value), right: Value) {
    let (zero, one, tallest) = (d.integer(0), d.integer(1), d.integer(plan.tallest()));
    let last = d.b.ins().iadd_imm_s(to, -1);
    let alone = d.b.ins().icmp(IntCC::Equal, m, last);
    let pointers = if plan.heights.contains(&1) { d.b.ins().select(alone, one, tallest) } else { tallest };
    d.each(zero, pointers, 1, &mut |d, r| {
        let row = d.b.ins().iadd(m, r);
        let row = d.b.ins().smin(row, last);
        let row = left_row(d, plan, f, row);
        let bytes = d.times(r, 8);
        let at = d.offset(f.left_rows, bytes);
        d.write(row, at, 0);
    });
    let first = match plan.right {
        Right::Panels(_) => leaves::panel_tiles(d.isa),
        _ => leaves::tiles(d.isa),
    };
    let rows = d.b.ins().isub(to, m);
    let end = d.b.create_block();
    for (i, height) in plan.heights.iter().enumerate().rev() {
        if i > 0 {
            let (fits, taller) = (d.b.create_block(), d.b.create_block());
            let enough = d.b.ins().icmp_imm_s(IntCC::SignedLessThanOrEqual, rows, *height);
            d.b.ins().brif(enough, fits, &[], taller, &[]);
            d.b.switch_to_block(fits);
            let leaf = d.leaves[first + i];
            d.b.ins().call(leaf, &[f.depth, right, f.tile, f.left_rows]);
            d.b.ins().jump(end, &[]);
            d.b.switch_to_block(taller);
        } else {
            let leaf = d.leaves[first];
            d.b.ins().call(leaf, &[f.depth, right, f.tile, f.left_rows]);
            d.b.ins().jump(end, &[]);
        }
    }
    d.b.switch_to_block(end);
}
