//! `one_hot`: 1 at an index, 0 elsewhere.

use super::gather::require_indices;
use super::reshape::require_size;
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Scalar};
use mlc_codegen::kernel::Compare;
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static ONE_HOT: OneHot = OneHot;

/// See `SIGNATURE`.
pub(super) struct OneHot;

static SIGNATURE: Signature = Signature {
    name: "one_hot",
    params: &[
        Param::required("indices", Kind::Tensor),
        Param::required("depth", Kind::Dim),
        Param::optional("dtype", Kind::DType, Default::None),
    ],
    result: "`dtype`, the dims of indices and `depth`",
    doc: "Along a new last axis of `depth` elements, 1 at the index (i64 or i32) and 0 elsewhere, f32 unless `dtype` says \
          otherwise. An index outside 0..depth gives zeros only.",
    example: "let y = one_hot(ids, depth = 10)",
};

fn dtype(call: &Call) -> DType {
    call.dtype("dtype").unwrap_or(DType::F32)
}

impl Op for OneHot {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_indices(call, 0, cx)?;
        let depth = call.dim("depth").expect("the signature requires it");
        require_size(cx, "depth", &depth)?;
        Ok(vec![TensorType::new(dtype(call), call.input(0).dims.iter().cloned().chain([depth]))])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let shape = super::result_shape(call, 0, sizes)?;
        let depth = shape.last().copied().unwrap_or(1);
        let hot = |i: usize| inputs[0].get(i / depth).as_i64() == (i % depth) as i64;
        Ok(vec![super::from_scalars(dtype(call), &shape, |i| Scalar::I64(i64::from(hot(i))))?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let (last, outer) = at.split_last().expect("it has the new axis");
            let index = k.input(0, outer);
            let (index, position) = (k.convert(DType::I64, index), k.coordinate(last));
            let hot = k.compare(Compare::Eq, index, position);
            let [one, zero] = [1, 0].map(|v| k.constant(Scalar::from_i64(dtype(call), v)));
            k.select(hot, one, zero)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
