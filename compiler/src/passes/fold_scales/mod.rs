//! `fold-scales`: what scales and shifts the channels of a contraction, done by its weights and bias instead.
//! Invariant: only what comes after the contraction is folded. What comes before would change the zeros of its padding.

mod core;
mod grid;

use self::core::Core;
use self::grid::Grid;
use super::constants::{Family, common, numbers, uses};
use super::rewrite::{Outcome, Rewriter, Rule, Use, rewrite};
use crate::graph::{ConstantId, Graph, NodeId, ValueId};
use crate::ops::{Arguments, OpKind};
use mlc_codegen::base::{DType, Slot};
use mlc_runtime::tensor::Tensor;
use std::collections::HashMap;

pub(super) const DOC: &str = "\
Folds scales and shifts into the weights before them. Behind a convolution, einsum or matmul with constant weights that is \
batch norm with its frozen statistics, and a product or quotient with constants that differ at most by output channel, both \
also behind a constant bias. A constant that is added to each channel of a convolution becomes its bias. Results change by roundings of floats. \
Weights that stay packed, that something else reads too, or that would not be finite are left alone.";

/// Bytes of all members of a new weight.
const MOST: i64 = 256 << 20;

/// Folds from the inputs to the outputs.
pub(super) fn run(graph: &mut Graph) -> usize {
    let uses = uses(graph);
    rewrite(graph, &mut FoldScales { uses })
}

struct FoldScales {
    /// How often each entry uses each constant.
    uses: Vec<HashMap<ConstantId, u32>>,
}

impl Rule for FoldScales {
    fn node(&mut self, cx: &mut Rewriter, node: NodeId) -> Outcome {
        let folded = cx.op(node).and_then(|found| match found.op {
            OpKind::Add => self.bias(cx, &found),
            OpKind::BatchNorm => self.fold(cx, &found, 0),
            OpKind::Div => self.fold(cx, &found, 0),
            OpKind::Mul => self.fold(cx, &found, 0).or_else(|| self.fold(cx, &found, 1)),
            _ => None,
        });
        folded.map_or(Outcome::Keep, |value| Outcome::Replace(vec![value]))
    }
}

impl FoldScales {
    /// `contraction * scale + shift`, where `data` is the input that is scaled.
    fn fold(&self, cx: &mut Rewriter, found: &Use, data: usize) -> Option<ValueId> {
        let others = (0..found.inputs.len()).filter(|input| *input != data);
        let constants: Vec<Family> = others.map(|input| cx.family(found.inputs[input])).collect::<Option<_>>()?;
        if found.types[data] != found.results[0] {
            return None;
        }
        let (core, added) = self.behind(cx, found.inputs[data])?;
        let families: Vec<&Family> =
            constants.iter().chain([&core.weight]).chain(core.bias.as_ref()).chain(added.as_ref()).collect();
        let (counter, trips) = common(&families)?;
        let own = core.weight.bytes(cx.graph) / core.weight.members.len() as i64;
        if own.saturating_mul(trips as i64) > MOST {
            return None;
        }
        let (mut weights, mut biases, mut sums) = (vec![], vec![], vec![]);
        for trip in 0..trips {
            let (scale, shift) = affine(cx.graph, found, &constants, trip)?;
            let weight = numbers(cx.graph, core.weight.at(trip))?;
            weights.push(scale.times(&weight, core.rank, &core.axes)?);
            let grid = |family: &Family| Some(Grid::of(&numbers(cx.graph, family.at(trip))?));
            let shift = match &added {
                None => shift,
                Some(added) => {
                    let sum = grid(added)?.combined(&scale, |b, s| b * s);
                    let sum = shift.map_or_else(|| sum.clone(), |shift| sum.combined(&shift, |b, t| b + t));
                    sums.push(sum.tensor(core.dtype)?);
                    None
                }
            };
            let bias = match &core.bias {
                Some(family) => Some(grid(family)?.along_channels(core.rank).combined(&scale, |b, s| b * s)),
                None => None,
            };
            biases.extend(match (bias, shift) {
                (Some(bias), Some(shift)) => Some(bias.combined(&shift, |b, t| b + t)),
                (bias, shift) => bias.or(shift),
            });
        }
        cx.continues(&core.found);
        let weight = cx.constant(weights, counter, &core.weight, "scaled")?;
        let like = core.bias.as_ref().or(constants.first())?.clone();
        self.build(cx, core, weight, (biases, sums), counter, &like)
    }

    /// The new contraction, its bias and the sum behind it.
    fn build(
        &self,
        cx: &mut Rewriter,
        core: Core,
        weight: ValueId,
        (biases, mut sums): (Vec<Grid>, Vec<Tensor>),
        counter: Option<Slot>,
        like: &Family,
    ) -> Option<ValueId> {
        let mut inputs = core.found.inputs.clone();
        let mut arguments = core.found.arguments.clone();
        inputs[core.place] = weight;
        if core.is_convolution && !biases.is_empty() {
            let vectors = biases.iter().map(|bias| bias.channels(core.rank, core.channels, core.dtype));
            let bias = cx.constant(vectors.collect::<Option<_>>()?, counter, like, "shifted")?;
            inputs.truncate(2);
            inputs.push(bias);
            arguments = Arguments { counts: vec![1, 1, 1], ..arguments };
        } else if sums.is_empty() && !biases.is_empty() {
            sums = biases.iter().map(|bias| bias.tensor(core.dtype)).collect::<Option<_>>()?;
        }
        let product = cx.apply(core.found.op, arguments, inputs)?;
        if sums.is_empty() {
            return Some(product);
        }
        let sum = cx.constant(sums, counter, like, "shifted")?;
        cx.apply(OpKind::Add, Arguments { counts: vec![1, 1], attrs: vec![] }, vec![product, sum])
    }

    /// A constant added to the channels of a convolution without bias.
    fn bias(&self, cx: &mut Rewriter, found: &Use) -> Option<ValueId> {
        let side = (0..2).find(|side| cx.family(found.inputs[*side]).is_some())?;
        let added = cx.family(found.inputs[side])?;
        let core = Core::of(cx, found.inputs[1 - side], &self.uses[cx.entry])?;
        if !core.is_convolution || core.bias.is_some() || found.types[1 - side] != found.results[0] {
            return None;
        }
        let vector = |member: &ConstantId| {
            let grid = Grid::of(&numbers(cx.graph, *member)?);
            grid.channels(core.rank, core.channels, core.dtype)
        };
        let vectors = added.members.iter().map(vector).collect::<Option<_>>()?;
        cx.continues(&core.found);
        let bias = cx.constant(vectors, added.counter, &added, "bias")?;
        let arguments = Arguments { counts: vec![1, 1, 1], ..core.found.arguments.clone() };
        cx.apply(core.found.op, arguments, vec![core.found.inputs[0], core.found.inputs[1], bias])
    }

    /// The contraction behind a value, and what is added to it on the way.
    fn behind(&self, cx: &Rewriter, value: ValueId) -> Option<(Core, Option<Family>)> {
        let uses = &self.uses[cx.entry];
        if let Some(core) = Core::of(cx, value, uses) {
            return Some((core, None));
        }
        let sum = cx.defined_by(value, &[OpKind::Add]).filter(|_| cx.uses(value) == 1)?;
        let side = (0..2).find(|side| cx.family(sum.inputs[*side]).is_some())?;
        let added = cx.family(sum.inputs[side])?;
        let core = Core::of(cx, sum.inputs[1 - side], uses)?;
        (sum.types[1 - side] == sum.results[0]).then_some((core, Some(added)))
    }
}

/// `scale` and `shift` of `x * scale + shift` in one trip.
fn affine(graph: &Graph, found: &Use, constants: &[Family], trip: usize) -> Option<(Grid, Option<Grid>)> {
    let read = |i: usize| Some(Grid::of(&numbers(graph, constants[i].at(trip))?));
    match found.op {
        OpKind::Mul => Some((read(0)?, None)),
        OpKind::Div => Some((read(0)?.map(|number| 1.0 / number), None)),
        _ => {
            let eps = found.call().float("eps")?;
            let rank = found.types[0].rank();
            let [gamma, beta, mean, var] = [0, 1, 2, 3].map(|i| read(i).map(|grid| grid.along_channels(rank)));
            let scale = gamma?.combined(&var?, |gamma, var| gamma / (var + eps).sqrt());
            let moved = mean?.combined(&scale, |mean, scale| mean * scale);
            Some((scale, Some(beta?.combined(&moved, |beta, moved| beta - moved))))
        }
    }
}

/// Floats that a weight can be scaled in.
fn scales(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F64)
}
