//! `sin` and `cos`.

use super::Float;
use crate::base::{DType, Scalar};
use crate::cpu::arithmetic::{Arithmetic, Shift};
use crate::kernel::{Binary, Compare};

/// `(sin r / r - 1) / r²` and `(cos r - 1 + r² / 2) / r⁴` as polynomials in `r²`, for |r| <= pi / 4.
const SIN: [f64; 6] = [
    -0.166_666_666_666_666_66,
    0.008_333_333_333_330_94,
    -0.000_198_412_698_367_429_8,
    2.755_731_609_430_797e-6,
    -2.505_113_010_180_549_4e-8,
    1.591_800_228_187_306_1e-10,
];
const COS: [f64; 6] = [
    0.041_666_666_666_666_664,
    -0.001_388_888_888_888_739,
    2.480_158_729_875_576_2e-5,
    -2.755_731_726_649_494_4e-7,
    2.087_614_516_358_140_3e-9,
    -1.138_255_204_095_506e-11,
];
/// Pi / 2 in parts of 33 bits, so that their products with a quadrant below 2^20 are exact, and what is left.
const HALF_PI: [f64; 4] =
    [1.570_796_326_734_125_6, 6.077_100_506_303_966e-11, 2.022_266_248_711_166_5e-21, 8.478_427_660_368_9e-32];

/// The exact remainder of two floats.
pub(in crate::cpu) type Remainder<'r, A> =
    &'r mut dyn FnMut(&mut A, DType, <A as Arithmetic>::Value, <A as Arithmetic>::Value) -> <A as Arithmetic>::Value;

/// `sin`, or `cos`; computed in f64. Large arguments are first reduced by an exact remainder of 2 pi as f64 has it.
pub(in crate::cpu) fn circular<A: Arithmetic>(
    e: &mut A,
    cosine: bool,
    dtype: DType,
    x: A::Value,
    remainder: Remainder<A>,
) -> A::Value {
    let x = e.convert(dtype, DType::F64, x);
    let turn = e.constant(Scalar::F64(std::f64::consts::TAU));
    let reduced = remainder(e, DType::F64, x, turn);
    let mut f = Float { e, dtype: DType::F64 };
    let magnitude = f.abs(x);
    let is_small = f.compare(Compare::Lt, magnitude, 1e6);
    let x = f.select(is_small, x, reduced);
    let quadrants = f.scale(x, std::f64::consts::FRAC_2_PI);
    let (n, quadrant) = f.nearest(quadrants);
    let mut r = x;
    let mut low = f.constant(0.0);
    for part in HALF_PI {
        let part = f.constant(part);
        let piece = f.mul(n, part);
        let next = f.sub(r, piece);
        let lost = f.sub(r, next);
        let lost = f.sub(lost, piece);
        low = f.add(low, lost);
        r = next;
    }
    let head = f.add(r, low);
    let gone = f.sub(r, head);
    let tail = f.add(gone, low);
    let r = head;
    let z = f.mul(r, r);
    let cube = f.mul(z, r);
    let series = f.polynomial(z, &SIN);
    let sine = f.fma(cube, series, tail);
    let sine = f.add(r, sine);
    let series = f.polynomial(z, &COS);
    let square = f.mul(z, z);
    let series = f.mul(square, series);
    let moved = f.mul(r, tail);
    let series = f.sub(series, moved);
    let half = f.scale(z, 0.5);
    let one = f.constant(1.0);
    let main = f.sub(one, half);
    let rounding = f.sub(one, main);
    let rounding = f.sub(rounding, half);
    let series = f.add(series, rounding);
    let cosine_value = f.add(main, series);
    let ahead = f.integer(i64::from(cosine));
    let quadrant = f.e.binary(Binary::Add, DType::I64, quadrant, ahead);
    let (one, zero) = (f.integer(1), f.integer(0));
    let odd = f.e.binary(Binary::And, DType::I64, quadrant, one);
    let odd = f.e.compare(Compare::Ne, DType::I64, odd, zero);
    let result = f.select(odd, cosine_value, sine);
    let half_turn = f.e.shift(Shift::Logical, DType::I64, quadrant, 1);
    let sign = f.e.shift(Shift::Left, DType::I64, half_turn, 63);
    let bits = f.bits(result);
    let bits = f.e.binary(Binary::Xor, DType::I64, bits, sign);
    let result = f.with_bits(bits);
    e.convert(DType::F64, dtype, result)
}
