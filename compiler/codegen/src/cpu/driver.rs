//! Sizes, addresses, single elements, loops and the split between parts.

use crate::base::{DType, Dim, Storage};
use crate::kernel::{Access, AxisId, Index, Kernel, Source, Store};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F64, I8, I32, I64};
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, Value};
use cranelift_frontend::{FunctionBuilder, Variable};

/// The body of a kernel's function while it is built.
pub(super) struct Driver<'f, 'k> {
    pub(super) b: FunctionBuilder<'f>,
    pub(super) kernel: &'k Kernel,
    pub(super) types: &'k [DType],
    pub(super) part: Value,
    pub(super) positions: Vec<Option<Value>>,
    pub(super) cells: Vec<Variable>,
    buffers: Value,
    sizes: Value,
    parts: Value,
}

/// Memory that the session check has proved to be there.
pub(super) fn trusted() -> MemFlagsData {
    MemFlagsData::trusted()
}

/// The register type of a compute type.
pub(super) fn register(dtype: DType) -> ir::Type {
    match dtype.compute() {
        DType::F64 => F64,
        DType::F32 => F32,
        DType::I64 => I64,
        DType::Bool => I8,
        _ => I32,
    }
}

impl<'f, 'k> Driver<'f, 'k> {
    pub(super) fn new(b: FunctionBuilder<'f>, kernel: &'k Kernel, types: &'k [DType]) -> Self {
        let block = b.current_block().expect("a block is current");
        let [buffers, sizes, part, parts] =
            <[Value; 4]>::try_from(b.func.dfg.block_params(block)).expect("four parameters");
        let positions = vec![None; kernel.axes.len()];
        Driver { b, kernel, types, part, positions, cells: vec![], buffers, sizes, parts }
    }

    pub(super) fn integer(&mut self, value: i64) -> Value {
        self.b.ins().iconst(I64, value)
    }

    /// A dim from the size block. Overflow was excluded by the session check.
    pub(super) fn dim(&mut self, dim: &Dim) -> Value {
        let mut sum = None;
        for (slots, coefficient) in dim.terms() {
            let mut product = self.integer(*coefficient);
            for slot in slots {
                let factor = self.b.ins().load(I64, trusted(), self.sizes, slot.0 as i32 * 8);
                product = self.b.ins().imul(product, factor);
            }
            sum = Some(sum.map_or(product, |s| self.b.ins().iadd(s, product)));
        }
        sum.unwrap_or_else(|| self.integer(0))
    }

    /// This part's share of `0..extent`.
    fn share(&mut self, extent: Value) -> (Value, Value) {
        let next = self.b.ins().iadd_imm_s(self.part, 1);
        let ends = [self.part, next].map(|p| {
            let scaled = self.b.ins().imul(extent, p);
            self.b.ins().sdiv(scaled, self.parts)
        });
        (ends[0], ends[1])
    }

    /// `for position in 0..extent`, or in this part's share of it.
    pub(super) fn each_position(&mut self, axis: AxisId, split: bool, body: &mut dyn FnMut(&mut Self)) {
        let extent = self.dim(&self.kernel.axis(axis).extent);
        let (from, to) = if split { self.share(extent) } else { (self.integer(0), extent) };
        let (top, inside, end) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let i = self.b.append_block_param(top, I64);
        self.b.ins().jump(top, &[from.into()]);
        self.b.switch_to_block(top);
        let more = self.b.ins().icmp(IntCC::SignedLessThan, i, to);
        self.b.ins().brif(more, inside, &[], end, &[]);
        self.b.switch_to_block(inside);
        self.positions[axis.0 as usize] = Some(i);
        body(self);
        self.positions[axis.0 as usize] = None;
        let next = self.b.ins().iadd_imm_s(i, 1);
        self.b.ins().jump(top, &[next.into()]);
        self.b.switch_to_block(end);
    }

    /// Runs `then` only where `condition` is not zero.
    pub(super) fn when(&mut self, condition: Value, then: &mut dyn FnMut(&mut Self)) {
        let (yes, end) = (self.b.create_block(), self.b.create_block());
        self.b.ins().brif(condition, yes, &[], end, &[]);
        self.b.switch_to_block(yes);
        then(self);
        self.b.ins().jump(end, &[]);
        self.b.switch_to_block(end);
    }

    /// The element an access touches, and whether all guards hold (`None`: there are none). `values` are the computed
    /// coordinates as i64, in order.
    fn element(&mut self, access: &Access, values: &[Value]) -> (Value, Option<Value>) {
        let mut element = self.dim(&access.base);
        let mut inside: Option<Value> = None;
        let mut values = values.iter();
        for coord in &access.coords {
            let position = match &coord.source {
                Source::Index(index) => self.index(index),
                Source::Value(_) => *values.next().expect("one value per computed coordinate"),
            };
            if let Some(guard) = &coord.guard {
                let guard = self.dim(guard);
                // Unsigned: a negative position is a large one. A negative guard is empty, so the sign is checked too.
                let below = self.b.ins().icmp(IntCC::UnsignedLessThan, position, guard);
                let some = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThan, guard, 0);
                let holds = self.b.ins().band(below, some);
                inside = Some(inside.map_or(holds, |other| self.b.ins().band(other, holds)));
            }
            let stride = self.dim(&coord.stride);
            let step = self.b.ins().imul(position, stride);
            element = self.b.ins().iadd(element, step);
        }
        (element, inside)
    }

    fn index(&mut self, index: &Index) -> Value {
        let mut sum = self.dim(&index.plus);
        for (axis, coefficient) in &index.terms {
            let position = self.positions[axis.0 as usize].expect("the statement's axes are bound");
            let factor = self.integer(*coefficient);
            let step = self.b.ins().imul(position, factor);
            sum = self.b.ins().iadd(sum, step);
        }
        if index.div != 1 {
            sum = self.floor_divide(sum, index.div);
        }
        match index.modulus {
            None => sum,
            Some(m) => {
                let quotient = self.floor_divide(sum, m);
                let m = self.integer(m);
                let whole = self.b.ins().imul(quotient, m);
                self.b.ins().isub(sum, whole)
            }
        }
    }

    fn floor_divide(&mut self, a: Value, divisor: i64) -> Value {
        if divisor.count_ones() == 1 {
            return self.b.ins().sshr_imm_s(a, i64::from(divisor.trailing_zeros()));
        }
        let divisor = self.integer(divisor);
        let quotient = self.b.ins().sdiv(a, divisor);
        let remainder = self.b.ins().srem(a, divisor);
        let below = self.b.ins().ushr_imm_s(remainder, 63);
        self.b.ins().isub(quotient, below)
    }

    fn address(&mut self, access: &Access, element: Value) -> (Value, DType) {
        let Storage::Plain(dtype) = self.kernel.buffer(access.buffer).storage else {
            unreachable!("the verifier refuses packed buffers")
        };
        let base = self.b.ins().load(I64, trusted(), self.buffers, access.buffer.0 as i32 * 8);
        let shift = (dtype.bits() / 8).trailing_zeros();
        let bytes = self.b.ins().ishl_imm_s(element, i64::from(shift));
        (self.b.ins().iadd(base, bytes), dtype)
    }

    /// One element in its compute type; the fill outside a guard.
    pub(super) fn load(&mut self, access: &Access, values: &[Value]) -> Value {
        let (element, inside) = self.element(access, values);
        let Some(inside) = inside else {
            let (at, dtype) = self.address(access, element);
            return self.load_at(at, dtype);
        };
        let (yes, end) = (self.b.create_block(), self.b.create_block());
        let result = self.b.append_block_param(end, register(access.fill.dtype()));
        let fill = self.constant(access.fill);
        self.b.ins().brif(inside, yes, &[], end, &[fill.into()]);
        self.b.switch_to_block(yes);
        let (at, dtype) = self.address(access, element);
        let value = self.load_at(at, dtype);
        self.b.ins().jump(end, &[value.into()]);
        self.b.switch_to_block(end);
        result
    }

    /// Stores one element, converted to the buffer's type; nothing outside a guard.
    pub(super) fn store(&mut self, store: &Store, value: Value, values: &[Value]) {
        let from = self.types[store.value.0 as usize];
        let (element, inside) = self.element(&store.access, values);
        let mut write = |d: &mut Self| {
            let (at, dtype) = d.address(&store.access, element);
            let value = d.convert(value, from, dtype);
            d.store_at(at, value, dtype);
        };
        match inside {
            Some(inside) => self.when(inside, &mut write),
            None => write(self),
        }
    }
}
