//! Logarithm, error function, hyperbolic tangent, sine, cosine and powers, in straight lines of f64 arithmetic; an f32
//! result is rounded once.

use super::driver::{Driver, register};
use crate::base::DType;
use crate::kernel::Unary;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32, F64, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};

/// `exp(x²) erfc(x)` as a polynomial in `(x - 2) / (x + 2)`, for x in 0.5..=6.5, within 1e-13 relative: a Chebyshev fit.
const SCALED_COMPLEMENT: [f64; 15] = [
    0.2553956763105146,
    -0.42718584741382326,
    0.24165819423937573,
    -0.07897858103164127,
    0.0037328925854619127,
    0.006997462299891307,
    -0.000847147246005256,
    -0.0009819860334048824,
    4.359808703969395e-05,
    0.00017443809413739646,
    2.7286797595690495e-05,
    -2.794695627752319e-05,
    -1.3256522229305937e-05,
    2.3464101533437992e-06,
    2.7606709821167212e-06,
];

/// π / 2 in three parts; the first two have 27 trailing zero bits, so that their multiples are exact.
const QUARTER_TURN: [f64; 3] =
    [f64::from_bits(0x3ff9_21fb_5000_0000), f64::from_bits(0x3e51_10b4_6000_0000), 6.123_233_995_736_766e-17];

impl Driver<'_, '_> {
    /// One of the functions of one argument.
    pub(super) fn function(&mut self, op: Unary, x: Value, dtype: DType) -> Value {
        let x = self.widened(x, dtype);
        let result = match op {
            Unary::Log => self.log(x),
            Unary::Erf => self.erf(x),
            Unary::Tanh => self.tanh(x),
            Unary::Sin => self.circular(x, 0),
            Unary::Cos => self.circular(x, 1),
            _ => unreachable!("the others are instructions"),
        };
        self.narrowed(result, dtype)
    }

    fn widened(&mut self, x: Value, dtype: DType) -> Value {
        if dtype == DType::F32 { self.b.ins().fpromote(F64, x) } else { x }
    }

    fn narrowed(&mut self, x: Value, dtype: DType) -> Value {
        if dtype == DType::F32 { self.b.ins().fdemote(F32, x) } else { x }
    }

    fn number(&mut self, value: f64) -> Value {
        self.b.ins().f64const(value)
    }

    /// `Σ coefficients[i] xⁱ`.
    fn polynomial(&mut self, x: Value, coefficients: &[f64]) -> Value {
        let (last, rest) = coefficients.split_last().expect("not empty");
        let mut sum = self.number(*last);
        for c in rest.iter().rev() {
            let (product, c) = (self.b.ins().fmul(sum, x), self.number(*c));
            sum = self.b.ins().fadd(product, c);
        }
        sum
    }

    fn where_float(&mut self, code: FloatCC, a: Value, b: f64, yes: Value, no: Value) -> Value {
        let b = self.number(b);
        let condition = self.b.ins().fcmp(code, a, b);
        self.b.ins().select(condition, yes, no)
    }

    /// `x = 2ⁿ m` with m within a factor √2 of 1, `log m = 2 artanh((m - 1) / (m + 1))` by its series.
    fn log(&mut self, x: Value) -> Value {
        let (tiny, lift) = (self.number(f64::MIN_POSITIVE), self.number(2f64.powi(54)));
        let subnormal = self.b.ins().fcmp(FloatCC::LessThan, x, tiny);
        let lifted = self.b.ins().fmul(x, lift);
        let normal = self.b.ins().select(subnormal, lifted, x);
        let bits = self.b.ins().bitcast(I64, MemFlagsData::new(), normal);
        let from_root = self.b.ins().iadd_imm_s(bits, -(std::f64::consts::FRAC_1_SQRT_2.to_bits() as i64));
        let n = self.b.ins().sshr_imm_s(from_root, 52);
        let exponent = self.b.ins().ishl_imm_s(n, 52);
        let mantissa = self.b.ins().isub(bits, exponent);
        let m = self.b.ins().bitcast(F64, MemFlagsData::new(), mantissa);
        let (correction, zero) = (self.b.ins().iconst(I64, 54), self.b.ins().iconst(I64, 0));
        let correction = self.b.ins().select(subnormal, correction, zero);
        let n = self.b.ins().isub(n, correction);
        let n = self.b.ins().fcvt_from_sint(F64, n);
        let one = self.number(1.0);
        let (less, more) = (self.b.ins().fsub(m, one), self.b.ins().fadd(m, one));
        let s = self.b.ins().fdiv(less, more);
        let square = self.b.ins().fmul(s, s);
        let series: Vec<f64> = (0..13).map(|i| 2.0 / f64::from(2 * i + 1)).collect();
        let series = self.polynomial(square, &series);
        let log_m = self.b.ins().fmul(s, series);
        let ln2 = self.number(std::f64::consts::LN_2);
        let whole = self.b.ins().fmul(n, ln2);
        let sum = self.b.ins().fadd(whole, log_m);
        let (nan, lowest) = (self.number(f64::NAN), self.number(f64::NEG_INFINITY));
        let sum = self.where_float(FloatCC::Equal, x, f64::INFINITY, x, sum);
        let sum = self.where_float(FloatCC::Equal, x, 0.0, lowest, sum);
        self.where_float(FloatCC::UnorderedOrLessThan, x, 0.0, nan, sum)
    }

    /// Its series below 1/2, one minus its complement above.
    fn erf(&mut self, x: Value) -> Value {
        let magnitude = self.b.ins().fabs(x);
        let square = self.b.ins().fmul(x, x);
        let mut factorial = -1.0;
        let series: Vec<f64> = (0..13)
            .map(|n| {
                factorial *= -f64::from(n.max(1));
                std::f64::consts::FRAC_2_SQRT_PI / factorial / f64::from(2 * n + 1)
            })
            .collect();
        let series = self.polynomial(square, &series);
        let near = self.b.ins().fmul(x, series);
        let (least, most, two, one) = (self.number(0.5), self.number(6.5), self.number(2.0), self.number(1.0));
        let bounded = self.b.ins().fmax(magnitude, least);
        let bounded = self.b.ins().fmin(bounded, most);
        let (less, more) = (self.b.ins().fsub(bounded, two), self.b.ins().fadd(bounded, two));
        let t = self.b.ins().fdiv(less, more);
        let scaled = self.polynomial(t, &SCALED_COMPLEMENT);
        let square = self.b.ins().fmul(bounded, bounded);
        let negated = self.b.ins().fneg(square);
        let decay = self.exp(negated, DType::F64);
        let complement = self.b.ins().fmul(decay, scaled);
        let far = self.b.ins().fsub(one, complement);
        let far = self.b.ins().fcopysign(far, x);
        let inside = self.where_float(FloatCC::LessThan, magnitude, 0.5, near, far);
        let nan = self.b.ins().fcmp(FloatCC::Unordered, x, x);
        self.b.ins().select(nan, x, inside)
    }

    /// `(1 - t) / (1 + t)` with `t = exp(-2|x|)`; below 1e-4, where that cancels, `x - x³ / 3`.
    fn tanh(&mut self, x: Value) -> Value {
        let magnitude = self.b.ins().fabs(x);
        let (factor, one) = (self.number(-2.0), self.number(1.0));
        let doubled = self.b.ins().fmul(magnitude, factor);
        let t = self.exp(doubled, DType::F64);
        let (less, more) = (self.b.ins().fsub(one, t), self.b.ins().fadd(one, t));
        let ratio = self.b.ins().fdiv(less, more);
        let far = self.b.ins().fcopysign(ratio, x);
        let square = self.b.ins().fmul(x, x);
        let series = self.polynomial(square, &[1.0, -1.0 / 3.0]);
        let near = self.b.ins().fmul(x, series);
        self.where_float(FloatCC::LessThan, magnitude, 1e-4, near, far)
    }

    /// The sine of x and `ahead` quarter turns: reduced to an eighth of a turn, then by the series.
    fn circular(&mut self, x: Value, ahead: i64) -> Value {
        let per_quarter = self.number(std::f64::consts::FRAC_2_PI);
        let turns = self.b.ins().fmul(x, per_quarter);
        let n = self.b.ins().nearest(turns);
        let rest = QUARTER_TURN.iter().fold(x, |rest, part| {
            let part = self.number(*part);
            let step = self.b.ins().fmul(n, part);
            self.b.ins().fsub(rest, step)
        });
        let square = self.b.ins().fmul(rest, rest);
        let mut factorial = 1.0;
        let inverse: Vec<f64> = (0..18)
            .map(|i| {
                factorial *= f64::from(i.max(1));
                if i % 4 < 2 { 1.0 / factorial } else { -1.0 / factorial }
            })
            .collect();
        let [odd, even] = [1, 0].map(|first| inverse[first..].iter().copied().step_by(2).collect::<Vec<f64>>());
        let series = self.polynomial(square, &odd);
        let sine = self.b.ins().fmul(rest, series);
        let cosine = self.polynomial(square, &even);
        let quarter = self.b.ins().fcvt_to_sint_sat(I64, n);
        let quarter = self.b.ins().iadd_imm_s(quarter, ahead);
        let [odd, lower] = [1, 2].map(|bit| self.b.ins().band_imm_s(quarter, bit));
        let value = self.b.ins().select(odd, cosine, sine);
        let negated = self.b.ins().fneg(value);
        self.b.ins().select(lower, negated, value)
    }

    /// `exp(b log |a|)` with the sign and the special cases of IEEE `pow`.
    pub(super) fn pow(&mut self, a: Value, b: Value, dtype: DType) -> Value {
        let (a, b) = (self.widened(a, dtype), self.widened(b, dtype));
        let magnitude = self.b.ins().fabs(a);
        let log = self.log(magnitude);
        let exponent = self.b.ins().fmul(b, log);
        let power = self.exp(exponent, DType::F64);
        let (one, nan) = (self.number(1.0), self.number(f64::NAN));
        let power = self.where_float(FloatCC::Equal, magnitude, 1.0, one, power);
        let whole = self.b.ins().trunc(b);
        let integral = self.b.ins().fcmp(FloatCC::Equal, whole, b);
        let half = self.number(0.5);
        let halved = self.b.ins().fmul(b, half);
        let whole = self.b.ins().trunc(halved);
        let odd = self.b.ins().fcmp(FloatCC::NotEqual, whole, halved);
        let odd = self.b.ins().band(odd, integral);
        let signed = self.b.ins().fcopysign(power, a);
        let power = self.b.ins().select(odd, signed, power);
        let (zero, lowest) = (self.number(0.0), self.number(f64::NEG_INFINITY));
        let below = self.b.ins().fcmp(FloatCC::LessThan, a, zero);
        let finite = self.b.ins().fcmp(FloatCC::NotEqual, a, lowest);
        let negative = self.b.ins().band(below, finite);
        let broken = self.b.ins().bxor_imm_s(integral, 1);
        let undefined = self.b.ins().band(negative, broken);
        let power = self.b.ins().select(undefined, nan, power);
        let unordered = self.b.ins().fcmp(FloatCC::Unordered, b, b);
        let power = self.b.ins().select(unordered, nan, power);
        let power = self.where_float(FloatCC::Equal, a, 1.0, one, power);
        let power = self.where_float(FloatCC::Equal, b, 0.0, one, power);
        self.narrowed(power, dtype)
    }

    /// `a - b floor(a / b)`, raised by b where rounding left it below 0; a or b where b is infinite.
    pub(super) fn float_modulus(&mut self, a: Value, b: Value, dtype: DType) -> Value {
        let (a, b) = (self.widened(a, dtype), self.widened(b, dtype));
        let ratio = self.b.ins().fdiv(a, b);
        let whole = self.b.ins().floor(ratio);
        let product = self.b.ins().fmul(whole, b);
        let rest = self.b.ins().fsub(a, product);
        let zero = self.number(0.0);
        let differ = |s: &mut Self, x: Value| {
            let [below, negative] = [x, b].map(|v| s.b.ins().fcmp(FloatCC::LessThan, v, zero));
            let some = s.b.ins().fcmp(FloatCC::OrderedNotEqual, x, zero);
            let signs = s.b.ins().bxor(below, negative);
            s.b.ins().band(some, signs)
        };
        let wrong = differ(self, rest);
        let raised = self.b.ins().fadd(rest, b);
        let rest = self.b.ins().select(wrong, raised, rest);
        let [size, divisor] = [a, b].map(|v| self.b.ins().fabs(v));
        let infinity = self.number(f64::INFINITY);
        let finite = self.b.ins().fcmp(FloatCC::LessThan, size, infinity);
        let endless = self.b.ins().fcmp(FloatCC::Equal, divisor, infinity);
        let special = self.b.ins().band(finite, endless);
        let opposite = differ(self, a);
        let limit = self.b.ins().select(opposite, b, a);
        let rest = self.b.ins().select(special, limit, rest);
        self.narrowed(rest, dtype)
    }

    /// By squaring; a negative exponent gives 0 unless the base is 1 or -1.
    pub(super) fn integer_pow(&mut self, a: Value, b: Value, dtype: DType) -> Value {
        let ty = register(dtype);
        let (head, body, done) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let [product, square, rest] = [0; 3].map(|_| self.b.append_block_param(head, ty));
        let (one, zero) = (self.b.ins().iconst(ty, 1), self.b.ins().iconst(ty, 0));
        self.b.ins().jump(head, &[one.into(), a.into(), b.into()]);
        self.b.switch_to_block(head);
        let more = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, rest, 0);
        self.b.ins().brif(more, body, &[], done, &[]);
        self.b.switch_to_block(body);
        let odd = self.b.ins().band_imm_s(rest, 1);
        let multiplied = self.b.ins().imul(product, square);
        let next = self.b.ins().select(odd, multiplied, product);
        let squared = self.b.ins().imul(square, square);
        let halved = self.b.ins().sshr_imm_s(rest, 1);
        self.b.ins().jump(head, &[next.into(), squared.into(), halved.into()]);
        self.b.seal_block(head);
        self.b.seal_block(body);
        self.b.switch_to_block(done);
        self.b.seal_block(done);
        let negative = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, b, 0);
        let odd = self.b.ins().band_imm_s(b, 1);
        let flipped = self.b.ins().select(odd, a, one);
        let is_one = self.b.ins().icmp_imm_s(IntCC::Equal, a, 1);
        let is_minus_one = self.b.ins().icmp_imm_s(IntCC::Equal, a, -1);
        let unit = self.b.ins().bor(is_one, is_minus_one);
        let inverse = self.b.ins().select(unit, flipped, zero);
        self.b.ins().select(negative, inverse, product)
    }
}
