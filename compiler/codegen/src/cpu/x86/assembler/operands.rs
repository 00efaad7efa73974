//! What instructions work on.

#![allow(non_upper_case_globals)]

use super::Label;
use std::ops::{Add, Mul, Sub};

/// A general register of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu::x86) struct Register(pub(super) u8);

/// The lower half of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu::x86) struct Register32(pub(super) u8);

/// The lowest quarter of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu::x86) struct Register16(pub(super) u8);

/// A byte of rax, rcx, rdx or rbx: the lowest, or the one above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu::x86) struct Register8(pub(super) u8);

/// 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu::x86) struct Xmm(pub(in crate::cpu::x86) u8);

/// 256 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu::x86) struct Ymm(pub(in crate::cpu::x86) u8);

/// 512 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu::x86) struct Zmm(pub(in crate::cpu::x86) u8);

/// A register of bits for lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu::x86) struct Mask(pub(super) u8);

macro_rules! registers {
    ($kind:ident: $($name:ident = $number:literal),*) => {
        $(pub(in crate::cpu::x86) const $name: $kind = $kind($number);)*
    };
}

registers!(Register: rax = 0, rcx = 1, rdx = 2, rbx = 3, rsp = 4, rbp = 5, rsi = 6, rdi = 7);
registers!(Register: r8 = 8, r9 = 9, r10 = 10, r11 = 11, r12 = 12, r13 = 13, r14 = 14, r15 = 15);
registers!(Register32: eax = 0, edx = 2, ebx = 3, ebp = 5, esi = 6, r8d = 8);
registers!(Register16: ax = 0);
registers!(Register8: al = 0, ah = 4);
registers!(Xmm: xmm0 = 0, xmm1 = 1, xmm2 = 2, xmm3 = 3, xmm4 = 4, xmm5 = 5, xmm6 = 6, xmm7 = 7);
registers!(Xmm: xmm8 = 8, xmm9 = 9, xmm10 = 10, xmm11 = 11, xmm12 = 12, xmm13 = 13, xmm14 = 14, xmm15 = 15);
registers!(Ymm: ymm0 = 0, ymm1 = 1, ymm2 = 2, ymm3 = 3, ymm4 = 4, ymm5 = 5, ymm6 = 6, ymm7 = 7);
registers!(Ymm: ymm8 = 8, ymm9 = 9, ymm10 = 10, ymm11 = 11, ymm12 = 12, ymm13 = 13, ymm14 = 14, ymm15 = 15);
registers!(Zmm: zmm0 = 0, zmm1 = 1, zmm2 = 2, zmm3 = 3, zmm4 = 4, zmm5 = 5, zmm6 = 6, zmm7 = 7, zmm8 = 8);
registers!(Mask: k1 = 1);

/// `base + index * scale + displacement`, or a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu::x86) struct Address {
    pub(super) base: Option<Register>,
    pub(super) index: Option<Index>,
    pub(super) displacement: i32,
    pub(super) label: Option<Label>,
}

/// A register times 1, 2, 4 or 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu::x86) struct Index {
    pub(super) number: u8,
    /// Each lane of a vector register is an index.
    pub(super) lanes: bool,
    pub(super) scale: u8,
}

/// Bytes at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu::x86) struct Memory {
    pub(super) bytes: u8,
    pub(super) address: Address,
    pub(super) mask: u8,
}

/// Whatever an instruction takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu::x86) enum Operand {
    General { number: u8, bits: u8 },
    Vector { number: u8, bytes: u8, mask: u8 },
    Mask(u8),
    Memory(Memory),
    Immediate(i64),
}

impl Zmm {
    /// Only the lanes of the mask are written.
    pub(in crate::cpu::x86) fn k1(self) -> Operand {
        Operand::Vector { number: self.0, bytes: 64, mask: 1 }
    }
}

impl Memory {
    /// Only the lanes of the mask are touched.
    pub(in crate::cpu::x86) fn k1(self) -> Memory {
        Memory { mask: 1, ..self }
    }
}

macro_rules! memory {
    ($($name:ident: $bytes:literal,)*) => {
        $(pub(in crate::cpu::x86) fn $name(address: impl Into<Address>) -> Memory {
            Memory { bytes: $bytes, address: address.into(), mask: 0 }
        })*
    };
}

memory! {
    ptr: 0,
    byte_ptr: 1,
    word_ptr: 2,
    dword_ptr: 4,
    qword_ptr: 8,
    xmmword_ptr: 16,
    ymmword_ptr: 32,
    zmmword_ptr: 64,
}

impl From<Register> for Address {
    fn from(base: Register) -> Address {
        Address { base: Some(base), index: None, displacement: 0, label: None }
    }
}

impl From<Label> for Address {
    fn from(label: Label) -> Address {
        Address { base: None, index: None, displacement: 0, label: Some(label) }
    }
}

impl From<Memory> for Address {
    fn from(memory: Memory) -> Address {
        memory.address
    }
}

impl Mul<i32> for Register {
    type Output = Index;

    fn mul(self, scale: i32) -> Index {
        Index { number: self.0, lanes: false, scale: scale as u8 }
    }
}

impl Mul<i32> for Zmm {
    type Output = Index;

    fn mul(self, scale: i32) -> Index {
        Index { number: self.0, lanes: true, scale: scale as u8 }
    }
}

impl Add<Index> for Register {
    type Output = Address;

    fn add(self, index: Index) -> Address {
        Address { index: Some(index), ..self.into() }
    }
}

impl Add<Register> for Register {
    type Output = Address;

    fn add(self, other: Register) -> Address {
        self + other * 1
    }
}

impl Add<i32> for Register {
    type Output = Address;

    fn add(self, bytes: i32) -> Address {
        Address { displacement: bytes, ..self.into() }
    }
}

impl Sub<i32> for Register {
    type Output = Address;

    fn sub(self, bytes: i32) -> Address {
        self + -bytes
    }
}

impl Add<i32> for Address {
    type Output = Address;

    fn add(self, bytes: i32) -> Address {
        Address { displacement: self.displacement + bytes, ..self }
    }
}

macro_rules! operand {
    ($($kind:ty: $given:ident => $operand:expr,)*) => {
        $(impl From<$kind> for Operand {
            fn from($given: $kind) -> Operand {
                $operand
            }
        })*
    };
}

operand! {
    Register: r => Operand::General { number: r.0, bits: 64 },
    Register32: r => Operand::General { number: r.0, bits: 32 },
    Register16: r => Operand::General { number: r.0, bits: 16 },
    Register8: r => Operand::General { number: r.0, bits: 8 },
    Xmm: r => Operand::Vector { number: r.0, bytes: 16, mask: 0 },
    Ymm: r => Operand::Vector { number: r.0, bytes: 32, mask: 0 },
    Zmm: r => Operand::Vector { number: r.0, bytes: 64, mask: 0 },
    Mask: r => Operand::Mask(r.0),
    Memory: memory => Operand::Memory(memory),
    i32: number => Operand::Immediate(number.into()),
    u32: number => Operand::Immediate(number.into()),
    u64: bits => Operand::Immediate(bits as i64),
}
