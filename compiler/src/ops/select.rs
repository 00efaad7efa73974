//! `where`: one of two tensors, element by element.

use super::broadcast::{broadcast, place, source};
use super::check::require_dtype_of;
use super::{Blame, Call, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Scalar};
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static WHERE: Where = Where;

/// See `SIGNATURE`.
pub(super) struct Where;

static SIGNATURE: Signature = Signature {
    name: "where",
    params: &[
        Param::required("condition", Kind::Tensor),
        Param::required("a", Kind::Tensor),
        Param::required("b", Kind::Tensor),
    ],
    result: "the dtype of a and b, the broadcast dims of all three",
    doc: "The element of a where `condition` (bool) holds, elsewhere that of b.",
    example: "let y = where(x > 0.0, x, 0.0 * x)",
};

impl Op for Where {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        let condition = call.input(0);
        if condition.dtype != DType::Bool {
            let message = format!("`where` needs a bool for `condition`, found {}", condition.dtype);
            let error = OpError::new("MDL0306", message, Blame::Input(0), format!("this is {}", cx.show(condition)));
            return Err(error.help("compare it first: x != 0"));
        }
        require_dtype_of(call, 2, 1, cx)?;
        Ok(vec![TensorType::new(call.input(1).dtype, broadcast(call, cx)?)])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let shape = super::result_shape(call, 0, sizes)?;
        let positions: Vec<Vec<usize>> = super::positions(&shape).collect();
        let value = |i: usize| {
            let element = |x: &Tensor| x.get(source(x.shape(), &positions[i]));
            element(if element(inputs[0]) == Scalar::Bool(true) { inputs[1] } else { inputs[2] })
        };
        Ok(vec![super::from_scalars(call.result(0).dtype, &shape, value)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let [condition, a, b] = [0, 1, 2].map(|i| k.input(i, &place(call.input(i), call.result(0), at)));
            k.select(condition, a, b)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
