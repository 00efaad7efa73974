//! `fuse-attention`: attention that is written out, as the op, and causal masks as its `causal`.
//!
//! The pattern is found from its end, the contraction of the shares with the values, back to the contraction of queries
//! and keys. Both are compared by axes, so that their order and the batch axes are free.
//! Invariant: the op gives what the nodes gave but for roundings, NaN where all keys of a query are hidden too. Only what
//! a hidden key would have done by being no finite number is lost.

mod masks;
mod operands;
mod roles;
mod scores;

use self::masks::Causal;
use self::operands::{Operand, arranged};
use self::roles::Roles;
use self::scores::{Scores, Shares};
use super::rewrite::{Outcome, Rewriter, Rule, Use, rewrite};
use crate::graph::{Graph, NodeId, NodeKind, ValueId};
use crate::ops::{Arguments, Attr, OpKind};
use mlc_codegen::base::{DType, Dim};
use std::collections::HashMap;

pub(super) const DOC: &str = "\
Makes the op `attention` of attention that is written out. That is a product of queries and keys, scaled, masked by a sum \
or a `where`, its softmax over the keys, and the product with the values, as einsums or matmuls with any order of axes; the \
scores then never lie in memory. Heads of keys and values that were repeated by an `expand` are shared instead. A \
`causal_mask` that hides by -inf, also in an `attention` that a model calls itself, becomes its `causal`: later keys are \
not computed, and have no part even where they are not finite. Left as they are: products in other types than f32, scores \
or shares that something else reads or that are computed in another block or before a state is written, a softmax over \
another axis, sums over several axes, several masks beside a causal one, a mask with more axes than the scores, and keys \
that may be none.";

/// Rewrites from the inputs to the outputs; gives how many.
pub(super) fn run(graph: &mut Graph) -> usize {
    rewrite(graph, &mut FuseAttention { blocks: vec![] })
}

struct FuseAttention {
    /// The block that is walked, behind those around it.
    blocks: Vec<Here>,
}

/// One block so far.
#[derive(Default)]
struct Here {
    /// How many states were written.
    sets: usize,
    /// How many had been when a value was made.
    made: HashMap<ValueId, usize>,
}

impl Here {
    /// The op that makes a value for one reader, in this block and since the last state was written.
    fn single(&self, cx: &Rewriter, value: ValueId) -> Option<Use> {
        let same = self.made.get(&value) == Some(&self.sets) && cx.uses(value) == 1;
        let op = cx.definition(value).filter(|_| same).map(|node| &node.kind);
        match op {
            Some(NodeKind::Op { op, .. }) => cx.defined_by(value, &[*op]),
            _ => None,
        }
    }
}

impl Rule for FuseAttention {
    fn node(&mut self, cx: &mut Rewriter, node: NodeId) -> Outcome {
        let here = self.blocks.last_mut().expect("a node stands in a block");
        let inner = cx.graph.nodes[node].kind.blocks().into_iter().flat_map(|block| cx.graph.nodes_within(block));
        if inner.chain([node]).any(|node| matches!(cx.graph.nodes[node].kind, NodeKind::Set { .. })) {
            here.sets += 1;
        }
        here.made.extend(cx.graph.nodes[node].outputs.iter().map(|value| (*value, here.sets)));
        let found = match cx.op(node) {
            Some(found) if found.op == OpKind::Attention => masks::made_causal(cx, &found),
            Some(found) if matches!(found.op, OpKind::Einsum | OpKind::Matmul) && found.inputs.len() == 2 => {
                (0..2).find_map(|side| fused(cx, here, &found, side))
            }
            _ => None,
        };
        found.map_or(Outcome::Keep, |value| Outcome::Replace(vec![value]))
    }

    fn enter(&mut self) {
        self.blocks.push(Here::default());
    }

    fn leave(&mut self) {
        self.blocks.pop();
    }
}

/// The attention whose shares are an input of a contraction.
fn fused(cx: &mut Rewriter, here: &Here, found: &Use, side: usize) -> Option<ValueId> {
    let shares = Shares::of(cx, here, found, side)?;
    let scores = Scores::of(cx, here, &shares)?;
    let mut roles = Roles::of(cx, found, side, &shares, &scores)?;
    let (mask, causal) = masks::joined(cx, &scores.masks, &roles)?;
    if let Some(causal) = &causal {
        roles.rows_are(causal.row);
    }
    for loc in scores.locs.iter().chain(&shares.locs) {
        cx.merge(*loc);
    }
    let [mut q, mut k, mut v] = roles.operands(found, side, &scores);
    [&mut q, &mut k, &mut v].into_iter().for_each(|operand| operand.strip(cx));
    for (factor, divides) in &scores.factors {
        let op = if *divides { OpKind::Div } else { OpKind::Mul };
        q.value = cx.apply(op, Arguments { counts: vec![1, 1], attrs: vec![] }, vec![q.value, *factor])?;
    }
    operands::share_heads(cx, &roles, &mut k, &mut v);
    let inputs = [(&q, roles.of_queries()), (&k, roles.of_keys()), (&v, roles.of_values())];
    let mut values = Vec::new();
    for (i, (operand, wanted)) in inputs.into_iter().enumerate() {
        let value = arranged(cx, operand, &wanted)?;
        values.push(if i == 0 { operands::expanded(cx, value, &roles.query_dims())? } else { value });
    }
    let fill = mask.as_ref().and_then(|mask| mask.fill);
    if let Some(mask) = mask {
        values.push(mask.in_place(cx, &roles)?);
    }
    let y = attend(cx, values, scores.scale, causal, fill)?;
    let result = Operand { value: y, axes: roles.of_result() };
    arranged(cx, &result, &roles.result).filter(|y| *cx.graph.ty(*y) == found.results[0])
}

/// The op; NaN stands where all keys are hidden, as softmax gives it.
fn attend(
    cx: &mut Rewriter,
    inputs: Vec<ValueId>,
    scale: f64,
    causal: Option<Causal>,
    hidden: Option<f64>,
) -> Option<ValueId> {
    let keys = &cx.graph.ty(inputs[1]).dims;
    let keys = keys[keys.len() - 2].clone();
    if cx.graph.ty(inputs[0]).dtype != DType::F32 || !cx.is_at_least(&keys, 1) {
        return None;
    }
    let counts = vec![1, 1, 1, u32::from(inputs.len() > 3)];
    let attrs = vec![
        Attr::Float(scale),
        causal.map_or(Attr::None, |causal| Attr::Dim(causal.before)),
        hidden.filter(|fill| fill.is_finite()).map_or(Attr::None, Attr::Float),
        Attr::Text("nan".into()),
    ];
    cx.apply(OpKind::Attention, Arguments { counts, attrs }, inputs)
}

impl Rewriter<'_> {
    /// Whether a dim is never less than a number.
    fn is_at_least(&mut self, dim: &Dim, least: i64) -> bool {
        self.graph.slots.at_most(&Dim::from(least), dim) == mlc_codegen::base::Truth::Yes
    }
}
