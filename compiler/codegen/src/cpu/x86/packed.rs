//! Dot products of rows in packed groups with a row of f32, decoded in registers and kept nowhere.
//!
//! Codes become bytes of at most seven bits. A byte at bits 16..24 of a word whose top byte is 0x3f is the f32
//! 0.5 + byte / 256, so interleaving bytes with 0x3f makes two numbers in one word: the odd one as the word stands, with
//! the even one in its lowest bits, and the even one sixteen bits to the left. The row of f32 was arranged for that
//! (`arrange`), which also undoes what the halves and the neighbour's bits add, so that nothing but rounding is lost.

use super::arrange::UNIT;
use super::assembler::{
    Assembler, Emitted, Ymm, byte_ptr, dword_ptr, eax, ebx, qword_ptr, r8, r9, r10, r11, rax, rbx, rcx, rdi, rdx, rsi,
    rsp, word_ptr, xmm0, xmm1, xmm2, xmm3, xmm4, xmm5, xmm6, xmm7, xmm12, xmm13, xmm14, xmm15, xmmword_ptr, ymm0, ymm1,
    ymm2, ymm3, ymm4, ymm5, ymm6, ymm8, ymm9, ymm10, ymm11, ymm12, ymm13, ymm14, ymm15, ymmword_ptr,
};
use super::rows::{each, emitted};
use crate::base::Packing;

/// Bytes that rows are asked for ahead.
const AHEAD: i32 = 1024;

/// The top byte of a number from a half to one.
const HALF: u32 = 0x3f3f_3f3f;

/// `DOTS (groups, x, row, results, stride, rows)`: of each row, `stride` bytes after the one before, the dot product with
/// `x`, which is arranged for all packings but Q8_0. Register rax walks a row's groups, r10 walks x, r11 counts; the sums are in
/// ymm0, and in ymm1 what scales and offsets add.
pub(in crate::cpu) fn dots(packing: Packing) -> Vec<u8> {
    emitted(|asm| {
        asm.push(rbx)?;
        constants(asm, packing)?;
        let (mut top, mut end) = (asm.create_label(), asm.create_label());
        asm.set_label(&mut top)?;
        asm.test(r9, r9)?;
        asm.jle(end)?;
        asm.mov(rax, rdx)?;
        asm.mov(r10, rsi)?;
        asm.mov(r11, rdi)?;
        asm.vxorps(ymm0, ymm0, ymm0)?;
        asm.vxorps(ymm1, ymm1, ymm1)?;
        if matches!(packing, Packing::Q4_0 | Packing::Q4_1) {
            asm.vxorps(ymm13, ymm13, ymm13)?;
        }
        match packing {
            Packing::Q8_0 => each(asm, r11, 1, &mut q8_0)?,
            Packing::Q4_0 | Packing::Q4_1 => {
                each(asm, r11, 2, &mut |asm| nibbles(asm, packing, true))?;
                each(asm, r11, 1, &mut |asm| nibbles(asm, packing, false))?;
                asm.vaddps(ymm1, ymm1, ymm13)?;
            }
            Packing::Q4K => each(asm, r11, 1, &mut q4_k)?,
            Packing::Q6K => each(asm, r11, 1, &mut q6_k)?,
        }
        total(asm, packing)?;
        asm.add(rdx, r8)?;
        asm.add(rcx, 4)?;
        asm.dec(r9)?;
        asm.jmp(top)?;
        asm.set_label(&mut end)?;
        asm.pop(rbx)
    })
}

/// ymm14: 0x3f in every byte; ymm15: where the low bits of codes lie; ymm7, ymm12 and ymm13 as the packing needs them.
fn constants(asm: &mut Assembler, packing: Packing) -> Emitted {
    asm.mov(eax, HALF)?;
    asm.vmovd(xmm14, eax)?;
    asm.vpbroadcastd(ymm14, xmm14)?;
    asm.mov(eax, if packing == Packing::Q6K { 0x1e1e_1e1e } else { 0x7878_7878 })?;
    asm.vmovd(xmm15, eax)?;
    asm.vpbroadcastd(ymm15, xmm15)?;
    match packing {
        Packing::Q4K => {
            asm.mov(rax, 0x0f0f_0f0f_3f3f_3f3f_u64)?;
            asm.vmovq(xmm13, rax)?;
            asm.vpbroadcastq(xmm13, xmm13)?;
            asm.mov(rax, 0x3030_3030_0000_0000_u64)?;
            asm.vmovq(xmm7, rax)?;
            asm.vpbroadcastq(xmm7, xmm7)?;
            asm.mov(eax, 4)?;
            asm.vmovd(xmm12, eax)?;
            asm.vpslldq(xmm12, xmm12, 12)
        }
        Packing::Q6K => {
            asm.mov(eax, 0x6060_6060)?;
            asm.vmovd(xmm13, eax)?;
            asm.vpbroadcastd(ymm13, xmm13)?;
            asm.mov(eax, 1)?;
            asm.vmovd(xmm4, eax)?;
            asm.vpbroadcastd(xmm4, xmm4)?;
            asm.vpxor(ymm12, ymm12, ymm12)?;
            asm.vinserti128(ymm12, ymm12, xmm4, 1)
        }
        Packing::Q8_0 | Packing::Q4_0 | Packing::Q4_1 => Ok(()),
    }
}

/// The 32 bytes of `codes` with the unit `at` bytes past r10, added to ymm2 and ymm3, or their first sums.
fn unit(asm: &mut Assembler, codes: Ymm, at: i32, first: bool) -> Emitted {
    asm.vpunpcklbw(ymm8, codes, ymm14)?;
    asm.vpunpckhbw(ymm9, codes, ymm14)?;
    asm.vpslld(ymm10, ymm8, 16)?;
    asm.vpslld(ymm11, ymm9, 16)?;
    if first {
        asm.vmulps(ymm2, ymm10, ymmword_ptr(r10 + at))?;
        asm.vmulps(ymm3, ymm8, ymmword_ptr(r10 + at + 32))?;
    } else {
        asm.vfmadd231ps(ymm2, ymm10, ymmword_ptr(r10 + at))?;
        asm.vfmadd231ps(ymm3, ymm8, ymmword_ptr(r10 + at + 32))?;
    }
    asm.vfmadd231ps(ymm2, ymm11, ymmword_ptr(r10 + at + 64))?;
    asm.vfmadd231ps(ymm3, ymm9, ymmword_ptr(r10 + at + 96))
}

/// Adds ymm2 and ymm3, scaled by ymm6.
fn scaled(asm: &mut Assembler) -> Emitted {
    asm.vaddps(ymm2, ymm2, ymm3)?;
    asm.vfmadd231ps(ymm0, ymm2, ymm6)
}

/// The bytes of ymm4's low nibbles in ymm5, and of its high ones in ymm4, at the top of seven bits.
fn split(asm: &mut Assembler) -> Emitted {
    asm.vpsllw(ymm5, ymm4, 3)?;
    asm.vpsrlw(ymm4, ymm4, 1)?;
    asm.vpand(ymm5, ymm5, ymm15)?;
    asm.vpand(ymm4, ymm4, ymm15)
}

/// A group in each half of a vector, or one in the lower half beside zeros.
fn nibbles(asm: &mut Assembler, packing: Packing, both: bool) -> Emitted {
    let size = packing.bytes() as i32;
    let codes = size - 16;
    asm.vmovdqu(xmm4, xmmword_ptr(rax + codes))?;
    asm.vcvtph2ps(xmm6, qword_ptr(rax))?;
    if both {
        asm.vinserti128(ymm4, ymm4, xmmword_ptr(rax + size + codes), 1)?;
        asm.vcvtph2ps(xmm7, qword_ptr(rax + size))?;
        asm.vinsertf128(ymm6, ymm6, xmm7, 1)?;
        asm.prefetcht0(byte_ptr(rax + AHEAD))?;
    }
    split(asm)?;
    unit(asm, ymm5, 0, true)?;
    unit(asm, ymm4, UNIT, false)?;
    asm.vfmadd231ps(ymm1, ymm6, ymmword_ptr(r10 + 128))?;
    asm.vfmadd231ps(ymm13, ymm6, ymmword_ptr(r10 + UNIT + 128))?;
    asm.vpermilps(ymm6, ymm6, 0)?;
    scaled(asm)?;
    asm.add(rax, if both { 2 * size } else { size })?;
    asm.add(r10, 2 * UNIT)
}

/// Below the stack, which no leaf moves: pairs of a scale and a minimum, those of 0, 1, 4, 5 and then of 2, 3, 6, 7.
fn q4_k(asm: &mut Assembler) -> Emitted {
    (0..3).try_for_each(|line| asm.prefetcht0(byte_ptr(rax + AHEAD + 64 * line)))?;
    // Words of the twelve bytes as scales 0..4, scales 4..8, minimums 0..4, minimums 4..8; then their upper bits.
    asm.vmovdqu(xmm4, xmmword_ptr(rax + 4))?;
    asm.vpshufd(xmm5, xmm4, 0x98)?;
    asm.vpsrlvd(xmm5, xmm5, xmm12)?;
    asm.vpand(xmm5, xmm5, xmm13)?;
    asm.vpshufd(xmm4, xmm4, 0x50)?;
    asm.vpsrld(xmm4, xmm4, 2)?;
    asm.vpand(xmm4, xmm4, xmm7)?;
    asm.vpor(xmm5, xmm5, xmm4)?;
    asm.vpmovzxbd(ymm6, xmm5)?;
    asm.vpsrldq(xmm5, xmm5, 8)?;
    asm.vpmovzxbd(ymm5, xmm5)?;
    asm.vcvtdq2ps(ymm6, ymm6)?;
    asm.vcvtdq2ps(ymm5, ymm5)?;
    asm.vcvtph2ps(xmm4, qword_ptr(rax))?;
    asm.vbroadcastss(ymm8, xmm4)?;
    asm.vmovshdup(xmm4, xmm4)?;
    asm.vbroadcastss(ymm4, xmm4)?;
    asm.vmulps(ymm6, ymm6, ymm8)?;
    asm.vmulps(ymm5, ymm5, ymm4)?;
    asm.vunpcklps(ymm8, ymm6, ymm5)?;
    asm.vunpckhps(ymm9, ymm6, ymm5)?;
    asm.vmovups(ymmword_ptr(rsp - 64), ymm8)?;
    asm.vmovups(ymmword_ptr(rsp - 32), ymm9)?;
    for run in 0..4 {
        asm.vmovdqu(ymm4, ymmword_ptr(rax + 16 + 32 * run))?;
        split(asm)?;
        for (half, codes) in (0..).zip([ymm5, ymm4]) {
            let (j, at) = (2 * run + half, (2 * run + half) * UNIT);
            let pair = 32 * (j / 2 % 2) + 16 * (j / 4) + 8 * (j % 2);
            unit(asm, codes, at, true)?;
            asm.vbroadcastsd(ymm6, qword_ptr(rsp - 64 + pair))?;
            asm.vfmadd231ps(ymm1, ymm6, ymmword_ptr(r10 + at + 128))?;
            asm.vmovsldup(ymm6, ymm6)?;
            scaled(asm)?;
        }
    }
    asm.add(rax, 144)?;
    asm.add(r10, 8 * UNIT)
}

/// Below the stack: the sixteen scales.
fn q6_k(asm: &mut Assembler) -> Emitted {
    (0..4).try_for_each(|line| asm.prefetcht0(byte_ptr(rax + AHEAD + 64 * line)))?;
    asm.movzx(ebx, word_ptr(rax + 208))?;
    asm.vmovd(xmm6, ebx)?;
    asm.vcvtph2ps(xmm6, xmm6)?;
    asm.vbroadcastss(ymm6, xmm6)?;
    for half in 0..2 {
        asm.vpmovsxbd(ymm4, qword_ptr(rax + 192 + 8 * half))?;
        asm.vcvtdq2ps(ymm4, ymm4)?;
        asm.vmulps(ymm4, ymm4, ymm6)?;
        asm.vmovups(ymmword_ptr(rsp - 64 + 32 * half), ymm4)?;
    }
    for j in 0..8 {
        let (half, quarter, at) = (j / 4, j % 4, j * UNIT);
        asm.vmovdqu(ymm4, ymmword_ptr(rax + 64 * half + 32 * (quarter % 2)))?;
        asm.vmovdqu(ymm6, ymmword_ptr(rax + 128 + 32 * half))?;
        if quarter < 2 {
            asm.vpsllw(ymm4, ymm4, 1)?
        } else {
            asm.vpsrlw(ymm4, ymm4, 3)?
        }
        if quarter < 3 {
            asm.vpsllw(ymm6, ymm6, (5 - 2 * quarter) as u32)?
        } else {
            asm.vpsrlw(ymm6, ymm6, 1)?
        }
        asm.vpand(ymm4, ymm4, ymm15)?;
        asm.vpand(ymm6, ymm6, ymm13)?;
        asm.vpor(ymm4, ymm4, ymm6)?;
        unit(asm, ymm4, at, true)?;
        asm.vbroadcastsd(ymm6, qword_ptr(rsp - 64 + 8 * j))?;
        asm.vpermilps(ymm6, ymm6, ymm12)?;
        asm.vfmadd231ps(ymm1, ymm6, ymmword_ptr(r10 + at + 128))?;
        scaled(asm)?;
    }
    asm.add(rax, 210)?;
    asm.add(r10, 8 * UNIT)
}

/// Signed bytes need no arranging: each eight are made words, and words numbers.
fn q8_0(asm: &mut Assembler) -> Emitted {
    asm.prefetcht0(byte_ptr(rax + AHEAD))?;
    for (i, codes) in (0..).zip([ymm4, ymm5, ymm8, ymm9]) {
        asm.vpmovsxbd(codes, qword_ptr(rax + 2 + 8 * i))?;
        asm.vcvtdq2ps(codes, codes)?;
        let (sum, x) = (if i % 2 == 0 { ymm2 } else { ymm3 }, ymmword_ptr(r10 + 32 * i));
        if i < 2 { asm.vmulps(sum, codes, x)? } else { asm.vfmadd231ps(sum, codes, x)? }
    }
    asm.vcvtph2ps(xmm6, qword_ptr(rax))?;
    asm.vbroadcastss(ymm6, xmm6)?;
    scaled(asm)?;
    asm.add(rax, 34)?;
    asm.add(r10, 128)
}

/// The sum of a row to its place. Of ymm1 the first number of each half counts, and the second where there are offsets.
fn total(asm: &mut Assembler, packing: Packing) -> Emitted {
    asm.vextractf128(xmm2, ymm0, 1)?;
    asm.vaddps(xmm0, xmm0, xmm2)?;
    asm.vmovhlps(xmm2, xmm0, xmm0)?;
    asm.vaddps(xmm0, xmm0, xmm2)?;
    asm.vmovshdup(xmm2, xmm0)?;
    asm.vaddss(xmm0, xmm0, xmm2)?;
    if packing != Packing::Q8_0 {
        asm.vextractf128(xmm3, ymm1, 1)?;
        asm.vaddps(xmm1, xmm1, xmm3)?;
        if matches!(packing, Packing::Q4_1 | Packing::Q4K) {
            asm.vmovshdup(xmm2, xmm1)?;
            asm.vaddss(xmm1, xmm1, xmm2)?;
        }
        asm.vaddss(xmm0, xmm0, xmm1)?;
    }
    asm.vmovss(dword_ptr(rcx), xmm0)
}
