//! `concat`: tensors one after another along an axis.

use super::places::shifted;
use super::{Blame, Call, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::Dim;
use mlc_codegen::kernel::Compare;
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static CONCAT: Concat = Concat;

/// See `SIGNATURE`.
pub(super) struct Concat;

static SIGNATURE: Signature = Signature {
    name: "concat",
    params: &[Param::required("xs", Kind::Tensors), Param::required("axis", Kind::Axis)],
    result: "the type of the first, the dims along `axis` summed",
    doc: "The tensors one after another along `axis`. Their element types and other dims are equal.",
    example: "let y = concat([x, x], axis = 1)",
};

/// Refuses tensors that differ in more than the extent of an axis.
pub(super) fn require_alike(call: &Call, but: Option<usize>, cx: &mut Infer) -> Result<(), OpError> {
    let Some(first) = call.inputs.first() else {
        let message = format!("`{}` of no tensor", call.signature.name);
        return Err(OpError::new("MDL0211", message, Blame::Call, "at least one is needed"));
    };
    super::broadcast::require_same_dtype(call, cx)?;
    for (i, other) in call.inputs.iter().enumerate().skip(1) {
        let pairs = first.dims.iter().zip(&other.dims).enumerate().filter(|(axis, _)| Some(*axis) != but);
        let differing = pairs.map(|(_, pair)| pair).find(|(a, b)| !cx.equal(a, b, Blame::Input(i)));
        if first.rank() == other.rank() && differing.is_none() {
            continue;
        }
        let (a, b) = (cx.show(first), cx.show(other));
        let message = format!("cannot `{}` {a} and {b}", call.signature.name);
        let mut error = OpError::new("MDL0301", message, Blame::Input(i), format!("this is {b}"))
            .label(Blame::Input(0), format!("this is {a}"));
        if let Some((a, b)) = differing {
            error = error.note(format!("{} is not {}", cx.slots.show(a), cx.slots.show(b))).dim(a).dim(b);
        }
        return Err(error);
    }
    Ok(())
}

impl Op for Concat {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        let axis = call.axis("axis");
        require_alike(call, Some(axis), cx)?;
        let mut result = call.input(0).clone();
        result.dims[axis] = call.inputs.iter().map(|ty| ty.dims[axis].clone()).sum();
        Ok(vec![result])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (axis, shape) = (call.axis("axis"), super::result_shape(call, 0, sizes)?);
        let element = |mut position: Vec<usize>| {
            let mut part = 0;
            while position[axis] >= inputs[part].shape()[axis] {
                position[axis] -= inputs[part].shape()[axis];
                part += 1;
            }
            inputs[part].get(super::offset(inputs[part].shape(), &position))
        };
        let elements: Vec<_> = super::positions(&shape).map(element).collect();
        Ok(vec![super::from_scalars(call.result(0).dtype, &shape, |i| elements[i])?])
    }

    /// A chain of selects, from the last tensor to the first; reads outside a tensor are guarded and not used.
    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let axis = call.axis("axis");
            let position = k.coordinate(&at[axis]);
            let mut start = Dim::from(0);
            let mut parts = Vec::new();
            for (i, ty) in call.inputs.iter().enumerate() {
                let mut from = at.to_vec();
                if call.inputs.len() > 1 {
                    from[axis] = shifted(k, &at[axis], &(Dim::from(0) - &start)).guarded();
                }
                start = start + &ty.dims[axis];
                parts.push((k.input(i, &from), start.clone()));
            }
            let (last, _) = parts.pop().expect("infer wants one");
            parts.into_iter().rev().fold(last, |rest, (element, stop)| {
                let stop = k.size(stop);
                let inside = k.compare(Compare::Lt, position, stop);
                k.select(inside, element, rest)
            })
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
