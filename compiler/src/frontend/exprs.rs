//! Expressions: compile-time ones are computed, the others become nodes.

use super::elaborate::{Checks, Elaborator, Frame, Poison, Term};
use super::statics::{Static, known};
use crate::graph::{Constant, ConstantData, NodeKind, Value, ValueId};
use crate::ops::OpKind;
use crate::types::TensorType;
use mlc_codegen::base::{DType, Scalar, Storage};
use mlc_grammar::ast::{BinaryOp, Expr, ExprKind, Span, UnaryOp};
use mlc_runtime::tensor::Tensor;

impl Elaborator<'_> {
    /// What an expression stands for.
    pub(super) fn expr(&mut self, frame: &mut Frame, expr: &Expr) -> Checks<Term> {
        let fixed = |value| Ok(Term::Static(value));
        match &expr.kind {
            ExprKind::Name(name) => self.name(frame, name, expr.span),
            ExprKind::Int(value) => match i64::try_from(*value) {
                Ok(value) => fixed(Static::Dim(value.into())),
                Err(_) => self.error("MDL0212", format!("{value} does not fit in 64 bits"), expr.span, "too large"),
            },
            ExprKind::Float(value) => fixed(Static::Float(*value)),
            ExprKind::Bool(value) => fixed(Static::Bool(*value)),
            ExprKind::Str(text) => fixed(Static::Text(text.to_string())),
            ExprKind::Quantity(..) => {
                self.error("MDL0205", "a quantity has a meaning only in profiles", expr.span, "found here")
            }
            ExprKind::Tuple(items) => {
                let terms: Vec<Checks<Term>> = items.iter().map(|item| self.expr(frame, item)).collect();
                Ok(Term::Tuple(terms.into_iter().collect::<Checks<_>>()?))
            }
            ExprKind::List(items) => self.list(frame, items),
            ExprKind::Unary(op, operand) => self.unary(frame, *op, operand, expr.span),
            ExprKind::Chain(first, links) => {
                let mut left = self.expr(frame, first);
                let mut span = first.span;
                for link in links {
                    let right = self.expr(frame, &link.operand);
                    span = span.to(link.operand.span);
                    left = match (left, right) {
                        (Ok(a), Ok(b)) => self.binary(frame, link.op, (a, first.span), (b, link.operand.span), span),
                        _ => Err(Poison),
                    };
                }
                left
            }
            ExprKind::Pipe(first, stages) => {
                let mut value = (self.expr(frame, first)?, first.span);
                for stage in stages {
                    let span = value.1.to(stage.span);
                    value = (self.invoke(frame, stage, Some(value))?, span);
                }
                Ok(value.0)
            }
            ExprKind::Call(..) | ExprKind::At(..) => self.invoke(frame, expr, None),
            ExprKind::If(choice) => match self.expr(frame, &choice.cond)? {
                Term::Static(Static::Bool(true)) => self.expr(frame, &choice.then),
                Term::Static(Static::Bool(false)) => self.expr(frame, &choice.otherwise),
                Term::Static(_) | Term::Tuple(_) => {
                    self.error("MDL0205", "a condition is a bool", choice.cond.span, "this is none")
                }
                Term::Value(_) => self.unsupported("`if` on run-time values", choice.cond.span),
            },
            ExprKind::Index(..) => self.unsupported("slices", expr.span),
            ExprKind::Field(_, name) => {
                self.error("MDL0201", format!("there is no `{}` here", name.name), name.span, "values have no fields")
            }
            ExprKind::Error => Err(Poison),
        }
    }

    fn name(&mut self, frame: &Frame, name: &str, span: Span) -> Checks<Term> {
        if let Some(term) = known(frame.names.get(name)) {
            return term;
        }
        if let Ok(dtype) = name.parse::<DType>() {
            return Ok(Term::Static(Static::DType(dtype)));
        }
        if name == "none" {
            return Ok(Term::Static(Static::None));
        }
        let near = super::calls::nearest(name, frame.names.keys().map(String::as_str));
        self.unknown("MDL0207", format!("nothing is named `{name}` here"), span, near)
    }

    /// An unknown name, with the nearest known one as an exact fix.
    pub(super) fn unknown<T>(
        &mut self,
        code: &'static str,
        message: String,
        span: Span,
        near: Option<&str>,
    ) -> Checks<T> {
        let loc = self.loc(span);
        let diagnostic = crate::diag::Diagnostic::error(code, message, loc, "not found");
        self.report(match near {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")).fix(
                format!("write {near}"),
                vec![crate::diag::Edit { loc, text: near.into() }],
                crate::diag::Applicability::Exact,
            ),
            None => diagnostic,
        })
    }

    fn list(&mut self, frame: &mut Frame, items: &[Expr]) -> Checks<Term> {
        let terms: Vec<Checks<Term>> = items.iter().map(|item| self.expr(frame, item)).collect();
        let terms: Vec<Term> = terms.into_iter().collect::<Checks<_>>()?;
        let fixed: Option<Vec<Static>> = terms
            .iter()
            .map(|term| match term {
                Term::Static(value) => Some(value.clone()),
                _ => None,
            })
            .collect();
        Ok(fixed.map_or(Term::Tuple(terms), |values| Term::Static(Static::List(values))))
    }

    fn unary(&mut self, frame: &mut Frame, op: UnaryOp, operand: &Expr, span: Span) -> Checks<Term> {
        match (op, self.expr(frame, operand)?) {
            (UnaryOp::Neg, Term::Static(Static::Dim(dim))) => Ok(Term::Static(Static::Dim(-dim))),
            (UnaryOp::Neg, Term::Static(Static::Float(value))) => Ok(Term::Static(Static::Float(-value))),
            (UnaryOp::Not, Term::Static(Static::Bool(value))) => Ok(Term::Static(Static::Bool(!value))),
            (UnaryOp::Neg, term @ Term::Value(_)) => self.operator(frame, "neg", vec![(term, operand.span)], span),
            (UnaryOp::Not, Term::Value(_)) => self.unsupported("`not` on tensors", span),
            _ => self.error("MDL0205", "this operator does not take this", operand.span, "found here"),
        }
    }

    fn binary(
        &mut self,
        frame: &mut Frame,
        op: BinaryOp,
        a: (Term, Span),
        b: (Term, Span),
        span: Span,
    ) -> Checks<Term> {
        if let (Term::Static(x), Term::Static(y)) = (&a.0, &b.0) {
            return Ok(Term::Static(self.static_binary(op, x, y, span)?));
        }
        let word = match op {
            BinaryOp::Add => "add",
            BinaryOp::Sub => "sub",
            BinaryOp::Mul => "mul",
            BinaryOp::Div => "div",
            BinaryOp::MatMul => "matmul",
            _ => return self.unsupported(&format!("`{}` on tensors", op.text()), span),
        };
        self.operator(frame, word, vec![a, b], span)
    }

    fn operator(&mut self, frame: &mut Frame, word: &str, operands: Vec<(Term, Span)>, span: Span) -> Checks<Term> {
        let op = OpKind::by_name(word).expect("operators are ops of the table");
        self.apply_op(frame, op, operands, vec![], span)
    }

    /// The tensor of a term. A compile-time number takes the element type of the strong operand.
    pub(super) fn tensor(&mut self, frame: &Frame, term: &Term, strong: Option<DType>, span: Span) -> Checks<ValueId> {
        let (value, dtype) = match term {
            Term::Value(value) => return Ok(*value),
            Term::Static(Static::Float(value)) => (Scalar::F64(*value), strong.unwrap_or(DType::F32)),
            Term::Static(Static::Dim(dim)) => match dim.as_constant() {
                Some(value) => (Scalar::I64(value), strong.unwrap_or(DType::I64)),
                None => return self.unsupported("dims as tensor values", span),
            },
            Term::Static(Static::Bool(value)) => (Scalar::Bool(*value), DType::Bool),
            Term::Static(other) => {
                let message = format!("expected a tensor, found {}", other.kind());
                return self.error("MDL0306", message, span, "this is no tensor");
            }
            Term::Tuple(_) => return self.error("MDL0306", "expected one tensor, found several", span, "found here"),
        };
        if matches!(value, Scalar::F64(v) if dtype.is_integer() && v.fract() != 0.0) {
            let message = format!("{} does not fit in {dtype}", value.as_f64());
            return self.error("MDL0306", message, span, format!("the other operand is {dtype}"));
        }
        let ty = TensorType::scalar(dtype);
        let loc = self.loc(span);
        let data = ConstantData::Tensor(Tensor::scalar(dtype, value));
        let constant = Constant { ty: ty.clone(), storage: Storage::Plain(dtype), name: String::new(), data, loc };
        let constant = self.graph.constants.push(constant);
        let value = self.graph.values.push(Value { ty, name: None, loc });
        self.push(NodeKind::Constant { members: vec![constant], counter: None }, vec![], vec![value], span, frame);
        Ok(value)
    }
}
