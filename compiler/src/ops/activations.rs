//! Activation functions: one row for each op.

use super::elementwise::Code::{One, With};
use super::elementwise::{Elementwise, Meaning, Takes};
use super::erf::erf;
use super::{Build, Call, Default, Kind, Param, Signature, Tolerance};
use mlc_codegen::base::DType;
use mlc_codegen::kernel::{Binary, Compare, ExprId, Unary};
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

macro_rules! activation_table {
    ($($name:ident = $word:literal ($($param:expr),*): $takes:ident, $doc:literal, $example:literal,
       $floats:expr, $integers:expr, $code:expr;)*) => {$(
        #[doc = $doc]
        pub(super) static $name: Elementwise = Elementwise {
            signature: &Signature {
                name: $word,
                params: &[Param::required("x", Kind::Tensor), $($param),*],
                result: "the type of x",
                doc: $doc,
                example: $example,
            },
            takes: Takes::$takes,
            asks: false,
            floats: $floats,
            integers: $integers,
            code: $code,
            tolerance: Tolerance::ROUNDING,
        };
    )*};
}

const NONE: Meaning<i64> = Meaning::Absent;

const fn of(function: fn(f64) -> f64) -> Meaning<f64> {
    Meaning::One(function)
}

const fn alpha(default: f64) -> Param {
    Param::optional("alpha", Kind::Float, Default::Float(default))
}

const fn bound(name: &'static str) -> Param {
    Param::optional(name, Kind::Float, Default::None)
}

activation_table! {
    RELU = "relu" (): Numbers, "The greater of x and 0; NaN stays NaN.", "let y = relu(x)",
        of(|x| held(x, Some(0.0), None)), Meaning::One(|x| x.max(0)), One(|k, x, d| hold(k, x, d, Some(0.0), None));
    RELU6 = "relu6" (): Numbers, "x held to 0..6; NaN stays NaN.", "let y = relu6(x)",
        of(|x| held(x, Some(0.0), Some(6.0))), Meaning::One(|x| x.clamp(0, 6)),
        One(|k, x, d| hold(k, x, d, Some(0.0), Some(6.0)));
    CLIP = "clip" (bound("lo"), bound("hi")): Numbers,
        "x held to lo..hi; a bound that is left out does not bind. NaN stays NaN. Where lo is above hi, hi.",
        "let y = clip(x, lo = -1.0, hi = 1.0)", Meaning::With(|x, call| held(x, call.float("lo"), call.float("hi"))),
        Meaning::With(clipped), With(|k, x, call| hold(k, x, call.input(0).dtype, call.float("lo"), call.float("hi")));
    LEAKY_RELU = "leaky_relu" (alpha(0.01)): Floats, "x where it is at least 0, elsewhere alpha * x.",
        "let y = leaky_relu(x, alpha = 0.2)", Meaning::With(|x, call| if x < 0.0 { slope(call) * x } else { x }), NONE,
        With(leaky_relu);
    ELU = "elu" (alpha(1.0)): Floats, "x where it is at least 0, elsewhere alpha * (exp(x) - 1).", "let y = elu(x)",
        Meaning::With(|x, call| if x < 0.0 { slope(call) * x.exp_m1() } else { x }), NONE, With(elu);
    GELU = "gelu" (Param::optional("approx", Kind::Word(&["none", "tanh"]), Default::Text("none"))): Floats,
        "x times the probability that a normal variable is below x: x * (1 + erf(x / sqrt(2))) / 2, or with approx \
         \"tanh\" x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) / 2, as GPT-2 has it.", "let y = gelu(x)",
        Meaning::With(|x, call| if by_tanh(call) { gelu_tanh(x) } else { 0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2)) }),
        NONE, With(gelu);
    SIGMOID = "sigmoid" (): Floats, "1 / (1 + exp(-x)).", "let y = sigmoid(x)",
        of(|x| 1.0 / (1.0 + (-x).exp())), NONE, One(sigmoid);
    SILU = "silu" (): Floats, "x / (1 + exp(-x)), also called swish.", "let y = silu(x)",
        of(|x| x / (1.0 + (-x).exp())), NONE, One(silu);
    SOFTPLUS = "softplus" (): Floats, "log(1 + exp(x)), without overflow.", "let y = softplus(x)",
        of(|x| x.max(0.0) + (-x.abs()).exp().ln_1p()), NONE, One(softplus);
    HARD_SIGMOID = "hard_sigmoid" (): Floats, "x / 6 + 1/2 held to 0..1.", "let y = hard_sigmoid(x)",
        of(|x| held(x / 6.0 + 0.5, Some(0.0), Some(1.0))), NONE, One(hard_sigmoid);
    HARD_SWISH = "hard_swish" (): Floats, "x * hard_sigmoid(x).", "let y = hard_swish(x)",
        of(|x| x * held(x / 6.0 + 0.5, Some(0.0), Some(1.0))), NONE, One(hard_swish);
}

/// The number held between bounds; NaN passes.
fn held(x: f64, lo: Option<f64>, hi: Option<f64>) -> f64 {
    let x = lo.map_or(x, |lo| if x < lo { lo } else { x });
    hi.map_or(x, |hi| if x > hi { hi } else { x })
}

fn hold(k: &mut dyn Build, x: ExprId, dtype: DType, lo: Option<f64>, hi: Option<f64>) -> ExprId {
    let bounds = [lo, hi].map(|bound| bound.map(|bound| k.number(dtype, bound)));
    let raised = bounds[0].map_or(x, |lo| {
        let below = k.compare(Compare::Lt, x, lo);
        k.select(below, lo, x)
    });
    bounds[1].map_or(raised, |hi| {
        let above = k.compare(Compare::Lt, hi, raised);
        k.select(above, hi, raised)
    })
}

/// Bounds of integers are cut to whole numbers as `cast` does.
fn clipped(x: i64, call: &Call) -> i64 {
    let x = call.float("lo").map_or(x, |lo| x.max(lo as i64));
    call.float("hi").map_or(x, |hi| x.min(hi as i64))
}

fn slope(call: &Call) -> f64 {
    call.float("alpha").expect("it has a default")
}

fn by_tanh(call: &Call) -> bool {
    call.text("approx") == Some("tanh")
}

fn gelu_tanh(x: f64) -> f64 {
    0.5 * x * (1.0 + (ROOT_2_OVER_PI * (x + CUBE * x * x * x)).tanh())
}

const ROOT_2_OVER_PI: f64 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
const CUBE: f64 = 0.044715;

/// `value` where x is below 0, elsewhere x.
fn below_zero(k: &mut dyn Build, x: ExprId, dtype: DType, value: ExprId) -> ExprId {
    let zero = k.number(dtype, 0.0);
    let below = k.compare(Compare::Lt, x, zero);
    k.select(below, value, x)
}

fn leaky_relu(k: &mut dyn Build, x: ExprId, call: &Call) -> ExprId {
    let dtype = call.input(0).dtype;
    let alpha = k.number(dtype, slope(call));
    let scaled = k.mul(alpha, x);
    below_zero(k, x, dtype, scaled)
}

fn elu(k: &mut dyn Build, x: ExprId, call: &Call) -> ExprId {
    let dtype = call.input(0).dtype;
    let [alpha, one] = [slope(call), 1.0].map(|v| k.number(dtype, v));
    let exp = k.unary(Unary::Exp, x);
    let less = k.sub(exp, one);
    let scaled = k.mul(alpha, less);
    below_zero(k, x, dtype, scaled)
}

fn gelu(k: &mut dyn Build, x: ExprId, call: &Call) -> ExprId {
    let dtype = call.input(0).dtype;
    let [half, one, root_half, root, cube] =
        [0.5, 1.0, FRAC_1_SQRT_2, ROOT_2_OVER_PI, CUBE].map(|v| k.number(dtype, v));
    let bell = if by_tanh(call) {
        let square = k.mul(x, x);
        let scaled = k.mul(cube, square);
        let factor = k.add(one, scaled);
        let inner = k.mul(x, factor);
        let inner = k.mul(root, inner);
        k.unary(Unary::Tanh, inner)
    } else {
        let inner = k.mul(x, root_half);
        k.unary(Unary::Erf, inner)
    };
    let (sum, halved) = (k.add(one, bell), k.mul(half, x));
    k.mul(halved, sum)
}

/// `1 + exp(-x)`.
fn logistic_denominator(k: &mut dyn Build, x: ExprId, dtype: DType) -> ExprId {
    let negated = k.unary(Unary::Neg, x);
    let exp = k.unary(Unary::Exp, negated);
    let one = k.number(dtype, 1.0);
    k.add(one, exp)
}

fn sigmoid(k: &mut dyn Build, x: ExprId, dtype: DType) -> ExprId {
    let denominator = logistic_denominator(k, x, dtype);
    let one = k.number(dtype, 1.0);
    k.div(one, denominator)
}

fn silu(k: &mut dyn Build, x: ExprId, dtype: DType) -> ExprId {
    let denominator = logistic_denominator(k, x, dtype);
    k.div(x, denominator)
}

/// `max(x, 0) + log(1 + exp(-|x|))`.
fn softplus(k: &mut dyn Build, x: ExprId, dtype: DType) -> ExprId {
    let [zero, one] = [0.0, 1.0].map(|v| k.number(dtype, v));
    let positive = k.binary(Binary::Max, x, zero);
    let magnitude = k.unary(Unary::Abs, x);
    let negated = k.unary(Unary::Neg, magnitude);
    let exp = k.unary(Unary::Exp, negated);
    let sum = k.add(one, exp);
    let log = k.unary(Unary::Log, sum);
    k.add(positive, log)
}

fn hard_sigmoid(k: &mut dyn Build, x: ExprId, dtype: DType) -> ExprId {
    let [sixth, half] = [1.0 / 6.0, 0.5].map(|v| k.number(dtype, v));
    let scaled = k.mul(x, sixth);
    let line = k.add(scaled, half);
    hold(k, line, dtype, Some(0.0), Some(1.0))
}

fn hard_swish(k: &mut dyn Build, x: ExprId, dtype: DType) -> ExprId {
    let gate = hard_sigmoid(k, x, dtype);
    k.mul(x, gate)
}
