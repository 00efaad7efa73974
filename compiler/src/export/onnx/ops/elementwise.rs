//! Arithmetic, comparisons and functions of one element.

use super::super::node::{Op, int};
use super::{Made, Rows, one};
use mlc_codegen::base::DType;

pub(super) const ROWS: Rows = &[
    ("abs", |o| unary(o, "Abs")),
    ("add", |o| binary(o, "Add")),
    ("cast", cast),
    ("ceil", |o| rounded(o, "Ceil")),
    ("cos", |o| unary(o, "Cos")),
    ("div", div),
    ("eq", |o| binary(o, "Equal")),
    ("erf", |o| unary(o, "Erf")),
    ("exp", |o| unary(o, "Exp")),
    ("floor", |o| rounded(o, "Floor")),
    ("ge", |o| ordered(o, "GreaterOrEqual")),
    ("gt", |o| ordered(o, "Greater")),
    ("isinf", |o| special(o, "IsInf")),
    ("isnan", |o| special(o, "IsNaN")),
    ("le", |o| ordered(o, "LessOrEqual")),
    ("log", |o| unary(o, "Log")),
    ("lt", |o| ordered(o, "Less")),
    ("mod", modulo),
    ("mul", |o| binary(o, "Mul")),
    ("ne", ne),
    ("neg", |o| unary(o, "Neg")),
    ("pow", pow),
    ("reciprocal", |o| unary(o, "Reciprocal")),
    ("round", |o| rounded(o, "Round")),
    ("rsqrt", rsqrt),
    ("sign", |o| unary(o, "Sign")),
    ("sin", |o| unary(o, "Sin")),
    ("sqrt", |o| unary(o, "Sqrt")),
    ("square", square),
    ("sub", |o| binary(o, "Sub")),
    ("tanh", |o| unary(o, "Tanh")),
    ("trunc", trunc),
    ("where", select),
];

/// An operator of one operand.
pub(super) fn unary(o: &mut Op, op: &str) -> Made {
    let x = o.x("x");
    one(o.plain(op, &[x]))
}

/// An operator of two.
pub(super) fn binary(o: &mut Op, op: &str) -> Made {
    let (a, b) = (o.x("a"), o.x("b"));
    one(o.plain(op, &[a, b]))
}

/// Rounds floats; an integer is what it is.
fn rounded(o: &mut Op, op: &str) -> Made {
    if o.ty("x").dtype.is_float() { unary(o, op) } else { one(o.x("x").to_owned()) }
}

fn trunc(o: &mut Op) -> Made {
    let x = o.x("x");
    if !o.ty("x").dtype.is_float() {
        return one(x.to_owned());
    }
    let (sign, size) = (o.plain("Sign", &[x]), o.plain("Abs", &[x]));
    let size = o.plain("Floor", &[&size]);
    one(o.plain("Mul", &[&sign, &size]))
}

/// bools are ordered as 0 and 1, which the format does not do.
fn ordered(o: &mut Op, op: &str) -> Made {
    let (a, b) = (o.x("a"), o.x("b"));
    let dtype = o.ty("a").dtype;
    if dtype != DType::Bool {
        return binary(o, op);
    }
    let (a, b) = (o.cast(a, dtype, DType::I32), o.cast(b, dtype, DType::I32));
    one(o.plain(op, &[&a, &b]))
}

fn ne(o: &mut Op) -> Made {
    let same = binary(o, "Equal")?;
    one(o.plain("Not", &[&same[0]]))
}

/// Integers divided by 0 give 0, where the format says nothing; so it does of the least one divided by -1.
fn div(o: &mut Op) -> Made {
    if o.dtype().is_float() { binary(o, "Div") } else { divided(o, "Div") }
}

fn divided(o: &mut Op, op: &str) -> Made {
    let (a, b, dtype) = (o.x("a"), o.x("b"), o.dtype());
    if o.w.is_known(b, &|value| value > 0.0) {
        return binary(o, op);
    }
    let [minus, zero, unit] = [-1.0, 0.0, 1.0].map(|value| o.number(value, dtype));
    let none = o.plain("Equal", &[b, &zero]);
    let safe = o.plain("Where", &[&none, &unit, b]);
    let back = o.plain("Equal", &[b, &minus]);
    let safe = o.plain("Where", &[&back, &unit, &safe]);
    let whole = o.plain(op, &[a, &safe]);
    // Modulo 1 and modulo -1 are both 0.
    let whole = if op == "Div" && dtype != DType::U8 {
        let negated = o.plain("Sub", &[&zero, &whole]);
        o.plain("Where", &[&back, &negated, &whole])
    } else {
        whole
    };
    one(o.plain("Where", &[&none, &zero, &whole]))
}

fn modulo(o: &mut Op) -> Made {
    if !o.dtype().is_float() {
        return divided(o, "Mod");
    }
    let (a, b) = (o.x("a"), o.x("b"));
    let quotient = o.plain("Div", &[a, b]);
    let whole = o.plain("Floor", &[&quotient]);
    let whole = o.plain("Mul", &[&whole, b]);
    one(o.plain("Sub", &[a, &whole]))
}

fn pow(o: &mut Op) -> Made {
    if !o.dtype().is_float() {
        return Err("its integers wrap, and the format's do not say".into());
    }
    binary(o, "Pow")
}

fn square(o: &mut Op) -> Made {
    let x = o.x("x");
    one(o.plain("Mul", &[x, x]))
}

fn rsqrt(o: &mut Op) -> Made {
    let root = unary(o, "Sqrt")?;
    one(o.plain("Reciprocal", &[&root[0]]))
}

fn special(o: &mut Op, op: &str) -> Made {
    let (x, dtype) = (o.x("x"), o.ty("x").dtype);
    let x = if dtype == DType::F64 { x.to_owned() } else { o.cast(x, dtype, DType::F32) };
    one(o.plain(op, &[&x]))
}

/// From a float to an integer, mlc saturates and makes 0 of NaN, where the format says nothing. (The greatest i64 is no f64:
/// what saturates there becomes the greatest f64 below.)
fn cast(o: &mut Op) -> Made {
    let (x, from, to) = (o.x("x"), o.ty("x").dtype, o.dtype());
    let Some((least, greatest)) = to.integer_range().filter(|_| from.is_float()) else {
        return one(o.node("Cast", &[x], vec![int("to", i64::from(crate::formats::onnx::code(to)))]));
    };
    let wide = if from == DType::F64 || to.bits() >= 32 { DType::F64 } else { DType::F32 };
    let x = o.cast(x, from, wide);
    let top = if to == DType::I64 { (greatest - 1023) as f64 } else { greatest as f64 };
    let [least, greatest, zero] = [least as f64, top, 0.0].map(|value| o.number(value, wide));
    let held = o.plain("Clip", &[&x, &least, &greatest]);
    let none = o.plain("IsNaN", &[&x]);
    let held = o.plain("Where", &[&none, &zero, &held]);
    one(o.cast(&held, wide, to))
}

fn select(o: &mut Op) -> Made {
    let (condition, a, b) = (o.x("condition"), o.x("a"), o.x("b"));
    one(o.plain("Where", &[condition, a, b]))
}
