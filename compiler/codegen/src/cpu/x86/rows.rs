//! Leaves over rows of f32 in memory, written instruction by instruction: dot products, sums of rows, and the
//! packing of a panel.

use super::assembler::{
    Assembler, Emitted, Register, Ymm, dword_ptr, qword_ptr, r8, r8d, r9, r10, r11, rax, rbp, rbx, rcx, rdi, rdx, rsi,
    word_ptr, xmm0, xmm1, ymm0, ymm1, ymm2, ymm3, ymm4, ymm5, ymm6, ymm7, ymm8, ymm9, ymm10, ymm11, ymm12, ymm13,
    ymm14, ymm15, ymmword_ptr,
};
use super::machine::{Op, Operand, Place, Width};
use crate::base::{DType, Storage};

const HELD: &str = "operands of a leaf fit their instructions";

/// How the numbers of a row are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu) enum Kept {
    F32,
    F16,
    BF16,
}

impl Kept {
    /// `None` for what are no floats of 16 or 32 bits.
    pub(in crate::cpu) fn of(storage: Storage) -> Option<Kept> {
        match storage {
            Storage::Plain(DType::F32) => Some(Kept::F32),
            Storage::Plain(DType::F16) => Some(Kept::F16),
            Storage::Plain(DType::BF16) => Some(Kept::BF16),
            _ => None,
        }
    }

    pub(in crate::cpu) fn bytes(self) -> i32 {
        if self == Kept::F32 { 4 } else { 2 }
    }
}

/// `DOT (count, a, b, result)`: `Σ a[i] · b[i]` in sixty-four sums side by side, then by vectors, then one by one; `a` is
/// f32, `b` is kept as it says.
pub(in crate::cpu) fn dot(right: Kept) -> Vec<u8> {
    emitted(|asm| {
        let width = Width::Ymm;
        (0..8).for_each(|sum| width.clear(asm, sum));
        for vectors in [8, 1] {
            each(asm, rdi, vectors * 8, &mut |asm| {
                for i in 0..vectors as u8 {
                    let left = Place { base: rsi, bytes: i32::from(i) * 32 };
                    let other = Place { base: rdx, bytes: i32::from(i) * 8 * right.bytes() };
                    width.widen(asm, 8 + i, other, right);
                    width.apply(asm, Op::Fma231, i, 8 + i, Operand::Memory(left));
                }
                asm.add(rsi, vectors * 32)?;
                asm.add(rdx, vectors * 8 * right.bytes())
            })?;
        }
        for half in [4, 2, 1] {
            (0..half).for_each(|i| width.apply(asm, Op::Add, i, i, Operand::Vector(i + half)));
        }
        asm.vextractf128(xmm1, ymm0, 1)?;
        asm.vaddps(xmm0, xmm0, xmm1)?;
        asm.vmovhlps(xmm1, xmm0, xmm0)?;
        asm.vaddps(xmm0, xmm0, xmm1)?;
        asm.vmovshdup(xmm1, xmm0)?;
        asm.vaddss(xmm0, xmm0, xmm1)?;
        each(asm, rdi, 1, &mut |asm| {
            match right {
                Kept::F32 => asm.vmovss(xmm1, dword_ptr(rdx))?,
                Kept::F16 => {
                    asm.movzx(r8d, word_ptr(rdx))?;
                    asm.vmovd(xmm1, r8d)?;
                    asm.vcvtph2ps(xmm1, xmm1)?;
                }
                Kept::BF16 => {
                    asm.movzx(r8d, word_ptr(rdx))?;
                    asm.shl(r8d, 16)?;
                    asm.vmovd(xmm1, r8d)?;
                }
            }
            asm.vfmadd231ss(xmm0, xmm1, dword_ptr(rsi))?;
            asm.add(rsi, 4)?;
            asm.add(rdx, right.bytes())
        })?;
        asm.vmovss(dword_ptr(rcx), xmm0)
    })
}

/// `WIDEN (count, from, to)`: numbers that are kept as `kept` says, as f32.
pub(in crate::cpu) fn widen(kept: Kept) -> Vec<u8> {
    emitted(|asm| {
        for vectors in [4, 1] {
            each(asm, rdi, vectors * 8, &mut |asm| {
                for i in 0..vectors as u8 {
                    let from = Place { base: rsi, bytes: i32::from(i) * 8 * kept.bytes() };
                    Width::Ymm.widen(asm, i, from, kept);
                    Width::Ymm.store(asm, Place { base: rdx, bytes: i32::from(i) * 32 }, i);
                }
                asm.add(rsi, vectors * 8 * kept.bytes())?;
                asm.add(rdx, vectors * 32)
            })?;
        }
        each(asm, rdi, 1, &mut |asm| {
            load_one(asm, kept)?;
            asm.vmovss(dword_ptr(rdx), xmm1)?;
            asm.add(rsi, kept.bytes())?;
            asm.add(rdx, 4)
        })
    })
}

/// The number at rsi to xmm1.
fn load_one(asm: &mut Assembler, kept: Kept) -> Emitted {
    match kept {
        Kept::F32 => asm.vmovss(xmm1, dword_ptr(rsi)),
        Kept::F16 => {
            asm.movzx(r8d, word_ptr(rsi))?;
            asm.vmovd(xmm1, r8d)?;
            asm.vcvtph2ps(xmm1, xmm1)
        }
        Kept::BF16 => {
            asm.movzx(r8d, word_ptr(rsi))?;
            asm.shl(r8d, 16)?;
            asm.vmovd(xmm1, r8d)
        }
    }
}

/// `STRIP (rows, from, result, weights, stride)`: `result[x] = Σ_r weights[r] · from[r][x]` for `vectors` vectors of
/// neighbours, or for one number; rows lie `stride` bytes apart.
pub(in crate::cpu) fn strip(vectors: u8) -> Vec<u8> {
    emitted(|asm| {
        let width = Width::Ymm;
        let place = |base, i: u8| Place { base, bytes: i32::from(i) * 32 };
        (0..vectors.max(1)).for_each(|sum| width.clear(asm, sum));
        each(asm, rdi, 1, &mut |asm| {
            if vectors == 0 {
                asm.vmovss(xmm1, dword_ptr(rcx))?;
                asm.vfmadd231ss(xmm0, xmm1, dword_ptr(rsi))?;
            } else {
                width.broadcast(asm, 15, place(rcx, 0));
                (0..vectors).for_each(|i| {
                    width.apply(asm, Op::Fma231, i, 15, Operand::Memory(place(rsi, i)));
                });
            }
            asm.add(rsi, r8)?;
            asm.add(rcx, 4)
        })?;
        (0..vectors).for_each(|i| width.store(asm, place(rdx, i), i));
        if vectors == 0 { asm.vmovss(dword_ptr(rdx), xmm0) } else { Ok(()) }
    })
}

/// Places in memory that rows are read at by turns: it is faster in several streams than in one.
const STREAMS: i32 = 4;

/// Of as many rows as rdi says, which lie `stride` bytes apart: how many a quarter has to rax, its bytes to r9, and those of
/// three to r10.
fn quarters(asm: &mut Assembler, stride: Register) -> Emitted {
    asm.mov(rax, rdi)?;
    asm.sar(rax, 2)?;
    asm.mov(r9, rax)?;
    asm.imul_2(r9, stride)?;
    asm.lea(r10, qword_ptr(r9 + r9 * 2))
}

/// `SCORES (rows, x, from, results, stride)`: the dot product of `x`, which is so many vectors of f32, with each row; a row
/// of each quarter shares what is read of `x`.
pub(in crate::cpu) fn scores(kept: Kept, vectors: i32) -> Vec<u8> {
    emitted(|asm| {
        let width = Width::Ymm;
        let products = |asm: &mut Assembler, rows: &[Register]| {
            (0..4).for_each(|sum| width.clear(asm, sum));
            for i in 0..vectors {
                width.load(asm, 8, Place { base: rsi, bytes: 32 * i });
                for (row, base) in (0..).zip(rows) {
                    width.widen(asm, 9 + row, Place { base: *base, bytes: 8 * kept.bytes() * i }, kept);
                    width.apply(asm, Op::Fma231, row, 8, Operand::Vector(9 + row));
                }
            }
            asm.vhaddps(ymm0, ymm0, ymm1)?;
            asm.vhaddps(ymm2, ymm2, ymm3)?;
            asm.vhaddps(ymm0, ymm0, ymm2)?;
            asm.vextractf128(xmm1, ymm0, 1)?;
            asm.vaddps(xmm0, xmm0, xmm1)
        };
        asm.push(rbx)?;
        asm.push(rbp)?;
        quarters(asm, r8)?;
        // What is left of the rows, and where: behind the last quarter.
        asm.and(rdi, STREAMS - 1)?;
        asm.lea(rbx, qword_ptr(rdx + r10))?;
        asm.mov(r11, rax)?;
        asm.lea(r10, qword_ptr(rdx + r9 * 2))?;
        asm.add(r9, rdx)?;
        each(asm, rax, 1, &mut |asm| {
            products(asm, &[rdx, r9, r10, rbx])?;
            // Results of a quarter are r11 numbers from those of the one before.
            asm.vmovss(dword_ptr(rcx), xmm0)?;
            asm.vextractps(dword_ptr(rcx + r11 * 4), xmm0, 1)?;
            asm.vextractps(dword_ptr(rcx + r11 * 8), xmm0, 2)?;
            asm.lea(rbp, qword_ptr(rcx + r11 * 8))?;
            asm.vextractps(dword_ptr(rbp + r11 * 4), xmm0, 3)?;
            asm.add(rcx, 4)?;
            [rdx, r9, r10, rbx].into_iter().try_for_each(|row| asm.add(row, r8))
        })?;
        // The results moved by a quarter, and three more lie behind.
        asm.lea(r11, qword_ptr(r11 + r11 * 2))?;
        asm.lea(rcx, qword_ptr(rcx + r11 * 4))?;
        // The last quarter's pointer stands behind all quarters.
        asm.mov(rdx, rbx)?;
        each(asm, rdi, 1, &mut |asm| {
            products(asm, &[rdx])?;
            asm.vmovss(dword_ptr(rcx), xmm0)?;
            asm.add(rcx, 4)?;
            asm.add(rdx, r8)
        })?;
        asm.pop(rbp)?;
        asm.pop(rbx)
    })
}

/// `SUMS (rows, from, result, weights, stride)`: `result[x] = Σ_r weights[r] · from[r][x]` for `vectors` vectors of
/// neighbours, a row of each quarter at a time.
pub(in crate::cpu) fn sums(kept: Kept, vectors: u8) -> Vec<u8> {
    emitted(|asm| {
        let width = Width::Ymm;
        let add = |asm: &mut Assembler, row: Register| {
            for i in 0..vectors {
                let from = Place { base: row, bytes: i32::from(i) * 8 * kept.bytes() };
                width.widen(asm, 8 + i % 4, from, kept);
                width.apply(asm, Op::Fma231, i, 15, Operand::Vector(8 + i % 4));
            }
        };
        asm.push(rbx)?;
        asm.push(rbp)?;
        quarters(asm, r8)?;
        asm.and(rdi, STREAMS - 1)?;
        asm.lea(rbx, qword_ptr(rsi + r10))?;
        asm.mov(r11, rax)?;
        asm.lea(r10, qword_ptr(rsi + r9 * 2))?;
        asm.add(r9, rsi)?;
        (0..vectors).for_each(|sum| width.clear(asm, sum));
        each(asm, rax, 1, &mut |asm| {
            asm.lea(rbp, qword_ptr(rcx + r11 * 8))?;
            asm.vbroadcastss(ymm15, dword_ptr(rcx))?;
            add(asm, rsi);
            asm.vbroadcastss(ymm15, dword_ptr(rcx + r11 * 4))?;
            add(asm, r9);
            asm.vbroadcastss(ymm15, dword_ptr(rbp))?;
            add(asm, r10);
            asm.vbroadcastss(ymm15, dword_ptr(rbp + r11 * 4))?;
            add(asm, rbx);
            asm.add(rcx, 4)?;
            [rsi, r9, r10, rbx].into_iter().try_for_each(|row| asm.add(row, r8))
        })?;
        asm.lea(r11, qword_ptr(r11 + r11 * 2))?;
        asm.lea(rcx, qword_ptr(rcx + r11 * 4))?;
        each(asm, rdi, 1, &mut |asm| {
            asm.vbroadcastss(ymm15, dword_ptr(rcx))?;
            add(asm, rbx);
            asm.add(rcx, 4)?;
            asm.add(rbx, r8)
        })?;
        (0..vectors).for_each(|i| width.store(asm, Place { base: rdx, bytes: i32::from(i) * 32 }, i));
        asm.pop(rbp)?;
        asm.pop(rbx)
    })
}

/// `COPY (rows, from, to, stride)`: rows of `vectors` vectors, `stride` bytes apart, to consecutive ones.
pub(in crate::cpu) fn copy(width: Width, vectors: i64) -> Vec<u8> {
    let bytes = width.lanes() as i32 * 4;
    emitted(|asm| {
        each(asm, rdi, 1, &mut |asm| {
            for i in 0..vectors as u8 {
                width.load(asm, i, Place { base: rsi, bytes: i32::from(i) * bytes });
                width.store(asm, Place { base: rdx, bytes: i32::from(i) * bytes }, i);
            }
            asm.add(rsi, rcx)?;
            asm.add(rdx, vectors as i32 * bytes)
        })
    })
}

/// `TRANSPOSE (count, list of eight rows, to)`: element k of the rows to eight neighbours at `to + k * bytes`, for whole
/// runs of eight elements.
pub(in crate::cpu) fn transpose(bytes: i32) -> Vec<u8> {
    const ROWS: [Register; 8] = [rax, r8, r9, r10, r11, rbx, rbp, rsi];
    emitted(|asm| {
        asm.push(rbx)?;
        asm.push(rbp)?;
        (0..).zip(ROWS).try_for_each(|(i, row)| asm.mov(row, qword_ptr(rsi + i * 8)))?;
        each(asm, rdi, 8, &mut |asm| {
            let (low, high) = YMM.split_at(8);
            for (row, vector) in ROWS.into_iter().zip(low) {
                asm.vmovups(*vector, ymmword_ptr(row))?;
                asm.add(row, 32)?;
            }
            // Pairs of rows, then fours of rows, each within halves of vectors.
            for i in 0..4 {
                asm.vunpcklps(high[2 * i], low[2 * i], low[2 * i + 1])?;
                asm.vunpckhps(high[2 * i + 1], low[2 * i], low[2 * i + 1])?;
            }
            for half in [0, 4] {
                for i in 0..2 {
                    asm.vshufps(low[half + 2 * i], high[half + i], high[half + 2 + i], 0x44)?;
                    asm.vshufps(low[half + 2 * i + 1], high[half + i], high[half + 2 + i], 0xee)?;
                }
            }
            for i in 0..4 {
                asm.vperm2f128(high[i], low[i], low[4 + i], 0x20)?;
                asm.vperm2f128(high[4 + i], low[i], low[4 + i], 0x31)?;
            }
            (0..).zip(high).try_for_each(|(i, vector)| asm.vmovups(ymmword_ptr(rdx + i * bytes), *vector))?;
            asm.add(rdx, 8 * bytes)
        })?;
        asm.pop(rbp)?;
        asm.pop(rbx)
    })
}

const YMM: [Ymm; 16] =
    [ymm0, ymm1, ymm2, ymm3, ymm4, ymm5, ymm6, ymm7, ymm8, ymm9, ymm10, ymm11, ymm12, ymm13, ymm14, ymm15];

/// The bytes of a leaf; `body` writes all but its end.
pub(super) fn emitted(body: impl FnOnce(&mut Assembler) -> Emitted) -> Vec<u8> {
    let mut asm = Assembler::default();
    let done = body(&mut asm).and_then(|()| asm.vzeroupper()).and_then(|()| asm.ret());
    done.expect(HELD);
    asm.assemble()
}

/// `while count >= step { body; count -= step }`.
pub(super) fn each(
    asm: &mut Assembler,
    count: Register,
    step: i32,
    body: &mut dyn FnMut(&mut Assembler) -> Emitted,
) -> Emitted {
    let (mut top, mut end) = (asm.create_label(), asm.create_label());
    asm.cmp(count, step)?;
    asm.jl(end)?;
    asm.set_label(&mut top)?;
    body(asm)?;
    asm.sub(count, step)?;
    asm.cmp(count, step)?;
    asm.jge(top)?;
    asm.set_label(&mut end)
}
