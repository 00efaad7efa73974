//! Arithmetic, logic and comparison of two tensors, element by element: one row for each op.

use super::elementwise::Code::{Binary, Compare, Exchanged, Two};
use super::elementwise::{Elementwise, Meaning, Takes};
use super::{Build, Kind, Param, Signature, Tolerance};
use mlc_codegen::base::{DType, Scalar};
use mlc_codegen::kernel::{Binary as Operation, Compare as Relation, ExprId};

const EXACT: Tolerance = Tolerance::EXACT;
const ROUNDING: Tolerance = Tolerance::ROUNDING;
const SUMMATION: Tolerance = Tolerance::SUMMATION;

macro_rules! binary_table {
    ($($name:ident = $word:literal ($a:literal, $b:literal): $takes:ident, $asks:literal, $tolerance:ident, $doc:literal,
       $example:literal, $floats:expr, $integers:expr, $code:expr;)*) => {$(
        #[doc = $doc]
        pub(super) static $name: Elementwise = Elementwise {
            signature: &Signature {
                name: $word,
                params: &[Param::required($a, Kind::Tensor), Param::required($b, Kind::Tensor)],
                result: if $asks { "bool, the broadcast dims" } else { "the broadcast type of both" },
                doc: $doc,
                example: $example,
            },
            takes: Takes::$takes,
            asks: $asks,
            floats: Meaning::Two($floats),
            integers: Meaning::Two($integers),
            code: $code,
            tolerance: $tolerance,
        };
    )*};
}

fn asked(answer: bool) -> f64 {
    f64::from(u8::from(answer))
}

binary_table! {
    ADD = "add" ("a", "b"): Numbers, false, ROUNDING, "a + b, element by element; integers wrap.", "let y = x + x",
        |a, b| a + b, i64::wrapping_add, Binary(Operation::Add);
    SUB = "sub" ("a", "b"): Numbers, false, ROUNDING, "a - b, element by element; integers wrap.", "let y = x - 1.0",
        |a, b| a - b, i64::wrapping_sub, Binary(Operation::Sub);
    MUL = "mul" ("a", "b"): Numbers, false, ROUNDING, "a * b, element by element; integers wrap.", "let y = x * 2.0",
        |a, b| a * b, i64::wrapping_mul, Binary(Operation::Mul);
    DIV = "div" ("a", "b"): Numbers, false, ROUNDING,
        "a / b, element by element. Integers truncate toward zero; x / 0 is 0.", "let y = x / 2.0",
        |a, b| a / b, |a, b| if b == 0 { 0 } else { a.wrapping_div(b) }, Binary(Operation::Div);
    MOD = "mod" ("a", "b"): Numbers, false, ROUNDING,
        "a - b * floor(a / b): the remainder with the sign of b. mod(x, 0) is 0 for integers, NaN for floats.",
        "let y = mod(x, 3.0)", modulo, whole_modulo, Binary(Operation::Mod);
    POW = "pow" ("a", "b"): Numbers, false, SUMMATION,
        "a to the power b. Integers wrap; a negative exponent gives 0 unless a is 1 or -1.", "let y = pow(x, 2.0)",
        f64::powf, power, Binary(Operation::Pow);
    AND = "and" ("a", "b"): Bits, false, EXACT, "Whether both hold; for integers, bit by bit.",
        "let y = (x > 0.0) and (x < 1.0)", |a, _| a, |a, b| a & b, Binary(Operation::And);
    OR = "or" ("a", "b"): Bits, false, EXACT, "Whether one holds, or both; for integers, bit by bit.",
        "let y = (x < 0.0) or (x > 1.0)", |a, _| a, |a, b| a | b, Binary(Operation::Or);
    XOR = "xor" ("a", "b"): Bits, false, EXACT, "Whether exactly one holds; for integers, bit by bit.",
        "let y = xor(x < 0.0, x > 1.0)", |a, _| a, |a, b| a ^ b, Binary(Operation::Xor);
    EQ = "eq" ("a", "b"): All, true, EXACT, "Whether a equals b; NaN equals nothing.", "let y = x == 0.0",
        |a, b| asked(a == b), |a, b| i64::from(a == b), Compare(Relation::Eq);
    NE = "ne" ("a", "b"): All, true, EXACT, "Whether a differs from b; NaN differs from everything.", "let y = x != 0.0",
        |a, b| asked(a != b), |a, b| i64::from(a != b), Compare(Relation::Ne);
    LT = "lt" ("a", "b"): Numbers, true, EXACT, "Whether a is less than b.", "let y = x < 0.0",
        |a, b| asked(a < b), |a, b| i64::from(a < b), Compare(Relation::Lt);
    LE = "le" ("a", "b"): Numbers, true, EXACT, "Whether a is at most b.", "let y = x <= 0.0",
        |a, b| asked(a <= b), |a, b| i64::from(a <= b), Compare(Relation::Le);
    GT = "gt" ("a", "b"): Numbers, true, EXACT, "Whether a is greater than b.", "let y = x > 0.0",
        |a, b| asked(a > b), |a, b| i64::from(a > b), Exchanged(Relation::Lt);
    GE = "ge" ("a", "b"): Numbers, true, EXACT, "Whether a is at least b.", "let y = x >= 0.0",
        |a, b| asked(a >= b), |a, b| i64::from(a >= b), Exchanged(Relation::Le);
    PRELU = "prelu" ("x", "slope"): Numbers, false, ROUNDING,
        "x where it is at least 0, elsewhere x * slope; `slope` broadcasts, one number for each channel, say.",
        "let y = prelu(x, slope)", |x, slope| if x < 0.0 { x * slope } else { x },
        |x, slope| if x < 0 { x.wrapping_mul(slope) } else { x }, Two(prelu);
}

fn modulo(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
}

fn whole_modulo(a: i64, b: i64) -> i64 {
    if b == 0 {
        return 0;
    }
    let rest = a.wrapping_rem(b);
    if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
}

fn power(base: i64, exponent: i64) -> i64 {
    match (base, exponent) {
        (1, _) => 1,
        (-1, _) => {
            if exponent % 2 == 0 {
                1
            } else {
                -1
            }
        }
        (_, ..0) => 0,
        _ => {
            let (mut product, mut square, mut rest) = (1i64, base, exponent);
            while rest > 0 {
                if rest % 2 == 1 {
                    product = product.wrapping_mul(square);
                }
                square = square.wrapping_mul(square);
                rest /= 2;
            }
            product
        }
    }
}

fn prelu(k: &mut dyn Build, x: ExprId, slope: ExprId, dtype: DType) -> ExprId {
    let zero = k.constant(Scalar::zero(dtype));
    let (below, scaled) = (k.compare(Relation::Lt, x, zero), k.mul(x, slope));
    k.select(below, scaled, x)
}
