//! Activations.

use super::super::node::{Op, float, int, text};
use super::elementwise::unary;
use super::{Made, Rows, one};

pub(super) const ROWS: Rows = &[
    ("clip", clip),
    ("elu", |o| sloped(o, "Elu")),
    ("gelu", gelu),
    ("hard_sigmoid", hard_sigmoid),
    ("hard_swish", |o| unary(o, "HardSwish")),
    ("leaky_relu", |o| sloped(o, "LeakyRelu")),
    ("log_softmax", |o| along(o, "LogSoftmax")),
    ("prelu", prelu),
    ("relu", |o| unary(o, "Relu")),
    ("relu6", |o| held(o, Some(0.0), Some(6.0))),
    ("sigmoid", |o| unary(o, "Sigmoid")),
    ("silu", silu),
    ("softmax", |o| along(o, "Softmax")),
    ("softplus", |o| unary(o, "Softplus")),
];

fn along(o: &mut Op, op: &str) -> Made {
    let (x, axis) = (o.x("x"), o.call.axis("axis"));
    one(o.node(op, &[x], vec![int("axis", axis as i64)]))
}

fn sloped(o: &mut Op, op: &str) -> Made {
    let (x, alpha) = (o.x("x"), o.call.float("alpha").expect("it has a default"));
    one(o.node(op, &[x], vec![float("alpha", alpha)]))
}

fn held(o: &mut Op, lo: Option<f64>, hi: Option<f64>) -> Made {
    let (x, dtype) = (o.x("x"), o.dtype());
    let mut bound = |value: Option<f64>| value.map_or_else(String::new, |value| o.number(value, dtype));
    let (lo, hi) = (bound(lo), bound(hi));
    one(o.plain("Clip", &[x, &lo, &hi]))
}

fn clip(o: &mut Op) -> Made {
    held(o, o.call.float("lo"), o.call.float("hi"))
}

fn hard_sigmoid(o: &mut Op) -> Made {
    let x = o.x("x");
    one(o.node("HardSigmoid", &[x], vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)]))
}

fn silu(o: &mut Op) -> Made {
    let x = o.x("x");
    let gate = o.plain("Sigmoid", &[x]);
    one(o.plain("Mul", &[x, &gate]))
}

/// An operator since set 20; before it, what it means.
fn gelu(o: &mut Op) -> Made {
    let (x, dtype) = (o.x("x"), o.dtype());
    let tanh = o.call.text("approx") == Some("tanh");
    if o.w.opset >= 20 {
        return one(o.node("Gelu", &[x], vec![text("approximate", if tanh { "tanh" } else { "none" })]));
    }
    let (half, unit) = (o.number(0.5, dtype), o.number(1.0, dtype));
    let share = if tanh {
        let (three, small) = (o.number(3.0, dtype), o.number(0.044715, dtype));
        let root = o.number((2.0 / std::f64::consts::PI).sqrt(), dtype);
        let cube = o.plain("Pow", &[x, &three]);
        let cube = o.plain("Mul", &[&cube, &small]);
        let sum = o.plain("Add", &[x, &cube]);
        let inner = o.plain("Mul", &[&sum, &root]);
        o.plain("Tanh", &[&inner])
    } else {
        let root = o.number(std::f64::consts::SQRT_2, dtype);
        let inner = o.plain("Div", &[x, &root]);
        o.plain("Erf", &[&inner])
    };
    let share = o.plain("Add", &[&share, &unit]);
    let product = o.plain("Mul", &[x, &share]);
    one(o.plain("Mul", &[&product, &half]))
}

/// The format's slope has no more axes than x.
fn prelu(o: &mut Op) -> Made {
    let (x, slope) = (o.x("x"), o.x("slope"));
    let dtype = o.dtype();
    if o.call.result(0).dims == o.call.input(0).dims && dtype.is_float() {
        return one(o.plain("PRelu", &[x, slope]));
    }
    let zero = o.number(0.0, dtype);
    let product = o.plain("Mul", &[x, slope]);
    let positive = o.plain("GreaterOrEqual", &[x, &zero]);
    one(o.plain("Where", &[&positive, x, &product]))
}
