//! f16, bf16 and narrow integers, by 32-bit integer arithmetic: no emitter needs instructions for them.

use super::arithmetic::{Arithmetic, Shift};
use crate::base::{DType, Scalar};
use crate::kernel::{Binary, Compare};

/// The f16 or bf16 bits of an f32, in an i32: to nearest, ties to even; NaN stays NaN.
pub(super) fn narrow<A: Arithmetic>(e: &mut A, dtype: DType, a: A::Value) -> A::Value {
    let bits = e.reinterpret(DType::F32, DType::I32, a);
    let sign_mask = word(e, i32::MIN);
    let sign = e.binary(Binary::And, DType::I32, bits, sign_mask);
    let magnitude = e.binary(Binary::Xor, DType::I32, bits, sign);
    let sign = e.shift(Shift::Logical, DType::I32, sign, 16);
    let infinity = word(e, 0x7f80_0000);
    let is_nan = e.compare(Compare::Lt, DType::I32, infinity, magnitude);
    let magnitude = match dtype {
        DType::F16 => narrow_f16(e, magnitude, is_nan),
        _ => {
            let rounded = round_at(e, magnitude, 16, 0);
            let high = e.shift(Shift::Logical, DType::I32, magnitude, 16);
            let quiet = word(e, 0x40);
            let nan = e.binary(Binary::Or, DType::I32, high, quiet);
            e.select(DType::I32, is_nan, nan, rounded)
        }
    };
    e.binary(Binary::Or, DType::I32, magnitude, sign)
}

fn narrow_f16<A: Arithmetic>(e: &mut A, magnitude: A::Value, is_nan: A::Value) -> A::Value {
    // Normal numbers: rebias by 15 - 127 and round away 13 bits.
    let normal = round_at(e, magnitude, 13, (15 - 127) << 23);
    // Subnormal ones: adding 0.5 aligns the last bit of the mantissa with that of an f16 subnormal, and rounds.
    let half = e.constant(Scalar::F32(0.5));
    let float = e.reinterpret(DType::I32, DType::F32, magnitude);
    let aligned = e.binary(Binary::Add, DType::F32, float, half);
    let aligned = e.reinterpret(DType::F32, DType::I32, aligned);
    let half = word(e, 0x3f00_0000);
    let subnormal = e.binary(Binary::Sub, DType::I32, aligned, half);
    let least = word(e, 113 << 23);
    let is_small = e.compare(Compare::Lt, DType::I32, magnitude, least);
    let finite = e.select(DType::I32, is_small, subnormal, normal);
    let (infinity, nan, most) = (word(e, 0x7c00), word(e, 0x7e00), word(e, 143 << 23));
    let special = e.select(DType::I32, is_nan, nan, infinity);
    let fits = e.compare(Compare::Lt, DType::I32, magnitude, most);
    e.select(DType::I32, fits, finite, special)
}

/// `(a + rebias)` without its low bits, rounded to nearest, ties to even.
fn round_at<A: Arithmetic>(e: &mut A, a: A::Value, bits: u32, rebias: i32) -> A::Value {
    let odd = e.shift(Shift::Logical, DType::I32, a, bits);
    let one = word(e, 1);
    let odd = e.binary(Binary::And, DType::I32, odd, one);
    let half = word(e, rebias + (1 << (bits - 1)) - 1);
    let sum = e.binary(Binary::Add, DType::I32, a, half);
    let sum = e.binary(Binary::Add, DType::I32, sum, odd);
    e.shift(Shift::Logical, DType::I32, sum, bits)
}

/// The f32 of f16 or bf16 bits in an i32, whose upper half is zero.
pub(super) fn widen<A: Arithmetic>(e: &mut A, dtype: DType, bits: A::Value) -> A::Value {
    if dtype == DType::BF16 {
        let high = e.shift(Shift::Left, DType::I32, bits, 16);
        return e.reinterpret(DType::I32, DType::F32, high);
    }
    let mask = word(e, 0x7fff);
    let magnitude = e.binary(Binary::And, DType::I32, bits, mask);
    let sign = e.binary(Binary::Xor, DType::I32, bits, magnitude);
    let sign = e.shift(Shift::Left, DType::I32, sign, 16);
    let special = word(e, 0x7bff);
    let is_special = e.compare(Compare::Lt, DType::I32, special, magnitude);
    let moved = e.shift(Shift::Left, DType::I32, magnitude, 13);
    // Scaling by 2^112 corrects the exponent, of subnormal numbers too.
    let float = e.reinterpret(DType::I32, DType::F32, moved);
    let rescale = e.constant(Scalar::F32(f32::from_bits(0x7780_0000)));
    let float = e.binary(Binary::Mul, DType::F32, float, rescale);
    let finite = e.reinterpret(DType::F32, DType::I32, float);
    let infinity = word(e, 0x7f80_0000);
    let special = e.binary(Binary::Or, DType::I32, moved, infinity);
    let magnitude = e.select(DType::I32, is_special, special, finite);
    let all = e.binary(Binary::Or, DType::I32, magnitude, sign);
    e.reinterpret(DType::I32, DType::F32, all)
}

/// The low bits of an i32, as an integer of the narrow type.
pub(super) fn wrap<A: Arithmetic>(e: &mut A, dtype: DType, a: A::Value) -> A::Value {
    let unused = 32 - dtype.bits();
    let high = e.shift(Shift::Left, DType::I32, a, unused);
    let signed = dtype.integer_range().is_some_and(|(lo, _)| lo < 0);
    e.shift(if signed { Shift::Arithmetic } else { Shift::Logical }, DType::I32, high, unused)
}

fn word<A: Arithmetic>(e: &mut A, value: i32) -> A::Value {
    e.constant(Scalar::I32(value))
}
