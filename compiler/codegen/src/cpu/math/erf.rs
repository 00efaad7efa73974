//! `erf`.

use super::{Float, exp};
use crate::base::DType;
use crate::cpu::arithmetic::Arithmetic;
use crate::kernel::Compare;

/// `erf x / x` as a quotient of polynomials in `x²`, whose first coefficients these are, for |x| up to `BOUND_F32`.
const ABOVE_F32: [f64; 6] = [
    1.128_379_106_521_606_4,
    0.193_545_803_427_696_23,
    0.053_101_856_261_491_776,
    0.003_883_378_580_212_593,
    0.000_284_567_038_761_451_84,
    1.986_781_398_954_917_7e-6,
];
const BELOW_F32: [f64; 6] = [
    1.0,
    0.504_858_076_572_418_2,
    0.115_350_313_484_668_73,
    0.015_207_321_383_059_025,
    0.001_185_580_156_743_526_5,
    3.742_022_454_389_371e-5,
];
/// Where the quotient times x is 1, as all that is beyond.
const BOUND_F32: f64 = 3.924_200_057_983_398_4;
/// `erf x / x - 1` as a polynomial in `x²`, for |x| below 1.
const NEAR_F64: [f64; 12] = [
    0.128_379_167_095_512_56,
    -0.376_126_389_031_835_26,
    0.112_837_916_709_443_85,
    -0.026_866_170_643_135_203,
    0.005_223_977_606_274_9,
    -0.000_854_832_593_562_039_5,
    0.000_120_552_937_403_333_15,
    -1.492_471_508_113_818e-5,
    1.644_716_240_791_394_3e-6,
    -1.620_652_874_946_739_6e-7,
    1.371_183_530_505_516e-8,
    -7.780_947_337_828_688e-10,
];
/// `exp(t²) erfc(t)` as a polynomial in `(t - 2) / (t + 2)`, for t in 1..=6.
const FAR_F64: [f64; 14] = [
    0.255_395_676_310_505_75,
    -0.427_185_847_413_958_3,
    0.241_658_194_242_457_7,
    -0.078_978_581_015_872_9,
    0.003_732_892_405_284_779_5,
    0.006_997_461_763_894_559_5,
    -0.000_847_143_202_802_501_1,
    -0.000_981_978_169_508_651,
    4.354_943_768_556_384_4e-5,
    0.000_174_370_575_246_450_08,
    2.766_816_479_377_911e-5,
    -2.731_979_991_414_197_4e-5,
    -1.462_650_219_561_536_1e-5,
    -1.646_628_354_541_789_6e-6,
];

pub(in crate::cpu) fn erf<A: Arithmetic>(e: &mut A, dtype: DType, x: A::Value) -> A::Value {
    let mut f = Float { e, dtype };
    if dtype == DType::F64 { erf_f64(&mut f, x) } else { erf_f32(&mut f, x) }
}

/// One quotient for all x: what vectors compute for both sides of a choice costs twice.
fn erf_f32<A: Arithmetic>(f: &mut Float<A>, x: A::Value) -> A::Value {
    let x = f.within(x, -BOUND_F32, BOUND_F32);
    let square = f.mul(x, x);
    let (above, below) = (f.polynomial(square, &ABOVE_F32), f.polynomial(square, &BELOW_F32));
    let above = f.mul(above, x);
    f.div(above, below)
}

/// Odd; `x + x p(x²)` near 0, one minus the complement away from it.
fn erf_f64<A: Arithmetic>(f: &mut Float<A>, x: A::Value) -> A::Value {
    let (t, square) = (f.abs(x), f.mul(x, x));
    let (near, complement) = (f.polynomial(square, &NEAR_F64), complement_f64(f, t));
    let near = f.fma(near, x, x);
    let one = f.constant(1.0);
    let far = f.sub(one, complement);
    let far = f.copy_sign(far, x);
    let is_near = f.compare(Compare::Lt, t, 1.0);
    let result = f.select(is_near, near, far);
    let valid = f.e.compare(Compare::Eq, DType::F64, x, x);
    f.select(valid, result, x)
}

/// `e^(-t²) p((t - 2) / (t + 2))`; beyond 6 the complement is below half an ulp of 1.
fn complement_f64<A: Arithmetic>(f: &mut Float<A>, t: A::Value) -> A::Value {
    let six = f.constant(6.0);
    let beyond = f.e.compare(Compare::Lt, DType::F64, six, t);
    let t = f.select(beyond, six, t);
    let (less, more) = (f.plus(t, -2.0), f.plus(t, 2.0));
    let place = f.div(less, more);
    let series = f.polynomial(place, &FAR_F64);
    let square = f.mul(t, t);
    let minus = f.neg(square);
    let decay = exp(f.e, DType::F64, minus);
    f.mul(decay, series)
}
