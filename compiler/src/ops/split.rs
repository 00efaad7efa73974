//! `split`, `unstack`: one tensor taken apart along an axis.

use super::places::shifted;
use super::reshape::require_size;
use super::{At, Blame, Build, Stage, Target};
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::{Dim, Truth};
use mlc_codegen::kernel::Body;
use mlc_runtime::tensor::Tensor;

/// Keeps the axis.
pub(super) static SPLIT: Split = Split;
/// Removes the axis.
pub(super) static UNSTACK: Unstack = Unstack;

/// See `PARTS`.
pub(super) struct Split;
/// See `SLICES`.
pub(super) struct Unstack;

static PARTS: Signature = Signature {
    name: "split",
    params: &[
        Param::required("x", Kind::Tensor),
        Param::optional("parts", Kind::Int, Default::None),
        Param::optional("sizes", Kind::Dims, Default::None),
        Param::required("axis", Kind::Axis),
    ],
    result: "several of the type of x, cut along the axis",
    doc: "x in `parts` equal parts along `axis`, or in parts of `sizes`, which sum to the dim.",
    example: "let (a, b) = split(x, parts = 2, axis = -1)",
};

static SLICES: Signature = Signature {
    name: "unstack",
    params: &[Param::required("x", Kind::Tensor), Param::required("axis", Kind::Axis)],
    result: "as many as the dim, without the axis",
    doc: "The slices of x along `axis`, whose dim is known when the model is compiled.",
    example: "let (a, b) = unstack(x, axis = 0)",
};

/// The most results of one op.
const MOST: i64 = 256;

/// The places of a result and of the element of x that goes there.
type Cut<'c> = dyn Fn(&mut dyn Build, usize, &[At]) -> Vec<At> + 'c;

/// A map over some results, which have the same dims.
fn copy(k: &mut dyn Build, call: &Call, results: std::ops::Range<usize>, cut: &Cut) -> Body {
    let axes = k.axes(&call.result(results.start).dims);
    let at = At::axes(&axes);
    let mut stores = vec![];
    for result in results {
        let from = cut(k, result, &at);
        let element = k.input(0, &from);
        stores.extend(k.store(Target::Result(result), &at, element));
    }
    Body::Map(stores)
}

fn copied(x: &Tensor, shape: &[usize], from: impl Fn(Vec<usize>) -> Vec<usize>) -> Result<Tensor, EvalError> {
    let elements: Vec<_> = super::positions(shape).map(|to| x.get(super::offset(x.shape(), &from(to)))).collect();
    super::from_scalars(x.dtype(), shape, |i| elements[i])
}

/// The sum of the extents before a result.
fn start(call: &Call, result: usize) -> Dim {
    call.results[..result].iter().map(|ty| ty.dims[call.axis("axis")].clone()).sum()
}

fn equal_parts(call: &Call, parts: i64, cx: &mut Infer) -> Result<Vec<Dim>, OpError> {
    let dim = &call.input(0).dims[call.axis("axis")];
    let blame = Blame::Argument("parts");
    if !(1..=MOST).contains(&parts) {
        return Err(OpError::new(
            "MDL0309",
            format!("`parts` must be in 1..={MOST}"),
            blame,
            format!("this is {parts}"),
        ));
    }
    let divisor = Dim::from(parts);
    let part = cx.slots.floor_div(dim, &divisor);
    if cx.slots.divides(&divisor, dim) != Truth::No && cx.equal(&(part.clone() * parts), dim, blame.clone()) {
        return Ok(vec![part; parts as usize]);
    }
    let message = format!("{} is not divisible by {parts}", cx.slots.show(dim));
    Err(OpError::new("MDL0304", message, blame, format!("{parts} parts"))
        .label(Blame::Input(0), format!("this is {}", cx.show(call.input(0))))
        .dim(dim))
}

fn given_parts(call: &Call, sizes: Vec<Dim>, cx: &mut Infer) -> Result<Vec<Dim>, OpError> {
    let dim = &call.input(0).dims[call.axis("axis")];
    for size in &sizes {
        require_size(cx, "sizes", size)?;
    }
    let total: Dim = sizes.iter().cloned().sum();
    let blame = Blame::Argument("sizes");
    if !sizes.is_empty() && sizes.len() as i64 <= MOST && cx.equal(&total, dim, blame.clone()) {
        return Ok(sizes);
    }
    let message = format!("`sizes` sum to {}, the axis has {}", cx.slots.show(&total), cx.slots.show(dim));
    Err(OpError::new("MDL0315", message, blame, format!("{} parts", sizes.len()))
        .label(Blame::Input(0), format!("this is {}", cx.show(call.input(0))))
        .dim(dim))
}

impl Op for Split {
    fn signature(&self) -> &'static Signature {
        &PARTS
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        let extents = match (call.int("parts"), call.dims("sizes")) {
            (Some(parts), None) => equal_parts(call, parts, cx)?,
            (None, Some(_)) => given_parts(call, super::reshape::dims(call, "sizes")?, cx)?,
            _ => {
                let message = "`split` takes either `parts` or `sizes`";
                let error = OpError::new("MDL0211", message, Blame::Call, "how x is cut is not said");
                return Err(error.help("split(x, parts = 2, axis = 0), or split(x, sizes = [1, 3], axis = 0)"));
            }
        };
        let part = |extent: Dim| {
            let mut ty = call.input(0).clone();
            ty.dims[call.axis("axis")] = extent;
            ty
        };
        Ok(extents.into_iter().map(part).collect())
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let axis = call.axis("axis");
        let part = |result: usize| {
            let shape = super::result_shape(call, result, sizes)?;
            let start = start(call, result).eval(sizes).and_then(|start| usize::try_from(start).ok());
            let start = start.ok_or_else(|| EvalError::Size("a part".into()))?;
            copied(inputs[0], &shape, |mut position| {
                position[axis] += start;
                position
            })
        };
        (0..call.results.len()).map(part).collect()
    }

    /// One kernel for parts of one size, else one for each.
    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        let axis = call.axis("axis");
        let cut = move |k: &mut dyn Build, result: usize, at: &[At]| {
            let mut from = at.to_vec();
            from[axis] = shifted(k, &at[axis], &start(call, result));
            from
        };
        let count = call.results.len();
        if call.results.iter().all(|ty| ty == call.result(0)) {
            return Lowering::single(move |k| copy(k, call, 0..count, &cut));
        }
        let stage = |i: usize| -> Stage<'a> { Box::new(move |k| copy(k, call, i..i + 1, &cut)) };
        Lowering::Stages { temps: vec![], stages: (0..count).map(stage).collect() }
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}

impl Op for Unstack {
    fn signature(&self) -> &'static Signature {
        &SLICES
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        let (x, axis) = (call.input(0), call.axis("axis"));
        match x.dims[axis].as_constant() {
            Some(count) if (1..=MOST).contains(&count) => {
                let mut slice = x.clone();
                slice.dims.remove(axis);
                Ok(vec![slice; count as usize])
            }
            _ => {
                let message = format!("`unstack` needs axis {axis} to be a number in 1..={MOST}");
                let label = format!("this is {}", cx.show(x));
                Err(OpError::new("MDL0309", message, Blame::Input(0), label).dim(&x.dims[axis]))
            }
        }
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let axis = call.axis("axis");
        let slice = |result: usize| {
            copied(inputs[0], &super::result_shape(call, result, sizes)?, |mut position| {
                position.insert(axis, result);
                position
            })
        };
        (0..call.results.len()).map(slice).collect()
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::single(move |k| {
            let cut = |k: &mut dyn Build, result: usize, at: &[At]| {
                let mut from = at.to_vec();
                from.insert(call.axis("axis"), shifted(k, &At::zero(), &Dim::from(result as i64)));
                from
            };
            copy(k, call, 0..call.results.len(), &cut)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
