//! Operators that move elements without looking at them.

use super::super::builder::Fault;
use super::super::items::Item;
use super::super::node::{Node, front};
use super::{Rows, refuse};
use crate::ops::Attr;
use mlc_codegen::base::Dim;

pub(super) const ROWS: Rows = &[
    ("Concat", concat),
    ("DepthToSpace", depth_to_space),
    ("Expand", expand),
    ("Flatten", flatten),
    ("Reshape", reshape),
    ("SpaceToDepth", space_to_depth),
    ("Squeeze", squeeze),
    ("Tile", tile),
    ("Transpose", transpose),
    ("Trilu", trilu),
    ("Unsqueeze", unsqueeze),
];

/// 0 takes the dim of the input, unless `allowzero`; -1 is what is left.
fn reshape(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, own) = (n.x(0)?, n.ty(0)?.dims);
    let mut shape = n.known_dims(1)?.unwrap_or_default();
    let keep = n.int("allowzero", 0) == 0;
    for (i, dim) in shape.iter_mut().enumerate() {
        if keep && dim.as_constant() == Some(0) {
            *dim = own
                .get(i)
                .cloned()
                .ok_or_else(|| Fault::Use(format!("its shape copies axis {i}, which is not there")))?;
        }
    }
    let open = shape.iter().position(|dim| dim.as_constant() == Some(-1));
    if let Some(open) = open {
        let rest: Dim = shape.iter().enumerate().filter(|(i, _)| *i != open).map(|(_, dim)| dim.clone()).product();
        let all: Dim = own.into_iter().product();
        shape[open] = if rest.as_constant() == Some(0) { 0.into() } else { n.build.graph.slots.floor_div(&all, &rest) };
    }
    Ok(vec![n.build.reshape(&x, shape)?])
}

fn flatten(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, dims) = (n.x(0)?, n.ty(0)?.dims);
    let (rank, axis) = (dims.len() as i64, n.int("axis", 1));
    let axis = if axis < 0 { axis + rank } else { axis };
    let Some(axis) = usize::try_from(axis).ok().filter(|axis| *axis <= dims.len()) else {
        return refuse(format!("axis {axis} of a tensor with {rank} axes"));
    };
    let (outer, inner) = dims.split_at(axis);
    let shape = vec![outer.iter().cloned().product(), inner.iter().cloned().product()];
    Ok(vec![n.build.reshape(&x, shape)?])
}

fn squeeze(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, dims) = (n.x(0)?, n.ty(0)?.dims);
    let axes = n.axes(13, 1, dims.len() as i64)?;
    let gone = |axis: usize, dim: &Dim| match &axes {
        Some(axes) => axes.contains(&(axis as i64)),
        None => dim.as_constant() == Some(1),
    };
    let left = dims.iter().enumerate().filter(|(axis, dim)| !gone(*axis, dim)).map(|(_, dim)| dim.clone());
    let left = left.collect();
    Ok(vec![n.build.reshape(&x, left)?])
}

fn unsqueeze(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, dims) = (n.x(0)?, n.ty(0)?.dims);
    let given = if n.version < 13 { n.ints("axes") } else { n.known_ints(1)? }.unwrap_or_default();
    let rank = dims.len() + given.len();
    let axes: Vec<i64> = given.into_iter().map(|axis| front(axis, rank as i64)).collect::<Result<_, _>>()?;
    let mut own = dims.into_iter();
    let wide: Option<Vec<Dim>> =
        (0..rank as i64).map(|axis| if axes.contains(&axis) { Some(Dim::from(1)) } else { own.next() }).collect();
    let Some(wide) = wide else { return refuse("it names an axis twice") };
    Ok(vec![n.build.reshape(&x, wide)?])
}

fn transpose(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, rank) = (n.x(0)?, n.rank(0)?);
    let perm = n.ints("perm").unwrap_or_else(|| (0..rank).rev().collect());
    Ok(vec![n.build.transpose(&x, perm)?])
}

fn concat(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let axis = n.axis(1, n.rank(0)?)?;
    let parts: Vec<Item> = (0..n.inputs.len()).map(|i| n.x(i)).collect::<Result<_, _>>()?;
    Ok(vec![n.build.concat(&parts, axis)?])
}

/// The shape and that of the input stretch each other.
fn expand(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, own) = (n.x(0)?, n.ty(0)?.dims);
    let asked = n.known_dims(1)?.unwrap_or_default();
    let rank = own.len().max(asked.len());
    let at = |dims: &[Dim], i: usize| (i + dims.len()).checked_sub(rank).and_then(|i| dims.get(i).cloned());
    let dims = (0..rank).map(|i| match (at(&own, i), at(&asked, i)) {
        (Some(own), Some(asked)) if asked.as_constant() == Some(1) => own,
        (_, Some(asked)) => asked,
        (own, None) => own.unwrap_or_default(),
    });
    let dims: Vec<Dim> = dims.collect();
    Ok(vec![n.build.expand(&x, dims)?])
}

fn tile(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let x = n.x(0)?;
    let repeats = n.known_dims(1)?.unwrap_or_default();
    Ok(vec![n.op("tile", &[&x], &[("repeats", super::super::builder::dims(repeats))])?])
}

fn trilu(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let x = n.x(0)?;
    let k = n.known_ints(1)?.and_then(|k| k.first().copied()).unwrap_or(0);
    let op = if n.int("upper", 1) != 0 { "triu" } else { "tril" };
    Ok(vec![n.op(op, &[&x], &[("diagonal", Attr::Int(k))])?])
}

fn depth_to_space(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let x = n.x(0)?;
    let attrs =
        [("block", Attr::Int(n.int("blocksize", 1))), ("mode", Attr::Text(n.text("mode", "DCR").to_lowercase()))];
    Ok(vec![n.op("depth_to_space", &[&x], &attrs)?])
}

fn space_to_depth(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let x = n.x(0)?;
    Ok(vec![n.op("space_to_depth", &[&x], &[("block", Attr::Int(n.int("blocksize", 1)))])?])
}
