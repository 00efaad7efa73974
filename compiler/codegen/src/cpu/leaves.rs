//! The leaf bodies of contractions, written over `LeafEmitter`: a register tile, and a dot product.

use super::arithmetic::{Arithmetic, Cursor, LeafEmitter, Start};
use super::clif::{Clif, Parts};
use super::lanes;
use super::panels::PANEL;
use super::select::{Isa, TILE_ROWS, TILE_VECTORS, panel_width};
use super::x86::{self, Kept, Wide, Width};
use crate::base::DType;
use crate::kernel::Binary;
use cranelift_codegen::ir::types::F32;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;
use std::ops::Range;
use std::sync::OnceLock;

/// A leaf: how many parameters it takes, and its body.
pub(super) struct Leaf {
    pub(super) parameters: usize,
    pub(super) body: Body,
}

type Emit = dyn Fn(&mut FunctionBuilder, &[Value]);

/// IR that is still to be written, or bytes.
pub(super) enum Body {
    Clif(Box<Emit>),
    Bytes(&'static [u8]),
}

/// The leaves of contractions, by the numbers below.
pub(super) fn contract(isa: Isa) -> Vec<Leaf> {
    let fused = isa.is_fused();
    let Some(width) = isa.wide() else {
        let dot = Leaf { parameters: 4, body: Body::Clif(Box::new(move |b, p| dot(b, fused, p))) };
        let tiles = rights(isa).into_iter().flat_map(|right| {
            isa.tile_heights().iter().map(move |rows| Leaf {
                parameters: 4,
                body: Body::Clif(Box::new(move |b, p| tile(&mut Clif::leaf(b, fused, p), *rows, right))),
            })
        });
        return std::iter::once(dot).chain(tiles).collect();
    };
    // The same for all kernels, and made once.
    static LEAVES: [OnceLock<Vec<Vec<u8>>>; 2] = [const { OnceLock::new() }; 2];
    let bytes = LEAVES[usize::from(width == Width::Zmm)].get_or_init(|| {
        let tile = |right, rows: &i64| {
            let leaf = Wide::leaf(width, |e| tile(e, *rows, right));
            leaf.expect("a tile is as tall as the registers allow")
        };
        let heights = isa.tile_heights().iter();
        let tiles = rights(isa).into_iter().flat_map(|right| heights.clone().map(move |rows| tile(right, rows)));
        let dots = [Kept::F32, Kept::F16, Kept::BF16].map(x86::dot);
        let strips = [8, 1, 0].map(x86::strip);
        let row = TILE_VECTORS * width.lanes() * 4;
        let [copy, transpose] = [x86::copy(width, TILE_VECTORS), x86::transpose(row as i32)];
        dots.into_iter().chain(strips).chain([copy, transpose]).chain(tiles).collect()
    });
    let leaf = |(i, bytes)| Leaf { parameters: if STRIPS.contains(&i) { 5 } else { 4 }, body: Body::Bytes(bytes) };
    bytes.iter().map(Vec::as_slice).enumerate().map(leaf).collect()
}

/// `DOT (count, a, b, result)`, and the same of rows that are kept narrow.
pub(super) const DOT: usize = 0;
pub(super) const DOT_F16: usize = 1;
pub(super) const DOT_BF16: usize = 2;

/// `STRIP (rows, from, result, weights, stride)` of 64, 8 and 1 columns; of wide vectors, as all that follow but tiles.
const STRIPS: Range<usize> = 3..6;

/// Columns of a strip, and its number.
pub(super) const STRIP: [(i64, usize); 3] = [(64, 3), (8, 4), (1, 5)];

/// `COPY (rows, from, to, stride)`.
pub(super) const COPY: usize = 6;

/// `TRANSPOSE (count, list of eight rows, to)`: whole runs of eight, to eight columns of a panel.
pub(super) const TRANSPOSE: usize = 7;

/// The number of the first tile: `TILE (depth, right panel, result [rows][columns], list of left row pointers)`.
pub(super) fn tiles(isa: Isa) -> usize {
    if isa.wide().is_some() { 8 } else { 1 }
}

/// The number of the first tile that reads panels of the build; where two of them are side by side, the second's pointer
/// stands in the list behind those of the tallest tile, and behind that what is to be read next.
pub(super) fn panel_tiles(isa: Isa) -> usize {
    tiles(isa) + isa.tile_heights().len()
}

/// How the row of the right side lies that belongs to a step of k.
#[derive(Clone, Copy)]
struct RightRow {
    /// Bytes from one to the next.
    bytes: i64,
    /// Where its second half is that of another panel, the place of that panel in the list.
    pair: Option<usize>,
    /// The place in the list of what will be read after this panel, where the leaf asks for that beside its work: a line
    /// for each turn.
    ahead: Option<usize>,
}

/// The right sides that tiles are made for: panels of `panel_width` columns, and those of the build.
fn rights(isa: Isa) -> [RightRow; 2] {
    let tallest = isa.tile_heights()[0] as usize;
    let own = RightRow { bytes: panel_width(isa) * 4, pair: None, ahead: None };
    let pair = (panel_width(isa) > PANEL).then_some(tallest);
    let ahead = (isa.wide().is_some() && pair.is_none()).then_some(tallest + 1);
    [own, RightRow { bytes: PANEL * 4, pair, ahead }]
}

/// The number of the tile of `TILE_ROWS` rows.
pub(super) fn tile_of_rows(isa: Isa) -> usize {
    let height = isa.tile_heights().iter().position(|rows| *rows == TILE_ROWS);
    tiles(isa) + height.expect("every set has it")
}

/// Steps of k in one turn of a loop.
pub(super) const UNROLL: i64 = 4;

/// Bytes that rows of the left side are asked for ahead: of each, few lie in a stream that hardware would see.
pub(super) const LEFT_AHEAD: i32 = 256;

/// What a step of k asks for ahead: a turn a line of 64 bytes.
pub(super) const AHEAD_BYTES: i64 = 64 / UNROLL;

/// So many tiles ask for all of the next panel, each for its share.
pub(super) const AHEAD_TILES: i64 = PANEL * 4 / AHEAD_BYTES;

/// Tiles up to this height ask for the right side ahead.
pub(super) const FEW_ROWS: i64 = 2;

/// Bytes that the right side is asked for ahead. Where few rows share it, memory is what they wait for.
pub(super) const RIGHT_AHEAD: i32 = 2048;

/// Sums that run side by side for each number of a low tile, which has too few rows to hide how long an addition takes.
pub(super) fn sums_of(rows: i64, vectors: i64) -> i64 {
    (8 / (rows * vectors)).clamp(1, UNROLL)
}

/// `result[r][x] = Σ_k left[r][k] · right[k][x]`, all sums in registers: in the order of k, or in `sums_of` such sums
/// that take the steps of k in turn.
fn tile<E: LeafEmitter>(e: &mut E, rows: i64, right: RightRow) {
    let vector_bytes = e.lanes() as i32 * 4;
    let (row_bytes, step_bytes) = (TILE_VECTORS as i32 * vector_bytes, right.bytes as i32);
    let sets: Vec<Vec<Vec<E::Variable>>> = (0..sums_of(rows, TILE_VECTORS))
        .map(|_| (0..rows).map(|_| (0..TILE_VECTORS).map(|_| e.variable()).collect()).collect())
        .collect();
    let mut cursors = vec![Cursor { start: Start::Parameter(1), bytes: right.bytes }];
    cursors.extend((0..rows as usize).map(|place| Cursor { start: Start::Listed { list: 3, place }, bytes: 4 }));
    cursors.extend(right.pair.map(|place| Cursor { start: Start::Listed { list: 3, place }, bytes: right.bytes }));
    let second = cursors.len() - 1;
    let ahead = right.ahead.map(|_| cursors.len());
    cursors.extend(right.ahead.map(|place| Cursor { start: Start::Listed { list: 3, place }, bytes: AHEAD_BYTES }));
    e.each_step(0, &cursors, UNROLL, &mut |e, step| {
        let sums = &sets[step as usize % sets.len()];
        let step = step as i32;
        let right: Vec<E::Value> = (0..TILE_VECTORS as i32)
            .map(|j| match right.pair {
                Some(_) if j > 0 => e.load(second, step * step_bytes),
                _ => e.load(0, step * step_bytes + j * vector_bytes),
            })
            .collect();
        if rows <= FEW_ROWS {
            e.prefetch(0, step * step_bytes + RIGHT_AHEAD);
        }
        if step == 0 {
            ahead.iter().for_each(|cursor| e.prefetch_far(*cursor, 0));
            (0..rows as usize).for_each(|row| e.prefetch(1 + row, LEFT_AHEAD));
        }
        for (row, sums) in sums.iter().enumerate() {
            let left = e.broadcast(1 + row, step * 4);
            for (sum, right) in sums.iter().zip(&right) {
                e.accumulate(*sum, *right, left);
            }
        }
    });
    let (sums, others) = sets.split_first().expect("there is a sum for each number");
    for other in others {
        sums.iter().flatten().zip(other.iter().flatten()).for_each(|(sum, other)| e.merge(*sum, *other));
    }
    for (row, sums) in (0..).zip(sums) {
        for (j, sum) in (0..).zip(sums) {
            e.store(2, row * row_bytes + j * vector_bytes, *sum);
        }
    }
}

/// `Σ a[i] · b[i]`: sixteen sums side by side, then one by one what is left.
fn dot(b: &mut FunctionBuilder, fused: bool, parameters: &[Value]) {
    let count = parameters[0];
    let whole = b.ins().sshr_imm_s(count, 4);
    let rest = b.ins().band_imm_s(count, 15);
    let words = [whole, parameters[1], parameters[2]];
    let mut e = Clif::leaf(b, fused, &words);
    let sums: Vec<_> = (0..4).map(|_| e.variable()).collect();
    let cursors = [1, 2].map(|parameter| Cursor { start: Start::Parameter(parameter), bytes: 64 });
    e.each_step(0, &cursors, 1, &mut |e, _| {
        for (i, sum) in (0..).zip(&sums) {
            let (x, y) = (e.load(0, i * 16), e.load(1, i * 16));
            e.accumulate(*sum, x, y);
        }
    });
    let lanes = Parts::new(sums.iter().map(|sum| e.b.use_var(*sum)).collect::<Vec<_>>());
    e.lanes = 16;
    let total = lanes::across(&mut e, DType::F32, lanes, &mut |e, x, y| e.binary(Binary::Add, DType::F32, x, y));
    let sum = b.declare_var(F32);
    b.def_var(sum, total);
    let done = b.ins().ishl_imm_s(whole, 6);
    let [x, y] = [1, 2].map(|i| b.ins().iadd(parameters[i], done));
    let mut e = Clif::leaf(b, fused, &[rest, x, y]);
    e.lanes = 1;
    let cursors = [1, 2].map(|parameter| Cursor { start: Start::Parameter(parameter), bytes: 4 });
    e.each_step(0, &cursors, 1, &mut |e, _| {
        let [x, y] = [0, 1].map(|cursor| e.load_one(cursor));
        let old = Parts::one(e.b.use_var(sum));
        let new = e.multiply_add(DType::F32, x, y, old);
        e.b.def_var(sum, new.scalar());
    });
    let total = b.use_var(sum);
    b.ins().store(super::clif::proved(), total, parameters[3], 0);
}
