//! What has no vector form, on single numbers: integer division and powers, shifts by a value, exact float remainders,
//! functions that branch, and conversions.
//! Nothing traps: divisors are made harmless before they divide.

use super::arithmetic::Lanewise;
use super::clif::{Clif, Parts, scalar_type};
use super::math;
use crate::base::DType;
use crate::kernel::{Binary, Unary};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{InstBuilder, Value};
use cranelift_frontend::FunctionBuilder;

/// A scalar operation.
pub(super) fn emit(e: &mut Clif, op: Lanewise, dtype: DType, operands: &[Value]) -> Value {
    match (op, operands) {
        (Lanewise::Unary(op), [a]) => {
            math::circular(e, op == Unary::Cos, dtype, Parts::one(*a), &mut |e, dtype, a, b| {
                Parts::one(float_remainder(e.b, dtype, a.scalar(), b.scalar()))
            })
            .scalar()
        }
        (Lanewise::Binary(Binary::Pow), [a, b]) if dtype.is_float() => {
            math::pow(e, dtype, Parts::one(*a), Parts::one(*b)).scalar()
        }
        (Lanewise::Binary(Binary::Mod), [a, b]) if dtype.is_float() => float_mod(e.b, dtype, *a, *b),
        (Lanewise::Binary(op), [a, b]) => integer(e.b, op, dtype, *a, *b),
        _ => unreachable!("an operation has its operands"),
    }
}

fn integer(b: &mut FunctionBuilder, op: Binary, dtype: DType, x: Value, y: Value) -> Value {
    match op {
        // Cranelift masks the amount itself.
        Binary::Shl => b.ins().ishl(x, y),
        Binary::Shr => b.ins().sshr(x, y),
        Binary::Pow => integer_power(b, dtype, x, y),
        Binary::Div | Binary::Mod => {
            let kind = scalar_type(dtype);
            let (least, zero) = (dtype.integer_range().expect("an integer").0, b.ins().iconst(kind, 0));
            let by_zero = b.ins().icmp_imm_s(IntCC::Equal, y, 0);
            let negated = b.ins().icmp_imm_s(IntCC::Equal, y, -1);
            let least = b.ins().iconst(kind, least);
            let at_least = b.ins().icmp(IntCC::Equal, x, least);
            let overflows = b.ins().band(negated, at_least);
            let harmful = b.ins().bor(by_zero, overflows);
            let one = b.ins().iconst(kind, 1);
            let divisor = b.ins().select(harmful, one, y);
            let result = match op {
                Binary::Div => b.ins().sdiv(x, divisor),
                _ => {
                    let remainder = b.ins().srem(x, divisor);
                    let mixed = b.ins().bxor(remainder, y);
                    let opposite = b.ins().icmp_imm_s(IntCC::SignedLessThan, mixed, 0);
                    let some = b.ins().icmp_imm_s(IntCC::NotEqual, remainder, 0);
                    let moves = b.ins().band(opposite, some);
                    let moved = b.ins().iadd(remainder, y);
                    b.ins().select(moves, moved, remainder)
                }
            };
            b.ins().select(by_zero, zero, result)
        }
        _ => unreachable!("{op:?} of integers has a vector form"),
    }
}

/// By squaring; a negative exponent gives 0, except that 1 stays 1 and -1 alternates.
fn integer_power(b: &mut FunctionBuilder, dtype: DType, base: Value, exponent: Value) -> Value {
    let kind = scalar_type(dtype);
    let (top, inside, end) = (b.create_block(), b.create_block(), b.create_block());
    let [result, square, rest] = [(); 3].map(|()| b.append_block_param(top, kind));
    let one = b.ins().iconst(kind, 1);
    b.ins().jump(top, &[one.into(), base.into(), exponent.into()]);
    b.switch_to_block(top);
    let more = b.ins().icmp_imm_s(IntCC::SignedGreaterThan, rest, 0);
    b.ins().brif(more, inside, &[], end, &[]);
    b.switch_to_block(inside);
    let odd = b.ins().band_imm_s(rest, 1);
    let multiplied = b.ins().imul(result, square);
    let next = b.ins().select(odd, multiplied, result);
    let squared = b.ins().imul(square, square);
    let halved = b.ins().sshr_imm_s(rest, 1);
    b.ins().jump(top, &[next.into(), squared.into(), halved.into()]);
    b.switch_to_block(end);
    let zero = b.ins().iconst(kind, 0);
    let odd = b.ins().band_imm_s(exponent, 1);
    let alternating = b.ins().select(odd, base, one);
    let is_one = b.ins().icmp_imm_s(IntCC::Equal, base, 1);
    let is_minus = b.ins().icmp_imm_s(IntCC::Equal, base, -1);
    let fraction = b.ins().select(is_minus, alternating, zero);
    let fraction = b.ins().select(is_one, one, fraction);
    let negative = b.ins().icmp_imm_s(IntCC::SignedLessThan, exponent, 0);
    b.ins().select(negative, fraction, result)
}

/// The remainder of truncating division, exact: `y * 2^k` is taken away for falling k, and each difference is exact
/// because `y * 2^k <= x < y * 2^(k+1)`. At most as many turns as the exponents differ.
fn float_remainder(b: &mut FunctionBuilder, dtype: DType, x: Value, y: Value) -> Value {
    let (kind, mantissa, bits) = if dtype == DType::F64 { (I64, 52, 64i64) } else { (I32, 23, 32) };
    let float = scalar_type(dtype);
    let flags = cranelift_codegen::ir::MemFlagsData::new();
    let constant = |b: &mut FunctionBuilder, v: f64| match dtype {
        DType::F64 => b.ins().f64const(v),
        _ => b.ins().f32const(v as f32),
    };
    let divisor = b.ins().fabs(y);
    let start = b.ins().fabs(x);
    let (top, inside, end) = (b.create_block(), b.create_block(), b.create_block());
    let rest = b.append_block_param(top, float);
    b.ins().jump(top, &[start.into()]);
    b.switch_to_block(top);
    let zero = constant(b, 0.0);
    let infinity = constant(b, f64::INFINITY);
    let larger = b.ins().fcmp(FloatCC::GreaterThanOrEqual, rest, divisor);
    let finite = b.ins().fcmp(FloatCC::LessThan, rest, infinity);
    let divides = b.ins().fcmp(FloatCC::GreaterThan, divisor, zero);
    let more = b.ins().band(larger, finite);
    let more = b.ins().band(more, divides);
    b.ins().brif(more, inside, &[], end, &[]);
    b.switch_to_block(inside);
    let [r, d] = [rest, divisor].map(|v| b.ins().bitcast(kind, flags, v));
    let [re, de] = [r, d].map(|v| b.ins().ushr_imm_s(v, mantissa));
    let difference = b.ins().isub(re, de);
    let normal = b.ins().icmp_imm_s(IntCC::SignedGreaterThan, de, 0);
    let zero_shift = b.ins().iconst(kind, 0);
    let shift = b.ins().select(normal, difference, zero_shift);
    let moved = b.ins().ishl_imm_s(shift, mantissa);
    let scaled = b.ins().iadd(d, moved);
    // A subnormal divisor times 2^k is its bits shifted, up to the first normal exponent.
    let [leading, rest_leading] = [d, r].map(|v| b.ins().clz(v));
    let room = b.ins().iadd_imm_s(leading, -(bits - 1 - mantissa));
    let below = b.ins().isub(leading, rest_leading);
    let whole = b.ins().icmp_imm_s(IntCC::SignedGreaterThan, re, 0);
    let fits = b.ins().select(whole, room, below);
    let grown = b.ins().ishl(d, fits);
    let extra = b.ins().iadd_imm_s(re, -1);
    let extra = b.ins().select(whole, extra, zero_shift);
    let extra = b.ins().ishl_imm_s(extra, mantissa);
    let grown = b.ins().iadd(grown, extra);
    let scaled = b.ins().select(normal, scaled, grown);
    let scaled = b.ins().bitcast(float, flags, scaled);
    let half = constant(b, 0.5);
    let halved = b.ins().fmul(scaled, half);
    let too_much = b.ins().fcmp(FloatCC::GreaterThan, scaled, rest);
    let step = b.ins().select(too_much, halved, scaled);
    let less = b.ins().fsub(rest, step);
    b.ins().jump(top, &[less.into()]);
    b.switch_to_block(end);
    let invalid = b.ins().fsub(infinity, infinity);
    let is_finite = b.ins().fcmp(FloatCC::LessThan, start, infinity);
    let divides = b.ins().fcmp(FloatCC::GreaterThan, divisor, zero);
    let valid = b.ins().band(is_finite, divides);
    let result = b.ins().select(valid, rest, invalid);
    b.ins().fcopysign(result, x)
}

/// The floored modulus: the remainder, moved to the sign of the divisor.
fn float_mod(b: &mut FunctionBuilder, dtype: DType, x: Value, y: Value) -> Value {
    let remainder = float_remainder(b, dtype, x, y);
    let zero = match dtype {
        DType::F64 => b.ins().f64const(0.0),
        _ => b.ins().f32const(0.0),
    };
    let below = b.ins().fcmp(FloatCC::LessThan, remainder, zero);
    let divisor_below = b.ins().fcmp(FloatCC::LessThan, y, zero);
    let opposite = b.ins().bxor(below, divisor_below);
    let some = b.ins().fcmp(FloatCC::NotEqual, remainder, zero);
    let moves = b.ins().band(opposite, some);
    let moved = b.ins().fadd(remainder, y);
    b.ins().select(moves, moved, remainder)
}

/// A conversion between compute types.
pub(super) fn convert(b: &mut FunctionBuilder, from: DType, to: DType, a: Value) -> Value {
    let kind = scalar_type(to);
    match (from, to) {
        _ if from == to => a,
        (DType::F32, DType::F64) => b.ins().fpromote(kind, a),
        (DType::F64, DType::F32) => b.ins().fdemote(kind, a),
        (DType::Bool, _) => {
            let word = b.ins().uextend(if to == DType::I64 { I64 } else { I32 }, a);
            if to.is_float() { b.ins().fcvt_from_sint(kind, word) } else { word }
        }
        (_, DType::Bool) if from.is_float() => {
            let zero = if from == DType::F64 { b.ins().f64const(0.0) } else { b.ins().f32const(0.0) };
            b.ins().fcmp(FloatCC::NotEqual, a, zero)
        }
        (_, DType::Bool) => b.ins().icmp_imm_s(IntCC::NotEqual, a, 0),
        _ if from.is_float() => b.ins().fcvt_to_sint_sat(kind, a),
        _ if to.is_float() => b.ins().fcvt_from_sint(kind, a),
        (DType::I32, _) => b.ins().sextend(I64, a),
        _ => b.ins().ireduce(I32, a),
    }
}
