//! `fold-qdq`: products of dequantised numbers as products of the integers that they are made of.
//! Invariant: sums of a folded product are exact in i32, whatever the activations hold; where that cannot be proved from the
//! weights, or a scale varies within a sum, the product stays as it is.

mod operand;
mod weights;

use self::operand::{Integers, integers};
use self::weights::{Kept, Weights};
use super::constants::{Family, common};
use super::rewrite::{Outcome, Rewriter, Rule, Use, rewrite};
use super::{constants, fold};
use crate::graph::{Graph, NodeId, ValueId};
use crate::ops::{Arguments, Attr, OpKind};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim, Scalar};
use mlc_runtime::tensor::Tensor;

pub(super) const DOC: &str = "\
Makes products of dequantised tensors products of their integers. That is a matmul, einsum or convolution of 8-bit \
activations, of one zero point and one scale or in a matmul one for each row, by constant 8-bit weights, of one or by output \
channel; written with `dequantize`, or with casts, a difference and a scale, as quantised operators of ONNX are imported. \
Sums are of i32 and exact, zero points become a constant that is subtracted from them, and the scales are applied once to \
each sum; results differ by roundings of floats alone. A scale that varies within a sum, or is of groups, and sums that \
might not fit i32 leave a product as it is.";

/// Folds products; then weights that are left dequantised, and small, become floats.
pub(super) fn run(graph: &mut Graph) -> usize {
    let folded = rewrite(graph, &mut FoldQdq);
    fold::run_rest(graph);
    folded
}

struct FoldQdq;

impl Rule for FoldQdq {
    fn node(&mut self, cx: &mut Rewriter, node: NodeId) -> Outcome {
        let folded = cx.op(node).and_then(|found| match found.op {
            OpKind::Conv1d | OpKind::Conv2d | OpKind::Einsum | OpKind::Matmul => product(cx, &found),
            _ => None,
        });
        folded.map_or(Outcome::Keep, |value| Outcome::Replace(vec![value]))
    }
}

/// What a product is of, and what its integers are.
struct Product<'u> {
    found: &'u Use,
    /// Which input is the weight.
    place: usize,
    left: Integers,
    weights: Weights,
    counter: Option<mlc_codegen::base::Slot>,
    trips: usize,
}

fn product(cx: &mut Rewriter, found: &Use) -> Option<ValueId> {
    let convolution = matches!(found.op, OpKind::Conv1d | OpKind::Conv2d);
    let places: &[usize] = if convolution { &[1] } else { &[1, 0] };
    let (place, weight) = places.iter().find_map(|place| {
        let weight = integers(cx, *found.inputs.get(*place)?)?;
        Some((*place, weight)).filter(|(_, weight)| cx.family(weight.value).is_some())
    })?;
    let left = integers(cx, found.inputs[1 - place])?;
    let dtype = found.results[0].dtype;
    let floats = [&left, &weight].map(|side| side.scale.is_some());
    if floats[0] != floats[1] || dtype != (if floats[0] { DType::F32 } else { DType::I32 }) {
        return None;
    }
    let kept = kept(found, place)?;
    let rows = found.op == OpKind::Matmul && place == 1;
    let (x, w) = (&found.types[1 - place], &found.types[place]);
    if left.axis.is_some() || !left.scale.is_none_or(|scale| scales_rows(cx.graph.ty(scale), x, rows && w.rank() == 2))
    {
        return None;
    }
    let known = [left.zero, left.scale].into_iter().flatten().filter_map(|value| cx.family(value));
    let known: Vec<Family> = known.collect();
    let weights = Weights::new(cx, &weight, kept, found.results[0].rank())?;
    let families: Vec<&Family> = known.iter().chain(weights.families()).collect();
    let (counter, trips) = common(&families)?;
    let product = Product { found, place, left, weights, counter, trips };
    product.build(cx, convolution)
}

/// For each dim of the weight, the dim of the result that walks with it; `None` where a sum is over one side alone.
fn kept(found: &Use, place: usize) -> Option<Kept> {
    if matches!(found.op, OpKind::Conv1d | OpKind::Conv2d) {
        return Some((0..found.types[1].rank()).map(|dim| (dim == 0).then_some(1)).collect());
    }
    let whole = found.op.op().contraction(&found.call())?;
    let [left, right] = [&whole.operands.get(1 - place)?, &whole.operands.get(place)?];
    let summed = |axis: &usize| !whole.result.contains(axis);
    let on = |side: &[Option<usize>], axis: &usize| side.contains(&Some(*axis));
    let both = (0..whole.extents.len()).filter(summed).all(|axis| on(left, &axis) && on(right, &axis));
    let once = |axis: usize| right.iter().filter(|other| **other == Some(axis)).count() == 1;
    let fits = whole.operands.len() == 2 && both && right.iter().flatten().all(|axis| once(*axis));
    let of = |axis: &Option<usize>| axis.and_then(|axis| whole.result.iter().position(|kept| *kept == axis));
    fits.then(|| right.iter().map(of).collect())
}

/// Whether a scale is one number, or where it may be, one for each row of x.
fn scales_rows(scale: &TensorType, x: &TensorType, rows: bool) -> bool {
    let one = |dim: &Dim| dim.as_constant() == Some(1);
    let whole = scale.dims.iter().all(one) && scale.rank() <= x.rank().max(1) && (scale.rank() < 2 || rows);
    let by_row = rows && x.rank() > 1 && scale.rank() == x.rank() && scale.dims.last().is_some_and(one);
    whole || by_row
}

impl Product<'_> {
    fn build(self, cx: &mut Rewriter, convolution: bool) -> Option<ValueId> {
        let (zeros, bound) = self.zeros(cx)?;
        let members: Vec<_> = (0..self.trips).map(|trip| self.weights.at(cx, trip)).collect::<Option<_>>()?;
        if members.iter().any(|member| !member.fits(bound)) {
            return None;
        }
        let fill = match (convolution && pads(self.found), &zeros) {
            (false, _) => 0,
            (true, Zeros::Constant(zeros)) if zeros.iter().all(|zero| *zero == zeros[0]) => zeros[0],
            (true, _) => return None,
        };
        let correction = match &zeros {
            Zeros::Constant(zeros) if zeros.iter().all(|zero| *zero == 0) => None,
            Zeros::Constant(zeros) => {
                let sums = members.iter().zip(zeros).map(|(member, zero)| member.sums(*zero)).collect();
                Some(cx.constant(sums, self.counter, &self.weights.family, "zero")?)
            }
            Zeros::Given(zero) => {
                let sums = members.iter().map(|member| member.sums(1)).collect();
                let sums = cx.constant(sums, self.counter, &self.weights.family, "sums")?;
                let zero = cast(cx, *zero, DType::I32)?;
                let zero = scalar(cx, zero)?;
                Some(pair(cx, OpKind::Mul, zero, sums)?)
            }
        };
        let scale = self.weights.scales(cx, self.left.scale, self.trips)?;
        let weight = self.weights.value(cx, members, self.counter)?;
        let mut inputs = self.found.inputs.clone();
        inputs.truncate(2);
        (inputs[self.place], inputs[1 - self.place]) = (weight, self.left.value);
        let bias = self.found.inputs.get(2).copied();
        let exact = self.left.scale.is_none();
        inputs.extend(bias.filter(|_| exact));
        let arguments = arguments(self.found, inputs.len(), fill);
        let mut value = cx.apply(self.found.op, arguments, inputs)?;
        if let Some(correction) = correction {
            value = pair(cx, OpKind::Sub, value, correction)?;
        }
        if exact {
            return Some(value);
        }
        value = cast(cx, value, DType::F32)?;
        if let Some(scale) = self.left.scale.filter(|_| !scale.joined) {
            value = pair(cx, OpKind::Mul, value, scale)?;
        }
        let factor =
            cx.constant(scale.tensors, self.counter.filter(|_| self.trips > 1), &self.weights.family, "scale")?;
        value = pair(cx, OpKind::Mul, value, factor)?;
        match bias {
            Some(bias) => {
                let rank = self.found.results[0].rank();
                let channels = self.found.types[2].dims[0].clone();
                let mut shape = vec![Dim::from(1); rank - 1];
                shape[0] = channels;
                let bias = reshape(cx, bias, shape)?;
                pair(cx, OpKind::Add, value, bias)
            }
            None => Some(value),
        }
    }

    /// The activations' zero points, and how far from them a number can be.
    fn zeros(&self, cx: &Rewriter) -> Option<(Zeros, i64)> {
        let (low, high) = cx.graph.ty(self.left.value).dtype.integer_range().expect("they are integers");
        let farthest = |zero: i64| (high - zero).abs().max((low - zero).abs());
        let Some(zero) = self.left.zero else {
            return Some((Zeros::Constant(vec![0; self.trips]), farthest(0)));
        };
        let Some(family) = cx.family(zero) else {
            let one = cx.graph.ty(zero).dims.iter().all(|dim| dim.as_constant() == Some(1));
            return one.then_some((Zeros::Given(zero), high - low));
        };
        let number = |trip: usize| {
            let zeros = constants::numbers(cx.graph, family.at(trip))?;
            (zeros.len() == 1).then(|| zeros.get(0).as_i64()).filter(|zero| (low..=high).contains(zero))
        };
        let zeros: Vec<i64> = (0..self.trips).map(number).collect::<Option<_>>()?;
        let bound = zeros.iter().map(|zero| farthest(*zero)).max()?;
        Some((Zeros::Constant(zeros), bound))
    }
}

/// What activations are moved by.
enum Zeros {
    /// By trip.
    Constant(Vec<i64>),
    /// What a call computes.
    Given(ValueId),
}

/// Whether a convolution may read outside of its input.
fn pads(found: &Use) -> bool {
    match found.call().attr("pad") {
        Attr::Int(0) => false,
        Attr::Ints(pads) => pads.iter().any(|pad| *pad != 0),
        _ => true,
    }
}

/// The product's arguments, with what a convolution reads outside of its input.
fn arguments(found: &Use, inputs: usize, fill: i64) -> Arguments {
    let mut attrs = found.arguments.attrs.clone();
    let others = found.op.op().signature().params.iter().filter(|param| !param.is_tensor());
    for (attr, _) in attrs.iter_mut().zip(others).filter(|(_, param)| param.name == "fill") {
        *attr = Attr::Int(fill);
    }
    let tensors = found.op.op().signature().params.iter().filter(|param| param.is_tensor()).count();
    let counts = match tensors {
        1 => vec![inputs as u32],
        all => (0..all).map(|place| u32::from(place < inputs)).collect(),
    };
    Arguments { counts, attrs }
}

fn pair(cx: &mut Rewriter, op: OpKind, a: ValueId, b: ValueId) -> Option<ValueId> {
    cx.apply(op, Arguments { counts: vec![1, 1], attrs: vec![] }, vec![a, b])
}

fn cast(cx: &mut Rewriter, value: ValueId, dtype: DType) -> Option<ValueId> {
    if cx.graph.ty(value).dtype == dtype {
        return Some(value);
    }
    cx.apply(OpKind::Cast, Arguments { counts: vec![1], attrs: vec![Attr::DType(dtype)] }, vec![value])
}

/// A tensor of one element without axes.
fn scalar(cx: &mut Rewriter, value: ValueId) -> Option<ValueId> {
    reshape(cx, value, vec![])
}

fn reshape(cx: &mut Rewriter, value: ValueId, shape: Vec<Dim>) -> Option<ValueId> {
    if cx.graph.ty(value).dims == shape {
        return Some(value);
    }
    let attrs = vec![Attr::Dims(shape.into_iter().map(Some).collect())];
    cx.apply(OpKind::Reshape, Arguments { counts: vec![1], attrs }, vec![value])
}

/// A tensor of i32.
fn whole(shape: &[usize], values: &[i64]) -> Tensor {
    Tensor::from_fn(DType::I32, shape, |i| Scalar::I32(values[i] as i32)).expect("a shape of so many numbers")
}
