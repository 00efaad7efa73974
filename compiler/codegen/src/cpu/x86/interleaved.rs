//! Packed rows that lie side by side: their dot products with a row of f32, and their numbers as columns of a panel.
//!
//! A word holds the codes u₀, u₁, … of neighbouring columns from its lowest bits up. Its lowest k + 1 codes are the integer
//! v_k = Σ uᵢ·Bⁱ, i ≤ k, for which one mask does, and u_k = (v_k − v_{k−1}) / Bᵏ. So the row of f32 is brought into the form
//! whose products with the v are its own with the u (`arrange_side_by_side`): a product takes a mask, a conversion and a
//! multiplication, which run on different ports. The top code's integer would be signed: the word is moved one code down.

use super::assembler::{
    Register, Ymm, dword_ptr, eax, qword_ptr, r8, r9, r10, r11, rax, rbx, rcx, rdi, rdx, rsi, rsp, xmm0, xmm1, xmm2,
    xmm4, xmm11, xmmword_ptr, ymm0, ymm1, ymm2, ymm3, ymm4, ymm5, ymm6, ymm7, ymm8, ymm9, ymm10, ymm11, ymm12, ymm13,
    ymm14, ymm15, ymmword_ptr,
};
use super::rows::emitted;
use crate::base::{Interleaved, Packing};

/// Rows of blocks that are summed at once, at places far apart: memory is read faster in several streams than in one.
pub(in crate::cpu) const STREAMS: usize = 4;

/// Bytes of 32 numbers of an arranged row and of what their sum is to be multiplied by.
pub(in crate::cpu) const ARRANGED: i64 = 132;

/// A stream: its block, where its results go, its two sums, and its word.
struct Stream {
    block: Register,
    results: Register,
    sums: [Ymm; 2],
    word: Ymm,
}

fn streams() -> [Stream; STREAMS] {
    let stream = |block, results, sums, word| Stream { block, results, sums, word };
    [
        stream(r8, rax, [ymm0, ymm1], ymm8),
        stream(r9, rcx, [ymm2, ymm3], ymm9),
        stream(r10, rbx, [ymm4, ymm5], ymm10),
        stream(r11, rdx, [ymm6, ymm7], ymm11),
    ]
}

/// What a code that stands for zero is, with its sign turned; of q4_1 the factor of minimums.
fn offset(packing: Packing) -> f32 {
    match packing {
        Packing::Q8_0 => -128.0,
        Packing::Q4_0 => -8.0,
        _ => 1.0,
    }
}

/// `DOTS (groups, x, list)`: of the eight rows of each stream the dot product with `x`, which is arranged. The list has the
/// streams' first blocks, then where each has room for its eight results.
pub(in crate::cpu) fn dots_side_by_side(rows: Interleaved) -> Vec<u8> {
    let (codes, header) = (rows.codes() as i32, rows.header() as i32);
    emitted(|asm| {
        asm.push(rbx)?;
        // Masks of the lowest codes, below the stack.
        for k in 0..codes - 1 {
            asm.mov(eax, (1_u32 << (32 / codes * (k + 1))) - 1)?;
            asm.mov(dword_ptr(rsp - 32 + 4 * k), eax)?;
        }
        asm.vxorps(ymm0, ymm0, ymm0)?;
        for (i, stream) in (0..).zip(streams()) {
            asm.mov(stream.block, qword_ptr(rdx + 8 * i))?;
            asm.mov(stream.results, qword_ptr(rdx + 8 * (i + STREAMS as i32)))?;
            asm.vmovups(ymmword_ptr(stream.results), ymm0)?;
        }
        let (mut top, mut end) = (asm.create_label(), asm.create_label());
        asm.test(rdi, rdi)?;
        asm.jle(end)?;
        asm.set_label(&mut top)?;
        if rows.packing != Packing::Q4_1 {
            streams().iter().try_for_each(|stream| asm.vbroadcastss(stream.sums[0], dword_ptr(rsi + 128)))?;
        }
        for word in 0..32 / codes {
            for stream in streams() {
                asm.vmovdqu(stream.word, ymmword_ptr(stream.block + header + 32 * word))?;
            }
            for k in 0..codes {
                asm.vbroadcastss(ymm12, dword_ptr(rsi + 4 * (codes * word + k)))?;
                if k < codes - 1 {
                    asm.vpbroadcastd(ymm13, dword_ptr(rsp - 32 + 4 * k))?;
                }
                for (i, stream) in streams().iter().enumerate() {
                    let number = [ymm14, ymm15][i % 2];
                    if k < codes - 1 {
                        asm.vpand(number, stream.word, ymm13)?;
                    } else {
                        asm.vpsrld(number, stream.word, 32 / codes as u32)?;
                    }
                    asm.vcvtdq2ps(number, number)?;
                    let sum = stream.sums[k as usize % 2];
                    let first = word == 0 && (k == 1 || k == 0 && rows.packing == Packing::Q4_1);
                    if first { asm.vmulps(sum, number, ymm12)? } else { asm.vfmadd231ps(sum, number, ymm12)? }
                }
            }
        }
        for Stream { block, results, sums: [sum, other], .. } in streams() {
            asm.vaddps(sum, sum, other)?;
            asm.vcvtph2ps(ymm14, xmmword_ptr(block))?;
            asm.vfmadd213ps(sum, ymm14, ymmword_ptr(results))?;
            if rows.packing == Packing::Q4_1 {
                asm.vcvtph2ps(ymm15, xmmword_ptr(block + 16))?;
                asm.vbroadcastss(ymm12, dword_ptr(rsi + 128))?;
                asm.vfmadd231ps(sum, ymm15, ymm12)?;
            }
            asm.vmovups(ymmword_ptr(results), sum)?;
            asm.add(block, rows.block() as i32)?;
        }
        asm.add(rsi, ARRANGED as i32)?;
        asm.dec(rdi)?;
        asm.jg(top)?;
        asm.set_label(&mut end)?;
        asm.pop(rbx)
    })
}

/// `ARRANGE (groups, x, to)`. With B codes apart, column k of a word gets (x_k − x_{k+1} / B) / Bᵏ, the last one
/// x_k / Bᵏ⁻¹, and the first one x_last / B^last more.
pub(in crate::cpu) fn arrange_side_by_side(rows: Interleaved) -> Vec<u8> {
    let codes = rows.codes();
    let base = if codes == 4 { 256.0_f32 } else { 16.0 };
    let last = codes as i32 - 1;
    emitted(|asm| {
        for lane in 0..8 {
            let k = lane % codes as i32;
            asm.mov(eax, base.powi(-k.min(last - 1)).to_bits())?;
            asm.mov(dword_ptr(rsp - 32 + 4 * lane), eax)?;
        }
        asm.vmovups(ymm8, ymmword_ptr(rsp - 32))?;
        for (register, number) in [(ymm9, base.recip()), (ymm10, base.powi(-last)), (ymm11, offset(rows.packing))] {
            asm.mov(eax, number.to_bits())?;
            asm.mov(dword_ptr(rsp - 4), eax)?;
            asm.vbroadcastss(register, dword_ptr(rsp - 4))?;
        }
        let (mut top, mut end) = (asm.create_label(), asm.create_label());
        asm.test(rdi, rdi)?;
        asm.jle(end)?;
        asm.set_label(&mut top)?;
        asm.vxorps(ymm4, ymm4, ymm4)?;
        for vector in 0..4 {
            asm.vmovups(ymm0, ymmword_ptr(rsi + 32 * vector))?;
            asm.vaddps(ymm4, ymm4, ymm0)?;
            // The numbers after each in its word, and of the last one what goes to the first.
            if codes == 4 {
                asm.vpsrldq(ymm1, ymm0, 4)?;
                asm.vpsrldq(ymm2, ymm0, 12)?;
            } else {
                asm.vperm2f128(ymm1, ymm0, ymm0, 0x81)?;
                asm.vpalignr(ymm1, ymm1, ymm0, 4)?;
                asm.vextractf128(xmm2, ymm0, 1)?;
                asm.vpsrldq(xmm2, xmm2, 12)?;
            }
            asm.vfnmadd231ps(ymm0, ymm1, ymm9)?;
            asm.vmulps(ymm0, ymm0, ymm8)?;
            asm.vfmadd231ps(ymm0, ymm2, ymm10)?;
            asm.vmovups(ymmword_ptr(rdx + 32 * vector), ymm0)?;
        }
        asm.vextractf128(xmm1, ymm4, 1)?;
        asm.vaddps(xmm0, xmm4, xmm1)?;
        asm.vmovhlps(xmm1, xmm0, xmm0)?;
        asm.vaddps(xmm0, xmm0, xmm1)?;
        asm.vmovshdup(xmm1, xmm0)?;
        asm.vaddss(xmm0, xmm0, xmm1)?;
        asm.vmulss(xmm0, xmm0, xmm11)?;
        asm.vmovss(dword_ptr(rdx + 128), xmm0)?;
        asm.add(rsi, 128)?;
        asm.add(rdx, ARRANGED as i32)?;
        asm.dec(rdi)?;
        asm.jg(top)?;
        asm.set_label(&mut end)
    })
}

/// `PANEL (groups, block, to)`: the numbers of eight rows as eight columns of a panel whose rows are `stride` bytes apart.
pub(in crate::cpu) fn panel_side_by_side(rows: Interleaved, stride: i32) -> Vec<u8> {
    let (codes, header) = (rows.codes() as i32, rows.header() as i32);
    emitted(|asm| {
        for (register, bits) in [(ymm13, (1_u32 << (32 / codes)) - 1), (ymm12, offset(rows.packing).to_bits())] {
            asm.mov(eax, bits)?;
            asm.mov(dword_ptr(rsp - 4), eax)?;
            asm.vbroadcastss(register, dword_ptr(rsp - 4))?;
        }
        let (mut top, mut end) = (asm.create_label(), asm.create_label());
        asm.test(rdi, rdi)?;
        asm.jle(end)?;
        asm.set_label(&mut top)?;
        asm.vcvtph2ps(ymm14, xmmword_ptr(rsi))?;
        if rows.packing == Packing::Q4_1 {
            asm.vcvtph2ps(ymm15, xmmword_ptr(rsi + 16))?;
        } else {
            asm.vmulps(ymm15, ymm14, ymm12)?;
        }
        for word in 0..32 / codes {
            asm.vmovdqu(ymm8, ymmword_ptr(rsi + header + 32 * word))?;
            for k in 0..codes {
                let number = [ymm0, ymm1, ymm2, ymm3][k as usize % 4];
                if k == 0 {
                    asm.vpand(number, ymm8, ymm13)?;
                } else {
                    asm.vpsrld(number, ymm8, (32 / codes * k) as u32)?;
                    if k < codes - 1 {
                        asm.vpand(number, number, ymm13)?;
                    }
                }
                asm.vcvtdq2ps(number, number)?;
                asm.vfmadd213ps(number, ymm14, ymm15)?;
                asm.vmovups(ymmword_ptr(rdx + stride * (codes * word + k)), number)?;
            }
        }
        asm.add(rsi, rows.block() as i32)?;
        asm.add(rdx, 32 * stride)?;
        asm.dec(rdi)?;
        asm.jg(top)?;
        asm.set_label(&mut end)
    })
}
