//! The bytes of an instruction (Intel SDM volume 2, chapter 2): prefixes, ModR/M, SIB, displacement.

use super::operands::{Address, Memory, Operand};
use super::{Assembler, Emitted, Label, Unencodable};

/// Prefixes that belong to an opcode, as VEX counts them.
pub(super) const NONE: u8 = 0;
pub(super) const P66: u8 = 1;
pub(super) const PF3: u8 = 2;
pub(super) const PF2: u8 = 3;

/// An instruction of vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu::x86) struct Form {
    prefix: u8,
    /// 1 for 0F, 2 for 0F38, 3 for 0F3A.
    map: u8,
    opcode: u8,
    wide: bool,
    /// Of memory operands of 512-bit instructions, which count short displacements.
    unit: u8,
    evex: bool,
}

impl Form {
    /// `map` is 1 for 0F, 2 for 0F38, 3 for 0F3A.
    pub(in crate::cpu::x86) const fn new(prefix: u8, map: u8, opcode: u8) -> Form {
        Form { prefix, map, opcode, wide: false, unit: 64, evex: false }
    }

    /// With the bit W.
    pub(in crate::cpu::x86) const fn wide(self) -> Form {
        Form { wide: true, ..self }
    }

    /// Whose memory operand has so many bytes in 512 bits.
    pub(in crate::cpu::x86) const fn of(self, unit: u8) -> Form {
        Form { unit, ..self }
    }

    /// Which is there in 512 bits only, or as if it were.
    pub(in crate::cpu::x86) const fn evex(self) -> Form {
        Form { evex: true, ..self }
    }
}

/// What ModR/M's r/m names: a register, or memory.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Register(u8),
    Memory(Address),
}

impl Place {
    /// Bit 3 of the base, or of the register; bit 3 of the index, or bit 4 of the register; bit 4 of an index of lanes.
    fn high(self) -> (u8, u8, u8) {
        match self {
            Place::Register(number) => (number >> 3 & 1, number >> 4 & 1, 0),
            Place::Memory(address) => {
                let index = address.index.map_or(0, |index| index.number);
                (address.base.map_or(0, |base| base.0 >> 3), index >> 3 & 1, index >> 4 & 1)
            }
        }
    }
}

/// The parts of an operand that vector instructions encode.
fn vector(operand: Operand) -> (Place, u8, u8) {
    match operand {
        Operand::General { number, .. } | Operand::Mask(number) => (Place::Register(number), 0, 0),
        Operand::Vector { number, bytes, mask } => (Place::Register(number), bytes, mask),
        Operand::Memory(Memory { address, mask, .. }) => (Place::Memory(address), 0, mask),
        Operand::Immediate(_) => unreachable!("an immediate has a place of its own"),
    }
}

/// The number of a register.
fn number(operand: Operand) -> Result<u8, Unencodable> {
    match operand {
        Operand::General { number, .. } | Operand::Vector { number, .. } | Operand::Mask(number) => Ok(number),
        Operand::Memory(_) | Operand::Immediate(_) => Err(Unencodable),
    }
}

impl Assembler {
    /// `form reg, second, place, immediate`; zeros fill lanes outside of a mask when `zeroing`.
    pub(in crate::cpu::x86) fn vector(
        &mut self,
        form: Form,
        reg: Operand,
        second: Option<Operand>,
        place: Operand,
        immediate: Option<u8>,
        zeroing: bool,
    ) -> Emitted {
        let (_, mut bytes, mut mask) = vector(reg);
        let reg = number(reg)?;
        let mut v = 0;
        if let Some(second) = second {
            bytes = bytes.max(vector(second).1);
            v = number(second)?;
        }
        let (place, more, place_mask) = vector(place);
        bytes = bytes.max(more);
        mask |= place_mask;
        let unit = if form.evex || bytes == 64 {
            self.evex(form, reg, v, place, mask | if zeroing { 0x80 } else { 0 });
            i32::from(form.unit)
        } else {
            self.vex(form, reg, v, place, bytes == 32)?;
            1
        };
        self.code.push(form.opcode);
        self.modrm(reg & 7, place, unit)?;
        self.code.extend(immediate);
        Ok(())
    }

    pub(super) fn vex(&mut self, form: Form, reg: u8, v: u8, place: Place, long: bool) -> Emitted {
        let (b, x, lanes) = place.high();
        let register = matches!(place, Place::Register(_));
        if reg > 15 || v > 15 || lanes != 0 || register && x != 0 {
            return Err(Unencodable);
        }
        let r = (!reg & 8) << 4;
        let rest = (!v & 15) << 3 | u8::from(long) << 2 | form.prefix;
        if b == 0 && x == 0 && form.map == 1 && !form.wide {
            self.code.extend([0xc5, r | rest]);
        } else {
            let extended = r | (x ^ 1) << 6 | (b ^ 1) << 5 | form.map;
            self.code.extend([0xc4, extended, u8::from(form.wide) << 7 | rest]);
        }
        Ok(())
    }

    /// `mask` has the bit 0x80 where lanes outside of it become zeros.
    fn evex(&mut self, form: Form, reg: u8, v: u8, place: Place, mask: u8) {
        let (b, x, lanes) = place.high();
        let first = (!reg & 8) << 4 | (x ^ 1) << 6 | (b ^ 1) << 5 | (!reg & 16) | form.map;
        let second = u8::from(form.wide) << 7 | (!v & 15) << 3 | 4 | form.prefix;
        let beyond = (v >> 4 & 1) | lanes;
        self.code.extend([0x62, first, second, mask & 0x80 | 0x40 | (beyond ^ 1) << 3 | mask & 7]);
    }

    /// Prefixes and opcode of an instruction of general registers, then its operands.
    pub(super) fn legacy(&mut self, bits: u8, opcode: &[u8], reg: u8, place: Place) -> Emitted {
        if bits == 16 {
            self.code.push(0x66);
        }
        let (b, x, _) = place.high();
        let rex = 0x40 | u8::from(bits == 64) << 3 | (reg >> 3 & 1) << 2 | x << 1 | b;
        if rex != 0x40 {
            self.code.push(rex);
        }
        self.code.extend(opcode);
        self.modrm(reg & 7, place, 1)
    }

    /// ModR/M, SIB and displacement; a displacement of one byte counts in units.
    fn modrm(&mut self, reg: u8, place: Place, unit: i32) -> Emitted {
        let address = match place {
            Place::Register(number) => {
                self.code.push(0xc0 | reg << 3 | number & 7);
                return Ok(());
            }
            Place::Memory(address) => address,
        };
        if let Some(label) = address.label {
            self.code.push(reg << 3 | 5);
            self.distance(label);
            return Ok(());
        }
        let base = address.base.ok_or(Unencodable)?.0;
        let short =
            (address.displacement % unit == 0).then(|| i8::try_from(address.displacement / unit).ok()).flatten();
        let mode = match short {
            Some(0) if base & 7 != 5 => 0,
            Some(_) => 1,
            None => 2,
        };
        match address.index {
            None if base & 7 != 4 => self.code.push(mode << 6 | reg << 3 | base & 7),
            index => {
                let (number, scale) = index.map_or((4, 1), |index| (index.number, index.scale));
                if index.is_some_and(|index| index.number == 4 && !index.lanes) || !scale.is_power_of_two() || scale > 8
                {
                    return Err(Unencodable);
                }
                let sib = (scale.trailing_zeros() as u8) << 6 | (number & 7) << 3 | base & 7;
                self.code.extend([mode << 6 | reg << 3 | 4, sib]);
            }
        }
        match (mode, short) {
            (0, _) => {}
            (1, Some(short)) => self.code.push(short as u8),
            _ => self.code.extend(address.displacement.to_le_bytes()),
        }
        Ok(())
    }

    fn distance(&mut self, label: Label) {
        let here = self.here();
        self.distances.push((here, label));
        self.code.extend([0; 4]);
    }
}
