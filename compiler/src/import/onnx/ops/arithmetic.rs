//! Operators on pairs of elements, and on one element where mlc has the same.

use super::super::builder::Fault;
use super::super::items::Item;
use super::super::node::Node;
use super::{Rows, refuse};
use crate::ops::Attr;
use mlc_codegen::base::DType;

pub(super) const ROWS: Rows = &[
    ("Abs", |n| unary(n, "abs")),
    ("Ceil", |n| unary(n, "ceil")),
    ("Cos", |n| unary(n, "cos")),
    ("Erf", |n| unary(n, "erf")),
    ("Exp", |n| unary(n, "exp")),
    ("Floor", |n| unary(n, "floor")),
    ("IsNaN", |n| unary(n, "isnan")),
    ("Log", |n| unary(n, "log")),
    ("Neg", |n| unary(n, "neg")),
    ("Not", |n| unary(n, "not")),
    ("BitwiseNot", |n| unary(n, "not")),
    ("Reciprocal", |n| unary(n, "reciprocal")),
    ("Round", |n| unary(n, "round")),
    ("Sign", |n| unary(n, "sign")),
    ("Sin", |n| unary(n, "sin")),
    ("Sqrt", |n| unary(n, "sqrt")),
    ("Tan", tan),
    ("Sinh", |n| hyperbolic(n, "sub")),
    ("Cosh", |n| hyperbolic(n, "add")),
    ("Asinh", |n| area(n, 1.0)),
    ("Acosh", |n| area(n, -1.0)),
    ("Atanh", atanh),
    ("Add", |n| binary(n, "add")),
    ("Sub", |n| binary(n, "sub")),
    ("Mul", |n| binary(n, "mul")),
    ("Div", |n| binary(n, "div")),
    ("And", |n| binary(n, "and")),
    ("Or", |n| binary(n, "or")),
    ("Xor", |n| binary(n, "xor")),
    ("BitwiseAnd", |n| binary(n, "and")),
    ("BitwiseOr", |n| binary(n, "or")),
    ("BitwiseXor", |n| binary(n, "xor")),
    ("Equal", |n| binary(n, "eq")),
    ("Less", |n| binary(n, "lt")),
    ("LessOrEqual", |n| binary(n, "le")),
    ("Greater", |n| binary(n, "gt")),
    ("GreaterOrEqual", |n| binary(n, "ge")),
    ("BitShift", shift),
    ("Mod", modulo),
    ("Pow", pow),
    ("Sum", |n| variadic(n, "add")),
    ("Max", |n| variadic(n, "max")),
    ("Min", |n| variadic(n, "min")),
    ("Mean", mean),
    ("Where", select),
    ("IsInf", isinf),
    ("Cast", cast),
    ("CastLike", cast_like),
    ("Identity", |n| Ok(vec![n.x(0)?])),
    ("Dropout", dropout),
];

fn unary(n: &mut Node, op: &str) -> Result<Vec<Item>, Fault> {
    let x = n.x(0)?;
    Ok(vec![n.op(op, &[&x], &[])?])
}

fn binary(n: &mut Node, op: &str) -> Result<Vec<Item>, Fault> {
    let (a, b) = (n.x(0)?, n.x(1)?);
    Ok(vec![n.op(op, &[&a, &b], &[])?])
}

fn variadic(n: &mut Node, op: &str) -> Result<Vec<Item>, Fault> {
    let mut all = n.x(0)?;
    for i in 1..n.inputs.len() {
        let next = n.x(i)?;
        all = n.op(op, &[&all, &next], &[])?;
    }
    Ok(vec![all])
}

fn mean(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let sum = variadic(n, "add")?.swap_remove(0);
    let count = n.build.number(&sum, n.inputs.len() as f64);
    Ok(vec![n.op("div", &[&sum, &count], &[])?])
}

fn tan(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let x = n.x(0)?;
    let (sin, cos) = (n.op("sin", &[&x], &[])?, n.op("cos", &[&x], &[])?);
    Ok(vec![n.op("div", &[&sin, &cos], &[])?])
}

/// (exp(x) ± exp(-x)) / 2.
fn hyperbolic(n: &mut Node, op: &str) -> Result<Vec<Item>, Fault> {
    let x = n.x(0)?;
    let half = n.build.number(&x, 0.5);
    let opposite = n.op("neg", &[&x], &[])?;
    let (up, down) = (n.op("exp", &[&x], &[])?, n.op("exp", &[&opposite], &[])?);
    let both = n.op(op, &[&up, &down], &[])?;
    Ok(vec![n.op("mul", &[&both, &half], &[])?])
}

/// log(x + sqrt(x * x + c)).
fn area(n: &mut Node, c: f64) -> Result<Vec<Item>, Fault> {
    let x = n.x(0)?;
    let c = n.build.number(&x, c);
    let square = n.op("square", &[&x], &[])?;
    let moved = n.op("add", &[&square, &c], &[])?;
    let root = n.op("sqrt", &[&moved], &[])?;
    let sum = n.op("add", &[&x, &root], &[])?;
    Ok(vec![n.op("log", &[&sum], &[])?])
}

/// log((1 + x) / (1 - x)) / 2.
fn atanh(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let x = n.x(0)?;
    let (one, half) = (n.build.number(&x, 1.0), n.build.number(&x, 0.5));
    let (above, below) = (n.op("add", &[&one, &x], &[])?, n.op("sub", &[&one, &x], &[])?);
    let ratio = n.op("div", &[&above, &below], &[])?;
    let log = n.op("log", &[&ratio], &[])?;
    Ok(vec![n.op("mul", &[&log, &half], &[])?])
}

fn shift(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let op = if n.text("direction", "") == "LEFT" { "shl" } else { "shr" };
    binary(n, op)
}

/// The remainder has the sign of the divisor, or with `fmod` that of the dividend.
fn modulo(n: &mut Node) -> Result<Vec<Item>, Fault> {
    if n.int("fmod", 0) == 0 {
        return binary(n, "mod");
    }
    let (a, b) = (n.x(0)?, n.x(1)?);
    let (up, down) = (n.op("abs", &[&a], &[])?, n.op("abs", &[&b], &[])?);
    let rest = n.op("mod", &[&up, &down], &[])?;
    let zero = n.build.number(&a, 0.0);
    let negative = n.op("lt", &[&a, &zero], &[])?;
    let opposite = n.op("neg", &[&rest], &[])?;
    Ok(vec![n.op("where", &[&negative, &opposite, &rest], &[])?])
}

/// The exponent may be of another type than the base.
fn pow(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (a, b) = (n.x(0)?, n.x(1)?);
    let (base, exponent) = (n.build.ty(&a).dtype, n.build.ty(&b).dtype);
    if base.is_float() || !exponent.is_float() {
        let b = n.build.cast(&b, base)?;
        if b.tensor().is_some_and(|b| b.len() == 1 && b.shape().is_empty() && b.get_f64(0) == 2.0) {
            return Ok(vec![n.op("square", &[&a], &[])?]);
        }
        return Ok(vec![n.op("pow", &[&a, &b], &[])?]);
    }
    let wide = n.build.cast(&a, exponent)?;
    let power = n.op("pow", &[&wide, &b], &[])?;
    Ok(vec![n.build.cast(&power, base)?])
}

fn select(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (condition, a, b) = (n.x(0)?, n.x(1)?, n.x(2)?);
    Ok(vec![n.op("where", &[&condition, &a, &b], &[])?])
}

fn isinf(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let x = n.x(0)?;
    let (down, up) = (n.int("detect_negative", 1) != 0, n.int("detect_positive", 1) != 0);
    let infinite = n.op("isinf", &[&x], &[])?;
    let zero = n.build.number(&x, 0.0);
    let side = match (down, up) {
        (true, true) => return Ok(vec![infinite]),
        (true, false) => n.op("lt", &[&x, &zero], &[])?,
        (false, true) => n.op("gt", &[&x, &zero], &[])?,
        (false, false) => n.op("ne", &[&zero, &zero], &[])?,
    };
    Ok(vec![n.op("and", &[&infinite, &side], &[])?])
}

fn cast(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, dtype) = (n.x(0)?, n.dtype("to", 1)?);
    Ok(vec![n.build.cast(&x, dtype)?])
}

fn cast_like(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, dtype) = (n.x(0)?, n.ty(1)?.dtype);
    Ok(vec![n.build.cast(&x, dtype)?])
}

/// Nothing is dropped when a model is used; the mask says so.
fn dropout(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let x = n.x(0)?;
    let training = n.known_ints(2)?.is_some_and(|flag| flag.first() == Some(&1));
    let ratio = n.known_floats(1)?.and_then(|ratio| ratio.first().copied()).unwrap_or(0.5);
    if training && ratio != 0.0 {
        return refuse("it drops elements by chance, as in training");
    }
    if n.proto.output.len() < 2 {
        return Ok(vec![x]);
    }
    let dims = n.build.ty(&x).dims;
    let attrs = [
        ("shape", super::super::builder::dims(dims)),
        ("value", Attr::Float(1.0)),
        ("dtype", Attr::DType(DType::Bool)),
    ];
    let mask = n.op("full", &[], &attrs)?;
    Ok(vec![x, mask])
}
