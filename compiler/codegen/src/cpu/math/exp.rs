//! `exp` and `log`.

use super::Float;
use crate::base::DType;
use crate::cpu::arithmetic::{Arithmetic, Shift};
use crate::kernel::{Binary, Compare};

/// `(e^r - 1 - r) / r²` for |r| <= ln 2 / 2: fitted for f32, the Taylor series to degree 13 for f64.
const EXP_F32: [f64; 6] = [
    0.5,
    0.166_666_671_633_720_4,
    0.041_666_463_017_463_684,
    0.008_333_286_270_499_23,
    0.001_393_373_589_962_720_9,
    0.000_199_077_039_724_215_87,
];
const EXP_F64: [f64; 12] = [
    1.0 / 2.0,
    1.0 / 6.0,
    1.0 / 24.0,
    1.0 / 120.0,
    1.0 / 720.0,
    1.0 / 5040.0,
    1.0 / 40_320.0,
    1.0 / 362_880.0,
    1.0 / 3_628_800.0,
    1.0 / 39_916_800.0,
    1.0 / 479_001_600.0,
    1.0 / 6_227_020_800.0,
];

/// `log((1 + s) / (1 - s)) = 2 s + s z p(z)` with `z = s²`, for the mantissas between sqrt(1/2) and sqrt(2).
const LOG_F32: [f64; 4] =
    [0.666_666_686_534_881_6, 0.400_001_227_855_682_4, 0.285_506_993_531_808_2, 0.233_334_183_692_932_13];
const LOG_F64: [f64; 7] = [
    0.666_666_666_666_667,
    0.399_999_999_998_978_9,
    0.285_714_286_266_514_1,
    0.222_222_110_317_493_25,
    0.181_828_962_076_316_85,
    0.153_314_977_645_068_18,
    0.146_190_969_920_122_8,
];

/// ln 2 in two parts; multiples of the first by an exponent are exact.
const LN_2_F32: [f64; 2] = [0.693_115_234_375, 3.194_618_494_530_941_5e-5];
const LN_2_F64: [f64; 2] = [0.693_147_180_485_539_1, 7.440_617_110_012_397e-11];

/// A distance whose power of two is -127, the one that an exponent of 0 bits stands for: its factor is 0.
const LEAST_DISTANCE: f64 = -88.0;

/// `e^x`: 2^n times a polynomial of the rest, the power in two factors so that the ends round once.
pub(in crate::cpu) fn exp<A: Arithmetic>(e: &mut A, dtype: DType, x: A::Value) -> A::Value {
    let mut f = Float { e, dtype };
    let double = dtype == DType::F64;
    let (low, high) = if double { (-746.0, 710.5) } else { (-104.5, 89.5) };
    let x = f.within(x, low, high);
    let turns = f.scale(x, std::f64::consts::LOG2_E);
    let (n, integer) = f.nearest(turns);
    let ln2 = if double { LN_2_F64 } else { LN_2_F32 };
    let mut r = x;
    for part in ln2 {
        let part = f.constant(-part);
        r = f.fma(n, part, r);
    }
    let mut y = if double { f.polynomial(r, &EXP_F64) } else { f.polynomial(r, &EXP_F32) };
    let square = f.mul(r, r);
    y = f.fma(y, square, r);
    y = f.plus(y, 1.0);
    let (bits, mantissa) = (f.bits_type(), f.mantissa());
    let half = f.e.shift(Shift::Arithmetic, bits, integer, 1);
    let rest = f.e.binary(Binary::Sub, bits, integer, half);
    let bias = f.integer(if double { 1023 } else { 127 });
    for power in [half, rest] {
        let exponent = f.e.binary(Binary::Add, bits, power, bias);
        let exponent = f.e.shift(Shift::Left, bits, exponent, mantissa);
        let factor = f.with_bits(exponent);
        y = f.mul(y, factor);
    }
    y
}

/// `e^x` of f32 for x <= 0, in fewer steps: what lies below the least normal number is 0, or nearly so. NaN stays.
pub(in crate::cpu) fn exp_of_distance<A: Arithmetic>(e: &mut A, x: A::Value) -> A::Value {
    let mut f = Float { e, dtype: DType::F32 };
    let least = f.constant(LEAST_DISTANCE);
    let below = f.e.compare(Compare::Lt, DType::F32, x, least);
    let x = f.select(below, least, x);
    let turns = f.scale(x, std::f64::consts::LOG2_E);
    // The nearest integer stands in the lowest bits of the moved number; a shift leaves of them what an exponent holds.
    let magic = f.constant(12_582_912.0);
    let moved = f.add(turns, magic);
    let n = f.sub(moved, magic);
    let mut r = x;
    for part in LN_2_F32 {
        let part = f.constant(-part);
        r = f.fma(n, part, r);
    }
    let series = f.polynomial(r, &EXP_F32);
    let square = f.mul(r, r);
    let y = f.fma(series, square, r);
    let y = f.plus(y, 1.0);
    let (bits, bias) = (f.bits(moved), f.integer(127));
    let exponent = f.e.binary(Binary::Add, DType::I32, bits, bias);
    let exponent = f.e.shift(Shift::Left, DType::I32, exponent, 23);
    let factor = f.with_bits(exponent);
    f.mul(y, factor)
}

/// The natural logarithm: the exponent, and a series of the mantissa in sqrt(1/2)..sqrt(2).
pub(in crate::cpu) fn log<A: Arithmetic>(e: &mut A, dtype: DType, x: A::Value) -> A::Value {
    let mut f = Float { e, dtype };
    let double = dtype == DType::F64;
    let (least, lift, lifted_by) = if double {
        (f64::MIN_POSITIVE, 2f64.powi(54), 54.0)
    } else {
        (f64::from(f32::MIN_POSITIVE), 2f64.powi(23), 23.0)
    };
    let subnormal = f.compare(Compare::Lt, x, least);
    let lifted = f.scale(x, lift);
    let normal = f.select(subnormal, lifted, x);
    let (bits, mantissa) = (f.bits_type(), f.mantissa());
    let root = f.integer(if double { 0x3fe6_a09e_667f_3bcd } else { 0x3f35_04f3 });
    let number = f.bits(normal);
    let above = f.e.binary(Binary::Sub, bits, number, root);
    let exponent = f.e.shift(Shift::Arithmetic, bits, above, mantissa);
    let power = f.e.shift(Shift::Left, bits, exponent, mantissa);
    let number = f.e.binary(Binary::Sub, bits, number, power);
    let m = f.with_bits(number);
    let k = small_float(&mut f, exponent);
    let (zero, correction) = (f.constant(0.0), f.constant(-lifted_by));
    let correction = f.select(subnormal, correction, zero);
    let k = f.add(k, correction);
    let m = f.plus(m, -1.0);
    let sum = f.plus(m, 2.0);
    let s = f.div(m, sum);
    let z = f.mul(s, s);
    let series = if double { f.polynomial(z, &LOG_F64) } else { f.polynomial(z, &LOG_F32) };
    let series = f.mul(series, z);
    let half = f.scale(m, 0.5);
    let half = f.mul(half, m);
    let ln2 = if double { LN_2_F64 } else { LN_2_F32 };
    let inner = f.add(half, series);
    let low = f.constant(ln2[1]);
    let low = f.mul(k, low);
    let inner = f.fma(s, inner, low);
    let inner = f.sub(inner, half);
    let inner = f.add(inner, m);
    let high = f.constant(ln2[0]);
    let result = f.fma(k, high, inner);
    let infinity = f.constant(f64::INFINITY);
    let (nothing, invalid) = (f.constant(f64::NEG_INFINITY), f.constant(f64::NAN));
    let is_zero = f.compare(Compare::Eq, x, 0.0);
    let special = f.select(is_zero, nothing, invalid);
    let is_infinite = f.compare(Compare::Eq, x, f64::INFINITY);
    let result = f.select(is_infinite, infinity, result);
    let positive = f.e.compare(Compare::Lt, dtype, zero, x);
    f.select(positive, result, special)
}

/// A small integer as a float: added to the mantissa of a large number, from which that number is taken away again.
fn small_float<A: Arithmetic>(f: &mut Float<A>, integer: A::Value) -> A::Value {
    let magic = f.constant(if f.dtype == DType::F64 { 6_755_399_441_055_744.0 } else { 12_582_912.0 });
    let bits = f.bits_type();
    let base = f.bits(magic);
    let moved = f.e.binary(Binary::Add, bits, base, integer);
    let moved = f.with_bits(moved);
    f.sub(moved, magic)
}
