//! The leaf bodies of contractions, written over `LeafEmitter`: a register tile, and a dot product.

use super::arithmetic::{Arithmetic, Cursor, LeafEmitter, Start};
use super::clif::{Clif, Parts};
use super::lanes;
use super::select::{Isa, TILE_ROWS, TILE_VECTORS};
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
        let tiles = isa.tile_heights().iter().map(|rows| Leaf {
            parameters: 4,
            body: Body::Clif(Box::new(move |b, p| tile(&mut Clif::leaf(b, fused, p), *rows))),
        });
        return std::iter::once(dot).chain(tiles).collect();
    };
    // The same for all kernels, and made once.
    static LEAVES: [OnceLock<Vec<Vec<u8>>>; 2] = [const { OnceLock::new() }; 2];
    let bytes = LEAVES[usize::from(width == Width::Zmm)].get_or_init(|| {
        let tiles = isa
            .tile_heights()
            .iter()
            .map(|rows| Wide::leaf(width, |e| tile(e, *rows)).expect("a tile is as tall as the registers allow"));
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

/// The number of the tile of `TILE_ROWS` rows.
pub(super) fn tile_of_rows(isa: Isa) -> usize {
    let height = isa.tile_heights().iter().position(|rows| *rows == TILE_ROWS);
    tiles(isa) + height.expect("every set has it")
}

/// Steps of k in one turn of a loop.
const UNROLL: i64 = 4;

/// Bytes that rows of the left side are asked for ahead: of each, few lie in a stream that hardware would see.
const LEFT_AHEAD: i32 = 256;

/// `result[r][x] = Σ_k left[r][k] · right[k][x]`, in the order of k, all sums in registers.
fn tile<E: LeafEmitter>(e: &mut E, rows: i64) {
    let vector_bytes = e.lanes() as i32 * 4;
    let row_bytes = TILE_VECTORS as i32 * vector_bytes;
    let sums: Vec<Vec<E::Variable>> = (0..rows).map(|_| (0..TILE_VECTORS).map(|_| e.variable()).collect()).collect();
    let mut cursors = vec![Cursor { start: Start::Parameter(1), bytes: i64::from(row_bytes) }];
    cursors.extend((0..rows as usize).map(|place| Cursor { start: Start::Listed { list: 3, place }, bytes: 4 }));
    e.each_step(0, &cursors, UNROLL, &mut |e, step| {
        let step = step as i32;
        let right: Vec<E::Value> =
            (0..TILE_VECTORS as i32).map(|j| e.load(0, step * row_bytes + j * vector_bytes)).collect();
        if step == 0 {
            (0..rows as usize).for_each(|row| e.prefetch(1 + row, LEFT_AHEAD));
        }
        for (row, sums) in sums.iter().enumerate() {
            let left = e.broadcast(1 + row, step * 4);
            for (sum, right) in sums.iter().zip(&right) {
                e.accumulate(*sum, *right, left);
            }
        }
    });
    for (row, sums) in (0..).zip(&sums) {
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
