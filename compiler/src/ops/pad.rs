//! `pad`: more elements before and after each axis.

use super::places::shifted;
use super::reshape::dims;
use super::{At, Blame, Build};
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::{Dim, Scalar};
use mlc_codegen::kernel::{Binary, Compare};
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static PAD: Pad = Pad;

/// See `SIGNATURE`.
pub(super) struct Pad;

static SIGNATURE: Signature = Signature {
    name: "pad",
    params: &[
        Param::required("x", Kind::Tensor),
        Param::required("pads", Kind::Dims),
        Param::optional("mode", Kind::Word(&["constant", "reflect", "edge"]), Default::Text("constant")),
        Param::optional("value", Kind::Float, Default::Float(0.0)),
    ],
    result: "the dtype of x; dim before + d + after",
    doc: "x with elements added along each axis: `pads` has a pair [before, after] for each. New elements are `value`, or \
          with mode \"reflect\" mirrored at the outermost element, or with \"edge\" equal to it.",
    example: "let y = pad(x, [[0, 0], [1, 1], [2, 0]], mode = \"reflect\")",
};

/// `(before, after)` of each axis.
fn pads(call: &Call) -> Vec<(Dim, Dim)> {
    let flat = call.dims("pads").unwrap_or_default();
    let pair = |pair: &[Option<Dim>]| Some((pair[0].clone()?, pair[1].clone()?));
    flat.chunks_exact(2).filter_map(pair).collect()
}

fn fill(call: &Call) -> Scalar {
    Scalar::from_f64(call.input(0).dtype, call.float("value").expect("it has a default"))
}

/// Where in `0..extent` an element outside comes from.
fn inside(mode: &str, position: i64, extent: i64) -> i64 {
    match mode {
        "reflect" => {
            let position = position.abs();
            if position >= extent { 2 * (extent - 1) - position } else { position }
        }
        _ => position.clamp(0, extent - 1),
    }
}

/// The same as an expression.
fn inside_at(k: &mut dyn Build, mode: &str, at: &At, extent: &Dim) -> At {
    let (position, zero, last) = (k.coordinate(at), k.integer(0), k.size(extent.clone() - 1));
    if mode == "edge" {
        let raised = k.binary(Binary::Max, position, zero);
        return At::value(k.binary(Binary::Min, raised, last));
    }
    let negated = k.sub(zero, position);
    let below = k.compare(Compare::Lt, position, zero);
    let position = k.select(below, negated, position);
    let twice = k.add(last, last);
    let mirrored = k.sub(twice, position);
    let above = k.compare(Compare::Lt, last, position);
    At::value(k.select(above, mirrored, position))
}

/// What a mode that repeats elements needs of an axis.
fn check_mode(call: &Call, axis: usize, (before, after): &(Dim, Dim), cx: &mut Infer) -> Result<(), OpError> {
    let mode = call.text("mode").expect("it has a default");
    let none = Dim::from(0);
    if mode == "constant" || (*before == none && *after == none) {
        return Ok(());
    }
    let dim = &call.input(0).dims[axis];
    let least = if mode == "reflect" { [before.clone() + 1, after.clone() + 1] } else { [Dim::from(1), Dim::from(1)] };
    if least.iter().all(|least| cx.at_most(least, dim, Blame::Argument("pads"))) {
        return Ok(());
    }
    let message = match mode {
        "reflect" => format!("`pad` mirrors at most {} - 1 elements on axis {axis}", cx.slots.show(dim)),
        _ => format!("`pad` has nothing to repeat: axis {axis} is empty"),
    };
    let label = format!("{} before, {} after", cx.slots.show(before), cx.slots.show(after));
    Err(OpError::new("MDL0309", message, Blame::Argument("pads"), label)
        .label(Blame::Input(0), format!("this is {}", cx.show(call.input(0))))
        .dim(dim))
}

impl Op for Pad {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        let mut result = call.input(0).clone();
        let flat = dims(call, "pads")?;
        if flat.len() != 2 * result.rank() {
            let message = format!("`pads` has {} numbers for {} axes", flat.len(), result.rank());
            return Err(OpError::new("MDL0309", message, Blame::Argument("pads"), "not a pair for each axis")
                .label(Blame::Input(0), format!("this is {}", cx.show(&result)))
                .help("write a pair for each axis: [[0, 0], [1, 1]]"));
        }
        for dim in &flat {
            super::reshape::require_size(cx, "pads", dim)?;
        }
        for (axis, pair) in pads(call).iter().enumerate() {
            check_mode(call, axis, pair, cx)?;
            result.dims[axis] = result.dims[axis].clone() + &pair.0 + &pair.1;
        }
        Ok(vec![result])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, shape, mode) = (inputs[0], super::result_shape(call, 0, sizes)?, call.text("mode").unwrap_or_default());
        let before: Option<Vec<i64>> = pads(call).iter().map(|(before, _)| before.eval(sizes)).collect();
        let before = before.ok_or_else(|| EvalError::Size("a padding".into()))?;
        let element = |to: Vec<usize>| {
            let place = |axis: usize| {
                let (position, extent) = (to[axis] as i64 - before[axis], x.shape()[axis] as i64);
                let position = if mode == "constant" { position } else { inside(mode, position, extent) };
                usize::try_from(position).ok().filter(|p| *p < x.shape()[axis])
            };
            let from: Option<Vec<usize>> = (0..to.len()).map(place).collect();
            from.map_or(fill(call), |from| x.get(super::offset(x.shape(), &from)))
        };
        let elements: Vec<Scalar> = super::positions(&shape).map(element).collect();
        Ok(vec![super::from_scalars(x.dtype(), &shape, |i| elements[i])?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let (x, mode) = (call.input(0), call.text("mode").expect("it has a default"));
            let mut from = at.to_vec();
            for (axis, (before, after)) in pads(call).iter().enumerate() {
                if (before.as_constant(), after.as_constant()) == (Some(0), Some(0)) {
                    continue;
                }
                let place = shifted(k, &at[axis], &(Dim::from(0) - before));
                from[axis] = match mode {
                    "constant" => place.guarded(),
                    mode => inside_at(k, mode, &place, &x.dims[axis]),
                };
            }
            k.input_or(0, &from, Some(fill(call)))
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
