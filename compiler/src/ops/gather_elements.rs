//! `gather_elements`, `scatter`: elements picked, or written, one by one along an axis.

use super::concat::require_alike;
use super::elementwise::Takes;
use super::fragments::wrapped;
use super::gather::{index_place, require_indices, whole_index};
use super::{At, Blame, Build, Target};
use super::{Call, Default, EvalError, IndexUse, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::Scalar;
use mlc_codegen::kernel::{AxisId, Body, Loops, Statement};
use mlc_runtime::tensor::Tensor;

/// Picks.
pub(super) static GATHER_ELEMENTS: GatherElements = GatherElements;
/// Writes.
pub(super) static SCATTER: Scatter = Scatter;

/// See `PICKS`.
pub(super) struct GatherElements;
/// See `WRITES`.
pub(super) struct Scatter;

static PICKS: Signature = Signature {
    name: "gather_elements",
    params: &[
        Param::required("x", Kind::Tensor),
        Param::required("indices", Kind::Tensor),
        Param::required("axis", Kind::Axis),
    ],
    result: "the dtype of x, the dims of indices",
    doc: "For each place of `indices` (i64 or i32) the element of x at that place, but at the index along `axis`. Other dims \
          of indices are at most those of x. Negative indices count from the end; one outside is an error when the model \
          runs.",
    example: "let y = gather_elements(x, indices, axis = 1)",
};

static WRITES: Signature = Signature {
    name: "scatter",
    params: &[
        Param::required("x", Kind::Tensor),
        Param::required("indices", Kind::Tensor),
        Param::required("updates", Kind::Tensor),
        Param::required("axis", Kind::Axis),
        Param::optional("reduction", Kind::Word(&["none", "add"]), Default::Text("none")),
    ],
    result: "the type of x",
    doc: "x, but for each place of `indices` (i64 or i32) the element at that place, with the index along `axis`, is that \
          of `updates`, or with reduction \"add\" grows by it. Of several updates of one element the last holds. Negative \
          indices count from the end; one outside is an error when the model runs.",
    example: "let y = scatter(x, indices, updates, axis = 0)",
};

/// Refuses indices that reach beyond x on another axis.
fn require_within(call: &Call, cx: &mut Infer) -> Result<(), OpError> {
    require_indices(call, 1, cx)?;
    let (x, indices) = (call.input(0), call.input(1));
    let others = (0..x.rank()).filter(|axis| *axis != call.axis("axis"));
    let fits = x.rank() == indices.rank()
        && others.into_iter().all(|axis| cx.at_most(&indices.dims[axis], &x.dims[axis], Blame::Input(1)));
    if fits {
        return Ok(());
    }
    let message = format!("`{}` needs indices within x on every axis but {}", call.signature.name, call.axis("axis"));
    Err(OpError::new("MDL0301", message, Blame::Input(1), format!("this is {}", cx.show(indices)))
        .label(Blame::Input(0), format!("this is {}", cx.show(x))))
}

/// The place of an index: its own, but for the axis.
fn indexed_place(k: &mut dyn Build, call: &Call, at: &[At]) -> Vec<At> {
    let axis = call.axis("axis");
    let index = k.input(1, at);
    let mut place = at.to_vec();
    place[axis] = index_place(k, index, &call.input(0).dims[axis]);
    place
}

/// The offset in x of the element that an index stands for.
fn indexed_offset(call: &Call, x: &Tensor, indices: &Tensor, mut position: Vec<usize>) -> Result<usize, EvalError> {
    let axis = call.axis("axis");
    let index = indices.get(super::offset(indices.shape(), &position)).as_i64();
    position[axis] = whole_index(index, axis, x.shape()[axis])?;
    Ok(super::offset(x.shape(), &position))
}

/// `for` over all axes, one in another.
pub(super) fn nest(k: &mut dyn Build, axes: &[AxisId], body: Vec<Statement>) -> Vec<Statement> {
    axes.iter().rev().fold(body, |body, axis| vec![k.each(*axis, body)])
}

/// A copy of input 0 into the result.
pub(super) fn copy(k: &mut dyn Build, x: &TensorType) -> Vec<Statement> {
    let axes = k.axes(&x.dims);
    let at = At::axes(&axes);
    let element = k.input(0, &at);
    let store = k.put(Target::Result(0), &at, element);
    nest(k, &axes, store)
}

/// The write of an update into the result.
pub(super) fn update(k: &mut dyn Build, call: &Call, from: &[At], to: &[At]) -> Vec<Statement> {
    let update = k.input(2, from);
    let value = match adds(call) {
        true => {
            let old = k.load(Target::Result(0), to, None);
            let sum = k.add(old, update);
            wrapped(k, call.input(0).dtype, sum)
        }
        false => update,
    };
    k.put(Target::Result(0), to, value)
}

/// Whether updates are added.
pub(super) fn adds(call: &Call) -> bool {
    call.text("reduction") == Some("add")
}

/// Old and new, as the reduction says.
pub(super) fn updated(call: &Call, old: Scalar, new: Scalar) -> Scalar {
    match (adds(call), call.input(0).dtype.is_float()) {
        (false, _) => new,
        (true, true) => Scalar::F64(old.as_f64() + new.as_f64()),
        (true, false) => Scalar::I64(old.as_i64().wrapping_add(new.as_i64())),
    }
}

impl Op for GatherElements {
    fn signature(&self) -> &'static Signature {
        &PICKS
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_within(call, cx)?;
        Ok(vec![call.input(1).with_dtype(call.input(0).dtype)])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], _sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, indices) = (inputs[0], inputs[1]);
        let offsets = super::positions(indices.shape()).map(|position| indexed_offset(call, x, indices, position));
        let offsets = offsets.collect::<Result<Vec<usize>, EvalError>>()?;
        Ok(vec![super::from_scalars(x.dtype(), indices.shape(), |i| x.get(offsets[i]))?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let from = indexed_place(k, call, at);
            k.input(0, &from)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }

    fn checked_indices(&self, call: &Call) -> Vec<IndexUse> {
        vec![IndexUse { indices: 1, data: 0, axis: call.axis("axis"), column: 0, columns: 1 }]
    }
}

impl Op for Scatter {
    fn signature(&self) -> &'static Signature {
        &WRITES
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_within(call, cx)?;
        let pair = [call.input(1).with_dtype(call.input(2).dtype), call.input(2).clone()];
        super::check::require_dtype_of(call, 2, 0, cx)?;
        require_alike(&Call { inputs: &pair, ..*call }, None, cx)?;
        if adds(call) {
            Takes::Numbers.check(call, 0, cx)?;
        }
        Ok(vec![call.input(0).clone()])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], _sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (indices, updates) = (inputs[1], inputs[2]);
        let mut y = inputs[0].clone();
        for (i, position) in super::positions(indices.shape()).enumerate() {
            let to = indexed_offset(call, &y, indices, position)?;
            y.set(to, updated(call, y.get(to), updates.get(i)));
        }
        Ok(vec![y])
    }

    /// In order, on one part: updates of one element must not race.
    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::single(move |k| {
            let mut statements = copy(k, call.input(0));
            let axes = k.axes(&call.input(1).dims);
            let at = At::axes(&axes);
            let to = indexed_place(k, call, &at);
            let write = update(k, call, &at, &to);
            statements.extend(nest(k, &axes, write));
            Body::Loops(Loops { cells: vec![], statements })
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::ROUNDING
    }

    fn checked_indices(&self, call: &Call) -> Vec<IndexUse> {
        vec![IndexUse { indices: 1, data: 0, axis: call.axis("axis"), column: 0, columns: 1 }]
    }
}
