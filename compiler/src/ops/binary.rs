//! Arithmetic of two tensors, element by element: one row for each op.

use super::broadcast::{broadcast, place, require_same_dtype, source};
use super::fragments::wrapped;
use super::{Blame, Call, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Scalar};
use mlc_codegen::kernel::Binary;
use mlc_runtime::tensor::Tensor;

/// A row.
pub(super) struct Arithmetic {
    signature: &'static Signature,
    op: Binary,
    floats: fn(f64, f64) -> f64,
    integers: fn(i64, i64) -> i64,
}

macro_rules! arithmetic_table {
    ($($name:ident = $word:literal, $op:ident, $doc:literal, $example:literal, $floats:expr, $integers:expr;)*) => {$(
        #[doc = $doc]
        pub(super) static $name: Arithmetic = Arithmetic {
            signature: &Signature {
                name: $word,
                params: &[Param::required("a", Kind::Tensor), Param::required("b", Kind::Tensor)],
                result: "the broadcast type of a and b",
                doc: $doc,
                example: $example,
            },
            op: Binary::$op,
            floats: $floats,
            integers: $integers,
        };
    )*};
}

arithmetic_table! {
    ADD = "add", Add, "a + b, element by element; integers wrap.", "let y = x + x",
        |a, b| a + b, i64::wrapping_add;
    SUB = "sub", Sub, "a - b, element by element; integers wrap.", "let y = x - 1.0",
        |a, b| a - b, i64::wrapping_sub;
    MUL = "mul", Mul, "a * b, element by element; integers wrap.", "let y = x * 2.0",
        |a, b| a * b, i64::wrapping_mul;
    DIV = "div", Div, "a / b, element by element. Integers truncate toward zero; x / 0 is 0.", "let y = x / 2.0",
        |a, b| a / b, |a, b| if b == 0 { 0 } else { a.wrapping_div(b) };
}

impl Op for Arithmetic {
    fn signature(&self) -> &'static Signature {
        self.signature
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_same_dtype(call, cx)?;
        let dtype = call.input(0).dtype;
        if dtype == DType::Bool {
            let message = format!("`{}` needs numbers, found bool", self.signature.name);
            return Err(OpError::new("MDL0306", message, Blame::Input(0), "this is bool").help("cast it first"));
        }
        Ok(vec![TensorType::new(dtype, broadcast(call, cx)?)])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let shape = super::result_shape(call, 0, sizes)?;
        let dtype = call.result(0).dtype;
        let (a, b) = (inputs[0], inputs[1]);
        let positions: Vec<Vec<usize>> = super::positions(&shape).collect();
        let value = |i: usize| {
            let (x, y) = (a.get(source(a.shape(), &positions[i])), b.get(source(b.shape(), &positions[i])));
            match dtype.is_float() {
                true => Scalar::F64((self.floats)(x.as_f64(), y.as_f64())),
                false => Scalar::I64((self.integers)(x.as_i64(), y.as_i64())),
            }
        };
        Ok(vec![super::from_scalars(dtype, &shape, value)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let result = call.result(0);
            let [a, b] = [0, 1].map(|input| k.input(input, &place(call.input(input), result, at)));
            let value = k.binary(self.op, a, b);
            wrapped(k, result.dtype, value)
        })
    }
}
