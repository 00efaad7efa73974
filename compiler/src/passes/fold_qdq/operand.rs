//! An operand of a product as integers, and how they stand for its numbers.

use super::super::rewrite::{Rewriter, Use};
use crate::graph::ValueId;
use crate::ops::OpKind;
use mlc_codegen::base::DType;

/// `(value - zero) * scale`, or without the scale.
#[derive(Clone)]
pub(super) struct Integers {
    /// Of 8 bits.
    pub(super) value: ValueId,
    pub(super) zero: Option<ValueId>,
    /// `None` where the operand is a tensor of i32.
    pub(super) scale: Option<ValueId>,
    /// The axis of `value` that zero and scale vary along; where there is none they broadcast.
    pub(super) axis: Option<usize>,
    /// How the axes of `value` were permuted afterwards.
    pub(super) turned: Option<Use>,
}

/// The integers behind a value.
pub(super) fn integers(cx: &Rewriter, value: ValueId) -> Option<Integers> {
    if let Some(turned) = cx.defined_by(value, &[OpKind::Transpose]) {
        let inner = integers(cx, turned.inputs[0])?;
        // Numbers that broadcast would have to be turned too.
        let plain =
            inner.turned.is_none() && [inner.zero, inner.scale].iter().flatten().all(|v| cx.graph.ty(*v).rank() < 2);
        return plain.then_some(Integers { turned: Some(turned), ..inner });
    }
    if let Some(found) = cx.defined_by(value, &[OpKind::Dequantize]) {
        let call = found.call();
        if call.int("group").is_some() || !is_byte(found.types[0].dtype) || found.results[0].dtype != DType::F32 {
            return None;
        }
        return Some(Integers {
            value: found.inputs[0],
            zero: call.tensor("zero").map(|input| found.inputs[input]),
            scale: Some(found.inputs[1]),
            axis: call.int("axis").map(|axis| axis as usize),
            turned: None,
        });
    }
    if let Some(found) = cx.defined_by(value, &[OpKind::Mul]) {
        let side = (0..2).find(|side| centred(cx, found.inputs[*side], DType::F32).is_some())?;
        let centred = centred(cx, found.inputs[side], DType::F32)?;
        let same = found.types[side] == found.results[0];
        return same.then_some(Integers { scale: Some(found.inputs[1 - side]), ..centred });
    }
    centred(cx, value, DType::I32)
}

/// 8-bit integers in another type, with or without a zero point.
fn centred(cx: &Rewriter, value: ValueId, dtype: DType) -> Option<Integers> {
    let plain = |value: ValueId| {
        let found = cx.defined_by(value, &[OpKind::Cast])?;
        (is_byte(found.types[0].dtype) && found.results[0].dtype == dtype).then(|| found.inputs[0])
    };
    let bare = |value, zero| Integers { value, zero, scale: None, axis: None, turned: None };
    if let Some(value) = plain(value) {
        return Some(bare(value, None));
    }
    let found = cx.defined_by(value, &[OpKind::Sub]).filter(|found| found.types[0] == found.results[0])?;
    let value = plain(found.inputs[0])?;
    // A zero point keeps its own type where it was cast too.
    let zero = plain(found.inputs[1]).or_else(|| cx.family(found.inputs[1]).map(|_| found.inputs[1]))?;
    Some(bare(value, Some(zero)))
}

fn is_byte(dtype: DType) -> bool {
    matches!(dtype, DType::I8 | DType::U8)
}
