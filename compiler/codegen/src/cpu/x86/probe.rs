//! Entries that keep the vector units, or the load units, as busy as they can be: the machine's own limits.
//!
//! They have the signature of a kernel's entry, and touch nothing but the bytes that they say.

use super::assembler::{qword_ptr, r8, r9, r10, r11, rax, rdi, rdx, rsi};
use super::machine::{Op, Operand, Place, Single, Test, Width};
use super::rows::emitted;

/// Sums side by side: more than the latency of a multiply-add times how many start at once.
const SUMS: u8 = 12;

/// Vectors that one turn of the loop reads.
const LOADS: u8 = 8;

/// Multiply-adds of a turn.
pub(in crate::cpu) fn multiply_adds_of_turn(width: Width) -> i64 {
    2 * i64::from(SUMS) * width.lanes()
}

/// `(_, [turns], _, _)`: adds 1 · 1 to numbers in registers, which stay normal for any number of turns.
pub(in crate::cpu) fn multiply_adds(width: Width) -> Vec<u8> {
    emitted(|asm| {
        let [one, other] = [SUMS, SUMS + 1];
        width.clear(asm, one);
        width.test(asm, Test::IntegerEqual, one, one, one);
        width.single(asm, Single::ShiftLogical(25), one, one);
        width.single(asm, Single::ShiftLeft(23), one, one);
        width.single(asm, Single::Move, other, one);
        (0..SUMS).for_each(|sum| width.single(asm, Single::Move, sum, one));
        asm.mov(rax, qword_ptr(rsi))?;
        let mut turn = asm.create_label();
        asm.set_label(&mut turn)?;
        for sum in (0..SUMS).chain(0..SUMS) {
            width.apply(asm, Op::Fma231, sum, one, Operand::Vector(other));
        }
        asm.dec(rax)?;
        asm.jnz(turn)
    })
}

/// `([bytes], [turns, bytes of a part], part, _)`: reads the part's bytes, a multiple of 512, `turns` times.
pub(in crate::cpu) fn reads(width: Width) -> Vec<u8> {
    emitted(|asm| {
        asm.mov(r8, qword_ptr(rdi))?;
        asm.mov(rax, qword_ptr(rsi))?;
        asm.mov(r9, qword_ptr(rsi + 8))?;
        asm.imul_2(rdx, r9)?;
        asm.add(r8, rdx)?;
        let [mut turn, mut block] = [asm.create_label(), asm.create_label()];
        asm.set_label(&mut turn)?;
        asm.mov(r10, r8)?;
        asm.lea(r11, r8 + r9)?;
        asm.set_label(&mut block)?;
        let bytes = width.lanes() as i32 * 4;
        for i in 0..LOADS {
            width.load(asm, i, Place { base: r10, bytes: i32::from(i) * bytes });
        }
        asm.add(r10, i32::from(LOADS) * bytes)?;
        asm.cmp(r10, r11)?;
        asm.jb(block)?;
        asm.dec(rax)?;
        asm.jnz(turn)
    })
}
