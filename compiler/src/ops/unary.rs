//! Functions of one tensor, element by element: one row for each op.

use super::elementwise::Code::{One, Unary};
use super::elementwise::{Elementwise, Meaning, Takes};
use super::{Build, Kind, Param, Signature, Tolerance};
use mlc_codegen::base::DType;
use mlc_codegen::kernel::{Compare, ExprId, Unary as Function};

const EXACT: Tolerance = Tolerance::EXACT;
const ROUNDING: Tolerance = Tolerance::ROUNDING;

macro_rules! unary_table {
    ($($name:ident = $word:literal: $takes:ident, $asks:literal, $tolerance:ident, $doc:literal,
       $floats:expr, $integers:expr, $code:expr;)*) => {$(
        #[doc = $doc]
        pub(super) static $name: Elementwise = Elementwise {
            signature: &Signature {
                name: $word,
                params: &[Param::required("x", Kind::Tensor)],
                result: if $asks { "bool, the dims of x" } else { "the type of x" },
                doc: $doc,
                example: concat!("let y = ", $word, "(x)"),
            },
            takes: Takes::$takes,
            asks: $asks,
            floats: Meaning::One($floats),
            integers: $integers,
            code: $code,
            tolerance: $tolerance,
        };
    )*};
}

const NONE: Meaning<i64> = Meaning::Absent;

const fn whole(function: fn(i64) -> i64) -> Meaning<i64> {
    Meaning::One(function)
}

unary_table! {
    NEG = "neg": Numbers, false, EXACT, "-x; integers wrap.", |x| -x, whole(i64::wrapping_neg), Unary(Function::Neg);
    ABS = "abs": Numbers, false, EXACT, "The magnitude of x; integers wrap.",
        f64::abs, whole(i64::wrapping_abs), Unary(Function::Abs);
    SIGN = "sign": Numbers, false, EXACT, "-1, 0 or 1, as x is below, at or above 0; NaN stays NaN.",
        |x| if x == 0.0 || x.is_nan() { x } else { x.signum() }, whole(i64::signum), One(sign);
    SQUARE = "square": Numbers, false, ROUNDING, "x * x; integers wrap.",
        |x| x * x, whole(|x| x.wrapping_mul(x)), One(|k, x, _| k.mul(x, x));
    SQRT = "sqrt": Floats, false, ROUNDING, "The square root; NaN below 0.", f64::sqrt, NONE, Unary(Function::Sqrt);
    RSQRT = "rsqrt": Floats, false, ROUNDING, "1 / sqrt(x).", |x| 1.0 / x.sqrt(), NONE, One(rsqrt);
    RECIPROCAL = "reciprocal": Floats, false, ROUNDING, "1 / x.", |x| 1.0 / x, NONE, One(reciprocal);
    EXP = "exp": Floats, false, ROUNDING, "e to the power x.", f64::exp, NONE, Unary(Function::Exp);
    LOG = "log": Floats, false, ROUNDING, "The natural logarithm; NaN below 0.", f64::ln, NONE, Unary(Function::Log);
    ERF = "erf": Floats, false, ROUNDING, "The error function.", super::erf::erf, NONE, Unary(Function::Erf);
    TANH = "tanh": Floats, false, ROUNDING, "The hyperbolic tangent.", f64::tanh, NONE, Unary(Function::Tanh);
    SIN = "sin": Floats, false, ROUNDING, "The sine of x radians.", f64::sin, NONE, Unary(Function::Sin);
    COS = "cos": Floats, false, ROUNDING, "The cosine of x radians.", f64::cos, NONE, Unary(Function::Cos);
    FLOOR = "floor": Floats, false, EXACT, "The greatest integer not above x.", f64::floor, NONE, Unary(Function::Floor);
    CEIL = "ceil": Floats, false, EXACT, "The least integer not below x.", f64::ceil, NONE, Unary(Function::Ceil);
    ROUND = "round": Floats, false, EXACT, "The nearest integer, ties to even.",
        f64::round_ties_even, NONE, Unary(Function::Round);
    TRUNC = "trunc": Floats, false, EXACT, "The integer part of x, toward 0.", f64::trunc, NONE, Unary(Function::Trunc);
    NOT = "not": Bits, false, EXACT, "The opposite bool; for integers, every bit exchanged.",
        |x| x, whole(|x| !x), Unary(Function::Not);
    ISNAN = "isnan": Floats, true, EXACT, "Whether x is not a number.",
        |x| f64::from(u8::from(x.is_nan())), NONE, One(|k, x, _| k.compare(Compare::Ne, x, x));
    ISINF = "isinf": Floats, true, EXACT, "Whether x is positive or negative infinity.",
        |x| f64::from(u8::from(x.is_infinite())), NONE, One(isinf);
}

fn sign(k: &mut dyn Build, x: ExprId, dtype: DType) -> ExprId {
    let [zero, one, less] = [0.0, 1.0, -1.0].map(|v| k.number(dtype, v));
    let (above, below) = (k.compare(Compare::Lt, zero, x), k.compare(Compare::Lt, x, zero));
    let rest = k.select(below, less, x);
    k.select(above, one, rest)
}

fn rsqrt(k: &mut dyn Build, x: ExprId, dtype: DType) -> ExprId {
    let root = k.unary(Function::Sqrt, x);
    reciprocal(k, root, dtype)
}

fn reciprocal(k: &mut dyn Build, x: ExprId, dtype: DType) -> ExprId {
    let one = k.number(dtype, 1.0);
    k.div(one, x)
}

fn isinf(k: &mut dyn Build, x: ExprId, dtype: DType) -> ExprId {
    let (magnitude, infinity) = (k.unary(Function::Abs, x), k.number(dtype, f64::INFINITY));
    k.compare(Compare::Eq, magnitude, infinity)
}
