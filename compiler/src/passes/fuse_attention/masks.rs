//! Masks of scores: where they lie, how they hide, and which of them are causal.
//! Invariant: a mask without leading axes, which broadcasting adds, hides the same.

use super::super::constants::numbers;
use super::super::rewrite::{Rewriter, Use};
use super::operands::{Operand, arranged};
use super::roles::Roles;
use super::scores::aligned;
use crate::graph::ValueId;
use crate::ops::{Arguments, Attr, OpKind, traits_of};
use mlc_codegen::base::{DType, Dim, Scalar};

/// A mask as it was written.
#[derive(Clone, Debug)]
pub(super) struct Mask {
    pub(super) value: ValueId,
    /// The axes of the shares that it has, none where it is 1.
    pub(super) axes: Vec<Option<usize>>,
    /// What it is multiplied by before it is added.
    pub(super) factor: f64,
    /// What stands for a score where it is false; `None` where it is added.
    pub(super) fill: Option<f64>,
    /// Whether true hides.
    pub(super) inverted: bool,
}

/// A causal mask.
#[derive(Clone, Debug)]
pub(super) struct Causal {
    /// How many keys came before the first query.
    pub(super) before: Dim,
    /// The axis of the shares that is its queries, where it is longer than 1.
    pub(super) row: Option<usize>,
}

impl Mask {
    /// The mask as the op takes it.
    pub(super) fn in_place(self, cx: &mut Rewriter, roles: &Roles) -> Option<ValueId> {
        let trimmed =
            |axes: Vec<Option<usize>>| -> Vec<Option<usize>> { axes.into_iter().skip_while(Option::is_none).collect() };
        let scores = roles.of_scores();
        let wanted: Vec<Option<usize>> =
            scores.iter().map(|axis| axis.filter(|a| self.axes.contains(&Some(*a)))).collect();
        let mut value = self.value;
        if trimmed(self.axes.clone()) != trimmed(wanted.clone()) || self.axes.len() > scores.len() {
            value = arranged(cx, &Operand { value, axes: self.axes }, &trimmed(wanted))?;
        }
        let pair = || Arguments { counts: vec![1, 1], attrs: vec![] };
        if self.inverted {
            value = cx.apply(OpKind::Not, Arguments { counts: vec![1], attrs: vec![] }, vec![value])?;
        }
        if self.factor != 1.0 {
            let attrs = vec![Attr::Dims(vec![]), Attr::Float(self.factor), Attr::None];
            let factor = cx.apply(OpKind::Full, Arguments { counts: vec![], attrs }, vec![])?;
            value = cx.apply(OpKind::Mul, pair(), vec![value, factor])?;
        }
        Some(value)
    }
}

/// All masks as one and a causal one, the last to act first; `None` where they are more.
pub(super) fn joined(cx: &Rewriter, masks: &[Mask], roles: &Roles) -> Option<(Option<Mask>, Option<Causal>)> {
    let (mut kept, mut causal): (Option<Mask>, Option<Causal>) = (None, None);
    for mask in masks {
        let (left, found) = split(cx, mask.clone(), roles);
        // A finite score shows what a causal mask hid before.
        let shown = found.is_some() && kept.as_ref().and_then(|mask| mask.fill).is_some_and(f64::is_finite);
        if shown || left.is_some() && kept.is_some() || found.is_some() && causal.is_some() {
            return None;
        }
        (kept, causal) = (kept.or(left), causal.or(found));
    }
    Some((kept, causal))
}

/// What is left of a mask, and what of it is causal.
fn split(cx: &Rewriter, mask: Mask, roles: &Roles) -> (Option<Mask>, Option<Causal>) {
    let axes = |value: ValueId, mask: &Mask| {
        // A value behind the mask has its last axes.
        let dims = &cx.graph.ty(value).dims;
        let own = mask.axes.iter().rev().take(dims.len()).rev().copied();
        let missing = std::iter::repeat_n(None, dims.len().saturating_sub(mask.axes.len()));
        let one = Dim::from(1);
        missing.chain(own).zip(dims).map(|(axis, dim)| axis.filter(|_| *dim != one)).collect::<Vec<_>>()
    };
    let Some(hiding) = Hiding::of(cx, &mask) else { return (Some(mask), None) };
    let rest = |value: ValueId| Mask {
        axes: axes(value, &mask),
        value,
        factor: 1.0,
        fill: Some(f64::NEG_INFINITY),
        inverted: false,
    };
    match hiding.causal(cx) {
        Some((before, [queries, keys], left)) => {
            let places = mask.axes.iter().rev().take(2).rev().copied().collect::<Vec<_>>();
            let [row, column] = places[..] else { return (Some(mask), None) };
            let fits = roles.may_be_keys(column, &keys) && roles.may_be_rows(row, &queries);
            if fits { (left.map(rest), Some(Causal { before, row })) } else { (Some(mask), None) }
        }
        None => (Some(mask), None),
    }
}

/// What is true (or false, where `inverted`) or 0 where a key may be seen; the others are hidden by -inf.
struct Hiding {
    value: ValueId,
    inverted: bool,
}

impl Hiding {
    fn of(cx: &Rewriter, mask: &Mask) -> Option<Hiding> {
        let value = bare(cx, mask.value);
        match mask.fill {
            Some(fill) => (fill == f64::NEG_INFINITY).then(|| Hiding::when(cx, value, mask.inverted)),
            None if mask.factor > 0.0 => Some(Hiding::added(cx, value).unwrap_or(Hiding { value, inverted: false })),
            None => None,
        }
    }

    fn when(cx: &Rewriter, value: ValueId, inverted: bool) -> Hiding {
        let value = bare(cx, value);
        match cx.defined_by(value, &[OpKind::Not]) {
            Some(not) => Hiding::when(cx, not.inputs[0], !inverted),
            None => Hiding { value, inverted },
        }
    }

    /// `where(seen, 0, -inf)`, or the other way round.
    fn added(cx: &Rewriter, value: ValueId) -> Option<Hiding> {
        let found = cx.defined_by(value, &[OpKind::Where])?;
        let [yes, no] = [1, 2].map(|side| cx.splat(found.inputs[side]).map(|number| number.as_f64()));
        match (yes?, no?) {
            (0.0, f64::NEG_INFINITY) => Some(Hiding::when(cx, found.inputs[0], false)),
            (f64::NEG_INFINITY, 0.0) => Some(Hiding::when(cx, found.inputs[0], true)),
            _ => None,
        }
    }

    /// How many keys come before the first query, the dims of queries and keys, and what else must be true.
    fn causal(&self, cx: &Rewriter) -> Option<(Dim, [Dim; 2], Option<ValueId>)> {
        if let Some((before, dims)) = self.table(cx) {
            return Some((before, dims, None));
        }
        if self.inverted {
            return None;
        }
        if let Some(found) = cx.defined_by(self.value, &[OpKind::CausalMask]) {
            let dims = [found.results[0].dims[0].clone(), found.results[0].dims[1].clone()];
            return Some((found.call().dim("offset")?, dims, None));
        }
        let both = cx.defined_by(self.value, &[OpKind::And])?;
        (0..2).find_map(|side| {
            let (before, dims, rest) = Hiding::when(cx, both.inputs[side], false).causal(cx)?;
            rest.is_none().then_some((before, dims, Some(both.inputs[1 - side])))
        })
    }

    /// A constant that is a causal mask, such as `fold` makes of one and files of weights hold.
    fn table(&self, cx: &Rewriter) -> Option<(Dim, [Dim; 2])> {
        const MOST_BYTES: i64 = 16 << 20;
        let family = cx.family(self.value).filter(|family| family.members.len() == 1)?;
        let dims = &cx.graph.ty(self.value).dims;
        let (leading, last) = dims.split_at_checked(dims.len().checked_sub(2)?)?;
        if family.bytes(cx.graph) > MOST_BYTES || leading.iter().any(|dim| *dim != Dim::from(1)) {
            return None;
        }
        let [rows, columns] = [last[0].as_constant()?, last[1].as_constant()?];
        let numbers = numbers(cx.graph, family.at(0))?;
        let seen: Option<Vec<bool>> = numbers.iter().map(|number| self.shows(number)).collect();
        let seen = seen?;
        let first = seen.iter().position(|seen| *seen).map_or(rows, |at| at as i64 / columns);
        let row = seen.chunks_exact(columns.max(1) as usize).nth(first as usize);
        let before = row.map_or(0, |row| row.iter().take_while(|seen| **seen).count() as i64) - 1 - first;
        let is_causal = (0..).zip(&seen).all(|(i, seen)| *seen == (i % columns <= i / columns + before));
        is_causal.then(|| (Dim::from(before), [last[0].clone(), last[1].clone()]))
    }

    /// Whether an element of a constant shows its key; `None` where it does something else.
    fn shows(&self, number: Scalar) -> Option<bool> {
        match number {
            Scalar::Bool(flag) => Some(flag != self.inverted),
            number if self.inverted || !number.dtype().is_float() => None,
            number if number.as_f64() == 0.0 => Some(true),
            number => (number.as_f64() == f64::NEG_INFINITY).then_some(false),
        }
    }
}

/// A mask without what only gives it further leading axes.
fn bare(cx: &Rewriter, mut value: ValueId) -> ValueId {
    loop {
        let makers = [OpKind::Reshape, OpKind::Rearrange, OpKind::Expand];
        let Some(found) = cx.defined_by(value, &makers) else { return value };
        let (from, to) = (&found.types[0].dims, &found.results[0].dims);
        let one = Dim::from(1);
        let own = |dims: &[Dim]| dims.iter().skip_while(|dim| **dim == one).cloned().collect::<Vec<_>>();
        let same = match found.op {
            OpKind::Expand => to.ends_with(from) || own(from) == to[to.len() - own(from).len()..],
            op => traits_of(op, &found.call()).alias && own(from) == own(to),
        };
        if !same {
            return value;
        }
        value = found.inputs[0];
    }
}

/// An attention that a model calls, its causal mask as `causal`.
pub(super) fn made_causal(cx: &mut Rewriter, found: &Use) -> Option<ValueId> {
    let call = found.call();
    let input = call.tensor("mask")?;
    if *call.attr("causal") != Attr::None || *call.attr("hidden") != Attr::None {
        return None;
    }
    let rank = found.types[0].rank();
    let (queries, keys) = (&found.types[0].dims[rank - 2], &found.types[1].dims[rank - 2]);
    let order: Vec<usize> = (0..rank).collect();
    let mask = Mask {
        value: found.inputs[input],
        axes: aligned(&found.types[input].dims, &order),
        factor: 1.0,
        fill: (found.types[input].dtype == DType::Bool).then_some(f64::NEG_INFINITY),
        inverted: false,
    };
    let (before, dims, rest) = Hiding::of(cx, &mask)?.causal(cx)?;
    if dims != [queries.clone(), keys.clone()] {
        return None;
    }
    let mut inputs = found.inputs[..3].to_vec();
    inputs.extend(rest);
    let mut arguments = found.arguments.clone();
    arguments.counts[3] = u32::from(rest.is_some());
    arguments.attrs[1] = Attr::Dim(before);
    cx.apply(OpKind::Attention, arguments, inputs)
}
