//! Activations, rounded and widened again.

use super::super::products::Product;
use super::super::rewrite::Rewriter;
use super::{Scale, apply, known, scalars};
use crate::graph::ValueId;
use crate::ops::{Attr, OpKind};
use mlc_codegen::base::{DType, Scalar};

/// The least magnitude that a row is scaled by, so that a row of zeros stays one.
const LEAST: f64 = 1e-30;

/// By scales that are known, one for each trip.
pub(super) fn fixed(cx: &mut Rewriter, data: ValueId, scales: &[Scale], product: &Product) -> Option<ValueId> {
    let dtype = scales.first()?.dtype;
    let steps = scales.iter().map(|scale| Scalar::F64(f64::from(scale.step))).collect();
    let step = scalars(cx, product, steps, DType::F32, "step")?;
    let mut inputs = vec![data, step];
    if scales.iter().any(|scale| scale.zero != 0) {
        let zeros = scales.iter().map(|scale| Scalar::I64(scale.zero)).collect();
        inputs.push(scalars(cx, product, zeros, dtype, "zero")?);
    }
    let counts = [1, 1, u32::from(inputs.len() == 3)];
    let codes = apply(cx, OpKind::Quantize, &counts, vec![Attr::None, Attr::None, Attr::DType(dtype)], inputs.clone())?;
    inputs[0] = codes;
    apply(cx, OpKind::Dequantize, &counts, vec![Attr::None, Attr::None], inputs)
}

/// Each row, along the last axis, by its greatest magnitude: 127 stands for it.
pub(super) fn by_row(cx: &mut Rewriter, data: ValueId, product: &Product) -> Option<ValueId> {
    let ty = cx.graph.ty(data).clone();
    if ty.dtype != DType::F32 || !ty.dims.last().is_some_and(known) {
        return None;
    }
    let last = Attr::Int(ty.rank() as i64 - 1);
    let magnitudes = apply(cx, OpKind::Abs, &[1], vec![], vec![data])?;
    let greatest = apply(cx, OpKind::Max, &[1, 0], vec![last, Attr::Bool(true)], vec![magnitudes])?;
    let least = scalars(cx, product, vec![Scalar::F64(LEAST)], DType::F32, "least")?;
    let greatest = apply(cx, OpKind::Max, &[1, 1], vec![Attr::None, Attr::Bool(false)], vec![greatest, least])?;
    let codes = scalars(cx, product, vec![Scalar::F64(127.0)], DType::F32, "most")?;
    let step = apply(cx, OpKind::Div, &[1, 1], vec![], vec![greatest, codes])?;
    let scaled = apply(cx, OpKind::Div, &[1, 1], vec![], vec![data, step])?;
    let rounded = apply(cx, OpKind::Round, &[1], vec![], vec![scaled])?;
    let codes = apply(cx, OpKind::Cast, &[1], vec![Attr::DType(DType::I8)], vec![rounded])?;
    let numbers = apply(cx, OpKind::Cast, &[1], vec![Attr::DType(DType::F32)], vec![codes])?;
    apply(cx, OpKind::Mul, &[1, 1], vec![], vec![numbers, step])
}
