//! Tensors taken apart, put together and framed.

use super::super::node::{Op, int, text};
use super::{Made, Rows, one};
use mlc_codegen::base::Dim;

pub(super) const ROWS: Rows =
    &[("concat", concat), ("pad", pad), ("slice", slice), ("split", split), ("stack", stack), ("unstack", unstack)];

fn slice(o: &mut Op) -> Made {
    let (starts, stops) = (o.call.dims("starts").unwrap_or_default(), o.call.dims("stops").unwrap_or_default());
    let axes = o.call.ints("axis").unwrap_or_else(|| (0..starts.len() as i64).collect());
    let (x, ty) = (o.x("x"), o.ty("x"));
    let starts: Vec<Dim> = starts.into_iter().map(|start| start.unwrap_or(Dim::from(0))).collect();
    let whole = |(stop, axis): (Option<Dim>, &i64)| stop.unwrap_or_else(|| ty.dims[*axis as usize].clone());
    let stops: Vec<Dim> = stops.into_iter().zip(&axes).map(whole).collect();
    let steps = o.call.ints("steps").unwrap_or_else(|| vec![1; axes.len()]);
    let (starts, stops) = (o.w.dims(&starts)?, o.w.dims(&stops)?);
    let (axes, steps) = (o.w.ints(&axes), o.w.ints(&steps));
    one(o.plain("Slice", &[x, &starts, &stops, &axes, &steps]))
}

fn concat(o: &mut Op) -> Made {
    let axis = int("axis", o.call.axis("axis") as i64);
    let parts: Vec<&str> = o.inputs.iter().map(String::as_str).collect();
    one(o.node("Concat", &parts, vec![axis]))
}

fn stack(o: &mut Op) -> Made {
    let axis = o.call.axis("axis") as i64;
    let parts: Vec<String> = o.inputs.iter().map(|part| o.unsqueezed(part, &[axis])).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    one(o.node("Concat", &parts, vec![int("axis", axis)]))
}

fn split(o: &mut Op) -> Made {
    let (x, axis) = (o.x("x"), o.call.axis("axis"));
    let sizes: Vec<Dim> = o.call.results.iter().map(|ty| ty.dims[axis].clone()).collect();
    let count = sizes.len();
    let sizes = o.w.dims(&sizes)?;
    Ok(o.w.nodes("Split", &[x, &sizes], vec![int("axis", axis as i64)], count))
}

fn unstack(o: &mut Op) -> Made {
    let (x, axis, count) = (o.x("x"), o.call.axis("axis") as i64, o.call.results.len());
    let each = |o: &mut Op, part: &str| {
        let axes = o.w.ints(&[axis]);
        o.plain("Squeeze", &[part, &axes])
    };
    let sizes = o.w.ints(&vec![1; count]);
    let parts = o.w.nodes("Split", &[x, &sizes], vec![int("axis", axis)], count);
    Ok(parts.iter().map(|part| each(o, part)).collect())
}

/// `pads` has pairs for each axis; the format has all begins, then all ends.
fn pad(o: &mut Op) -> Made {
    let (x, dtype) = (o.x("x"), o.dtype());
    let pads: Vec<Dim> = o.call.dims("pads").unwrap_or_default().into_iter().flatten().collect();
    let order = (0..pads.len()).step_by(2).chain((1..pads.len()).step_by(2));
    let pads: Vec<Dim> = order.map(|place| pads[place].clone()).collect();
    let mode = o.call.text("mode").unwrap_or("constant");
    let value = o.call.float("value").unwrap_or(0.0);
    let pads = o.w.dims(&pads)?;
    let value = if mode == "constant" { o.number(value, dtype) } else { String::new() };
    one(o.node("Pad", &[x, &pads, &value], vec![text("mode", mode)]))
}
