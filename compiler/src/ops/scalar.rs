//! `scalar`: a dim as a number.

use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Scalar as Number};
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static SCALAR: Scalar = Scalar;

/// See `SIGNATURE`.
pub(super) struct Scalar;

static SIGNATURE: Signature = Signature {
    name: "scalar",
    params: &[Param::required("value", Kind::Dim), Param::optional("dtype", Kind::DType, Default::None)],
    result: "a scalar of dtype",
    doc: "The value of a dim or a size, i64 unless `dtype` says otherwise. A symbolic dim beside a tensor becomes this.",
    example: "let y = x * scalar(3, dtype = f32)",
};

impl Scalar {
    fn dtype(call: &Call) -> DType {
        call.dtype("dtype").unwrap_or(DType::I64)
    }
}

impl Op for Scalar {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, _cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        Ok(vec![TensorType::scalar(Scalar::dtype(call))])
    }

    fn eval(&self, call: &Call, _inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let value = call.dim("value").and_then(|dim| dim.eval(sizes));
        let value = value.ok_or_else(|| EvalError::Size("a dim does not fit in 64 bits".into()))?;
        Ok(vec![Tensor::scalar(Scalar::dtype(call), Number::I64(value))])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, _| {
            let value = k.size(call.dim("value").expect("the signature requires it"));
            k.convert(Scalar::dtype(call), value)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
