//! Contractions whose right side lies in panels: rows of the left side, read in place or brought together a block at a
//! time, times all panels, each tile's results finished in registers.
//!
//! Rows are shared out in tiles of two heights that differ by one, so that no tile is low where there are many rows.
//! Heights follow from the number of rows, so that a number is summed in one order whatever the number of parts.

use super::block_leaf::{self, AHEAD, ASIDE, LEFT, Piece, RIGHT, Shape};
use super::chain::POINTERS;
use super::contract::{ROW_GAP, row_access};
use super::driver::Driver;
use super::epilogue::{Epilogue, step_of};
use super::leaves::{AHEAD_BYTES, FEW_ROWS, UNROLL};
use super::left::{self, Runs};
use super::pack;
use super::panels::{PANEL, in_panels};
use super::select::{Isa, panel_width};
use super::x86::{self, Kept, Width};
use crate::base::{DType, Dim, Storage};
use crate::kernel::{Access, AxisId, Body, BufferId, Contract, Kernel, Node, Types};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{FuncRef, InstBuilder, Value};

/// Bytes of the left side's rows that are used for all panels before the next are: a part of the second-level cache.
const BLOCK: i64 = 160 << 10;

/// Steps of k that are taken together where there are too many for caches: with a tile's rows, a panel's then stay in the
/// nearest.
const CHUNK: i64 = 512;

/// So many steps of k are taken at once yet; any number for few rows, which stay in a cache.
const MOST_STEPS: i64 = 1024;

/// Panels that a row is multiplied with at a time.
const STREAMS: i64 = 4;

/// Steps that a leaf takes in one turn: chunks are whole turns.
const TURN: i64 = UNROLL;

/// Rows that lie whole pages apart share few places of a first-level cache.
const PAGE: i64 = 4096;

enum Left<'k> {
    /// In place, so many elements from row to row.
    There(&'k Access, i64),
    Copied(Runs<'k>),
    Evaluated,
}

/// How a kernel runs.
pub(super) struct BlockPlan<'k> {
    pub(super) kernel: &'k Kernel,
    pub(super) types: Types,
    c: &'k Contract,
    left: Left<'k>,
    right: BufferId,
    /// What its numbers are kept as.
    pub(super) kept: Kept,
    pub(super) epilogue: Epilogue<'k>,
    pub(super) width: Width,
    rows: Dim,
    columns: i64,
    depth: i64,
    /// Steps of k that are taken before the next are.
    chunk: i64,
    /// Columns of a tile.
    together: i64,
    tallest: i64,
    /// Tiles of a block.
    block: i64,
    /// Lines of what follows its panels that a tile asks for each turn: few tiles ask for more.
    pub(super) lines: i64,
    /// The tallest first.
    leaves: Vec<(Shape, Piece, Vec<u8>)>,
}

impl<'k> BlockPlan<'k> {
    /// `None` where `contract` does as well or is the only way.
    pub(super) fn new(kernel: &'k Kernel, isa: Isa) -> Option<Self> {
        let Body::Contract(c) = &kernel.body else { return None };
        let (width, types) = (isa.wide()?, kernel.types().ok()?);
        let [n] = c.n[..] else { return None };
        let constant = |axes: &[AxisId]| {
            let extents = axes.iter().map(|axis| kernel.axis(*axis).extent.as_constant().filter(|extent| *extent > 0));
            extents.product::<Option<i64>>()
        };
        let (columns, depth) = (constant(&c.n)?, constant(&c.k)?);
        if c.accumulator != DType::F32 {
            return None;
        }
        let Node::Operand(operand) = kernel.expr.nodes[c.b.0 as usize] else { return None };
        let storage = kernel.buffer(kernel.operand(operand).buffer).storage;
        let kept = Kept::of(storage)?;
        let right = in_panels(kernel, c.b, n, &c.k, storage)?;
        let rows: Dim = c.m.iter().map(|axis| kernel.axis(*axis).extent.clone()).product();
        let left = left_side(kernel, c, &rows, depth);
        let epilogue = Epilogue::new(kernel, &types, &c.stores, n, &c.m, &c.k)?;
        let tallest = isa.tile_heights()[0];
        let tiles = rows.as_constant().map_or(i64::MAX, |rows| ((rows + tallest - 1) / tallest).max(1));
        let many = rows.as_constant().is_none_or(|rows| rows > FEW_ROWS);
        let chunks = if many && depth > MOST_STEPS { (depth + CHUNK - 1) / CHUNK } else { 1 };
        let chunk = if chunks > 1 { ((depth + chunks - 1) / chunks + TURN - 1) / TURN * TURN } else { depth };
        let block = tiles_of_block(BLOCK / (tallest * chunk * 4), tiles);
        let moves = epilogue.moves().count();
        let (together, leaves) = (columns_together(isa, &rows, columns, moves), vec![]);
        let all = (together * i64::from(kept.bytes()) / AHEAD_BYTES).max(1);
        let lines = if many { (all + tiles.min(all) - 1) / tiles.min(all) } else { 1 };
        let mut plan = BlockPlan {
            kernel,
            types,
            c,
            left,
            right,
            kept,
            epilogue,
            width,
            rows,
            columns,
            depth,
            chunk,
            together,
            tallest,
            block,
            lines,
            leaves,
        };
        if RIGHT + plan.panels_together() + moves > POINTERS {
            return None;
        }
        let pieces: &[Piece] = if plan.is_split() { &[Piece::Part, Piece::Last] } else { &[Piece::Whole] };
        let shapes = plan.shapes().into_iter().flat_map(|shape| pieces.iter().map(move |piece| (shape, *piece)));
        let made = |(shape, piece)| Some((shape, piece, block_leaf::emit(&plan, shape, piece).ok()?));
        plan.leaves = shapes.map(made).collect::<Option<_>>()?;
        Some(plan)
    }

    /// Whether sums are laid aside between chunks of k.
    fn is_split(&self) -> bool {
        self.chunk < self.depth
    }

    /// Panels that a tile spans.
    pub(super) fn panels_together(&self) -> usize {
        (self.together / PANEL) as usize
    }

    /// Shapes of tiles that may come up.
    fn shapes(&self) -> Vec<Shape> {
        let heights: Vec<i64> = match self.rows.as_constant() {
            Some(0) => vec![],
            Some(rows) => {
                let tiles = (rows + self.tallest - 1) / self.tallest;
                let taller = (rows % tiles > 0).then_some(rows / tiles + 1);
                taller.into_iter().chain([rows / tiles]).collect()
            }
            None => (1..=self.tallest).rev().collect(),
        };
        let whole = (self.columns >= self.together).then_some(self.together);
        let rest = Some(self.columns % self.together).filter(|rest| *rest > 0);
        let widths: Vec<i64> = whole.into_iter().chain(rest).collect();
        heights
            .into_iter()
            .flat_map(|rows| widths.iter().map(move |columns| Shape { rows, columns: *columns }))
            .collect()
    }

    /// Bytes from one row of the left side to the next.
    pub(super) fn left_step(&self) -> i64 {
        match &self.left {
            Left::There(_, step) => step * 4,
            _ => self.depth * 4 + ROW_GAP,
        }
    }

    /// Bytes of scratch for each part: sums laid aside, and the rows of a block.
    pub(super) fn scratch(&self) -> Dim {
        let rows = if let Left::There(..) = self.left { 0 } else { self.block * self.tallest * self.left_step() };
        Dim::from(self.aside() + rows)
    }

    /// Bytes of a tile's sums.
    fn tile(&self) -> i64 {
        self.tallest * self.together * 4
    }

    /// Bytes of the sums that are laid aside: a tile's, or those of a block.
    fn aside(&self) -> i64 {
        self.tile() * if self.is_split() { self.block * self.panels() } else { 1 }
    }

    /// Groups of panels that are taken together.
    fn panels(&self) -> i64 {
        (self.columns + self.together - 1) / self.together
    }
}

/// Tiles of a block, of so many that there are, where a cache has room for `most`. All panels pass for each block, so that a
/// last one of few tiles costs much: rather than that, a block is somewhat larger.
fn tiles_of_block(most: i64, tiles: i64) -> i64 {
    let most = most.max(1);
    if tiles <= most + most / 2 { tiles } else { most }
}

/// Columns of a tile. Few rows wait for memory, which gives more where panels are read side by side: 28 GB/s in four
/// streams, 19 in one. There are as many as sums keep additions busy and the leaf has pointers for.
fn columns_together(isa: Isa, rows: &Dim, columns: i64, moves: usize) -> i64 {
    let least = panel_width(isa);
    let Some(rows @ 1..=FEW_ROWS) = rows.as_constant() else { return least };
    let streams = [STREAMS, STREAMS / 2].into_iter().map(|streams| streams / rows);
    let fits = |streams: &i64| {
        let together = streams * PANEL;
        together > least && together <= columns && RIGHT + *streams as usize + moves <= POINTERS
    };
    streams.filter(|streams| *streams > 1).find(fits).map_or(least, |streams| streams * PANEL)
}

fn left_side<'k>(kernel: &'k Kernel, c: &Contract, rows: &Dim, depth: i64) -> Left<'k> {
    let Node::Operand(operand) = kernel.expr.nodes[c.a.0 as usize] else { return Left::Evaluated };
    let access = kernel.operand(operand);
    if kernel.buffer(access.buffer).storage != Storage::Plain(DType::F32) {
        return Left::Evaluated;
    }
    let there = row_access(kernel, c.a, &c.k).and_then(|access| step_of(kernel, access, &c.m));
    let collide = rows.as_constant().is_none_or(|rows| rows > 8) && depth * 4 % PAGE == 0;
    match there {
        Some(step) if !collide => Left::There(access, step),
        _ => Runs::new(kernel, access, &c.k).map_or(Left::Evaluated, Left::Copied),
    }
}

/// Emits the loops around the leaves.
pub(super) fn lower(d: &mut Driver, plan: &BlockPlan) {
    let c = plan.c;
    d.find_unstable();
    d.enter_lanes(None, false);
    let mut extents: Vec<Value> = c.batch.iter().map(|axis| d.extent(*axis)).collect();
    let heights = Heights::new(d, plan);
    extents.extend([heights.tiles, d.integer(plan.panels())]);
    let ranges = d.shares(&extents);
    let (batch, inner) = ranges.split_at(c.batch.len());
    let [tiles, panels] = [inner[0], inner[1]];
    let frame = Frame::new(d, plan, heights);
    d.each_in(&c.batch, batch, &mut |d| {
        // The last block may be shorter: the loop goes on while any tile is left.
        let end = d.b.ins().iadd_imm_s(tiles.1, plan.block - 1);
        d.each(tiles.0, end, plan.block, &mut |d, first| {
            let last = d.b.ins().iadd_imm_s(first, plan.block);
            let last = d.b.ins().smin(last, tiles.1);
            let start = frame.heights.first_row(d, first);
            let end = frame.heights.first_row(d, last);
            match &plan.left {
                Left::There(..) => {}
                Left::Copied(runs) => left::copy(d, runs, &c.m, start, end, frame.rows),
                Left::Evaluated => {
                    let depth = d.integer(plan.depth);
                    pack::evaluate_left(d, c, frame.rows, (start, end), depth);
                    d.enter_lanes(None, false);
                }
            }
            let pass = |d: &mut Driver, chunk: Value, piece: Piece| {
                d.each(panels.0, panels.1, 1, &mut |d, panel| {
                    let bases = frame.bases(d, plan, panel, chunk);
                    d.each(first, last, 1, &mut |d, tile| {
                        emit_tile(d, plan, &frame, &bases, (tile, first, start), (panel, piece));
                    });
                });
            };
            let zero = d.integer(0);
            if !plan.is_split() {
                return pass(d, zero, Piece::Whole);
            }
            let (clear, numbers) = (d.leaf(x86::clear_run(4, 0), 3), d.integer(plan.aside() / 4));
            d.b.ins().call(clear, &[numbers, frame.aside, frame.aside]);
            let whole = d.integer((plan.depth - 1) / plan.chunk);
            d.each(zero, whole, 1, &mut |d, chunk| pass(d, chunk, Piece::Part));
            pass(d, whole, Piece::Last);
        });
    });
}

/// How many tiles there are, and the rows of each; the first `taller` have one more.
struct Heights {
    tiles: Value,
    height: Value,
    taller: Value,
}

impl Heights {
    fn new(d: &mut Driver, plan: &BlockPlan) -> Heights {
        let (rows, one) = (d.dim(&plan.rows), d.integer(1));
        let rounded = d.b.ins().iadd_imm_s(rows, plan.tallest - 1);
        let tiles = d.floor_divide(rounded, plan.tallest);
        let some = d.b.ins().smax(tiles, one);
        let (height, taller) = (d.b.ins().udiv(rows, some), d.b.ins().urem(rows, some));
        Heights { tiles, height, taller }
    }

    fn first_row(&self, d: &mut Driver, tile: Value) -> Value {
        let more = d.b.ins().smin(tile, self.taller);
        let rows = d.b.ins().imul(tile, self.height);
        d.b.ins().iadd(rows, more)
    }

    fn of(&self, d: &mut Driver, tile: Value) -> Value {
        let is_taller = d.b.ins().icmp(IntCC::SignedLessThan, tile, self.taller);
        let more = d.b.ins().uextend(cranelift_codegen::ir::types::I64, is_taller);
        d.b.ins().iadd(self.height, more)
    }
}

/// What the loops keep at hand.
struct Frame {
    heights: Heights,
    /// Scratch: a tile's sums, and rows of the left side.
    aside: Value,
    rows: Value,
    list: Value,
    /// Numbers that are the same for a tile.
    fixed: Value,
    leaves: Vec<FuncRef>,
}

impl Frame {
    fn new(d: &mut Driver, plan: &BlockPlan, heights: Heights) -> Frame {
        let bytes = d.dim(&plan.scratch());
        let mine = d.b.ins().imul(bytes, d.part);
        let aside = d.offset(d.buffers[plan.kernel.buffers.len()], mine);
        let rows = d.b.ins().iadd_imm_s(aside, plan.aside());
        let (list, fixed) = (d.stack(POINTERS * 8), d.stack(plan.epilogue.fixed.len().max(1) * 4));
        let leaves = plan.leaves.iter().map(|(.., bytes)| d.leaf(bytes.clone(), 2)).collect();
        Frame { heights, aside, rows, list, fixed, leaves }
    }

    /// Pointers for the first row and the panels from one on at a chunk, and the bytes by which each moves from row to
    /// row.
    fn bases(&self, d: &mut Driver, plan: &BlockPlan, panel: Value, chunk: Value) -> Vec<(Value, i64)> {
        let column = d.times(panel, plan.together);
        d.positions[plan.c.n[0].0 as usize] = Some(column);
        pack::bind_first(d, &plan.c.m);
        pack::bind_first(d, &plan.c.k);
        d.forget();
        for (i, id) in (0..).zip(&plan.epilogue.fixed) {
            let value = d.uniform(*id);
            d.write(value, self.fixed, i * 4);
        }
        let at = |d: &mut Driver, access: &Access| {
            let (element, _) = d.element(access, None);
            d.address(access, element)
        };
        let left = match &plan.left {
            Left::There(access, _) => at(d, access),
            _ => self.rows,
        };
        let done = d.times(chunk, plan.chunk * 4);
        let left = d.offset(left, done);
        let size = i64::from(plan.kept.bytes());
        let (skipped, done) = (d.times(column, plan.depth * size), d.times(chunk, plan.chunk * size * PANEL));
        let right = d.offset(d.buffers[plan.right.0 as usize], skipped);
        let right = d.offset(right, done);
        let mut aside = self.aside;
        if plan.is_split() {
            let skipped = d.times(panel, plan.block * plan.tile());
            aside = d.offset(aside, skipped);
        }
        let mut bases = vec![(left, plan.left_step()), (right, 0), (aside, 0)];
        for panel in 0..plan.panels_together() as i64 {
            bases.push((d.b.ins().iadd_imm_s(right, panel * plan.depth * PANEL * size), 0));
        }
        for (_, operand, next) in &plan.epilogue.rows {
            bases.push((at(d, plan.kernel.operand(*operand)), next * 4));
        }
        if !plan.epilogue.fixed.is_empty() {
            bases.push((self.fixed, 0));
        }
        for (store, next) in plan.c.stores.iter().zip(plan.epilogue.stored()) {
            bases.push((at(d, &store.access), next * 4));
        }
        bases
    }
}

fn emit_tile(
    d: &mut Driver,
    plan: &BlockPlan,
    frame: &Frame,
    bases: &[(Value, i64)],
    (tile, first, start): (Value, Value, Value),
    (panel, piece): (Value, Piece),
) {
    let row = frame.heights.first_row(d, tile);
    for (i, (base, step)) in bases.iter().enumerate() {
        let pointer = match i {
            AHEAD => ahead(d, plan, *base, (tile, first)),
            ASIDE if plan.is_split() => {
                let number = d.b.ins().isub(tile, first);
                let skipped = d.times(number, plan.tile());
                d.offset(*base, skipped)
            }
            _ if *step == 0 => *base,
            _ => {
                let copied = i == LEFT && !matches!(plan.left, Left::There(..));
                let rows = if copied { d.b.ins().isub(row, start) } else { row };
                let moved = d.times(rows, *step);
                d.offset(*base, moved)
            }
        };
        d.write(pointer, frame.list, i as i32 * 8);
    }
    let height = frame.heights.of(d, tile);
    let depth = match piece {
        Piece::Last => d.integer(plan.depth - (plan.depth - 1) / plan.chunk * plan.chunk),
        _ => d.integer(plan.chunk),
    };
    let is_whole = d.b.ins().icmp_imm_s(IntCC::SignedLessThan, panel, plan.columns / plan.together);
    let end = d.b.create_block();
    let leaves = plan.leaves.iter().zip(&frame.leaves).filter(|((_, own, _), _)| *own == piece);
    for ((shape, ..), leaf) in leaves {
        let (this, next) = (d.b.create_block(), d.b.create_block());
        let mut fits = d.b.ins().icmp_imm_s(IntCC::Equal, height, shape.rows);
        if plan.columns > plan.together && plan.columns % plan.together > 0 {
            let width = d.b.ins().icmp_imm_s(IntCC::Equal, is_whole, i64::from(shape.columns == plan.together));
            fits = d.b.ins().band(fits, width);
        }
        d.b.ins().brif(fits, this, &[], next, &[]);
        d.b.switch_to_block(this);
        d.b.ins().call(*leaf, &[depth, frame.list]);
        d.b.ins().jump(end, &[]);
        d.b.switch_to_block(next);
    }
    d.b.ins().jump(end, &[]);
    d.b.switch_to_block(end);
}

/// Where a tile asks for its share of what follows its panels: the first tiles of a block ask for all of it, so that
/// memory and arithmetic are busy at once. Others look at their own, which is at hand.
fn ahead(d: &mut Driver, plan: &BlockPlan, right: Value, (tile, first): (Value, Value)) -> Value {
    let number = d.b.ins().isub(tile, first);
    let bytes = plan.together * i64::from(plan.kept.bytes());
    let next = d.b.ins().iadd_imm_s(right, plan.depth * bytes);
    let share = d.times(number, plan.chunk * AHEAD_BYTES * plan.lines);
    let next = d.offset(next, share);
    let early = d.b.ins().icmp_imm_s(IntCC::SignedLessThan, number, bytes / AHEAD_BYTES / plan.lines);
    d.b.ins().select(early, next, right)
}
