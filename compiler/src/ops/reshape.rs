//! `reshape`: the same elements in the same order under other dims.

use super::{Blame, Call, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::Dim;
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static RESHAPE: Reshape = Reshape;

/// See `SIGNATURE`.
pub(super) struct Reshape;

static SIGNATURE: Signature = Signature {
    name: "reshape",
    params: &[Param::required("x", Kind::Tensor), Param::required("shape", Kind::Dims)],
    result: "the dtype of x, the dims of `shape`",
    doc: "The elements of x, in row-major order, as a tensor of other dims with as many elements.",
    example: "let y = reshape(x, [6, 4])",
};

/// A list of dims that has no holes.
pub(super) fn dims(call: &Call, name: &'static str) -> Result<Vec<Dim>, OpError> {
    let dims = call.dims(name).unwrap_or_default();
    let missing = || {
        let message = format!("`{name}` of `{}` needs every dim", call.signature.name);
        OpError::new("MDL0309", message, Blame::Argument(name), "one is `none`")
    };
    dims.into_iter().collect::<Option<Vec<Dim>>>().ok_or_else(missing)
}

/// Refuses a dim that may be negative, and leaves a guard where that is open.
pub(super) fn require_size(cx: &mut Infer, name: &'static str, dim: &Dim) -> Result<(), OpError> {
    if cx.at_most(&Dim::from(0), dim, Blame::Argument(name)) {
        return Ok(());
    }
    let message = format!("a dim cannot be negative, `{name}` says {}", cx.slots.show(dim));
    Err(OpError::new("MDL0309", message, Blame::Argument(name), "negative here").dim(dim))
}

impl Op for Reshape {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        let x = call.input(0);
        let result = TensorType::new(x.dtype, dims(call, "shape")?);
        for dim in &result.dims {
            require_size(cx, "shape", dim)?;
        }
        let (have, want) = (x.elements(), result.elements());
        if cx.equal(&have, &want, Blame::Argument("shape")) {
            return Ok(vec![result]);
        }
        let (found, wanted) = (cx.show(x), cx.show(&result));
        let message = format!("cannot reshape {found} to {wanted}");
        let label = format!("these are {} elements", cx.slots.show(&want));
        let mut error = OpError::new("MDL0315", message, Blame::Argument("shape"), label)
            .label(Blame::Input(0), format!("this is {found}, {} elements", cx.slots.show(&have)));
        for dim in &x.dims {
            error = error.dim(dim);
        }
        Err(error)
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let shape = super::result_shape(call, 0, sizes)?;
        let y = inputs[0].clone().reshape(shape).map_err(|error| EvalError::Size(error.to_string()))?;
        Ok(vec![y])
    }

    fn lower<'a>(&'a self, _call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::Alias
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
