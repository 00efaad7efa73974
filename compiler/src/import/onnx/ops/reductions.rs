//! Reductions along axes, and what counts or compares along one.

use super::super::builder::Fault;
use super::super::items::Item;
use super::super::node::Node;
use super::{Rows, refuse};
use crate::ops::Attr;
use mlc_codegen::base::DType;

pub(super) const ROWS: Rows = &[
    ("ReduceSum", |n| reduce(n, 13, None, "sum", None)),
    ("ReduceMean", |n| reduce(n, 18, None, "mean", None)),
    ("ReduceMax", |n| reduce(n, 18, None, "max", None)),
    ("ReduceMin", |n| reduce(n, 18, None, "min", None)),
    ("ReduceProd", |n| reduce(n, 18, None, "prod", None)),
    ("ReduceL1", |n| reduce(n, 18, Some("abs"), "sum", None)),
    ("ReduceL2", |n| reduce(n, 18, Some("square"), "sum", Some("sqrt"))),
    ("ReduceSumSquare", |n| reduce(n, 18, Some("square"), "sum", None)),
    ("ReduceLogSum", |n| reduce(n, 18, None, "sum", Some("log"))),
    ("ReduceLogSumExp", |n| reduce(n, 18, None, "logsumexp", None)),
    ("ArgMax", |n| arg(n, "argmax")),
    ("ArgMin", |n| arg(n, "argmin")),
    ("CumSum", cumsum),
    ("TopK", top_k),
];

fn reduce(n: &mut Node, from: i64, first: Option<&str>, op: &str, last: Option<&str>) -> Result<Vec<Item>, Fault> {
    let (mut x, rank) = (n.x(0)?, n.rank(0)?);
    let axes = n.axes(from, 1, rank)?.filter(|axes| !axes.is_empty());
    let axes = match axes {
        None if n.int("noop_with_empty_axes", 0) != 0 => vec![],
        None => (0..rank).collect(),
        Some(axes) => axes,
    };
    let dtype = n.build.ty(&x).dtype;
    if let Some(first) = first {
        x = n.op(first, &[&x], &[])?;
    }
    if !axes.is_empty() {
        let keep = n.int("keepdims", 1) != 0;
        let logical = dtype == DType::Bool;
        let op = match op {
            "max" if logical => "any",
            "min" if logical => "all",
            op => op,
        };
        x = n.op(op, &[&x], &[("axis", Attr::Ints(axes)), ("keep", Attr::Bool(keep))])?;
    }
    if let Some(last) = last {
        let wide = if dtype.is_float() { x } else { n.build.cast(&x, DType::F32)? };
        let made = n.op(last, &[&wide], &[])?;
        x = n.build.cast(&made, dtype)?;
    }
    Ok(vec![x])
}

/// With `select_last_index` the last of equals is that which comes first from behind.
fn arg(n: &mut Node, op: &str) -> Result<Vec<Item>, Fault> {
    let (mut x, rank) = (n.x(0)?, n.rank(0)?);
    let axis = n.axis(0, rank)?;
    let last = n.int("select_last_index", 0) != 0;
    let extent = n.build.ty(&x).dims.get(axis as usize).cloned();
    if last {
        x = n.op("flip", &[&x], &[("axis", Attr::Ints(vec![axis]))])?;
    }
    let keep = Attr::Bool(n.int("keepdims", 1) != 0);
    let mut found = n.op(op, &[&x], &[("axis", Attr::Int(axis)), ("keep", keep)])?;
    if let (true, Some(extent)) = (last, extent) {
        let attrs = [("value", Attr::Dim(extent - 1)), ("dtype", Attr::DType(DType::I64))];
        let end = n.op("scalar", &[], &attrs)?;
        found = n.op("sub", &[&end, &found], &[])?;
    }
    Ok(vec![found])
}

fn cumsum(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, rank) = (n.x(0)?, n.rank(0)?);
    let axis = n.known_ints(1)?.and_then(|axis| axis.first().copied()).unwrap_or(0);
    let attrs = [
        ("axis", Attr::Int(super::super::node::front(axis, rank)?)),
        ("exclusive", Attr::Bool(n.int("exclusive", 0) != 0)),
        ("reverse", Attr::Bool(n.int("reverse", 0) != 0)),
    ];
    Ok(vec![n.op("cumsum", &[&x], &attrs)?])
}

fn top_k(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, rank) = (n.x(0)?, n.rank(0)?);
    let k = match n.version < 10 {
        true => Some(n.int("k", 1).into()),
        false => n.known_dims(1)?.and_then(|k| k.first().cloned()),
    };
    let Some(k) = k else { return refuse("it does not say how many") };
    let attrs = [
        ("k", Attr::Dim(k)),
        ("axis", Attr::Int(n.axis(-1, rank)?)),
        ("largest", Attr::Bool(n.int("largest", 1) != 0)),
    ];
    n.build.ops("top_k", &[Some(&x)], &attrs)
}
