//! `cast`: another element type.

use super::{Call, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static CAST: Cast = Cast;

/// See `SIGNATURE`.
pub(super) struct Cast;

static SIGNATURE: Signature = Signature {
    name: "cast",
    params: &[Param::required("x", Kind::Tensor), Param::required("dtype", Kind::DType)],
    result: "x in the element type `dtype`",
    doc: "Converts each element. Floats round to nearest, ties to even; float to integer truncates and saturates, NaN \
          gives 0; integers wrap; to bool is `!= 0`.",
    example: "let y = cast(x, f16)",
};

impl Op for Cast {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, _cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        Ok(vec![call.input(0).with_dtype(call.dtype("dtype").expect("required"))])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], _sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let cast = inputs[0].cast(call.result(0).dtype);
        Ok(vec![cast.map_err(|error| EvalError::Size(error.to_string()))?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let x = k.input(0, at);
            k.convert(call.result(0).dtype, x)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
