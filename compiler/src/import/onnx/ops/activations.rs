//! Activations.

use super::super::builder::Fault;
use super::super::items::Item;
use super::super::node::Node;
use super::Rows;
use crate::ops::Attr;
use mlc_codegen::base::DType;

pub(super) const ROWS: Rows = &[
    ("Celu", celu),
    ("Clip", clip),
    ("Elu", |n| with_alpha(n, "elu", 1.0)),
    ("Gelu", gelu),
    ("HardSigmoid", hard_sigmoid),
    ("HardSwish", |n| plain(n, "hard_swish")),
    ("Hardmax", hardmax),
    ("LeakyRelu", |n| with_alpha(n, "leaky_relu", 0.01)),
    ("LogSoftmax", |n| softmax(n, "log_softmax")),
    ("Mish", mish),
    ("PRelu", prelu),
    ("Relu", relu),
    ("Selu", selu),
    ("Shrink", shrink),
    ("Sigmoid", |n| plain(n, "sigmoid")),
    ("Softmax", |n| softmax(n, "softmax")),
    ("Softplus", |n| plain(n, "softplus")),
    ("Softsign", softsign),
    ("Swish", swish),
    ("Tanh", |n| plain(n, "tanh")),
    ("ThresholdedRelu", thresholded_relu),
];

fn plain(n: &mut Node, op: &str) -> Result<Vec<Item>, Fault> {
    let x = n.x(0)?;
    Ok(vec![n.op(op, &[&x], &[])?])
}

fn with_alpha(n: &mut Node, op: &str, default: f32) -> Result<Vec<Item>, Fault> {
    let (x, alpha) = (n.x(0)?, n.float("alpha", default));
    Ok(vec![n.op(op, &[&x], &[("alpha", Attr::Float(alpha))])?])
}

fn relu(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let x = n.x(0)?;
    if n.build.ty(&x).dtype.is_float() {
        return plain(n, "relu");
    }
    let zero = n.build.number(&x, 0.0);
    Ok(vec![n.op("max", &[&x, &zero], &[])?])
}

fn gelu(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, approx) = (n.x(0)?, n.text("approximate", "none"));
    Ok(vec![n.op("gelu", &[&x], &[("approx", Attr::Text(approx))])?])
}

fn prelu(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, slope) = (n.x(0)?, n.x(1)?);
    if n.build.ty(&x).dtype.is_float() {
        return Ok(vec![n.op("prelu", &[&x, &slope], &[])?]);
    }
    let zero = n.build.number(&x, 0.0);
    let below = n.op("lt", &[&x, &zero], &[])?;
    let scaled = n.op("mul", &[&x, &slope], &[])?;
    Ok(vec![n.op("where", &[&below, &scaled, &x], &[])?])
}

/// Bounds are attributes before version 11, inputs since; where they are known they are arguments.
fn clip(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let x = n.x(0)?;
    let float = n.build.ty(&x).dtype.is_float();
    if n.version < 11 {
        let bound = |n: &Node, name: &str| if n.has(name) { Attr::Float(n.float(name, 0.0)) } else { Attr::None };
        let bounds = [("lo", bound(n, "min")), ("hi", bound(n, "max"))];
        return Ok(vec![n.op("clip", &[&x], &bounds)?]);
    }
    let (lo, hi) = (n.opt(1), n.opt(2));
    let known = |bound: &Option<Item>| match bound {
        None => Some(Attr::None),
        Some(bound) => bound.tensor().map(|bound| Attr::Float(bound.get_f64(0))),
    };
    if let (true, Some(lo), Some(hi)) = (float, known(&lo), known(&hi)) {
        return Ok(vec![n.op("clip", &[&x], &[("lo", lo), ("hi", hi)])?]);
    }
    let mut held = x;
    for (op, bound) in [("max", lo), ("min", hi)] {
        if let Some(bound) = bound {
            held = n.op(op, &[&held, &bound], &[])?;
        }
    }
    Ok(vec![held])
}

fn hard_sigmoid(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, alpha, beta) = (n.x(0)?, n.float("alpha", 0.2), n.float("beta", 0.5));
    if (alpha - 1.0 / 6.0).abs() < 1e-6 && beta == 0.5 {
        return plain(n, "hard_sigmoid");
    }
    let (alpha, beta) = (n.build.number(&x, alpha), n.build.number(&x, beta));
    let scaled = n.op("mul", &[&x, &alpha], &[])?;
    let moved = n.op("add", &[&scaled, &beta], &[])?;
    Ok(vec![n.op("clip", &[&moved], &[("lo", Attr::Float(0.0)), ("hi", Attr::Float(1.0))])?])
}

/// Before version 13 all axes from `axis` on are one.
fn softmax(n: &mut Node, op: &str) -> Result<Vec<Item>, Fault> {
    let (x, rank) = (n.x(0)?, n.rank(0)?);
    if n.version >= 13 {
        let axis = n.axis(-1, rank)?;
        return Ok(vec![n.op(op, &[&x], &[("axis", Attr::Int(axis))])?]);
    }
    let axis = n.axis(1, rank)?;
    let dims = n.build.ty(&x).dims;
    if axis == rank - 1 {
        return Ok(vec![n.op(op, &[&x], &[("axis", Attr::Int(axis))])?]);
    }
    let mut flat = dims[..axis as usize].to_vec();
    flat.push(dims[axis as usize..].iter().cloned().product());
    let wide = n.build.reshape(&x, flat)?;
    let made = n.op(op, &[&wide], &[("axis", Attr::Int(axis))])?;
    Ok(vec![n.build.reshape(&made, dims)?])
}

/// 1 at the first greatest element along the axis.
fn hardmax(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, rank) = (n.x(0)?, n.rank(0)?);
    let ty = n.build.ty(&x);
    let axis = n.axis(if n.version < 13 { 1 } else { -1 }, rank)?;
    let (x, shape) = match n.version < 13 {
        true => {
            let mut flat = ty.dims[..axis as usize].to_vec();
            flat.push(ty.dims[axis as usize..].iter().cloned().product());
            (n.build.reshape(&x, flat.clone())?, flat)
        }
        false => (x, ty.dims.clone()),
    };
    let best = n.op("argmax", &[&x], &[("axis", Attr::Int(axis))])?;
    let attrs = [("depth", Attr::Dim(shape[axis as usize].clone())), ("dtype", Attr::DType(ty.dtype))];
    let hot = n.op("one_hot", &[&best], &attrs)?;
    let last = shape.len() as i64 - 1;
    let perm = (0..=last).map(|at| match at {
        at if at < axis => at,
        at if at == axis => last,
        at => at - 1,
    });
    let hot = n.build.transpose(&hot, perm.collect())?;
    Ok(vec![n.build.reshape(&hot, ty.dims)?])
}

fn mish(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let x = n.x(0)?;
    let soft = n.op("softplus", &[&x], &[])?;
    let gate = n.op("tanh", &[&soft], &[])?;
    Ok(vec![n.op("mul", &[&x, &gate], &[])?])
}

fn swish(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, alpha) = (n.x(0)?, n.float("alpha", 1.0));
    if alpha == 1.0 {
        return plain(n, "silu");
    }
    let alpha = n.build.number(&x, alpha);
    let scaled = n.op("mul", &[&x, &alpha], &[])?;
    let gate = n.op("sigmoid", &[&scaled], &[])?;
    Ok(vec![n.op("mul", &[&x, &gate], &[])?])
}

fn softsign(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let x = n.x(0)?;
    let one = n.build.number(&x, 1.0);
    let size = n.op("abs", &[&x], &[])?;
    let under = n.op("add", &[&size, &one], &[])?;
    Ok(vec![n.op("div", &[&x, &under], &[])?])
}

/// gamma * elu(x, alpha).
fn selu(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, alpha, gamma) = (n.x(0)?, n.float("alpha", 1.673_263_2), n.float("gamma", 1.050_701));
    let bent = n.op("elu", &[&x], &[("alpha", Attr::Float(alpha))])?;
    let gamma = n.build.number(&x, gamma);
    Ok(vec![n.op("mul", &[&bent, &gamma], &[])?])
}

/// alpha * elu(x / alpha, 1) where x is below 0, else x.
fn celu(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, alpha) = (n.x(0)?, n.float("alpha", 1.0));
    let alpha = n.build.number(&x, alpha);
    let scaled = n.op("div", &[&x, &alpha], &[])?;
    let bent = n.op("elu", &[&scaled], &[("alpha", Attr::Float(1.0))])?;
    Ok(vec![n.op("mul", &[&bent, &alpha], &[])?])
}

fn thresholded_relu(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, alpha) = (n.x(0)?, n.float("alpha", 1.0));
    let (alpha, zero) = (n.build.number(&x, alpha), n.build.number(&x, 0.0));
    let above = n.op("gt", &[&x, &alpha], &[])?;
    Ok(vec![n.op("where", &[&above, &x, &zero], &[])?])
}

fn shrink(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let x = n.x(0)?;
    let dtype = n.build.ty(&x).dtype;
    let x = if dtype.is_float() { x } else { n.build.cast(&x, DType::F32)? };
    let (bias, lambda) = (n.float("bias", 0.0), n.float("lambd", 0.5));
    let (bias, hi, lo) = (n.build.number(&x, bias), n.build.number(&x, lambda), n.build.number(&x, -lambda));
    let zero = n.build.number(&x, 0.0);
    let (above, below) = (n.op("gt", &[&x, &hi], &[])?, n.op("lt", &[&x, &lo], &[])?);
    let (down, up) = (n.op("sub", &[&x, &bias], &[])?, n.op("add", &[&x, &bias], &[])?);
    let high = n.op("where", &[&above, &down, &zero], &[])?;
    let all = n.op("where", &[&below, &up, &high], &[])?;
    Ok(vec![n.build.cast(&all, dtype)?])
}
