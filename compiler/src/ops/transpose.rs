//! `transpose`: axes in another order.

use super::{At, Blame};
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static TRANSPOSE: Transpose = Transpose;

/// See `SIGNATURE`.
pub(super) struct Transpose;

static SIGNATURE: Signature = Signature {
    name: "transpose",
    params: &[Param::required("x", Kind::Tensor), Param::optional("perm", Kind::Axes, Default::None)],
    result: "x with axis `perm[i]` at place i",
    doc: "Reorders axes. Without `perm` the order is reversed.",
    example: "let y = transpose(x, perm = [0, 2, 1])",
};

impl Transpose {
    fn permutation(call: &Call) -> Vec<usize> {
        let reversed = || (0..call.input(0).rank()).rev().collect();
        call.ints("perm").map_or_else(reversed, |perm| perm.into_iter().map(|axis| axis as usize).collect())
    }
}

impl Op for Transpose {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, _cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        let (x, perm) = (call.input(0), Self::permutation(call));
        let mut sorted = perm.clone();
        sorted.sort_unstable();
        if sorted != (0..x.rank()).collect::<Vec<_>>() {
            let message = format!("`perm` must name each of the {} axes once", x.rank());
            return Err(OpError::new("MDL0309", message, Blame::Argument("perm"), format!("this is {perm:?}")));
        }
        Ok(vec![TensorType::new(x.dtype, perm.iter().map(|axis| x.dims[*axis].clone()))])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], _sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, perm) = (inputs[0], Self::permutation(call));
        let shape: Vec<usize> = perm.iter().map(|axis| x.shape()[*axis]).collect();
        let mut y = Tensor::zeros(x.dtype(), shape.clone()).expect("as large as x");
        let mut from = vec![0; perm.len()];
        for (i, to) in super::positions(&shape).enumerate() {
            perm.iter().zip(&to).for_each(|(axis, position)| from[*axis] = *position);
            y.set(i, x.get(super::offset(x.shape(), &from)));
        }
        Ok(vec![y])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let perm = Self::permutation(call);
            let mut from = vec![At::zero(); perm.len()];
            perm.iter().zip(at).for_each(|(axis, position)| from[*axis] = position.clone());
            k.input(0, &from)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
