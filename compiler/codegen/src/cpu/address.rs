//! From accesses to elements: positions, guards, and how an access moves along an axis.

use super::driver::Driver;
use crate::base::{DType, Dim};
use crate::kernel::{Access, AxisId, Coord, Index, Kernel, Source};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, Value};

/// How an access changes when an axis moves by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Motion {
    /// Not at all.
    Fixed,
    /// By so many elements.
    Step(Dim),
    /// Otherwise.
    Free,
}

/// The motion of an access along an axis. Guards do not count: they bound where it may go, not how.
pub(super) fn motion(kernel: &Kernel, access: &Access, axis: AxisId) -> Motion {
    if !kernel.access_mentions(access, axis) {
        return Motion::Fixed;
    }
    let mut step = Dim::from(0);
    for coord in &access.coords {
        match &coord.source {
            Source::Index(index) => match index_step(kernel, index, axis) {
                Some(coefficient) => step = step + coord.stride.clone() * coefficient,
                None => return Motion::Free,
            },
            Source::Value(value) if kernel.value_mentions(*value, axis) => return Motion::Free,
            Source::Value(_) => {}
        }
    }
    Motion::Step(step)
}

/// What a quasi-affine index gains per step of an axis; `None` where that is not constant. A division by `div` is seen
/// through where the rest of the sum is a multiple of `div` and the axis stays below it.
fn index_step(kernel: &Kernel, index: &Index, axis: AxisId) -> Option<i64> {
    let coefficient = index.terms.iter().find(|(a, _)| *a == axis).map_or(0, |(_, c)| *c);
    if coefficient == 0 {
        return Some(0);
    }
    if index.is_affine() {
        return Some(coefficient);
    }
    let extent = kernel.axis(axis).extent.as_constant()?;
    let reach = coefficient.checked_mul(extent - 1)?;
    let multiple_of = |number: i64| {
        index.terms.iter().all(|(a, c)| *a == axis || c % number == 0)
            && index.plus.terms().iter().all(|(_, c)| c % number == 0)
    };
    let (div, modulus) = (index.div, index.modulus.unwrap_or(1));
    if div > 1 {
        let inside = (0..div).contains(&reach) && coefficient > 0 && multiple_of(div);
        return inside.then_some(0);
    }
    let inside = (0..modulus).contains(&reach) && coefficient > 0 && multiple_of(modulus);
    inside.then_some(coefficient)
}

/// Whether a coordinate's guard depends on an axis.
fn guarded_along(kernel: &Kernel, coord: &Coord, axis: AxisId) -> bool {
    coord.guard.is_some()
        && match &coord.source {
            Source::Index(index) => index.mentions(axis),
            Source::Value(value) => kernel.value_mentions(*value, axis),
        }
}

/// Whether some guard of an access depends on an axis.
pub(super) fn is_guarded_along(kernel: &Kernel, access: &Access, axis: AxisId) -> bool {
    access.coords.iter().any(|coord| guarded_along(kernel, coord, axis))
}

impl Driver<'_, '_> {
    /// The element an access touches here, and whether all guards hold (`None`: there are none). With `along`, an axis
    /// and a count, guards hold for that many positions from here on.
    pub(super) fn element(&mut self, access: &Access, along: Option<(AxisId, i64)>) -> (Value, Option<Value>) {
        let mut element = None;
        let mut inside: Option<Value> = None;
        for coord in &access.coords {
            let position = match &coord.source {
                Source::Index(index) => self.index(index),
                Source::Value(value) => self.computed_position(*value),
            };
            if let Some(guard) = &coord.guard {
                let guard = self.dim(guard);
                // Unsigned: a negative position is a large one.
                let holds = self.b.ins().icmp(IntCC::UnsignedLessThan, position, guard);
                self.and(&mut inside, holds);
                if let (Some((axis, count)), Source::Index(index)) = (along, &coord.source)
                    && guarded_along(self.kernel, coord, axis)
                {
                    let step = index_step(self.kernel, index, axis).expect("the access moves by steps");
                    let last = self.b.ins().iadd_imm_s(position, step * (count - 1));
                    let holds = self.b.ins().icmp(IntCC::UnsignedLessThan, last, guard);
                    self.and(&mut inside, holds);
                }
            }
            let step = self.times_dim(position, &coord.stride);
            element = Some(element.map_or(step, |sum| self.b.ins().iadd(sum, step)));
        }
        let base = (access.base.as_constant() != Some(0)).then(|| self.dim(&access.base));
        let element = match (element, base) {
            (Some(element), Some(base)) => self.b.ins().iadd(element, base),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => self.integer(0),
        };
        (element, inside)
    }

    fn computed_position(&mut self, value: crate::kernel::ExprId) -> Value {
        let dtype = self.types.of(value);
        let number = self.uniform(value);
        if dtype == DType::I32 { self.b.ins().sextend(I64, number) } else { number }
    }

    /// The value of a quasi-affine index here.
    pub(super) fn index(&mut self, index: &Index) -> Value {
        let mut sum = None;
        for (axis, coefficient) in &index.terms {
            let position = self.positions[axis.0 as usize].expect("the skeleton binds its axes");
            let step = self.times(position, *coefficient);
            sum = Some(sum.map_or(step, |sum| self.b.ins().iadd(sum, step)));
        }
        let plus = (index.plus.as_constant() != Some(0)).then(|| self.dim(&index.plus));
        let sum = match (sum, plus) {
            (Some(sum), Some(plus)) => self.b.ins().iadd(sum, plus),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => self.integer(0),
        };
        let quotient = if index.div == 1 { sum } else { self.floor_divide(sum, index.div) };
        match index.modulus {
            None => quotient,
            Some(m) if m.count_ones() == 1 => self.b.ins().band_imm_s(quotient, m - 1),
            Some(m) => {
                let turns = self.floor_divide(quotient, m);
                let whole = self.times(turns, m);
                self.b.ins().isub(quotient, whole)
            }
        }
    }

    pub(super) fn floor_divide(&mut self, a: Value, divisor: i64) -> Value {
        if divisor.count_ones() == 1 {
            return self.b.ins().sshr_imm_s(a, i64::from(divisor.trailing_zeros()));
        }
        let divisor = self.integer(divisor);
        let quotient = self.b.ins().sdiv(a, divisor);
        let remainder = self.b.ins().srem(a, divisor);
        let below = self.b.ins().ushr_imm_s(remainder, 63);
        self.b.ins().isub(quotient, below)
    }

    /// Binds axes to the positions of a flat index.
    pub(super) fn unflatten(&mut self, axes: &[AxisId], flat: Value) {
        let mut rest = flat;
        for (i, axis) in axes.iter().enumerate().rev() {
            if i == 0 {
                self.positions[axis.0 as usize] = Some(rest);
            } else {
                let extent = self.extent(*axis);
                self.positions[axis.0 as usize] = Some(self.b.ins().urem(rest, extent));
                rest = self.b.ins().udiv(rest, extent);
            }
        }
    }
}
