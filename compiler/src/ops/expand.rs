//! `expand`: dims of 1 repeated to a shape, without copying where the reader can look through.

use super::broadcast::{place, source};
use super::reshape::{dims, require_size};
use super::{Blame, Call, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::Dim;
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static EXPAND: Expand = Expand;

/// See `SIGNATURE`.
pub(super) struct Expand;

static SIGNATURE: Signature = Signature {
    name: "expand",
    params: &[Param::required("x", Kind::Tensor), Param::required("shape", Kind::Dims)],
    result: "the dtype of x, the dims of `shape`",
    doc: "x repeated to `shape`, aligned from the right: a dim that is written 1 is repeated, the others must be equal.",
    example: "let y = expand(x, [5, 2, 3, 4])",
};

impl Op for Expand {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        let x = call.input(0);
        let result = TensorType::new(x.dtype, dims(call, "shape")?);
        for dim in &result.dims {
            require_size(cx, "shape", dim)?;
        }
        let blame = Blame::Argument("shape");
        let start = result.rank().checked_sub(x.rank());
        let wanted = start.map_or(&[][..], |start| &result.dims[start..]);
        let one = Dim::from(1);
        let bad = x.dims.iter().zip(wanted).find(|(have, want)| **have != one && !cx.equal(have, want, blame.clone()));
        if start.is_some() && bad.is_none() {
            return Ok(vec![result]);
        }
        let (found, shown) = (cx.show(x), cx.show(&result));
        let mut error = OpError::new("MDL0302", format!("cannot expand {found} to {shown}"), blame, "this shape")
            .label(Blame::Input(0), format!("this is {found}"));
        if let Some((have, want)) = bad {
            let (a, b) = (cx.slots.show(have), cx.slots.show(want));
            error =
                error.note(format!("aligned from the right: {a} is not {b}; only a dim that is written 1 is repeated"));
            error = error.dim(have).dim(want);
        }
        Err(error)
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, shape) = (inputs[0], super::result_shape(call, 0, sizes)?);
        let elements: Vec<_> = super::positions(&shape).map(|to| x.get(source(x.shape(), &to))).collect();
        Ok(vec![super::from_scalars(x.dtype(), &shape, |i| elements[i])?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| k.input(0, &place(call.input(0), call.result(0), at)))
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
