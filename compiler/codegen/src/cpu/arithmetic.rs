//! The contract between expressions and machines: the few operations that all else is written over.
//!
//! `Arithmetic` is enough for expressions and elementary functions; scalar and 128-bit Cranelift IR implement it.
//! `LeafEmitter` is what the body of a contraction needs: places in memory, variables that live across iterations, and
//! a loop. The portable emitter implements it, and that of wide vectors (AVX2, AVX-512).
//! Values are of compute types; the caller says which, an emitter keeps no types.

use crate::base::{DType, Scalar};
use crate::kernel::{Binary, Compare, Unary};

/// Bit shifts by a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shift {
    /// Zeros come in from the right.
    Left,
    /// The sign comes in from the left.
    Arithmetic,
    /// Zeros come in from the left.
    Logical,
}

/// Operations that have no vector form: an emitter of vectors does them lane by lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lanewise {
    /// Of integers: `Div`, `Mod`, `Pow`, `Shl`, `Shr`; of floats: `Mod`, `Pow`.
    Binary(Binary),
    /// `Sin` and `Cos`, whose arguments may be large.
    Unary(Unary),
}

/// Typed arithmetic on one kind of value.
pub(super) trait Arithmetic {
    /// One number, or a vector of them.
    type Value: Copy;

    /// A literal.
    fn constant(&mut self, value: Scalar) -> Self::Value;

    /// `Add`, `Sub`, `Mul`; `Div` of floats; `Min` and `Max` of integers; `And`, `Or`, `Xor`.
    fn binary(&mut self, op: Binary, dtype: DType, a: Self::Value, b: Self::Value) -> Self::Value;

    /// `a * b + c`, rounded once where the machine can.
    fn multiply_add(&mut self, dtype: DType, a: Self::Value, b: Self::Value, c: Self::Value) -> Self::Value;

    /// `Neg`, `Abs`, `Not`; `Sqrt`, `Floor`, `Ceil`, `Round`, `Trunc` of floats.
    fn unary(&mut self, op: Unary, dtype: DType, a: Self::Value) -> Self::Value;

    /// A bool.
    fn compare(&mut self, op: Compare, dtype: DType, a: Self::Value, b: Self::Value) -> Self::Value;

    /// `if condition { yes } else { no }`.
    fn select(&mut self, dtype: DType, condition: Self::Value, yes: Self::Value, no: Self::Value) -> Self::Value;

    /// A shift of integers.
    fn shift(&mut self, shift: Shift, dtype: DType, a: Self::Value, amount: u32) -> Self::Value;

    /// The bits of a float as the integer of its width, or back.
    fn reinterpret(&mut self, from: DType, to: DType, a: Self::Value) -> Self::Value;

    /// Between compute types: floats to integers saturate with NaN giving 0, integers wrap, to bool by `!= 0`.
    fn convert(&mut self, from: DType, to: DType, a: Self::Value) -> Self::Value;

    /// What has no vector form.
    fn lanewise(&mut self, op: Lanewise, dtype: DType, operands: &[Self::Value]) -> Self::Value;
}

/// Where a cursor starts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    /// At a parameter of the leaf.
    Parameter(usize),
    /// At pointer `place` of the list that parameter `list` points to.
    Listed { list: usize, place: usize },
}

/// A pointer that a leaf's loop moves, `bytes` a step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    pub(super) start: Start,
    pub(super) bytes: i64,
}

/// What the body of a contraction is written over beside arithmetic. Values are vectors of f32.
pub(super) trait LeafEmitter: Arithmetic {
    /// A vector that lives across iterations.
    type Variable: Copy;

    /// f32 lanes of a vector.
    fn lanes(&self) -> i64;

    /// A vector of zeros that iterations change.
    fn variable(&mut self) -> Self::Variable;

    /// `variable += a * b`.
    fn accumulate(&mut self, variable: Self::Variable, a: Self::Value, b: Self::Value);

    /// `variable += other`.
    fn merge(&mut self, variable: Self::Variable, other: Self::Variable);

    /// The vector `bytes` past a cursor.
    fn load(&mut self, cursor: usize, bytes: i32) -> Self::Value;

    /// The number `bytes` past a cursor in every lane.
    fn broadcast(&mut self, cursor: usize, bytes: i32) -> Self::Value;

    /// Says that what lies `bytes` past a cursor will be read soon; it may lie outside every buffer.
    fn prefetch(&mut self, cursor: usize, bytes: i32);

    /// The same of what will be read later, which need not come nearer than the second-level cache.
    fn prefetch_far(&mut self, cursor: usize, bytes: i32);

    /// Writes a variable to `bytes` past a parameter's pointer.
    fn store(&mut self, parameter: usize, bytes: i32, variable: Self::Variable);

    /// Runs `body(step)` for steps `0..count`, the parameter's value, moving the cursors; `unroll` steps to an iteration.
    fn each_step(&mut self, count: usize, cursors: &[Cursor], unroll: i64, body: &mut dyn FnMut(&mut Self, i64));
}
