//! Instructions of general registers, and branches.

use super::encoding::Place;
use super::operands::{Address, Memory, Operand, Register};
use super::{Assembler, Emitted, Label, Unencodable};

/// Arithmetic that has one encoding for all operands: what is added to the opcodes of an addition.
const ADD: u8 = 0;
const AND: u8 = 4;
const SUB: u8 = 5;
const XOR: u8 = 6;
const CMP: u8 = 7;

/// Where an operand lies, and how many bits it has.
fn located(operand: Operand) -> Result<(Place, u8), Unencodable> {
    match operand {
        Operand::General { number, bits } => Ok((Place::Register(number), bits)),
        Operand::Memory(memory) => Ok((Place::Memory(memory.address), 8 * memory.bytes)),
        _ => Err(Unencodable),
    }
}

macro_rules! arithmetic {
    ($($name:ident: $operation:expr,)*) => {
        $(pub(in crate::cpu::x86) fn $name(&mut self, to: impl Into<Operand>, from: impl Into<Operand>) -> Emitted {
            self.arithmetic($operation, to.into(), from.into())
        })*
    };
}

macro_rules! branches {
    ($($name:ident: $condition:expr,)*) => {
        $(pub(in crate::cpu::x86) fn $name(&mut self, to: Label) -> Emitted {
            self.branch($condition, to)
        })*
    };
}

/// With a number of the opcode beside it: `shl` and its like.
macro_rules! shifts {
    ($($name:ident: $extension:literal,)*) => {
        $(pub(in crate::cpu::x86) fn $name(&mut self, to: impl Into<Operand>, by: impl Into<Operand>) -> Emitted {
            let (place, bits) = located(to.into())?;
            let Operand::Immediate(by) = by.into() else { return Err(Unencodable) };
            self.legacy(bits, &[0xc1], $extension, place)?;
            self.code.push(by as u8);
            Ok(())
        })*
    };
}

impl Assembler {
    arithmetic! {
        add: ADD,
        and: AND,
        sub: SUB,
        xor: XOR,
        cmp: CMP,
    }

    branches! {
        jmp: None,
        jb: Some(0x2),
        je: Some(0x4),
        jne: Some(0x5),
        jnz: Some(0x5),
        jl: Some(0xc),
        jge: Some(0xd),
        jle: Some(0xe),
        jg: Some(0xf),
    }

    shifts! {
        shl: 4,
        shr: 5,
        sar: 7,
    }

    fn arithmetic(&mut self, operation: u8, to: Operand, from: Operand) -> Emitted {
        let (place, bits) = located(to)?;
        match (to, from) {
            (_, Operand::General { number, bits: other }) if other == bits => {
                self.legacy(bits, &[operation << 3 | 1], number, place)
            }
            (Operand::General { number, .. }, Operand::Memory(memory)) => {
                self.legacy(bits, &[operation << 3 | 3], number, Place::Memory(memory.address))
            }
            (_, Operand::Immediate(immediate)) => match i8::try_from(immediate) {
                Ok(short) => {
                    self.legacy(bits, &[0x83], operation, place)?;
                    self.code.push(short as u8);
                    Ok(())
                }
                Err(_) => {
                    let long = i32::try_from(immediate).map_err(|_| Unencodable)?;
                    self.legacy(bits, &[0x81], operation, place)?;
                    self.code.extend(long.to_le_bytes());
                    Ok(())
                }
            },
            _ => Err(Unencodable),
        }
    }

    pub(in crate::cpu::x86) fn mov(&mut self, to: impl Into<Operand>, from: impl Into<Operand>) -> Emitted {
        let to = to.into();
        let (place, bits) = located(to)?;
        match (to, from.into()) {
            (_, Operand::General { number, bits: 8 }) => self.legacy(8, &[0x88], number, place),
            (_, Operand::General { number, bits: from }) => self.legacy(from, &[0x89], number, place),
            (Operand::General { number, .. }, Operand::Memory(memory)) => {
                self.legacy(bits, &[0x8b], number, Place::Memory(memory.address))
            }
            (Operand::General { number, bits: 32 }, Operand::Immediate(immediate)) => {
                let word = u32::try_from(immediate).or(i32::try_from(immediate).map(|word| word as u32));
                let word = word.map_err(|_| Unencodable)?;
                if number > 7 {
                    self.code.push(0x41);
                }
                self.code.push(0xb8 | number & 7);
                self.code.extend(word.to_le_bytes());
                Ok(())
            }
            (Operand::General { number, bits: 64 }, Operand::Immediate(immediate)) => match i32::try_from(immediate) {
                Ok(short) => {
                    self.legacy(64, &[0xc7], 0, place)?;
                    self.code.extend(short.to_le_bytes());
                    Ok(())
                }
                Err(_) => {
                    self.code.extend([0x48 | number >> 3, 0xb8 | number & 7]);
                    self.code.extend(immediate.to_le_bytes());
                    Ok(())
                }
            },
            _ => Err(Unencodable),
        }
    }

    /// Zeros above.
    pub(in crate::cpu::x86) fn movzx(&mut self, to: impl Into<Operand>, from: impl Into<Operand>) -> Emitted {
        self.extend(0xb6, to.into(), from.into())
    }

    /// The sign above.
    pub(in crate::cpu::x86) fn movsx(&mut self, to: impl Into<Operand>, from: impl Into<Operand>) -> Emitted {
        self.extend(0xbe, to.into(), from.into())
    }

    fn extend(&mut self, opcode: u8, to: Operand, from: Operand) -> Emitted {
        let (Operand::General { number, bits }, (place, narrow)) = (to, located(from)?) else {
            return Err(Unencodable);
        };
        let high_byte = matches!((narrow, place), (8, Place::Register(4..)));
        if !matches!(narrow, 8 | 16) || high_byte && (bits == 64 || number > 7) {
            return Err(Unencodable);
        }
        self.legacy(bits, &[0x0f, opcode | u8::from(narrow == 16)], number, place)
    }

    pub(in crate::cpu::x86) fn lea(&mut self, to: Register, address: impl Into<Address>) -> Emitted {
        self.legacy(64, &[0x8d], to.0, Place::Memory(address.into()))
    }

    /// `to *= by`.
    pub(in crate::cpu::x86) fn imul_2(&mut self, to: Register, by: Register) -> Emitted {
        self.legacy(64, &[0x0f, 0xaf], to.0, Place::Register(by.0))
    }

    pub(in crate::cpu::x86) fn test(&mut self, a: impl Into<Operand>, b: impl Into<Operand>) -> Emitted {
        let (place, bits) = located(a.into())?;
        let Operand::General { number, bits: other } = b.into() else { return Err(Unencodable) };
        if bits != other { Err(Unencodable) } else { self.legacy(bits, &[0x85], number, place) }
    }

    pub(in crate::cpu::x86) fn dec(&mut self, to: impl Into<Operand>) -> Emitted {
        let (place, bits) = located(to.into())?;
        self.legacy(bits, &[0xff], 1, place)
    }

    pub(in crate::cpu::x86) fn push(&mut self, register: Register) -> Emitted {
        self.stack(0x50, register)
    }

    pub(in crate::cpu::x86) fn pop(&mut self, register: Register) -> Emitted {
        self.stack(0x58, register)
    }

    fn stack(&mut self, opcode: u8, Register(number): Register) -> Emitted {
        if number > 7 {
            self.code.push(0x41);
        }
        self.code.push(opcode | number & 7);
        Ok(())
    }

    pub(in crate::cpu::x86) fn ret(&mut self) -> Emitted {
        self.code.push(0xc3);
        Ok(())
    }

    /// Asks for a line in all caches.
    pub(in crate::cpu::x86) fn prefetcht0(&mut self, Memory { address, .. }: Memory) -> Emitted {
        self.legacy(32, &[0x0f, 0x18], 1, Place::Memory(address))
    }

    /// In all caches but the first.
    pub(in crate::cpu::x86) fn prefetcht1(&mut self, Memory { address, .. }: Memory) -> Emitted {
        self.legacy(32, &[0x0f, 0x18], 2, Place::Memory(address))
    }
}
