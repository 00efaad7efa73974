//! Functions that the machine does not have, as polynomials. All are computed in f64; an f32 result is rounded once.

use super::driver::Driver;
use crate::base::DType;
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::types::{F32, F64, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Value};

impl Driver<'_, '_> {
    /// `e^x`: `x = n ln 2 + r` with `|r| <= ln 2 / 2`, the Taylor polynomial of degree 13 in r (its remainder is below
    /// 2^-57), times 2^n in two steps so that subnormal results round once. 0 and infinity beyond the range, NaN for NaN.
    pub(super) fn exp(&mut self, x: Value, dtype: DType) -> Value {
        let wide = if dtype == DType::F32 { self.b.ins().fpromote(F64, x) } else { x };
        let [lowest, highest] = [-1100.0, 1100.0].map(|bound| self.b.ins().f64const(bound));
        let bounded = self.b.ins().fmax(wide, lowest);
        let bounded = self.b.ins().fmin(bounded, highest);
        let per_ln2 = self.b.ins().f64const(std::f64::consts::LOG2_E);
        let turns = self.b.ins().fmul(bounded, per_ln2);
        let n = self.b.ins().nearest(turns);
        // ln 2 in two parts; the first has 32 trailing zero bits, so n times it is exact.
        let high = self.b.ins().f64const(f64::from_bits(0x3fe6_2e42_fee0_0000));
        let low = self.b.ins().f64const(1.908_214_929_270_587_7e-10);
        let step = self.b.ins().fmul(n, high);
        let r = self.b.ins().fsub(bounded, step);
        let step = self.b.ins().fmul(n, low);
        let r = self.b.ins().fsub(r, step);
        let polynomial = self.taylor_exp(r);
        let n = self.b.ins().fcvt_to_sint_sat(I64, n);
        let half = self.b.ins().sshr_imm_s(n, 1);
        let rest = self.b.ins().isub(n, half);
        let [first, second] = [half, rest].map(|n| self.power_of_two(n));
        let scaled = self.b.ins().fmul(polynomial, first);
        let scaled = self.b.ins().fmul(scaled, second);
        let nan = self.b.ins().fcmp(FloatCC::Unordered, wide, wide);
        let result = self.b.ins().select(nan, wide, scaled);
        if dtype == DType::F32 { self.b.ins().fdemote(F32, result) } else { result }
    }

    fn taylor_exp(&mut self, r: Value) -> Value {
        let mut factorial = 1.0;
        let coefficients: Vec<f64> = (0..=13)
            .map(|i| {
                factorial *= if i == 0 { 1.0 } else { f64::from(i) };
                1.0 / factorial
            })
            .collect();
        let mut sum = self.b.ins().f64const(coefficients[13]);
        for c in coefficients[..13].iter().rev() {
            let c = self.b.ins().f64const(*c);
            let product = self.b.ins().fmul(sum, r);
            sum = self.b.ins().fadd(product, c);
        }
        sum
    }

    /// `2^n` for -1022 <= n <= 1023.
    fn power_of_two(&mut self, n: Value) -> Value {
        let biased = self.b.ins().iadd_imm_s(n, 1023);
        let bits = self.b.ins().ishl_imm_s(biased, 52);
        self.b.ins().bitcast(F64, MemFlagsData::new(), bits)
    }
}
