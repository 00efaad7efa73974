//! Folds along axes, and what is found along one.

use super::super::node::{Op, int, ints};
use super::{Made, Rows, one};
use mlc_codegen::base::DType;

pub(super) const ROWS: Rows = &[
    ("all", all),
    ("any", any),
    ("argmax", |o| position(o, "ArgMax")),
    ("argmin", |o| position(o, "ArgMin")),
    ("cumsum", cumsum),
    ("l2_norm", |o| reduce(o, "ReduceL2")),
    ("logsumexp", |o| reduce(o, "ReduceLogSumExp")),
    ("max", |o| extremum(o, "Max")),
    ("mean", |o| reduce(o, "ReduceMean")),
    ("min", |o| extremum(o, "Min")),
    ("prod", |o| reduce(o, "ReduceProd")),
    ("sum", |o| reduce(o, "ReduceSum")),
    ("top_k", top_k),
];

/// `x` folded along axes, all where none are given; axes are an input of sums since set 13, of all others since set 18.
pub(super) fn folded(o: &mut Op, op: &str, x: &str, axes: Option<&[i64]>, keep: bool) -> String {
    let keep = int("keepdims", i64::from(keep));
    match axes {
        Some(axes) if o.w.opset >= 18 || op == "ReduceSum" => {
            let axes = o.w.ints(axes);
            o.node(op, &[x, &axes], vec![keep])
        }
        Some(axes) => o.node(op, &[x], vec![ints("axes", axes), keep]),
        None => o.node(op, &[x], vec![keep]),
    }
}

/// The axes and `keep` of the call; no axes at all leave x as it is.
fn along(o: &mut Op, op: &str, x: &str) -> String {
    let (axes, keep) = (o.call.ints("axis"), o.call.bool("keep"));
    match axes.as_deref() {
        Some([]) => x.to_owned(),
        axes => folded(o, op, x, axes, keep),
    }
}

/// Integers of less than 32 bits, which the format does not fold, are folded as i32: what wraps is the same.
fn reduce(o: &mut Op, op: &str) -> Made {
    let (x, dtype) = (o.x("x"), o.ty("x").dtype);
    let narrow = dtype.is_integer() && dtype.bits() < 32;
    let wide = if narrow { DType::I32 } else { dtype };
    let x = o.cast(x, dtype, wide);
    let folded = along(o, op, &x);
    one(o.cast(&folded, wide, dtype))
}

/// How many elements are, or are not, 0.
fn count(o: &mut Op, zeros: bool) -> (String, String) {
    let (x, dtype) = (o.x("x"), o.ty("x").dtype);
    let holds = o.cast(x, dtype, DType::Bool);
    let holds = if zeros { o.plain("Not", &[&holds]) } else { holds };
    let holds = o.cast(&holds, DType::Bool, DType::I32);
    (along(o, "ReduceSum", &holds), o.number(0.0, DType::I32))
}

fn any(o: &mut Op) -> Made {
    let (count, zero) = count(o, false);
    one(o.plain("Greater", &[&count, &zero]))
}

fn all(o: &mut Op) -> Made {
    let (count, zero) = count(o, true);
    one(o.plain("Equal", &[&count, &zero]))
}

fn extremum(o: &mut Op, op: &str) -> Made {
    let x = o.x("x");
    match o.opt("y") {
        Some(y) => one(o.plain(op, &[x, y])),
        None => reduce(o, &format!("Reduce{op}")),
    }
}

fn position(o: &mut Op, op: &str) -> Made {
    let (x, axis, keep) = (o.x("x"), o.call.axis("axis"), o.call.bool("keep"));
    one(o.node(op, &[x], vec![int("axis", axis as i64), int("keepdims", i64::from(keep))]))
}

fn cumsum(o: &mut Op) -> Made {
    let (x, axis) = (o.x("x"), o.call.axis("axis"));
    let axis = o.number(axis as f64, DType::I64);
    let flag = |name: &str| int(name, i64::from(o.call.bool(name)));
    let flags = vec![flag("exclusive"), flag("reverse")];
    one(o.node("CumSum", &[x, &axis], flags))
}

fn top_k(o: &mut Op) -> Made {
    let (x, axis, largest) = (o.x("x"), o.call.axis("axis"), o.call.bool("largest"));
    let k = o.call.dim("k").expect("the signature requires k");
    let k = o.w.dims(&[k])?;
    let attributes = vec![int("axis", axis as i64), int("largest", i64::from(largest))];
    Ok(o.w.nodes("TopK", &[x, &k], attributes, 2))
}
