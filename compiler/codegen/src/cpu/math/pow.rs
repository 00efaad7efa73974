//! `pow` of floats.

use super::{Float, exp, log};
use crate::base::DType;
use crate::cpu::arithmetic::Arithmetic;
use crate::kernel::{Binary, Compare, Unary};

/// `e^(y log |x|)` in f64, with the signs and exceptions of IEEE `pow`.
pub(in crate::cpu) fn pow<A: Arithmetic>(e: &mut A, dtype: DType, x: A::Value, y: A::Value) -> A::Value {
    let [x, y] = [x, y].map(|v| e.convert(dtype, DType::F64, v));
    let mut f = Float { e, dtype: DType::F64 };
    let magnitude = f.abs(x);
    let logarithm = log(f.e, DType::F64, magnitude);
    let exponent = f.mul(y, logarithm);
    let power = exp(f.e, DType::F64, exponent);
    let whole = f.e.unary(Unary::Trunc, DType::F64, y);
    let is_whole = f.e.compare(Compare::Eq, DType::F64, whole, y);
    let half = f.scale(y, 0.5);
    let half_whole = f.e.unary(Unary::Trunc, DType::F64, half);
    let not_even = f.e.compare(Compare::Ne, DType::F64, half_whole, half);
    let is_odd = f.logic(Binary::And, is_whole, not_even);
    let signed = f.copy_sign(power, x);
    let result = f.select(is_odd, signed, power);
    let invalid = f.constant(f64::NAN);
    let below = f.compare(Compare::Lt, x, 0.0);
    let fraction = f.e.unary(Unary::Not, DType::Bool, is_whole);
    let finite = f.compare(Compare::Ne, magnitude, f64::INFINITY);
    let root = f.logic(Binary::And, below, fraction);
    let root = f.logic(Binary::And, root, finite);
    let result = f.select(root, invalid, result);
    // 1^y, x^0 and (-1)^±inf are 1, also where the other is no number.
    let one = f.constant(1.0);
    let unit = f.compare(Compare::Eq, magnitude, 1.0);
    let size = f.abs(y);
    let endless = f.compare(Compare::Eq, size, f64::INFINITY);
    let is_one = f.compare(Compare::Eq, x, 1.0);
    let no_power = f.compare(Compare::Eq, y, 0.0);
    let certain = f.logic(Binary::And, unit, endless);
    let certain = f.logic(Binary::Or, certain, is_one);
    let certain = f.logic(Binary::Or, certain, no_power);
    let result = f.select(certain, one, result);
    e.convert(DType::F64, dtype, result)
}
