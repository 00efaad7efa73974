//! Contractions of bytes: rows of i8 or u8 times a constant in panels, summed in i32, each tile's results finished in
//! registers.
//!
//! No sum here saturates: products of bytes are summed by twos or fours in 32 bits, where they fit, and further sums wrap
//! as those of i32 do. So every instruction set, tile and number of parts gives the same bits. What saturates is not used:
//! two products of an unsigned byte and a signed one exceed 16 bits, whatever the zero point.
//!
//! Without VNNI bytes become 16-bit integers, whose products are summed by twos: each four bytes of a column give two
//! vectors by shifts, and the left side is widened once a call. With VNNI one factor must be unsigned and the other signed;
//! where both sides are of one kind the left one is moved by 128 as it is brought into rows, and the sums of the columns,
//! which the tile makes beside its own, correct that.

use super::chain::{POINTERS, byte_of};
use super::contract::{ROW_GAP, row_access};
use super::driver::{Accumulator, Driver};
use super::epilogue::Epilogue;
use super::left::{self, Runs};
use super::panels::{PANEL, in_panels};
use super::select::Isa;
use super::x86::{self, Width};
use super::{integer_leaf, pack};
use crate::base::{DType, Dim, Storage};
use crate::kernel::{Access, Body, BufferId, Contract, Kernel, Node, Types};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{FuncRef, InstBuilder, Value};

/// Bytes of the left side's rows that are used for all panels before the next are: a part of the second-level cache.
const BLOCK: i64 = 160 << 10;

/// Heights of tiles below the tallest.
const LOWER: [i64; 3] = [4, 2, 1];

/// What instructions multiply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) width: Width,
    /// Whether bytes are multiplied as they are.
    pub(super) dots: bool,
    pub(super) left_signed: bool,
    pub(super) right_signed: bool,
}

impl Form {
    /// Whether the left side is moved by 128, so that one factor is unsigned and the other signed.
    pub(super) fn is_moved(self) -> bool {
        self.dots && self.left_signed == self.right_signed
    }

    /// Bytes of four elements of a left row.
    pub(super) fn group_bytes(self) -> i64 {
        if self.dots { 4 } else { 8 }
    }
}

/// How many columns of a panel a leaf finishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// So many vectors.
    Vectors(i64),
    /// None: all sums go to memory, for what is not a whole vector or needs more than registers.
    Sums,
}

/// How a kernel runs.
pub(super) struct IntegerPlan<'k> {
    pub(super) kernel: &'k Kernel,
    pub(super) types: Types,
    c: &'k Contract,
    left: &'k Access,
    /// How rows are copied that do not lie along k.
    copied: Option<Runs<'k>>,
    right: BufferId,
    pub(super) epilogue: Option<Epilogue<'k>>,
    columns: i64,
    depth: i64,
    pub(super) form: Form,
    /// The tallest first.
    heights: Vec<i64>,
    /// How the panels end, but for the last, and how the last does.
    finishes: [Finish; 2],
    /// By finish, then by height; empty where none is needed.
    leaves: [Vec<Vec<u8>>; 2],
    /// Tiles of a block.
    block: i64,
}

impl<'k> IntegerPlan<'k> {
    /// `None` where a contraction is of other numbers or its right side is in no panels.
    pub(super) fn new(kernel: &'k Kernel, isa: Isa) -> Option<Self> {
        let Body::Contract(c) = &kernel.body else { return None };
        let (width, types) = (isa.wide()?, kernel.types().ok()?);
        let ([n], DType::I32, Node::Operand(a), Node::Operand(b)) =
            (&c.n[..], c.accumulator, node(kernel, c.a), node(kernel, c.b))
        else {
            return None;
        };
        let [left, right] = [*a, *b].map(|operand| kernel.operand(operand));
        let (left_type, right_type) = (byte_of(kernel, left)?, byte_of(kernel, right)?);
        let extent = |axes: &[_]| {
            let extents = axes.iter().map(|axis| kernel.axis(*axis).extent.as_constant().filter(|extent| *extent > 0));
            extents.product::<Option<i64>>()
        };
        let (columns, inner, depth) = (extent(&c.n)?, extent(&c.k[c.k.len().checked_sub(1)?..])?, extent(&c.k)?);
        let right = in_panels(kernel, c.b, *n, &c.k, Storage::Plain(right_type))?;
        let whole = inner == depth || inner % 4 == 0;
        let copied = match row_access(kernel, c.a, &c.k) {
            Some(_) if whole => None,
            _ => Some(Runs::new(kernel, left, &c.k)?),
        };
        let depth = copied.as_ref().map_or(depth, |runs| runs.depth);
        let signed = |dtype| dtype == DType::I8;
        let form =
            Form { width, dots: isa.has_dots(), left_signed: signed(left_type), right_signed: signed(right_type) };
        let epilogue = Epilogue::of_bytes(kernel, &types, &c.stores, *n, &c.m, &c.k)
            .filter(|epilogue| 2 + epilogue.moves().count() <= POINTERS);
        let mut plan = IntegerPlan {
            kernel,
            types,
            c,
            left,
            copied,
            right,
            epilogue,
            columns,
            depth,
            form,
            heights: vec![],
            finishes: [Finish::Sums; 2],
            leaves: [vec![], vec![]],
            block: 1,
        };
        let tallest = if width == Width::Zmm { 12 } else { 6 };
        let tallest = plan.rows().as_constant().map_or(tallest, |rows| rows.clamp(1, tallest));
        let fits = |plan: &mut Self| (1..=tallest).rev().any(|tallest| plan.fits(tallest));
        if !fits(&mut plan) {
            plan.epilogue = None;
            assert!(fits(&mut plan), "a row of sums alone fits");
        }
        Some(plan)
    }

    /// Tries tiles of at most so many rows.
    fn fits(&mut self, tallest: i64) -> bool {
        let rows = self.rows().as_constant();
        let mut left = rows;
        self.heights.clear();
        for height in [tallest].into_iter().chain(LOWER.into_iter().filter(|lower| *lower < tallest)) {
            if left.is_none_or(|left| left >= height) || height == tallest {
                self.heights.push(height);
            }
            left = left.map(|left| left % height);
        }
        let lanes = self.form.width.lanes();
        let tail = self.columns % PANEL;
        let whole = if self.epilogue.is_some() { Finish::Vectors(PANEL / lanes) } else { Finish::Sums };
        let last = match (whole, tail) {
            (Finish::Sums, _) => Finish::Sums,
            (_, 0) => whole,
            _ if tail == lanes => Finish::Vectors(1),
            _ => Finish::Sums,
        };
        self.finishes = [whole, last];
        let made = |plan: &Self, finish: Finish| -> Option<Vec<Vec<u8>>> {
            plan.heights.iter().map(|height| integer_leaf::emit(plan, *height, finish).ok()).collect()
        };
        let first = if self.columns < PANEL { Some(vec![]) } else { made(self, whole) };
        let second = if last == whole && self.columns >= PANEL { Some(vec![]) } else { made(self, last) };
        let (Some(first), Some(second)) = (first, second) else { return false };
        self.leaves = [first, second];
        self.block = (BLOCK / (tallest * self.row_bytes())).max(1);
        if let Some(rows) = rows {
            self.block = self.block.min((rows + tallest - 1) / tallest).max(1);
        }
        true
    }

    fn rows(&self) -> Dim {
        self.c.m.iter().map(|axis| self.kernel.axis(*axis).extent.clone()).product()
    }

    /// Groups of four steps of k.
    fn groups(&self) -> i64 {
        (self.depth + 3) / 4
    }

    /// Bytes from one brought row of the left side to the next.
    pub(super) fn row_bytes(&self) -> i64 {
        self.groups() * self.form.group_bytes() + ROW_GAP
    }

    /// Bytes of scratch for each part: the rows of a block, and one as it was copied.
    pub(super) fn scratch(&self) -> Dim {
        let copied = self.copied.as_ref().map_or(0, Runs::row_bytes);
        Dim::from(self.block * self.heights[0] * self.row_bytes() + copied)
    }
}

fn node(kernel: &Kernel, id: crate::kernel::ExprId) -> &Node {
    &kernel.expr.nodes[id.0 as usize]
}

/// Emits the loops around the leaves.
pub(super) fn lower(d: &mut Driver, plan: &IntegerPlan) {
    let c = plan.c;
    d.find_unstable();
    d.enter_lanes(None, false);
    let tallest = plan.heights[0];
    let rows = d.dim(&plan.rows());
    let rounded = d.b.ins().iadd_imm_s(rows, tallest - 1);
    let tiles = d.floor_divide(rounded, tallest);
    let panels = d.integer((plan.columns + PANEL - 1) / PANEL);
    let mut extents: Vec<Value> = c.batch.iter().map(|axis| d.extent(*axis)).collect();
    extents.extend([tiles, panels]);
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
            let [start, stop] = [first, last].map(|tile| d.times(tile, tallest));
            let stop = d.b.ins().smin(stop, rows);
            bring_rows(d, plan, &frame, start, stop);
            d.each(panels.0, panels.1, 1, &mut |d, panel| {
                let bases = frame.bases(d, plan, panel);
                let mut row = start;
                for number in 0..plan.heights.len() {
                    row = d.each(row, stop, plan.heights[number], &mut |d, row| {
                        emit_tile(d, plan, &frame, &bases, (number, row, start, panel));
                    });
                }
            });
        });
    });
}

/// Brings rows into the form that tiles read.
fn bring_rows(d: &mut Driver, plan: &IntegerPlan, frame: &Frame, start: Value, stop: Value) {
    let depth = d.integer(plan.depth);
    d.each(start, stop, 1, &mut |d, row| {
        let from = match &plan.copied {
            Some(runs) => {
                let next = d.b.ins().iadd_imm_s(row, 1);
                left::copy(d, runs, &plan.c.m, row, next, frame.copied);
                frame.copied
            }
            None => {
                d.unflatten(&plan.c.m, row);
                pack::bind_first(d, &plan.c.k);
                d.forget();
                let (element, _) = d.element(plan.left, None);
                d.address(plan.left, element)
            }
        };
        let number = d.b.ins().isub(row, start);
        let skipped = d.times(number, plan.row_bytes());
        let to = d.offset(frame.rows, skipped);
        d.b.ins().call(frame.bring, &[depth, from, to]);
    });
}

/// What the loops keep at hand.
struct Frame {
    rows: Value,
    copied: Value,
    list: Value,
    /// Numbers that are the same for a tile.
    block: Value,
    /// Sums that leaves do not finish.
    sums: Value,
    bring: FuncRef,
    leaves: [Vec<FuncRef>; 2],
}

impl Frame {
    fn new(d: &mut Driver, plan: &IntegerPlan) -> Frame {
        let bytes = d.dim(&plan.scratch());
        let mine = d.b.ins().imul(bytes, d.part);
        let rows = d.offset(d.buffers[plan.kernel.buffers.len()], mine);
        let copied = d.b.ins().iadd_imm_s(rows, plan.block * plan.heights[0] * plan.row_bytes());
        let (pointers, fixed) = plan.epilogue.as_ref().map_or((0, 0), |e| (e.moves().count(), e.fixed.len()));
        let (list, block) = (d.stack((2 + pointers.max(1)) * 8), d.stack(fixed.max(1) * 4));
        let sums = d.stack((plan.heights[0] * PANEL * 4) as usize);
        let bring = match plan.form.dots {
            true => x86::bytes(plan.form.is_moved()),
            false => x86::words(plan.form.left_signed),
        };
        let bring = d.leaf(bring, 3);
        let leaves = [0, 1].map(|i| plan.leaves[i].iter().map(|bytes| d.leaf(bytes.clone(), 2)).collect());
        Frame { rows, copied, list, block, sums, bring, leaves }
    }

    /// Pointers for the first row and a panel, and the bytes by which each moves from row to row.
    fn bases(&self, d: &mut Driver, plan: &IntegerPlan, panel: Value) -> Vec<(Value, i64)> {
        let column = d.times(panel, PANEL);
        d.positions[plan.c.n[0].0 as usize] = Some(column);
        pack::bind_first(d, &plan.c.m);
        pack::bind_first(d, &plan.c.k);
        d.forget();
        let skipped = d.times(panel, plan.groups() * 4 * PANEL);
        let right = d.offset(d.buffers[plan.right.0 as usize], skipped);
        let mut bases = vec![(self.rows, plan.row_bytes()), (right, 0)];
        let Some(epilogue) = &plan.epilogue else { return bases };
        for (i, id) in (0..).zip(&epilogue.fixed) {
            let value = d.uniform(*id);
            d.write(value, self.block, i * 4);
        }
        let at = |d: &mut Driver, access: &Access, next: i64| {
            let (element, _) = d.element(access, None);
            let bytes = if byte_of(plan.kernel, access).is_some() { 1 } else { 4 };
            (d.address(access, element), next * bytes)
        };
        for (_, operand, next) in &epilogue.rows {
            bases.push(at(d, plan.kernel.operand(*operand), *next));
        }
        if !epilogue.fixed.is_empty() {
            bases.push((self.block, 0));
        }
        for (store, next) in plan.c.stores.iter().zip(epilogue.stored()) {
            bases.push(at(d, &store.access, *next));
        }
        bases
    }
}

fn emit_tile(
    d: &mut Driver,
    plan: &IntegerPlan,
    frame: &Frame,
    bases: &[(Value, i64)],
    (height, row, start, panel): (usize, Value, Value, Value),
) {
    let number = d.b.ins().isub(row, start);
    let mut pointers = Vec::new();
    for (i, (base, step)) in bases.iter().enumerate() {
        let rows = if i == 0 { number } else { row };
        let moved = d.times(rows, *step);
        pointers.push(if *step == 0 { *base } else { d.offset(*base, moved) });
    }
    let run = |d: &mut Driver, which: usize| {
        let sums = plan.finishes[which] == Finish::Sums;
        let pointers = if sums { &[pointers[0], pointers[1], frame.sums][..] } else { &pointers[..] };
        (0..).zip(pointers).for_each(|(i, pointer)| d.write(*pointer, frame.list, i * 8));
        let groups = d.integer(plan.groups());
        d.b.ins().call(frame.leaves[which][height], &[groups, frame.list]);
        if sums {
            finish_sums(d, plan, frame, (plan.heights[height], row, panel));
        }
        vec![]
    };
    match [0, 1].map(|which| !frame.leaves[which].is_empty()) {
        [true, true] => {
            let last = d.b.ins().icmp_imm_s(IntCC::Equal, panel, plan.columns / PANEL);
            d.either(last, &[], &mut |d| run(d, 1), &mut |d| run(d, 0));
        }
        [first, _] => {
            run(d, usize::from(!first));
        }
    }
}

/// Stores what follows from the sums of a tile, number by number.
fn finish_sums(d: &mut Driver, plan: &IntegerPlan, frame: &Frame, (rows, first, panel): (i64, Value, Value)) {
    let n = plan.c.n[0];
    let (zero, rows, from) = (d.integer(0), d.integer(rows), d.times(panel, PANEL));
    let (all, whole) = (d.integer(plan.columns), d.b.ins().iadd_imm_s(from, PANEL));
    let to = d.b.ins().smin(all, whole);
    d.each(zero, rows, 1, &mut |d, r| {
        let row = d.b.ins().iadd(first, r);
        d.unflatten(&plan.c.m, row);
        d.each(from, to, 1, &mut |d, column| {
            d.positions[n.0 as usize] = Some(column);
            let (down, along) = (d.times(r, PANEL * 4), d.b.ins().isub(column, from));
            let at = d.offset(frame.sums, down);
            let along = d.times(along, 4);
            let at = d.offset(at, along);
            d.accumulator = Accumulator::At(at);
            d.forget();
            plan.c.stores.iter().for_each(|store| d.store(store));
        });
    });
}
