//! Operators that take parts of tensors, and add parts around them.

use super::super::builder::{Fault, dims};
use super::super::items::Item;
use super::super::node::{Node, front};
use super::{Rows, refuse};
use crate::ops::Attr;
use mlc_codegen::base::Dim;

pub(super) const ROWS: Rows = &[("CenterCropPad", center), ("Pad", pad), ("Slice", slice), ("Split", split)];

/// Along one axis: where it begins, where it ends, how far between.
struct Cut {
    axis: i64,
    start: Dim,
    stop: Dim,
    step: i64,
}

fn slice(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (mut x, own) = (n.x(0)?, n.ty(0)?.dims);
    let rank = own.len() as i64;
    let (starts, stops, axes, steps) = match n.version < 10 {
        true => {
            let list = |name: &str| n.ints(name).map(|list| list.into_iter().map(Dim::from).collect::<Vec<_>>());
            (list("starts"), list("ends"), n.ints("axes"), None)
        }
        false => (n.known_dims(1)?, n.known_dims(2)?, n.known_ints(3)?, n.known_ints(4)?),
    };
    let (starts, stops) = (starts.unwrap_or_default(), stops.unwrap_or_default());
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if [stops.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return refuse("its lists differ in length");
    }
    let mut cuts = vec![];
    for (i, axis) in axes.into_iter().enumerate() {
        let axis = front(axis, rank)?;
        let dim = own.get(axis as usize).cloned().unwrap_or_default();
        cuts.push(cut(n, &mut x, axis, &dim, (&starts[i], &stops[i], steps[i]))?);
    }
    let full = |cut: &Cut| cut.step == 1 && cut.start.as_constant() == Some(0) && cut.stop == own[cut.axis as usize];
    cuts.retain(|cut| !full(cut));
    if cuts.is_empty() {
        return Ok(vec![x]);
    }
    let mut attrs = vec![
        ("starts", dims(cuts.iter().map(|cut| cut.start.clone()).collect())),
        ("stops", dims(cuts.iter().map(|cut| cut.stop.clone()).collect())),
        ("axis", Attr::Ints(cuts.iter().map(|cut| cut.axis).collect())),
    ];
    if cuts.iter().any(|cut| cut.step != 1) {
        attrs.push(("steps", Attr::Ints(cuts.iter().map(|cut| cut.step).collect())));
    }
    Ok(vec![n.op("slice", &[&x], &attrs)?])
}

/// Bounds are held to the axis; a negative step goes along the axis turned round.
fn cut(n: &mut Node, x: &mut Item, axis: i64, dim: &Dim, at: (&Dim, &Dim, i64)) -> Result<Cut, Fault> {
    let (start, stop, step) = at;
    if step == 0 {
        return refuse("a step of 0");
    }
    if step > 0 {
        let start = bound(n, start, dim);
        let stop = bound(n, stop, dim);
        let stop = n.build.graph.slots.max(&start, &stop);
        return Ok(Cut { axis, start, stop, step });
    }
    let turned = |n: &mut Node, at: &Dim| match at.as_constant() {
        Some(at) if at >= 0 => {
            let last = dim.clone() - 1;
            let held = n.build.graph.slots.min(&Dim::from(at), &last);
            last - held
        }
        Some(at) => n.build.graph.slots.min(&Dim::from(-1 - at.max(-(1 << 40))), dim),
        None => dim.clone() - 1 - at,
    };
    *x = n.op("flip", &[x], &[("axis", Attr::Ints(vec![axis]))])?;
    let (start, stop) = (turned(n, start), turned(n, stop));
    let stop = n.build.graph.slots.max(&start, &stop);
    Ok(Cut { axis, start, stop, step: -step })
}

fn bound(n: &mut Node, at: &Dim, dim: &Dim) -> Dim {
    let slots = &mut n.build.graph.slots;
    match at.as_constant() {
        Some(at) if at >= 1 << 31 => dim.clone(),
        Some(at) if at < 0 => {
            let counted = dim.clone() + at.max(-(1 << 40));
            slots.max(&Dim::from(0), &counted)
        }
        _ => slots.min(at, dim),
    }
}

fn split(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, own) = (n.x(0)?, n.ty(0)?.dims);
    let axis = n.axis(0, own.len() as i64)?;
    let listed = || n.ints("split").map(|sizes| sizes.into_iter().map(Dim::from).collect());
    let given = if n.version < 13 { listed() } else { n.known_dims(1)? };
    let count = n.int("num_outputs", n.proto.output.len() as i64).max(1);
    let dim = own.get(axis as usize).cloned().unwrap_or_default();
    let sizes = match (given, dim.as_constant()) {
        (Some(sizes), _) => sizes,
        (None, Some(dim)) => {
            let each = dim.div_euclid(count) + i64::from(dim.rem_euclid(count) != 0);
            let mut sizes = vec![each; count as usize];
            sizes[count as usize - 1] = dim - each * (count - 1);
            sizes.into_iter().map(Dim::from).collect()
        }
        (None, None) => {
            let attrs = [("parts", Attr::Int(count)), ("axis", Attr::Int(axis))];
            return n.build.ops("split", &[Some(&x)], &attrs);
        }
    };
    if sizes.len() == 1 {
        return Ok(vec![x]);
    }
    let attrs = [("sizes", dims(sizes)), ("axis", Attr::Int(axis))];
    n.build.ops("split", &[Some(&x)], &attrs)
}

fn pad(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, own) = (n.x(0)?, n.ty(0)?.dims);
    let rank = own.len();
    let (pads, value) = match n.version < 11 {
        true => (n.ints("pads"), n.float("value", 0.0)),
        false => (n.known_ints(1)?, n.known_floats(2)?.and_then(|v| v.first().copied()).unwrap_or(0.0)),
    };
    let pads = pads.unwrap_or_default();
    let axes: Vec<i64> = match n.known_ints(3)? {
        Some(axes) => axes.into_iter().map(|axis| front(axis, rank as i64)).collect::<Result<_, _>>()?,
        None => (0..rank as i64).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return refuse(format!("it has {} pads for {} axes", pads.len(), axes.len()));
    }
    let mut both = vec![(0, 0); rank];
    for (i, axis) in axes.iter().enumerate() {
        both[*axis as usize] = (pads[i], pads[axes.len() + i]);
    }
    let mode = n.text("mode", "constant");
    Ok(vec![padded(n, &x, &both, &mode, value)?])
}

/// Negative pads cut; "wrap" continues with the other end.
pub(super) fn padded(n: &mut Node, x: &Item, pads: &[(i64, i64)], mode: &str, value: f64) -> Result<Item, Fault> {
    let mut x = x.clone();
    for (axis, (before, after)) in pads.iter().enumerate().filter(|(_, (before, after))| *before < 0 || *after < 0) {
        let dim = n.build.ty(&x).dims[axis].clone();
        let attrs = [
            ("starts", dims(vec![(-before).max(0).into()])),
            ("stops", dims(vec![dim + (*after).min(0)])),
            ("axis", Attr::Ints(vec![axis as i64])),
        ];
        x = n.op("slice", &[&x], &attrs)?;
    }
    if pads.iter().all(|(before, after)| *before <= 0 && *after <= 0) {
        return Ok(x);
    }
    if mode == "wrap" {
        for (axis, (before, after)) in pads.iter().enumerate() {
            let Some(extent) = n.build.ty(&x).dims[axis].as_constant() else {
                return refuse("it wraps an axis whose dim is symbolic");
            };
            let axis = axis as i64;
            let (before, after) = ((*before).max(0), (*after).max(0));
            if before.max(after) > extent {
                return refuse("it wraps round more than once");
            }
            let mut parts = vec![];
            if before > 0 {
                parts.push(n.build.cut(&x, axis, extent - before, extent)?);
            }
            parts.push(x.clone());
            if after > 0 {
                parts.push(n.build.cut(&x, axis, 0, after)?);
            }
            x = n.build.concat(&parts, axis)?;
        }
        return Ok(x);
    }
    let list = pads.iter().flat_map(|(before, after)| [(*before).max(0), (*after).max(0)]).map(Dim::from).collect();
    let attrs = [("pads", dims(list)), ("mode", Attr::Text(mode.into())), ("value", Attr::Float(value))];
    n.op("pad", &[&x], &attrs)
}

/// Cut, or filled with zeros, to a shape around the middle.
fn center(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, own) = (n.x(0)?, n.ty(0)?.dims);
    let shape = n.known_ints(1)?.unwrap_or_default();
    let axes = n.ints("axes").unwrap_or_else(|| (0..own.len() as i64).collect());
    let mut pads = vec![(0, 0); own.len()];
    for (axis, wanted) in axes.into_iter().zip(shape) {
        let axis = front(axis, own.len() as i64)? as usize;
        let Some(extent) = own[axis].as_constant() else { return refuse("it cuts an axis whose dim is symbolic") };
        let more = wanted - extent;
        let before = if more < 0 { -((-more) / 2) } else { more / 2 };
        pads[axis] = (before, more - before);
    }
    Ok(vec![padded(n, &x, &pads, "constant", 0.0)?])
}
