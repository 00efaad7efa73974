//! Rows of a storage format as f32, a vector at a time: what contractions do to weights that are kept narrow.

use super::arithmetic::Arithmetic;
use super::clif::{Parts, little_endian, proved};
use super::driver::Driver;
use super::{expr, rounding};
use crate::base::{DType, Packing, Scalar, Storage};
use crate::kernel::Binary;
use cranelift_codegen::ir::types::{F32X4, I8X16, I16X8, I32};
use cranelift_codegen::ir::{InstBuilder, Value};

impl Driver<'_, '_> {
    /// Elements `element..element + count` of a buffer as consecutive f32 numbers; packed ones are whole groups.
    pub(super) fn fetch(&mut self, storage: Storage, buffer: Value, element: Value, count: Value, to: Value) {
        match storage {
            Storage::Plain(dtype) => self.fetch_plain(dtype, buffer, element, count, to),
            Storage::Interleaved(rows) => {
                let zero = self.integer(0);
                self.each(zero, count, 1, &mut |d, i| {
                    let element = d.b.ins().iadd(element, i);
                    let number = d.decode_interleaved(rows, buffer, element);
                    let skipped = d.times(i, 4);
                    let at = d.offset(to, skipped);
                    d.write(number, at, 0);
                });
            }
            Storage::Sparse(_) => unreachable!("sparse products have a lowering of their own"),
            Storage::Packed(packing) => {
                let (zero, elements) = (self.integer(0), packing.elements());
                let group = self.floor_divide(element, elements);
                let skipped = self.times(group, packing.bytes());
                let start = self.offset(buffer, skipped);
                let groups = self.floor_divide(count, elements);
                self.each(zero, groups, 1, &mut |d, i| {
                    let skipped = d.times(i, packing.bytes());
                    let group = d.offset(start, skipped);
                    let skipped = d.times(i, elements * 4);
                    let to = d.offset(to, skipped);
                    d.fetch_group(packing, group, to);
                });
            }
        }
    }

    fn fetch_plain(&mut self, dtype: DType, buffer: Value, element: Value, count: Value, to: Value) {
        let width = i64::from(dtype.bits() / 8);
        let skipped = self.times(element, width);
        let from = self.offset(buffer, skipped);
        let zero = self.integer(0);
        let place = |d: &mut Self, i: Value| {
            let (a, b) = (d.times(i, width), d.times(i, 4));
            (d.offset(from, a), d.offset(to, b))
        };
        let rest = self.each(zero, count, 8, &mut |d, i| {
            let (from, to) = place(d, i);
            let row = d.load_row(dtype, from, 8);
            let row = expr::convert(&mut d.vector(8), dtype.compute(), DType::F32, row);
            for (i, part) in (0..).zip(row.all()) {
                d.write(*part, to, i * 16);
            }
        });
        self.each(rest, count, 1, &mut |d, i| {
            let (from, to) = place(d, i);
            let number = Parts::one(d.load_number(dtype, from));
            let number = expr::convert(&mut d.single(), dtype.compute(), DType::F32, number).scalar();
            d.write(number, to, 0);
        });
    }

    fn fetch_group(&mut self, packing: Packing, group: Value, to: Value) {
        match packing {
            Packing::Q8_0 => {
                let scale = self.half_lanes(group, 0);
                for i in 0..4 {
                    let codes = self.signed_bytes(group, 2 + i * 8);
                    self.write_scaled(&codes, scale, None, to, i * 32);
                }
            }
            Packing::Q4_0 | Packing::Q4_1 => {
                let scale = self.half_lanes(group, 0);
                let minimum = (packing == Packing::Q4_1).then(|| self.half_lanes(group, 2));
                let bytes = self.read(I8X16, group, if minimum.is_some() { 4 } else { 2 });
                for (i, half) in (0..).zip([0, 4]) {
                    let mut codes = self.nibbles(bytes, half);
                    if minimum.is_none() {
                        codes = self.minus(codes, 8);
                    }
                    self.write_scaled(&codes, scale, minimum, to, i * 64);
                }
            }
            Packing::Q4K => {
                let (zero, pairs) = (self.integer(0), self.integer(4));
                self.each(zero, pairs, 1, &mut |d, pair| d.fetch_q4_k(group, pair, to));
            }
            Packing::Q6K => {
                let (zero, halves) = (self.integer(0), self.integer(2));
                self.each(zero, halves, 1, &mut |d, half| d.fetch_q6_k(group, half, to));
            }
        }
    }

    /// 64 elements: the low nibbles of 32 bytes, then the high ones, each half with a scale and an offset of its own.
    fn fetch_q4_k(&mut self, group: Value, pair: Value, to: Value) {
        let skipped = self.times(pair, 32);
        let codes_at = self.offset(group, skipped);
        let skipped = self.times(pair, 256);
        let to = self.offset(to, skipped);
        let first = self.times(pair, 2);
        for half in 0..2 {
            let j = self.b.ins().iadd_imm_s(first, half);
            let (scale, offset) = self.q4_k_scales(group, j);
            let [scale, offset] = [scale, offset].map(|v| self.b.ins().splat(F32X4, v));
            let offset = self.b.ins().fneg(offset);
            for run in 0..2 {
                let bytes = self.read(I8X16, codes_at, 16 + run * 16);
                let codes = self.nibbles(bytes, half as u32 * 4);
                self.write_scaled(&codes, scale, Some(offset), to, half as i32 * 128 + run * 64);
            }
        }
    }

    /// 128 elements in four quarters: a nibble of a low byte and two bits of a high byte, minus 32.
    fn fetch_q6_k(&mut self, group: Value, half: Value, to: Value) {
        let skipped = self.times(half, 64);
        let low_at = self.offset(group, skipped);
        let skipped = self.times(half, 32);
        let high_at = self.offset(group, skipped);
        let skipped = self.times(half, 8);
        let scales_at = self.offset(group, skipped);
        let skipped = self.times(half, 512);
        let to = self.offset(to, skipped);
        for quarter in 0..4i32 {
            for run in 0..2 {
                let low = self.read(I8X16, low_at, 32 * (quarter % 2) + 16 * run);
                let low = self.masked_bytes(low, 4 * (quarter as u32 / 2), 15);
                let high = self.read(I8X16, high_at, 128 + 16 * run);
                let high = self.masked_bytes(high, 2 * quarter as u32, 3);
                let high = self.b.ins().bitcast(I16X8, little_endian(), high);
                let high = self.b.ins().ishl_imm_s(high, 4);
                let high = self.b.ins().bitcast(I8X16, little_endian(), high);
                let bytes = self.b.ins().bor(low, high);
                let codes = self.unsigned_words(bytes);
                let codes = self.minus(codes, 32);
                let code = self.b.ins().sload8(I32, proved(), scales_at, 192 + 2 * quarter + run);
                let scale = self.scaled(group, 208, code);
                let scale = self.b.ins().splat(F32X4, scale);
                self.write_scaled(&codes, scale, None, to, 128 * quarter + 64 * run);
            }
        }
    }

    fn half_lanes(&mut self, group: Value, at: i32) -> Value {
        let bits = self.b.ins().uload16(I32, proved(), group, at);
        let number = rounding::widen(&mut self.single(), DType::F16, Parts::one(bits)).scalar();
        self.b.ins().splat(F32X4, number)
    }

    /// Eight signed bytes as words.
    fn signed_bytes(&mut self, group: Value, at: i32) -> Parts {
        let halves = self.b.ins().sload8x8(proved(), group, at);
        Parts::new([self.b.ins().swiden_low(halves), self.b.ins().swiden_high(halves)])
    }

    /// Sixteen bytes shifted right and masked, in 16-bit steps, since bytes have no shift.
    fn masked_bytes(&mut self, bytes: Value, shift: u32, mask: u8) -> Value {
        let wide = self.b.ins().bitcast(I16X8, little_endian(), bytes);
        let moved = if shift == 0 { wide } else { self.b.ins().ushr_imm_s(wide, i64::from(shift)) };
        let moved = self.b.ins().bitcast(I8X16, little_endian(), moved);
        let constant = self.b.func.dfg.constants.insert(vec![mask; 16].into());
        let mask = self.b.ins().vconst(I8X16, constant);
        self.b.ins().band(moved, mask)
    }

    fn unsigned_words(&mut self, bytes: Value) -> Parts {
        let halves = [self.b.ins().uwiden_low(bytes), self.b.ins().uwiden_high(bytes)];
        let words = halves.iter().flat_map(|half| [self.b.ins().uwiden_low(*half), self.b.ins().uwiden_high(*half)]);
        Parts::new(words.collect::<Vec<_>>())
    }

    /// One nibble of each of sixteen bytes, as words.
    fn nibbles(&mut self, bytes: Value, shift: u32) -> Parts {
        let codes = self.masked_bytes(bytes, shift, 15);
        self.unsigned_words(codes)
    }

    fn minus(&mut self, codes: Parts, zero: i32) -> Parts {
        let mut e = self.vector(16);
        let zero = e.constant(Scalar::I32(zero));
        e.binary(Binary::Sub, DType::I32, codes, zero)
    }

    /// `scale * code + offset` as f32, to `at` bytes past `to`.
    fn write_scaled(&mut self, codes: &Parts, scale: Value, offset: Option<Value>, to: Value, at: i32) {
        for (i, code) in (0..).zip(codes.all()) {
            let code = self.b.ins().fcvt_from_sint(F32X4, *code);
            let mut value = self.b.ins().fmul(scale, code);
            if let Some(offset) = offset {
                value = self.b.ins().fadd(value, offset);
            }
            self.write(value, to, at + i * 16);
        }
    }
}
