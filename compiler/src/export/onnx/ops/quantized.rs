//! Numbers as integers and back.

use super::super::super::walk::Why;
use super::super::node::{Op, int};
use super::{Made, Rows, one};
use crate::formats::onnx::AttributeProto;
use mlc_codegen::base::DType;

pub(super) const ROWS: Rows = &[("dequantize", dequantize), ("quantize", quantize)];

/// Whether the format's operators have this integer.
fn has(o: &Op, dtype: DType) -> bool {
    match dtype {
        DType::I8 | DType::U8 => true,
        DType::I16 | DType::I4 | DType::U4 => o.w.opset >= 21,
        _ => false,
    }
}

/// Along which axis the scales lie, and in which groups.
fn along(o: &Op) -> Result<Vec<AttributeProto>, Why> {
    let mut attributes: Vec<AttributeProto> = o.call.int("axis").map(|axis| int("axis", axis)).into_iter().collect();
    if let Some(group) = o.call.int("group") {
        if o.w.opset < 21 {
            return Err("groups of scales have operators since set 21: write --opset 21".into());
        }
        attributes.push(int("block_size", group));
    }
    Ok(attributes)
}

fn quantize(o: &mut Op) -> Made {
    let (x, scale, dtype) = (o.x("x"), o.x("scale"), o.dtype());
    if !has(o, dtype) {
        return Err(format!("set {} of the format quantises to no {dtype}", o.w.opset));
    }
    let attributes = along(o)?;
    let zero = match o.opt("zero") {
        Some(zero) => o.cast(zero, o.ty("zero").dtype, dtype),
        None => zeros(o, dtype)?,
    };
    one(o.node("QuantizeLinear", &[x, scale, &zero], attributes))
}

/// A zero point for each scale, which says the type of the result.
fn zeros(o: &mut Op, dtype: DType) -> Result<String, Why> {
    let scale = o.ty("scale").with_dtype(dtype);
    if scale.rank() == 0 { Ok(o.number(0.0, dtype)) } else { o.filled(0.0, &scale) }
}

fn dequantize(o: &mut Op) -> Made {
    let (x, scale, dtype) = (o.x("x"), o.x("scale"), o.ty("x").dtype);
    let zero = o.opt("zero");
    if has(o, dtype) || dtype == DType::I32 && zero.is_none() {
        let attributes = along(o)?;
        let zero = zero.map(|zero| o.cast(zero, o.ty("zero").dtype, dtype)).unwrap_or_default();
        return one(o.node("DequantizeLinear", &[x, scale, &zero], attributes));
    }
    Err(format!("set {} of the format has no such numbers of {dtype}", o.w.opset))
}
