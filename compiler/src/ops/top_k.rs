//! `top_k`: the greatest elements along an axis, and where they stand.

use super::check::bad_argument;
use super::numbers::{from_scalars, result_shape};
use super::{At, Blame, Build, Target};
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim, Scalar};
use mlc_codegen::kernel::{AxisId, Binary, Body, Compare, ExprId, Loops, Statement};
use mlc_runtime::tensor::Tensor;
use std::cmp::Ordering;

/// The op.
pub(super) static TOP_K: TopK = TopK;

/// See `SIGNATURE`.
pub(super) struct TopK;

static SIGNATURE: Signature = Signature {
    name: "top_k",
    params: &[
        Param::required("x", Kind::Tensor),
        Param::required("k", Kind::Dim),
        Param::optional("axis", Kind::Axis, Default::Int(-1)),
        Param::optional("largest", Kind::Bool, Default::Bool(true)),
    ],
    result: "(values, indices: i64), `axis` of extent k",
    doc: "The k greatest elements along `axis`, greatest first, and their positions; with `largest = false` the least. \
          Of equal elements the earlier comes first; NaN counts as greatest.",
    example: "let (values, indices) = top_k(x, k = 2, axis = -1)",
};

/// The value found so far, its position, and the value and position picked before; -1 for none.
const BEST: u32 = 0;
const BEST_AT: u32 = 1;
const LAST: u32 = 2;
const LAST_AT: u32 = 3;

fn count(call: &Call) -> Dim {
    call.dim("k").expect("required")
}

/// Whether `a` goes before `b` by value.
fn precedes(k: &mut dyn Build, call: &Call, a: ExprId, b: ExprId) -> ExprId {
    let (high, low) = if call.bool("largest") { (a, b) } else { (b, a) };
    let greater = k.compare(Compare::Lt, low, high);
    if !call.input(0).dtype.is_float() {
        return greater;
    }
    let (no_number, number) = (k.compare(Compare::Ne, high, high), k.compare(Compare::Eq, low, low));
    let beats = k.binary(Binary::And, no_number, number);
    k.binary(Binary::Or, greater, beats)
}

/// One pick: over the axis, the first of those that come after the last pick.
fn pick(k: &mut dyn Build, call: &Call, from: AxisId, element: ExprId) -> Vec<Statement> {
    let (none, place) = (k.integer(-1), k.position(from));
    let [best, best_at, last, last_at] = [BEST, BEST_AT, LAST, LAST_AT].map(|cell| k.cell(cell));
    let zero = k.integer(0);
    let first = k.compare(Compare::Lt, last_at, zero);
    let behind = precedes(k, call, last, element);
    let ahead = precedes(k, call, element, last);
    let later = k.compare(Compare::Lt, last_at, place);
    let either = k.binary(Binary::Or, behind, ahead);
    let truth = k.constant(Scalar::Bool(true));
    let same = k.binary(Binary::Xor, either, truth);
    let tied = k.binary(Binary::And, same, later);
    let follows = k.binary(Binary::Or, behind, tied);
    let free = k.binary(Binary::Or, first, follows);
    let empty = k.compare(Compare::Lt, best_at, zero);
    let better = precedes(k, call, element, best);
    let taken = k.binary(Binary::Or, empty, better);
    let condition = k.binary(Binary::And, free, taken);
    let chosen =
        vec![Statement::SetCell { cell: BEST, value: element }, Statement::SetCell { cell: BEST_AT, value: place }];
    let search = k.each(from, vec![Statement::If { condition, body: chosen }]);
    vec![Statement::SetCell { cell: BEST_AT, value: none }, search]
}

fn body(k: &mut dyn Build, call: &Call) -> Body {
    let (x, axis) = (call.input(0), call.axis("axis"));
    let axes = k.axes(&x.dims);
    let to = k.axis("k", count(call));
    let element = k.input(0, &At::axes(&axes));
    let mut place = At::axes(&axes);
    place[axis] = At::axis(to);
    let mut round = pick(k, call, axes[axis], element);
    let [best, best_at] = [BEST, BEST_AT].map(|cell| k.cell(cell));
    round.extend(k.put(Target::Result(0), &place, best));
    round.extend(k.put(Target::Result(1), &place, best_at));
    round.push(Statement::SetCell { cell: LAST, value: best });
    round.push(Statement::SetCell { cell: LAST_AT, value: best_at });
    let none = k.integer(-1);
    let row = vec![Statement::SetCell { cell: LAST_AT, value: none }, k.each(to, round)];
    let others: Vec<AxisId> = (0..axes.len()).filter(|i| *i != axis).map(|i| axes[i]).collect();
    let nest = |body, (i, axis): (usize, &AxisId)| vec![Statement::For { axis: *axis, parallel: i == 0, body }];
    let statements = others.iter().enumerate().rev().fold(row, nest);
    let compute = x.dtype.compute();
    Body::Loops(Loops { cells: vec![compute, DType::I64, compute, DType::I64], statements })
}

impl Op for TopK {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        let (x, axis, k) = (call.input(0), call.axis("axis"), count(call));
        if x.dtype == DType::Bool {
            let label = format!("this is {}", cx.show(x));
            return Err(OpError::new("MDL0306", "`top_k` needs numbers, found bool", Blame::Input(0), label));
        }
        let zero = Dim::from(0);
        if !cx.at_most(&zero, &k, Blame::Argument("k")) || !cx.at_most(&k, &x.dims[axis], Blame::Argument("k")) {
            let (k, extent) = (cx.slots.show(&k), cx.slots.show(&x.dims[axis]));
            let message = format!("`top_k` cannot pick {k} of the {extent} elements of axis {axis}");
            return Err(bad_argument("k", message, k).label(Blame::Input(0), format!("this is {}", cx.show(x))));
        }
        let mut dims = x.dims.clone();
        dims[axis] = k;
        Ok([x.dtype, DType::I64].map(|dtype| TensorType::new(dtype, dims.iter().cloned())).into())
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, axis, shape) = (inputs[0], call.axis("axis"), result_shape(call, 0, sizes)?);
        let ascending = |a: Scalar, b: Scalar| match x.dtype().is_float() {
            false => a.as_i64().cmp(&b.as_i64()),
            true => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(a.as_f64().is_nan().cmp(&b.as_f64().is_nan())),
        };
        let order =
            |a: Scalar, b: Scalar| -> Ordering { if call.bool("largest") { ascending(b, a) } else { ascending(a, b) } };
        let mut values = from_scalars(x.dtype(), &shape, |_| Scalar::zero(x.dtype()))?;
        let mut indices = from_scalars(DType::I64, &shape, |_| Scalar::I64(0))?;
        for (from, to) in super::rows(x.shape(), axis).into_iter().zip(super::rows(&shape, axis)) {
            let mut places: Vec<usize> = (0..from.len()).collect();
            places.sort_by(|a, b| order(x.get(from[*a]), x.get(from[*b])));
            for (to, place) in to.into_iter().zip(places) {
                values.set(to, x.get(from[place]));
                indices.set(to, Scalar::I64(place as i64));
            }
        }
        Ok(vec![values, indices])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::single(move |k| body(k, call))
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
