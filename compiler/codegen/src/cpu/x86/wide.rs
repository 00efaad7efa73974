//! The emitter of leaves in wide vectors.

use super::assembler::{
    Assembler, Emitted, Label, Register, byte_ptr, ptr, qword_ptr, r8, r9, r10, r11, r12, r13, r14, r15, rax, rbp, rbx,
    rcx, rdi, rdx, rsi,
};
use super::machine::{Op, Operand, Place, Single, Test, Width};
use super::region::{OutOfRegisters, Region, Step, Vector};
use super::rows::Kept;
use crate::base::{DType, Scalar};
use crate::cpu::arithmetic::{Arithmetic, Cursor, Lanewise, LeafEmitter, Shift, Start};
use crate::kernel::{Binary, Compare, Unary};

/// Parameters of a leaf, as the System V ABI passes them.
const PARAMETERS: [Register; 4] = [rdi, rsi, rdx, rcx];

/// Registers of listed pointers; those from the sixth on belong to the caller. The last listed pointer may take the
/// place of the list itself.
const LISTED: [Register; 12] = [rax, r8, r9, r10, r11, rbx, rbp, r12, r13, r14, r15, rcx];
const OWN: usize = 5;

/// Predicates of float comparisons, and rounding modes that raise no flag.
const EQUAL: u8 = 0;
const LESS: u8 = 1;
const LESS_EQUAL: u8 = 2;
const NOT_EQUAL: u8 = 4;
const GREATER_EQUAL: u8 = 13;
const NEAREST: u8 = 8;
const DOWN: u8 = 9;
const UP: u8 = 10;
const TO_ZERO: u8 = 11;

const HELD: &str = "operands of a leaf fit their instructions";

/// Emits one leaf.
pub(in crate::cpu) struct Wide {
    asm: Assembler,
    width: Width,
    pub(super) region: Region,
    pub(super) variables: u8,
    cursors: Vec<Register>,
    kept: Vec<Register>,
    /// Whether the register of the third parameter holds a pointer, and the parameter lies on the stack until a store.
    lent: bool,
    failed: Option<OutOfRegisters>,
    /// Vectors after the code, each of bits that fill so many lanes before zeros, and where they start.
    constants: Vec<(u32, i64)>,
    table: Option<Label>,
}

impl Wide {
    /// The bytes of the leaf that `body` writes.
    pub(in crate::cpu) fn leaf(width: Width, body: impl FnOnce(&mut Wide)) -> Result<Vec<u8>, OutOfRegisters> {
        let asm = Assembler::default();
        let (region, constants) = (Region::default(), vec![]);
        let (variables, cursors, kept, lent, failed, table) = (0, vec![], vec![], false, None, None);
        let mut wide = Wide { asm, width, region, variables, cursors, kept, lent, failed, constants, table };
        body(&mut wide);
        wide.flush();
        wide.finish()
    }

    /// A leaf that does without its third parameter and may use constants: their table takes that place.
    pub(in crate::cpu) fn chain(width: Width, body: impl FnOnce(&mut Wide)) -> Result<Vec<u8>, OutOfRegisters> {
        Wide::leaf(width, |wide| {
            let table = wide.asm.create_label();
            wide.asm.lea(rdx, ptr(table)).expect(HELD);
            wide.table = Some(table);
            body(wide);
        })
    }

    fn finish(mut self) -> Result<Vec<u8>, OutOfRegisters> {
        if let Some(failed) = self.failed {
            return Err(failed);
        }
        let asm = &mut self.asm;
        let mut emitted = asm.vzeroupper().and_then(|()| {
            self.kept.iter().rev().try_for_each(|register| asm.pop(*register))?;
            asm.ret()
        });
        if let Some(mut table) = self.table {
            let lanes = self.width.lanes() as usize;
            let vector = |(bits, filled): &(u32, i64)| {
                let mut vector = vec![*bits; *filled as usize];
                vector.resize(lanes, 0);
                vector
            };
            let bits: Vec<u32> = self.constants.iter().chain([&(0, 0)]).flat_map(vector).collect();
            emitted = emitted.and_then(|()| asm.set_label(&mut table)).and_then(|()| asm.dd(&bits));
        }
        emitted.expect(HELD);
        Ok(self.asm.assemble())
    }

    pub(super) fn bits(&mut self, bits: u32) -> Vector {
        self.filled(bits, self.width.lanes())
    }

    /// Bits in the first lanes.
    fn filled(&mut self, bits: u32, lanes: i64) -> Vector {
        assert!(self.table.is_some(), "a leaf with constants has a table");
        let number = self.constants.iter().position(|other| *other == (bits, lanes)).unwrap_or_else(|| {
            self.constants.push((bits, lanes));
            self.constants.len() - 1
        });
        self.region.record(Step::Constant(number))
    }

    /// A vector that starts with the same number in every lane.
    pub(in crate::cpu) fn variable_from(&mut self, start: f32) -> u8 {
        let variable = self.variables;
        let start = self.bits(start.to_bits());
        self.variables += 1;
        self.region.record(Step::SetVariable(variable, start));
        self.flush();
        variable
    }

    /// The variable's present value.
    pub(in crate::cpu) fn read(&mut self, variable: u8) -> Vector {
        self.region.record(Step::Variable(variable))
    }

    pub(in crate::cpu) fn set(&mut self, variable: u8, value: Vector) {
        self.region.record(Step::SetVariable(variable, value));
    }

    /// Runs `body` as often as parameter `count` says. Cursors move by what the list of parameter `list` has behind them.
    pub(in crate::cpu) fn each_row(
        &mut self,
        count: usize,
        cursors: &[Cursor],
        list: usize,
        body: &mut dyn FnMut(&mut Self),
    ) {
        assert!(cursors.len() < LISTED.len(), "the list keeps its register");
        self.start(cursors);
        let (count, list) = (PARAMETERS[count], PARAMETERS[list]);
        let mut rows = || {
            let (mut top, mut end) = (self.asm.create_label(), self.asm.create_label());
            self.asm.cmp(count, 1)?;
            self.asm.jl(end)?;
            self.asm.set_label(&mut top)?;
            body(self);
            self.flush();
            for (i, register) in self.cursors.clone().into_iter().enumerate() {
                let step = (self.cursors.len() + i) as i32 * 8;
                self.asm.add(register, qword_ptr(list + step))?;
            }
            self.asm.sub(count, 1)?;
            self.asm.jnz(top)?;
            self.asm.set_label(&mut end)
        };
        rows().expect(HELD);
    }

    /// Makes all lanes of a variable 0.
    pub(in crate::cpu) fn clear(&mut self, variable: u8) {
        self.flush();
        self.width.clear(&mut self.asm, variable);
    }

    /// Moves a cursor.
    pub(in crate::cpu) fn advance(&mut self, cursor: usize, bytes: i64) {
        self.flush();
        if bytes != 0 {
            self.asm.add(self.cursors[cursor], bytes as i32).expect(HELD);
        }
    }

    /// Runs `body` so many times, which are known here; the last parameter's register counts.
    pub(in crate::cpu) fn times(&mut self, turns: i64, body: &mut dyn FnMut(&mut Self)) {
        if turns == 0 {
            return;
        }
        self.flush();
        let count = PARAMETERS[3];
        let mut loops = || {
            let mut top = self.asm.create_label();
            self.asm.mov(count, turns as u64)?;
            self.asm.set_label(&mut top)?;
            body(self);
            self.flush();
            self.asm.sub(count, 1)?;
            self.asm.jnz(top)
        };
        loops().expect(HELD);
    }

    /// A vector that iterations change, from what lies `bytes` past a cursor.
    pub(in crate::cpu) fn variable_at(&mut self, cursor: usize, bytes: i32) -> u8 {
        let variable = self.variables;
        self.variables += 1;
        let place = self.place(cursor, bytes);
        self.width.load(&mut self.asm, variable, place);
        variable
    }

    /// Ends all variables: their registers are free.
    pub(in crate::cpu) fn drop_variables(&mut self) {
        self.flush();
        self.variables = 0;
    }

    /// The first lanes of the vector `bytes` past a cursor, and zeros. What follows them is not touched.
    pub(in crate::cpu) fn load_some(&mut self, cursor: usize, bytes: i32, lanes: i64) -> Vector {
        if lanes == self.width.lanes() {
            return self.load(cursor, bytes);
        }
        let (place, mask) = (self.place(cursor, bytes), self.filled(u32::MAX, lanes));
        self.region.record(Step::LoadSome(place, mask))
    }

    /// As many numbers as a vector has lanes, `bytes` past a cursor, as f32.
    pub(in crate::cpu) fn widen(&mut self, cursor: usize, bytes: i32, kept: Kept) -> Vector {
        match kept {
            Kept::F32 => self.load(cursor, bytes),
            kept => {
                let place = self.place(cursor, bytes);
                self.region.record(Step::Widen(place, kept))
            }
        }
    }

    /// Writes the first lanes of a vector `bytes` past a cursor.
    pub(in crate::cpu) fn store_some(&mut self, cursor: usize, bytes: i32, lanes: i64, value: Vector) {
        if lanes == self.width.lanes() {
            return self.store_at(cursor, bytes, value);
        }
        let (place, mask) = (self.place(cursor, bytes), self.filled(u32::MAX, lanes));
        self.region.record(Step::StoreSome(place, mask, value));
    }

    /// Writes a vector `bytes` past a cursor.
    pub(in crate::cpu) fn store_at(&mut self, cursor: usize, bytes: i32, value: Vector) {
        let place = self.place(cursor, bytes);
        self.region.record(Step::Store(place, value));
    }

    fn apply(&mut self, op: Op, a: Vector, b: Vector) -> Vector {
        self.region.record(Step::Binary(op, a, b))
    }

    fn single(&mut self, op: Single, a: Vector) -> Vector {
        self.region.record(Step::Single(op, a))
    }

    fn test(&mut self, test: Test, a: Vector, b: Vector) -> Vector {
        self.region.record(Step::Test(test, a, b))
    }

    /// f32 to i32: out of range 0x80000000 comes, which all ones turn into the greatest; NaN becomes 0.
    fn saturate(&mut self, a: Vector) -> Vector {
        let word = self.single(Single::ToInteger, a);
        let bound = self.bits(2_147_483_648f32.to_bits());
        let above = self.test(Test::Float(GREATER_EQUAL), a, bound);
        let word = self.apply(Op::Xor, word, above);
        let valid = self.test(Test::Float(EQUAL), a, a);
        self.apply(Op::And, word, valid)
    }

    pub(super) fn flush(&mut self) {
        let emitted = self.region.emit(&mut self.asm, self.width, self.variables);
        self.failed = self.failed.or(emitted.err());
    }

    pub(super) fn place(&self, cursor: usize, bytes: i32) -> Place {
        Place { base: self.cursors[cursor], bytes }
    }

    /// Brings the cursors into registers.
    pub(in crate::cpu) fn start(&mut self, cursors: &[Cursor]) {
        let listed = cursors.iter().filter(|c| matches!(c.start, Start::Listed { .. })).count();
        assert!(listed <= LISTED.len() + 1, "a leaf has at most {} listed pointers", LISTED.len() + 1);
        let mut registers = LISTED.to_vec();
        self.lent = listed > LISTED.len();
        if self.lent {
            registers.insert(LISTED.len() - 1, rdx);
        }
        for register in registers.iter().copied().take(listed).skip(OWN).filter(|r| *r != rcx && *r != rdx) {
            self.asm.push(register).expect(HELD);
            self.kept.push(register);
        }
        if self.lent {
            self.asm.push(rdx).expect(HELD);
        }
        let mut next = registers.into_iter();
        self.cursors.clear();
        for cursor in cursors {
            let register = match cursor.start {
                Start::Parameter(parameter) => PARAMETERS[parameter],
                Start::Listed { list, place } => {
                    let register = next.next().expect("counted above");
                    let from = qword_ptr(PARAMETERS[list] + place as i32 * 8);
                    self.asm.mov(register, from).expect(HELD);
                    register
                }
            };
            self.cursors.push(register);
        }
    }

    /// `while count >= together { body }`.
    fn turns(
        &mut self,
        count: Register,
        cursors: &[Cursor],
        together: i64,
        body: &mut dyn FnMut(&mut Self, i64),
    ) -> Emitted {
        let (mut top, mut end) = (self.asm.create_label(), self.asm.create_label());
        self.asm.cmp(count, together as i32)?;
        self.asm.jl(end)?;
        self.asm.set_label(&mut top)?;
        (0..together).for_each(|step| {
            body(self, step);
            self.flush();
        });
        for (cursor, register) in cursors.iter().zip(self.cursors.clone()).filter(|(cursor, _)| cursor.bytes != 0) {
            self.asm.add(register, (cursor.bytes * together) as i32)?;
        }
        self.asm.sub(count, together as i32)?;
        self.asm.cmp(count, together as i32)?;
        self.asm.jge(top)?;
        self.asm.set_label(&mut end)
    }
}

impl Arithmetic for Wide {
    type Value = Vector;

    fn constant(&mut self, value: Scalar) -> Vector {
        self.bits(match value {
            Scalar::F32(v) => v.to_bits(),
            Scalar::I32(v) => v as u32,
            Scalar::Bool(v) => {
                if v {
                    u32::MAX
                } else {
                    0
                }
            }
            other => unreachable!("{other:?} has more than 32 bits"),
        })
    }

    fn binary(&mut self, op: Binary, dtype: DType, a: Vector, b: Vector) -> Vector {
        let op = match (op, dtype.is_float()) {
            (Binary::Add, true) => Op::Add,
            (Binary::Sub, true) => Op::Sub,
            (Binary::Mul, true) => Op::Mul,
            (Binary::Div, true) => Op::Div,
            (Binary::Add, false) => Op::IntegerAdd,
            (Binary::Sub, false) => Op::IntegerSub,
            (Binary::Mul, false) => Op::IntegerMul,
            (Binary::Min, false) => Op::IntegerMin,
            (Binary::Max, false) => Op::IntegerMax,
            (Binary::And, _) => Op::And,
            (Binary::Or, _) => Op::Or,
            (Binary::Xor, _) => Op::Xor,
            _ => unreachable!("{op:?} of {dtype} is no vector operation"),
        };
        self.apply(op, a, b)
    }

    fn multiply_add(&mut self, dtype: DType, a: Vector, b: Vector, c: Vector) -> Vector {
        if dtype.is_float() {
            return self.region.record(Step::MultiplyAdd(a, b, c));
        }
        let product = self.apply(Op::IntegerMul, a, b);
        self.apply(Op::IntegerAdd, product, c)
    }

    fn unary(&mut self, op: Unary, dtype: DType, a: Vector) -> Vector {
        match (op, dtype.is_float()) {
            (Unary::Neg, true) => {
                let sign = self.bits(1 << 31);
                self.apply(Op::Xor, a, sign)
            }
            (Unary::Abs, true) => {
                let rest = self.bits(u32::MAX >> 1);
                self.apply(Op::And, a, rest)
            }
            (Unary::Sqrt, _) => self.single(Single::Sqrt, a),
            (Unary::Floor, _) => self.single(Single::Round(DOWN), a),
            (Unary::Ceil, _) => self.single(Single::Round(UP), a),
            (Unary::Round, _) => self.single(Single::Round(NEAREST), a),
            (Unary::Trunc, _) => self.single(Single::Round(TO_ZERO), a),
            (Unary::Not, _) => {
                let ones = self.bits(u32::MAX);
                self.apply(Op::Xor, a, ones)
            }
            (Unary::Neg, false) => {
                let zero = self.bits(0);
                self.apply(Op::IntegerSub, zero, a)
            }
            (Unary::Abs, false) => {
                let zero = self.bits(0);
                let negated = self.apply(Op::IntegerSub, zero, a);
                self.apply(Op::IntegerMax, a, negated)
            }
            _ => unreachable!("{op:?} is built from others"),
        }
    }

    fn compare(&mut self, op: Compare, dtype: DType, a: Vector, b: Vector) -> Vector {
        if dtype.is_float() {
            let predicate = match op {
                Compare::Eq => EQUAL,
                Compare::Ne => NOT_EQUAL,
                Compare::Lt => LESS,
                Compare::Le => LESS_EQUAL,
            };
            return self.test(Test::Float(predicate), a, b);
        }
        // Masks are 0 and -1, so that as signed numbers true is the lesser.
        let (a, b) = if dtype == DType::Bool { (b, a) } else { (a, b) };
        let opposite = match op {
            Compare::Eq => return self.test(Test::IntegerEqual, a, b),
            Compare::Lt => return self.test(Test::IntegerGreater, b, a),
            Compare::Ne => self.test(Test::IntegerEqual, a, b),
            Compare::Le => self.test(Test::IntegerGreater, a, b),
        };
        self.unary(Unary::Not, DType::Bool, opposite)
    }

    fn select(&mut self, dtype: DType, condition: Vector, yes: Vector, no: Vector) -> Vector {
        // `a < b ? a : b` and `a < b ? b : a` are what one instruction gives, NaN and signed zeros included.
        if let (DType::F32, Some(Step::Test(Test::Float(LESS), a, b))) = (dtype, self.region.step(condition)) {
            if (yes, no) == (a, b) {
                return self.apply(Op::Min, a, b);
            }
            if (yes, no) == (b, a) {
                return self.apply(Op::Max, b, a);
            }
        }
        self.region.record(Step::Blend(condition, yes, no))
    }

    fn shift(&mut self, shift: Shift, _: DType, a: Vector, amount: u32) -> Vector {
        let amount = amount as u8;
        self.single(
            match shift {
                Shift::Left => Single::ShiftLeft(amount),
                Shift::Arithmetic => Single::ShiftArithmetic(amount),
                Shift::Logical => Single::ShiftLogical(amount),
            },
            a,
        )
    }

    fn reinterpret(&mut self, _: DType, _: DType, a: Vector) -> Vector {
        a
    }

    fn convert(&mut self, from: DType, to: DType, a: Vector) -> Vector {
        match (from, to) {
            _ if from == to => a,
            (DType::I32, DType::F32) => self.single(Single::ToFloat, a),
            (DType::F32, DType::I32) => self.saturate(a),
            (DType::Bool, _) => {
                let one = self.constant(Scalar::from_i64(to, 1));
                self.apply(Op::And, a, one)
            }
            (_, DType::Bool) => {
                let zero = self.constant(Scalar::zero(from));
                self.compare(Compare::Ne, from, a, zero)
            }
            _ => unreachable!("{from} to {to} is not between 32-bit types"),
        }
    }

    fn lanewise(&mut self, op: Lanewise, dtype: DType, _: &[Vector]) -> Vector {
        unreachable!("{op:?} of {dtype} has no vector form")
    }
}

impl LeafEmitter for Wide {
    type Variable = u8;

    fn lanes(&self) -> i64 {
        self.width.lanes()
    }

    fn variable(&mut self) -> u8 {
        let variable = self.variables;
        self.variables += 1;
        self.width.clear(&mut self.asm, variable);
        variable
    }

    fn accumulate(&mut self, variable: u8, a: Vector, b: Vector) {
        self.region.record(Step::Accumulate(variable, a, b));
    }

    fn merge(&mut self, variable: u8, other: u8) {
        self.width.apply(&mut self.asm, Op::Add, variable, variable, Operand::Vector(other));
    }

    fn load(&mut self, cursor: usize, bytes: i32) -> Vector {
        self.region.record(Step::Load(self.place(cursor, bytes)))
    }

    fn broadcast(&mut self, cursor: usize, bytes: i32) -> Vector {
        self.region.record(Step::Broadcast(self.place(cursor, bytes)))
    }

    fn prefetch(&mut self, cursor: usize, bytes: i32) {
        let emitted = self.asm.prefetcht0(byte_ptr(self.cursors[cursor] + bytes));
        emitted.expect(HELD);
    }

    fn prefetch_far(&mut self, cursor: usize, bytes: i32) {
        let emitted = self.asm.prefetcht1(byte_ptr(self.cursors[cursor] + bytes));
        emitted.expect(HELD);
    }

    fn store(&mut self, parameter: usize, bytes: i32, variable: u8) {
        if std::mem::take(&mut self.lent) {
            self.asm.pop(rdx).expect(HELD);
        }
        let to = Place { base: PARAMETERS[parameter], bytes };
        self.width.store(&mut self.asm, to, variable);
    }

    fn each_step(&mut self, count: usize, cursors: &[Cursor], unroll: i64, body: &mut dyn FnMut(&mut Self, i64)) {
        self.start(cursors);
        self.steps(count, cursors, unroll, body);
    }
}

impl Wide {
    /// `each_step` of cursors that were started.
    pub(in crate::cpu) fn steps(
        &mut self,
        count: usize,
        cursors: &[Cursor],
        unroll: i64,
        body: &mut dyn FnMut(&mut Self, i64),
    ) {
        for together in [unroll, 1].into_iter().take(if unroll > 1 { 2 } else { 1 }) {
            let emitted = self.turns(PARAMETERS[count], cursors, together, body);
            emitted.expect(HELD);
        }
    }
}
