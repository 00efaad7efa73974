//! `canonicalize`: what is the same written shorter. Every rule is exact, for NaN, infinities and -0 too.

mod arithmetic;
mod control;
mod views;

use super::rewrite::{Outcome, Rewriter, Rule, Use, rewrite};
use crate::graph::{Graph, NodeId, NodeKind, ValueId};
use crate::ops::OpKind;

pub(super) const DOC: &str = "\
Removes what does nothing and joins what is one. That is identities (x * 1, x / 1, a cast to the same type, a slice of \
everything, a concat of one), pairs that cancel or join (neg of neg, transpose of transpose, reshape of reshape, expand \
of expand, a widening cast that is undone), `where` and `if` on constants, carried values that never change. Results are \
the same to the bit, for NaN, infinities and -0 too: x + 0 stays, for it makes 0 of -0.";

/// Applies the rules once, from the inputs to the outputs.
pub(super) fn run(graph: &mut Graph) -> usize {
    let mut rules = Rules { loops: 0 };
    rewrite(graph, &mut rules) + rules.loops
}

struct Rules {
    /// How many carried values were taken out of loops.
    loops: usize,
}

impl Rule for Rules {
    fn node(&mut self, cx: &mut Rewriter, node: NodeId) -> Outcome {
        match &cx.graph.nodes[node].kind {
            NodeKind::Op { .. } => {
                let found = cx.op(node).expect("the node is an op");
                simpler(cx, &found).map_or(Outcome::Keep, |value| Outcome::Replace(vec![value]))
            }
            NodeKind::If { .. } => control::choice(cx, node),
            NodeKind::Repeat(_) => {
                self.loops += control::unchanging(cx, node);
                Outcome::Keep
            }
            _ => Outcome::Keep,
        }
    }
}

/// A value that is the same.
fn simpler(cx: &mut Rewriter, found: &Use) -> Option<ValueId> {
    match found.op {
        OpKind::Transpose => views::transpose(cx, found),
        OpKind::Reshape | OpKind::Expand => views::again(cx, found),
        OpKind::Slice => views::slice(found),
        OpKind::Concat | OpKind::Split => views::single(found),
        OpKind::Pad => views::pad(found),
        OpKind::Tile => views::unchanged(found),
        OpKind::Cast => arithmetic::cast(cx, found),
        OpKind::Where => arithmetic::choice(cx, found),
        _ if found.inputs.len() == 1 => arithmetic::unary(cx, found),
        _ if found.inputs.len() == 2 => arithmetic::binary(cx, found),
        _ => None,
    }
}
