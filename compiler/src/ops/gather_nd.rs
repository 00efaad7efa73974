//! `gather_nd`, `scatter_nd`: slices picked, or written, by indices into several leading axes.

use super::check::require_dtype_of;
use super::concat::require_alike;
use super::elementwise::Takes;
use super::gather::{index_place, require_indices, whole_index};
use super::gather_elements::{adds, copy, nest, update, updated};
use super::{At, Blame, Build};
use super::{Call, Default, EvalError, IndexUse, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::Dim;
use mlc_codegen::kernel::{Body, Index, Loops};
use mlc_runtime::tensor::Tensor;

/// Picks.
pub(super) static GATHER_ND: GatherNd = GatherNd;
/// Writes.
pub(super) static SCATTER_ND: ScatterNd = ScatterNd;

/// See `PICKS`.
pub(super) struct GatherNd;
/// See `WRITES`.
pub(super) struct ScatterNd;

static PICKS: Signature = Signature {
    name: "gather_nd",
    params: &[Param::required("x", Kind::Tensor), Param::required("indices", Kind::Tensor)],
    result: "the dtype of x; the dims of indices but the last, then those of x that no index names",
    doc: "The last axis of `indices` (i64 or i32, [.., k]) names a place on the first k axes of x; the result holds the \
          slices there. Negative indices count from the end; one outside is an error when the model runs.",
    example: "let y = gather_nd(x, indices)",
};

static WRITES: Signature = Signature {
    name: "scatter_nd",
    params: &[
        Param::required("x", Kind::Tensor),
        Param::required("indices", Kind::Tensor),
        Param::required("updates", Kind::Tensor),
        Param::optional("reduction", Kind::Word(&["none", "add"]), Default::Text("none")),
    ],
    result: "the type of x",
    doc: "x, but the slices at `indices` (i64 or i32, [.., k], places on the first k axes) are those of `updates`, or with \
          reduction \"add\" grow by them. Of several updates of one slice the last holds. Negative indices count from the \
          end; one outside is an error when the model runs.",
    example: "let y = scatter_nd(x, indices, updates)",
};

/// How many axes an index names.
fn depth(call: &Call) -> Option<usize> {
    let last = call.input(1).dims.last()?.as_constant()?;
    usize::try_from(last).ok().filter(|depth| *depth <= call.input(0).rank())
}

/// The dims of all slices together.
fn slices(call: &Call, cx: &Infer) -> Result<Vec<Dim>, OpError> {
    require_indices(call, 1, cx)?;
    let (x, indices) = (call.input(0), call.input(1));
    let Some(depth) = depth(call) else {
        let message = format!("the last axis of `indices` must be a number in 0..={}", x.rank());
        return Err(OpError::new("MDL0301", message, Blame::Input(1), format!("this is {}", cx.show(indices)))
            .label(Blame::Input(0), format!("this is {}", cx.show(x))));
    };
    Ok([&indices.dims[..indices.rank() - 1], &x.dims[depth..]].concat())
}

/// The place in x of the element at a place of the slices.
fn place(k: &mut dyn Build, call: &Call, at: &[At]) -> Vec<At> {
    let depth = depth(call).expect("infer accepted it");
    let (outer, inner) = at.split_at(call.input(1).rank() - 1);
    let mut place: Vec<At> = Vec::new();
    for axis in 0..depth {
        let from = [outer, &[At::index(Index::constant(axis as i64))]].concat();
        let index = k.input(1, &from);
        place.push(index_place(k, index, &call.input(0).dims[axis]));
    }
    place.extend_from_slice(inner);
    place
}

/// The offset in x of the element at a position of the slices.
fn offset(call: &Call, x: &Tensor, indices: &Tensor, position: &[usize]) -> Result<usize, EvalError> {
    let depth = depth(call).expect("infer accepted it");
    let (outer, inner) = position.split_at(indices.shape().len() - 1);
    let mut from = Vec::new();
    for axis in 0..depth {
        let index = indices.get(super::offset(indices.shape(), &[outer, &[axis]].concat())).as_i64();
        from.push(whole_index(index, axis, x.shape()[axis])?);
    }
    Ok(super::offset(x.shape(), &[&from, inner].concat()))
}

fn checks(call: &Call) -> Vec<IndexUse> {
    let columns = depth(call).unwrap_or(0);
    (0..columns).map(|column| IndexUse { indices: 1, data: 0, axis: column, column, columns }).collect()
}

impl Op for GatherNd {
    fn signature(&self) -> &'static Signature {
        &PICKS
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        Ok(vec![TensorType::new(call.input(0).dtype, slices(call, cx)?)])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, shape) = (inputs[0], super::result_shape(call, 0, sizes)?);
        let offsets = super::positions(&shape).map(|position| offset(call, x, inputs[1], &position));
        let offsets = offsets.collect::<Result<Vec<usize>, EvalError>>()?;
        Ok(vec![super::from_scalars(x.dtype(), &shape, |i| x.get(offsets[i]))?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let from = place(k, call, at);
            k.input(0, &from)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }

    fn checked_indices(&self, call: &Call) -> Vec<IndexUse> {
        checks(call)
    }
}

impl Op for ScatterNd {
    fn signature(&self) -> &'static Signature {
        &WRITES
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        let wanted = TensorType::new(call.input(2).dtype, slices(call, cx)?);
        require_dtype_of(call, 2, 0, cx)?;
        require_alike(&Call { inputs: &[wanted, call.input(2).clone()], ..*call }, None, cx)?;
        if adds(call) {
            Takes::Numbers.check(call, 0, cx)?;
        }
        Ok(vec![call.input(0).clone()])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], _sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (indices, updates) = (inputs[1], inputs[2]);
        let mut y = inputs[0].clone();
        for (i, position) in super::positions(updates.shape()).enumerate() {
            let to = offset(call, &y, indices, &position)?;
            y.set(to, updated(call, y.get(to), updates.get(i)));
        }
        Ok(vec![y])
    }

    /// In order, on one part: updates of one element must not race.
    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::single(move |k| {
            let mut statements = copy(k, call.input(0));
            let axes = k.axes(&call.input(2).dims);
            let at = At::axes(&axes);
            let to = place(k, call, &at);
            let write = update(k, call, &at, &to);
            statements.extend(nest(k, &axes, write));
            Body::Loops(Loops { cells: vec![], statements })
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::ROUNDING
    }

    fn checked_indices(&self, call: &Call) -> Vec<IndexUse> {
        checks(call)
    }
}
