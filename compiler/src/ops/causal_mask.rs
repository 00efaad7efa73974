//! `causal_mask`: which keys a query may see when nothing sees the future.

use super::numbers::{from_scalars, result_shape};
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim, Scalar};
use mlc_codegen::kernel::Compare;
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static CAUSAL_MASK: CausalMask = CausalMask;

/// See `SIGNATURE`.
pub(super) struct CausalMask;

static SIGNATURE: Signature = Signature {
    name: "causal_mask",
    params: &[
        Param::required("queries", Kind::Dim),
        Param::required("keys", Kind::Dim),
        Param::optional("offset", Kind::Dim, Default::Int(0)),
    ],
    result: "bool[queries, keys]",
    doc: "true where key j is no later than query i: j <= i + offset. `offset` is how many keys came before the first \
          query.",
    example: "let m = causal_mask(queries = 3, keys = 3)",
};

fn offset(call: &Call) -> Dim {
    call.dim("offset").expect("it has a default")
}

impl Op for CausalMask {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, _cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        let dims = ["queries", "keys"].map(|name| call.dim(name).expect("required"));
        Ok(vec![TensorType::new(DType::Bool, dims)])
    }

    fn eval(&self, call: &Call, _inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let shape = result_shape(call, 0, sizes)?;
        let offset = offset(call).eval(sizes).ok_or_else(|| EvalError::Size("the offset".into()))?;
        let seen = |i: usize| Scalar::Bool((i % shape[1]) as i64 <= (i / shape[1]) as i64 + offset);
        Ok(vec![from_scalars(DType::Bool, &shape, seen)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let (query, key, offset) = (k.coordinate(&at[0]), k.coordinate(&at[1]), k.size(offset(call)));
            let last = k.add(query, offset);
            k.compare(Compare::Le, key, last)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
