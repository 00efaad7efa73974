//! Bytes in wide vectors: multiplied four by four and summed to 32 bits, read and written as lanes; and the leaves that
//! bring a row of them into the form in which tiles read it.

use super::assembler::{
    Assembler, Emitted, al, ax, byte_ptr, dword_ptr, eax, qword_ptr, rax, rdi, rdx, rsi, word_ptr, xmm0, xmm1,
    xmmword_ptr, ymm0, ymm1, ymmword_ptr,
};
use super::machine::{Op, Single};
use super::region::{Step, Vector};
use super::rows::{each, emitted};
use super::wide::Wide;
use crate::base::DType;
use crate::cpu::arithmetic::{Arithmetic, Shift};

impl Wide {
    /// A vector with the same bits in every lane that outlives regions.
    pub(in crate::cpu) fn variable_of(&mut self, bits: u32) -> u8 {
        let variable = self.variables;
        let start = self.bits(bits);
        self.variables += 1;
        self.region.record(Step::SetVariable(variable, start));
        self.flush();
        variable
    }

    /// Of each two neighbouring bytes the first, or the second, as a 16-bit integer.
    pub(in crate::cpu) fn bytes_of_pairs(&mut self, pairs: Vector, second: bool, signed: bool) -> Vector {
        let first = if second { pairs } else { self.region.record(Step::Single(Single::WordsLeft(8), pairs)) };
        let shift = if signed { Single::WordsArithmetic(8) } else { Single::WordsLogical(8) };
        self.region.record(Step::Single(shift, first))
    }

    /// Sums of two products of neighbouring 16-bit integers.
    pub(in crate::cpu) fn multiply_pairs(&mut self, a: Vector, b: Vector) -> Vector {
        self.region.record(Step::Binary(Op::MultiplyPairs, a, b))
    }

    /// `variable += a`, of integers.
    pub(in crate::cpu) fn increase(&mut self, variable: u8, a: Vector) {
        self.region.record(Step::Increase(variable, a));
    }

    /// `variable +=` sums of four products of bytes.
    pub(in crate::cpu) fn dot_bytes(&mut self, variable: u8, unsigned: Vector, signed: Vector) {
        self.region.record(Step::Dot(variable, unsigned, signed));
    }

    /// Bytes past a cursor, one for each lane.
    pub(in crate::cpu) fn load_bytes(&mut self, cursor: usize, bytes: i32, signed: bool) -> Vector {
        let place = self.place(cursor, bytes);
        self.region.record(Step::LoadBytes(place, signed))
    }

    /// One byte in every lane, as an integer.
    pub(in crate::cpu) fn broadcast_byte(&mut self, cursor: usize, bytes: i32, signed: bool) -> Vector {
        let place = self.place(cursor, bytes);
        let all = self.region.record(Step::BroadcastByte(place));
        self.shift(if signed { Shift::Arithmetic } else { Shift::Logical }, DType::I32, all, 24)
    }

    /// Writes each lane, which fits, as a byte past a cursor.
    pub(in crate::cpu) fn store_bytes(&mut self, cursor: usize, bytes: i32, value: Vector, signed: bool) {
        let place = self.place(cursor, bytes);
        self.region.record(Step::StoreBytes(place, value, signed));
    }
}

/// `WORDS (count, from, to)`: bytes as 16-bit integers, each four in the order 0, 2, 1, 3, in which the bytes of a panel's
/// group become words; zeros fill the last four.
pub(in crate::cpu) fn words(signed: bool) -> Vec<u8> {
    /// Which element of a group comes at each place.
    const ORDER: u32 = 0b11_01_10_00;
    emitted(|asm| {
        each(asm, rdi, 16, &mut |asm| {
            if signed {
                asm.vpmovsxbw(ymm0, xmmword_ptr(rsi))?
            } else {
                asm.vpmovzxbw(ymm0, xmmword_ptr(rsi))?
            }
            asm.vpshuflw(ymm0, ymm0, ORDER)?;
            asm.vpshufhw(ymm0, ymm0, ORDER)?;
            asm.vmovdqu(ymmword_ptr(rdx), ymm0)?;
            asm.add(rsi, 16)?;
            asm.add(rdx, 32)
        })?;
        each(asm, rdi, 4, &mut |asm| {
            asm.vmovd(xmm0, dword_ptr(rsi))?;
            if signed {
                asm.vpmovsxbw(xmm0, xmm0)?
            } else {
                asm.vpmovzxbw(xmm0, xmm0)?
            }
            asm.vpshuflw(xmm0, xmm0, ORDER)?;
            asm.vmovq(qword_ptr(rdx), xmm0)?;
            asm.add(rsi, 4)?;
            asm.add(rdx, 8)
        })?;
        rest(
            asm,
            |asm| asm.mov(qword_ptr(rdx), rax),
            |asm, element, place| {
                let from = byte_ptr(rsi + element);
                if signed {
                    asm.movsx(eax, from)?
                } else {
                    asm.movzx(eax, from)?
                }
                asm.mov(word_ptr(rdx + [0, 4, 2][place]), ax)
            },
        )
    })
}

/// `BYTES (count, from, to)`: bytes as they are, or less or more by 128; zeros fill the last four.
pub(in crate::cpu) fn bytes(offset: bool) -> Vec<u8> {
    emitted(|asm| {
        asm.mov(eax, 0x8080_8080u32)?;
        asm.vmovd(xmm1, eax)?;
        asm.vpbroadcastd(ymm1, xmm1)?;
        each(asm, rdi, 32, &mut |asm| {
            asm.vmovdqu(ymm0, ymmword_ptr(rsi))?;
            if offset {
                asm.vpxor(ymm0, ymm0, ymm1)?;
            }
            asm.vmovdqu(ymmword_ptr(rdx), ymm0)?;
            asm.add(rsi, 32)?;
            asm.add(rdx, 32)
        })?;
        each(asm, rdi, 4, &mut |asm| {
            asm.mov(eax, dword_ptr(rsi))?;
            if offset {
                asm.xor(eax, 0x8080_8080u32 as i32)?;
            }
            asm.mov(dword_ptr(rdx), eax)?;
            asm.add(rsi, 4)?;
            asm.add(rdx, 4)
        })?;
        rest(
            asm,
            |asm| asm.mov(dword_ptr(rdx), eax),
            |asm, element, place| {
                asm.movzx(eax, byte_ptr(rsi + element))?;
                if offset {
                    asm.xor(eax, 0x80)?;
                }
                asm.mov(byte_ptr(rdx + place as i32), al)
            },
        )
    })
}

/// Up to three elements: the group is cleared from rax, then each is written.
fn rest(
    asm: &mut Assembler,
    clear: impl FnOnce(&mut Assembler) -> Emitted,
    element: impl Fn(&mut Assembler, i32, usize) -> Emitted,
) -> Emitted {
    let mut end = asm.create_label();
    asm.cmp(rdi, 1)?;
    asm.jl(end)?;
    asm.xor(eax, eax)?;
    clear(asm)?;
    for place in 0..3 {
        element(asm, place, place as usize)?;
        asm.cmp(rdi, place + 2)?;
        asm.jl(end)?;
    }
    asm.set_label(&mut end)
}
