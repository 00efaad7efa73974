//! The leaf bodies of contractions, written over `LeafEmitter`: a register tile, and a dot product.

use super::arithmetic::{Arithmetic, Cursor, LeafEmitter};
use super::clif::{Clif, Parts};
use super::lanes;
use super::lower::Leaf;
use super::select::{TILE_ROWS, TILE_VECTORS};
use crate::base::DType;
use crate::kernel::Binary;
use cranelift_codegen::ir::types::F32;
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;

/// Numbers of the leaves in `CONTRACT`.
pub(super) const TILE: usize = 0;
pub(super) const DOT: usize = 1;

/// `TILE (depth, right panel, result [rows][columns], left row pointers…)`, `DOT (count, a, b, result)`.
pub(super) const CONTRACT: [Leaf; 2] = [
    Leaf {
        parameters: 3 + TILE_ROWS as usize,
        emit: |b, fused, parameters| tile(&mut Clif::leaf(b, fused, parameters)),
    },
    Leaf { parameters: 4, emit: dot },
];

/// Steps of k in one turn of a loop.
const UNROLL: i64 = 4;

/// `result[r][x] = Σ_k left[r][k] · right[k][x]`, in the order of k, all sums in registers.
fn tile<E: LeafEmitter>(e: &mut E) {
    let vector_bytes = e.lanes() as i32 * 4;
    let row_bytes = TILE_VECTORS as i32 * vector_bytes;
    let sums: Vec<Vec<E::Variable>> =
        (0..TILE_ROWS).map(|_| (0..TILE_VECTORS).map(|_| e.variable()).collect()).collect();
    let mut cursors = vec![Cursor { parameter: 1, bytes: i64::from(row_bytes) }];
    cursors.extend((0..TILE_ROWS as usize).map(|row| Cursor { parameter: 3 + row, bytes: 4 }));
    e.each_step(0, &cursors, UNROLL, &mut |e, step| {
        let step = step as i32;
        let right: Vec<E::Value> =
            (0..TILE_VECTORS as i32).map(|j| e.load(0, step * row_bytes + j * vector_bytes)).collect();
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
    let cursors = [1, 2].map(|parameter| Cursor { parameter, bytes: 64 });
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
    let cursors = [1, 2].map(|parameter| Cursor { parameter, bytes: 4 });
    e.each_step(0, &cursors, 1, &mut |e, _| {
        let [x, y] = [0, 1].map(|cursor| e.load_one(cursor));
        let old = Parts::one(e.b.use_var(sum));
        let new = e.multiply_add(DType::F32, x, y, old);
        e.b.def_var(sum, new.scalar());
    });
    let total = b.use_var(sum);
    b.ins().store(super::clif::proved(), total, parameters[3], 0);
}
