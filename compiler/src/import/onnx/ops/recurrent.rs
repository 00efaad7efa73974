//! LSTM, GRU and RNN: mlc's recurrences with their gates in mlc's order.
//!
//! ONNX has the time first and a direction axis; gates are i o f c and z r h there, i f c o and r z h here.

use super::super::builder::Fault;
use super::super::items::Item;
use super::super::node::Node;
use super::cells::{Cell, steps};
use super::{Rows, refuse};
use crate::ops::Attr;
use mlc_codegen::base::Dim;

pub(super) const ROWS: Rows = &[("GRU", |n| recurrent(n, "gru")), ("LSTM", |n| recurrent(n, "lstm"))];

fn recurrent(n: &mut Node, op: &str) -> Result<Vec<Item>, Fault> {
    let lstm = op == "lstm";
    let gates: &[i64] = if lstm { &[0, 2, 3, 1] } else { &[1, 0, 2] };
    require(n, lstm)?;
    let batch_first = n.int("layout", 0) != 0;
    let x = n.x(0)?;
    let x = if batch_first { x } else { n.build.transpose(&x, vec![1, 0, 2])? };
    let r = n.ty(2)?;
    let (Some(directions), Some(hidden)) =
        (r.dims.first().and_then(Dim::as_constant), r.dims.get(2).and_then(Dim::as_constant))
    else {
        return refuse("its weights have a symbolic shape");
    };
    let backward = n.text("direction", "forward") == "reverse";
    let (mut ys, mut hs, mut cs) = (vec![], vec![], vec![]);
    for direction in 0..directions {
        let turned = backward || direction == 1;
        let part = |n: &mut Node, i: usize| -> Result<Option<Item>, Fault> {
            let Some(item) = n.opt(i) else { return Ok(None) };
            let state = i == 5 || i == 6;
            let axis = if state && batch_first { 1 } else { 0 };
            let one = n.build.cut(&item, axis, direction, direction + 1)?;
            let mut dims = n.build.ty(&one).dims;
            dims.remove(axis as usize);
            n.build.reshape(&one, dims).map(Some)
        };
        let (w, r, b) = (part(n, 1)?, part(n, 2)?, part(n, 3)?);
        let (h0, c0) = (part(n, 5)?, if lstm { part(n, 6)? } else { None });
        let (Some(w), Some(r)) = (w, r) else { return refuse("its weights are missing") };
        let along = [("axis", Attr::Ints(vec![1]))];
        let x = if turned { n.op("flip", &[&x], &along)? } else { x.clone() };
        let peepholes = if lstm { part(n, 7)? } else { None };
        if peepholes.is_some() || !lstm && n.int("linear_before_reset", 0) == 0 {
            let cell = Cell { w: &w, r: &r, b: b.as_ref(), peepholes: peepholes.as_ref(), hidden };
            let mut made = steps(n, lstm, &cell, &x, (h0, c0))?.into_iter();
            let y = made.next().expect("a recurrence gives every h");
            ys.push(if turned { n.op("flip", &[&y], &along)? } else { y });
            hs.extend(made.next());
            cs.extend(made.next());
            continue;
        }
        let (w, r) = (ordered(n, &w, gates, hidden)?, ordered(n, &r, gates, hidden)?);
        let count = gates.len() as i64 * hidden;
        let (bi, bh) = match b {
            None => (None, None),
            Some(b) => {
                let (bi, bh) = (n.build.cut(&b, 0, 0, count)?, n.build.cut(&b, 0, count, 2 * count)?);
                (Some(ordered(n, &bi, gates, hidden)?), Some(ordered(n, &bh, gates, hidden)?))
            }
        };
        let mut inputs = vec![Some(&x), Some(&w), Some(&r), bi.as_ref(), bh.as_ref(), h0.as_ref()];
        if lstm {
            inputs.push(c0.as_ref());
        }
        let mut made = n.build.ops(op, &inputs, &[])?.into_iter();
        let y = made.next().expect("a recurrence gives every h");
        ys.push(if turned { n.op("flip", &[&y], &along)? } else { y });
        hs.extend(made.next());
        cs.extend(made.next());
    }
    let all: Vec<Option<&Item>> = ys.iter().map(Some).collect();
    let y = n.build.ops("stack", &all, &[("axis", Attr::Int(if batch_first { 2 } else { 1 }))])?.swap_remove(0);
    let y = if batch_first { y } else { n.build.transpose(&y, vec![2, 1, 0, 3])? };
    let mut outputs = vec![y];
    for last in [hs, cs].into_iter().filter(|last| !last.is_empty()) {
        let all: Vec<Option<&Item>> = last.iter().map(Some).collect();
        outputs.extend(n.build.ops("stack", &all, &[("axis", Attr::Int(i64::from(batch_first)))])?);
    }
    Ok(outputs)
}

/// What mlc's recurrences cannot do is refused.
fn require(n: &mut Node, lstm: bool) -> Result<(), Fault> {
    let usual: &[&str] = if lstm { &["Sigmoid", "Tanh", "Tanh"] } else { &["Sigmoid", "Tanh"] };
    let same = |(given, usual): (&String, &&str)| given.eq_ignore_ascii_case(usual);
    let asked = n.texts("activations").unwrap_or_default();
    if !asked.iter().zip(usual.iter().cycle()).all(same) {
        return refuse(format!("mlc's gates are {}, not {}", usual.join(", "), asked.join(", ")));
    }
    if n.has("clip") || n.int("input_forget", 0) != 0 {
        return refuse("mlc's recurrences have no clip and do not couple gates");
    }
    let time = if n.int("layout", 0) != 0 { 1 } else { 0 };
    let steps = n.ty(0)?.dims.get(time).cloned();
    let lengths = n.known_ints(4)?.unwrap_or_default();
    if !lengths.iter().all(|length| Some(Dim::from(*length)) == steps) {
        return refuse("mlc's recurrences have sequences of one length");
    }
    Ok(())
}

/// Rows of gates in another order.
fn ordered(n: &mut Node, w: &Item, gates: &[i64], hidden: i64) -> Result<Item, Fault> {
    let parts: Vec<Item> =
        gates.iter().map(|gate| n.build.cut(w, 0, gate * hidden, (gate + 1) * hidden)).collect::<Result<_, _>>()?;
    n.build.concat(&parts, 0)
}
