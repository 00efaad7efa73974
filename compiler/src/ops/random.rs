//! `uniform`, `normal`: random numbers from a counter, the same on every device.
//!
//! Element i takes its bits from Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") at
//! counter i under the key `seed`.

use super::reshape::{dims, require_size};
use super::{Build, Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Scalar};
use mlc_codegen::kernel::{Binary, ExprId, Unary};
use mlc_runtime::tensor::Tensor;
use std::f64::consts::TAU;

/// Evenly in a range.
pub(super) static UNIFORM: Random = Random { signature: &EVEN, bell: false };
/// Normally.
pub(super) static NORMAL: Random = Random { signature: &BELL, bell: true };

/// See the signatures.
pub(super) struct Random {
    signature: &'static Signature,
    bell: bool,
}

const MULTIPLIERS: [i64; 2] = [0xd251_1f53, 0xcd9e_8d57];
const KEY_STEPS: [i64; 2] = [0x9e37_79b9, 0xbb67_ae85];
const LOW: i64 = 0xffff_ffff;
/// The distance between numbers in 0..1: 24 bits, exact in f32.
const UNIT: f64 = 1.0 / 16_777_216.0;

static EVEN: Signature = Signature {
    name: "uniform",
    params: &[
        Param::required("shape", Kind::Dims),
        Param::required("seed", Kind::Int),
        Param::optional("low", Kind::Float, Default::Float(0.0)),
        Param::optional("high", Kind::Float, Default::Float(1.0)),
    ],
    result: "f32, the dims of `shape`",
    doc: "Random numbers spread evenly over low..high, multiples of 2^-24 of the range. The same seed gives the same \
          numbers on every device.",
    example: "let y = uniform([2, 3], seed = 7)",
};

static BELL: Signature = Signature {
    name: "normal",
    params: &[
        Param::required("shape", Kind::Dims),
        Param::required("seed", Kind::Int),
        Param::optional("mean", Kind::Float, Default::Float(0.0)),
        Param::optional("deviation", Kind::Float, Default::Float(1.0)),
    ],
    result: "f32, the dims of `shape`",
    doc: "Normally distributed random numbers, by the transform of Box and Muller. The same seed gives the same numbers on \
          every device.",
    example: "let y = normal([2, 3], seed = 7)",
};

/// The four words of Philox 4x32-10 at a counter.
fn philox(counter: u64, key: u64) -> [u32; 4] {
    let mut words = [counter as u32, (counter >> 32) as u32, 0, 0];
    let mut key = [key as u32, (key >> 32) as u32];
    for _ in 0..10 {
        let [a, b] = [u64::from(words[0]) * MULTIPLIERS[0] as u64, u64::from(words[2]) * MULTIPLIERS[1] as u64];
        words = [(b >> 32) as u32 ^ words[1] ^ key[0], b as u32, (a >> 32) as u32 ^ words[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(KEY_STEPS[0] as u32), key[1].wrapping_add(KEY_STEPS[1] as u32)];
    }
    words
}

/// The same as an expression over an i64 counter.
fn philox_at(k: &mut dyn Build, counter: ExprId, key: u64) -> [ExprId; 4] {
    let (mask, half, zero) = (k.integer(LOW), k.integer(32), k.integer(0));
    let low = |k: &mut dyn Build, x: ExprId| k.binary(Binary::And, x, mask);
    let high = |k: &mut dyn Build, x: ExprId| {
        let shifted = k.binary(Binary::Shr, x, half);
        k.binary(Binary::And, shifted, mask)
    };
    let mut words = [low(k, counter), high(k, counter), zero, zero];
    let mut key = [key as u32, (key >> 32) as u32];
    for _ in 0..10 {
        let [a, b] = [(0, words[0]), (1, words[2])].map(|(i, word): (usize, ExprId)| {
            let multiplier = k.integer(MULTIPLIERS[i]);
            k.mul(word, multiplier)
        });
        let mixed = [(b, words[1], key[0]), (a, words[3], key[1])].map(|(product, word, key)| {
            let (upper, key) = (high(k, product), k.integer(i64::from(key)));
            let mixed = k.binary(Binary::Xor, upper, word);
            k.binary(Binary::Xor, mixed, key)
        });
        words = [mixed[0], low(k, b), mixed[1], low(k, a)];
        key = [key[0].wrapping_add(KEY_STEPS[0] as u32), key[1].wrapping_add(KEY_STEPS[1] as u32)];
    }
    words
}

impl Random {
    /// Shift and scale.
    fn range(&self, call: &Call) -> (f64, f64) {
        let float = |name| call.float(name).expect("it has a default");
        match self.bell {
            true => (float("mean"), float("deviation")),
            false => (float("low"), float("high") - float("low")),
        }
    }

    fn number(&self, [first, second, ..]: [u32; 4]) -> f64 {
        let [first, second] = [first, second].map(|word| f64::from(word >> 8));
        match self.bell {
            true => (-2.0 * ((first + 1.0) * UNIT).ln()).sqrt() * (TAU * UNIT * second).cos(),
            false => first * UNIT,
        }
    }

    fn number_at(&self, k: &mut dyn Build, [first, second, ..]: [ExprId; 4]) -> ExprId {
        let eight = k.integer(8);
        let [first, second] = [first, second].map(|word| {
            let bits = k.binary(Binary::Shr, word, eight);
            k.convert(DType::F32, bits)
        });
        let [unit, one, scale, turn] = [UNIT, 1.0, -2.0, TAU * UNIT].map(|v| k.number(DType::F32, v));
        if !self.bell {
            return k.mul(first, unit);
        }
        let positive = k.add(first, one);
        let positive = k.mul(positive, unit);
        let log = k.unary(Unary::Log, positive);
        let square = k.mul(scale, log);
        let radius = k.unary(Unary::Sqrt, square);
        let angle = k.mul(second, turn);
        let cosine = k.unary(Unary::Cos, angle);
        k.mul(radius, cosine)
    }
}

impl Op for Random {
    fn signature(&self) -> &'static Signature {
        self.signature
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        let dims = dims(call, "shape")?;
        for dim in &dims {
            require_size(cx, "shape", dim)?;
        }
        Ok(vec![TensorType::new(DType::F32, dims)])
    }

    fn eval(&self, call: &Call, _inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let ((shift, scale), seed) = (self.range(call), call.int("seed").expect("it is required") as u64);
        let value = |i: usize| Scalar::F64(shift + scale * self.number(philox(i as u64, seed)));
        Ok(vec![super::from_scalars(DType::F32, &super::result_shape(call, 0, sizes)?, value)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let mut counter = k.integer(0);
            for (dim, at) in call.result(0).dims.iter().zip(at) {
                let (extent, position) = (k.size(dim), k.coordinate(at));
                let row = k.mul(counter, extent);
                counter = k.add(row, position);
            }
            let words = philox_at(k, counter, call.int("seed").expect("it is required") as u64);
            let number = self.number_at(k, words);
            let (shift, scale) = self.range(call);
            let [shift, scale] = [shift, scale].map(|v| k.number(DType::F32, v));
            let scaled = k.mul(scale, number);
            k.add(shift, scaled)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::SUMMATION
    }
}

#[cfg(test)]
mod tests {
    use super::philox;

    #[test]
    fn philox_gives_the_published_answers() {
        assert_eq!(philox(0, 0), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    }
}
