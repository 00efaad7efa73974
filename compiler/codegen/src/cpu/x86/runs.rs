//! Leaves over runs of f32 numbers side by side: copied, and cleared.

use super::machine::{Place, Width};
use super::rows::{each, emitted};
use iced_x86::Register;
use iced_x86::code_asm::{dword_ptr, rdi, rdx, rsi, xmm0};

/// Vectors of one turn.
const VECTORS: u8 = 4;

/// `COPY_RUN (count, from, to)`: so many numbers.
pub(in crate::cpu) fn copy_run() -> Vec<u8> {
    run(true)
}

/// `CLEAR_RUN (count, _, to)`: so many zeros.
pub(in crate::cpu) fn clear_run() -> Vec<u8> {
    run(false)
}

fn run(reads: bool) -> Vec<u8> {
    let place = |base, i: u8| Place { base, bytes: i32::from(i) * 32 };
    emitted(|asm| {
        let width = Width::Ymm;
        if !reads {
            (0..VECTORS).for_each(|i| width.clear(asm, i));
        }
        for vectors in [VECTORS, 1] {
            each(asm, rdi, i32::from(vectors) * 8, &mut |asm| {
                if reads {
                    (0..vectors).for_each(|i| width.load(asm, i, place(Register::RSI, i)));
                    asm.add(rsi, i32::from(vectors) * 32)?;
                }
                (0..vectors).for_each(|i| width.store(asm, place(Register::RDX, i), i));
                asm.add(rdx, i32::from(vectors) * 32)
            })?;
        }
        each(asm, rdi, 1, &mut |asm| {
            if reads {
                asm.vmovss(xmm0, dword_ptr(rsi))?;
                asm.add(rsi, 4)?;
            }
            asm.vmovss(dword_ptr(rdx), xmm0)?;
            asm.add(rdx, 4)
        })
    })
}
