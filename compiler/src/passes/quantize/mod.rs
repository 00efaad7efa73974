//! `quantize`: products of integers that stand for numbers, said by `quantize` and `dequantize` around them.
//! Invariant: which products, and with which scales, is decided outside and handed in; a product without a recipe stays as
//! it is, and what is written is text that runs by itself, however fast it is made later.

mod activations;
mod weights;

pub use weights::{Rounded, per_channel};

use super::constants::{Family, numbers};
use super::products::{Product, products};
use super::rewrite::{Outcome, Rewriter, Rule, Use, rewrite};
use crate::graph::{Graph, NodeId, ValueId};
use crate::ops::{Arguments, Attr, OpKind};
use mlc_codegen::base::{DType, Dim, Scalar};
use mlc_runtime::tensor::Tensor;
use std::collections::BTreeMap;

/// What becomes of a product.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Bits of a weight's numbers, without a sign: 7 for i8.
    pub bits: u32,
    /// The activations.
    pub activations: Activations,
    /// What is added to each channel of the result, by trip, for what rounding the weights takes away on average.
    pub correction: Option<Vec<Vec<f64>>>,
}

/// How the other operand of a product is rounded.
#[derive(Clone, Debug, PartialEq)]
pub enum Activations {
    /// Not at all.
    Float,
    /// Each row by a scale of its own, found when it is there.
    Rows,
    /// By one scale, found before; one for each trip of the loop around.
    Fixed(Vec<Scale>),
}

/// `number = (code - zero) * scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Of codes.
    pub dtype: DType,
    /// From one code to the next.
    pub step: f32,
    /// The code of 0.
    pub zero: i64,
}

/// What to do, by the node of a product.
pub type Recipes = BTreeMap<NodeId, Recipe>;

/// Carries recipes out; gives how many products were changed.
pub fn quantize(graph: &mut Graph, recipes: &Recipes) -> usize {
    let products = products(graph).into_iter().map(|product| (product.node, product)).collect();
    rewrite(graph, &mut Quantize { recipes, products })
}

struct Quantize<'r> {
    recipes: &'r Recipes,
    products: BTreeMap<NodeId, Product>,
}

impl Rule for Quantize<'_> {
    fn node(&mut self, cx: &mut Rewriter, node: NodeId) -> Outcome {
        let both = self.recipes.get(&node).zip(self.products.get(&node)).zip(cx.op(node));
        let made = both.and_then(|((recipe, product), found)| match product.is_table() {
            true => table(cx, &found, product, recipe),
            false => changed(cx, &found, product, recipe),
        });
        made.map_or(Outcome::Keep, |value| Outcome::Replace(vec![value]))
    }
}

/// A constant family of the weight's codes, and one of their scales.
fn codes(cx: &mut Rewriter, product: &Product, bits: u32) -> Option<(ValueId, ValueId, Option<usize>)> {
    let family = Family { members: product.members.clone(), counter: product.counter };
    let axis = product.channels.map(|(axis, _)| axis);
    let (mut all, mut scales) = (vec![], vec![]);
    for member in &product.members {
        let Rounded { codes, steps } = per_channel(&numbers(cx.graph, *member)?, axis, bits)?;
        all.push(codes);
        scales.push(steps);
    }
    let codes = cx.constant(all, product.counter, &family, "codes")?;
    let scales = cx.constant(scales, product.counter, &family, "scale")?;
    Some((codes, scales, axis))
}

/// A product of rounded operands.
fn changed(cx: &mut Rewriter, found: &Use, product: &Product, recipe: &Recipe) -> Option<ValueId> {
    let (codes, scales, axis) = codes(cx, product, recipe.bits)?;
    let data = found.inputs[1 - product.place];
    let data = match &recipe.activations {
        Activations::Float => data,
        Activations::Fixed(scales) => activations::fixed(cx, data, scales, product)?,
        Activations::Rows => activations::by_row(cx, data, product)?,
    };
    let axis = axis.map_or(Attr::None, |axis| Attr::Int(axis as i64));
    let weight = apply(cx, OpKind::Dequantize, &[1, 1, 0], vec![axis, Attr::None], vec![codes, scales])?;
    let by_row = recipe.activations == Activations::Rows;
    let turned = match by_row {
        true => (product.summed == [1]).then(|| vec![1, 0]),
        false => product.turned.clone(),
    };
    let weight = match turned {
        Some(perm) => {
            let perm = Attr::Ints(perm.into_iter().map(|axis| axis as i64).collect());
            apply(cx, OpKind::Transpose, &[1], vec![perm], vec![weight])?
        }
        None => weight,
    };
    let value = match by_row {
        true => apply(cx, OpKind::Matmul, &[1, 1], vec![], vec![data, weight])?,
        false => {
            let mut inputs = found.inputs.clone();
            (inputs[product.place], inputs[1 - product.place]) = (weight, data);
            cx.apply(found.op, found.arguments.clone(), inputs)?
        }
    };
    match recipe.correction.as_ref().zip(product.channels) {
        Some((corrections, (_, channel))) => corrected(cx, value, corrections, channel, product),
        None => Some(value),
    }
}

/// The result with a constant added to each channel.
fn corrected(
    cx: &mut Rewriter,
    value: ValueId,
    corrections: &[Vec<f64>],
    channel: usize,
    product: &Product,
) -> Option<ValueId> {
    let rank = cx.graph.ty(value).rank();
    let tensor = |correction: &Vec<f64>| {
        let mut shape = vec![1; rank - channel];
        shape[0] = correction.len();
        Tensor::from_fn(DType::F32, shape, |i| Scalar::F64(correction[i])).ok()
    };
    let tensors = corrections.iter().map(tensor).collect::<Option<_>>()?;
    let family = Family { members: product.members.clone(), counter: product.counter };
    let correction = cx.constant(tensors, product.counter, &family, "correction")?;
    apply(cx, OpKind::Add, &[1, 1], vec![], vec![value, correction])
}

/// Rows of codes, and the scale of each.
fn table(cx: &mut Rewriter, found: &Use, product: &Product, recipe: &Recipe) -> Option<ValueId> {
    if product.turned.is_some() {
        return None;
    }
    let family = Family { members: product.members.clone(), counter: product.counter };
    let (mut all, mut scales) = (vec![], vec![]);
    for member in &product.members {
        let Rounded { codes, steps } = per_channel(&numbers(cx.graph, *member)?, Some(0), recipe.bits)?;
        let rows = steps.len();
        all.push(codes);
        scales.push(steps.reshape([rows, 1]).ok()?);
    }
    let codes = cx.constant(all, product.counter, &family, "codes")?;
    let scales = cx.constant(scales, product.counter, &family, "scale")?;
    let gather = |cx: &mut Rewriter, table: ValueId| {
        let mut inputs = found.inputs.clone();
        inputs[0] = table;
        cx.apply(found.op, found.arguments.clone(), inputs)
    };
    let (codes, scales) = (gather(cx, codes)?, gather(cx, scales)?);
    let numbers = apply(cx, OpKind::Cast, &[1], vec![Attr::DType(DType::F32)], vec![codes])?;
    apply(cx, OpKind::Mul, &[1, 1], vec![], vec![numbers, scales])
}

/// An op by its inputs and attributes.
fn apply(cx: &mut Rewriter, op: OpKind, counts: &[u32], attrs: Vec<Attr>, inputs: Vec<ValueId>) -> Option<ValueId> {
    cx.apply(op, Arguments { counts: counts.to_vec(), attrs }, inputs)
}

/// A constant of one number, or of one for each trip.
fn scalars(cx: &mut Rewriter, product: &Product, numbers: Vec<Scalar>, dtype: DType, word: &str) -> Option<ValueId> {
    let family = Family { members: product.members.clone(), counter: product.counter };
    let alike = numbers.iter().all(|number| *number == numbers[0]);
    let kept = if alike { &numbers[..1] } else { &numbers[..] };
    let tensors = kept.iter().map(|number| Tensor::scalar(dtype, *number)).collect();
    cx.constant(tensors, product.counter.filter(|_| !alike), &family, word)
}

/// A dim that is known.
fn known(dim: &Dim) -> bool {
    dim.as_constant().is_some()
}
