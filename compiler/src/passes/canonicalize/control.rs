//! Rules for branches and loops.

use super::super::rewrite::{Outcome, Rewriter};
use crate::graph::{NodeId, NodeKind};
use mlc_codegen::base::Scalar;

/// The branch of a constant condition.
pub(super) fn choice(cx: &mut Rewriter, node: NodeId) -> Outcome {
    let Some(flag) = cx.splat(cx.graph.nodes[node].inputs[0]) else { return Outcome::Keep };
    let NodeKind::If { then, otherwise } = &cx.graph.nodes[node].kind else { return Outcome::Keep };
    let (block, results) = if flag == Scalar::Bool(true) { then } else { otherwise };
    let same = results.iter().zip(&cx.graph.nodes[node].outputs).all(|(a, b)| cx.graph.ty(*a) == cx.graph.ty(*b));
    if same { Outcome::Inline(block.clone(), results.clone()) } else { Outcome::Keep }
}

/// Takes carried values that the body hands on as they are out of the loop; gives how many.
pub(super) fn unchanging(cx: &mut Rewriter, node: NodeId) -> usize {
    let NodeKind::Repeat(repeat) = &cx.graph.nodes[node].kind else { return 0 };
    let fixed = |i: &usize| repeat.results[*i] == repeat.params[*i];
    let fixed: Vec<usize> = (0..repeat.params.len()).rev().filter(fixed).collect();
    let mut taken = 0;
    for i in fixed {
        let (initial, output) = (cx.graph.nodes[node].inputs[i], cx.graph.nodes[node].outputs[i]);
        let NodeKind::Repeat(repeat) = &cx.graph.nodes[node].kind else { return taken };
        let param = repeat.params[i];
        let same = |a, b| cx.graph.ty(a) == cx.graph.ty(b);
        if !same(initial, param) || !same(initial, output) {
            continue;
        }
        cx.substitute(param, initial);
        cx.substitute(output, initial);
        let data = &mut cx.graph.nodes[node];
        data.inputs.remove(i);
        data.outputs.remove(i);
        if let NodeKind::Repeat(repeat) = &mut data.kind {
            repeat.params.remove(i);
            repeat.results.remove(i);
        }
        taken += 1;
    }
    taken
}
