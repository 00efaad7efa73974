//! The same elements in other dims or another order.

use super::super::node::Op;
use super::{Made, Rows, one};
use crate::ops::Rearranged;
use mlc_codegen::base::Dim;

pub(super) const ROWS: Rows = &[
    ("expand", expand),
    ("flip", flip),
    ("rearrange", rearrange),
    ("reshape", reshape),
    ("tile", tile),
    ("transpose", transpose),
];

/// The greatest negative stop, behind which nothing is.
const BEFORE_FIRST: i64 = -i64::MAX;

fn reshape(o: &mut Op) -> Made {
    let x = o.x("x");
    one(o.w.reshaped(x, &o.call.result(0).dims)?)
}

fn rearrange(o: &mut Op) -> Made {
    let Rearranged { apart, order } = Rearranged::of(&o.call).ok_or("a size in its pattern is not known")?;
    let x = o.x("x");
    let split = if apart == o.ty("x").dims { x.to_owned() } else { o.w.reshaped(x, &apart)? };
    let turned = o.transposed(&split, &order);
    let dims: Vec<Dim> = order.iter().map(|axis| apart[*axis].clone()).collect();
    let result = o.call.result(0).dims.clone();
    one(if dims == result { turned } else { o.w.reshaped(&turned, &result)? })
}

fn expand(o: &mut Op) -> Made {
    let x = o.x("x");
    let shape = o.w.dims(&o.call.result(0).dims)?;
    one(o.plain("Expand", &[x, &shape]))
}

fn transpose(o: &mut Op) -> Made {
    let (x, rank) = (o.x("x"), o.ty("x").rank());
    let perm = o.call.ints("perm").unwrap_or_else(|| (0..rank as i64).rev().collect());
    let perm: Vec<usize> = perm.iter().map(|axis| *axis as usize).collect();
    one(o.transposed(x, &perm))
}

fn flip(o: &mut Op) -> Made {
    let (x, axes) = (o.x("x"), o.call.ints("axis").unwrap_or_default());
    one(flipped(o, x, &axes))
}

/// `x` in reverse order along axes.
pub(super) fn flipped(o: &mut Op, x: &str, axes: &[i64]) -> String {
    let each = |o: &mut Op, value: i64| o.w.ints(&vec![value; axes.len()]);
    let (start, stop, step) = (each(o, -1), each(o, BEFORE_FIRST), each(o, -1));
    let axes = o.w.ints(axes);
    o.plain("Slice", &[x, &start, &stop, &axes, &step])
}

fn tile(o: &mut Op) -> Made {
    let x = o.x("x");
    let repeats: Vec<Dim> = o.call.dims("repeats").unwrap_or_default().into_iter().flatten().collect();
    let repeats = o.w.dims(&repeats)?;
    one(o.plain("Tile", &[x, &repeats]))
}
