//! `tanh`.

use super::{Float, exp};
use crate::base::DType;
use crate::cpu::arithmetic::Arithmetic;
use crate::kernel::Compare;

/// `(tanh x / x - 1) / x²` as a polynomial in `x²`, for |x| below 0.625.
const NEAR_F32: [f64; 5] = [
    -0.333_333_283_662_796,
    0.133_327_946_066_856_38,
    -0.053_854_070_603_847_504,
    0.021_010_082_215_070_724,
    -0.006_113_192_532_211_542,
];
const NEAR_F64: [f64; 11] = [
    -0.333_333_333_333_333_26,
    0.133_333_333_333_270_4,
    -0.053_968_253_961_717_57,
    0.021_869_488_271_084_467,
    -0.008_863_230_005_709_686,
    0.003_592_060_645_040_062,
    -0.001_455_318_985_219_526_5,
    0.000_587_472_124_716_755_9,
    -0.000_230_851_884_831_825_01,
    7.969_068_757_125_157e-5,
    -1.729_149_084_109_559e-5,
];

/// Odd; 1 - 2 / (e^2x + 1) away from 0.
pub(in crate::cpu) fn tanh<A: Arithmetic>(e: &mut A, dtype: DType, x: A::Value) -> A::Value {
    let mut f = Float { e, dtype };
    let magnitude = f.abs(x);
    let double = f.add(magnitude, magnitude);
    let power = exp(f.e, dtype, double);
    let below = f.plus(power, 1.0);
    let two = f.constant(2.0);
    let far = f.div(two, below);
    let one = f.constant(1.0);
    let far = f.sub(one, far);
    let z = f.mul(x, x);
    let coefficients: &[f64] = if dtype == DType::F64 { &NEAR_F64 } else { &NEAR_F32 };
    let series = f.polynomial(z, coefficients);
    let cube = f.mul(series, z);
    let near = f.fma(cube, x, x);
    let far = f.copy_sign(far, x);
    let is_near = f.compare(Compare::Lt, magnitude, 0.625);
    let result = f.select(is_near, near, far);
    let valid = f.e.compare(Compare::Eq, dtype, x, x);
    f.select(valid, result, x)
}
