//! Leaves over runs of numbers side by side, of four bytes each or of one: copied, and cleared.

use super::assembler::{al, byte_ptr, dword_ptr, eax, qword_ptr, rax, rdi, rdx, rsi, xmm0, ymm0, ymm1, ymm2, ymm3};
use super::machine::{Place, Width};
use super::rows::{each, emitted};

/// Vectors of one turn.
const VECTORS: u8 = 4;

/// `COPY_RUN (count, from, to)`: so many numbers.
pub(in crate::cpu) fn copy_run(bytes: i64) -> Vec<u8> {
    run(None, bytes)
}

/// `CLEAR_RUN (count, _, to)`: so many times what lies outside, whose every byte is `fill`.
pub(in crate::cpu) fn clear_run(bytes: i64, fill: u8) -> Vec<u8> {
    run(Some(fill), bytes)
}

fn run(fill: Option<u8>, bytes: i64) -> Vec<u8> {
    let reads = fill.is_none();
    let four = u32::from_ne_bytes([fill.unwrap_or(0); 4]);
    let lanes = 32 / bytes as i32;
    let place = |base, i: u8| Place { base, bytes: i32::from(i) * 32 };
    emitted(|asm| {
        let width = Width::Ymm;
        if let Some(fill) = fill {
            (0..VECTORS).for_each(|i| width.clear(asm, i));
            if fill != 0 {
                asm.mov(eax, four)?;
                asm.vmovd(xmm0, eax)?;
                asm.vpbroadcastd(ymm0, xmm0)?;
                asm.vmovaps(ymm1, ymm0)?;
                asm.vmovaps(ymm2, ymm0)?;
                asm.vmovaps(ymm3, ymm0)?;
            }
        }
        for vectors in [VECTORS, 1] {
            each(asm, rdi, i32::from(vectors) * lanes, &mut |asm| {
                if reads {
                    (0..vectors).for_each(|i| width.load(asm, i, place(rsi, i)));
                    asm.add(rsi, i32::from(vectors) * 32)?;
                }
                (0..vectors).for_each(|i| width.store(asm, place(rdx, i), i));
                asm.add(rdx, i32::from(vectors) * 32)
            })?;
        }
        if bytes == 1 {
            asm.mov(rax, u64::from(four) << 32 | u64::from(four))?;
            each(asm, rdi, 8, &mut |asm| {
                if reads {
                    asm.mov(rax, qword_ptr(rsi))?;
                    asm.add(rsi, 8)?;
                }
                asm.mov(qword_ptr(rdx), rax)?;
                asm.add(rdx, 8)
            })?;
        }
        each(asm, rdi, 1, &mut |asm| {
            match (bytes, reads) {
                (1, true) => asm.movzx(eax, byte_ptr(rsi))?,
                (_, true) => asm.vmovss(xmm0, dword_ptr(rsi))?,
                _ => {}
            }
            if reads {
                asm.add(rsi, bytes as i32)?;
            }
            if bytes == 1 {
                asm.mov(byte_ptr(rdx), al)?
            } else {
                asm.vmovss(dword_ptr(rdx), xmm0)?
            }
            asm.add(rdx, bytes as i32)
        })
    })
}
