//! Rules for ops that compute each element by itself.

use super::super::rewrite::{Rewriter, Use};
use super::views::unchanged;
use crate::graph::ValueId;
use crate::ops::{Arguments, Attr, OpKind};
use mlc_codegen::base::{DType, Scalar};

/// Ops that change nothing the second time.
const IDEMPOTENT: [OpKind; 8] =
    [OpKind::Abs, OpKind::Sign, OpKind::Floor, OpKind::Ceil, OpKind::Round, OpKind::Trunc, OpKind::Relu, OpKind::Relu6];

/// One op for two of one tensor.
pub(super) fn unary(cx: &mut Rewriter, found: &Use) -> Option<ValueId> {
    match found.op {
        OpKind::Neg | OpKind::Not => Some(cx.defined_by(found.inputs[0], &[found.op])?.inputs[0]),
        OpKind::Abs | OpKind::Square if cx.defined_by(found.inputs[0], &[OpKind::Neg]).is_some() => {
            let inner = cx.defined_by(found.inputs[0], &[OpKind::Neg])?;
            cx.merge(inner.loc);
            cx.apply(found.op, found.arguments.clone(), inner.inputs)
        }
        op if IDEMPOTENT.contains(&op) => cx.defined_by(found.inputs[0], &[op]).map(|_| found.inputs[0]),
        _ => None,
    }
}

/// A cast to the same type, and one after another that loses nothing.
pub(super) fn cast(cx: &mut Rewriter, found: &Use) -> Option<ValueId> {
    if let Some(same) = unchanged(found) {
        return Some(same);
    }
    let inner = cx.defined_by(found.inputs[0], &[OpKind::Cast])?;
    let [from, between, to] = [inner.types[0].dtype, found.types[0].dtype, found.results[0].dtype];
    if !keeps_values(from, between) {
        return None;
    }
    if from == to {
        return Some(inner.inputs[0]);
    }
    // An integer wraps where a float saturates: only a cast between two floats or two integers may be skipped.
    if from.is_float() != between.is_float() || from == DType::Bool || between == DType::Bool {
        return None;
    }
    cx.merge(inner.loc);
    cx.apply(OpKind::Cast, found.arguments.clone(), inner.inputs)
}

/// Whether every value of one type is one of the other.
fn keeps_values(from: DType, to: DType) -> bool {
    let digits = |dtype: DType| match dtype {
        DType::F64 => 53,
        DType::F32 => 24,
        DType::F16 => 11,
        _ => 8,
    };
    match (from.integer_range(), to.integer_range()) {
        (Some((lo, hi)), Some((least, most))) => least <= lo && hi <= most,
        (Some((lo, hi)), None) if to.is_float() => hi.max(-(lo + 1)) < 1i64 << digits(to).min(62),
        (None, None) if from.is_float() && to.is_float() => {
            from == to || from.bits() < to.bits() && digits(from) <= digits(to)
        }
        (None, _) => from == DType::Bool && to != DType::Bool,
        _ => false,
    }
}

/// An operation on a number that leaves every element as it is.
pub(super) fn binary(cx: &mut Rewriter, found: &Use) -> Option<ValueId> {
    let neutral = |cx: &Rewriter, side: usize| {
        found.types[1 - side] == found.results[0]
            && cx
                .splat(found.inputs[side])
                .is_some_and(|number| is_neutral(found.op, side, number, found.types[side].dtype))
    };
    if neutral(cx, 1) {
        return Some(found.inputs[0]);
    }
    neutral(cx, 0).then_some(found.inputs[1])
}

/// Whether `x op number` is x, or `number op x` where the number stands on the left (`side` 0).
fn is_neutral(op: OpKind, side: usize, number: Scalar, dtype: DType) -> bool {
    let (is, right) = (|value: f64| number == Scalar::from_f64(dtype, value), side == 1);
    match op {
        OpKind::Mul => is(1.0),
        OpKind::Div => right && is(1.0),
        OpKind::Add => is(if dtype.is_float() { -0.0 } else { 0.0 }),
        OpKind::Sub => right && is(0.0),
        OpKind::And if dtype == DType::Bool => is(1.0),
        OpKind::And => is(-1.0),
        OpKind::Or | OpKind::Xor => is(0.0),
        OpKind::Shl | OpKind::Shr => right && is(0.0),
        _ => false,
    }
}

/// `where` on one constant condition, or between two of the same.
pub(super) fn choice(cx: &mut Rewriter, found: &Use) -> Option<ValueId> {
    let chosen = match cx.splat(found.inputs[0]) {
        Some(condition) => {
            if condition == Scalar::Bool(true) {
                1
            } else {
                2
            }
        }
        None if found.inputs[1] == found.inputs[2] => 1,
        None => return None,
    };
    if found.types[chosen] == found.results[0] {
        return Some(found.inputs[chosen]);
    }
    let shape = found.results[0].dims.iter().cloned().map(Some).collect();
    let arguments = Arguments { counts: vec![1], attrs: vec![Attr::Dims(shape)] };
    cx.apply(OpKind::Expand, arguments, vec![found.inputs[chosen]])
}
