//! `stack`: tensors side by side along a new axis.

use super::concat::require_alike;
use super::{Blame, Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::Dim;
use mlc_codegen::kernel::{Compare, ExprId};
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static STACK: Stack = Stack;

/// See `SIGNATURE`.
pub(super) struct Stack;

static SIGNATURE: Signature = Signature {
    name: "stack",
    params: &[Param::required("xs", Kind::Tensors), Param::optional("axis", Kind::Int, Default::Int(0))],
    result: "the type of the first with a new axis, as long as there are tensors",
    doc: "The tensors, all of one type, as slices along a new `axis`; -1 is behind the last.",
    example: "let y = stack([x, x], axis = 0)",
};

/// The new axis among those of the result; negative ones count from its end.
fn new_axis(call: &Call) -> usize {
    let (axis, rank) = (call.int("axis").expect("it has a default"), call.input(0).rank() as i64 + 1);
    usize::try_from(if axis < 0 { axis.saturating_add(rank) } else { axis }).unwrap_or(usize::MAX)
}

impl Op for Stack {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_alike(call, None, cx)?;
        let (mut result, axis) = (call.input(0).clone(), new_axis(call));
        if axis > result.rank() {
            let label = format!("axes of the result are 0 to {}, or negative from the end", result.rank());
            return Err(OpError::new("MDL0309", "there is no such axis", Blame::Argument("axis"), label));
        }
        result.dims.insert(axis, Dim::from(call.inputs.len() as i64));
        Ok(vec![result])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (axis, shape) = (new_axis(call), super::result_shape(call, 0, sizes)?);
        let element = |mut position: Vec<usize>| {
            let x = inputs[position.remove(axis)];
            x.get(super::offset(x.shape(), &position))
        };
        let elements: Vec<_> = super::positions(&shape).map(element).collect();
        Ok(vec![super::from_scalars(call.result(0).dtype, &shape, |i| elements[i])?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let mut from = at.to_vec();
            let which = from.remove(new_axis(call));
            let which = k.coordinate(&which);
            let elements: Vec<ExprId> = (0..call.inputs.len()).map(|i| k.input(i, &from)).collect();
            let (last, rest) = elements.split_last().expect("infer wants one");
            rest.iter().enumerate().rev().fold(*last, |rest, (i, element)| {
                let number = k.integer(i as i64);
                let here = k.compare(Compare::Eq, which, number);
                k.select(here, *element, rest)
            })
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
