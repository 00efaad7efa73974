//! Quantised operators, computed on the integers that they mean.
//!
//! Products of 8-bit integers are exact, in i32. Matrices of bytes stay what they are until passes have seen them.

use super::super::builder::{Fault, dims};
use super::super::items::Item;
use super::super::node::{Node, front};
use super::conv::convolved;
use super::{Rows, refuse};
use crate::ops::Attr;
use mlc_codegen::base::{DType, Dim};

pub(super) const ROWS: Rows = &[
    ("ConvInteger", conv_integer),
    ("DequantizeLinear", dequantize),
    ("DynamicQuantizeLinear", dynamic),
    ("MatMulInteger", matmul_integer),
    ("QLinearConv", qlinear_conv),
    ("QLinearMatMul", qlinear_matmul),
    ("QuantizeLinear", quantize),
];

/// Scale or zero as it broadcasts over x: of one axis, of blocks along it, or a number.
fn spread(n: &mut Node, item: &Item, x: &Item) -> Result<Item, Fault> {
    let (own, whole) = (n.build.ty(item).dims, n.build.ty(x).dims);
    if own.iter().all(|dim| dim.as_constant() == Some(1)) {
        return n.build.reshape(item, vec![]);
    }
    let axis = front(n.int("axis", 1), whole.len() as i64)? as usize;
    let block = n.int("block_size", 0);
    if own.len() == 1 && block == 0 {
        let mut wide = vec![Dim::from(1); whole.len()];
        wide[axis] = own[0].clone();
        return n.build.reshape(item, wide);
    }
    if block == 0 || own.len() != whole.len() {
        return refuse("its scale fits neither an axis nor blocks");
    }
    let mut column = own.clone();
    column.insert(axis + 1, 1.into());
    let mut wide = own.clone();
    wide.insert(axis + 1, block.into());
    let item = n.build.reshape(item, column)?;
    let item = n.build.expand(&item, wide)?;
    let mut long = own;
    long[axis] = long[axis].clone() * block;
    let item = n.build.reshape(&item, long.clone())?;
    match long == whole {
        true => Ok(item),
        false => {
            let attrs = [
                ("starts", dims(vec![0.into()])),
                ("stops", dims(vec![whole[axis].clone()])),
                ("axis", Attr::Ints(vec![axis as i64])),
            ];
            n.op("slice", &[&item], &attrs)
        }
    }
}

/// Scale and zero as the ops `quantize` and `dequantize` take them, and their axis; `None` for those of blocks.
fn plain(
    n: &mut Node,
    x: &Item,
    scale: &Item,
    zero: Option<&Item>,
) -> Result<Option<(Item, Option<Item>, Attr)>, Fault> {
    let own = n.build.ty(scale).dims;
    let dims = match own.as_slice() {
        dims if dims.iter().all(|dim| dim.as_constant() == Some(1)) => vec![],
        [many] if n.int("block_size", 0) == 0 => vec![many.clone()],
        _ => return Ok(None),
    };
    let axis = match dims.is_empty() {
        true => Attr::None,
        false => Attr::Int(front(n.int("axis", 1), n.build.ty(x).rank() as i64)?),
    };
    let scale = n.build.reshape(scale, dims.clone())?;
    let zero = zero.map(|zero| n.build.reshape(zero, dims)).transpose()?;
    Ok(Some((scale, zero, axis)))
}

/// A matrix of bytes as a value, so that nothing is computed from it while it is imported.
fn kept(n: &mut Node, x: &Item) -> Item {
    let ty = n.build.ty(x);
    match matches!(ty.dtype, DType::I8 | DType::U8) && ty.rank() > 1 {
        true => Item::Value(n.build.value(x)),
        false => x.clone(),
    }
}

/// round(x / scale) + zero, held to the type.
fn to_integer(n: &mut Node, x: &Item, scale: &Item, zero: Option<&Item>, dtype: DType) -> Result<Item, Fault> {
    let single = |item: &Item| n.build.ty(item).rank() == 0;
    let fits = zero.is_none_or(|zero| single(zero) && n.build.ty(zero).dtype == dtype);
    if single(scale) && fits && matches!(dtype, DType::I8 | DType::U8 | DType::I16) {
        let given = [Some(x), Some(scale), zero];
        return Ok(n.build.ops("quantize", &given, &[("dtype", Attr::DType(dtype))])?.swap_remove(0));
    }
    let ratio = n.op("div", &[x, scale], &[])?;
    let mut whole = n.op("round", &[&ratio], &[])?;
    if let Some(zero) = zero {
        let zero = n.build.cast(zero, n.build.ty(x).dtype)?;
        whole = n.op("add", &[&whole, &zero], &[])?;
    }
    let (lo, hi) = dtype.integer_range().ok_or_else(|| Fault::Use(format!("it quantises to {dtype}")))?;
    let held = n.op("clip", &[&whole], &[("lo", Attr::Float(lo as f64)), ("hi", Attr::Float(hi as f64))])?;
    n.build.cast(&held, dtype)
}

fn quantize(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, scale, zero) = (n.x(0)?, n.x(1)?, n.opt(2));
    let dtype = match &zero {
        Some(zero) => n.build.ty(zero).dtype,
        None if n.int("output_dtype", 0) != 0 => n.dtype("output_dtype", 2)?,
        None => DType::U8,
    };
    let x = n.build.cast(&x, DType::F32)?;
    let scale = n.build.cast(&scale, DType::F32)?;
    if matches!(dtype, DType::I8 | DType::U8 | DType::I16)
        && let Some((scale, zero, axis)) = plain(n, &x, &scale, zero.as_ref())?
    {
        let attrs = [("dtype", Attr::DType(dtype)), ("axis", axis)];
        return n.build.ops("quantize", &[Some(&x), Some(&scale), zero.as_ref()], &attrs);
    }
    let scale = spread(n, &scale, &x)?;
    let zero = zero.map(|zero| spread(n, &zero, &x)).transpose()?;
    Ok(vec![to_integer(n, &x, &scale, zero.as_ref(), dtype)?])
}

fn dequantize(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, scale, zero) = (n.x(0)?, n.x(1)?, n.opt(2));
    let x = kept(n, &x);
    let (dtype, own) = (n.build.ty(&scale).dtype, n.build.ty(&x).dtype);
    if dtype.is_float()
        && own.is_integer()
        && let Some((scale, zero, axis)) = plain(n, &x, &scale, zero.as_ref())?
    {
        return n.build.ops("dequantize", &[Some(&x), Some(&scale), zero.as_ref()], &[("axis", axis)]);
    }
    let scale = spread(n, &scale, &x)?;
    let mut wide = n.build.cast(&x, dtype)?;
    if let Some(zero) = zero {
        let zero = spread(n, &zero, &x)?;
        let zero = n.build.cast(&zero, dtype)?;
        wide = n.op("sub", &[&wide, &zero], &[])?;
    }
    Ok(vec![n.op("mul", &[&wide, &scale], &[])?])
}

/// Scale and zero from the range of x, in which 0 lies.
fn dynamic(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let x = n.x(0)?;
    let nought = n.build.number(&x, 0.0);
    let all = [("axis", Attr::Ints((0..n.rank(0)?).collect()))];
    let (most, least) = (n.op("max", &[&x], &all)?, n.op("min", &[&x], &all)?);
    let (most, least) = (n.op("max", &[&most, &nought], &[])?, n.op("min", &[&least, &nought], &[])?);
    let span = n.op("sub", &[&most, &least], &[])?;
    let steps = n.build.number(&x, 255.0);
    let scale = n.op("div", &[&span, &steps], &[])?;
    let below = n.op("neg", &[&least], &[])?;
    let zero = to_integer(n, &below, &scale, None, DType::U8)?;
    let y = to_integer(n, &x, &scale, Some(&zero), DType::U8)?;
    Ok(vec![y, scale, zero])
}

/// x - zero in i32; a zero of one axis belongs to `axis` of x.
fn centered(n: &mut Node, x: &Item, zero: Option<&Item>, axis: usize) -> Result<Item, Fault> {
    let x = kept(n, x);
    let wide = n.build.cast(&x, DType::I32)?;
    let Some(zero) = zero else { return Ok(wide) };
    let zero = n.build.cast(zero, DType::I32)?;
    let zero = along(n, &zero, &wide, axis)?;
    n.op("sub", &[&wide, &zero], &[])
}

/// A number, or one for each position of an axis of x, as it broadcasts.
fn along(n: &mut Node, item: &Item, x: &Item, axis: usize) -> Result<Item, Fault> {
    let own = n.build.ty(item).dims;
    match own.as_slice() {
        [] => Ok(item.clone()),
        [one] if one.as_constant() == Some(1) => n.build.reshape(item, vec![]),
        [many] => {
            let mut wide = vec![Dim::from(1); n.build.ty(x).rank()];
            let Some(place) = wide.get_mut(axis) else { return refuse("its zero has more axes than its operand") };
            *place = many.clone();
            n.build.reshape(item, wide)
        }
        _ => Ok(item.clone()),
    }
}

fn last(n: &Node, item: &Item, back: usize) -> usize {
    n.build.ty(item).rank().saturating_sub(back)
}

fn matmul_integer(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (a, b, za, zb) = (n.x(0)?, n.x(1)?, n.opt(2), n.opt(3));
    let a = centered(n, &a, za.as_ref(), last(n, &a, 2))?;
    let b = centered(n, &b, zb.as_ref(), last(n, &b, 1))?;
    Ok(vec![n.op("matmul", &[&a, &b], &[])?])
}

fn conv_integer(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, w, zx, zw) = (n.x(0)?, n.x(1)?, n.opt(2), n.opt(3));
    let x = centered(n, &x, zx.as_ref(), 1)?;
    let w = centered(n, &w, zw.as_ref(), 0)?;
    Ok(vec![convolved(n, &x, &w, None, 1)?])
}

/// y * (scale of both operands / scale of the result), and then as `to_integer`.
fn requantized(n: &mut Node, y: &Item, scales: [Item; 3], zero: &Item) -> Result<Item, Fault> {
    let [a, b, out] = scales;
    let (y, dtype) = (n.build.cast(y, DType::F32)?, n.build.ty(zero).dtype);
    let product = n.op("mul", &[&a, &b], &[])?;
    let product = n.build.cast(&product, DType::F32)?;
    let out = n.build.cast(&out, DType::F32)?;
    let real = n.op("mul", &[&y, &product], &[])?;
    to_integer(n, &real, &out, Some(zero), dtype)
}

fn qlinear_matmul(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (a, sa, za) = (n.x(0)?, n.x(1)?, n.x(2)?);
    let (b, sb, zb) = (n.x(3)?, n.x(4)?, n.x(5)?);
    let (sy, zy) = (n.x(6)?, n.x(7)?);
    let (row, column) = (last(n, &a, 2), last(n, &b, 1));
    let left = centered(n, &a, Some(&za), row)?;
    let right = centered(n, &b, Some(&zb), column)?;
    let y = n.op("matmul", &[&left, &right], &[])?;
    let (sa, sb) = (along(n, &sa, &a, row)?, along(n, &sb, &b, column)?);
    let (sy, zy) = (along(n, &sy, &y, row)?, along(n, &zy, &y, row)?);
    Ok(vec![requantized(n, &y, [sa, sb, sy], &zy)?])
}

fn qlinear_conv(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, sx, zx) = (n.x(0)?, n.x(1)?, n.x(2)?);
    let (w, sw, zw) = (n.x(3)?, n.x(4)?, n.x(5)?);
    let (sy, zy, bias) = (n.x(6)?, n.x(7)?, n.opt(8));
    let x = centered(n, &x, Some(&zx), 1)?;
    let w = centered(n, &w, Some(&zw), 0)?;
    let bias = bias.map(|bias| n.build.cast(&bias, DType::I32)).transpose()?;
    let y = convolved(n, &x, &w, bias.as_ref(), 3)?;
    let (sx, sw) = (along(n, &sx, &y, 1)?, along(n, &sw, &y, 1)?);
    let (sy, zy) = (along(n, &sy, &y, 1)?, along(n, &zy, &y, 1)?);
    Ok(vec![requantized(n, &y, [sx, sw, sy], &zy)?])
}
