//! Pooling.
//!
//! What mlc's pools lack (three axes, dilation, other types) is made of shifted slices, one for each position of the
//! window.

use super::super::builder::{Fault, dims};
use super::super::items::Item;
use super::super::node::Node;
use super::conv::{Window, even, window};
use super::slices::padded;
use super::{Rows, refuse};
use crate::ops::Attr;
use mlc_codegen::base::{DType, Dim};

pub(super) const ROWS: Rows = &[
    ("AveragePool", average_pool),
    ("GlobalAveragePool", |n| global(n, "mean")),
    ("GlobalMaxPool", |n| global(n, "max")),
    ("LpPool", lp_pool),
    ("MaxPool", max_pool),
];

/// Windows of more positions than this are not made of slices.
const MOST_SLICES: i64 = 128;

fn global(n: &mut Node, op: &str) -> Result<Vec<Item>, Fault> {
    let (x, rank) = (n.x(0)?, n.rank(0)?);
    Ok(vec![n.op(op, &[&x], &[("axis", Attr::Ints((2..rank).collect())), ("keep", Attr::Bool(true))])?])
}

fn pool_window(n: &Node) -> Result<Window, Fault> {
    let dims = n.ty(0)?.dims;
    let kernel = n.ints("kernel_shape").ok_or_else(|| Fault::Use("it has no kernel".into()))?;
    window(n, kernel, dims.get(2..).unwrap_or_default(), true)
}

fn plain(n: &Node, window: &Window) -> Result<bool, Fault> {
    let ty = n.ty(0)?;
    Ok(ty.dtype.is_float() && (3..=4).contains(&ty.rank()) && window.dilation.iter().all(|d| *d == 1))
}

fn max_pool(n: &mut Node) -> Result<Vec<Item>, Fault> {
    if n.proto.output.get(1).is_some_and(|name| !name.is_empty()) {
        return refuse("mlc does not say where the greatest elements were");
    }
    let (x, window, up) = (n.x(0)?, pool_window(n)?, n.int("ceil_mode", 0) != 0);
    if plain(n, &window)? {
        let op = if window.kernel.len() == 1 { "max_pool1d" } else { "max_pool2d" };
        return Ok(vec![n.op(op, &[&x], &attrs(&window, up))?]);
    }
    let lowest = match n.build.ty(&x).dtype {
        dtype if dtype.is_float() => f64::NEG_INFINITY,
        dtype => dtype.integer_range().map_or(0.0, |(lo, _)| lo as f64),
    };
    Ok(vec![slid(n, &x, &window, up, lowest, "max")?])
}

fn attrs(window: &Window, up: bool) -> Vec<(&'static str, Attr)> {
    vec![
        ("kernel", even(window.kernel.clone())),
        ("stride", even(window.stride.clone())),
        ("pad", even(window.pads.clone())),
        ("ceil_mode", Attr::Bool(up)),
    ]
}

fn average_pool(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, window, up) = (n.x(0)?, pool_window(n)?, n.int("ceil_mode", 0) != 0);
    let count = n.int("count_include_pad", 0) != 0;
    if plain(n, &window)? {
        let op = if window.kernel.len() == 1 { "avg_pool1d" } else { "avg_pool2d" };
        let mut attrs = attrs(&window, up);
        attrs.push(("count_include_pad", Attr::Bool(count)));
        return Ok(vec![n.op(op, &[&x], &attrs)?]);
    }
    let ty = n.build.ty(&x);
    let sum = slid(n, &x, &window, up, 0.0, "add")?;
    let mut one_dims = ty.dims.clone();
    one_dims[..2].fill(Dim::from(1));
    let full = [("shape", dims(one_dims)), ("value", Attr::Float(1.0)), ("dtype", Attr::DType(ty.dtype))];
    let ones = n.op("full", &[], &full)?;
    let counted = match count {
        true => {
            let axes = window.kernel.len();
            let mut pads = vec![(0, 0); 2];
            pads.extend((0..axes).map(|axis| (window.pads[axis], window.pads[axes + axis])));
            let ones = padded(n, &ones, &pads, "constant", 1.0)?;
            let bare = Window {
                kernel: window.kernel.clone(),
                stride: window.stride.clone(),
                dilation: window.dilation.clone(),
                pads: vec![0; 2 * axes],
            };
            slid(n, &ones, &bare, up, 0.0, "add")?
        }
        false => slid(n, &ones, &window, up, 0.0, "add")?,
    };
    Ok(vec![n.op("div", &[&sum, &counted], &[])?])
}

/// (Σ |x|^p)^(1/p) of each window.
fn lp_pool(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, window, up) = (n.x(0)?, pool_window(n)?, n.int("ceil_mode", 0) != 0);
    let p = n.int("p", 2) as f64;
    let (power, root) = (n.build.number(&x, p), n.build.number(&x, 1.0 / p));
    let size = n.op("abs", &[&x], &[])?;
    let raised = n.op("pow", &[&size, &power], &[])?;
    let sum = slid(n, &raised, &window, up, 0.0, "add")?;
    Ok(vec![n.op("pow", &[&sum, &root], &[])?])
}

/// Slices of the padded tensor, one for each position of the window, joined by `op`.
pub(super) fn slid(n: &mut Node, x: &Item, window: &Window, up: bool, fill: f64, op: &str) -> Result<Item, Fault> {
    let axes = window.kernel.len();
    let count = window.kernel.iter().try_fold(1i64, |count, k| count.checked_mul(*k)).unwrap_or(i64::MAX);
    let shape = n.build.ty(x).shape();
    let Some(shape) = shape.filter(|_| count <= MOST_SLICES) else {
        return refuse(format!("its window has more than {MOST_SLICES} positions, or its shape is symbolic"));
    };
    let (mut pads, mut windows) = (vec![(0, 0); 2], vec![]);
    for axis in 0..axes {
        let (before, after) = (window.pads[axis], window.pads[axes + axis]);
        let (extent, stride) = (shape[axis + 2], window.stride[axis]);
        let reach = window.dilation[axis] * (window.kernel[axis] - 1) + 1;
        let room = extent + before + after - reach;
        let mut number = room.div_euclid(stride) + 1;
        if up && room.rem_euclid(stride) != 0 && number * stride < extent + before {
            number += 1;
        }
        let more = ((number - 1) * stride + reach - extent - before).max(after);
        pads.push((before, more));
        windows.push(number);
    }
    let wide = padded(n, x, &pads, "constant", fill)?;
    let mut joined: Option<Item> = None;
    for position in 0..count {
        let (mut rest, mut starts, mut stops) = (position, vec![], vec![]);
        for axis in (0..axes).rev() {
            let start = rest % window.kernel[axis] * window.dilation[axis];
            rest /= window.kernel[axis];
            starts.insert(0, Dim::from(start));
            stops.insert(0, Dim::from(start + (windows[axis] - 1) * window.stride[axis] + 1));
        }
        let attrs = [
            ("starts", dims(starts)),
            ("stops", dims(stops)),
            ("steps", Attr::Ints(window.stride.clone())),
            ("axis", Attr::Ints((2..axes as i64 + 2).collect())),
        ];
        let part = n.op("slice", &[&wide], &attrs)?;
        joined = Some(match joined {
            Some(joined) => n.op(op, &[&joined, &part], &[])?,
            None => part,
        });
    }
    joined.ok_or_else(|| Fault::Use("its window is empty".into()))
}

/// A window over channels is one over any axis; used by normalisation across channels.
pub(super) fn sum_of_channels(n: &mut Node, x: &Item, size: i64) -> Result<Item, Fault> {
    let (before, after) = ((size - 1) / 2, size / 2);
    let rank = n.build.ty(x).rank();
    let Some(channels) = n.build.ty(x).dims[1].as_constant() else {
        return refuse("it has a symbolic number of channels");
    };
    let mut pads = vec![(0, 0); rank];
    pads[1] = (before, after);
    let wide = padded(n, x, &pads, "constant", 0.0)?;
    let mut sum = n.build.cut(&wide, 1, 0, channels)?;
    for start in 1..size {
        let part = n.build.cut(&wide, 1, start, start + channels)?;
        sum = n.op("add", &[&sum, &part], &[])?;
    }
    debug_assert!(n.build.ty(&sum).dtype != DType::Bool);
    Ok(sum)
}
