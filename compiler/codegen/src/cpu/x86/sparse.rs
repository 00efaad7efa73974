//! Leaves over a block of a sparse matrix (`base::Sparse`), written instruction by instruction.
//!
//! All take `(tiles, list)`, the list being `LIST`, and write the block's sums at its end. A row sums its numbers of one
//! tile in their order, from zero, and adds that to what earlier tiles gave: the same bits in every leaf.

use super::assembler::{
    Assembler, Emitted, Register8, ah, al, byte_ptr, dword_ptr, eax, ebp, ebx, edx, esi, k1, qword_ptr, r8, r9, r10,
    r11, r13, r14, r15, rax, rbp, rbx, rcx, rdi, rdx, rsi, word_ptr, xmm0, xmm1, xmm2, xmm3, xmmword_ptr, ymm0, ymm1,
    zmm0, zmm1, zmm2, zmm3, zmm4, zmm5, zmm6, zmm7, zmm8, zmmword_ptr,
};
use super::machine::{Op, Operand, Place, Width};
use super::rows::emitted;
use crate::base::{BLOCK, Form, Sparse};

/// What the list points to, in order: the left side's first tile, and of the block the slices' counts, the orders of rows,
/// numbers, columns, and the sums.
pub(in crate::cpu) const LIST: usize = 6;

/// Brings the list into registers, which `body` has for itself: rcx left side, r8 counts, r9 orders, r10 numbers, r11
/// columns, r13 sums. rdi counts tiles, rbx slices; ebp is a slice's steps. `slice` leaves all but rcx, r8 and r9 behind
/// the slice, and may use rax, rdx, rsi, r14 and r15. Slices without steps are passed over.
fn block(
    width: Width,
    sparse: Sparse,
    vectors: i32,
    left_bytes: i32,
    slice: &mut dyn FnMut(&mut Assembler) -> Emitted,
) -> Vec<u8> {
    let kept = [rbx, rbp, r13, r14, r15];
    emitted(|asm| {
        kept.into_iter().try_for_each(|register| asm.push(register))?;
        let list = [rcx, r8, r9, r10, r11, r13];
        debug_assert!(list.len() == LIST);
        (0..).zip(list).try_for_each(|(i, register)| asm.mov(register, qword_ptr(rsi + i * 8)))?;
        let (mut zero, mut tile, mut next, mut skip) =
            (asm.create_label(), asm.create_label(), asm.create_label(), asm.create_label());
        let mut end = asm.create_label();
        width.clear(asm, 0);
        asm.mov(rsi, r13)?;
        asm.mov(eax, vectors)?;
        asm.set_label(&mut zero)?;
        width.store(asm, Place { base: rsi, bytes: 0 }, 0);
        asm.add(rsi, width.lanes() as i32 * 4)?;
        asm.dec(eax)?;
        asm.jne(zero)?;
        asm.test(rdi, rdi)?;
        asm.je(end)?;
        asm.set_label(&mut tile)?;
        asm.mov(ebx, sparse.slices() as i32)?;
        asm.set_label(&mut next)?;
        asm.movzx(ebp, word_ptr(r8))?;
        asm.add(r8, 2)?;
        asm.test(ebp, ebp)?;
        asm.je(skip)?;
        slice(asm)?;
        asm.set_label(&mut skip)?;
        asm.add(r9, sparse.form.lanes() as i32)?;
        asm.dec(ebx)?;
        asm.jne(next)?;
        asm.add(rcx, left_bytes)?;
        asm.dec(rdi)?;
        asm.jne(tile)?;
        asm.set_label(&mut end)?;
        kept.into_iter().rev().try_for_each(|register| asm.pop(register))
    })
}

/// `while ebp > 0 { step }`, a step at a time.
fn steps(asm: &mut Assembler, step: &mut dyn FnMut(&mut Assembler) -> Emitted) -> Emitted {
    let mut top = asm.create_label();
    asm.set_label(&mut top)?;
    step(asm)?;
    asm.dec(ebp)?;
    asm.jne(top)
}

/// One row of the left side: each number's partner is read by its own load, and the row's sums are eight to a vector.
pub(in crate::cpu) fn gather(sparse: Sparse) -> Vec<u8> {
    let (form, width) = (sparse.form, Width::Ymm);
    let halves = form.lanes() as i32 / 8;
    block(width, sparse, BLOCK as i32 / 8, form.tile() as i32 * 4, &mut |asm| {
        let sum = |half: i32| 4 + half as u8;
        (0..halves).for_each(|half| width.clear(asm, sum(half)));
        steps(asm, &mut |asm| {
            for half in 0..halves {
                asm.mov(rax, qword_ptr(r11 + half * 8))?;
                for (quarter, four) in [xmm1, xmm2].into_iter().enumerate() {
                    for pair in 0..2 {
                        let index = |asm: &mut Assembler, byte: Register8| {
                            if byte == al { asm.movzx(esi, al) } else { asm.movzx(edx, ah) }
                        };
                        index(asm, al)?;
                        index(asm, ah)?;
                        match pair {
                            0 => {
                                asm.vmovss(four, dword_ptr(rcx + rsi * 4))?;
                                asm.vinsertps(four, four, dword_ptr(rcx + rdx * 4), 0x10)?;
                            }
                            _ => {
                                asm.vinsertps(four, four, dword_ptr(rcx + rsi * 4), 0x20)?;
                                asm.vinsertps(four, four, dword_ptr(rcx + rdx * 4), 0x30)?;
                            }
                        }
                        if (quarter, pair) != (1, 1) {
                            asm.shr(rax, 16)?;
                        }
                    }
                }
                asm.vinsertf128(ymm1, ymm1, xmm2, 1)?;
                let numbers = Place { base: r10, bytes: half * 32 };
                width.apply(asm, Op::Fma231, sum(half), 1, Operand::Memory(numbers));
            }
            asm.add(r10, halves * 32)?;
            asm.add(r11, halves * 8)
        })?;
        for half in 0..halves {
            width.single(asm, super::machine::Single::Move, 0, sum(half));
            add_eight(asm, half * 8)?;
        }
        Ok(())
    })
}

/// Adds the lanes of the first vector to the sums of the rows that the order has from `from` on.
fn add_eight(asm: &mut Assembler, from: i32) -> Emitted {
    for half in 0..2 {
        if half == 1 {
            asm.vextractf128(xmm0, ymm0, 1)?;
        }
        for lane in 0..4 {
            asm.movzx(esi, byte_ptr(r9 + (from + half * 4 + lane)))?;
            asm.vpermilps(xmm3, xmm0, lane)?;
            asm.vaddss(xmm3, xmm3, dword_ptr(r13 + rsi * 4))?;
            asm.vmovss(dword_ptr(r13 + rsi * 4), xmm3)?;
        }
    }
    Ok(())
}

/// Rows of the left side beside one another, `vectors` vectors for each column: sums `[row of the block][left row]`.
/// Eight sums are in registers, those of as many of the slice's rows as they hold.
pub(in crate::cpu) fn lanes(width: Width, sparse: Sparse, vectors: u8) -> Vec<u8> {
    let vector = width.lanes() as i32 * 4;
    let (row, lanes) = (i32::from(vectors) * vector, sparse.form.lanes() as i32);
    let shift = row.trailing_zeros();
    let together = 8 / i32::from(vectors);
    let sum = |r: i32, j: u8| (r * i32::from(vectors)) as u8 + j;
    block(width, sparse, BLOCK as i32 * i32::from(vectors), sparse.form.tile() as i32 * row, &mut |asm| {
        asm.mov(eax, ebp)?;
        for first in (0..lanes).step_by(together as usize) {
            asm.mov(ebp, eax)?;
            asm.lea(r14, qword_ptr(r10 + first * 4))?;
            asm.lea(r15, qword_ptr(r11 + first))?;
            (0..8).for_each(|register| width.clear(asm, register));
            steps(asm, &mut |asm| {
                for r in 0..together {
                    asm.movzx(esi, byte_ptr(r15 + r))?;
                    asm.shl(esi, shift)?;
                    let number = 8 + (r % 4) as u8;
                    width.broadcast(asm, number, Place { base: r14, bytes: r * 4 });
                    asm.add(rsi, rcx)?;
                    for j in 0..vectors {
                        let left = Place { base: rsi, bytes: i32::from(j) * vector };
                        width.apply(asm, Op::Fma231, sum(r, j), number, Operand::Memory(left));
                    }
                }
                asm.add(r14, lanes * 4)?;
                asm.add(r15, lanes)
            })?;
            for r in 0..together {
                asm.movzx(esi, byte_ptr(r9 + (first + r)))?;
                asm.shl(esi, shift)?;
                asm.add(rsi, r13)?;
                for j in 0..vectors {
                    let place = Place { base: rsi, bytes: i32::from(j) * vector };
                    width.apply(asm, Op::Add, sum(r, j), sum(r, j), Operand::Memory(place));
                    width.store(asm, place, sum(r, j));
                }
            }
        }
        asm.lea(r10, qword_ptr(r14 - (lanes - together) * 4))?;
        asm.lea(r11, qword_ptr(r15 - (lanes - together)))
    })
}

/// One row of the left side, in tiles that four registers hold whole: partners are found by permutation. For `Permuted`
/// matrices on AVX-512; the left side is as long as its tiles.
pub(in crate::cpu) fn permute(sparse: Sparse) -> Vec<u8> {
    assert!(sparse.form == Form::Permuted, "its tiles fit in four registers");
    let width = Width::Zmm;
    block(width, sparse, BLOCK as i32 / 16, 256, &mut |asm| {
        let tile = [zmm1, zmm2, zmm3, zmm4];
        (0..).zip(tile).try_for_each(|(i, part)| asm.vmovups(part, zmmword_ptr(rcx + i * 64)))?;
        asm.mov(eax, 32)?;
        asm.vpbroadcastd(zmm8, eax)?;
        width.clear(asm, 0);
        steps(asm, &mut |asm| {
            asm.vpmovzxbd(zmm5, xmmword_ptr(r11))?;
            asm.vmovdqa32(zmm6, zmm5)?;
            asm.vmovdqa32(zmm7, zmm5)?;
            asm.vpermi2ps(zmm6, zmm1, zmm2)?;
            asm.vpermi2ps(zmm7, zmm3, zmm4)?;
            asm.vptestmd(k1, zmm5, zmm8)?;
            asm.vmovaps(zmm6.k1(), zmm7)?;
            asm.vfmadd231ps(zmm0, zmm6, zmmword_ptr(r10))?;
            asm.add(r10, 64)?;
            asm.add(r11, 16)
        })?;
        asm.vpmovzxbd(zmm5, xmmword_ptr(r9))?;
        asm.kxnorw(k1, k1, k1)?;
        asm.vgatherdps(zmm6.k1(), dword_ptr(r13 + zmm5 * 4))?;
        asm.vaddps(zmm0, zmm0, zmm6)?;
        asm.kxnorw(k1, k1, k1)?;
        asm.vscatterdps(dword_ptr(r13 + zmm5 * 4).k1(), zmm0)
    })
}
