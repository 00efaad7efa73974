//! The body of a kernel's entry while it is built: sizes, loops, and the split between parts.

use super::clif::{Clif, Parts, proved};
use super::lower;
use super::nest::Lanes;
use super::select::Isa;
use crate::base::Dim;
use crate::kernel::{AxisId, Kernel, Types};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{FuncRef, InstBuilder, MemFlagsData, StackSlotData, StackSlotKind, Type, Value};
use cranelift_frontend::{FunctionBuilder, Variable};

/// Where expressions find the accumulator of a contraction or of attention.
#[derive(Clone, Copy)]
pub(super) enum Accumulator {
    /// Nowhere: cells hold it.
    None,
    /// At an address, in the accumulator's type; consecutive along the vector axis.
    At(Value),
}

/// An entry under construction. `positions` and `values` are those of the point that is being emitted.
pub(super) struct Driver<'f, 'k> {
    pub(super) b: FunctionBuilder<'f>,
    pub(super) kernel: &'k Kernel,
    pub(super) types: Types,
    pub(super) isa: Isa,
    pub(super) buffers: Vec<Value>,
    pub(super) sizes: Value,
    pub(super) part: Value,
    pub(super) parts: Value,
    pub(super) positions: Vec<Option<Value>>,
    /// The variables of each cell: one as a scalar, or its parts.
    pub(super) cells: Vec<Vec<Variable>>,
    pub(super) accumulator: Accumulator,
    /// Leaf functions that the entry calls.
    pub(super) leaves: Vec<FuncRef>,
    /// The bytes of leaves that were made for this kernel, and the number of the first.
    pub(super) made: Vec<Vec<u8>>,
    pub(super) first_made: u32,
    /// The axis whose neighbours are computed together; `None` for single points.
    pub(super) lanes: Option<Lanes>,
    /// Whether a node's value differs between lanes.
    pub(super) varies: Vec<bool>,
    /// Whether a node's value may change between statements: it depends on a cell or on a buffer that is written.
    pub(super) unstable: Vec<bool>,
    /// What is computed already and still holds.
    pub(super) values: Vec<Option<Parts>>,
}

impl<'f> Driver<'f, '_> {
    /// The emitter for single numbers.
    pub(super) fn single(&mut self) -> Clif<'_, 'f> {
        Clif::new(&mut self.b, 1, self.isa.is_fused())
    }

    /// The emitter for the current lanes.
    pub(super) fn vector(&mut self, lanes: usize) -> Clif<'_, 'f> {
        Clif::new(&mut self.b, lanes, self.isa.is_fused())
    }

    /// A leaf from its bytes.
    pub(super) fn leaf(&mut self, bytes: Vec<u8>, parameters: usize) -> FuncRef {
        let place = self.made.iter().position(|other| *other == bytes).unwrap_or_else(|| {
            self.made.push(bytes);
            self.made.len() - 1
        });
        lower::import(&mut self.b, self.first_made + place as u32, parameters)
    }

    pub(super) fn integer(&mut self, value: i64) -> Value {
        self.b.ins().iconst(I64, value)
    }

    /// A dim from the size block, which no kernel changes. Overflow was excluded by the session check.
    pub(super) fn dim(&mut self, dim: &Dim) -> Value {
        let flags = MemFlagsData::trusted().with_readonly().with_can_move();
        let mut sum = None;
        for (slots, coefficient) in dim.terms() {
            let mut product = None;
            for slot in slots {
                let factor = self.b.ins().load(I64, flags, self.sizes, slot.0 as i32 * 8);
                product = Some(product.map_or(factor, |p| self.b.ins().imul(p, factor)));
            }
            let product = match product {
                None => self.integer(*coefficient),
                Some(product) => self.times(product, *coefficient),
            };
            sum = Some(sum.map_or(product, |s| self.b.ins().iadd(s, product)));
        }
        sum.unwrap_or_else(|| self.integer(0))
    }

    pub(super) fn extent(&mut self, axis: AxisId) -> Value {
        self.dim(&self.kernel.axis(axis).extent)
    }

    /// `a * factor`, by a constant.
    pub(super) fn times(&mut self, a: Value, factor: i64) -> Value {
        match factor {
            1 => a,
            f if f > 0 && f.count_ones() == 1 => self.b.ins().ishl_imm_s(a, i64::from(f.trailing_zeros())),
            f => self.b.ins().imul_imm_s(a, f),
        }
    }

    /// `a * dim`.
    pub(super) fn times_dim(&mut self, a: Value, dim: &Dim) -> Value {
        match dim.as_constant() {
            Some(factor) => self.times(a, factor),
            None => {
                let factor = self.dim(dim);
                self.b.ins().imul(a, factor)
            }
        }
    }

    /// This part's share of `0..extent`.
    pub(super) fn share(&mut self, extent: Value) -> (Value, Value) {
        let next = self.b.ins().iadd_imm_s(self.part, 1);
        let ends = [self.part, next].map(|part| {
            let scaled = self.b.ins().imul(extent, part);
            self.b.ins().sdiv(scaled, self.parts)
        });
        (ends[0], ends[1])
    }

    /// This part's ranges of several extents: of the longest its share, of the others all.
    pub(super) fn shares(&mut self, extents: &[Value]) -> Vec<(Value, Value)> {
        if let [only] = extents {
            return vec![self.share(*only)];
        }
        let which = self.longest(extents);
        self.share_one(extents, which)
    }

    /// The number of the longest extent.
    pub(super) fn longest(&mut self, extents: &[Value]) -> Value {
        let (mut longest, mut which) = (extents[0], self.integer(0));
        for (i, extent) in extents.iter().enumerate().skip(1) {
            let longer = self.b.ins().icmp(IntCC::SignedGreaterThan, *extent, longest);
            let number = self.integer(i as i64);
            longest = self.b.ins().select(longer, *extent, longest);
            which = self.b.ins().select(longer, number, which);
        }
        which
    }

    /// This part's ranges: of one extent, by its number, its share, of the others all.
    pub(super) fn share_one(&mut self, extents: &[Value], which: Value) -> Vec<(Value, Value)> {
        let zero = self.integer(0);
        let mut range = |i: usize, extent: Value| {
            let is_it = self.b.ins().icmp_imm_s(IntCC::Equal, which, i as i64);
            let (from, to) = self.share(extent);
            (self.b.ins().select(is_it, from, zero), self.b.ins().select(is_it, to, extent))
        };
        extents.iter().enumerate().map(|(i, extent)| range(i, *extent)).collect()
    }

    /// `for i in from..to step step`; with a step above 1 the last iteration ends at or before `to`. Gives where it ended.
    pub(super) fn each(&mut self, from: Value, to: Value, step: i64, body: &mut dyn FnMut(&mut Self, Value)) -> Value {
        let (top, inside, end) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let i = self.b.append_block_param(top, I64);
        let limit = if step == 1 { to } else { self.b.ins().iadd_imm_s(to, 1 - step) };
        self.b.ins().jump(top, &[from.into()]);
        self.b.switch_to_block(top);
        let more = self.b.ins().icmp(IntCC::SignedLessThan, i, limit);
        self.b.ins().brif(more, inside, &[], end, &[]);
        self.b.switch_to_block(inside);
        body(self, i);
        let next = self.b.ins().iadd_imm_s(i, step);
        self.b.ins().jump(top, &[next.into()]);
        self.b.switch_to_block(end);
        i
    }

    /// Nested loops over axes, each with its range.
    pub(super) fn each_in(&mut self, axes: &[AxisId], ranges: &[(Value, Value)], body: &mut dyn FnMut(&mut Self)) {
        let (Some((first, rest)), Some((range, ranges))) = (axes.split_first(), ranges.split_first()) else {
            return body(self);
        };
        self.each(range.0, range.1, 1, &mut |d, i| {
            d.positions[first.0 as usize] = Some(i);
            d.each_in(rest, ranges, body);
        });
    }

    /// Nested loops over whole axes.
    pub(super) fn each_position(&mut self, axes: &[AxisId], body: &mut dyn FnMut(&mut Self)) {
        let zero = self.integer(0);
        let ranges: Vec<(Value, Value)> = axes.iter().map(|axis| (zero, self.extent(*axis))).collect();
        self.each_in(axes, &ranges, body);
    }

    /// `if condition { then() }`.
    pub(super) fn when(&mut self, condition: Value, then: &mut dyn FnMut(&mut Self)) {
        let (yes, end) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(condition, yes, &[], end, &[]);
        self.b.switch_to_block(yes);
        then(self);
        self.b.ins().jump(end, &[]);
        self.b.switch_to_block(end);
    }

    /// `if condition { then() } else { otherwise() }`, values of the given types.
    pub(super) fn either(
        &mut self,
        condition: Value,
        kinds: &[Type],
        then: &mut dyn FnMut(&mut Self) -> Vec<Value>,
        otherwise: &mut dyn FnMut(&mut Self) -> Vec<Value>,
    ) -> Vec<Value> {
        let (yes, no, end) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let results: Vec<Value> = kinds.iter().map(|kind| self.b.append_block_param(end, *kind)).collect();
        self.b.ins().brif(condition, yes, &[], no, &[]);
        self.b.switch_to_block(yes);
        let values: Vec<_> = then(self).into_iter().map(Into::into).collect();
        self.b.ins().jump(end, &values);
        self.b.switch_to_block(no);
        let values: Vec<_> = otherwise(self).into_iter().map(Into::into).collect();
        self.b.ins().jump(end, &values);
        self.b.switch_to_block(end);
        results
    }

    /// `both && more`, where there is anything to join.
    pub(super) fn and(&mut self, condition: &mut Option<Value>, more: Value) {
        *condition = Some(condition.map_or(more, |old| self.b.ins().band(old, more)));
    }

    /// Bytes of the stack, 16-byte aligned.
    pub(super) fn stack(&mut self, bytes: usize) -> Value {
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, bytes as u32, 4);
        let slot = self.b.create_sized_stack_slot(data);
        self.b.ins().stack_addr(I64, slot, 0)
    }

    /// A pointer `bytes` past another.
    pub(super) fn offset(&mut self, pointer: Value, bytes: Value) -> Value {
        self.b.ins().iadd(pointer, bytes)
    }

    /// Reads a whole vector or number.
    pub(super) fn read(&mut self, kind: Type, at: Value, bytes: i32) -> Value {
        self.b.ins().load(kind, proved(), at, bytes)
    }

    /// Writes a whole vector or number.
    pub(super) fn write(&mut self, value: Value, at: Value, bytes: i32) {
        self.b.ins().store(proved(), value, at, bytes);
    }
}
