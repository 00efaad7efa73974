//! One node of an expression over `Arithmetic`; composite operations are built here, from what emitters have.

use super::arithmetic::{Arithmetic, Lanewise};
use super::{math, rounding};
use crate::base::{DType, Scalar};
use crate::kernel::{Binary, Compare, Unary};

/// `op a`.
pub(super) fn unary<A: Arithmetic>(e: &mut A, op: Unary, dtype: DType, a: A::Value) -> A::Value {
    match op {
        Unary::Exp => math::exp(e, dtype, a),
        Unary::Log => math::log(e, dtype, a),
        Unary::Erf => math::erf(e, dtype, a),
        Unary::Tanh => math::tanh(e, dtype, a),
        Unary::Sin | Unary::Cos => e.lanewise(Lanewise::Unary(op), dtype, &[a]),
        _ => e.unary(op, dtype, a),
    }
}

/// `a op b`.
pub(super) fn binary<A: Arithmetic>(e: &mut A, op: Binary, dtype: DType, a: A::Value, b: A::Value) -> A::Value {
    let float = dtype.is_float();
    match op {
        Binary::Min | Binary::Max if float => {
            let (low, high) = if op == Binary::Min { (a, b) } else { (b, a) };
            let first = e.compare(Compare::Lt, dtype, low, high);
            let chosen = e.select(dtype, first, a, b);
            // The comparison picks b where one is NaN; a's own NaN must win too.
            let valid = e.compare(Compare::Eq, dtype, a, a);
            e.select(dtype, valid, chosen, a)
        }
        Binary::Mod | Binary::Pow | Binary::Shl | Binary::Shr => e.lanewise(Lanewise::Binary(op), dtype, &[a, b]),
        Binary::Div if !float => e.lanewise(Lanewise::Binary(op), dtype, &[a, b]),
        _ => e.binary(op, dtype, a, b),
    }
}

/// To the compute type of `to`, through `to`.
pub(super) fn convert<A: Arithmetic>(e: &mut A, from: DType, to: DType, a: A::Value) -> A::Value {
    let compute = to.compute();
    match to {
        DType::F16 | DType::BF16 => {
            let single = e.convert(from, DType::F32, a);
            let bits = rounding::narrow(e, to, single);
            rounding::widen(e, to, bits)
        }
        DType::I16 | DType::I8 | DType::U8 | DType::I4 | DType::U4 => {
            let word = e.convert(from, DType::I32, a);
            let (lo, hi) = to.integer_range().expect("an integer");
            if from.is_float() {
                let [lo, hi] = [lo, hi].map(|bound| e.constant(Scalar::I32(bound as i32)));
                let raised = e.binary(Binary::Max, DType::I32, word, lo);
                e.binary(Binary::Min, DType::I32, raised, hi)
            } else {
                rounding::wrap(e, to, word)
            }
        }
        _ => e.convert(from, compute, a),
    }
}
