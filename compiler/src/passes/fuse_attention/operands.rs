//! Queries, keys and values in the order of axes that the op takes, by views.
//! Invariant: no element is computed; what is moved is looked through by the kernel where it can.

use super::super::rewrite::Rewriter;
use super::roles::Roles;
use super::scores::before_transpose;
use crate::graph::ValueId;
use crate::ops::{Arguments, Attr, OpKind, traits_of};
use mlc_codegen::base::Dim;

/// A tensor and what its axes are; none is an axis of 1 that nothing names.
#[derive(Clone)]
pub(super) struct Operand {
    pub(super) value: ValueId,
    pub(super) axes: Vec<Option<usize>>,
}

impl Operand {
    /// Goes back through transposes.
    pub(super) fn strip(&mut self, cx: &Rewriter) {
        while let Some(found) = cx.defined_by(self.value, &[OpKind::Transpose]) {
            self.axes = before_transpose(&found, &self.axes);
            self.value = found.inputs[0];
        }
    }
}

/// The operand with the axes `wanted`; those it lacks, and those without a name, are 1.
pub(super) fn arranged(cx: &mut Rewriter, operand: &Operand, wanted: &[Option<usize>]) -> Option<ValueId> {
    let Operand { value, axes } = operand;
    let wanted: Vec<Option<usize>> = wanted.iter().map(|axis| axis.filter(|a| axes.contains(&Some(*a)))).collect();
    if *axes == wanted {
        return Some(*value);
    }
    let place = |axis: &Option<usize>| axes.iter().position(|own| axis.is_some() && own == axis).map(|i| i as i64);
    let places: Option<Vec<i64>> = wanted.iter().map(place).collect();
    if let Some(perm) = places.filter(|perm| perm.len() == axes.len()) {
        return cx.apply(OpKind::Transpose, Arguments { counts: vec![1], attrs: vec![Attr::Ints(perm)] }, vec![*value]);
    }
    let side = |axes: &[Option<usize>]| {
        let words = axes.iter().map(|axis| axis.map_or("1".to_owned(), |axis| format!("a{axis}")));
        words.collect::<Vec<_>>().join(" ")
    };
    let pattern = format!("{} -> {}", side(axes), side(&wanted));
    cx.apply(
        OpKind::Rearrange,
        Arguments { counts: vec![1], attrs: vec![Attr::Text(pattern), Attr::None] },
        vec![*value],
    )
}

/// A tensor whose leading dims are `dims`, repeated where it has 1.
pub(super) fn expanded(cx: &mut Rewriter, value: ValueId, dims: &[Dim]) -> Option<ValueId> {
    let own = &cx.graph.ty(value).dims;
    if own[..dims.len()] == *dims {
        return Some(value);
    }
    let shape = dims.iter().chain(&own[dims.len()..]).cloned().map(Some).collect();
    cx.apply(OpKind::Expand, Arguments { counts: vec![1], attrs: vec![Attr::Dims(shape)] }, vec![value])
}

/// Takes keys and values from before their heads were repeated, where both were, alike.
pub(super) fn share_heads(cx: &mut Rewriter, roles: &Roles, k: &mut Operand, v: &mut Operand) {
    let repeated = |operand: &Operand| {
        let (source, place, group) = repeated(cx, operand.value)?;
        Some((source, operand.axes[place]?, group))
    };
    let (Some(of_k), Some(of_v)) = (repeated(k), repeated(v)) else { return };
    if of_k.1 != of_v.1 || of_k.2 != of_v.2 || !roles.heads().any(|axis| axis == of_k.1) {
        return;
    }
    for (operand, (source, axis, group)) in [(k, of_k), (v, of_v)] {
        let ty = cx.graph.ty(operand.value);
        let shape = ty.dims.iter().zip(&operand.axes).map(|(dim, own)| {
            let shared = dim.as_constant().map_or(dim.clone(), |heads| Dim::from(heads / group));
            Some(if *own == Some(axis) { shared } else { dim.clone() })
        });
        let arguments = Arguments { counts: vec![1], attrs: vec![Attr::Dims(shape.collect())] };
        if let Some(value) = cx.apply(OpKind::Reshape, arguments, vec![source]) {
            operand.value = value;
        }
    }
}

/// A tensor that was repeated along a new axis behind one of its own, which both then became: the tensor, the axis of the
/// result, and how often.
fn repeated(cx: &Rewriter, value: ValueId) -> Option<(ValueId, usize, i64)> {
    let whole = &cx.graph.ty(value).dims;
    let mut behind = value;
    loop {
        let found = cx.defined_by(behind, &[OpKind::Reshape, OpKind::Rearrange, OpKind::Expand])?;
        if found.op != OpKind::Expand {
            if !traits_of(found.op, &found.call()).alias {
                return None;
            }
            behind = found.inputs[0];
            continue;
        }
        let (from, to) = (&found.types[0].dims, &found.results[0].dims);
        if to.len() != whole.len() + 1 || from.len() != to.len() {
            return None;
        }
        return (0..whole.len()).find_map(|place| {
            let (heads, group) = (to[place].as_constant()?, to[place + 1].as_constant()?);
            let merged = whole[place].as_constant()? == heads * group && from[place + 1].as_constant()? == 1;
            let others = whole[..place] == to[..place] && whole[place + 1..] == to[place + 2..];
            let once = (0..to.len()).all(|axis| axis == place + 1 || from[axis] == to[axis]);
            (merged && others && once && group > 1).then(|| (found.inputs[0], place, group))
        });
    }
}
