//! Normalisations.

use super::super::node::{Op, float, int};
use super::reductions::folded;
use super::{Made, Rows, one};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim};

pub(super) const ROWS: Rows = &[
    ("batch_norm", batch),
    ("group_norm", group),
    ("instance_norm", instance),
    ("l2_normalize", l2),
    ("layer_norm", layer),
    ("rms_norm", rms),
];

fn eps(o: &Op) -> f64 {
    o.call.float("eps").expect("it has a default")
}

fn batch(o: &mut Op) -> Made {
    let inputs = ["x", "gamma", "beta", "mean", "var"].map(|name| o.x(name));
    one(o.node("BatchNormalization", &inputs, vec![float("epsilon", eps(o))]))
}

/// `y * gamma + beta`, each where it is given, aligned by `place`.
fn scaled(o: &mut Op, y: String, place: impl Fn(&mut Op, &str) -> String) -> String {
    let mut y = y;
    for (name, op) in [("gamma", "Mul"), ("beta", "Add")] {
        let has = o.call.signature.params.iter().any(|param| param.name == name);
        if let Some(vector) = has.then(|| o.opt(name)).flatten() {
            let vector = place(o, vector);
            y = o.plain(op, &[&y, &vector]);
        }
    }
    y
}

fn layer(o: &mut Op) -> Made {
    let (x, ty, axes) = (o.x("x"), o.ty("x"), o.call.ints("axis").unwrap_or_default());
    let first = ty.rank() - axes.len();
    let trailing = axes.iter().enumerate().all(|(i, axis)| *axis as usize == first + i) && !axes.is_empty();
    if !trailing {
        let mean = folded(o, "ReduceMean", x, Some(&axes), true);
        let centred = o.plain("Sub", &[x, &mean]);
        let y = divided(o, &centred, &axes);
        return one(scaled(o, y, |o, vector| beside(o, vector, ty.rank(), &axes)));
    }
    let own = TensorType::new(ty.dtype, ty.dims[first..].to_vec());
    let gamma = match o.opt("gamma") {
        Some(gamma) => gamma.to_owned(),
        None => o.filled(1.0, &own)?,
    };
    let beta = o.opt("beta").unwrap_or("");
    one(o.node("LayerNormalization", &[x, &gamma, beta], vec![int("axis", first as i64), float("epsilon", eps(o))]))
}

/// A tensor of the normalised axes, beside all axes of x.
fn beside(o: &mut Op, vector: &str, rank: usize, axes: &[i64]) -> String {
    let others: Vec<i64> = (0..rank as i64).filter(|axis| !axes.contains(axis)).collect();
    o.unsqueezed(vector, &others)
}

/// `x / sqrt(mean(x * x) + eps)`.
fn divided(o: &mut Op, x: &str, axes: &[i64]) -> String {
    let dtype = o.dtype();
    let square = o.plain("Mul", &[x, x]);
    let mean = folded(o, "ReduceMean", &square, Some(axes), true);
    let eps = o.number(eps(o), dtype);
    let sum = o.plain("Add", &[&mean, &eps]);
    let root = o.plain("Sqrt", &[&sum]);
    o.plain("Div", &[x, &root])
}

fn rms(o: &mut Op) -> Made {
    let (x, ty, axes) = (o.x("x"), o.ty("x"), o.call.ints("axis").unwrap_or_default());
    let wide = if ty.dtype == DType::F64 { DType::F64 } else { DType::F32 };
    if wide != ty.dtype {
        return Err("it is computed in f32, and its operands are narrower: cast them".into());
    }
    let y = divided(o, x, &axes);
    one(scaled(o, y, |o, vector| beside(o, vector, ty.rank(), &axes)))
}

fn l2(o: &mut Op) -> Made {
    let (x, dtype, axes) = (o.x("x"), o.dtype(), o.call.ints("axis").unwrap_or_default());
    let length = folded(o, "ReduceL2", x, Some(&axes), true);
    let eps = o.number(eps(o), dtype);
    let length = o.plain("Max", &[&length, &eps]);
    one(o.plain("Div", &[x, &length]))
}

fn instance(o: &mut Op) -> Made {
    let (x, ty) = (o.x("x"), o.ty("x"));
    let own = TensorType::new(ty.dtype, [ty.dims[1].clone()]);
    let mut given = |name: &str, value: f64| match o.opt(name) {
        Some(vector) => Ok(vector.to_owned()),
        None => o.filled(value, &own),
    };
    let (gamma, beta) = (given("gamma", 1.0)?, given("beta", 0.0)?);
    one(o.node("InstanceNormalization", &[x, &gamma, &beta], vec![float("epsilon", eps(o))]))
}

/// Groups of channels as the channels of an instance normalisation.
fn group(o: &mut Op) -> Made {
    let (x, ty, groups) = (o.x("x"), o.ty("x"), o.call.int("groups").expect("the signature requires it"));
    let inside: Dim = ty.dims[1..].iter().cloned().product();
    let inside = inside.exact_quotient(&Dim::from(groups)).ok_or("its groups do not divide its channels evenly")?;
    let grouped = o.w.reshaped(x, &[ty.dims[0].clone(), Dim::from(groups), inside])?;
    let own = TensorType::new(ty.dtype, [Dim::from(groups)]);
    let (unit, zero) = (o.filled(1.0, &own)?, o.filled(0.0, &own)?);
    let y = o.node("InstanceNormalization", &[&grouped, &unit, &zero], vec![float("epsilon", eps(o))]);
    let y = o.w.reshaped(&y, &ty.dims)?;
    one(scaled(o, y, |o, vector| o.along_channels(vector, ty.rank())))
}
