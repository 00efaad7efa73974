//! Recurrences: the format has the time first, a direction axis, and gates in the orders i o f c and z r h.

use super::super::node::{Op, int};
use super::{Made, Rows};
use mlc_codegen::base::DType;

pub(super) const ROWS: Rows = &[("gru", |o| recurrent(o, "GRU")), ("lstm", |o| recurrent(o, "LSTM"))];

fn recurrent(o: &mut Op, op: &str) -> Made {
    let lstm = op == "LSTM";
    let gates: &[i64] = if lstm { &[0, 3, 1, 2] } else { &[1, 0, 2] };
    let hidden = o.ty("r").dims[1].as_constant().ok_or("its weights have a symbolic shape")?;
    if o.dtype() != DType::F32 {
        return Err("the format's recurrences are of f32".into());
    }
    let x = o.x("x");
    let x = o.transposed(x, &[1, 0, 2]);
    let (w, r) = (directed(o, "w", gates, hidden), directed(o, "r", gates, hidden));
    let bias = match (o.opt("bias_ih"), o.opt("bias_hh")) {
        (None, None) => String::new(),
        _ => {
            let (own, other) = (bias(o, "bias_ih", gates, hidden), bias(o, "bias_hh", gates, hidden));
            o.node("Concat", &[&own, &other], vec![int("axis", 1)])
        }
    };
    let first = |o: &mut Op, name: &str| o.opt(name).map(|state| o.unsqueezed(state, &[0])).unwrap_or_default();
    let h0 = first(o, "h0");
    let c0 = if lstm { first(o, "c0") } else { String::new() };
    let mut attributes = vec![int("hidden_size", hidden)];
    if !lstm {
        attributes.push(int("linear_before_reset", 1));
    }
    let results = if lstm { 3 } else { 2 };
    let made = o.w.nodes(op, &[&x, &w, &r, &bias, "", &h0, &c0], attributes, results);
    let (direction, first) = (o.w.ints(&[1]), o.w.ints(&[0]));
    let y = o.plain("Squeeze", &[&made[0], &direction]);
    let mut outputs = vec![o.transposed(&y, &[1, 0, 2])];
    outputs.extend(made[1..].iter().map(|state| o.plain("Squeeze", &[state, &first])));
    Ok(outputs)
}

/// Rows of gates in the format's order.
fn ordered(o: &mut Op, x: &str, gates: &[i64], hidden: i64) -> String {
    let rows: Vec<i64> = gates.iter().flat_map(|gate| gate * hidden..(gate + 1) * hidden).collect();
    let rows = o.w.ints(&rows);
    o.node("Gather", &[x, &rows], vec![int("axis", 0)])
}

fn directed(o: &mut Op, name: &str, gates: &[i64], hidden: i64) -> String {
    let x = o.x(name);
    let ordered = ordered(o, x, gates, hidden);
    o.unsqueezed(&ordered, &[0])
}

/// A bias in the format's order, zeros where it is not given.
fn bias(o: &mut Op, name: &str, gates: &[i64], hidden: i64) -> String {
    let ordered = match o.opt(name) {
        Some(x) => ordered(o, x, gates, hidden),
        None => {
            let (zero, count) = (o.number(0.0, DType::F32), o.w.ints(&[gates.len() as i64 * hidden]));
            o.plain("Expand", &[&zero, &count])
        }
    };
    o.unsqueezed(&ordered, &[0])
}
