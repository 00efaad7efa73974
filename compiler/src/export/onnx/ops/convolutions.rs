//! Windows: convolutions and pools.

use super::super::node::{Op, int, ints, text};
use super::contractions::is_byte;
use super::{Made, Rows, one};
use crate::formats::onnx::AttributeProto;
use crate::ops::Padding;
use mlc_codegen::base::{DType, Dim};

pub(super) const ROWS: Rows = &[
    ("avg_pool1d", |o| avg_pool(o, 1)),
    ("avg_pool2d", |o| avg_pool(o, 2)),
    ("conv1d", |o| conv(o, 1)),
    ("conv2d", |o| conv(o, 2)),
    ("conv_transpose2d", conv_transpose),
    ("global_avg_pool", |o| global(o, "GlobalAveragePool")),
    ("global_max_pool", |o| global(o, "GlobalMaxPool")),
    ("max_pool1d", |o| max_pool(o, 1)),
    ("max_pool2d", |o| max_pool(o, 2)),
];

/// One number for each spatial axis.
fn each(o: &Op, name: &str, axes: usize) -> Option<Vec<i64>> {
    let values = o.call.ints(name)?;
    Some(if values.len() == 1 { vec![values[0]; axes] } else { values })
}

/// Where windows lie; the format reads their shape off the filters where it is not given.
fn windows(o: &Op, axes: usize, kernel: Option<&[i64]>) -> Vec<AttributeProto> {
    let stride = each(o, "stride", axes).or(kernel.map(<[i64]>::to_vec));
    let mut attributes: Vec<AttributeProto> = kernel.map(|kernel| ints("kernel_shape", kernel)).into_iter().collect();
    attributes.extend(stride.map(|stride| ints("strides", &stride)));
    let pads = crate::ops::paddings(&o.call, axes).expect("infer read the padding");
    let fixed = pads.iter().map(|pad| match pad {
        Padding::Fixed(before, after) => Some((*before, *after)),
        Padding::Same => None,
    });
    match fixed.collect::<Option<Vec<(i64, i64)>>>() {
        Some(pads) => {
            let (before, after): (Vec<i64>, Vec<i64>) = pads.into_iter().unzip();
            attributes.push(ints("pads", &[before, after].concat()));
        }
        None => attributes.push(text("auto_pad", "SAME_UPPER")),
    }
    attributes
}

fn kernel_of(o: &Op) -> Option<Vec<i64>> {
    o.ty("w").dims[2..].iter().map(Dim::as_constant).collect()
}

fn conv(o: &mut Op, axes: usize) -> Made {
    let (x, w, bias, result) = (o.x("x"), o.x("w"), o.opt("bias"), o.dtype());
    let mut attributes = windows(o, axes, kernel_of(o).as_deref());
    attributes.push(ints("dilations", &each(o, "dilation", axes).expect("it has a default")));
    attributes.push(int("group", o.call.int("groups").unwrap_or(1)));
    let (left, right) = (o.ty("x").dtype, o.ty("w").dtype);
    if is_byte(left) && is_byte(right) {
        let product = o.node("ConvInteger", &[x, w], attributes);
        let Some(bias) = bias else { return one(product) };
        let bias = o.along_channels(bias, axes + 2);
        return one(o.plain("Add", &[&product, &bias]));
    }
    if !result.is_float() {
        return Err("the format convolves integers of 8 bits only".into());
    }
    let w = o.cast(w, right, left);
    let bias = bias.map(|bias| o.cast(bias, o.ty("bias").dtype, left)).unwrap_or_default();
    let product = o.node("Conv", &[x, &w, &bias], attributes);
    one(o.cast(&product, left, result))
}

fn conv_transpose(o: &mut Op) -> Made {
    let (x, w, bias) = (o.x("x"), o.x("w"), o.opt("bias").unwrap_or(""));
    let mut attributes = windows(o, 2, kernel_of(o).as_deref());
    attributes.push(ints("output_padding", &each(o, "output_pad", 2).expect("it has a default")));
    attributes.push(ints("dilations", &each(o, "dilation", 2).expect("it has a default")));
    attributes.push(int("group", o.call.int("groups").unwrap_or(1)));
    one(o.node("ConvTranspose", &[x, w, bias], attributes))
}

fn pool(o: &Op, axes: usize) -> Vec<AttributeProto> {
    let kernel = each(o, "kernel", axes).expect("the signature requires the kernel");
    let mut attributes = windows(o, axes, Some(&kernel));
    attributes.push(int("ceil_mode", i64::from(o.call.bool("ceil_mode"))));
    attributes
}

fn max_pool(o: &mut Op, axes: usize) -> Made {
    let x = o.x("x");
    one(o.node("MaxPool", &[x], pool(o, axes)))
}

fn avg_pool(o: &mut Op, axes: usize) -> Made {
    let x = o.x("x");
    let mut attributes = pool(o, axes);
    attributes.push(int("count_include_pad", i64::from(o.call.bool("count_include_pad"))));
    one(o.node("AveragePool", &[x], attributes))
}

fn global(o: &mut Op, op: &str) -> Made {
    let (x, rank, dtype) = (o.x("x"), o.ty("x").rank() as i64, o.ty("x").dtype);
    if rank < 3 {
        return one(x.to_owned());
    }
    if !dtype.is_float() || dtype == DType::BF16 {
        let axes: Vec<i64> = (2..rank).collect();
        let op = if op == "GlobalMaxPool" { "ReduceMax" } else { "ReduceMean" };
        return one(super::reductions::folded(o, op, x, Some(&axes), false));
    }
    let pooled = o.plain(op, &[x]);
    one(o.node("Flatten", &[&pooled], vec![int("axis", 1)]))
}
