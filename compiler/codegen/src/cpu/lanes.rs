//! Moving lanes: between vectors of different widths, to and from single numbers, across a vector.

use super::arithmetic::Arithmetic;
use super::clif::{Clif, Parts, little_endian, vector_type, wide};
use super::lanewise;
use crate::base::{DType, Scalar};
use crate::kernel::Compare;
use cranelift_codegen::ir::types::{F32X4, I8, I8X16, I32, I32X4, I64};
use cranelift_codegen::ir::{InstBuilder, Type, Value};
use cranelift_frontend::FunctionBuilder;

/// A 128-bit vector of the given 32-bit words of two: 0..4 from `a`, 4..8 from `b`.
pub(super) fn shuffle_words(b: &mut FunctionBuilder, kind: Type, x: Value, y: Value, words: [u8; 4]) -> Value {
    let bytes: Vec<u8> = words.iter().flat_map(|word| (0..4).map(move |i| word * 4 + i)).collect();
    let mask = b.func.dfg.immediates.push(bytes.into());
    let [x, y] = [x, y].map(|v| b.ins().bitcast(I8X16, little_endian(), v));
    let shuffled = b.ins().shuffle(x, y, mask);
    b.ins().bitcast(kind, little_endian(), shuffled)
}

/// The low words of the four 64-bit lanes of two vectors.
pub(super) fn even_words(b: &mut FunctionBuilder, x: Value, y: Value) -> Value {
    shuffle_words(b, I32X4, x, y, [0, 2, 4, 6])
}

/// One lane as a scalar; a bool as 0 or 1.
pub(super) fn extract(b: &mut FunctionBuilder, dtype: DType, value: &Parts, lane: usize) -> Value {
    let each = if wide(dtype) { 2 } else { 4 };
    let number = b.ins().extractlane(value.all()[lane / each], (lane % each) as u8);
    match dtype {
        DType::Bool => {
            let bit = b.ins().band_imm_s(number, 1);
            b.ins().ireduce(I8, bit)
        }
        _ => number,
    }
}

/// Scalars as lanes.
pub(super) fn collect(b: &mut FunctionBuilder, dtype: DType, scalars: &[Value]) -> Parts {
    let each = if wide(dtype) { 2 } else { 4 };
    let scalars: Vec<Value> = match dtype {
        DType::Bool => scalars
            .iter()
            .map(|bit| {
                let word = b.ins().uextend(I32, *bit);
                b.ins().ineg(word)
            })
            .collect(),
        _ => scalars.to_vec(),
    };
    let vectors = scalars.chunks(each).map(|chunk| {
        let mut vector = b.ins().splat(vector_type(dtype), chunk[0]);
        for (lane, scalar) in chunk.iter().enumerate().skip(1) {
            vector = b.ins().insertlane(vector, *scalar, lane as u8);
        }
        vector
    });
    Parts::new(vectors.collect::<Vec<_>>())
}

/// Conversions of vectors; what has no vector form goes lane by lane.
pub(super) fn convert(e: &mut Clif, from: DType, to: DType, a: Parts) -> Parts {
    match (from, to) {
        (DType::I32, DType::F32) => {
            Parts::new(a.all().iter().map(|a| e.b.ins().fcvt_from_sint(F32X4, *a)).collect::<Vec<_>>())
        }
        (DType::F32, DType::I32) => {
            Parts::new(a.all().iter().map(|a| e.b.ins().fcvt_to_sint_sat(I32X4, *a)).collect::<Vec<_>>())
        }
        (DType::I32, DType::I64) => {
            let halves = a.all().iter().flat_map(|a| [e.b.ins().swiden_low(*a), e.b.ins().swiden_high(*a)]);
            Parts::new(halves.collect::<Vec<_>>())
        }
        (DType::I64, DType::I32) => {
            Parts::new(a.all().chunks(2).map(|pair| even_words(e.b, pair[0], pair[1])).collect::<Vec<_>>())
        }
        (DType::F32, DType::F64) => {
            let halves = a.all().iter().flat_map(|a| {
                let high = shuffle_words(e.b, F32X4, *a, *a, [2, 3, 2, 3]);
                [e.b.ins().fvpromote_low(*a), e.b.ins().fvpromote_low(high)]
            });
            Parts::new(halves.collect::<Vec<_>>())
        }
        (DType::F64, DType::F32) => {
            let vectors = a.all().chunks(2).map(|pair| {
                let [low, high] = [pair[0], pair[1]].map(|half| e.b.ins().fvdemote(half));
                shuffle_words(e.b, F32X4, low, high, [0, 1, 4, 5])
            });
            Parts::new(vectors.collect::<Vec<_>>())
        }
        (DType::Bool, _) => {
            let (one, zero) = (e.constant(Scalar::from_i64(to, 1)), e.constant(Scalar::zero(to)));
            e.select(to, a, one, zero)
        }
        (_, DType::Bool) => {
            let zero = e.constant(Scalar::zero(from));
            e.compare(Compare::Ne, from, a, zero)
        }
        _ => {
            let scalars: Vec<Value> = (0..e.lanes)
                .map(|lane| {
                    let scalar = extract(e.b, from, &a, lane);
                    lanewise::convert(e.b, from, to, scalar)
                })
                .collect();
            collect(e.b, to, &scalars)
        }
    }
}

/// All lanes combined by `op`: the parts pairwise, then halves of the last vector; one scalar.
pub(super) fn across(
    e: &mut Clif,
    dtype: DType,
    a: Parts,
    combine: &mut dyn FnMut(&mut Clif, Parts, Parts) -> Parts,
) -> Value {
    let halve = |e: &mut Clif, mut parts: Vec<Value>, combine: &mut dyn FnMut(&mut Clif, Parts, Parts) -> Parts| {
        while parts.len() > 1 {
            let half = parts.len() / 2;
            parts = (0..half).map(|i| combine(e, Parts::one(parts[i]), Parts::one(parts[i + half])).all()[0]).collect();
        }
        parts[0]
    };
    if wide(dtype) {
        let scalars = (0..e.lanes).map(|lane| extract(e.b, dtype, &a, lane)).collect();
        let mut single = Clif::new(e.b, 1, e.fused);
        return halve(&mut single, scalars, combine);
    }
    let mut total = halve(e, a.all().to_vec(), combine);
    let kind = vector_type(dtype);
    for order in [[2, 3, 0, 1], [1, 0, 3, 2]] {
        let swapped = shuffle_words(e.b, kind, total, total, order);
        total = combine(e, Parts::one(total), Parts::one(swapped)).all()[0];
    }
    extract(e.b, dtype, &Parts::one(total), 0)
}

/// Four rows of four as four columns of four.
pub(super) fn transpose(b: &mut FunctionBuilder, rows: [Value; 4]) -> [Value; 4] {
    let pair = |b: &mut FunctionBuilder, x, y| {
        [shuffle_words(b, F32X4, x, y, [0, 4, 1, 5]), shuffle_words(b, F32X4, x, y, [2, 6, 3, 7])]
    };
    let ([a, c], [d, f]) = (pair(b, rows[0], rows[1]), pair(b, rows[2], rows[3]));
    let mut join =
        |x: Value, y: Value| [shuffle_words(b, F32X4, x, y, [0, 1, 4, 5]), shuffle_words(b, F32X4, x, y, [2, 3, 6, 7])];
    let ([first, second], [third, fourth]) = (join(a, d), join(c, f));
    [first, second, third, fourth]
}

/// 0, 1, 2, … as i64.
pub(super) fn lane_numbers(e: &mut Clif) -> Parts {
    let scalars: Vec<Value> = (0..e.lanes).map(|lane| e.b.ins().iconst(I64, lane as i64)).collect();
    collect(e.b, DType::I64, &scalars)
}
