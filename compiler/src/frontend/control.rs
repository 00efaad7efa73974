//! `if`: a choice at compile time, or between two blocks of the graph.

use super::elaborate::Elaborator;
use super::scope::Frame;
use super::term::{Checks, Operand, Poison, Static, Term};
use crate::diag::Diagnostic;
use crate::graph::{Block, NodeKind};
use crate::types::{Loc, TensorType};
use mlc_codegen::base::DType;
use mlc_grammar::ast::{Expr, ExprKind, If};

impl Elaborator<'_> {
    /// `if c { a } else { b }`.
    pub(super) fn choose(&mut self, frame: &Frame, choice: &If, loc: Loc) -> Checks<Term> {
        let at = self.loc(frame, choice.cond.span);
        let cond = match self.expr(frame, &choice.cond) {
            Ok(cond) => cond,
            Err(poison) => {
                self.name_check(frame, &choice.then);
                self.name_check(frame, &choice.otherwise);
                return Err(poison);
            }
        };
        match &cond {
            Term::Static(value) => match value.plain() {
                Static::Bool(holds) => {
                    let (taken, other) = match holds {
                        true => (&choice.then, &choice.otherwise),
                        false => (&choice.otherwise, &choice.then),
                    };
                    self.name_check(frame, other);
                    self.expr(frame, taken)
                }
                Static::Unknown => self.either(frame, choice),
                other => self.error("MDL0306", "a condition is a bool", at, format!("this is {}", other.kind())),
            },
            _ => {
                let flag = self.tensor(frame, &cond, Some(DType::Bool), at)?;
                self.run_time_choice(frame, choice, &flag, at, loc)
            }
        }
    }

    /// In a block that nothing calls, a choice that is open: both branches are checked.
    fn either(&mut self, frame: &Frame, choice: &If) -> Checks<Term> {
        let (then, otherwise) = (self.expr(frame, &choice.then), self.expr(frame, &choice.otherwise));
        match (then?, otherwise?) {
            (Term::Tensor(a), Term::Tensor(b)) if self.graph.ty(a.value) == self.graph.ty(b.value) => {
                Ok(Term::Tensor(a))
            }
            _ => Err(Poison),
        }
    }

    fn run_time_choice(&mut self, frame: &Frame, choice: &If, flag: &Operand, at: Loc, loc: Loc) -> Checks<Term> {
        let ty = self.graph.ty(flag.value).clone();
        if ty != TensorType::scalar(DType::Bool) {
            let shown = self.show(&ty);
            let diagnostic =
                Diagnostic::error("MDL0306", "a condition is a bool scalar", at, format!("this is {shown}"));
            return self.report(diagnostic.help("choose element by element with where(condition, a, b)"));
        }
        let (then, otherwise) = (self.branch(frame, &choice.then), self.branch(frame, &choice.otherwise));
        let ((then_block, mut a), (mut else_block, mut b)) = (then?, otherwise?);
        let places = (self.loc(frame, choice.then.span), self.loc(frame, choice.otherwise.span));
        if a.len() != b.len() {
            let message = format!("the branches give {} and {} values", a.len(), b.len());
            let diagnostic = Diagnostic::error("MDL0314", message, places.1, "another number of values here");
            return self.report(diagnostic.label(places.0, "than here"));
        }
        let mut then_block = then_block;
        let mut outputs = Vec::new();
        for (x, y) in a.iter_mut().zip(&mut b) {
            let wanted = [strong_type(self, x), strong_type(self, y)].into_iter().flatten().next();
            let first = self.inside(&mut then_block, |e| e.tensor(frame, x, wanted, places.0))?;
            let second = self.inside(&mut else_block, |e| e.tensor(frame, y, wanted, places.1))?;
            let (tx, ty) = (self.graph.ty(first.value).clone(), self.graph.ty(second.value).clone());
            if self.difference(&tx, &ty, places.1).is_some() {
                let (sx, sy) = (self.show(&tx), self.show(&ty));
                let message = format!("the branches of `if` have different types: {sx} and {sy}");
                let diagnostic = Diagnostic::error("MDL0314", message, places.1, format!("this is {sy}"));
                return self.report(diagnostic.label(places.0, format!("this is {sx}")));
            }
            let value = self.value(tx, None, loc);
            outputs.push((Operand { value, from: first.from.clone(), name: None }, first.value, second.value));
        }
        let results =
            |pick: fn(&(Operand, _, _)) -> crate::graph::ValueId| outputs.iter().map(pick).collect::<Vec<_>>();
        let (then, otherwise) = ((then_block, results(|o| o.1)), (else_block, results(|o| o.2)));
        let defined = results(|o| o.0.value);
        self.push(frame, NodeKind::If { then, otherwise }, vec![flag.value], defined, loc);
        let mut terms: Vec<Term> = outputs.into_iter().map(|(operand, ..)| Term::Tensor(operand)).collect();
        Ok(if terms.len() == 1 { terms.remove(0) } else { Term::Tuple(terms) })
    }

    /// One branch in a block of its own, and the values it gives.
    fn branch(&mut self, frame: &Frame, expr: &Expr) -> Checks<(Block, Vec<Term>)> {
        let mut block = Block::default();
        let term = self.inside(&mut block, |e| e.expr(frame, expr))?;
        let terms = match term {
            Term::Tuple(terms) => terms,
            one => vec![one],
        };
        Ok((block, terms))
    }

    /// Runs `step` with its nodes going to another block.
    pub(super) fn inside<T>(&mut self, block: &mut Block, step: impl FnOnce(&mut Self) -> T) -> T {
        std::mem::swap(&mut self.block, block);
        let result = step(self);
        std::mem::swap(&mut self.block, block);
        result
    }

    /// Checks the names of an expression that is not evaluated.
    pub(super) fn name_check(&mut self, frame: &Frame, expr: &Expr) {
        match &expr.kind {
            ExprKind::Name(name) => {
                let loc = self.loc(frame, expr.span);
                let _ = self.lookup(frame, name, loc);
            }
            ExprKind::Tuple(items) | ExprKind::List(items) => {
                items.iter().for_each(|item| self.name_check(frame, item))
            }
            ExprKind::Unary(_, inner) => self.name_check(frame, inner),
            ExprKind::Chain(first, links) => {
                self.name_check(frame, first);
                links.iter().for_each(|link| self.name_check(frame, &link.operand));
            }
            ExprKind::Pipe(first, stages) => {
                self.name_check(frame, first);
                stages.iter().for_each(|stage| self.name_check_call(frame, stage));
            }
            ExprKind::Call(..) | ExprKind::At(..) => self.name_check_call(frame, expr),
            ExprKind::Index(base, items) => {
                if !self.is_function(frame, base) {
                    self.name_check(frame, base);
                }
                self.name_check_items(frame, items);
            }
            ExprKind::If(choice) => {
                for part in [&choice.cond, &choice.then, &choice.otherwise] {
                    self.name_check(frame, part);
                }
            }
            _ => {}
        }
    }

    fn name_check_call(&mut self, frame: &Frame, expr: &Expr) {
        match &expr.kind {
            ExprKind::At(inner, _) => self.name_check_call(frame, inner),
            ExprKind::Call(callee, args) => {
                self.name_check_call(frame, callee);
                args.iter().for_each(|arg| self.name_check(frame, &arg.value));
            }
            ExprKind::Index(callee, items) => {
                self.name_check_call(frame, callee);
                self.name_check_items(frame, items);
            }
            ExprKind::Name(_) | ExprKind::Field(..) => {
                if let Ok(super::lookup::Callee::Function(function)) = self.callee(frame, expr) {
                    self.called.insert((function.module, &function.func.name.name));
                }
            }
            _ => self.name_check(frame, expr),
        }
    }

    fn name_check_items(&mut self, frame: &Frame, items: &[mlc_grammar::ast::IndexItem]) {
        use mlc_grammar::ast::IndexKind;
        for item in items {
            match &item.kind {
                IndexKind::At(expr) | IndexKind::Named(_, expr) => self.name_check(frame, expr),
                IndexKind::Slice(a, b) => a.iter().chain(b).for_each(|expr| self.name_check(frame, expr)),
                IndexKind::Rest | IndexKind::Error => {}
            }
        }
    }
}

fn strong_type(elaborator: &Elaborator, term: &Term) -> Option<DType> {
    match term {
        Term::Tensor(operand) => Some(elaborator.graph.ty(operand.value).dtype),
        Term::State(view) => Some(elaborator.graph.states[view.state].ty.dtype),
        Term::Static(value) => value.strong(),
        Term::Tuple(_) => None,
    }
}
