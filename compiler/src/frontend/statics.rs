//! Arithmetic on what is known at compile time. Integers are dims, so that symbolic ones need no second language.

use super::elaborate::Elaborator;
use super::term::{Checks, Poison, Static};
use crate::types::Loc;
use mlc_codegen::base::{DType, Dim, Scalar, Truth};
use mlc_grammar::ast::BinaryOp;

impl Elaborator<'_> {
    /// `a op b` of two numbers; `None` where only a run can tell, as for `batch < 8`.
    pub(super) fn static_binary(&mut self, op: BinaryOp, a: &Static, b: &Static, loc: Loc) -> Checks<Option<Static>> {
        if a.unknown() || b.unknown() {
            return Ok(Some(Static::Unknown));
        }
        let (strong, comparison) = (self.common_type(a, b, loc)?, is_comparison(op));
        let result = match (a.plain(), b.plain()) {
            (Static::Dim(x, _), Static::Dim(y, _)) => match self.dim_binary(op, &x.clone(), &y.clone(), loc)? {
                Some(value) => Some(value),
                None => return Ok(None),
            },
            (Static::Bool(x), Static::Bool(y)) => bool_binary(op, *x, *y),
            (Static::Text(x), Static::Text(y)) => equality(op, x == y),
            (Static::DType(x), Static::DType(y)) => equality(op, x == y),
            (x, y) => match (x.as_f64(), y.as_f64()) {
                (Some(x), Some(y)) => float_binary(op, x, y),
                _ if is_number(x) && is_number(y) => return Ok(None),
                _ => None,
            },
        };
        match (result, strong) {
            (Some(value), Some(dtype)) if !comparison => Ok(Some(Static::Typed(Box::new(value), dtype))),
            (Some(value), _) => Ok(Some(value)),
            (None, _) => {
                let message = format!("`{}` does not take {} and {}", op.text(), a.kind(), b.kind());
                self.error("MDL0205", message, loc, "both are known at compile time")
            }
        }
    }

    fn common_type(&mut self, a: &Static, b: &Static, loc: Loc) -> Checks<Option<DType>> {
        match (a.strong(), b.strong()) {
            (Some(x), Some(y)) if x != y => {
                self.error("MDL0306", format!("expected {x}, found {y}"), loc, "two constants of different types")
            }
            (x, y) => Ok(x.or(y)),
        }
    }

    fn dim_binary(&mut self, op: BinaryOp, x: &Dim, y: &Dim, loc: Loc) -> Checks<Option<Static>> {
        let dim = match op {
            BinaryOp::Add => x.clone() + y,
            BinaryOp::Sub => x.clone() - y,
            BinaryOp::Mul => x.clone() * y,
            BinaryOp::Div if y.as_constant() == Some(0) => {
                return self.error("MDL0311", "a size is divided by zero", loc, "this is 0");
            }
            BinaryOp::Div => self.graph.slots.floor_div(x, y),
            BinaryOp::And | BinaryOp::Or | BinaryOp::MatMul => {
                let message = format!("`{}` does not take two integers", op.text());
                return self.error("MDL0205", message, loc, "both are known at compile time");
            }
            comparison => return self.dim_compare(comparison, x, y),
        };
        if !dim.overflowed() {
            return Ok(Some(Static::dim(dim)));
        }
        let message = match (x.as_constant(), y.as_constant()) {
            (Some(_), Some(_)) => "this size does not fit in 64 bits",
            _ => "this size has a coefficient that does not fit in 64 bits, or too many terms",
        };
        self.error("MDL0311", message, loc, "computed here")
    }

    fn dim_compare(&mut self, op: BinaryOp, x: &Dim, y: &Dim) -> Checks<Option<Static>> {
        let one = Dim::from(1);
        let (truth, negated) = match op {
            BinaryOp::Eq => (self.equal_dims(x, y), false),
            BinaryOp::Ne => (self.equal_dims(x, y), true),
            BinaryOp::Le => (self.at_most(x, y), false),
            BinaryOp::Gt => (self.at_most(x, y), true),
            BinaryOp::Lt => (self.at_most(&(x.clone() + &one), y), false),
            _ => (self.at_most(&(x.clone() + &one), y), true),
        };
        match truth {
            Truth::Yes => Ok(Some(Static::Bool(!negated))),
            Truth::No => Ok(Some(Static::Bool(negated))),
            Truth::Unknown if self.standalone => Ok(Some(Static::Unknown)),
            Truth::Unknown => {
                self.known_integer(&(x.clone() - y))?;
                Ok(None)
            }
        }
    }

    /// Whether two dims are equal in value; two symbols of overlapping ranges may be.
    fn equal_dims(&self, x: &Dim, y: &Dim) -> Truth {
        if x == y {
            return Truth::Yes;
        }
        match self.graph.slots.range(&(x.clone() - y)) {
            Some(range) if range.lo > 0 || range.hi < 0 => Truth::No,
            _ => Truth::Unknown,
        }
    }

    /// Whether `x <= y`, by ranges and by what asserts promise.
    pub(super) fn at_most(&mut self, x: &Dim, y: &Dim) -> Truth {
        let facts = std::mem::take(&mut self.graph.facts);
        let cx = crate::ops::Infer::new(&mut self.graph.slots, &facts);
        let truth = cx.not_negative(&(y.clone() - x));
        self.graph.facts = facts;
        truth
    }

    /// Where a number must be known and depends on the index of a rolled loop, asks for that loop to be unrolled.
    pub(super) fn known_integer(&mut self, dim: &Dim) -> Checks<()> {
        let counts = |l: &super::elaborate::Loop| l.trips.is_some() && dim.slots().any(|slot| slot == l.counter);
        match self.loops.iter().position(counts) {
            Some(outermost) if !self.standalone => {
                self.unroll = Some(self.unroll.map_or(outermost, |u| u.min(outermost)));
                Err(Poison)
            }
            _ => Ok(()),
        }
    }

    /// A number as an element of a dtype; `None` where the value is no number. A number that does not fit is an error.
    pub(super) fn number_of(&mut self, value: &Static, dtype: DType, loc: Loc) -> Checks<Option<Scalar>> {
        let fits = match value.plain() {
            Static::Float(v) if dtype.is_float() => return Ok(Some(Scalar::F64(*v))),
            Static::Float(v) if dtype.is_integer() => v.fract() == 0.0 && in_range(*v as i64, dtype) && v.abs() < 9e18,
            Static::Dim(dim, _) => match dim.as_constant() {
                Some(v) if dtype.is_float() => return Ok(Some(Scalar::F64(v as f64))),
                Some(v) => dtype.is_integer() && in_range(v, dtype),
                None => return Ok(None),
            },
            Static::Float(_) => false,
            Static::Bool(v) if dtype == DType::Bool => return Ok(Some(Scalar::Bool(*v))),
            _ => return Ok(None),
        };
        let shown = value.as_f64().unwrap_or(0.0);
        match (fits, value.plain()) {
            (true, Static::Dim(dim, _)) => Ok(dim.as_constant().map(Scalar::I64)),
            (true, _) => Ok(Some(Scalar::I64(shown as i64))),
            (false, _) => {
                let message = format!("{shown} does not fit in {dtype}");
                self.error("MDL0306", message, loc, format!("{dtype} is needed here"))
            }
        }
    }
}

fn in_range(value: i64, dtype: DType) -> bool {
    dtype.integer_range().is_some_and(|(lo, hi)| (lo..=hi).contains(&value))
}

fn is_number(value: &Static) -> bool {
    matches!(value, Static::Dim(..) | Static::Float(_))
}

/// Whether an operator answers with a bool.
pub(super) fn is_comparison(op: BinaryOp) -> bool {
    use BinaryOp::{Eq, Ge, Gt, Le, Lt, Ne};
    matches!(op, Eq | Ne | Lt | Le | Gt | Ge)
}

fn equality(op: BinaryOp, equal: bool) -> Option<Static> {
    match op {
        BinaryOp::Eq => Some(Static::Bool(equal)),
        BinaryOp::Ne => Some(Static::Bool(!equal)),
        _ => None,
    }
}

fn bool_binary(op: BinaryOp, x: bool, y: bool) -> Option<Static> {
    match op {
        BinaryOp::And => Some(Static::Bool(x && y)),
        BinaryOp::Or => Some(Static::Bool(x || y)),
        other => equality(other, x == y),
    }
}

fn float_binary(op: BinaryOp, x: f64, y: f64) -> Option<Static> {
    Some(match op {
        BinaryOp::Add => Static::Float(x + y),
        BinaryOp::Sub => Static::Float(x - y),
        BinaryOp::Mul => Static::Float(x * y),
        BinaryOp::Div => Static::Float(x / y),
        BinaryOp::Eq => Static::Bool(x == y),
        BinaryOp::Ne => Static::Bool(x != y),
        BinaryOp::Lt => Static::Bool(x < y),
        BinaryOp::Le => Static::Bool(x <= y),
        BinaryOp::Gt => Static::Bool(x > y),
        BinaryOp::Ge => Static::Bool(x >= y),
        BinaryOp::And | BinaryOp::Or | BinaryOp::MatMul => return None,
    })
}
