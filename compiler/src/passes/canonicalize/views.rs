//! Rules for ops that move elements.

use super::super::rewrite::{Rewriter, Use};
use crate::graph::ValueId;
use crate::ops::{Arguments, Attr, OpKind};
use mlc_codegen::base::Dim;

/// The input where the result has its type: for ops that then do nothing.
pub(super) fn unchanged(found: &Use) -> Option<ValueId> {
    (found.types[0] == found.results[0]).then_some(found.inputs[0])
}

/// One transpose for two, none where they cancel.
pub(super) fn transpose(cx: &mut Rewriter, found: &Use) -> Option<ValueId> {
    let (mut order, mut source) = (permutation(found), found.inputs[0]);
    let inner = cx.defined_by(source, &[OpKind::Transpose]);
    if let Some(inner) = &inner {
        let first = permutation(inner);
        order.iter_mut().for_each(|axis| *axis = first[*axis as usize]);
        source = inner.inputs[0];
        cx.merge(inner.loc);
    }
    if order.iter().enumerate().all(|(i, axis)| i as i64 == *axis) {
        return Some(source);
    }
    inner?;
    cx.apply(OpKind::Transpose, Arguments { counts: vec![1], attrs: vec![Attr::Ints(order)] }, vec![source])
}

fn permutation(found: &Use) -> Vec<i64> {
    found.call().ints("perm").unwrap_or_else(|| (0..found.types[0].rank() as i64).rev().collect())
}

/// `reshape` and `expand`: the last of several says it all.
pub(super) fn again(cx: &mut Rewriter, found: &Use) -> Option<ValueId> {
    if let Some(same) = unchanged(found) {
        return Some(same);
    }
    let inner = cx.defined_by(found.inputs[0], &[found.op])?;
    if inner.types[0] == found.results[0] {
        return Some(inner.inputs[0]);
    }
    cx.merge(inner.loc);
    cx.apply(found.op, found.arguments.clone(), inner.inputs)
}

/// A slice from 0 in steps of 1 that has the type of its input.
pub(super) fn slice(found: &Use) -> Option<ValueId> {
    let call = found.call();
    let from_zero = |start: &Option<Dim>| start.as_ref().is_none_or(|start| start.as_constant() == Some(0));
    let whole = call.dims("starts").unwrap_or_default().iter().all(from_zero)
        && call.ints("steps").unwrap_or_default().iter().all(|step| *step == 1);
    unchanged(found).filter(|_| whole)
}

/// A concat of one tensor, a split into one part.
pub(super) fn single(found: &Use) -> Option<ValueId> {
    unchanged(found).filter(|_| found.inputs.len() == 1 && found.results.len() == 1)
}

/// Padding by nothing.
pub(super) fn pad(found: &Use) -> Option<ValueId> {
    let pads = found.call().dims("pads").unwrap_or_default();
    let nothing = pads.iter().flatten().all(|pad| pad.as_constant() == Some(0));
    unchanged(found).filter(|_| nothing)
}
