//! `gather`: slices of a tensor picked by indices, as an embedding does.

use super::elementwise::Takes;
use super::{At, Build};
use super::{
    Blame, Call, Default, EvalError, IndexUse, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance,
};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim};
use mlc_codegen::kernel::{Compare, ExprId};
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static GATHER: Gather = Gather;

/// See `SIGNATURE`.
pub(super) struct Gather;

static SIGNATURE: Signature = Signature {
    name: "gather",
    params: &[
        Param::required("x", Kind::Tensor),
        Param::required("indices", Kind::Tensor),
        Param::optional("axis", Kind::Axis, Default::Int(0)),
    ],
    result: "the dtype of x; its dims with those of indices in place of `axis`",
    doc: "The slices of x at `indices` (i64 or i32) along `axis`. Negative indices count from the end; one outside is an \
          error when the model runs.",
    example: "let y = gather(x, ids, axis = 0)",
};

/// Refuses indices that are no i64 or i32.
pub(super) fn require_indices(call: &Call, input: usize, cx: &Infer) -> Result<(), OpError> {
    Takes::Integers.check(call, input, cx)?;
    let ty = call.input(input);
    if matches!(ty.dtype, DType::I64 | DType::I32) {
        return Ok(());
    }
    let message = format!("`{}` needs i64 or i32 for `{}`", call.signature.name, call.parameter_of(input).0);
    Err(OpError::new("MDL0306", message, Blame::Input(input), format!("this is {}", cx.show(ty)))
        .cast(input, DType::I64))
}

/// An index as `0..extent`; negative ones count from the end.
pub(super) fn whole_index(index: i64, axis: usize, extent: usize) -> Result<usize, EvalError> {
    let extent = extent as i64;
    let whole = if index < 0 { index.wrapping_add(extent) } else { index };
    match (0..extent).contains(&whole) {
        true => Ok(whole as usize),
        false => Err(EvalError::Index { index, axis, extent }),
    }
}

/// The coordinate that an index stands for along an axis of this extent.
pub(super) fn index_place(k: &mut dyn Build, index: ExprId, extent: &Dim) -> At {
    let (index, zero, extent) = (k.convert(DType::I64, index), k.integer(0), k.size(extent));
    let negative = k.compare(Compare::Lt, index, zero);
    let from_end = k.add(index, extent);
    At::value(k.select(negative, from_end, index))
}

impl Op for Gather {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_indices(call, 1, cx)?;
        let (x, indices) = (call.input(0), call.input(1));
        if x.rank() == 0 {
            let message = "`gather` needs an axis to pick from";
            return Err(OpError::new("MDL0301", message, Blame::Input(0), format!("this is {}", cx.show(x))));
        }
        let mut dims = x.dims.clone();
        let axis = call.axis("axis");
        dims.splice(axis..=axis, indices.dims.iter().cloned());
        Ok(vec![TensorType::new(x.dtype, dims)])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, indices, axis) = (inputs[0], inputs[1], call.axis("axis"));
        let shape = super::result_shape(call, 0, sizes)?;
        let behind = axis + indices.shape().len();
        let mut elements = Vec::new();
        for to in super::positions(&shape) {
            let index = indices.get(super::offset(indices.shape(), &to[axis..behind])).as_i64();
            let index = whole_index(index, axis, x.shape()[axis])?;
            let from = [&to[..axis], &[index], &to[behind..]].concat();
            elements.push(x.get(super::offset(x.shape(), &from)));
        }
        Ok(vec![super::from_scalars(x.dtype(), &shape, |i| elements[i])?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let axis = call.axis("axis");
            let behind = axis + call.input(1).rank();
            let index = k.input(1, &at[axis..behind]);
            let index = index_place(k, index, &call.input(0).dims[axis]);
            k.input(0, &[&at[..axis], &[index], &at[behind..]].concat())
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }

    fn checked_indices(&self, call: &Call) -> Vec<IndexUse> {
        vec![IndexUse { indices: 1, data: 0, axis: call.axis("axis"), column: 0, columns: 1 }]
    }
}
