//! What is known at compile time: dims, numbers, words; and declarations of dims.

use super::elaborate::{Checks, Elaborator, Frame, Poison, Term};
use mlc_codegen::base::{DType, Dim, SlotDef};
use mlc_grammar::ast::{self, BinaryOp, DimKind, Expr, Span};

/// A compile-time value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Static {
    /// An integer, a dim or a size.
    Dim(Dim),
    /// A float.
    Float(f64),
    /// A bool.
    Bool(bool),
    /// Quoted text.
    Text(String),
    /// An element type.
    DType(DType),
    /// A list of them.
    List(Vec<Static>),
    /// `none`.
    None,
}

impl Static {
    /// What messages call it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Static::Dim(_) => "an integer",
            Static::Float(_) => "a float",
            Static::Bool(_) => "a bool",
            Static::Text(_) => "text",
            Static::DType(_) => "an element type",
            Static::List(_) => "a list",
            Static::None => "`none`",
        }
    }
}

impl Elaborator<'_> {
    /// A dim expression of a type or a declaration.
    pub(super) fn dim(&mut self, frame: &mut Frame, expr: &Expr) -> Checks<Dim> {
        if let Some(name) = expr.as_name()
            && !frame.names.contains_key(name)
            && name.parse::<DType>().is_err()
        {
            let near = super::calls::nearest(name, frame.names.keys().map(String::as_str));
            let diagnostic = crate::diag::Diagnostic::error(
                "MDL0210",
                format!("`{name}` is not a dimension"),
                self.loc(expr.span),
                "nothing of this name is in scope",
            );
            let diagnostic = diagnostic.help(format!("declare it: dim {name} in 1..=1024"));
            return self.report(match near {
                Some(near) => diagnostic.note(format!("did you mean `{near}`?")),
                None => diagnostic,
            });
        }
        match self.expr(frame, expr)? {
            Term::Static(Static::Dim(dim)) => Ok(dim),
            _ => self.error("MDL0205", "a dim must be known at compile time", expr.span, "this is no dim"),
        }
    }

    /// `dim d`, `dim d = …`, `dim d in a..=b`.
    pub(super) fn declare_dim(&mut self, frame: &mut Frame, dim: &ast::Dim) {
        let name = dim.name.name.to_string();
        let bound = match &dim.kind {
            DimKind::Free => Ok((0, i64::MAX)),
            DimKind::Range(lo, hi) => self.range(frame, lo, hi, dim.name.span),
            DimKind::Is(expr) => {
                let value = self.dim(frame, expr).and_then(|value| self.whole(frame, expr, value));
                frame.names.insert(name, value.map(|dim| Term::Static(Static::Dim(dim))));
                return;
            }
        };
        let term = bound.map(|(lo, hi)| {
            let slot = self.graph.slots.add(SlotDef::Given { name: name.clone(), lo, hi, size: false });
            Term::Static(Static::Dim(Dim::slot(slot)))
        });
        frame.names.insert(name, term);
    }

    fn range(&mut self, frame: &mut Frame, lo: &Expr, hi: &Expr, span: Span) -> Checks<(i64, i64)> {
        let (least, most) = (self.dim(frame, lo)?, self.dim(frame, hi)?);
        match (least.as_constant(), most.as_constant()) {
            (Some(lo), Some(hi)) if (0..=hi).contains(&lo) => Ok((lo, hi)),
            (Some(lo), Some(hi)) => {
                self.error("MDL0211", format!("{lo}..={hi} is no range of sizes"), span, "declared here")
            }
            _ => self.error("MDL0205", "the range of a dim must be two integers", span, "declared here"),
        }
    }

    /// A whole `dim d = a / b` of static sizes must leave no remainder.
    fn whole(&mut self, frame: &mut Frame, expr: &Expr, value: Dim) -> Checks<Dim> {
        let ast::ExprKind::Chain(first, links) = &expr.kind else { return Ok(value) };
        let [ast::Link { op: BinaryOp::Div, operand, .. }] = links.as_slice() else { return Ok(value) };
        let (a, b) = (self.dim(frame, first)?, self.dim(frame, operand)?);
        match (a.as_constant(), b.as_constant()) {
            (Some(a), Some(b)) if b != 0 && a % b != 0 => {
                self.error("MDL0304", format!("{a} is not divisible by {b}"), expr.span, "this division leaves a rest")
            }
            _ => Ok(value),
        }
    }

    /// Arithmetic on compile-time numbers.
    pub(super) fn static_binary(&mut self, op: BinaryOp, a: &Static, b: &Static, span: Span) -> Checks<Static> {
        let as_float = |s: &Static| match s {
            Static::Float(value) => Some(*value),
            Static::Dim(dim) => dim.as_constant().map(|v| v as f64),
            _ => None,
        };
        let result = match (a, b) {
            (Static::Dim(x), Static::Dim(y)) => self.dim_binary(op, x, y),
            (Static::Bool(x), Static::Bool(y)) => match op {
                BinaryOp::And => Some(Static::Bool(*x && *y)),
                BinaryOp::Or => Some(Static::Bool(*x || *y)),
                BinaryOp::Eq => Some(Static::Bool(x == y)),
                BinaryOp::Ne => Some(Static::Bool(x != y)),
                _ => None,
            },
            _ => match (as_float(a), as_float(b)) {
                (Some(x), Some(y)) => float_binary(op, x, y),
                _ => None,
            },
        };
        match result {
            Some(Static::Dim(dim)) if dim.overflowed() => {
                self.error("MDL0212", "this size does not fit in 64 bits", span, "computed here")
            }
            Some(value) => Ok(value),
            None => {
                let message = format!("`{}` does not take {} and {}", op.text(), a.kind(), b.kind());
                self.error("MDL0205", message, span, "both are known at compile time")
            }
        }
    }

    fn dim_binary(&mut self, op: BinaryOp, x: &Dim, y: &Dim) -> Option<Static> {
        let compare = |holds: fn(i64, i64) -> bool| Some(Static::Bool(holds(x.as_constant()?, y.as_constant()?)));
        match op {
            BinaryOp::Add => Some(Static::Dim(x.clone() + y)),
            BinaryOp::Sub => Some(Static::Dim(x.clone() - y)),
            BinaryOp::Mul => Some(Static::Dim(x.clone() * y)),
            BinaryOp::Div if y.as_constant() == Some(0) => None,
            BinaryOp::Div => Some(Static::Dim(self.graph.slots.floor_div(x, y))),
            BinaryOp::Eq if x == y => Some(Static::Bool(true)),
            BinaryOp::Eq => compare(|x, y| x == y),
            BinaryOp::Ne => compare(|x, y| x != y),
            BinaryOp::Lt => compare(|x, y| x < y),
            BinaryOp::Le => compare(|x, y| x <= y),
            BinaryOp::Gt => compare(|x, y| x > y),
            BinaryOp::Ge => compare(|x, y| x >= y),
            BinaryOp::And | BinaryOp::Or | BinaryOp::MatMul => None,
        }
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

/// A name that failed before stays silent.
pub(super) fn known(term: Option<&Result<Term, Poison>>) -> Option<Checks<Term>> {
    term.cloned()
}
