//! Elements and slices at places that other tensors hold.

use super::super::node::{Op, int, text};
use super::reductions::folded;
use super::{Made, Rows, one};
use mlc_codegen::base::DType;

pub(super) const ROWS: Rows = &[
    ("gather", |o| gathered(o, "Gather")),
    ("gather_elements", |o| gathered(o, "GatherElements")),
    ("gather_nd", gather_nd),
    ("nonzero", nonzero),
    ("one_hot", one_hot),
    ("scatter", scatter),
    ("scatter_nd", scatter_nd),
];

fn gathered(o: &mut Op, op: &str) -> Made {
    let (x, indices, axis) = (o.x("x"), o.x("indices"), o.call.axis("axis"));
    one(o.node(op, &[x, indices], vec![int("axis", axis as i64)]))
}

/// The indices of the nd operators are i64.
fn places(o: &mut Op) -> String {
    let (indices, dtype) = (o.x("indices"), o.ty("indices").dtype);
    o.cast(indices, dtype, DType::I64)
}

fn gather_nd(o: &mut Op) -> Made {
    let (x, indices) = (o.x("x"), places(o));
    one(o.plain("GatherND", &[x, &indices]))
}

fn scatter(o: &mut Op) -> Made {
    let (x, indices, updates) = (o.x("x"), o.x("indices"), o.x("updates"));
    let (axis, reduction) = (o.call.axis("axis"), o.call.text("reduction").unwrap_or("none"));
    let attributes = vec![int("axis", axis as i64), text("reduction", reduction)];
    one(o.node("ScatterElements", &[x, indices, updates], attributes))
}

fn scatter_nd(o: &mut Op) -> Made {
    let (x, indices, updates) = (o.x("x"), places(o), o.x("updates"));
    let reduction = o.call.text("reduction").unwrap_or("none");
    one(o.node("ScatterND", &[x, &indices, updates], vec![text("reduction", reduction)]))
}

/// The positions, and how many there are.
fn nonzero(o: &mut Op) -> Made {
    let (x, ty) = (o.x("x"), o.ty("x"));
    let found = o.plain("NonZero", &[x]);
    let counted = o.cast(x, ty.dtype, DType::Bool);
    let counted = o.cast(&counted, DType::Bool, DType::I64);
    let count = folded(o, "ReduceSum", &counted, None, false);
    Ok(vec![found, o.unsqueezed(&count, &[0])])
}

/// The format's operator counts negative indices from the end; mlc's gives zeros for them.
fn one_hot(o: &mut Op) -> Made {
    let (indices, ty, dtype) = (o.x("indices"), o.ty("indices"), o.dtype());
    let depth = o.call.dim("depth").expect("the signature requires the depth");
    let wide = o.cast(indices, ty.dtype, DType::I64);
    let wide = o.unsqueezed(&wide, &[ty.rank() as i64]);
    let places = o.counted(&depth)?;
    let same = o.plain("Equal", &[&wide, &places]);
    one(o.cast(&same, DType::Bool, dtype))
}
