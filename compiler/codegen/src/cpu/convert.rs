//! Between element types in memory and compute types in registers.
//!
//! Cranelift converts no f16 and has no bf16: both go through integer arithmetic, rounding to nearest, ties to even.

use super::driver::{Driver, register, trusted};
use crate::base::DType;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32, F64, I8, I16, I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};

impl Driver<'_, '_> {
    /// An element at an address, widened to its compute type.
    pub(super) fn load_at(&mut self, at: Value, dtype: DType) -> Value {
        match dtype {
            DType::F64 | DType::F32 | DType::I64 | DType::I32 => self.b.ins().load(register(dtype), trusted(), at, 0),
            DType::I16 => self.b.ins().sload16(I32, trusted(), at, 0),
            DType::I8 => self.b.ins().sload8(I32, trusted(), at, 0),
            DType::U8 => self.b.ins().uload8(I32, trusted(), at, 0),
            DType::Bool => {
                let byte = self.b.ins().load(I8, trusted(), at, 0);
                self.b.ins().icmp_imm_s(IntCC::NotEqual, byte, 0)
            }
            DType::F16 => {
                let half = self.b.ins().uload16(I32, trusted(), at, 0);
                self.widen_f16(half)
            }
            DType::BF16 => {
                let upper = self.b.ins().uload16(I32, trusted(), at, 0);
                let bits = self.b.ins().ishl_imm_s(upper, 16);
                self.b.ins().bitcast(F32, MemFlagsData::new(), bits)
            }
            DType::I4 | DType::U4 => unreachable!("the verifier refuses elements below a byte"),
        }
    }

    /// Stores a value of the compute type of `dtype`, narrowed.
    pub(super) fn store_at(&mut self, at: Value, value: Value, dtype: DType) {
        match dtype {
            DType::F16 | DType::BF16 => {
                let bits = if dtype == DType::F16 { self.narrow_f16(value) } else { self.narrow_bf16(value) };
                self.b.ins().istore16(trusted(), bits, at, 0);
            }
            DType::I16 => drop(self.b.ins().istore16(trusted(), value, at, 0)),
            DType::I8 | DType::U8 => drop(self.b.ins().istore8(trusted(), value, at, 0)),
            _ => drop(self.b.ins().store(trusted(), value, at, 0)),
        }
    }

    /// From one compute type to the compute type of `to`, without rounding to `to` itself.
    pub(super) fn convert(&mut self, value: Value, from: DType, to: DType) -> Value {
        let target = to.compute();
        match (from, target) {
            (a, b) if a == b => value,
            (DType::F64, DType::F32) => self.b.ins().fdemote(F32, value),
            (DType::F32, DType::F64) => self.b.ins().fpromote(F64, value),
            (DType::F64 | DType::F32, DType::Bool) => {
                let zero = self.constant(crate::base::Scalar::zero(from));
                self.b.ins().fcmp(FloatCC::NotEqual, value, zero)
            }
            (DType::F64 | DType::F32, _) => self.b.ins().fcvt_to_sint_sat(register(target), value),
            (_, DType::Bool) => self.b.ins().icmp_imm_s(IntCC::NotEqual, value, 0),
            (DType::Bool, DType::F64 | DType::F32) => {
                let wide = self.b.ins().uextend(I32, value);
                self.b.ins().fcvt_from_sint(register(target), wide)
            }
            (_, DType::F64 | DType::F32) => self.b.ins().fcvt_from_sint(register(target), value),
            (DType::Bool, _) => self.b.ins().uextend(register(target), value),
            (DType::I32, DType::I64) => self.b.ins().sextend(I64, value),
            _ => self.b.ins().ireduce(I32, value),
        }
    }

    /// From one compute type to another through `to`: rounded, wrapped or saturated as an element of `to` would be.
    pub(super) fn through(&mut self, value: Value, from: DType, to: DType) -> Value {
        let wide = self.convert(value, from, to);
        match to {
            DType::F16 => {
                let bits = self.narrow_f16(wide);
                self.widen_f16(bits)
            }
            DType::BF16 => {
                let bits = self.narrow_bf16(wide);
                let bits = self.b.ins().ishl_imm_s(bits, 16);
                self.b.ins().bitcast(F32, MemFlagsData::new(), bits)
            }
            DType::I16 | DType::I8 | DType::U8 | DType::I4 | DType::U4 => self.narrow_integer(wide, from, to),
            _ => wide,
        }
    }

    fn narrow_integer(&mut self, value: Value, from: DType, to: DType) -> Value {
        let (lo, hi) = to.integer_range().expect("an integer type");
        if from.is_float() {
            let [lo, hi] = [lo, hi].map(|bound| self.b.ins().iconst(I32, bound));
            let value = self.b.ins().smax(value, lo);
            return self.b.ins().smin(value, hi);
        }
        match to {
            DType::U8 | DType::U4 => self.b.ins().band_imm_s(value, hi),
            DType::I4 => {
                let top = self.b.ins().ishl_imm_s(value, 28);
                self.b.ins().sshr_imm_s(top, 28)
            }
            _ => {
                let narrow = self.b.ins().ireduce(if to == DType::I8 { I8 } else { I16 }, value);
                self.b.ins().sextend(I32, narrow)
            }
        }
    }

    /// Shifts the magnitude into place and rescales its exponent, which is exact; infinities and NaN get theirs back.
    fn widen_f16(&mut self, half: Value) -> Value {
        let flags = MemFlagsData::new();
        let magnitude = self.b.ins().band_imm_s(half, 0x7fff);
        let shifted = self.b.ins().ishl_imm_s(magnitude, 13);
        let small = self.b.ins().bitcast(F32, flags, shifted);
        let rescale = self.b.ins().f32const(f32::from_bits(0x7780_0000));
        let scaled = self.b.ins().fmul(small, rescale);
        let finite = self.b.ins().bitcast(I32, flags, scaled);
        let special = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThanOrEqual, magnitude, 0x7c00);
        let infinite = self.b.ins().bor_imm_s(shifted, 0x7f80_0000);
        let bits = self.b.ins().select(special, infinite, finite);
        let sign = self.b.ins().band_imm_s(half, 0x8000);
        let sign = self.b.ins().ishl_imm_s(sign, 16);
        let bits = self.b.ins().bor(bits, sign);
        self.b.ins().bitcast(F32, flags, bits)
    }

    /// The f16 bits, in an i32. Subnormal results are rounded by adding 0.5, whose unit in the last place is theirs.
    fn narrow_f16(&mut self, value: Value) -> Value {
        let flags = MemFlagsData::new();
        let bits = self.b.ins().bitcast(I32, flags, value);
        let magnitude = self.b.ins().band_imm_s(bits, 0x7fff_ffff);
        let odd = self.b.ins().ushr_imm_s(magnitude, 13);
        let odd = self.b.ins().band_imm_s(odd, 1);
        let rebias = self.b.ins().iconst(I32, i64::from(0xc800_0fff_u32 as i32));
        let rounded = self.b.ins().iadd(magnitude, rebias);
        let rounded = self.b.ins().iadd(rounded, odd);
        let normal = self.b.ins().ushr_imm_s(rounded, 13);
        let absolute = self.b.ins().bitcast(F32, flags, magnitude);
        let half = self.b.ins().f32const(0.5);
        let aligned = self.b.ins().fadd(absolute, half);
        let aligned = self.b.ins().bitcast(I32, flags, aligned);
        let subnormal = self.b.ins().iadd_imm_s(aligned, -0x3f00_0000);
        let small = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, magnitude, 0x3880_0000);
        let finite = self.b.ins().select(small, subnormal, normal);
        let [infinity, quiet] = [0x7c00, 0x7e00].map(|bits| self.b.ins().iconst(I32, bits));
        let nan = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, magnitude, 0x7f80_0000);
        let special = self.b.ins().select(nan, quiet, infinity);
        let large = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThanOrEqual, magnitude, 0x4780_0000);
        let result = self.b.ins().select(large, special, finite);
        let sign = self.b.ins().ushr_imm_s(bits, 16);
        let sign = self.b.ins().band_imm_s(sign, 0x8000);
        self.b.ins().bor(result, sign)
    }

    /// The bf16 bits, in an i32.
    fn narrow_bf16(&mut self, value: Value) -> Value {
        let bits = self.b.ins().bitcast(I32, MemFlagsData::new(), value);
        let upper = self.b.ins().ushr_imm_s(bits, 16);
        let odd = self.b.ins().band_imm_s(upper, 1);
        let rounded = self.b.ins().iadd_imm_s(bits, 0x7fff);
        let rounded = self.b.ins().iadd(rounded, odd);
        let rounded = self.b.ins().ushr_imm_s(rounded, 16);
        let quiet = self.b.ins().bor_imm_s(upper, 0x40);
        let nan = self.b.ins().fcmp(FloatCC::Unordered, value, value);
        self.b.ins().select(nan, quiet, rounded)
    }
}
