//! Convolutions.

use super::super::builder::Fault;
use super::super::items::Item;
use super::super::node::Node;
use super::{Rows, refuse};
use crate::ops::Attr;
use mlc_codegen::base::Dim;

pub(super) const ROWS: Rows = &[("Conv", conv), ("ConvTranspose", conv_transpose)];

/// What a window does along all spatial axes.
pub(super) struct Window {
    pub(super) kernel: Vec<i64>,
    pub(super) stride: Vec<i64>,
    pub(super) dilation: Vec<i64>,
    /// All begins, then all ends.
    pub(super) pads: Vec<i64>,
}

/// The attributes of a window over axes of `spatial` dims; padding that keeps sizes is computed.
pub(super) fn window(n: &Node, kernel: Vec<i64>, spatial: &[Dim], up: bool) -> Result<Window, Fault> {
    let axes = spatial.len();
    let list = |name: &str| n.ints(name).filter(|list| !list.is_empty()).unwrap_or_else(|| vec![1; axes]);
    let (stride, dilation) = (list("strides"), list("dilations"));
    let mut pads = n.ints("pads").filter(|list| !list.is_empty()).unwrap_or_else(|| vec![0; 2 * axes]);
    if [stride.len(), dilation.len(), kernel.len()] != [axes; 3] || pads.len() != 2 * axes {
        return refuse(format!("its strides, dilations or pads are not for {axes} axes"));
    }
    let auto = n.text("auto_pad", "NOTSET");
    if auto == "VALID" {
        pads = vec![0; 2 * axes];
    }
    if auto.starts_with("SAME") {
        for axis in 0..axes {
            let extent = match spatial[axis].as_constant() {
                Some(extent) => extent,
                None if stride[axis] == 1 => 1,
                None => return refuse("it keeps the size of an axis whose dim is symbolic"),
            };
            let reach = dilation[axis] * (kernel[axis] - 1) + 1;
            let windows = (extent + stride[axis] - 1).div_euclid(stride[axis]);
            let all = ((windows - 1) * stride[axis] + reach - extent).max(0);
            let less = all / 2;
            let before = if up == (auto == "SAME_UPPER") { less } else { all - less };
            (pads[axis], pads[axes + axis]) = (before, all - before);
        }
    }
    Ok(Window { kernel, stride, dilation, pads })
}

/// One number where all are the same.
pub(super) fn even(numbers: Vec<i64>) -> Attr {
    match numbers.first() {
        Some(first) if numbers.iter().all(|number| number == first) => Attr::Int(*first),
        _ => Attr::Ints(numbers),
    }
}

/// The spatial dims of filters, which must be numbers.
fn filters(n: &Node, i: usize) -> Result<Vec<i64>, Fault> {
    let shape = n.ty(i)?.shape().ok_or_else(|| Fault::Use("the shape of its filters is symbolic".into()))?;
    Ok(shape.get(2..).unwrap_or_default().to_vec())
}

fn conv(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, w, bias) = (n.x(0)?, n.x(1)?, n.opt(2));
    Ok(vec![convolved(n, &x, &w, bias.as_ref(), 1)?])
}

/// The convolution of a node, whose filters are its input at `at`, with operands of one's own.
pub(super) fn convolved(n: &mut Node, x: &Item, w: &Item, bias: Option<&Item>, at: usize) -> Result<Item, Fault> {
    let dims = n.build.ty(x).dims;
    let op = match dims.len() {
        3 => "conv1d",
        4 => "conv2d",
        rank => {
            return refuse(format!("mlc has convolutions over one or two axes, and this is over {}", rank as i64 - 2));
        }
    };
    let at = if n.proto.op_type == "QLinearConv" { 3 } else { at };
    let window = window(n, filters(n, at)?, &dims[2..], true)?;
    let attrs = [
        ("stride", even(window.stride)),
        ("pad", even(window.pads)),
        ("dilation", even(window.dilation)),
        ("groups", Attr::Int(n.int("group", 1))),
    ];
    Ok(n.build.ops(op, &[Some(x), Some(w), bias], &attrs)?.swap_remove(0))
}

/// One spatial axis is two, the first of them 1.
fn conv_transpose(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, w, bias) = (n.x(0)?, n.x(1)?, n.opt(2));
    let own = n.build.ty(&x).dims;
    let axes = own.len().saturating_sub(2);
    if !(1..=2).contains(&axes) {
        return refuse(format!("mlc has transposed convolutions over one or two axes, and this is over {axes}"));
    }
    let kernel = filters(n, 1)?;
    let mut window = window(n, kernel, &vec![Dim::from(1); axes], true)?;
    let mut extra = n.ints("output_padding").unwrap_or_else(|| vec![0; axes]);
    let asked = n.ints("output_shape");
    let auto = n.text("auto_pad", "NOTSET");
    if asked.is_some() || auto.starts_with("SAME") {
        for axis in 0..axes {
            let reach = window.dilation[axis] * (window.kernel[axis] - 1) + 1;
            let Some(extent) = own[axis + 2].as_constant() else {
                return refuse("its result's shape is given, and its input's is symbolic");
            };
            let wanted = asked.as_ref().map_or(extent * window.stride[axis], |shape| shape[shape.len() - axes + axis]);
            let all = window.stride[axis] * (extent - 1) + extra[axis] + reach - wanted;
            if all < 0 {
                extra[axis] -= all;
            }
            let all = all.max(0);
            let before = if auto == "SAME_UPPER" { all / 2 } else { all - all / 2 };
            (window.pads[axis], window.pads[axes + axis]) = (before, all - before);
        }
    }
    let wide = |n: &mut Node, item: &Item| {
        let mut dims = n.build.ty(item).dims;
        dims.insert(2, 1.into());
        n.build.reshape(item, dims)
    };
    let (x, w) = if axes == 1 { (wide(n, &x)?, wide(n, &w)?) } else { (x, w) };
    if axes == 1 {
        window.stride.insert(0, 1);
        window.dilation.insert(0, 1);
        window.pads = vec![0, window.pads[0], 0, window.pads[1]];
        extra.insert(0, 0);
    }
    let attrs = [
        ("stride", even(window.stride)),
        ("pad", even(window.pads)),
        ("output_pad", even(extra)),
        ("dilation", even(window.dilation)),
        ("groups", Attr::Int(n.int("group", 1))),
    ];
    let y = n.build.ops("conv_transpose2d", &[Some(&x), Some(&w), bias.as_ref()], &attrs)?.swap_remove(0);
    if axes == 2 {
        return Ok(vec![y]);
    }
    let mut dims = n.build.ty(&y).dims;
    dims.remove(2);
    Ok(vec![n.build.reshape(&y, dims)?])
}
