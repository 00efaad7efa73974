//! One element of a packed group as f32; the layouts are those of GGUF (ggml-quants.c).

use super::clif::{Parts, proved};
use super::driver::Driver;
use super::rounding;
use crate::base::{DType, Interleaved, Packing, ROWS};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, I32};
use cranelift_codegen::ir::{InstBuilder, Value};

impl Driver<'_, '_> {
    /// Element `element` of a packed buffer.
    pub(super) fn decode(&mut self, packing: Packing, buffer: Value, element: Value) -> Value {
        let group = self.floor_divide(element, packing.elements());
        let start = self.times(group, packing.bytes());
        let start = self.offset(buffer, start);
        let i = self.b.ins().band_imm_s(element, packing.elements() - 1);
        match packing {
            Packing::Q8_0 => {
                let at = self.offset(start, i);
                let code = self.b.ins().sload8(I32, proved(), at, 2);
                self.scaled(start, 0, code)
            }
            Packing::Q4_0 => {
                let code = self.nibble(start, 2, i);
                let code = self.b.ins().iadd_imm_s(code, -8);
                self.scaled(start, 0, code)
            }
            Packing::Q4_1 => {
                let code = self.nibble(start, 4, i);
                let value = self.scaled(start, 0, code);
                let minimum = self.half(start, 2);
                self.b.ins().fadd(value, minimum)
            }
            Packing::Q4K => self.decode_q4_k(start, i),
            Packing::Q6K => self.decode_q6_k(start, i),
        }
    }

    /// Element `element` of rows that lie side by side.
    pub(super) fn decode_interleaved(&mut self, rows: Interleaved, buffer: Value, element: Value) -> Value {
        let depth = i64::from(rows.depth);
        let row = self.floor_divide(element, depth);
        let before = self.times(row, depth);
        let column = self.b.ins().isub(element, before);
        let (eight, lane) = (self.floor_divide(row, ROWS), self.b.ins().band_imm_s(row, ROWS - 1));
        let (block, i) = (self.floor_divide(column, 32), self.b.ins().band_imm_s(column, 31));
        let [eights, blocks] = [(eight, rows.row()), (block, rows.block())].map(|(n, bytes)| self.times(n, bytes));
        let block = self.offset(buffer, eights);
        let block = self.offset(block, blocks);
        let skipped = self.times(lane, 2);
        let halves = self.offset(block, skipped);
        let word = self.floor_divide(i, rows.codes());
        let word = self.times(word, 4 * ROWS);
        let lane = self.times(lane, 4);
        let at = self.offset(block, word);
        let at = self.offset(at, lane);
        let code = self.b.ins().band_imm_s(i, rows.codes() - 1);
        let shift = self.times(code, 32 / rows.codes());
        let shift = self.b.ins().ireduce(I32, shift);
        let word = self.b.ins().load(I32, proved(), at, rows.header() as i32);
        let word = self.b.ins().ushr(word, shift);
        let code = self.b.ins().band_imm_s(word, if rows.codes() == 4 { 255 } else { 15 });
        match rows.packing {
            Packing::Q4_1 => {
                let value = self.scaled(halves, 0, code);
                let minimum = self.half(halves, 2 * ROWS as i32);
                self.b.ins().fadd(value, minimum)
            }
            packing => {
                let code = self.b.ins().iadd_imm_s(code, if packing == Packing::Q8_0 { -128 } else { -8 });
                self.scaled(halves, 0, code)
            }
        }
    }

    fn half(&mut self, start: Value, at: i32) -> Value {
        let bits = self.b.ins().uload16(I32, proved(), start, at);
        rounding::widen(&mut self.single(), DType::F16, Parts::one(bits)).scalar()
    }

    /// `scale * code`.
    pub(super) fn scaled(&mut self, start: Value, scale_at: i32, code: Value) -> Value {
        let scale = self.half(start, scale_at);
        let code = self.b.ins().fcvt_from_sint(F32, code);
        self.b.ins().fmul(scale, code)
    }

    /// Code `i` of 32: element i and i + 16 share a byte.
    fn nibble(&mut self, start: Value, from: i32, i: Value) -> Value {
        let byte = self.b.ins().band_imm_s(i, 15);
        let high = self.b.ins().ushr_imm_s(i, 4);
        self.nibble_at(start, from, byte, high)
    }

    fn nibble_at(&mut self, start: Value, from: i32, byte: Value, high: Value) -> Value {
        let at = self.offset(start, byte);
        let pair = self.b.ins().uload8(I32, proved(), at, from);
        let shift = self.b.ins().ishl_imm_s(high, 2);
        let code = self.b.ins().ushr(pair, shift);
        self.b.ins().band_imm_s(code, 15)
    }

    /// Scale and offset of 32 elements, `j` of eight.
    pub(super) fn q4_k_scales(&mut self, start: Value, j: Value) -> (Value, Value) {
        let at = self.offset(start, j);
        let byte = |d: &mut Self, bytes: i32| d.b.ins().uload8(I32, proved(), at, bytes);
        let first = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, j, 4);
        // Bytes 4 + j - 4, 4 + j, 4 + j + 4 of the group; the first only matters from j = 4 on and is inside for all.
        let (before, own, after) = (byte(self, 0), byte(self, 4), byte(self, 8));
        let low = [own, after].map(|v| self.b.ins().band_imm_s(v, 63));
        let after_low = self.b.ins().band_imm_s(after, 15);
        let after_high = self.b.ins().ushr_imm_s(after, 4);
        let packed = [(after_low, before), (after_high, own)].map(|(nibble, top)| {
            let top = self.b.ins().ushr_imm_s(top, 6);
            let top = self.b.ins().ishl_imm_s(top, 4);
            self.b.ins().bor(nibble, top)
        });
        let scale = self.b.ins().select(first, low[0], packed[0]);
        let minimum = self.b.ins().select(first, low[1], packed[1]);
        (self.scaled(start, 0, scale), self.scaled(start, 2, minimum))
    }

    fn decode_q4_k(&mut self, start: Value, i: Value) -> Value {
        let j = self.b.ins().ushr_imm_s(i, 5);
        let (scale, offset) = self.q4_k_scales(start, j);
        let lane = self.b.ins().band_imm_s(i, 31);
        let run = self.b.ins().ushr_imm_s(i, 6);
        let run = self.b.ins().ishl_imm_s(run, 5);
        let byte = self.b.ins().iadd(run, lane);
        let high = self.b.ins().band_imm_s(j, 1);
        let code = self.nibble_at(start, 16, byte, high);
        let code = self.b.ins().fcvt_from_sint(F32, code);
        let value = self.b.ins().fmul(scale, code);
        self.b.ins().fsub(value, offset)
    }

    fn decode_q6_k(&mut self, start: Value, i: Value) -> Value {
        let part = self.b.ins().ushr_imm_s(i, 7);
        let quarter = self.b.ins().ushr_imm_s(i, 5);
        let quarter = self.b.ins().band_imm_s(quarter, 3);
        let lane = self.b.ins().band_imm_s(i, 31);
        let low_half = self.b.ins().ishl_imm_s(part, 6);
        let odd = self.b.ins().band_imm_s(quarter, 1);
        let odd = self.b.ins().ishl_imm_s(odd, 5);
        let byte = self.b.ins().iadd(low_half, odd);
        let byte = self.b.ins().iadd(byte, lane);
        let upper = self.b.ins().ushr_imm_s(quarter, 1);
        let low = self.nibble_at(start, 0, byte, upper);
        let high_half = self.b.ins().ishl_imm_s(part, 5);
        let byte = self.b.ins().iadd(high_half, lane);
        let at = self.offset(start, byte);
        let high = self.b.ins().uload8(I32, proved(), at, 128);
        let shift = self.b.ins().ishl_imm_s(quarter, 1);
        let high = self.b.ins().ushr(high, shift);
        let high = self.b.ins().band_imm_s(high, 3);
        let high = self.b.ins().ishl_imm_s(high, 4);
        let code = self.b.ins().bor(low, high);
        let code = self.b.ins().iadd_imm_s(code, -32);
        let sixteenth = self.b.ins().ushr_imm_s(i, 4);
        let at = self.offset(start, sixteenth);
        let scale = self.b.ins().sload8(I32, proved(), at, 192);
        let scale = self.scaled(start, 208, scale);
        let code = self.b.ins().fcvt_from_sint(F32, code);
        self.b.ins().fmul(scale, code)
    }
}
