//! Instructions by what they do, in the encoding of a vector width.

use super::assembler::{self as asm, Assembler, Counted, Emitted, Form, Register, Xmm, qword_ptr};
use super::rows::Kept;

/// The width of vectors, and with it the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::cpu) enum Width {
    /// VEX, sixteen registers of 256 bits.
    Ymm,
    /// EVEX, thirty-two registers of 512 bits.
    Zmm,
}

/// What one instruction does to two vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    /// `a < b ? a : b`.
    Min,
    /// `a > b ? a : b`.
    Max,
    /// Of 32-bit integers, as all that follow but the last four.
    IntegerAdd,
    IntegerSub,
    IntegerMul,
    IntegerMin,
    IntegerMax,
    And,
    Or,
    Xor,
    /// `to = to + a * b`.
    Fma231,
    /// `to = a * to + b`.
    Fma213,
    /// Products of neighbouring 16-bit integers, summed by twos to 32 bits.
    MultiplyPairs,
    /// `to += ` products of unsigned bytes by signed ones, summed by fours to 32 bits (VNNI).
    DotBytes,
}

impl Op {
    /// Whether the operands may change places without a bit of the result changing (but which NaN it is).
    pub(super) fn commutes(self) -> bool {
        let ordered = matches!(self, Op::Sub | Op::Div | Op::Min | Op::Max | Op::IntegerSub);
        !ordered && !matches!(self, Op::Fma231 | Op::Fma213 | Op::DotBytes)
    }
}

/// What one instruction does to one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Single {
    Move,
    Sqrt,
    /// By the rounding mode of the immediate.
    Round(u8),
    /// i32 to f32.
    ToFloat,
    /// f32 to i32 by truncation; 0x80000000 where that does not fit.
    ToInteger,
    ShiftLeft(u8),
    ShiftArithmetic(u8),
    ShiftLogical(u8),
    /// Of 16-bit lanes, as the two that follow.
    WordsLeft(u8),
    WordsArithmetic(u8),
    WordsLogical(u8),
}

/// A comparison, true being all ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// Of floats, by the predicate of the immediate.
    Float(u8),
    IntegerEqual,
    IntegerGreater,
}

/// The last source of an instruction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operand {
    Vector(u8),
    Memory(Place),
}

/// `bytes` past a pointer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) base: Register,
    pub(super) bytes: i32,
}

impl Place {
    pub(super) fn operand(self) -> asm::Operand {
        qword_ptr(self.base + self.bytes).into()
    }
}

const fn plain(map: u8, opcode: u8) -> Form {
    Form::new(0, map, opcode)
}

/// With the prefix 66, as most instructions of integers have it.
const fn p66(map: u8, opcode: u8) -> Form {
    Form::new(1, map, opcode)
}

const fn pf3(map: u8, opcode: u8) -> Form {
    Form::new(2, map, opcode)
}

/// The mask that comparisons go through in 512 bits.
const MASK: asm::Operand = asm::Operand::Mask(1);

impl Width {
    /// f32 lanes of a vector.
    pub(in crate::cpu) fn lanes(self) -> i64 {
        match self {
            Width::Ymm => 8,
            Width::Zmm => 16,
        }
    }

    pub(super) fn registers(self) -> u8 {
        match self {
            Width::Ymm => 16,
            Width::Zmm => 32,
        }
    }

    /// A vector by its number.
    pub(super) fn register(self, number: u8) -> asm::Operand {
        self.masked(number, 0)
    }

    /// A vector of which only the lanes of a mask count.
    fn masked(self, number: u8, mask: u8) -> asm::Operand {
        asm::Operand::Vector { number, bytes: 4 * self.lanes() as u8, mask }
    }

    fn form(op: Op) -> Form {
        match op {
            Op::Add => plain(1, 0x58),
            Op::Sub => plain(1, 0x5c),
            Op::Mul => plain(1, 0x59),
            Op::Div => plain(1, 0x5e),
            Op::Min => plain(1, 0x5d),
            Op::Max => plain(1, 0x5f),
            Op::IntegerAdd => p66(1, 0xfe),
            Op::IntegerSub => p66(1, 0xfa),
            Op::IntegerMul => p66(2, 0x40),
            Op::IntegerMin => p66(2, 0x39),
            Op::IntegerMax => p66(2, 0x3d),
            Op::And => p66(1, 0xdb),
            Op::Or => p66(1, 0xeb),
            Op::Xor => p66(1, 0xef),
            Op::Fma231 => p66(2, 0xb8),
            Op::Fma213 => p66(2, 0xa8),
            Op::MultiplyPairs => p66(1, 0xf5),
            Op::DotBytes => p66(2, 0x50),
        }
    }

    /// `op to, a`.
    pub(super) fn single(self, asm: &mut Assembler, op: Single, to: u8, a: u8) {
        let (to, a) = (self.register(to), self.register(a));
        let mut moved = |form| asm.vector(form, to, None, a, None, false);
        done(match op {
            Single::Move => moved(plain(1, 0x28)),
            Single::Sqrt => moved(plain(1, 0x51)),
            Single::ToFloat => moved(plain(1, 0x5b)),
            Single::ToInteger => moved(pf3(1, 0x5b)),
            Single::Round(mode) => asm.vector(p66(3, 0x08), to, None, a, Some(mode), false),
            Single::ShiftLeft(by) => asm.by_count(Counted { form: p66(1, 0x72), extension: 6 }, to, a, by),
            Single::ShiftArithmetic(by) => asm.by_count(Counted { form: p66(1, 0x72), extension: 4 }, to, a, by),
            Single::ShiftLogical(by) => asm.by_count(Counted { form: p66(1, 0x72), extension: 2 }, to, a, by),
            Single::WordsLeft(by) => asm.by_count(Counted { form: p66(1, 0x71), extension: 6 }, to, a, by),
            Single::WordsArithmetic(by) => asm.by_count(Counted { form: p66(1, 0x71), extension: 4 }, to, a, by),
            Single::WordsLogical(by) => asm.by_count(Counted { form: p66(1, 0x71), extension: 2 }, to, a, by),
        });
    }

    /// All ones where the test holds, else 0.
    pub(super) fn test(self, asm: &mut Assembler, test: Test, to: u8, a: u8, b: u8) {
        let (to, a, b) = (self.register(to), self.register(a), self.register(b));
        let (form, predicate) = match test {
            Test::Float(predicate) => (plain(1, 0xc2), Some(predicate)),
            Test::IntegerEqual => (p66(1, 0x76), None),
            Test::IntegerGreater => (p66(1, 0x66), None),
        };
        if self == Width::Ymm {
            return done(asm.vector(form, to, Some(a), b, predicate, false));
        }
        done(asm.vector(form, MASK, Some(a), b, predicate, false));
        done(asm.vector(pf3(2, 0x38).evex(), to, None, MASK, None, false));
    }

    /// The highest bits of lanes to the mask.
    fn to_mask(self, asm: &mut Assembler, mask: u8) {
        done(asm.vector(pf3(2, 0x39).evex(), MASK, None, self.register(mask), None, false));
    }

    /// `mask ? yes : no`, lane by lane.
    pub(super) fn blend(self, asm: &mut Assembler, to: u8, mask: u8, yes: u8, no: u8) {
        if self == Width::Ymm {
            let [to, yes, no] = [to, yes, no].map(|number| self.register(number));
            return done(asm.vector(p66(3, 0x4a), to, Some(no), yes, Some(mask << 4), false));
        }
        self.to_mask(asm, mask);
        let (to, no, yes) = (self.masked(to, 1), self.register(no), self.register(yes));
        done(asm.vector(p66(2, 0x64), to, Some(no), yes, None, false));
    }

    /// `op to, a, b`.
    pub(super) fn apply(self, asm: &mut Assembler, op: Op, to: u8, a: u8, b: Operand) {
        let (to, a) = (self.register(to), self.register(a));
        let b = match b {
            Operand::Vector(b) => self.register(b),
            Operand::Memory(place) => place.operand(),
        };
        done(asm.vector(Width::form(op), to, Some(a), b, None, false));
    }

    pub(super) fn load(self, asm: &mut Assembler, to: u8, from: Place) {
        done(asm.vector(plain(1, 0x10), self.register(to), None, from.operand(), None, false));
    }

    pub(super) fn store(self, asm: &mut Assembler, to: Place, from: u8) {
        done(asm.vector(plain(1, 0x11), self.register(from), None, to.operand(), None, false));
    }

    /// The lanes that a mask of all ones names, and zeros.
    pub(super) fn load_some(self, asm: &mut Assembler, to: u8, mask: u8, from: Place) {
        if self == Width::Ymm {
            let [to, mask] = [to, mask].map(|number| self.register(number));
            return done(asm.vector(p66(2, 0x2c), to, Some(mask), from.operand(), None, false));
        }
        self.to_mask(asm, mask);
        done(asm.vector(plain(1, 0x10), self.masked(to, 1), None, from.operand(), None, true));
    }

    /// The same lanes alone.
    pub(super) fn store_some(self, asm: &mut Assembler, to: Place, mask: u8, from: u8) {
        if self == Width::Ymm {
            let [from, mask] = [from, mask].map(|number| self.register(number));
            return done(asm.vector(p66(2, 0x2e), from, Some(mask), to.operand(), None, false));
        }
        self.to_mask(asm, mask);
        done(asm.vector(plain(1, 0x11), self.masked(from, 1), None, to.operand(), None, false));
    }

    /// One number in every lane.
    pub(super) fn broadcast(self, asm: &mut Assembler, to: u8, from: Place) {
        done(asm.vector(p66(2, 0x18).of(4), self.register(to), None, from.operand(), None, false));
    }

    /// As many numbers as there are lanes, as f32.
    pub(super) fn widen(self, asm: &mut Assembler, to: u8, from: Place, kept: Kept) {
        let form = match kept {
            Kept::F32 => return self.load(asm, to, from),
            Kept::F16 => p66(2, 0x13),
            Kept::BF16 => p66(2, 0x33),
        };
        done(asm.vector(form.of(32), self.register(to), None, from.operand(), None, false));
        if kept == Kept::BF16 {
            self.single(asm, Single::ShiftLeft(16), to, to);
        }
    }

    /// All lanes 0.
    pub(super) fn clear(self, asm: &mut Assembler, to: u8) {
        let (form, register) = (if self == Width::Ymm { plain(1, 0x57) } else { p66(1, 0xef) }, self.register(to));
        done(asm.vector(form, register, Some(register), register, None, false));
    }

    /// As many bytes as there are lanes, widened.
    pub(super) fn load_bytes(self, asm: &mut Assembler, to: u8, from: Place, signed: bool) {
        let form = p66(2, if signed { 0x21 } else { 0x31 }).of(16);
        done(asm.vector(form, self.register(to), None, from.operand(), None, false));
    }

    /// One byte in every byte.
    pub(super) fn broadcast_byte(self, asm: &mut Assembler, to: u8, from: Place) {
        done(asm.vector(p66(2, 0x78).of(1), self.register(to), None, from.operand(), None, false));
    }

    /// The lanes as bytes, in which they fit; `spare` is overwritten.
    pub(super) fn store_bytes(self, asm: &mut Assembler, to: Place, from: u8, spare: u8, signed: bool) {
        if self == Width::Zmm {
            let form = pf3(2, 0x31).of(16);
            return done(asm.vector(form, self.register(from), None, to.operand(), None, false));
        }
        let [low, high] = [from, spare].map(|number| asm::Operand::from(Xmm(number)));
        let narrow = p66(1, if signed { 0x63 } else { 0x67 });
        done(asm.vector(p66(3, 0x39), self.register(from), None, high, Some(1), false));
        done(asm.vector(p66(1, 0x6b), high, Some(low), high, None, false));
        done(asm.vector(narrow, high, Some(high), high, None, false));
        done(asm.vector(p66(1, 0xd6), high, None, to.operand(), None, false));
    }
}

/// What was written, whose operands fit it.
fn done(emitted: Emitted) {
    emitted.expect("the operands are of the instruction's kinds");
}
