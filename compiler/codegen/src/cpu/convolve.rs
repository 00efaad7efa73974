//! Contractions whose filters lie in panels: a picture's rows, read in place or brought together a block at a time, times
//! all panels, each tile's results finished in registers.
//!
//! Rows are shared out in tiles of two heights that differ by one, so that no tile is low. A number is summed in the order
//! of k, whatever the tile and the number of parts.

use super::chain::POINTERS;
use super::contract::row_access;
use super::driver::Driver;
use super::epilogue::{Epilogue, step_of};
use super::left::{self, Runs};
use super::panels::{PANEL, in_panels};
use super::select::Isa;
use super::x86::Width;
use super::{convolve_leaf, pack};
use crate::base::{DType, Dim, Storage};
use crate::kernel::{Access, Body, BufferId, Contract, Kernel, Node, Types};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{FuncRef, InstBuilder, Value};

/// Bytes of the left side's rows that are used for all panels before the next are: a part of the second-level cache.
const BLOCK: i64 = 160 << 10;

/// Rows that lie whole pages apart share few places of a first-level cache.
const PAGE: i64 = 4096;

/// Fewer rows leave the machine waiting for each sum.
const LEAST_ROWS: i64 = 4;

enum Left<'k> {
    /// In place, so many elements from row to row.
    There(&'k Access, i64),
    Copied(Runs<'k>),
}

/// How a kernel runs.
pub(super) struct ConvolvePlan<'k> {
    pub(super) kernel: &'k Kernel,
    pub(super) types: Types,
    c: &'k Contract,
    left: Left<'k>,
    right: BufferId,
    pub(super) epilogue: Epilogue<'k>,
    rows: i64,
    columns: i64,
    depth: i64,
    /// How many tiles there are, and the rows of each; the first `taller` have one more.
    tiles: i64,
    height: i64,
    taller: i64,
    /// Tiles of a block.
    block: i64,
    /// By whether the tile is taller, then whether half a panel is there.
    leaves: Vec<Vec<u8>>,
}

impl<'k> ConvolvePlan<'k> {
    /// `None` where `contract` does as well or is the only way.
    pub(super) fn new(kernel: &'k Kernel, isa: Isa) -> Option<Self> {
        let Body::Contract(c) = &kernel.body else { return None };
        let (width, types) = (isa.wide()?, kernel.types().ok()?);
        let [n] = c.n[..] else { return None };
        let extent = |axes: &[_]| {
            let extents = axes.iter().map(|axis| kernel.axis(*axis).extent.as_constant().filter(|extent| *extent > 0));
            extents.product::<Option<i64>>()
        };
        let (rows, columns, depth) = (extent(&c.m)?, extent(&c.n)?, extent(&c.k)?);
        if c.accumulator != DType::F32 || columns % 8 != 0 || rows < LEAST_ROWS {
            return None;
        }
        let right = in_panels(kernel, c.b, n, &c.k)?;
        let left = left_side(kernel, c, rows, depth)?;
        let epilogue = Epilogue::new(kernel, &types, &c.stores, n, &c.m, &c.k)?;
        if 2 + epilogue.moves().count() > POINTERS {
            return None;
        }
        let (heights, block) = (if width == Width::Zmm { 12 } else { 6 }, 1);
        let mut plan = ConvolvePlan {
            kernel,
            types,
            c,
            left,
            right,
            epilogue,
            rows,
            columns,
            depth,
            tiles: 0,
            height: 0,
            taller: 0,
            block,
            leaves: vec![],
        };
        (4..=heights).rev().any(|tallest| plan.fits(width, tallest)).then_some(plan)
    }

    /// Tries tiles of at most so many rows.
    fn fits(&mut self, width: Width, tallest: i64) -> bool {
        self.tiles = (self.rows + tallest - 1) / tallest;
        (self.height, self.taller) = (self.rows / self.tiles, self.rows % self.tiles);
        self.block = (BLOCK / (tallest * self.depth * 4)).clamp(1, self.tiles);
        let halves = [(width, PANEL / width.lanes()), (Width::Ymm, 1)];
        let shapes = [self.height, self.height + 1].into_iter().flat_map(|rows| halves.map(|half| (rows, half)));
        let needed = |(rows, (_, vectors)): &(i64, (Width, i64))| {
            let there = *rows == self.height || self.taller > 0;
            there && (*vectors != 1 || width == Width::Zmm || self.columns % PANEL != 0)
        };
        let made = shapes.map(|shape @ (rows, (width, vectors))| match needed(&shape) {
            true => convolve_leaf::emit(self, width, rows, vectors).ok(),
            false => Some(vec![]),
        });
        let made: Option<Vec<Vec<u8>>> = made.collect();
        self.leaves = made.unwrap_or_default();
        !self.leaves.is_empty()
    }

    /// Bytes from one row of the left side to the next.
    pub(super) fn left_step(&self) -> i64 {
        match &self.left {
            Left::There(_, step) => step * 4,
            Left::Copied(runs) => runs.row_bytes(),
        }
    }

    /// Bytes of scratch for each part: the rows of a block.
    pub(super) fn scratch(&self) -> Dim {
        match &self.left {
            Left::There(..) => Dim::from(0),
            Left::Copied(runs) => Dim::from(self.block * (self.height + 1) * runs.row_bytes()),
        }
    }
}

fn left_side<'k>(kernel: &'k Kernel, c: &Contract, rows: i64, depth: i64) -> Option<Left<'k>> {
    let Node::Operand(operand) = kernel.expr.nodes[c.a.0 as usize] else { return None };
    let access = kernel.operand(operand);
    if kernel.buffer(access.buffer).storage != Storage::Plain(DType::F32) {
        return None;
    }
    let there = row_access(kernel, c.a, &c.k).and_then(|access| step_of(kernel, access, &c.m));
    let collide = rows > 8 && depth * 4 % PAGE == 0;
    match there {
        Some(step) if !collide => Some(Left::There(access, step)),
        _ => Some(Left::Copied(Runs::new(kernel, access, &c.k)?)),
    }
}

/// Emits the loops around the leaves.
pub(super) fn lower(d: &mut Driver, plan: &ConvolvePlan) {
    let c = plan.c;
    d.find_unstable();
    d.enter_lanes(None, false);
    let mut extents: Vec<Value> = c.batch.iter().map(|axis| d.extent(*axis)).collect();
    let panels = (plan.columns + PANEL - 1) / PANEL;
    extents.extend([d.integer(plan.tiles), d.integer(panels)]);
    let ranges = d.shares(&extents);
    let (batch, inner) = ranges.split_at(c.batch.len());
    let [tiles, panels] = [inner[0], inner[1]];
    let frame = Frame::new(d, plan);
    d.each_in(&c.batch, batch, &mut |d| {
        // The last block may be shorter: the loop goes on while any tile is left.
        let end = d.b.ins().iadd_imm_s(tiles.1, plan.block - 1);
        d.each(tiles.0, end, plan.block, &mut |d, first| {
            let last = d.b.ins().iadd_imm_s(first, plan.block);
            let last = d.b.ins().smin(last, tiles.1);
            let start = first_row(d, plan, first);
            if let Left::Copied(runs) = &plan.left {
                let end = first_row(d, plan, last);
                left::copy(d, runs, &c.m, start, end, frame.scratch);
            }
            d.each(panels.0, panels.1, 1, &mut |d, panel| {
                let bases = frame.bases(d, plan, panel);
                d.each(first, last, 1, &mut |d, tile| emit_tile(d, plan, &frame, &bases, (tile, start, panel)));
            });
        });
    });
}

fn first_row(d: &mut Driver, plan: &ConvolvePlan, tile: Value) -> Value {
    let taller = d.integer(plan.taller);
    let more = d.b.ins().smin(tile, taller);
    let rows = d.times(tile, plan.height);
    d.b.ins().iadd(rows, more)
}

/// What the loops keep at hand.
struct Frame {
    scratch: Value,
    list: Value,
    /// Numbers that are the same for a tile.
    block: Value,
    leaves: Vec<Option<FuncRef>>,
}

impl Frame {
    fn new(d: &mut Driver, plan: &ConvolvePlan) -> Frame {
        let bytes = d.dim(&plan.scratch());
        let mine = d.b.ins().imul(bytes, d.part);
        let scratch = d.offset(d.buffers[plan.kernel.buffers.len()], mine);
        let (list, block) =
            (d.stack((2 + plan.epilogue.moves().count()) * 8), d.stack(plan.epilogue.fixed.len().max(1) * 4));
        let leaves = plan.leaves.iter().map(|bytes| (!bytes.is_empty()).then(|| d.leaf(bytes.clone(), 2))).collect();
        Frame { scratch, list, block, leaves }
    }

    /// Pointers for the first row and a panel, and the bytes by which each moves from row to row.
    fn bases(&self, d: &mut Driver, plan: &ConvolvePlan, panel: Value) -> Vec<(Value, i64)> {
        let column = d.times(panel, PANEL);
        d.positions[plan.c.n[0].0 as usize] = Some(column);
        pack::bind_first(d, &plan.c.m);
        pack::bind_first(d, &plan.c.k);
        d.forget();
        for (i, id) in (0..).zip(&plan.epilogue.fixed) {
            let value = d.uniform(*id);
            d.write(value, self.block, i * 4);
        }
        let at = |d: &mut Driver, access: &Access| {
            let (element, _) = d.element(access, None);
            d.address(access, element)
        };
        let left = match &plan.left {
            Left::There(access, step) => (at(d, access), step * 4),
            Left::Copied(runs) => (self.scratch, runs.row_bytes()),
        };
        let skipped = d.times(panel, plan.depth * PANEL * 4);
        let right = d.offset(d.buffers[plan.right.0 as usize], skipped);
        let mut bases = vec![left, (right, 0)];
        for (_, operand, next) in &plan.epilogue.rows {
            bases.push((at(d, plan.kernel.operand(*operand)), next * 4));
        }
        if !plan.epilogue.fixed.is_empty() {
            bases.push((self.block, 0));
        }
        for (store, next) in plan.c.stores.iter().zip(plan.epilogue.stored()) {
            bases.push((at(d, &store.access), next * 4));
        }
        bases
    }
}

fn emit_tile(
    d: &mut Driver,
    plan: &ConvolvePlan,
    frame: &Frame,
    bases: &[(Value, i64)],
    (tile, start, panel): (Value, Value, Value),
) {
    let row = first_row(d, plan, tile);
    for (i, (base, step)) in (0..).zip(bases) {
        let rows = match (&plan.left, i) {
            (Left::Copied(_), 0) => d.b.ins().isub(row, start),
            _ => row,
        };
        let moved = d.times(rows, *step);
        let pointer = if *step == 0 { *base } else { d.offset(*base, moved) };
        d.write(pointer, frame.list, i * 8);
    }
    let depth = d.integer(plan.depth);
    let is_taller = d.b.ins().icmp_imm_s(IntCC::SignedLessThan, tile, plan.taller);
    let is_half = d.b.ins().icmp_imm_s(IntCC::Equal, panel, plan.columns / PANEL);
    let end = d.b.create_block();
    for (number, leaf) in frame.leaves.iter().enumerate() {
        let Some(leaf) = leaf else { continue };
        let (this, next) = (d.b.create_block(), d.b.create_block());
        let wrong =
            |d: &mut Driver, flag: Value, wanted: bool| if wanted { flag } else { d.b.ins().bxor_imm_s(flag, 1) };
        let taller = wrong(d, is_taller, number >= 2);
        let half = wrong(d, is_half, number % 2 == 1);
        let both = d.b.ins().band(taller, half);
        d.b.ins().brif(both, this, &[], next, &[]);
        d.b.switch_to_block(this);
        d.b.ins().call(*leaf, &[depth, frame.list]);
        d.b.ins().jump(end, &[]);
        d.b.switch_to_block(next);
    }
    d.b.ins().jump(end, &[]);
    d.b.switch_to_block(end);
}
