//! Logic, and bits of integers.

use super::super::node::Op;
use super::elementwise::{binary, unary};
use super::{Made, Rows, one};
use mlc_codegen::base::DType;

pub(super) const ROWS: Rows = &[
    ("and", |o| logic(o, "And")),
    ("not", not),
    ("or", |o| logic(o, "Or")),
    ("shl", shl),
    ("shr", shr),
    ("xor", |o| logic(o, "Xor")),
];

const SINCE_18: &str = "bits of integers have operators since set 18: write --opset 21";

fn logic(o: &mut Op, op: &str) -> Made {
    match o.dtype() {
        DType::Bool => binary(o, op),
        _ if o.w.opset < 18 => Err(SINCE_18.into()),
        _ => binary(o, &format!("Bitwise{op}")),
    }
}

fn not(o: &mut Op) -> Made {
    match o.dtype() {
        DType::Bool => unary(o, "Not"),
        _ if o.w.opset < 18 => Err(SINCE_18.into()),
        _ => unary(o, "BitwiseNot"),
    }
}

/// 2 to the power b in i64, b counted modulo the width; the format shifts unsigned integers only.
fn scale(o: &mut Op) -> Result<String, String> {
    let (b, dtype) = (o.x("b"), o.dtype());
    if dtype == DType::I64 {
        return Err("the format shifts no i64".into());
    }
    let wide = o.cast(b, dtype, DType::I64);
    let (two, width) = (o.number(2.0, DType::I64), o.number(f64::from(dtype.bits()), DType::I64));
    let count = o.plain("Mod", &[&wide, &width]);
    Ok(o.plain("Pow", &[&two, &count]))
}

fn shl(o: &mut Op) -> Made {
    let (a, dtype) = (o.x("a"), o.dtype());
    let scale = scale(o)?;
    let a = o.cast(a, dtype, DType::I64);
    let product = o.plain("Mul", &[&a, &scale]);
    one(o.cast(&product, DType::I64, dtype))
}

fn shr(o: &mut Op) -> Made {
    let (a, dtype) = (o.x("a"), o.dtype());
    let scale = scale(o)?;
    let a = o.cast(a, dtype, DType::I64);
    let rest = o.plain("Mod", &[&a, &scale]);
    let whole = o.plain("Sub", &[&a, &rest]);
    let quotient = o.plain("Div", &[&whole, &scale]);
    one(o.cast(&quotient, DType::I64, dtype))
}
