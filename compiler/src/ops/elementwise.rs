//! Ops that compute each element of their result from one element of each operand: what their tables share.
//! Invariant: a row says its meaning twice, as a function of numbers and as an expression, and nothing else.

use super::broadcast::{broadcast, place, require_same_dtype, sources};
use super::fragments::wrapped;
use super::{Blame, Build, Call, EvalError, Infer, Lowering, Op, OpError, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Scalar};
use mlc_codegen::kernel::{Binary, Compare, ExprId, Unary};
use mlc_runtime::tensor::Tensor;

/// A row: an op of one or two tensors.
pub(super) struct Elementwise {
    /// Its words.
    pub(super) signature: &'static Signature,
    /// What it takes.
    pub(super) takes: Takes,
    /// Whether the result is bool, not the operands' type.
    pub(super) asks: bool,
    /// The meaning for floats; bools are the result of a comparison as 0 and 1.
    pub(super) floats: Meaning<f64>,
    /// The meaning for integers, which wrap, and for bools as 0 and 1, of which the lowest bit is kept.
    pub(super) integers: Meaning<i64>,
    /// The same as an expression.
    pub(super) code: Code,
    /// How far backends may be.
    pub(super) tolerance: Tolerance,
}

/// The element types that a row takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Floats.
    Floats,
    /// Floats and integers.
    Numbers,
    /// Integers.
    Integers,
    /// Integers and bools.
    Bits,
    /// Everything.
    All,
}

/// A function of numbers.
#[derive(Clone, Copy)]
pub(super) enum Meaning<T: 'static> {
    /// Not for such elements.
    Absent,
    /// Of one element.
    One(fn(T) -> T),
    /// Of one element and the compile-time arguments.
    With(fn(T, &Call) -> T),
    /// Of two elements.
    Two(fn(T, T) -> T),
}

/// How a row becomes an expression.
#[derive(Clone, Copy)]
pub(super) enum Code {
    /// One operation.
    Unary(Unary),
    /// One operation.
    Binary(Binary),
    /// One comparison.
    Compare(Compare),
    /// One comparison, operands exchanged.
    Exchanged(Compare),
    /// Several, of one operand of a type.
    One(fn(&mut dyn Build, ExprId, DType) -> ExprId),
    /// Several, of one operand and the compile-time arguments.
    With(fn(&mut dyn Build, ExprId, &Call) -> ExprId),
    /// Several, of two operands of a type.
    Two(fn(&mut dyn Build, ExprId, ExprId, DType) -> ExprId),
}

impl Takes {
    fn includes(self, dtype: DType) -> bool {
        match self {
            Takes::Floats => dtype.is_float(),
            Takes::Numbers => dtype != DType::Bool,
            Takes::Integers => dtype.is_integer(),
            Takes::Bits => !dtype.is_float(),
            Takes::All => true,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Takes::Floats => "floats",
            Takes::Numbers => "numbers",
            Takes::Integers => "integers",
            Takes::Bits => "integers or bools",
            Takes::All => "anything",
        }
    }

    /// Refuses an input of another type.
    pub(super) fn check(self, call: &Call, input: usize, cx: &Infer) -> Result<(), OpError> {
        let ty = call.input(input);
        if self.includes(ty.dtype) {
            return Ok(());
        }
        let message = format!("`{}` takes {}, found {}", call.signature.name, self.words(), ty.dtype);
        let error = OpError::new("MDL0306", message, Blame::Input(input), format!("this is {}", cx.show(ty)));
        let target = if matches!(self, Takes::Integers) { DType::I64 } else { DType::F32 };
        Err(error.cast(input, target))
    }
}

impl<T: Copy> Meaning<T> {
    /// Of one operand, which then comes twice, or of two.
    fn of(&self, operands: [T; 2], call: &Call) -> T {
        match self {
            Meaning::One(f) => f(operands[0]),
            Meaning::With(f) => f(operands[0], call),
            Meaning::Two(f) => f(operands[0], operands[1]),
            Meaning::Absent => unreachable!("infer refused such elements"),
        }
    }
}

impl Code {
    fn build(&self, k: &mut dyn Build, operands: &[ExprId], call: &Call) -> ExprId {
        let (a, dtype) = (operands[0], call.input(0).dtype);
        match *self {
            Code::Unary(op) => k.unary(op, a),
            Code::Binary(op) => k.binary(op, a, operands[1]),
            Code::Compare(op) => k.compare(op, a, operands[1]),
            Code::Exchanged(op) => k.compare(op, operands[1], a),
            Code::One(f) => f(k, a, dtype),
            Code::With(f) => f(k, a, call),
            Code::Two(f) => f(k, a, operands[1], dtype),
        }
    }
}

impl Op for Elementwise {
    fn signature(&self) -> &'static Signature {
        self.signature
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_same_dtype(call, cx)?;
        self.takes.check(call, 0, cx)?;
        let dtype = if self.asks { DType::Bool } else { call.input(0).dtype };
        Ok(vec![TensorType::new(dtype, broadcast(call, cx)?)])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let shape = super::result_shape(call, 0, sizes)?;
        let (from, to) = (inputs[0].dtype(), call.result(0).dtype);
        let places: Vec<Vec<usize>> = inputs.iter().map(|x| sources(x.shape(), &shape)).collect();
        let (first, last) = (0, inputs.len() - 1);
        let operand = |x: usize, i: usize| inputs[x].get(places[x][i]);
        let value = |i: usize| {
            let (a, b) = (operand(first, i), operand(last, i));
            if from.is_float() {
                return Scalar::F64(self.floats.of([a.as_f64(), b.as_f64()], call));
            }
            let value = self.integers.of([a.as_i64(), b.as_i64()], call);
            if to == DType::Bool { Scalar::Bool(value & 1 == 1) } else { Scalar::I64(value) }
        };
        Ok(vec![super::from_scalars(to, &shape, value)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let result = call.result(0);
            let read = |(i, ty): (usize, &TensorType)| k.input(i, &place(ty, result, at));
            let operands: Vec<ExprId> = call.inputs.iter().enumerate().map(read).collect();
            let value = self.code.build(k, &operands, call);
            wrapped(k, result.dtype, value)
        })
    }

    fn tolerance(&self) -> Tolerance {
        self.tolerance
    }
}
