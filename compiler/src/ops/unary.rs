//! Functions of one tensor, element by element: one row for each op.

use super::fragments::wrapped;
use super::{Build, Call, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, require_float};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Scalar};
use mlc_codegen::kernel::{Compare, ExprId, Unary};
use mlc_runtime::tensor::Tensor;

/// A row. `eval` is the meaning for floats; `integers`, where it is given, for integers.
pub(super) struct Function {
    signature: &'static Signature,
    eval: fn(f64) -> f64,
    integers: Option<fn(i64) -> i64>,
    expr: fn(&mut dyn Build, ExprId, DType) -> ExprId,
}

macro_rules! function_table {
    ($($name:ident = $word:literal, $doc:literal, $eval:expr, $integers:expr, $expr:expr;)*) => {$(
        #[doc = $doc]
        pub(super) static $name: Function = Function {
            signature: &Signature {
                name: $word,
                params: &[Param::required("x", Kind::Tensor)],
                result: "the type of x",
                doc: $doc,
                example: concat!("let y = ", $word, "(x)"),
            },
            eval: $eval,
            integers: $integers,
            expr: $expr,
        };
    )*};
}

function_table! {
    RELU = "relu", "The greater of x and 0; NaN stays NaN.", |x| if x < 0.0 { 0.0 } else { x }, Some(|x| x.max(0)), relu;
    RELU6 = "relu6", "x held to 0..6; NaN stays NaN.", |x| x.clamp(0.0, 6.0),
        Some(|x| x.clamp(0, 6)), relu6;
    NEG = "neg", "-x; integers wrap.", |x| -x, Some(i64::wrapping_neg), |k, x, _| k.unary(Unary::Neg, x);
    ABS = "abs", "The magnitude of x; integers wrap.", f64::abs, Some(i64::wrapping_abs), |k, x, _| k.unary(Unary::Abs, x);
    SQRT = "sqrt", "The square root; NaN below 0.", f64::sqrt, None, |k, x, _| k.unary(Unary::Sqrt, x);
    EXP = "exp", "e to the power x.", f64::exp, None, |k, x, _| k.unary(Unary::Exp, x);
    FLOOR = "floor", "The greatest integer not above x.", f64::floor, None, |k, x, _| k.unary(Unary::Floor, x);
    CEIL = "ceil", "The least integer not below x.", f64::ceil, None, |k, x, _| k.unary(Unary::Ceil, x);
    ROUND = "round", "The nearest integer, ties to even.", f64::round_ties_even, None, |k, x, _| k.unary(Unary::Round, x);
    SIGMOID = "sigmoid", "1 / (1 + exp(-x)).", |x| 1.0 / (1.0 + (-x).exp()), None, sigmoid;
    SILU = "silu", "x / (1 + exp(-x)), also called swish.", |x| x / (1.0 + (-x).exp()), None, silu;
}

fn relu(k: &mut dyn Build, x: ExprId, dtype: DType) -> ExprId {
    let zero = k.number(dtype, 0.0);
    let below = k.compare(Compare::Lt, x, zero);
    k.select(below, zero, x)
}

fn relu6(k: &mut dyn Build, x: ExprId, dtype: DType) -> ExprId {
    let (low, six) = (relu(k, x, dtype), k.number(dtype, 6.0));
    let above = k.compare(Compare::Lt, six, low);
    k.select(above, six, low)
}

/// `1 + exp(-x)`.
fn logistic_denominator(k: &mut dyn Build, x: ExprId, dtype: DType) -> ExprId {
    let negated = k.unary(Unary::Neg, x);
    let exp = k.unary(Unary::Exp, negated);
    let one = k.number(dtype, 1.0);
    k.add(one, exp)
}

fn sigmoid(k: &mut dyn Build, x: ExprId, dtype: DType) -> ExprId {
    let denominator = logistic_denominator(k, x, dtype);
    let one = k.number(dtype, 1.0);
    k.div(one, denominator)
}

fn silu(k: &mut dyn Build, x: ExprId, dtype: DType) -> ExprId {
    let denominator = logistic_denominator(k, x, dtype);
    k.div(x, denominator)
}

impl Op for Function {
    fn signature(&self) -> &'static Signature {
        self.signature
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        let integer = call.input(0).dtype.is_integer();
        if !(integer && self.integers.is_some()) {
            require_float(call, 0, cx)?;
        }
        Ok(vec![call.input(0).clone()])
    }

    fn eval(&self, _call: &Call, inputs: &[&Tensor], _sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let x = inputs[0];
        let value = |i: usize| match (x.dtype().is_float(), self.integers) {
            (false, Some(integers)) => Scalar::I64(integers(x.get(i).as_i64())),
            _ => Scalar::F64((self.eval)(x.get(i).as_f64())),
        };
        Ok(vec![super::from_scalars(x.dtype(), x.shape(), value)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let x = k.input(0, at);
            let dtype = call.input(0).dtype;
            let value = (self.expr)(k, x, dtype);
            wrapped(k, dtype, value)
        })
    }
}
