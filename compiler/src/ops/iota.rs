//! `iota`, `full`: tensors made of nothing.

use super::reshape::{dims, require_size};
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Scalar};
use mlc_runtime::tensor::Tensor;

/// Counts.
pub(super) static IOTA: Iota = Iota;
/// Repeats.
pub(super) static FULL: Full = Full;

/// See `COUNTS`.
pub(super) struct Iota;
/// See `REPEATS`.
pub(super) struct Full;

static COUNTS: Signature = Signature {
    name: "iota",
    params: &[Param::required("n", Kind::Dim), Param::optional("dtype", Kind::DType, Default::None)],
    result: "`dtype`[n]",
    doc: "0, 1, … n - 1, i64 unless `dtype` says otherwise.",
    example: "let y = iota(10, dtype = f32)",
};

static REPEATS: Signature = Signature {
    name: "full",
    params: &[
        Param::required("shape", Kind::Dims),
        Param::required("value", Kind::Float),
        Param::optional("dtype", Kind::DType, Default::None),
    ],
    result: "`dtype`, the dims of `shape`",
    doc: "A tensor of one number, f32 unless `dtype` says otherwise.",
    example: "let y = full([2, 3], 0.5)",
};

impl Op for Iota {
    fn signature(&self) -> &'static Signature {
        &COUNTS
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        let n = call.dim("n").expect("the signature requires it");
        require_size(cx, "n", &n)?;
        Ok(vec![TensorType::new(call.dtype("dtype").unwrap_or(DType::I64), [n])])
    }

    fn eval(&self, call: &Call, _inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let shape = super::result_shape(call, 0, sizes)?;
        Ok(vec![super::from_scalars(call.result(0).dtype, &shape, |i| Scalar::I64(i as i64))?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let position = k.coordinate(&at[0]);
            k.convert(call.result(0).dtype, position)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}

impl Op for Full {
    fn signature(&self) -> &'static Signature {
        &REPEATS
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        let dims = dims(call, "shape")?;
        for dim in &dims {
            require_size(cx, "shape", dim)?;
        }
        Ok(vec![TensorType::new(call.dtype("dtype").unwrap_or(DType::F32), dims)])
    }

    fn eval(&self, call: &Call, _inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let value = Scalar::F64(call.float("value").expect("the signature requires it"));
        Ok(vec![super::from_scalars(call.result(0).dtype, &super::result_shape(call, 0, sizes)?, |_| value)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, _| {
            let value = Tensor::scalar(call.result(0).dtype, Scalar::F64(call.float("value").expect("required")));
            k.constant(value.get(0))
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
