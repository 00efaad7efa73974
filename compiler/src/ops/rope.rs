//! `rope`: rotary position embedding (Su et al. 2021, arXiv 2104.09864).

use super::check::{bad_argument, require_rank_from};
use super::numbers::from_floats;
use super::{At, Build, Stage, Target};
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance, require_float};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim};
use mlc_codegen::kernel::{Binary, Body, ExprId, Index, Unary};
use mlc_runtime::tensor::Tensor;
use std::f64::consts::{FRAC_1_PI, PI};

/// Of the series, enough for a quarter turn.
const TERMS: i32 = 9;

/// The op.
pub(super) static ROPE: Rope = Rope;

/// See `SIGNATURE`.
pub(super) struct Rope;

static SIGNATURE: Signature = Signature {
    name: "rope",
    params: &[
        Param::required("x", Kind::Tensor),
        Param::optional("offset", Kind::Dim, Default::Int(0)),
        Param::optional("base", Kind::Float, Default::Float(10000.0)),
        Param::optional("style", Kind::Word(&["half", "interleaved"]), Default::Text("half")),
    ],
    result: "the type of x",
    doc: "Turns pairs of elements of x [.., s, d] by position * base^(-2i / d) radians, i the pair; positions count along \
          the last axis but one from `offset`. Pairs are (i, i + d / 2), as in GPT-NeoX and Hugging Face checkpoints, or \
          with style \"interleaved\" (2i, 2i + 1), as in Meta's and in GGUF files.",
    example: "let y = rope(x, offset = 0, style = \"interleaved\")",
};

/// The places of a pair: `(first, second)` as multiples of the pair's number and what is added.
fn pair(call: &Call) -> [(i64, i64); 2] {
    let half = width(call) / 2;
    match call.text("style") {
        Some("interleaved") => [(2, 0), (2, 1)],
        _ => [(1, 0), (1, half)],
    }
}

fn width(call: &Call) -> i64 {
    call.input(0).dims.last().and_then(Dim::as_constant).expect("infer accepted the width")
}

fn base(call: &Call) -> f64 {
    call.float("base").expect("it has a default")
}

/// Cosine and sine of an f64 of at most a million: reduced to half a turn, then by their series, within 1e-11.
fn cos_sin(k: &mut dyn Build, angle: ExprId) -> [ExprId; 2] {
    let number = |k: &mut dyn Build, value: f64| k.number(DType::F64, value);
    let (half_turn, per_half_turn) = (number(k, PI), number(k, FRAC_1_PI));
    let (one, two) = (number(k, 1.0), number(k, 2.0));
    let turns = k.mul(angle, per_half_turn);
    let turns = k.unary(Unary::Round, turns);
    let whole = k.mul(turns, half_turn);
    let rest = k.sub(angle, whole);
    let square = k.mul(rest, rest);
    let odd = k.binary(Binary::Mod, turns, two);
    let doubled = k.mul(odd, two);
    let sign = k.sub(one, doubled);
    let signed_rest = k.mul(rest, sign);
    [(1, sign), (2, signed_rest)].map(|(first, scale)| {
        let series = (0..TERMS).rev().fold(one, |sum, i| {
            let n = f64::from(first + 2 * i);
            let step = number(k, -1.0 / (n * (n + 1.0)));
            let factor = k.mul(square, step);
            let term = k.mul(factor, sum);
            k.add(one, term)
        });
        k.mul(series, scale)
    })
}

/// Cosines into temp 0 and sines into temp 1: the same for every head.
fn angles(k: &mut dyn Build, call: &Call, table: &TensorType) -> Body {
    let axes = k.axes(&table.dims);
    let (position, pair) = (k.position(axes[0]), k.position(axes[1]));
    let offset = k.size(call.dim("offset").expect("it has a default"));
    let position = k.add(position, offset);
    let (position, pair) = (k.convert(DType::F64, position), k.convert(DType::F64, pair));
    let step = k.number(DType::F64, -2.0 * base(call).ln() / width(call) as f64);
    let exponent = k.mul(pair, step);
    let frequency = k.unary(Unary::Exp, exponent);
    let angle = k.mul(position, frequency);
    let at = At::axes(&axes);
    let mut stores = vec![];
    for (temp, value) in cos_sin(k, angle).into_iter().enumerate() {
        let value = if table.dtype == DType::F64 { value } else { k.convert(table.dtype, value) };
        stores.extend(k.store(Target::Temp(temp), &at, value));
    }
    Body::Map(stores)
}

/// Each pair turned.
fn turned(k: &mut dyn Build, call: &Call) -> Body {
    let mut dims = call.input(0).dims.clone();
    let last = dims.len() - 1;
    dims[last] = Dim::from(width(call) / 2);
    let axes = k.axes(&dims);
    let places = pair(call).map(|(times, plus)| {
        let mut at = At::axes(&axes);
        at[last] = At::index(Index::affine(vec![(axes[last], times)], plus));
        at
    });
    let angle = At::axes(&axes[last - 1..]);
    let [a, b] = [0, 1].map(|i: usize| k.input(0, &places[i]));
    let [cos, sin] = [0, 1].map(|i: usize| k.load(Target::Temp(i), &angle, None));
    let (ac, bs, bc, as_) = (k.mul(a, cos), k.mul(b, sin), k.mul(b, cos), k.mul(a, sin));
    let (first, second) = (k.sub(ac, bs), k.add(bc, as_));
    let mut stores = k.store(Target::Result(0), &places[0], first);
    stores.extend(k.store(Target::Result(0), &places[1], second));
    Body::Map(stores)
}

impl Op for Rope {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_float(call, 0, cx)?;
        require_rank_from(call, 0, &["s", "d"], cx)?;
        let x = call.input(0);
        super::check::require_static(call, 0, x.rank() - 1, cx)?;
        if width(call) % 2 == 1 {
            let label = format!("this is {}", cx.show(x));
            let message = format!("`rope` turns pairs, but the last axis has {} elements", width(call));
            return Err(OpError::new("MDL0304", message, super::Blame::Input(0), label));
        }
        if base(call) <= 0.0 {
            return Err(bad_argument("base", "`base` must be positive".into(), base(call)));
        }
        Ok(vec![x.clone()])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, shape) = (inputs[0].to_f64_vec(), inputs[0].shape());
        let (s, d) = (shape[shape.len() - 2], shape[shape.len() - 1]);
        let offset = call.dim("offset").and_then(|dim| dim.eval(sizes));
        let offset = offset.ok_or_else(|| EvalError::Size("the offset".into()))?;
        let mut y = x.clone();
        for row in 0..x.len() / d.max(1) {
            for i in 0..d / 2 {
                let [a, b] = pair(call).map(|(times, plus)| row * d + i * times as usize + plus as usize);
                let position = (row % s) as i64 + offset;
                let (sin, cos) = (position as f64 * base(call).powf(-2.0 * i as f64 / d as f64)).sin_cos();
                (y[a], y[b]) = (x[a] * cos - x[b] * sin, x[b] * cos + x[a] * sin);
            }
        }
        Ok(vec![from_floats(inputs[0].dtype(), shape, &y)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        let x = call.input(0);
        let dims = [x.dims[x.rank() - 2].clone(), Dim::from(width(call) / 2)];
        let table = TensorType::new(x.dtype.compute(), dims);
        let temps = vec![table.clone(), table.clone()];
        let stages: Vec<Stage<'a>> =
            vec![Box::new(move |k| angles(k, call, &table)), Box::new(move |k| turned(k, call))];
        Lowering::Stages { temps, stages }
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance { absolute: 1e-5, relative: 1e-5 }
    }
}
