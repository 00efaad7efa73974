//! The sums of a block of a sparse matrix in 128-bit vectors, for machines without leaves: four rows of a slice at a time.

use super::arithmetic::Arithmetic;
use super::clif::{Parts, proved};
use super::driver::Driver;
use super::sparse::{Frame, SparsePlan, parts_of};
use crate::base::{BLOCK, DType, Scalar};
use cranelift_codegen::ir::types::{F32, F32X4, I64};
use cranelift_codegen::ir::{InstBuilder, Value};

/// The sums of a block with one row of the left side.
pub(super) fn block_sums(d: &mut Driver, plan: &SparsePlan, f: &Frame, left: Value, block: Value) {
    let (sparse, lanes) = (plan.sparse, plan.sparse.form.lanes());
    let (zero, slices) = (d.integer(0), d.integer(sparse.slices() as i64));
    let nothing = d.vector(4).constant(Scalar::F32(0.0)).all()[0];
    (0..BLOCK as i32 / 4).for_each(|i| d.write(nothing, f.sums, i * 16));
    let cursors = parts_of(d, plan, block).map(|start| {
        let cursor = d.b.declare_var(I64);
        d.b.def_var(cursor, start);
        cursor
    });
    let tiles = d.integer(sparse.tiles() as i64);
    d.each(zero, tiles, 1, &mut |d, tile| {
        let skipped = d.times(tile, sparse.form.tile() as i64 * 4);
        let left = d.offset(left, skipped);
        d.each(zero, slices, 1, &mut |d, _| {
            let [counts, order, values, indices] = cursors.map(|cursor| d.b.use_var(cursor));
            let count = d.b.ins().uload16(I64, proved(), counts, 0);
            for quad in (0..lanes).step_by(4) {
                let sum = quad_sum(d, lanes, (values, indices, count), left, quad);
                for lane in 0..4 {
                    let number = d.b.ins().extractlane(sum, lane as u8);
                    let row = d.b.ins().uload8(I64, proved(), order, (quad + lane) as i32);
                    let bytes = d.times(row, 4);
                    let at = d.offset(f.sums, bytes);
                    let old = d.read(F32, at, 0);
                    let new = d.b.ins().fadd(old, number);
                    d.write(new, at, 0);
                }
            }
            let skipped =
                [d.integer(2), d.integer(lanes as i64), d.times(count, lanes as i64 * 4), d.times(count, lanes as i64)];
            for ((cursor, old), by) in cursors.into_iter().zip([counts, order, values, indices]).zip(skipped) {
                let new = d.b.ins().iadd(old, by);
                d.b.def_var(cursor, new);
            }
        });
    });
}

/// The sums of four rows of a slice.
fn quad_sum(
    d: &mut Driver,
    lanes: usize,
    (values, indices, count): (Value, Value, Value),
    left: Value,
    quad: usize,
) -> Value {
    let zero = d.integer(0);
    let sum = d.b.declare_var(F32X4);
    let nothing = d.vector(4).constant(Scalar::F32(0.0)).all()[0];
    d.b.def_var(sum, nothing);
    d.each(zero, count, 1, &mut |d, step| {
        let slots = d.times(step, lanes as i64);
        let indices = d.offset(indices, slots);
        let bytes = d.times(slots, 4);
        let values = d.offset(values, bytes);
        let numbers = d.read(F32X4, values, quad as i32 * 4);
        let partners = (0..4).map(|lane| {
            let column = d.b.ins().uload8(I64, proved(), indices, (quad + lane) as i32);
            let bytes = d.times(column, 4);
            let at = d.offset(left, bytes);
            d.read(F32, at, 0)
        });
        let partners = partners.collect::<Vec<_>>();
        let partners = super::lanes::collect(&mut d.b, DType::F32, &partners);
        let old = Parts::one(d.b.use_var(sum));
        let new = d.vector(4).multiply_add(DType::F32, Parts::one(numbers), partners, old);
        d.b.def_var(sum, new.all()[0]);
    });
    d.b.use_var(sum)
}
