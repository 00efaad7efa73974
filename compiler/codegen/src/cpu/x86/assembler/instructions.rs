//! Instructions of vectors, a line for each: its name, its form, and where its operands go.

use super::encoding::{Form, NONE, P66, PF2, PF3, Place};
use super::operands::{Mask, Operand};
use super::{Assembler, Emitted, Unencodable};

const fn form(prefix: u8, map: u8, opcode: u8) -> Form {
    Form::new(prefix, map, opcode)
}

fn byte(immediate: Operand) -> Result<u8, Unencodable> {
    match immediate {
        Operand::Immediate(bits) => u8::try_from(bits).map_err(|_| Unencodable),
        _ => Err(Unencodable),
    }
}

/// `name(to, from)`.
macro_rules! two {
    ($($name:ident: $form:expr,)*) => {
        $(pub(in crate::cpu::x86) fn $name(&mut self, to: impl Into<Operand>, from: impl Into<Operand>) -> Emitted {
            self.vector($form, to.into(), None, from.into(), None, false)
        })*
    };
}

/// `name(to, a, b)`.
macro_rules! three {
    ($($name:ident: $form:expr,)*) => {
        $(pub(in crate::cpu::x86) fn $name(
            &mut self,
            to: impl Into<Operand>,
            a: impl Into<Operand>,
            b: impl Into<Operand>,
        ) -> Emitted {
            self.vector($form, to.into(), Some(a.into()), b.into(), None, false)
        })*
    };
}

/// `name(to, a, b, immediate)`.
macro_rules! three_and_byte {
    ($($name:ident: $form:expr,)*) => {
        $(pub(in crate::cpu::x86) fn $name(
            &mut self,
            to: impl Into<Operand>,
            a: impl Into<Operand>,
            b: impl Into<Operand>,
            immediate: impl Into<Operand>,
        ) -> Emitted {
            let immediate = byte(immediate.into())?;
            self.vector($form, to.into(), Some(a.into()), b.into(), Some(immediate), false)
        })*
    };
}

/// `name(to, from, immediate)`.
macro_rules! two_and_byte {
    ($($name:ident: $form:expr,)*) => {
        $(pub(in crate::cpu::x86) fn $name(
            &mut self,
            to: impl Into<Operand>,
            from: impl Into<Operand>,
            immediate: impl Into<Operand>,
        ) -> Emitted {
            let immediate = byte(immediate.into())?;
            self.vector($form, to.into(), None, from.into(), Some(immediate), false)
        })*
    };
}

/// The same, where what is written stands in the place of a source.
macro_rules! taken {
    ($($name:ident: $form:expr,)*) => {
        $(pub(in crate::cpu::x86) fn $name(
            &mut self,
            to: impl Into<Operand>,
            from: impl Into<Operand>,
            immediate: impl Into<Operand>,
        ) -> Emitted {
            let immediate = byte(immediate.into())?;
            self.vector($form, from.into(), None, to.into(), Some(immediate), false)
        })*
    };
}

/// `name(to, a, count)`: the number in the place of a register is a part of the opcode.
macro_rules! by_count {
    ($($name:ident: $extension:literal of $form:expr,)*) => {
        $(pub(in crate::cpu::x86) fn $name(
            &mut self,
            to: impl Into<Operand>,
            a: impl Into<Operand>,
            count: impl Into<Operand>,
        ) -> Emitted {
            let count = byte(count.into())?;
            self.by_count(Counted { form: $form, extension: $extension }, to.into(), a.into(), count)
        })*
    };
}

/// `name(to, from)`, of which one may be in memory.
macro_rules! moves {
    ($($name:ident: $load:expr, $store:expr,)*) => {
        $(pub(in crate::cpu::x86) fn $name(&mut self, to: impl Into<Operand>, from: impl Into<Operand>) -> Emitted {
            match (to.into(), from.into()) {
                (to @ Operand::Memory(_), from) => self.vector($store, from, None, to, None, false),
                (to, from) => self.vector($load, to, None, from, None, false),
            }
        })*
    };
}

/// A shift by a number that stands in the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu::x86) struct Counted {
    pub(in crate::cpu::x86) form: Form,
    pub(in crate::cpu::x86) extension: u8,
}

impl Assembler {
    two! {
        vbroadcastsd: form(P66, 2, 0x19).of(8),
        vbroadcastss: form(P66, 2, 0x18).of(4),
        vcvtdq2ps: form(NONE, 1, 0x5b),
        vcvtph2ps: form(P66, 2, 0x13).of(32),
        vmovsldup: form(PF3, 1, 0x12),
        vmovshdup: form(PF3, 1, 0x16),
        vpbroadcastq: form(P66, 2, 0x59).of(8),
        vpmovsxbd: form(P66, 2, 0x21).of(16),
        vpmovsxbw: form(P66, 2, 0x20).of(32),
        vpmovzxbd: form(P66, 2, 0x31).of(16),
        vpmovzxbw: form(P66, 2, 0x30).of(32),
    }

    three! {
        vaddps: form(NONE, 1, 0x58),
        vaddss: form(PF3, 1, 0x58),
        vfmadd213ps: form(P66, 2, 0xa8),
        vfmadd231ps: form(P66, 2, 0xb8),
        vfmadd231ss: form(P66, 2, 0xb9),
        vfnmadd231ps: form(P66, 2, 0xbc),
        vhaddps: form(PF2, 1, 0x7c),
        vmovhlps: form(NONE, 1, 0x12),
        vmulps: form(NONE, 1, 0x59),
        vmulss: form(PF3, 1, 0x59),
        vpand: form(P66, 1, 0xdb),
        vpermi2ps: form(P66, 2, 0x77),
        vpor: form(P66, 1, 0xeb),
        vpsrlvd: form(P66, 2, 0x45),
        vptestmd: form(P66, 2, 0x27),
        vpunpckhbw: form(P66, 1, 0x68),
        vpunpcklbw: form(P66, 1, 0x60),
        vpxor: form(P66, 1, 0xef),
        vunpckhps: form(NONE, 1, 0x15),
        vunpcklps: form(NONE, 1, 0x14),
        vxorps: form(NONE, 1, 0x57),
    }

    three_and_byte! {
        vinsertf128: form(P66, 3, 0x18),
        vinserti128: form(P66, 3, 0x38),
        vinsertps: form(P66, 3, 0x21),
        vpalignr: form(P66, 3, 0x0f),
        vperm2f128: form(P66, 3, 0x06),
        vshufps: form(NONE, 1, 0xc6),
    }

    two_and_byte! {
        vpshufd: form(P66, 1, 0x70),
        vpshufhw: form(PF3, 1, 0x70),
        vpshuflw: form(PF2, 1, 0x70),
    }

    taken! {
        vextractf128: form(P66, 3, 0x19),
        vextractps: form(P66, 3, 0x17),
    }

    by_count! {
        vpslld: 6 of form(P66, 1, 0x72),
        vpslldq: 7 of form(P66, 1, 0x73),
        vpsllw: 6 of form(P66, 1, 0x71),
        vpsrld: 2 of form(P66, 1, 0x72),
        vpsrldq: 3 of form(P66, 1, 0x73),
        vpsrlw: 2 of form(P66, 1, 0x71),
    }

    moves! {
        vmovaps: form(NONE, 1, 0x28), form(NONE, 1, 0x29),
        vmovd: form(P66, 1, 0x6e), form(P66, 1, 0x7e),
        vmovdqa32: form(P66, 1, 0x6f).evex(), form(P66, 1, 0x7f).evex(),
        vmovdqu: form(PF3, 1, 0x6f), form(PF3, 1, 0x7f),
        vmovq: form(P66, 1, 0x6e).wide(), form(P66, 1, 0xd6),
        vmovss: form(PF3, 1, 0x10), form(PF3, 1, 0x11),
        vmovups: form(NONE, 1, 0x10), form(NONE, 1, 0x11),
    }

    pub(in crate::cpu::x86) fn by_count(
        &mut self,
        Counted { form, extension }: Counted,
        to: Operand,
        a: Operand,
        count: u8,
    ) -> Emitted {
        let extension = Operand::General { number: extension, bits: 0 };
        self.vector(form, extension, Some(to), a, Some(count), false)
    }

    /// Of memory or a vector, and in 512 bits also of a general register.
    pub(in crate::cpu::x86) fn vpbroadcastd(&mut self, to: impl Into<Operand>, from: impl Into<Operand>) -> Emitted {
        let from = from.into();
        let form = match from {
            Operand::General { .. } => form(P66, 2, 0x7c).evex(),
            _ => form(P66, 2, 0x58).of(4),
        };
        self.vector(form, to.into(), None, from, None, false)
    }

    /// Of 128-bit lanes, by an immediate or by a vector.
    pub(in crate::cpu::x86) fn vpermilps(
        &mut self,
        to: impl Into<Operand>,
        from: impl Into<Operand>,
        order: impl Into<Operand>,
    ) -> Emitted {
        let (to, from) = (to.into(), from.into());
        match order.into() {
            order @ Operand::Immediate(_) => self.vector(form(P66, 3, 0x04), to, None, from, Some(byte(order)?), false),
            order => self.vector(form(P66, 2, 0x0c), to, Some(from), order, None, false),
        }
    }

    /// Loads lanes of the mask from the places that a vector gives; the mask is all zeros afterwards.
    pub(in crate::cpu::x86) fn vgatherdps(&mut self, to: impl Into<Operand>, from: impl Into<Operand>) -> Emitted {
        self.vector(form(P66, 2, 0x92).of(4), to.into(), None, from.into(), None, false)
    }

    /// Stores lanes of the mask to the places that a vector gives; the mask is all zeros afterwards.
    pub(in crate::cpu::x86) fn vscatterdps(&mut self, to: impl Into<Operand>, from: impl Into<Operand>) -> Emitted {
        self.vector(form(P66, 2, 0xa2).of(4), from.into(), None, to.into(), None, false)
    }

    /// Ones where two masks agree, in sixteen bits.
    pub(in crate::cpu::x86) fn kxnorw(&mut self, to: Mask, a: Mask, b: Mask) -> Emitted {
        let (form, place) = (form(NONE, 1, 0x46), Place::Register(b.0));
        self.vex(form, to.0, a.0, place, true)?;
        self.code.extend([0x46, 0xc0 | to.0 << 3 | b.0]);
        Ok(())
    }

    /// Clears the upper halves of all vectors.
    pub(in crate::cpu::x86) fn vzeroupper(&mut self) -> Emitted {
        self.code.extend([0xc5, 0xf8, 0x77]);
        Ok(())
    }
}
