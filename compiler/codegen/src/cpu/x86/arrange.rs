//! A row of f32 brought into the order and form that dots of packed rows take it in, once for all rows.
//!
//! A *unit* is 32 elements, sixteen to each half of a vector, in 160 bytes: the even and the odd numbers of the first eight
//! of each half, those of the second eight, and for each half what a scale and an offset are multiplied by, then two zeros.
//! The numbers are multiplied by a power of two that the codes are smaller by.

use super::assembler::{
    Assembler, Emitted, Xmm, Ymm, eax, rdi, rdx, rsi, xmm0, xmm1, xmm8, xmm9, xmm10, xmm11, xmm12, xmm13, xmm14,
    xmmword_ptr, ymm0, ymm1, ymm2, ymm3, ymm4, ymm5, ymm6, ymm8, ymm9, ymm10, ymm11, ymm12, ymm13, ymm14, ymmword_ptr,
};
use super::rows::emitted;
use crate::base::Packing;

/// Bytes of a unit.
pub(super) const UNIT: i32 = 160;

/// What an odd number is that has the code 0 and an even neighbour of code 0: the bits 0x3f003f00.
const ODD: f32 = f32::from_bits(0x3f00_3f00);

/// Bytes of an arranged row for each 64 elements, of which the last may be half; `None` where rows are taken as they are.
pub(in crate::cpu) fn arranged(packing: Packing) -> Option<i64> {
    (packing != Packing::Q8_0).then_some(i64::from(2 * UNIT))
}

/// How the codes of a packing lie in their bytes, and where elements of the halves of two units begin.
struct Form {
    /// A byte of 256 over the code that is in it.
    scale: f32,
    /// The code that stands for zero.
    zero: f32,
    /// The sign of offsets; 0 where there are none.
    offset: f32,
    halves: [[i32; 2]; 2],
}

fn form(packing: Packing) -> Form {
    let (groups, runs) = ([[0, 32], [16, 48]], [[0, 16], [32, 48]]);
    match packing {
        Packing::Q4_0 => Form { scale: 32.0, zero: 8.0, offset: 0.0, halves: groups },
        Packing::Q4_1 => Form { scale: 32.0, zero: 0.0, offset: 1.0, halves: groups },
        Packing::Q4K => Form { scale: 32.0, zero: 0.0, offset: -1.0, halves: runs },
        Packing::Q6K => Form { scale: 128.0, zero: 32.0, offset: 0.0, halves: runs },
        Packing::Q8_0 => unreachable!("rows are taken as they are"),
    }
}

/// `ARRANGE (groups of 32, x, to)`.
pub(in crate::cpu) fn arrange(packing: Packing) -> Vec<u8> {
    let form = form(packing);
    emitted(|asm| {
        for (register, number) in [
            ((xmm8, ymm8), form.scale),
            ((xmm9, ymm9), form.scale / 65536.0),
            ((xmm10, ymm10), 0.5),
            ((xmm11, ymm11), ODD),
            ((xmm12, ymm12), form.zero),
        ] {
            everywhere(asm, register, number)?;
        }
        everywhere(asm, (xmm13, ymm13), -1.0)?;
        everywhere(asm, (xmm14, ymm14), form.offset)?;
        // The first two numbers of each half, and two zeros.
        asm.vxorps(ymm0, ymm0, ymm0)?;
        asm.vunpcklps(ymm13, ymm13, ymm14)?;
        asm.vshufps(ymm13, ymm13, ymm0, 0x04)?;
        let (mut top, mut last, mut end) = (asm.create_label(), asm.create_label(), asm.create_label());
        asm.set_label(&mut top)?;
        asm.cmp(rdi, 2)?;
        asm.jl(last)?;
        (0..).zip(form.halves).try_for_each(|(i, halves)| unit(asm, halves, true, i * UNIT))?;
        asm.add(rsi, 256)?;
        asm.add(rdx, 2 * UNIT)?;
        asm.sub(rdi, 2)?;
        asm.jmp(top)?;
        asm.set_label(&mut last)?;
        asm.test(rdi, rdi)?;
        asm.jle(end)?;
        (0..).zip(form.halves).try_for_each(|(i, halves)| unit(asm, halves, false, i * UNIT))?;
        asm.set_label(&mut end)
    })
}

fn everywhere(asm: &mut Assembler, (low, all): (Xmm, Ymm), number: f32) -> Emitted {
    asm.mov(eax, number.to_bits())?;
    asm.vmovd(low, eax)?;
    asm.vbroadcastss(all, low)
}

/// One unit, whose second half is zeros where it is not there.
fn unit(asm: &mut Assembler, [low, high]: [i32; 2], both: bool, to: i32) -> Emitted {
    // ymm4 sums what codes of 0 come to, ymm5 the numbers themselves.
    asm.vxorps(ymm4, ymm4, ymm4)?;
    asm.vxorps(ymm5, ymm5, ymm5)?;
    for eight in 0..2 {
        for (i, (part, lanes)) in (0..).zip([(xmm0, ymm0), (xmm1, ymm1)]) {
            let at = |half: i32| half * 4 + eight * 32 + i * 16;
            asm.vmovups(part, xmmword_ptr(rsi + at(low)))?;
            if both {
                asm.vinsertf128(lanes, lanes, xmmword_ptr(rsi + at(high)), 1)?;
            }
        }
        asm.vshufps(ymm2, ymm0, ymm1, 0x88)?;
        asm.vshufps(ymm3, ymm0, ymm1, 0xdd)?;
        asm.vaddps(ymm6, ymm2, ymm3)?;
        asm.vaddps(ymm5, ymm5, ymm6)?;
        asm.vmulps(ymm2, ymm2, ymm8)?;
        asm.vfnmadd231ps(ymm2, ymm3, ymm9)?;
        asm.vmulps(ymm3, ymm3, ymm8)?;
        asm.vmovups(ymmword_ptr(rdx + to + eight * 64), ymm2)?;
        asm.vmovups(ymmword_ptr(rdx + to + eight * 64 + 32), ymm3)?;
        asm.vfmadd231ps(ymm4, ymm2, ymm10)?;
        asm.vfmadd231ps(ymm4, ymm3, ymm11)?;
    }
    asm.vfmadd231ps(ymm4, ymm5, ymm12)?;
    asm.vhaddps(ymm4, ymm4, ymm5)?;
    asm.vhaddps(ymm4, ymm4, ymm4)?;
    asm.vmulps(ymm4, ymm4, ymm13)?;
    asm.vmovups(ymmword_ptr(rdx + to + 128), ymm4)
}
