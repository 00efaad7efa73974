//! Elementary functions as polynomials, written once over `Arithmetic`, for f32 and f64. The coefficients are fitted by
//! `tests/oracle/functions.py`.
//!
//! Bounds, tested over all exponents, ±0, subnormals, infinities and NaN: exp and log 2 ulp; tanh 4 ulp; erf 4 ulp or
//! 1e-7 (f32), 4 ulp (f64); sin and cos of f32 1 ulp or 1e-7, of f64 2 ulp or 1e-15, for arguments up to 10^6, beyond
//! which the error grows with the argument; pow of f32 2 ulp, of f64 within 4e-13 relative.

mod circular;
mod erf;
mod exp;
mod pow;
mod tanh;

pub(super) use circular::circular;
pub(super) use erf::erf;
pub(super) use exp::{exp, exp_of_distance, log};
pub(super) use pow::pow;
pub(super) use tanh::tanh;

use super::arithmetic::Arithmetic;
use crate::base::{DType, Scalar};
use crate::kernel::{Binary, Compare, Unary};

/// An emitter with the float type that a function is written in.
struct Float<'e, A: Arithmetic> {
    e: &'e mut A,
    dtype: DType,
}

impl<A: Arithmetic> Float<'_, A> {
    fn constant(&mut self, value: f64) -> A::Value {
        self.e.constant(Scalar::from_f64(self.dtype, value))
    }

    /// The integer type of the same width.
    fn bits_type(&self) -> DType {
        if self.dtype == DType::F64 { DType::I64 } else { DType::I32 }
    }

    /// Bits of the mantissa, without the hidden one.
    fn mantissa(&self) -> u32 {
        if self.dtype == DType::F64 { 52 } else { 23 }
    }

    fn bits(&mut self, a: A::Value) -> A::Value {
        let to = self.bits_type();
        self.e.reinterpret(self.dtype, to, a)
    }

    fn with_bits(&mut self, a: A::Value) -> A::Value {
        let from = self.bits_type();
        self.e.reinterpret(from, self.dtype, a)
    }

    fn integer(&mut self, value: i64) -> A::Value {
        let bits = self.bits_type();
        self.e.constant(Scalar::from_i64(bits, value))
    }

    fn add(&mut self, a: A::Value, b: A::Value) -> A::Value {
        self.e.binary(Binary::Add, self.dtype, a, b)
    }

    fn sub(&mut self, a: A::Value, b: A::Value) -> A::Value {
        self.e.binary(Binary::Sub, self.dtype, a, b)
    }

    fn mul(&mut self, a: A::Value, b: A::Value) -> A::Value {
        self.e.binary(Binary::Mul, self.dtype, a, b)
    }

    fn div(&mut self, a: A::Value, b: A::Value) -> A::Value {
        self.e.binary(Binary::Div, self.dtype, a, b)
    }

    fn neg(&mut self, a: A::Value) -> A::Value {
        self.e.unary(Unary::Neg, self.dtype, a)
    }

    fn abs(&mut self, a: A::Value) -> A::Value {
        self.e.unary(Unary::Abs, self.dtype, a)
    }

    fn fma(&mut self, a: A::Value, b: A::Value, c: A::Value) -> A::Value {
        self.e.multiply_add(self.dtype, a, b, c)
    }

    fn scale(&mut self, a: A::Value, factor: f64) -> A::Value {
        let factor = self.constant(factor);
        self.mul(a, factor)
    }

    fn plus(&mut self, a: A::Value, summand: f64) -> A::Value {
        let summand = self.constant(summand);
        self.add(a, summand)
    }

    fn compare(&mut self, op: Compare, a: A::Value, b: f64) -> A::Value {
        let b = self.constant(b);
        self.e.compare(op, self.dtype, a, b)
    }

    fn select(&mut self, condition: A::Value, yes: A::Value, no: A::Value) -> A::Value {
        self.e.select(self.dtype, condition, yes, no)
    }

    fn logic(&mut self, op: Binary, a: A::Value, b: A::Value) -> A::Value {
        self.e.binary(op, DType::Bool, a, b)
    }

    /// `a` where it lies between, else the bound that it passes; NaN stays.
    fn within(&mut self, a: A::Value, least: f64, most: f64) -> A::Value {
        let (least, most) = (self.constant(least), self.constant(most));
        let below = self.e.compare(Compare::Lt, self.dtype, a, least);
        let a = self.select(below, least, a);
        let above = self.e.compare(Compare::Lt, self.dtype, most, a);
        self.select(above, most, a)
    }

    /// `c[0] + x (c[1] + x (…))`.
    fn polynomial(&mut self, x: A::Value, coefficients: &[f64]) -> A::Value {
        let (last, rest) = coefficients.split_last().expect("a polynomial has a coefficient");
        let mut sum = self.constant(*last);
        for coefficient in rest.iter().rev() {
            let coefficient = self.constant(*coefficient);
            sum = self.fma(sum, x, coefficient);
        }
        sum
    }

    /// The magnitude of `a` with the sign of `sign`.
    fn copy_sign(&mut self, a: A::Value, sign: A::Value) -> A::Value {
        let (dtype, least) = (self.bits_type(), self.bits_type().integer_range().expect("an integer").0);
        let mask = self.integer(least);
        let bits = self.bits(sign);
        let bits = self.e.binary(Binary::And, dtype, bits, mask);
        let a = self.abs(a);
        let a = self.bits(a);
        let a = self.e.binary(Binary::Or, dtype, a, bits);
        self.with_bits(a)
    }

    /// The nearest integer n to `a`, |n| small, as a float and in the low bits of the integer type.
    fn nearest(&mut self, a: A::Value) -> (A::Value, A::Value) {
        let magic = if self.dtype == DType::F64 { 6_755_399_441_055_744.0 } else { 12_582_912.0 };
        let magic = self.constant(magic);
        let moved = self.add(a, magic);
        let (float, bits, zero) = (self.sub(moved, magic), self.bits(moved), self.bits(magic));
        let dtype = self.bits_type();
        (float, self.e.binary(Binary::Sub, dtype, bits, zero))
    }
}
