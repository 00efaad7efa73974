//! The portable emitter: one number, or `lanes` of them in 128-bit vectors, as Cranelift IR.
//!
//! A value is a row of *parts*: one scalar, or as many vectors as the lanes fill (64-bit types fill twice as many as
//! 32-bit ones). Bools are 0 or 1 as scalars and masks of 32-bit lanes as vectors. What a lane computes does not depend on
//! how many there are, so scalar tails and vectors agree bit by bit.

use super::arithmetic::{Arithmetic, Cursor, Lanewise, LeafEmitter, Shift, Start};
use super::{lanes, lanewise};
use crate::base::{DType, Scalar};
use crate::kernel::{Binary, Compare, Unary};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::types::{F32, F32X4, F64, F64X2, I8, I32, I32X4, I64, I64X2};
use cranelift_codegen::ir::{BlockArg, Endianness, InstBuilder, MemFlagsData, Type, Value};
use cranelift_frontend::{FunctionBuilder, Variable};

/// The parts of a value.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    parts: [Value; 8],
    len: u8,
}

impl Parts {
    pub(super) fn one(value: Value) -> Self {
        Parts { parts: [value; 8], len: 1 }
    }

    pub(super) fn new(values: impl IntoIterator<Item = Value>) -> Self {
        let mut values = values.into_iter();
        let mut parts = Parts::one(values.next().expect("a value has a part"));
        for value in values {
            parts.parts[usize::from(parts.len)] = value;
            parts.len += 1;
        }
        parts
    }

    pub(super) fn all(&self) -> &[Value] {
        &self.parts[..usize::from(self.len)]
    }

    /// The only part of a scalar.
    pub(super) fn scalar(&self) -> Value {
        assert!(self.len == 1, "a scalar has one part");
        self.parts[0]
    }
}

/// Emits into a function under construction.
pub(super) struct Clif<'a, 'f> {
    pub(super) b: &'a mut FunctionBuilder<'f>,
    /// 1 for scalars.
    pub(super) lanes: usize,
    /// Whether the machine multiplies and adds in one instruction.
    pub(super) fused: bool,
    /// What a leaf's body stands on.
    leaf: Leaf,
}

#[derive(Default)]
struct Leaf {
    parameters: Vec<Value>,
    cursors: Vec<Value>,
}

/// Memory that the session check has proved to be there. No alignment is promised: artifacts may be cut anywhere.
pub(super) fn proved() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// For bit casts between vectors.
pub(super) fn little_endian() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}

/// The scalar type that holds a compute type.
pub(super) fn scalar_type(dtype: DType) -> Type {
    match dtype {
        DType::F64 => F64,
        DType::F32 => F32,
        DType::I64 => I64,
        DType::I32 => I32,
        DType::Bool => I8,
        other => unreachable!("{other} is no compute type"),
    }
}

/// The 128-bit type that holds lanes of a compute type.
pub(super) fn vector_type(dtype: DType) -> Type {
    match dtype {
        DType::F64 => F64X2,
        DType::F32 => F32X4,
        DType::I64 => I64X2,
        DType::I32 | DType::Bool => I32X4,
        other => unreachable!("{other} is no compute type"),
    }
}

/// Whether two lanes fill a vector, not four.
pub(super) fn wide(dtype: DType) -> bool {
    matches!(dtype, DType::F64 | DType::I64)
}

impl<'a, 'f> Clif<'a, 'f> {
    pub(super) fn new(b: &'a mut FunctionBuilder<'f>, lanes: usize, fused: bool) -> Self {
        Clif { b, lanes, fused, leaf: Leaf::default() }
    }

    /// The emitter of a leaf with these parameters.
    pub(super) fn leaf(b: &'a mut FunctionBuilder<'f>, fused: bool, parameters: &[Value]) -> Self {
        Clif { b, lanes: 4, fused, leaf: Leaf { parameters: parameters.to_vec(), cursors: vec![] } }
    }

    fn start(&mut self, start: Start) -> Value {
        match start {
            Start::Parameter(parameter) => self.leaf.parameters[parameter],
            Start::Listed { list, place } => {
                self.b.ins().load(I64, proved(), self.leaf.parameters[list], place as i32 * 8)
            }
        }
    }

    /// The number at a cursor.
    pub(super) fn load_one(&mut self, cursor: usize) -> Parts {
        Parts::one(self.b.ins().load(F32, proved(), self.leaf.cursors[cursor], 0))
    }

    pub(super) fn is_vector(&self) -> bool {
        self.lanes > 1
    }

    /// The type of a part.
    pub(super) fn part_type(&self, dtype: DType) -> Type {
        if self.is_vector() { vector_type(dtype) } else { scalar_type(dtype) }
    }

    /// How many parts a value has.
    pub(super) fn part_count(&self, dtype: DType) -> usize {
        match self.is_vector() {
            true => self.lanes / if wide(dtype) { 2 } else { 4 },
            false => 1,
        }
    }

    fn map(&mut self, a: Parts, mut op: impl FnMut(&mut Self, Value) -> Value) -> Parts {
        Parts::new(a.all().iter().map(|a| op(self, *a)).collect::<Vec<_>>())
    }

    fn zip(&mut self, a: Parts, b: Parts, mut op: impl FnMut(&mut Self, Value, Value) -> Value) -> Parts {
        Parts::new(a.all().iter().zip(b.all()).map(|(a, b)| op(self, *a, *b)).collect::<Vec<_>>())
    }

    /// A uniform number in every lane.
    pub(super) fn splat(&mut self, dtype: DType, value: Value) -> Parts {
        if !self.is_vector() {
            return Parts::one(value);
        }
        let value = match dtype {
            DType::Bool => {
                let word = self.b.ins().uextend(I32, value);
                self.b.ins().ineg(word)
            }
            _ => value,
        };
        let vector = self.b.ins().splat(vector_type(dtype), value);
        Parts::new((0..self.part_count(dtype)).map(|_| vector))
    }

    fn bits_of(&mut self, value: Scalar) -> Value {
        match value {
            Scalar::F64(v) => self.b.ins().f64const(v),
            Scalar::F32(v) => self.b.ins().f32const(v),
            Scalar::I64(v) => self.b.ins().iconst(I64, v),
            Scalar::I32(v) => self.b.ins().iconst(I32, i64::from(v)),
            Scalar::Bool(v) => self.b.ins().iconst(I8, i64::from(v)),
        }
    }

    fn vector_constant(&mut self, value: Scalar) -> Value {
        let bytes: Vec<u8> = match value {
            Scalar::F64(v) => v.to_le_bytes().repeat(2),
            Scalar::I64(v) => v.to_le_bytes().repeat(2),
            Scalar::F32(v) => v.to_le_bytes().repeat(4),
            Scalar::I32(v) => v.to_le_bytes().repeat(4),
            Scalar::Bool(v) => vec![if v { 0xff } else { 0 }; 16],
        };
        let constant = self.b.func.dfg.constants.insert(bytes.into());
        self.b.ins().vconst(vector_type(value.dtype()), constant)
    }

    /// The lanes of a mask, as wide as the lanes of `dtype`.
    fn masks(&mut self, dtype: DType, mask: Parts) -> Parts {
        if !wide(dtype) {
            return mask;
        }
        let halves = mask.all().iter().flat_map(|m| {
            let low = self.b.ins().swiden_low(*m);
            [low, self.b.ins().swiden_high(*m)]
        });
        Parts::new(halves.collect::<Vec<_>>())
    }

    fn compare_part(&mut self, op: Compare, dtype: DType, a: Value, b: Value) -> Value {
        if dtype.is_float() {
            let code = match op {
                Compare::Eq => FloatCC::Equal,
                Compare::Ne => FloatCC::NotEqual,
                Compare::Lt => FloatCC::LessThan,
                Compare::Le => FloatCC::LessThanOrEqual,
            };
            return self.b.ins().fcmp(code, a, b);
        }
        // Masks are 0 and -1, so that as signed numbers true is the lesser.
        let (a, b) = if dtype == DType::Bool && self.is_vector() { (b, a) } else { (a, b) };
        let code = match op {
            Compare::Eq => IntCC::Equal,
            Compare::Ne => IntCC::NotEqual,
            Compare::Lt => IntCC::SignedLessThan,
            Compare::Le => IntCC::SignedLessThanOrEqual,
        };
        self.b.ins().icmp(code, a, b)
    }

    fn choose(&mut self, dtype: DType, mask: Value, yes: Value, no: Value) -> Value {
        if !self.is_vector() {
            return self.b.ins().select(mask, yes, no);
        }
        let kind = vector_type(dtype);
        let mask =
            if kind == I32X4 || kind == I64X2 { mask } else { self.b.ins().bitcast(kind, little_endian(), mask) };
        self.b.ins().bitselect(mask, yes, no)
    }

    fn binary_part(&mut self, op: Binary, dtype: DType, a: Value, b: Value) -> Value {
        let float = dtype.is_float();
        match op {
            Binary::Add if float => self.b.ins().fadd(a, b),
            Binary::Sub if float => self.b.ins().fsub(a, b),
            Binary::Mul if float => self.b.ins().fmul(a, b),
            Binary::Div if float => self.b.ins().fdiv(a, b),
            Binary::Add => self.b.ins().iadd(a, b),
            Binary::Sub => self.b.ins().isub(a, b),
            Binary::Mul => self.b.ins().imul(a, b),
            Binary::And => self.b.ins().band(a, b),
            Binary::Or => self.b.ins().bor(a, b),
            Binary::Xor => self.b.ins().bxor(a, b),
            Binary::Min | Binary::Max if self.is_vector() && wide(dtype) => {
                let code = if op == Binary::Min { IntCC::SignedLessThan } else { IntCC::SignedGreaterThan };
                let mask = self.b.ins().icmp(code, a, b);
                self.b.ins().bitselect(mask, a, b)
            }
            Binary::Min => self.b.ins().smin(a, b),
            Binary::Max => self.b.ins().smax(a, b),
            _ => unreachable!("{op:?} of {dtype} is done lane by lane"),
        }
    }

    fn unary_part(&mut self, op: Unary, dtype: DType, a: Value) -> Value {
        match op {
            Unary::Neg if dtype.is_float() => self.b.ins().fneg(a),
            Unary::Abs if dtype.is_float() => self.b.ins().fabs(a),
            Unary::Neg => self.b.ins().ineg(a),
            Unary::Abs => self.b.ins().iabs(a),
            Unary::Sqrt => self.b.ins().sqrt(a),
            Unary::Floor => self.b.ins().floor(a),
            Unary::Ceil => self.b.ins().ceil(a),
            Unary::Round => self.b.ins().nearest(a),
            Unary::Trunc => self.b.ins().trunc(a),
            Unary::Not if dtype == DType::Bool && !self.is_vector() => self.b.ins().bxor_imm_s(a, 1),
            Unary::Not => self.b.ins().bnot(a),
            _ => unreachable!("{op:?} is built from others"),
        }
    }
}

impl Arithmetic for Clif<'_, '_> {
    type Value = Parts;

    fn constant(&mut self, value: Scalar) -> Parts {
        if !self.is_vector() {
            return Parts::one(self.bits_of(value));
        }
        let vector = self.vector_constant(value);
        Parts::new((0..self.part_count(value.dtype())).map(|_| vector))
    }

    fn binary(&mut self, op: Binary, dtype: DType, a: Parts, b: Parts) -> Parts {
        self.zip(a, b, |e, a, b| e.binary_part(op, dtype, a, b))
    }

    fn multiply_add(&mut self, dtype: DType, a: Parts, b: Parts, c: Parts) -> Parts {
        if !self.fused || !dtype.is_float() {
            let product = self.binary(Binary::Mul, dtype, a, b);
            return self.binary(Binary::Add, dtype, product, c);
        }
        let parts = a.all().iter().zip(b.all()).zip(c.all());
        Parts::new(parts.map(|((a, b), c)| self.b.ins().fma(*a, *b, *c)).collect::<Vec<_>>())
    }

    fn unary(&mut self, op: Unary, dtype: DType, a: Parts) -> Parts {
        self.map(a, |e, a| e.unary_part(op, dtype, a))
    }

    fn compare(&mut self, op: Compare, dtype: DType, a: Parts, b: Parts) -> Parts {
        let masks = self.zip(a, b, |e, a, b| e.compare_part(op, dtype, a, b));
        if !self.is_vector() || !wide(dtype) {
            return masks;
        }
        Parts::new(masks.all().chunks(2).map(|pair| lanes::even_words(self.b, pair[0], pair[1])).collect::<Vec<_>>())
    }

    fn select(&mut self, dtype: DType, condition: Parts, yes: Parts, no: Parts) -> Parts {
        let masks = if self.is_vector() { self.masks(dtype, condition) } else { condition };
        let parts = masks.all().iter().zip(yes.all()).zip(no.all());
        Parts::new(parts.map(|((mask, yes), no)| self.choose(dtype, *mask, *yes, *no)).collect::<Vec<_>>())
    }

    fn shift(&mut self, shift: Shift, _: DType, a: Parts, amount: u32) -> Parts {
        self.map(a, |e, a| {
            let amount = i64::from(amount);
            match shift {
                Shift::Left => e.b.ins().ishl_imm_s(a, amount),
                Shift::Arithmetic => e.b.ins().sshr_imm_s(a, amount),
                Shift::Logical => e.b.ins().ushr_imm_s(a, amount),
            }
        })
    }

    fn reinterpret(&mut self, _: DType, to: DType, a: Parts) -> Parts {
        let kind = self.part_type(to);
        self.map(a, |e, a| e.b.ins().bitcast(kind, little_endian(), a))
    }

    fn convert(&mut self, from: DType, to: DType, a: Parts) -> Parts {
        if from == to {
            return a;
        }
        if !self.is_vector() {
            return Parts::one(lanewise::convert(self.b, from, to, a.scalar()));
        }
        lanes::convert(self, from, to, a)
    }

    fn lanewise(&mut self, op: Lanewise, dtype: DType, operands: &[Parts]) -> Parts {
        if !self.is_vector() {
            let operands: Vec<Value> = operands.iter().map(Parts::scalar).collect();
            return Parts::one(lanewise::emit(self, op, dtype, &operands));
        }
        let mut results = Vec::new();
        for lane in 0..self.lanes {
            let scalars: Vec<Value> = operands.iter().map(|o| lanes::extract(self.b, dtype, o, lane)).collect();
            let mut single = Clif::new(self.b, 1, self.fused);
            results.push(lanewise::emit(&mut single, op, dtype, &scalars));
        }
        lanes::collect(self.b, dtype, &results)
    }
}

impl LeafEmitter for Clif<'_, '_> {
    type Variable = Variable;

    fn lanes(&self) -> i64 {
        self.lanes as i64
    }

    fn variable(&mut self) -> Variable {
        let variable = self.b.declare_var(F32X4);
        let zero = self.vector_constant(Scalar::F32(0.0));
        self.b.def_var(variable, zero);
        variable
    }

    fn accumulate(&mut self, variable: Variable, a: Parts, b: Parts) {
        let old = Parts::one(self.b.use_var(variable));
        let sum = self.multiply_add(DType::F32, a, b, old);
        self.b.def_var(variable, sum.scalar());
    }

    fn merge(&mut self, variable: Variable, other: Variable) {
        let [a, b] = [variable, other].map(|variable| self.b.use_var(variable));
        let sum = self.b.ins().fadd(a, b);
        self.b.def_var(variable, sum);
    }

    fn load(&mut self, cursor: usize, bytes: i32) -> Parts {
        Parts::one(self.b.ins().load(F32X4, proved(), self.leaf.cursors[cursor], bytes))
    }

    fn broadcast(&mut self, cursor: usize, bytes: i32) -> Parts {
        let number = self.b.ins().load(F32, proved(), self.leaf.cursors[cursor], bytes);
        Parts::one(self.b.ins().splat(F32X4, number))
    }

    fn prefetch(&mut self, _: usize, _: i32) {}

    fn prefetch_far(&mut self, _: usize, _: i32) {}

    fn store(&mut self, parameter: usize, bytes: i32, variable: Variable) {
        let value = self.b.use_var(variable);
        self.b.ins().store(proved(), value, self.leaf.parameters[parameter], bytes);
    }

    fn each_step(&mut self, count: usize, cursors: &[Cursor], unroll: i64, body: &mut dyn FnMut(&mut Self, i64)) {
        let mut left = self.leaf.parameters[count];
        self.leaf.cursors = cursors.iter().map(|cursor| self.start(cursor.start)).collect();
        for together in [unroll, 1] {
            let (top, inside, end) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
            let start: Vec<BlockArg> =
                std::iter::once(left).chain(self.leaf.cursors.iter().copied()).map(BlockArg::from).collect();
            let current: Vec<Value> = start.iter().map(|_| self.b.append_block_param(top, I64)).collect();
            self.b.ins().jump(top, &start);
            self.b.switch_to_block(top);
            let more = self.b.ins().icmp_imm_s(IntCC::SignedGreaterThanOrEqual, current[0], together);
            self.b.ins().brif(more, inside, &[], end, &[]);
            self.b.switch_to_block(inside);
            self.leaf.cursors = current[1..].to_vec();
            (0..together).for_each(|step| body(self, step));
            let steps = std::iter::once(-together).chain(cursors.iter().map(|c| c.bytes * together));
            let next: Vec<BlockArg> =
                current.iter().zip(steps).map(|(value, step)| self.b.ins().iadd_imm_s(*value, step).into()).collect();
            self.b.ins().jump(top, &next);
            self.b.switch_to_block(end);
            left = current[0];
            self.leaf.cursors = current[1..].to_vec();
        }
    }
}
