//! A straight line of vector operations: recorded, then given registers by the last use of each value.

use super::assembler::{Assembler, Register, rdx};
use super::machine::{Op, Operand, Place, Single, Test, Width};
use super::rows::Kept;

/// More values are alive at once than the machine has registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu) struct OutOfRegisters;

/// A vector in a region, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cpu) struct Vector(u32);

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Load(Place),
    Broadcast(Place),
    Store(Place, Vector),
    /// The lanes whose mask is all ones, and zeros.
    LoadSome(Place, Vector),
    /// The same lanes alone: `(place, mask, value)`.
    StoreSome(Place, Vector, Vector),
    /// The same bits in every lane, by number in the leaf's table of constants.
    Constant(usize),
    /// A register that outlives the region.
    Variable(u8),
    SetVariable(u8, Vector),
    Single(Single, Vector),
    Binary(Op, Vector, Vector),
    /// `a * b + c`.
    MultiplyAdd(Vector, Vector, Vector),
    Test(Test, Vector, Vector),
    /// `a ? b : c`.
    Blend(Vector, Vector, Vector),
    /// A register that outlives the region += a product.
    Accumulate(u8, Vector, Vector),
    /// The same of integers: += a vector.
    Increase(u8, Vector),
    /// The same of bytes: += the sums of four products each, of unsigned bytes by signed ones.
    Dot(u8, Vector, Vector),
    /// As many bytes as a vector has lanes, as signed or unsigned integers.
    LoadBytes(Place, bool),
    /// As many numbers as a vector has lanes, as f32.
    Widen(Place, Kept),
    /// One byte in every byte of a vector.
    BroadcastByte(Place),
    /// The lanes, which fit so, as signed or unsigned bytes.
    StoreBytes(Place, Vector, bool),
}

/// Where the table of constants is found.
pub(super) const CONSTANTS: Register = rdx;

impl Step {
    /// Whether it does something beside giving a value.
    fn lasts(self) -> bool {
        matches!(
            self,
            Step::Store(..)
                | Step::StoreBytes(..)
                | Step::StoreSome(..)
                | Step::SetVariable(..)
                | Step::Accumulate(..)
                | Step::Increase(..)
                | Step::Dot(..)
        )
    }

    fn inputs(self) -> impl Iterator<Item = Vector> + Clone {
        let inputs = match self {
            Step::Load(_)
            | Step::LoadBytes(..)
            | Step::BroadcastByte(_)
            | Step::Widen(..)
            | Step::Broadcast(_)
            | Step::Constant(_)
            | Step::Variable(_) => [None; 3],
            Step::Store(_, a) | Step::StoreBytes(_, a, _) | Step::SetVariable(_, a) | Step::Increase(_, a) => {
                [Some(a), None, None]
            }
            Step::Single(_, a) | Step::LoadSome(_, a) => [Some(a), None, None],
            Step::Binary(_, a, b)
            | Step::Test(_, a, b)
            | Step::Accumulate(_, a, b)
            | Step::Dot(_, a, b)
            | Step::StoreSome(_, a, b) => [Some(a), Some(b), None],
            Step::MultiplyAdd(a, b, c) | Step::Blend(a, b, c) => [Some(a), Some(b), Some(c)],
        };
        inputs.into_iter().flatten()
    }
}

/// What was recorded since the last `emit`.
#[derive(Default)]
pub(super) struct Region {
    steps: Vec<Step>,
}

impl Region {
    pub(super) fn record(&mut self, step: Step) -> Vector {
        self.steps.push(step);
        Vector(self.steps.len() as u32 - 1)
    }

    /// What gives a value.
    pub(super) fn step(&self, v: Vector) -> Option<Step> {
        self.steps.get(v.0 as usize).copied()
    }

    /// Emits what was recorded and is used, in order, in registers from `first` on.
    pub(super) fn emit(&mut self, asm: &mut Assembler, width: Width, first: u8) -> Result<(), OutOfRegisters> {
        let steps = std::mem::take(&mut self.steps);
        let mut last = vec![usize::MAX; steps.len()];
        for (i, step) in steps.iter().enumerate().rev() {
            if last[i] != usize::MAX || step.lasts() {
                step.inputs().for_each(|v| {
                    let last = &mut last[v.0 as usize];
                    *last = if *last == usize::MAX { i } else { *last };
                });
            }
        }
        let used: Vec<bool> = last.iter().map(|last| *last != usize::MAX).collect();
        let free = (first..width.registers()).rev().collect();
        let homes = vec![Home::Nowhere; steps.len()];
        let mut allocation = Allocation { asm, width, first, free, homes, last };
        let used = |i: usize, step: &Step| used[i] || step.lasts();
        let mut steps = steps.iter().enumerate().filter(|(i, step)| used(*i, step));
        steps.try_for_each(|(i, step)| allocation.emit(i, *step))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    Nowhere,
    Register(u8),
    Constant(usize),
}

struct Allocation<'a> {
    asm: &'a mut Assembler,
    width: Width,
    /// Registers below it are variables.
    first: u8,
    free: Vec<u8>,
    homes: Vec<Home>,
    last: Vec<usize>,
}

impl Allocation<'_> {
    fn emit(&mut self, i: usize, step: Step) -> Result<(), OutOfRegisters> {
        let (width, mut borrowed) = (self.width, Vec::new());
        match step {
            Step::Constant(number) => self.homes[i] = Home::Constant(number),
            Step::Variable(register) => self.homes[i] = Home::Register(register),
            Step::Load(from) | Step::Broadcast(from) => {
                let to = self.take()?;
                match step {
                    Step::Load(_) => width.load(self.asm, to, from),
                    _ => width.broadcast(self.asm, to, from),
                }
                self.homes[i] = Home::Register(to);
            }
            Step::Store(to, a) => {
                let a = self.held(a, &mut borrowed)?;
                width.store(self.asm, to, a);
            }
            Step::LoadSome(from, mask) => {
                let mask = self.held(mask, &mut borrowed)?;
                let to = self.take()?;
                width.load_some(self.asm, to, mask, from);
                self.homes[i] = Home::Register(to);
            }
            Step::StoreSome(to, mask, a) => {
                let [mask, a] = [self.held(mask, &mut borrowed)?, self.held(a, &mut borrowed)?];
                width.store_some(self.asm, to, mask, a);
            }
            Step::SetVariable(register, a) => {
                let a = self.held(a, &mut borrowed)?;
                width.single(self.asm, Single::Move, register, a);
            }
            Step::Accumulate(register, a, b) => {
                let (a, b) = (self.held(a, &mut borrowed)?, self.operand(b));
                width.apply(self.asm, Op::Fma231, register, a, b);
            }
            Step::Increase(register, a) => {
                let a = self.operand(a);
                width.apply(self.asm, Op::IntegerAdd, register, register, a);
            }
            Step::Dot(register, a, b) => {
                let (a, b) = (self.held(a, &mut borrowed)?, self.operand(b));
                width.apply(self.asm, Op::DotBytes, register, a, b);
            }
            Step::LoadBytes(from, signed) => {
                let to = self.take()?;
                width.load_bytes(self.asm, to, from, signed);
                self.homes[i] = Home::Register(to);
            }
            Step::Widen(from, kept) => {
                let to = self.take()?;
                width.widen(self.asm, to, from, kept);
                self.homes[i] = Home::Register(to);
            }
            Step::BroadcastByte(from) => {
                let to = self.take()?;
                width.broadcast_byte(self.asm, to, from);
                self.homes[i] = Home::Register(to);
            }
            Step::StoreBytes(to, a, signed) => {
                let a = self.held(a, &mut borrowed)?;
                let spare = self.take()?;
                borrowed.push(spare);
                width.store_bytes(self.asm, to, a, spare, signed);
            }
            Step::Single(op, a) => {
                let a = self.held(a, &mut borrowed)?;
                let to = self.result(i, step)?;
                width.single(self.asm, op, to, a);
            }
            Step::Binary(op, a, b) => {
                let swap = op.commutes() && matches!(self.homes[a.0 as usize], Home::Constant(_));
                let (a, b) = if swap { (b, a) } else { (a, b) };
                let (a, b) = (self.held(a, &mut borrowed)?, self.operand(b));
                let to = self.result(i, step)?;
                width.apply(self.asm, op, to, a, b);
            }
            Step::Test(test, a, b) => {
                let [a, b] = [self.held(a, &mut borrowed)?, self.held(b, &mut borrowed)?];
                let to = self.result(i, step)?;
                width.test(self.asm, test, to, a, b);
            }
            Step::Blend(mask, yes, no) => {
                let mask = self.held(mask, &mut borrowed)?;
                let [yes, no] = [self.held(yes, &mut borrowed)?, self.held(no, &mut borrowed)?];
                let to = self.result(i, step)?;
                width.blend(self.asm, to, mask, yes, no);
            }
            Step::MultiplyAdd(a, b, c) => self.multiply_add(i, a, b, c, &mut borrowed)?,
        }
        self.free.extend(borrowed);
        let ended = step.inputs().filter(|v| self.last[v.0 as usize] == i && self.homes[v.0 as usize] != self.homes[i]);
        ended.collect::<Vec<_>>().into_iter().for_each(|v| self.release(v));
        if self.last[i] == usize::MAX {
            self.release(Vector(i as u32));
        }
        Ok(())
    }

    /// Destructive: the result takes the place of an operand that ends here, else of a copy.
    fn multiply_add(
        &mut self,
        i: usize,
        a: Vector,
        b: Vector,
        c: Vector,
        borrowed: &mut Vec<u8>,
    ) -> Result<(), OutOfRegisters> {
        let ends = |allocation: &Self, v: Vector| match allocation.homes[v.0 as usize] {
            Home::Register(register) if allocation.last[v.0 as usize] == i && register >= allocation.first => {
                Some(register)
            }
            _ => None,
        };
        let (to, op, x, y) = if let Some(to) = ends(self, c).filter(|_| c != a && c != b) {
            let x = self.held(a, borrowed)?;
            (to, Op::Fma231, x, self.operand(b))
        } else if let Some(to) = ends(self, a).filter(|_| a != b && a != c) {
            let x = self.held(b, borrowed)?;
            (to, Op::Fma213, x, self.operand(c))
        } else if let Some(to) = ends(self, b).filter(|_| b != a && b != c) {
            let x = self.held(a, borrowed)?;
            (to, Op::Fma213, x, self.operand(c))
        } else {
            let (x, y) = (self.held(a, borrowed)?, self.held(b, borrowed)?);
            let to = self.take()?;
            match self.operand(c) {
                Operand::Vector(c) => self.width.single(self.asm, Single::Move, to, c),
                Operand::Memory(place) => self.width.load(self.asm, to, place),
            }
            (to, Op::Fma231, x, Operand::Vector(y))
        };
        self.width.apply(self.asm, op, to, x, y);
        self.homes[i] = Home::Register(to);
        Ok(())
    }

    fn take(&mut self) -> Result<u8, OutOfRegisters> {
        self.free.pop().ok_or(OutOfRegisters)
    }

    /// A register for the result of step `i`, perhaps that of an input which ends there. The instruction reads all its
    /// inputs before it writes.
    fn result(&mut self, i: usize, step: Step) -> Result<u8, OutOfRegisters> {
        step.inputs().filter(|v| self.last[v.0 as usize] == i).collect::<Vec<_>>().into_iter().for_each(|v| {
            self.release(v);
        });
        let to = self.take()?;
        self.homes[i] = Home::Register(to);
        Ok(to)
    }

    fn release(&mut self, v: Vector) {
        if let Home::Register(register) = self.homes[v.0 as usize]
            && register >= self.first
            && !self.free.contains(&register)
        {
            self.free.push(register);
        }
    }

    /// The register of a value; a constant is loaded into one that the step borrows.
    fn held(&mut self, v: Vector, borrowed: &mut Vec<u8>) -> Result<u8, OutOfRegisters> {
        match self.operand(v) {
            Operand::Vector(register) => Ok(register),
            Operand::Memory(place) => {
                let to = self.take()?;
                self.width.load(self.asm, to, place);
                borrowed.push(to);
                Ok(to)
            }
        }
    }

    fn operand(&self, v: Vector) -> Operand {
        match self.homes[v.0 as usize] {
            Home::Register(register) => Operand::Vector(register),
            Home::Constant(number) => {
                let bytes = number as i32 * self.width.lanes() as i32 * 4;
                Operand::Memory(Place { base: CONSTANTS, bytes })
            }
            Home::Nowhere => unreachable!("values are made before they are used"),
        }
    }
}
