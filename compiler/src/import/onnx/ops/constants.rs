//! Operators that make tensors of numbers.

use super::super::builder::{Fault, dims};
use super::super::items::{Item, Sizes};
use super::super::node::Node;
use super::super::tensors::{self, Read};
use super::{Rows, refuse};
use crate::ops::Attr;
use mlc_codegen::base::{DType, Dim, Scalar};
use mlc_runtime::tensor::Tensor;

pub(super) const ROWS: Rows = &[
    ("Constant", constant),
    ("ConstantOfShape", constant_of_shape),
    ("EyeLike", eye_like),
    ("RandomNormal", |n| random(n, "normal", false)),
    ("RandomNormalLike", |n| random(n, "normal", true)),
    ("RandomUniform", |n| random(n, "uniform", false)),
    ("RandomUniformLike", |n| random(n, "uniform", true)),
    ("Range", range),
    ("Shape", shape),
    ("Size", |n| Ok(vec![one(n.ty(0)?.elements())])),
];

fn one(dim: Dim) -> Item {
    Sizes { dims: vec![dim], scalar: true, dtype: DType::I64 }.item()
}

fn constant(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let made = if let Some(proto) = n.tensor("value") {
        match tensors::read(proto, None).map_err(|error| Fault::Use(error.to_string()))? {
            Read::Tensor(tensor) => Ok(tensor),
            Read::Foreign(ty) => return refuse(format!("its numbers are of type {ty}, which mlc lacks")),
        }
    } else if n.has("value_int") {
        Ok(Tensor::scalar(DType::I64, Scalar::I64(n.int("value_int", 0))))
    } else if n.has("value_float") {
        Ok(Tensor::scalar(DType::F32, Scalar::F64(n.float("value_float", 0.0))))
    } else if let Some(ints) = n.ints("value_ints") {
        Tensor::from_i64([ints.len()], &ints)
    } else if let Some(floats) = n.floats("value_floats") {
        Tensor::from_f32([floats.len()], &floats)
    } else {
        return refuse("it holds text, or a sparse tensor");
    };
    Ok(vec![Item::known(made.map_err(|error| Fault::Use(error.to_string()))?)])
}

fn full(n: &mut Node, shape: Vec<Dim>, value: Scalar, dtype: DType) -> Result<Item, Fault> {
    let exact = Scalar::from_f64(dtype, value.as_f64()) == value;
    let known: Option<Vec<usize>> =
        shape.iter().map(|dim| dim.as_constant().and_then(|dim| usize::try_from(dim).ok())).collect();
    if let (Some(known), true) = (known, !exact || shape.is_empty()) {
        let made = Tensor::from_fn(dtype, known, |_| value);
        return made.map(Item::known).map_err(|error| Fault::Use(error.to_string()));
    }
    let attrs = [("shape", dims(shape)), ("value", Attr::Float(value.as_f64())), ("dtype", Attr::DType(dtype))];
    n.op("full", &[], &attrs)
}

fn constant_of_shape(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let shape = n.known_dims(0)?.unwrap_or_default();
    let value = match n.tensor("value").map(|proto| tensors::read(proto, None)) {
        None => Tensor::scalar(DType::F32, Scalar::F32(0.0)),
        Some(Ok(Read::Tensor(tensor))) if tensor.len() == 1 => tensor,
        Some(_) => return refuse("its value is no single number that mlc has"),
    };
    Ok(vec![full(n, shape, value.get(0), value.dtype())?])
}

/// 1 on one diagonal.
fn eye_like(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let ty = n.ty(0)?;
    let dtype = if n.has("dtype") { n.dtype("dtype", 1)? } else { ty.dtype };
    let k = n.int("k", 0);
    let [rows, columns] = ty.dims.as_slice() else { return refuse("its input is no matrix") };
    let column = |n: &mut Node, count: &Dim, dims: Vec<Dim>| {
        let line = n.op("iota", &[], &[("n", Attr::Dim(count.clone()))])?;
        n.build.reshape(&line, dims)
    };
    let (down, right) = (column(n, rows, vec![rows.clone(), 1.into()])?, column(n, columns, vec![columns.clone()])?);
    let k = Item::known(Tensor::scalar(DType::I64, Scalar::I64(k)));
    let moved = n.op("add", &[&down, &k], &[])?;
    let on = n.op("eq", &[&moved, &right], &[])?;
    Ok(vec![n.build.cast(&on, dtype)?])
}

/// Numbers by chance are those of mlc's own stream: the same for each run of a seed.
fn random(n: &mut Node, op: &str, like: bool) -> Result<Vec<Item>, Fault> {
    let shape = match like {
        true => n.ty(0)?.dims,
        false => n.ints("shape").unwrap_or_default().into_iter().map(Dim::from).collect(),
    };
    let default = if like { n.ty(0)?.dtype } else { DType::F32 };
    let dtype = if n.has("dtype") { n.dtype("dtype", 1)? } else { default };
    let dtype = if dtype.is_float() { dtype } else { DType::F32 };
    let (first, second) = match op {
        "normal" => (("mean", n.float("mean", 0.0)), ("deviation", n.float("scale", 1.0))),
        _ => (("low", n.float("low", 0.0)), ("high", n.float("high", 1.0))),
    };
    let seed = i64::from((n.float("seed", 0.0) as f32).to_bits());
    let attrs = [
        ("shape", dims(shape)),
        ("seed", Attr::Int(seed)),
        (first.0, Attr::Float(first.1)),
        (second.0, Attr::Float(second.1)),
    ];
    let made = n.op(op, &[], &attrs)?;
    Ok(vec![n.build.cast(&made, dtype)?])
}

/// start, start + delta, … below limit.
fn range(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (start, limit, delta) = (n.x(0)?, n.x(1)?, n.x(2)?);
    let dtype = n.build.ty(&start).dtype;
    if let (Some(a), Some(b), Some(c)) = (start.tensor(), limit.tensor(), delta.tensor()) {
        let (a, b, c) = (a.get_f64(0), b.get_f64(0), c.get_f64(0));
        let count = ((b - a) / c).ceil().max(0.0);
        if !count.is_finite() || count > (1u64 << 24) as f64 {
            return refuse("it makes more than 2^24 numbers");
        }
        let made = Tensor::from_fn(dtype, [count as usize], |i| Scalar::from_f64(dtype, a + i as f64 * c));
        return made.map(|made| vec![Item::known(made)]).map_err(|error| Fault::Use(error.to_string()));
    }
    if dtype.is_float() {
        let open = [&start, &limit, &delta].iter().position(|item| item.tensor().is_none());
        return Err(Fault::Unbound(open.unwrap_or(0)));
    }
    let ints = |i: usize| n.known_dims(i).map(|dims| dims.and_then(|dims| dims.first().cloned()).unwrap_or_default());
    let (a, b, c) = (ints(0)?, ints(1)?, ints(2)?);
    let Some(step) = c.as_constant().filter(|step| *step > 0) else { return Err(Fault::Unbound(2)) };
    let count = n.build.graph.slots.ceil_div(&(b - &a), step);
    let line = n.op("iota", &[], &[("n", Attr::Dim(count)), ("dtype", Attr::DType(dtype))])?;
    let line = match step {
        1 => line,
        _ => n.op("mul", &[&line, &delta], &[])?,
    };
    match a.as_constant() {
        Some(0) => Ok(vec![line]),
        _ => Ok(vec![n.op("add", &[&line, &start], &[])?]),
    }
}

fn shape(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let dims = n.ty(0)?.dims;
    let rank = dims.len() as i64;
    let clamp = |at: i64| (if at < 0 { at + rank } else { at }).clamp(0, rank) as usize;
    let (start, end) = (clamp(n.int("start", 0)), clamp(n.int("end", rank)));
    let dims = dims.get(start..end.max(start)).unwrap_or_default().to_vec();
    Ok(vec![Sizes { dims, scalar: false, dtype: DType::I64 }.item()])
}
