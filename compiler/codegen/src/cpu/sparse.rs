//! `contract` with a sparse right side, in f32: block by block of its rows, the epilogue on each finished block.
//!
//! One row of the left side is read by index as it lies. Of more rows, up to 32 are first laid side by side, so that a number
//! of the matrix meets all of them at once. Parts share the blocks by equal numbers of steps. A sum's order follows from the
//! matrix alone, so results are the same bits for every number of rows and of parts. Products with zeros that the matrix
//! leaves out are not made: what is infinite or not a number does not reach a result through them.

use super::address::{Motion, motion};
use super::arithmetic::Arithmetic;
use super::chain;
use super::clif::proved;
use super::contract::row_access;
use super::driver::{Accumulator, Driver};
use super::nest::Lanes;
use super::pack;
use super::select::Isa;
use super::sparse_portable::block_sums;
use super::x86::{self, Width};
use crate::base::{BLOCK, DType, Dim, Form, Scalar, Sparse, Storage};
use crate::kernel::{AxisId, Body, BufferId, Contract, Kernel, Node, Store};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, I64};
use cranelift_codegen::ir::{FuncRef, InstBuilder, Value};

/// Rows of the left side that are taken together.
const ROWS: i64 = 32;

/// Columns that the epilogue takes together where it has no leaf.
const LANES: usize = 8;

/// How a sparse contraction runs.
pub(super) struct SparsePlan<'k> {
    kernel: &'k Kernel,
    c: Contract,
    /// Axes of the left side's rows: the batch's, which the right side does not have, and m.
    rows: Vec<AxisId>,
    n: AxisId,
    pub(super) sparse: Sparse,
    right: BufferId,
    width: Option<Width>,
    left_in_place: bool,
    /// Whether results along n are neighbours.
    columns: bool,
}

/// What a lowering in progress keeps at hand.
pub(super) struct Frame {
    height: Value,
    /// Blocks of this part.
    blocks: (Value, Value),
    /// Scratch of this part: evaluated rows, rows side by side, sums of a block, and those row by row of the left side.
    left: Value,
    beside: Value,
    pub(super) sums: Value,
    tile: Value,
    /// On the stack: a leaf's list, and pointers to rows.
    list: Value,
    pointers: Value,
}

impl<'k> SparsePlan<'k> {
    /// `None` where the right side is not sparse.
    pub(super) fn new(kernel: &'k Kernel, isa: Isa) -> Option<Self> {
        let Body::Contract(c) = &kernel.body else { return None };
        let Node::Operand(operand) = kernel.expr.nodes[c.b.0 as usize] else { return None };
        let right = kernel.operand(operand).buffer;
        let Storage::Sparse(sparse) = kernel.buffer(right).storage else { return None };
        let n = c.n[0];
        let permuted = isa == Isa::Avx512 && sparse.form == Form::Permuted;
        let left_in_place = !permuted
            && row_access(kernel, c.a, &c.k)
                .is_some_and(|access| kernel.buffer(access.buffer).storage == Storage::Plain(DType::F32));
        let along = |store: &Store| motion(kernel, &store.access, n) == Motion::Step(Dim::from(1));
        let columns = c.stores.iter().all(along);
        let rows = [&c.batch[..], &c.m].concat();
        Some(SparsePlan { kernel, c: c.clone(), rows, n, sparse, right, width: isa.wide(), left_in_place, columns })
    }

    /// How many rows the left side has, where that is known.
    fn height(&self) -> Dim {
        self.rows.iter().map(|axis| self.kernel.axis(*axis).extent.clone()).product()
    }

    /// Rows that are taken together at most.
    fn most(&self) -> i64 {
        match self.height().as_constant() {
            Some(height) if height <= 1 => 1,
            _ if self.width.is_none() => 1,
            _ => ROWS,
        }
    }

    /// Bytes between evaluated rows of the left side, which are as long as whole tiles: a cache line more, lest rows of
    /// whole pages share the few places that a first-level cache has for them.
    fn pitch(&self) -> i64 {
        (self.sparse.tiles() * self.sparse.form.tile()) as i64 * 4 + 64
    }

    /// Bytes of the evaluated rows, the rows side by side, the sums, and the sums by rows; all multiples of 64.
    fn regions(&self) -> [i64; 4] {
        let most = self.most();
        let left = if self.left_in_place { 0 } else { most * self.pitch() };
        let beside = if most > 1 { i64::from(self.sparse.columns) * most * 4 } else { 0 };
        let sums = BLOCK as i64 * most * 4;
        [left, beside, sums, if most > 1 { sums } else { 0 }]
    }

    /// Bytes of scratch for each part.
    pub(super) fn scratch(&self) -> i64 {
        self.regions().iter().sum()
    }
}

/// Emits the loops around the leaves.
pub(super) fn lower(d: &mut Driver, plan: &SparsePlan) {
    d.find_unstable();
    let f = frame(d, plan);
    let Some(width) = plan.width else { return portable(d, plan, &f) };
    match plan.height().as_constant() {
        Some(1) => one_row(d, plan, &f),
        Some(_) => many_rows(d, plan, &f, width),
        None => {
            let one = d.b.ins().icmp_imm_s(IntCC::Equal, f.height, 1);
            d.when(one, &mut |d| one_row(d, plan, &f));
            let more = d.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, f.height, 1);
            d.when(more, &mut |d| many_rows(d, plan, &f, width));
        }
    }
}

fn frame(d: &mut Driver, plan: &SparsePlan) -> Frame {
    let height = d.dim(&plan.height());
    let [left_bytes, beside_bytes, sums_bytes, _] = plan.regions();
    let skipped = d.times(d.part, plan.scratch());
    let left = d.offset(d.buffers[plan.kernel.buffers.len()], skipped);
    let mut at = left;
    let [beside, sums, tile] = [left_bytes, beside_bytes, sums_bytes].map(|bytes| {
        at = d.b.ins().iadd_imm_s(at, bytes);
        at
    });
    let (list, pointers) = (d.stack(x86::LIST * 8), d.stack(ROWS as usize * 8));
    let blocks = share(d, plan);
    Frame { height, blocks, left, beside, sums, tile, list, pointers }
}

/// This part's blocks: those whose first step is in its share of all steps; the last part has all that remain.
fn share(d: &mut Driver, plan: &SparsePlan) -> (Value, Value) {
    let (blocks, tiles) = (plan.sparse.blocks() as i64, plan.sparse.tiles() as i64);
    let (zero, count) = (d.integer(0), d.integer(blocks));
    let start = d.integer(blocks * tiles);
    let total = first_step(d, plan, start);
    let next = d.b.ins().iadd_imm_s(d.part, 1);
    let ends = [d.part, next].map(|part| {
        let scaled = d.b.ins().imul(total, part);
        let share = d.b.ins().sdiv(scaled, d.parts);
        let before = d.b.declare_var(I64);
        d.b.def_var(before, zero);
        d.each(zero, count, 1, &mut |d, block| {
            let region = d.times(block, tiles);
            let first = first_step(d, plan, region);
            let earlier = d.b.ins().icmp(IntCC::SignedLessThan, first, share);
            let one = d.b.ins().uextend(I64, earlier);
            let old = d.b.use_var(before);
            let new = d.b.ins().iadd(old, one);
            d.b.def_var(before, new);
        });
        d.b.use_var(before)
    });
    let is_last = d.b.ins().icmp(IntCC::Equal, next, d.parts);
    (ends[0], d.b.ins().select(is_last, count, ends[1]))
}

/// The first step of a region.
fn first_step(d: &mut Driver, plan: &SparsePlan, region: Value) -> Value {
    let bytes = d.times(region, 4);
    let at = d.offset(d.buffers[plan.right.0 as usize], bytes);
    d.b.ins().uload32(proved(), at, 0)
}

/// `from + bytes * count` in the matrix.
fn part_of(d: &mut Driver, plan: &SparsePlan, from: usize, count: Value, bytes: usize) -> Value {
    let skipped = d.times(count, bytes as i64);
    let skipped = d.b.ins().iadd_imm_s(skipped, from as i64);
    d.offset(d.buffers[plan.right.0 as usize], skipped)
}

/// The parts of the matrix that a block begins at: counts, orders, numbers, columns.
pub(super) fn parts_of(d: &mut Driver, plan: &SparsePlan, block: Value) -> [Value; 4] {
    let (sparse, lanes) = (plan.sparse, plan.sparse.form.lanes());
    let region = d.times(block, sparse.tiles() as i64);
    let step = first_step(d, plan, region);
    let counts = part_of(d, plan, sparse.counts(), region, sparse.slices() * 2);
    let order = part_of(d, plan, sparse.order(), region, BLOCK);
    let values = part_of(d, plan, sparse.values(), step, lanes * 4);
    [counts, order, values, part_of(d, plan, sparse.indices(), step, lanes)]
}

/// Runs a leaf over all tiles of a block.
fn call_block(d: &mut Driver, plan: &SparsePlan, f: &Frame, leaf: FuncRef, left: Value, block: Value) {
    let [counts, order, values, indices] = parts_of(d, plan, block);
    for (i, word) in (0..).zip([left, counts, order, values, indices, f.sums]) {
        d.write(word, f.list, i * 8);
    }
    let tiles = d.integer(plan.sparse.tiles() as i64);
    d.b.ins().call(leaf, &[tiles, f.list]);
}

/// The pointer to a row of the left side, evaluated at `place` of the scratch where it does not lie in memory.
fn left_row(d: &mut Driver, plan: &SparsePlan, f: &Frame, row: Value, place: Value) -> Value {
    d.unflatten(&plan.rows, row);
    if plan.left_in_place {
        let access = row_access(plan.kernel, plan.c.a, &plan.c.k).expect("the plan found it");
        pack::bind_first(d, &plan.c.k);
        d.forget();
        let (element, _) = d.element(access, None);
        return d.address(access, element);
    }
    let skipped = d.times(place, plan.pitch());
    let to = d.offset(f.left, skipped);
    pack::evaluate(d, plan.c.a, &plan.c.k, to);
    if plan.sparse.form == Form::Permuted {
        let nothing = d.single().constant(Scalar::F32(0.0)).scalar();
        let past = i64::from(plan.sparse.columns)..(plan.pitch() - 64) / 4;
        past.for_each(|column| d.write(nothing, to, column as i32 * 4));
    }
    to
}

fn one_row(d: &mut Driver, plan: &SparsePlan, f: &Frame) {
    let zero = d.integer(0);
    let left = left_row(d, plan, f, zero, zero);
    let leaf = match (plan.width, plan.sparse.form) {
        (Some(Width::Zmm), Form::Permuted) => x86::permute(plan.sparse),
        _ => x86::gather(plan.sparse),
    };
    let leaf = d.leaf(leaf, 2);
    let one = d.integer(1);
    d.each(f.blocks.0, f.blocks.1, 1, &mut |d, block| {
        call_block(d, plan, f, leaf, left, block);
        epilogue(d, plan, (zero, one), f.sums, block);
    });
}

fn many_rows(d: &mut Driver, plan: &SparsePlan, f: &Frame, width: Width) {
    let (zero, all) = (d.integer(0), d.integer(ROWS));
    let end = d.b.ins().iadd_imm_s(f.height, ROWS - 1);
    d.each(zero, end, ROWS, &mut |d, m| {
        let rest = d.b.ins().isub(f.height, m);
        let rest = d.b.ins().smin(rest, all);
        d.each(zero, rest, 1, &mut |d, r| {
            let row = d.b.ins().iadd(m, r);
            let row = left_row(d, plan, f, row, r);
            write_pointer(d, f, r, row);
        });
        // Rows past the last repeat it; nothing is stored of them.
        let repeated = d.b.ins().iadd_imm_s(rest, -1);
        let bytes = d.times(repeated, 8);
        let at = d.offset(f.pointers, bytes);
        let row = d.read(I64, at, 0);
        d.each(rest, all, 1, &mut |d, r| write_pointer(d, f, r, row));
        let mut below = 0;
        for count in [8, 16, ROWS] {
            let above = d.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, rest, below);
            let within = d.b.ins().icmp_imm_s(IntCC::SignedLessThanOrEqual, rest, count);
            let fits = d.b.ins().band(above, within);
            d.when(fits, &mut |d| beside(d, plan, f, width, count, (m, rest)));
            below = count;
        }
    });
}

fn write_pointer(d: &mut Driver, f: &Frame, place: Value, pointer: Value) {
    let bytes = d.times(place, 8);
    let at = d.offset(f.pointers, bytes);
    d.write(pointer, at, 0);
}

/// `rows` rows from `m` on, laid side by side, `count` of them with those that repeat the last.
fn beside(d: &mut Driver, plan: &SparsePlan, f: &Frame, width: Width, count: i64, (m, rows): (Value, Value)) {
    lay_beside(d, plan, f, count);
    let width = if count < width.lanes() { Width::Ymm } else { width };
    let vectors = (count / width.lanes()) as u8;
    let leaf = d.leaf(x86::lanes(width, plan.sparse, vectors), 2);
    let transpose = d.leaf(x86::transpose(BLOCK as i32 * 4), 4);
    let (zero, eights, count_value) = (d.integer(0), d.integer(BLOCK as i64 / 8), d.integer(count));
    let eight = d.stack(64);
    d.each(f.blocks.0, f.blocks.1, 1, &mut |d, block| {
        call_block(d, plan, f, leaf, f.beside, block);
        d.each(zero, eights, 1, &mut |d, group| {
            let skipped = d.times(group, 8 * count * 4);
            let from = d.offset(f.sums, skipped);
            for i in 0..8 {
                let row = d.b.ins().iadd_imm_s(from, i * count * 4);
                d.write(row, eight, i as i32 * 8);
            }
            let skipped = d.times(group, 32);
            let to = d.offset(f.tile, skipped);
            d.b.ins().call(transpose, &[count_value, eight, to, zero]);
        });
        epilogue(d, plan, (m, rows), f.tile, block);
    });
}

/// `[column][row]` of the rows that are pointed to.
fn lay_beside(d: &mut Driver, plan: &SparsePlan, f: &Frame, count: i64) {
    let columns = i64::from(plan.sparse.columns);
    let leaf = d.leaf(x86::transpose(count as i32 * 4), 4);
    let (zero, depth) = (d.integer(0), d.integer(columns));
    for group in 0..count / 8 {
        let list = d.b.ins().iadd_imm_s(f.pointers, group * 64);
        let to = d.b.ins().iadd_imm_s(f.beside, group * 32);
        d.b.ins().call(leaf, &[depth, list, to, zero]);
    }
    let (done, rows) = (d.integer(columns & !7), d.integer(count));
    d.each(done, depth, 1, &mut |d, column| {
        let skipped = d.times(column, count * 4);
        let to = d.offset(f.beside, skipped);
        d.each(zero, rows, 1, &mut |d, row| {
            let bytes = d.times(row, 8);
            let at = d.offset(f.pointers, bytes);
            let from = d.read(I64, at, 0);
            let (a, b) = (d.times(column, 4), d.times(row, 4));
            let (from, to) = (d.offset(from, a), d.offset(to, b));
            let number = d.read(F32, from, 0);
            d.write(number, to, 0);
        });
    });
}

/// Stores what `tile`, rows of `BLOCK` sums, holds of rows `m..m + rows` and the block's columns.
fn epilogue(d: &mut Driver, plan: &SparsePlan, (m, rows): (Value, Value), tile: Value, block: Value) {
    let zero = d.integer(0);
    let from = d.times(block, BLOCK as i64);
    let end = d.b.ins().iadd_imm_s(from, BLOCK as i64);
    let width = d.integer(i64::from(plan.sparse.rows));
    let to = d.b.ins().smin(end, width);
    d.each(zero, rows, 1, &mut |d, r| {
        let flat = d.b.ins().iadd(m, r);
        d.unflatten(&plan.rows, flat);
        let skipped = d.times(r, BLOCK as i64 * 4);
        let at = d.offset(tile, skipped);
        let rest = if plan.columns { store_together(d, plan, at, from, to) } else { from };
        d.enter_lanes(None, false);
        d.each(rest, to, 1, &mut |d, x| store_at(d, plan, at, from, x));
    });
}

/// Stores by vectors; gives where they end.
fn store_together(d: &mut Driver, plan: &SparsePlan, at: Value, from: Value, to: Value) -> Value {
    d.enter_lanes(Some(Lanes { axis: plan.n, count: LANES }), false);
    d.accumulator = Accumulator::At(at);
    d.forget();
    let stores: Vec<&Store> = plan.c.stores.iter().collect();
    if let Some(rest) = chain::store_along(d, &stores, from, to) {
        return rest;
    }
    d.each(from, to, LANES as i64, &mut |d, x| store_at(d, plan, at, from, x))
}

/// Does the stores of position `x` of n, whose sum stands `x - from` behind `at`.
fn store_at(d: &mut Driver, plan: &SparsePlan, at: Value, from: Value, x: Value) {
    d.positions[plan.n.0 as usize] = Some(x);
    let behind = d.b.ins().isub(x, from);
    let bytes = d.times(behind, 4);
    let sum = d.offset(at, bytes);
    d.accumulator = Accumulator::At(sum);
    d.forget();
    plan.c.stores.iter().for_each(|store| d.store(store));
}

/// Without leaves: row after row of the left side, four rows of a slice at a time.
fn portable(d: &mut Driver, plan: &SparsePlan, f: &Frame) {
    let (zero, one) = (d.integer(0), d.integer(1));
    d.each(zero, f.height, 1, &mut |d, m| {
        let left = left_row(d, plan, f, m, zero);
        d.each(f.blocks.0, f.blocks.1, 1, &mut |d, block| {
            block_sums(d, plan, f, left, block);
            epilogue(d, plan, (m, one), f.sums, block);
        });
    });
}
