//! Recurrences that mlc's ops do not have, step by step: an LSTM with peepholes, a GRU that resets before its product.

use super::super::builder::{Fault, dims};
use super::super::items::Item;
use super::super::node::Node;
use super::refuse;
use crate::ops::Attr;
use mlc_codegen::base::Dim;

/// No more steps than this are written out.
const MOST_STEPS: i64 = 256;

/// The weights of one direction, gates in ONNX's order: i o f c, or z r h.
pub(super) struct Cell<'a> {
    /// `[gates * hidden, inputs]`.
    pub(super) w: &'a Item,
    /// `[gates * hidden, hidden]`.
    pub(super) r: &'a Item,
    /// `[2 * gates * hidden]`.
    pub(super) b: Option<&'a Item>,
    /// `[3 * hidden]`, for i o f.
    pub(super) peepholes: Option<&'a Item>,
    /// How wide the state is.
    pub(super) hidden: i64,
}

/// All h of `x`, `[batch, time, inputs]`, the last h and, of an LSTM, the last c.
pub(super) fn steps(
    n: &mut Node,
    lstm: bool,
    cell: &Cell,
    x: &Item,
    first: (Option<Item>, Option<Item>),
) -> Result<Vec<Item>, Fault> {
    let (ty, gates) = (n.build.ty(x), if lstm { 4 } else { 3 });
    let time = ty.dims[1].as_constant().filter(|time| (1..=MOST_STEPS).contains(time));
    let Some(time) = time else {
        return refuse(format!(
            "it is written out by steps, and has none, more than {MOST_STEPS} or a symbolic number"
        ));
    };
    let mut projected = einsum(n, "b t i, o i -> b t o", x, cell.w)?;
    if let Some(b) = cell.b {
        let count = gates * cell.hidden;
        let (own, recurrent) = (n.build.cut(b, 0, 0, count)?, n.build.cut(b, 0, count, 2 * count)?);
        let bias = n.op("add", &[&own, &recurrent], &[])?;
        projected = n.op("add", &[&projected, &bias], &[])?;
    }
    let state = vec![ty.dims[0].clone(), Dim::from(cell.hidden)];
    let full = [("shape", dims(state)), ("value", Attr::Float(0.0)), ("dtype", Attr::DType(ty.dtype))];
    let zero = n.op("full", &[], &full)?;
    let (mut h, mut c) = (first.0.unwrap_or_else(|| zero.clone()), first.1.unwrap_or(zero));
    let mut all = vec![];
    for at in 0..time {
        let row = n.build.cut(&projected, 1, at, at + 1)?;
        let row = n.build.reshape(&row, vec![ty.dims[0].clone(), Dim::from(gates * cell.hidden)])?;
        match lstm {
            true => (h, c) = long(n, cell, &row, &h, &c)?,
            false => h = gated(n, cell, &row, &h)?,
        }
        all.push(h.clone());
    }
    let given: Vec<Option<&Item>> = all.iter().map(Some).collect();
    let mut made = n.build.ops("stack", &given, &[("axis", Attr::Int(1))])?;
    made.push(h);
    made.extend(lstm.then_some(c));
    Ok(made)
}

fn einsum(n: &mut Node, pattern: &str, a: &Item, b: &Item) -> Result<Item, Fault> {
    n.op("einsum", &[a, b], &[("pattern", Attr::Text(pattern.into()))])
}

/// The part of a row that is one gate's.
fn gate(n: &mut Node, row: &Item, which: i64, hidden: i64) -> Result<Item, Fault> {
    n.build.cut(row, 1, which * hidden, (which + 1) * hidden)
}

/// One step of an LSTM: the new h and c.
fn long(n: &mut Node, cell: &Cell, row: &Item, h: &Item, c: &Item) -> Result<(Item, Item), Fault> {
    let recurrent = einsum(n, "b i, o i -> b o", h, cell.r)?;
    let sum = n.op("add", &[row, &recurrent], &[])?;
    let seen = |n: &mut Node, which: i64, c: &Item| -> Result<Item, Fault> {
        let own = gate(n, &sum, which, cell.hidden)?;
        let own = match cell.peepholes {
            Some(weights) => {
                let weight = n.build.cut(weights, 0, which * cell.hidden, (which + 1) * cell.hidden)?;
                let through = n.op("mul", &[c, &weight], &[])?;
                n.op("add", &[&own, &through], &[])?
            }
            None => own,
        };
        n.op("sigmoid", &[&own], &[])
    };
    let (input, forget) = (seen(n, 0, c)?, seen(n, 2, c)?);
    let fresh = gate(n, &sum, 3, cell.hidden)?;
    let fresh = n.op("tanh", &[&fresh], &[])?;
    let (kept, added) = (n.op("mul", &[&forget, c], &[])?, n.op("mul", &[&input, &fresh], &[])?);
    let c = n.op("add", &[&kept, &added], &[])?;
    let (output, shown) = (seen(n, 1, &c)?, n.op("tanh", &[&c], &[])?);
    Ok((n.op("mul", &[&output, &shown], &[])?, c))
}

/// One step of a GRU that resets before its product.
fn gated(n: &mut Node, cell: &Cell, row: &Item, h: &Item) -> Result<Item, Fault> {
    let hidden = cell.hidden;
    let (outer, inner) = (n.build.cut(cell.r, 0, 0, 2 * hidden)?, n.build.cut(cell.r, 0, 2 * hidden, 3 * hidden)?);
    let recurrent = einsum(n, "b i, o i -> b o", h, &outer)?;
    let open = |n: &mut Node, which: i64| -> Result<Item, Fault> {
        let (own, other) = (gate(n, row, which, hidden)?, gate(n, &recurrent, which, hidden)?);
        let sum = n.op("add", &[&own, &other], &[])?;
        n.op("sigmoid", &[&sum], &[])
    };
    let (update, reset) = (open(n, 0)?, open(n, 1)?);
    let kept = n.op("mul", &[&reset, h], &[])?;
    let (own, other) = (gate(n, row, 2, hidden)?, einsum(n, "b i, o i -> b o", &kept, &inner)?);
    let sum = n.op("add", &[&own, &other], &[])?;
    let fresh = n.op("tanh", &[&sum], &[])?;
    let difference = n.op("sub", &[h, &fresh], &[])?;
    let moved = n.op("mul", &[&update, &difference], &[])?;
    n.op("add", &[&fresh, &moved], &[])
}
