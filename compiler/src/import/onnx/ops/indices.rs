//! Operators that read and write at computed places.

use super::super::builder::Fault;
use super::super::items::Item;
use super::super::node::Node;
use super::{Rows, refuse};
use crate::ops::Attr;
use mlc_codegen::base::{DType, Dim, Scalar};
use mlc_runtime::tensor::Tensor;

pub(super) const ROWS: Rows = &[
    ("Compress", compress),
    ("Gather", gather),
    ("GatherElements", |n| two(n, "gather_elements")),
    ("GatherND", gather_nd),
    ("NonZero", nonzero),
    ("OneHot", one_hot),
    ("Scatter", scatter),
    ("ScatterElements", scatter),
    ("ScatterND", scatter_nd),
];

/// Indices of other integer types become i64.
fn indices(n: &mut Node, i: usize) -> Result<Item, Fault> {
    let item = n.x(i)?;
    match n.build.ty(&item).dtype {
        DType::I64 | DType::I32 => Ok(item),
        _ => n.build.cast(&item, DType::I64),
    }
}

fn two(n: &mut Node, op: &str) -> Result<Vec<Item>, Fault> {
    let (x, axis) = (n.x(0)?, n.axis(0, n.rank(0)?)?);
    let places = indices(n, 1)?;
    Ok(vec![n.op(op, &[&x, &places], &[("axis", Attr::Int(axis))])?])
}

/// At one known place it is a part of the tensor.
fn gather(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, own) = (n.x(0)?, n.ty(0)?.dims);
    let axis = n.axis(0, own.len() as i64)?;
    let places = indices(n, 1)?;
    let one = places.tensor().filter(|places| places.shape().is_empty()).map(|places| places.get(0).as_i64());
    if let (Some(at), Some(dim)) = (one, own.get(axis as usize)) {
        let start = if at < 0 { dim.clone() + at } else { Dim::from(at) };
        let attrs = [
            ("starts", super::super::builder::dims(vec![start.clone()])),
            ("stops", super::super::builder::dims(vec![start + 1])),
            ("axis", Attr::Ints(vec![axis])),
        ];
        let part = n.op("slice", &[&x], &attrs)?;
        let mut left = own.clone();
        left.remove(axis as usize);
        return Ok(vec![n.build.reshape(&part, left)?]);
    }
    Ok(vec![n.op("gather", &[&x, &places], &[("axis", Attr::Int(axis))])?])
}

/// With leading axes that go together, their positions are put before the indices.
fn gather_nd(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let x = n.x(0)?;
    let places = indices(n, 1)?;
    let batch = usize::try_from(n.int("batch_dims", 0)).unwrap_or(0);
    if batch == 0 {
        return Ok(vec![n.op("gather_nd", &[&x, &places], &[])?]);
    }
    let ty = n.build.ty(&places);
    if batch >= ty.rank() {
        return refuse(format!("it has {batch} leading axes, and its indices {}", ty.rank()));
    }
    let mut parts = vec![];
    for axis in 0..batch {
        let attrs = [("n", Attr::Dim(ty.dims[axis].clone())), ("dtype", Attr::DType(ty.dtype))];
        let line = n.op("iota", &[], &attrs)?;
        let mut shape = vec![Dim::from(1); ty.rank()];
        shape[axis] = ty.dims[axis].clone();
        let line = n.build.reshape(&line, shape)?;
        let mut wide = ty.dims.clone();
        *wide.last_mut().expect("it has axes") = Dim::from(1);
        parts.push(n.build.expand(&line, wide)?);
    }
    parts.push(places);
    let whole = n.build.concat(&parts, ty.rank() as i64 - 1)?;
    Ok(vec![n.op("gather_nd", &[&x, &whole], &[])?])
}

/// The op that joins what is there with an update, where mlc's scatter does not.
fn joined(n: &Node) -> Result<Option<&'static str>, Fault> {
    match n.text("reduction", "none").as_str() {
        "none" | "add" => Ok(None),
        "mul" => Ok(Some("mul")),
        "max" => Ok(Some("max")),
        "min" => Ok(Some("min")),
        word => refuse(format!("mlc has no scatter with reduction \"{word}\"")),
    }
}

/// How many updates of the same place there may be, one after another.
fn rounds(dim: &Dim) -> Result<i64, Fault> {
    const MOST: i64 = 256;
    let most = || Fault::Use(format!("it joins more than {MOST} updates of a place, or a symbolic number"));
    dim.as_constant().filter(|count| *count <= MOST).ok_or_else(most)
}

fn scatter(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (mut x, updates, axis) = (n.x(0)?, n.x(2)?, n.axis(0, n.rank(0)?)?);
    let places = indices(n, 1)?;
    let along = ("axis", Attr::Int(axis));
    let Some(op) = joined(n)? else {
        let attrs = [along, ("reduction", Attr::Text(n.text("reduction", "none")))];
        return Ok(vec![n.op("scatter", &[&x, &places, &updates], &attrs)?]);
    };
    // Along one position of the axis no place comes twice.
    for at in 0..rounds(&n.build.ty(&places).dims[axis as usize])? {
        let place = n.build.cut(&places, axis, at, at + 1)?;
        let update = n.build.cut(&updates, axis, at, at + 1)?;
        let there = n.op("gather_elements", &[&x, &place], std::slice::from_ref(&along))?;
        let both = n.op(op, &[&there, &update], &[])?;
        x = n.op("scatter", &[&x, &place, &both], std::slice::from_ref(&along))?;
    }
    Ok(vec![x])
}

fn scatter_nd(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (mut x, updates) = (n.x(0)?, n.x(2)?);
    let places = indices(n, 1)?;
    let Some(op) = joined(n)? else {
        let attrs = [("reduction", Attr::Text(n.text("reduction", "none")))];
        return Ok(vec![n.op("scatter_nd", &[&x, &places, &updates], &attrs)?]);
    };
    let (all, wide) = (n.build.ty(&places).dims, n.build.ty(&updates).dims);
    let (depth, leading) = (all[all.len() - 1].clone(), all.len() - 1);
    let count: Dim = all[..leading].iter().cloned().product();
    let places = n.build.reshape(&places, vec![count.clone(), depth])?;
    let rest = wide[leading..].iter().cloned();
    let updates = n.build.reshape(&updates, std::iter::once(count.clone()).chain(rest).collect())?;
    for at in 0..rounds(&count)? {
        let (place, update) = (n.build.cut(&places, 0, at, at + 1)?, n.build.cut(&updates, 0, at, at + 1)?);
        let there = n.op("gather_nd", &[&x, &place], &[])?;
        let both = n.op(op, &[&there, &update], &[])?;
        x = n.op("scatter_nd", &[&x, &place, &both], &[])?;
    }
    Ok(vec![x])
}

fn nonzero(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let x = n.x(0)?;
    Ok(vec![n.op("nonzero", &[&x], &[])?])
}

/// Positions of the axis that a known condition chooses.
fn compress(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let x = n.x(0)?;
    let chosen = n.known_ints(1)?.unwrap_or_default();
    let places: Vec<i64> = (0..).zip(&chosen).filter(|(_, holds)| **holds != 0).map(|(i, _)| i).collect();
    let places = Tensor::from_i64([places.len()], &places).map_err(|error| Fault::Use(error.to_string()))?;
    let (x, axis) = match n.has("axis") {
        true => (x, n.axis(0, n.rank(0)?)?),
        false => {
            let all = n.build.ty(&x).elements();
            (n.build.reshape(&x, vec![all])?, 0)
        }
    };
    Ok(vec![n.op("gather", &[&x, &Item::known(places)], &[("axis", Attr::Int(axis))])?])
}

fn one_hot(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (depth, values) = (
        n.known_dims(1).or_else(|_| {
            let floats = n.known_floats(1)?;
            Ok(floats.map(|floats| floats.into_iter().map(|value| Dim::from(value as i64)).collect()))
        })?,
        n.x(2)?,
    );
    let depth = depth.and_then(|depth| depth.first().cloned()).ok_or(Fault::Unbound(1))?;
    let places = n.x(0)?;
    let places = n.build.cast(&places, DType::I64)?;
    let zero = Item::known(Tensor::scalar(DType::I64, Scalar::I64(0)));
    let attrs = [("value", Attr::Dim(depth.clone())), ("dtype", Attr::DType(DType::I64))];
    let count = n.op("scalar", &[], &attrs)?;
    let (negative, counted) = (n.op("lt", &[&places, &zero], &[])?, n.op("add", &[&places, &count], &[])?);
    let places = n.op("where", &[&negative, &counted, &places], &[])?;
    let hot = n.op("one_hot", &[&places], &[("depth", Attr::Dim(depth)), ("dtype", Attr::DType(DType::Bool))])?;
    let rank = n.build.ty(&hot).rank() as i64;
    let axis = n.axis(-1, rank)?;
    let perm = (0..rank).map(|at| match at {
        at if at < axis => at,
        at if at == axis => rank - 1,
        at => at - 1,
    });
    let hot = n.build.transpose(&hot, perm.collect())?;
    let off = n.build.cut(&values, 0, 0, 1)?;
    let on = n.build.cut(&values, 0, 1, 2)?;
    Ok(vec![n.op("where", &[&hot, &on, &off], &[])?])
}
