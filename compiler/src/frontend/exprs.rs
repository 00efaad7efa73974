//! Expressions: compile-time ones are computed, the others become nodes. An expression binds no name.

use super::elaborate::Elaborator;
use super::scope::Frame;
use super::term::{Checks, Poison, Static, Term};
use crate::types::Loc;
use mlc_grammar::ast::{Expr, ExprKind};

impl Elaborator<'_> {
    /// What an expression stands for.
    pub(super) fn expr(&mut self, frame: &Frame, expr: &Expr) -> Checks<Term> {
        let loc = self.loc(frame, expr.span);
        self.step(loc)?;
        let fixed = |value| Ok(Term::Static(value));
        match &expr.kind {
            ExprKind::Name(name) => self.lookup(frame, name, loc),
            ExprKind::Int(value) => match i64::try_from(*value) {
                Ok(value) => fixed(Static::dim(value)),
                Err(_) => self.error("MDL0311", format!("{value} does not fit in 64 bits"), loc, "too large"),
            },
            ExprKind::Float(value) => fixed(Static::Float(*value)),
            ExprKind::Bool(value) => fixed(Static::Bool(*value)),
            ExprKind::Str(text) => fixed(Static::Text((**text).into())),
            ExprKind::Quantity(..) => {
                self.error("MDL0205", "a quantity has a meaning only in profiles", loc, "found here")
            }
            ExprKind::Tuple(items) => Ok(Term::Tuple(self.all(frame, items)?)),
            ExprKind::List(items) => Ok(listed(self.all(frame, items)?)),
            ExprKind::Unary(op, operand) => {
                let at = self.loc(frame, operand.span);
                let term = self.expr(frame, operand)?;
                self.unary(frame, *op, term, at, loc)
            }
            ExprKind::Chain(first, links) => {
                let start = self.loc(frame, first.span);
                let mut left = (self.expr(frame, first), start);
                for link in links {
                    let at = self.loc(frame, link.operand.span);
                    let right = self.expr(frame, &link.operand);
                    let span = start.to(at);
                    left = match (left.0, right) {
                        (Ok(a), Ok(b)) => (self.binary(frame, link.op, (a, left.1), (b, at), span), span),
                        _ => (Err(Poison), span),
                    };
                }
                left.0
            }
            ExprKind::Pipe(first, stages) => {
                let start = self.loc(frame, first.span);
                let mut value = self.expr(frame, first).map(|term| (term, start));
                for stage in stages {
                    let at = self.loc(frame, stage.span);
                    value = self.stage(frame, stage, value).map(|term| (term, start.to(at)));
                }
                value.map(|(term, _)| term)
            }
            ExprKind::Call(..) | ExprKind::At(..) => self.invoke(frame, expr, None),
            ExprKind::If(choice) => self.choose(frame, choice, loc),
            ExprKind::Index(base, items) => self.index(frame, base, items, loc),
            ExprKind::Field(base, name) => self.field(frame, base, &name.name, self.loc(frame, name.span)),
            ExprKind::Error => Err(Poison),
        }
    }

    /// Every expression of a list, so that each mistake is found.
    pub(super) fn all(&mut self, frame: &Frame, items: &[Expr]) -> Checks<Vec<Term>> {
        let terms: Vec<Checks<Term>> = items.iter().map(|item| self.expr(frame, item)).collect();
        terms.into_iter().collect()
    }

    /// `file.NAME`: a constant of an imported file.
    fn field(&mut self, frame: &Frame, base: &Expr, name: &str, loc: Loc) -> Checks<Term> {
        use super::scope::Entity;
        let file = base.as_name().and_then(|word| self.modules[frame.module].names.get(word));
        match file {
            Some((Entity::File(index), _)) => {
                let index = *index;
                match self.modules[index].names.get(name) {
                    Some((Entity::Value(term), _)) => term.clone(),
                    Some((Entity::Lost, _)) => Err(Poison),
                    Some(_) => self.error("MDL0212", format!("`{name}` is not a value"), loc, "used as a value here"),
                    None => self.not_in_file(index, name, loc),
                }
            }
            Some((Entity::Lost, _)) => Err(Poison),
            _ => {
                self.expr(frame, base)?;
                let message = format!("there is no `.{name}` here");
                self.error("MDL0212", message, loc, "values have no fields; only imported files do")
            }
        }
    }
}

/// A list of numbers stays a number; any other is several values.
pub(super) fn listed(terms: Vec<Term>) -> Term {
    let fixed: Option<Vec<Static>> = terms
        .iter()
        .map(|term| match term {
            Term::Static(value) => Some(value.clone()),
            _ => None,
        })
        .collect();
    fixed.map_or(Term::Tuple(terms), |values| Term::Static(Static::List(values.into())))
}
