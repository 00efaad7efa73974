//! Attention and rotations by position, in the operators that they are made of.

use super::super::node::{Op, int};
use super::reductions::folded;
use super::{Made, Rows, one};
use mlc_codegen::base::{DType, Dim};
use mlc_runtime::tensor::Tensor;

pub(super) const ROWS: Rows = &[("attention", attention), ("rope", rope)];

fn attention(o: &mut Op) -> Made {
    let (q, ty, result) = (o.x("q"), o.ty("q").clone(), o.dtype());
    let rank = ty.rank();
    let (k, v) = (shared(o, "k")?, shared(o, "v")?);
    let mut turned: Vec<usize> = (0..rank).collect();
    turned.swap(rank - 2, rank - 1);
    let keys = o.transposed(&k, &turned);
    let scale = match (o.call.float("scale"), ty.dims[rank - 1].as_constant()) {
        (Some(scale), _) => o.number(scale, ty.dtype),
        (None, Some(depth)) => o.number(1.0 / (depth as f64).sqrt(), ty.dtype),
        (None, None) => {
            let depth = o.w.dim(&ty.dims[rank - 1])?;
            let depth = o.cast(&depth, DType::I64, ty.dtype);
            let root = o.plain("Sqrt", &[&depth]);
            o.plain("Reciprocal", &[&root])
        }
    };
    let scores = o.plain("MatMul", &[q, &keys]);
    let mut scores = o.plain("Mul", &[&scores, &scale]);
    if let Some(mask) = o.opt("mask") {
        let dtype = o.ty("mask").dtype;
        scores = if dtype == DType::Bool {
            let low = o.number(o.call.float("hidden").unwrap_or(f64::NEG_INFINITY), ty.dtype);
            o.plain("Where", &[mask, &scores, &low])
        } else {
            let mask = o.cast(mask, dtype, ty.dtype);
            o.plain("Add", &[&scores, &mask])
        };
    }
    let mut blind = o.opt("mask").is_some();
    if let Some(offset) = o.call.dim("causal") {
        blind |= o.w.graph.slots.range(&offset).is_none_or(|range| range.lo < 0);
        let seen = o.seen(&ty.dims[rank - 2], &o.ty("k").dims[rank - 2].clone(), &offset)?;
        let low = o.number(f64::NEG_INFINITY, ty.dtype);
        scores = o.plain("Where", &[&seen, &scores, &low]);
    }
    let mut weights = o.node("Softmax", &[&scores], vec![int("axis", rank as i64 - 1)]);
    if blind && o.call.text("blind") != Some("nan") {
        weights = without_blind(o, &weights, &scores, ty.dtype);
    }
    let y = o.plain("MatMul", &[&weights, &v]);
    one(o.cast(&y, ty.dtype, result))
}

/// Weights of 0 where every score of a query is -inf.
fn without_blind(o: &mut Op, weights: &str, scores: &str, dtype: DType) -> String {
    let best = folded(o, "ReduceMax", scores, Some(&[-1]), true);
    let (low, zero) = (o.number(f64::NEG_INFINITY, dtype), o.number(0.0, dtype));
    let blind = o.plain("Equal", &[&best, &low]);
    o.plain("Where", &[&blind, &zero, weights])
}

/// Keys or values in the element type and with the leading dims of the queries: each head repeated for those that share
/// it.
fn shared(o: &mut Op, name: &str) -> Result<String, String> {
    let (mut x, ty, query) = (o.x(name).to_owned(), o.ty(name).clone(), o.ty("q").clone());
    x = o.cast(&x, ty.dtype, query.dtype);
    let rank = ty.rank();
    let mut dims = ty.dims.clone();
    for axis in 0..rank - 2 {
        if dims[axis] == query.dims[axis] || dims[axis] == Dim::from(1) {
            continue;
        }
        let group = query.dims[axis].exact_quotient(&dims[axis]).ok_or("how many heads share a key is not known")?;
        let spread = o.unsqueezed(&x, &[axis as i64 + 1]);
        let mut wide = dims.clone();
        wide.insert(axis + 1, group);
        let shape = o.w.dims(&wide)?;
        let spread = o.plain("Expand", &[&spread, &shape]);
        dims[axis] = query.dims[axis].clone();
        x = o.w.reshaped(&spread, &dims)?;
    }
    Ok(x)
}

/// Pairs turned by position * base^(-2i / d).
fn rope(o: &mut Op) -> Made {
    let (x, ty) = (o.x("x"), o.ty("x").clone());
    let rank = ty.rank();
    let depth = ty.dims[rank - 1].as_constant().ok_or("its last dim is symbolic")?;
    let half = depth / 2;
    let base = o.call.float("base").expect("it has a default");
    let rate = |i: usize| base.powf(-2.0 * i as f64 / depth as f64) as f32;
    let rates: Vec<f32> = (0..half as usize).map(rate).collect();
    let rates = Tensor::from_f32([half as usize], rates).map_err(|error| error.to_string())?;
    let rates = o.w.tensor("rope.rates", &rates);
    let positions = o.counted(&ty.dims[rank - 2])?;
    let offset = o.call.dim("offset").unwrap_or(Dim::from(0));
    let offset = o.w.dim(&offset)?;
    let positions = o.plain("Add", &[&positions, &offset]);
    let positions = o.cast(&positions, DType::I64, DType::F32);
    let positions = o.unsqueezed(&positions, &[1]);
    let angles = o.plain("Mul", &[&positions, &rates]);
    let wave = |o: &mut Op, op: &str| {
        let wave = o.plain(op, &[&angles]);
        o.cast(&wave, DType::F32, ty.dtype)
    };
    let (cos, sin) = (wave(o, "Cos"), wave(o, "Sin"));
    let (left, right, interleaved) = match o.call.text("style") {
        Some("interleaved") => {
            let mut pairs = ty.dims.clone();
            pairs[rank - 1] = Dim::from(half);
            pairs.push(Dim::from(2));
            let pairs = o.w.reshaped(x, &pairs)?;
            let mut each = |place: i64| {
                let part = o.cut(&pairs, rank, &Dim::from(place), &Dim::from(place + 1))?;
                let axes = o.w.ints(&[rank as i64]);
                Ok::<String, String>(o.plain("Squeeze", &[&part, &axes]))
            };
            (each(0)?, each(1)?, true)
        }
        _ => {
            let (middle, end) = (Dim::from(half), Dim::from(depth));
            (o.cut(x, rank - 1, &Dim::from(0), &middle)?, o.cut(x, rank - 1, &middle, &end)?, false)
        }
    };
    let turned = |o: &mut Op, first: (&str, &str), second: (&str, &str), op: &str| {
        let a = o.plain("Mul", &[first.0, first.1]);
        let b = o.plain("Mul", &[second.0, second.1]);
        o.plain(op, &[&a, &b])
    };
    let first = turned(o, (&left, &cos), (&right, &sin), "Sub");
    let second = turned(o, (&left, &sin), (&right, &cos), "Add");
    if !interleaved {
        return one(o.node("Concat", &[&first, &second], vec![int("axis", rank as i64 - 1)]));
    }
    let (first, second) = (o.unsqueezed(&first, &[rank as i64]), o.unsqueezed(&second, &[rank as i64]));
    let pairs = o.node("Concat", &[&first, &second], vec![int("axis", rank as i64)]);
    one(o.w.reshaped(&pairs, &ty.dims)?)
}
