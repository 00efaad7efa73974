//! Normalisations.

use super::super::builder::Fault;
use super::super::items::Item;
use super::super::node::{Node, front};
use super::{Rows, refuse};
use crate::ops::Attr;
use mlc_codegen::base::Dim;

pub(super) const ROWS: Rows = &[
    ("BatchNormalization", batch),
    ("GroupNormalization", group),
    ("InstanceNormalization", instance),
    ("LayerNormalization", layer),
    ("LpNormalization", lp),
    ("LRN", across_channels),
    ("MeanVarianceNormalization", mean_variance),
    ("RMSNormalization", rms),
];

fn batch(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, gamma, beta, mean, var) = (n.x(0)?, n.x(1)?, n.x(2)?, n.x(3)?, n.x(4)?);
    let eps = Attr::Float(n.float("epsilon", 1e-5));
    if n.int("training_mode", 0) == 0 {
        return Ok(vec![n.op("batch_norm", &[&x, &gamma, &beta, &mean, &var], &[("eps", eps)])?]);
    }
    let rank = n.rank(0)?;
    let axes = Attr::Ints((0..rank).filter(|axis| *axis != 1).collect());
    let mut wide = vec![Dim::from(1); rank as usize];
    wide[1] = n.ty(0)?.dims[1].clone();
    let own_mean = n.op("mean", &[&x], &[("axis", axes.clone())])?;
    let around = n.build.reshape(&own_mean, wide)?;
    let centered = n.op("sub", &[&x, &around], &[])?;
    let square = n.op("square", &[&centered], &[])?;
    let own_var = n.op("mean", &[&square], &[("axis", axes)])?;
    let y = n.op("batch_norm", &[&x, &gamma, &beta, &own_mean, &own_var], &[("eps", eps)])?;
    let momentum = n.float("momentum", 0.9);
    let mut all = vec![y];
    for (old, new) in [(mean, own_mean), (var, own_var)] {
        let (keep, take) = (n.build.number(&old, momentum), n.build.number(&old, 1.0 - momentum));
        let (old, new) = (n.op("mul", &[&old, &keep], &[])?, n.op("mul", &[&new, &take], &[])?);
        all.push(n.op("add", &[&old, &new], &[])?);
    }
    Ok(all)
}

/// The axes from `axis` on.
fn trailing(n: &Node) -> Result<Vec<i64>, Fault> {
    let rank = n.rank(0)?;
    Ok((front(n.int("axis", -1), rank)?..rank).collect())
}

/// Scales of these axes' dims.
fn scaled(n: &mut Node, i: usize, axes: &[i64]) -> Result<Option<Item>, Fault> {
    let Some(item) = n.opt(i) else { return Ok(None) };
    let own = n.ty(0)?.dims;
    let dims: Vec<Dim> = axes.iter().map(|axis| own[*axis as usize].clone()).collect();
    n.build.expand(&item, dims).map(Some)
}

fn layer(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, axes) = (n.x(0)?, trailing(n)?);
    let (gamma, beta) = (scaled(n, 1, &axes)?, scaled(n, 2, &axes)?);
    let eps = n.float("epsilon", 1e-5);
    let attrs = [("axis", Attr::Ints(axes.clone())), ("eps", Attr::Float(eps))];
    let y = n.build.ops("layer_norm", &[Some(&x), gamma.as_ref(), beta.as_ref()], &attrs)?.swap_remove(0);
    if n.proto.output.len() < 2 {
        return Ok(vec![y]);
    }
    let along = [("axis", Attr::Ints(axes)), ("keep", Attr::Bool(true))];
    let mean = n.op("mean", &[&x], &along)?;
    let centered = n.op("sub", &[&x, &mean], &[])?;
    let square = n.op("square", &[&centered], &[])?;
    let var = n.op("mean", &[&square], &along)?;
    let eps = n.build.number(&var, eps);
    let moved = n.op("add", &[&var, &eps], &[])?;
    let inverse = n.op("rsqrt", &[&moved], &[])?;
    Ok(vec![y, mean, inverse])
}

fn rms(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, axes) = (n.x(0)?, trailing(n)?);
    let gamma = scaled(n, 1, &axes)?;
    let attrs = [("axis", Attr::Ints(axes)), ("eps", Attr::Float(n.float("epsilon", 1e-5)))];
    n.build.ops("rms_norm", &[Some(&x), gamma.as_ref()], &attrs)
}

fn instance(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, gamma, beta) = (n.x(0)?, n.x(1)?, n.x(2)?);
    let eps = Attr::Float(n.float("epsilon", 1e-5));
    Ok(vec![n.op("instance_norm", &[&x, &gamma, &beta], &[("eps", eps)])?])
}

/// Before version 21 scales belong to groups, since then to channels.
fn group(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, mut gamma, mut beta, groups) = (n.x(0)?, n.x(1)?, n.x(2)?, n.int("num_groups", 1));
    let channels = n.ty(0)?.dims.get(1).cloned().unwrap_or_default();
    if n.ty(1)?.dims != [channels.clone()] {
        let each = n.build.graph.slots.floor_div(&channels, &Dim::from(groups));
        for scale in [&mut gamma, &mut beta] {
            let column = n.build.reshape(scale, vec![groups.into(), 1.into()])?;
            let wide = n.build.expand(&column, vec![groups.into(), each.clone()])?;
            *scale = n.build.reshape(&wide, vec![channels.clone()])?;
        }
    }
    let attrs = [("groups", Attr::Int(groups)), ("eps", Attr::Float(n.float("epsilon", 1e-5)))];
    Ok(vec![n.op("group_norm", &[&x, &gamma, &beta], &attrs)?])
}

fn lp(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, axis) = (n.x(0)?, n.axis(-1, n.rank(0)?)?);
    let along = [("axis", Attr::Int(axis)), ("keep", Attr::Bool(true))];
    let norm = match n.int("p", 2) {
        1 => {
            let size = n.op("abs", &[&x], &[])?;
            n.op("sum", &[&size], &along)?
        }
        _ => n.op("l2_norm", &[&x], &along)?,
    };
    Ok(vec![n.op("div", &[&x, &norm], &[])?])
}

/// x / (bias + alpha / size * Σ x² of near channels)^beta.
fn across_channels(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, size) = (n.x(0)?, n.int("size", 1));
    if !(1..=64).contains(&size) {
        return refuse(format!("it sums over {size} channels"));
    }
    let square = n.op("square", &[&x], &[])?;
    let sum = super::pools::sum_of_channels(n, &square, size)?;
    let (alpha, beta, bias) = (n.float("alpha", 1e-4), n.float("beta", 0.75), n.float("bias", 1.0));
    let (alpha, beta) = (n.build.number(&x, alpha / size as f64), n.build.number(&x, beta));
    let bias = n.build.number(&x, bias);
    let scaled = n.op("mul", &[&sum, &alpha], &[])?;
    let moved = n.op("add", &[&scaled, &bias], &[])?;
    let under = n.op("pow", &[&moved, &beta], &[])?;
    Ok(vec![n.op("div", &[&x, &under], &[])?])
}

/// (x - mean) / (deviation + 1e-9).
fn mean_variance(n: &mut Node) -> Result<Vec<Item>, Fault> {
    let (x, rank) = (n.x(0)?, n.rank(0)?);
    let axes = n.ints("axes").unwrap_or_else(|| vec![0, 2, 3]);
    let axes: Vec<i64> = axes.into_iter().map(|axis| front(axis, rank)).collect::<Result<_, _>>()?;
    let along = [("axis", Attr::Ints(axes)), ("keep", Attr::Bool(true))];
    let mean = n.op("mean", &[&x], &along)?;
    let centered = n.op("sub", &[&x, &mean], &[])?;
    let square = n.op("square", &[&centered], &[])?;
    let var = n.op("mean", &[&square], &along)?;
    let deviation = n.op("sqrt", &[&var], &[])?;
    let eps = n.build.number(&x, 1e-9);
    let under = n.op("add", &[&deviation, &eps], &[])?;
    Ok(vec![n.op("div", &[&centered, &under], &[])?])
}
