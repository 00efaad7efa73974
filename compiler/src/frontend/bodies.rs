//! The statements of a body, and what it returns.

use super::declare::Place;
use super::elaborate::Elaborator;
use super::scope::Frame;
use super::term::{Checks, Operand, Poison, Static, Term};
use super::typing::Typed;
use super::weights::Declared;
use super::words;
use crate::diag::Diagnostic;
use crate::types::Loc;
use mlc_codegen::base::{Dim, SlotDef};
use mlc_grammar::ast::{Expr, Func, Pattern, Ret, Stmt, StmtKind, Type, TypeDim, TypeDimKind, TypeKind};
use std::rc::Rc;

impl<'t> Elaborator<'t> {
    /// The statements of a function; gives what it returns, of the type that it promises.
    pub(super) fn body(&mut self, frame: &mut Frame, func: &'t Func) -> Checks<Term> {
        let promises = self.promises(frame, func);
        let lost = func.body.stmts.iter().any(|stmt| matches!(stmt.kind, StmtKind::Error(_)));
        let last = func.body.stmts.len().saturating_sub(1);
        let mut result = None;
        for (i, stmt) in func.body.stmts.iter().enumerate() {
            let StmtKind::Return(value) = &stmt.kind else {
                self.statement(frame, stmt);
                continue;
            };
            if i < last {
                let at = self.loc(frame, stmt.span);
                let next = self.loc(frame, func.body.stmts[i + 1].span);
                let diagnostic =
                    Diagnostic::error("MDL0215", "`return` is the last statement of a body", at, "returned here");
                let _: Checks<()> = self.report(diagnostic.label(next, "this comes after it"));
            }
            let pushed = self.enter_attributes(frame, &stmt.attrs);
            let term = self.expr(frame, value);
            self.leave_attributes(pushed);
            result = Some(term.and_then(|term| self.promised(frame, func, promises.clone(), term, value)));
            break;
        }
        match result {
            Some(result) => result,
            None if lost => Err(Poison),
            None => {
                let loc = self.loc(frame, func.name.span);
                let message = format!("`{}` returns nothing", func.name.name);
                self.error("MDL0215", message, loc, "its body ends without `return`")
            }
        }
    }

    /// One statement; what fails is reported, and its names are lost.
    pub(super) fn statement(&mut self, frame: &mut Frame, stmt: &'t Stmt) {
        if self.step(self.loc(frame, stmt.span)).is_err() {
            return;
        }
        let pushed = self.enter_attributes(frame, &stmt.attrs);
        match &stmt.kind {
            StmtKind::Let { pattern, ty, value } => {
                let term = self.expr(frame, value);
                let term = match ty {
                    Some(ty) => self.annotated(frame, ty, term, value),
                    None => term,
                };
                self.bind_pattern(frame, pattern, term, value);
            }
            StmtKind::Weight { name, ty, from, default } => {
                let declared = Declared { name, ty, from, default: default.as_ref() };
                let term = self.weight(frame, declared);
                self.bind_name(frame, name, term, "weight");
            }
            StmtKind::Const(constant) => {
                let term = self.const_declaration(frame, constant);
                self.bind_name(frame, &constant.name, term, "const");
            }
            StmtKind::Dim(dim) => {
                let term = self.dim_declaration(frame, dim, stmt.span, Place::Body);
                self.bind_name(frame, &dim.name, term, "dim");
            }
            StmtKind::Set { target, value } => drop(self.set(frame, target, value)),
            StmtKind::Repeat { index, start, end, cond, carry, body } => {
                let parts = super::repeat::Parts { index, start, end, cond: cond.as_ref(), carry, body };
                self.repeat(frame, parts, self.loc(frame, stmt.span));
            }
            StmtKind::Fused { name, body } => self.fused(frame, name, body, self.loc(frame, stmt.span)),
            StmtKind::Assert(expr) => drop(self.assert(frame, expr)),
            StmtKind::Return(_) => {
                let loc = self.loc(frame, stmt.span);
                let message = "`return` cannot stand inside `repeat` or `fused`";
                let diagnostic = Diagnostic::error("MDL0215", message, loc, "not allowed here");
                let _: Checks<()> = self.report(diagnostic.help("bind the value with `let`, and return it after"));
            }
            StmtKind::Error(names) => self.lose(frame, names),
        }
        self.leave_attributes(pushed);
    }

    fn annotated(&mut self, frame: &mut Frame, ty: &Type, term: Checks<Term>, value: &Expr) -> Checks<Term> {
        if let TypeKind::Tensor(word, dims) = &ty.kind
            && dims.is_empty()
            && matches!(&*word.name, "int" | "size")
        {
            return term;
        }
        let at = self.loc(frame, value.span);
        let counts = |dim: &TypeDim| matches!(dim.kind, TypeDimKind::Counted(..));
        let counted = matches!(&ty.kind, TypeKind::Tensor(_, dims) if dims.iter().any(counts));
        let term = match term {
            // What an operator counts is its last result, and the name in the type stands for it.
            Ok(Term::Tuple(mut terms)) if counted && !terms.is_empty() => Ok(terms.swap_remove(0)),
            other => other,
        };
        if let Err(poison) = self.count(frame, ty, term.as_ref().ok()) {
            self.lose_counted(frame, ty);
            return Err(poison);
        }
        let wanted = self.tensor_type(frame, ty)?;
        let operand = self.tensor(frame, &term?, Some(wanted.ty.dtype), at)?;
        let given = self.given(&operand, at);
        let declared = self.loc(frame, ty.span);
        self.require_type(&wanted, &given, "the declared type", "MDL0301", declared)?;
        let from = operand.from.iter().zip(&wanted.from).map(|(own, other)| own.clone().or_else(|| other.clone()));
        Ok(Term::Tensor(Operand { from: from.collect(), ..operand }))
    }

    /// `count in 0..=h * w` in the type of a `let`: a name for what the operator counts.
    fn count(&mut self, frame: &mut Frame, ty: &Type, term: Option<&Term>) -> Checks<()> {
        let TypeKind::Tensor(_, dims) = &ty.kind else { return Err(Poison) };
        for (axis, dim) in dims.iter().enumerate() {
            let TypeDimKind::Counted(name, lo, hi) = &dim.kind else { continue };
            let loc = self.loc(frame, name.span);
            let bounds = (self.dim(frame, lo)?.0, self.dim(frame, hi)?.0);
            let operand = match term {
                Some(Term::Tensor(operand)) => operand,
                None => return Err(Poison),
                Some(other) => {
                    let message = format!("nothing counts `{}`", name.name);
                    return self.error("MDL0210", message, loc, format!("the value is {}", other.kind()));
                }
            };
            let found = self.graph.ty(operand.value).dims.get(axis).cloned();
            let most = found.as_ref().and_then(|dim| match self.graph.slots.def(dim.as_slot()?) {
                SlotDef::Counted { most, .. } => Some(most.clone()),
                _ => None,
            });
            let (Some(found), Some(most)) = (found, most) else {
                let message = format!("nothing counts `{}`", name.name);
                let diagnostic =
                    Diagnostic::error("MDL0210", message, loc, "this axis has a size before the operator runs");
                return self.report(diagnostic.note("only operators such as `nonzero` introduce counted dims"));
            };
            self.require_at_most(&most, &bounds.1, loc)?;
            self.require_at_most(&bounds.0, &Dim::from(0), loc)?;
            let shown = self.show_dim(&most);
            let from = super::origin::Origin::new(loc, format!("`{}` is counted here, 0..={shown}", name.name));
            frame.bind(&name.name, Ok(Term::Static(Static::Dim(found, from))), loc);
        }
        Ok(())
    }

    fn lose_counted(&mut self, frame: &mut Frame, ty: &Type) {
        let TypeKind::Tensor(_, dims) = &ty.kind else { return };
        for dim in dims {
            if let TypeDimKind::Counted(name, ..) = &dim.kind {
                let loc = self.loc(frame, name.span);
                frame.bind(&name.name, Err(Poison), loc);
            }
        }
    }

    fn bind_name(&mut self, frame: &mut Frame, name: &mlc_grammar::ast::Ident, term: Checks<Term>, what: &'static str) {
        let loc = self.loc(frame, name.span);
        let term = term.map(|term| self.named(term, &name.name, loc));
        self.introduces(&name.name, what, loc);
        frame.bind(&name.name, term, loc);
    }

    /// A value that messages and the graph call by a name from now on.
    pub(super) fn named(&mut self, term: Term, name: &str, loc: Loc) -> Term {
        match term {
            Term::Tensor(operand) => {
                self.graph.values[operand.value].name.get_or_insert_with(|| name.to_owned());
                Term::Tensor(Operand { name: Some(Rc::new((name.to_owned(), loc))), ..operand })
            }
            other => other,
        }
    }

    fn bind_pattern(&mut self, frame: &mut Frame, pattern: &Pattern, term: Checks<Term>, value: &Expr) {
        let at = self.loc(frame, value.span);
        let term = match term {
            Ok(Term::State(view)) => self.read_state(frame, &view, at).map(Term::Tensor),
            other => other,
        };
        let names = match pattern {
            Pattern::Name(name) => return self.bind_name(frame, name, term, "value"),
            Pattern::Tuple(names) => names,
        };
        let terms: Vec<Checks<Term>> = match term {
            Ok(Term::Tuple(terms)) if terms.len() == names.len() => terms.into_iter().map(Ok).collect(),
            Ok(Term::Static(Static::List(items))) if items.len() == names.len() => {
                items.iter().map(|item| Ok(Term::Static(item.clone()))).collect()
            }
            Ok(other) => {
                let found = match &other {
                    Term::Tuple(terms) => terms.len(),
                    _ => 1,
                };
                let first = names.first().map_or(value.span, |name| name.span);
                let span = names.last().map_or(first, |name| first.to(name.span));
                let message = format!(
                    "{} for {}",
                    words::count(names.len(), "name", "names"),
                    words::count(found, "value", "values")
                );
                let diagnostic = Diagnostic::error("MDL0216", message, self.loc(frame, span), "bound here");
                let _: Checks<()> = self.report(diagnostic.label(at, format!("this gives {found}")));
                vec![Err(Poison); names.len()]
            }
            Err(poison) => vec![Err(poison); names.len()],
        };
        for (name, term) in names.iter().zip(terms) {
            self.bind_name(frame, name, term, "value");
        }
    }

    /// The types that a function promises. They are read where its parameters stand, before the body binds its names; a
    /// type that needs a name of the body is read at the end.
    fn promises(&mut self, frame: &Frame, func: &Func) -> Vec<Option<Checks<Typed>>> {
        let read = |e: &mut Self, ty: &Type| e.names_known(frame, ty).then(|| e.tensor_type(frame, ty));
        promised_types(func).into_iter().map(|ty| read(self, ty)).collect()
    }

    fn names_known(&self, frame: &Frame, ty: &Type) -> bool {
        let TypeKind::Tensor(_, dims) = &ty.kind else { return true };
        let known = |name: &str| frame.get(name).is_some() || self.modules[frame.module].names.contains_key(name);
        dims.iter().all(|dim| match &dim.kind {
            TypeDimKind::Size(expr) => super::lints::names(expr).into_iter().all(|(name, _)| known(name)),
            TypeDimKind::Pack(_) => true,
            TypeDimKind::Counted(name, ..) => known(&name.name),
        })
    }

    /// Compares what is returned with what is promised.
    fn promised(
        &mut self,
        frame: &Frame,
        func: &Func,
        promises: Vec<Option<Checks<Typed>>>,
        term: Term,
        value: &Expr,
    ) -> Checks<Term> {
        let types = promised_types(func);
        let terms = match term {
            Term::Tuple(terms) => terms,
            one => vec![one],
        };
        let at = self.loc(frame, value.span);
        let places: Vec<Loc> = match &value.kind {
            mlc_grammar::ast::ExprKind::Tuple(items) if items.len() == terms.len() => {
                items.iter().map(|item| self.loc(frame, item.span)).collect()
            }
            _ => vec![at; terms.len()],
        };
        if terms.len() != types.len() {
            let (promised, found) = (types.len(), terms.len());
            let promised = words::count(promised, "value", "values");
            let message = format!("`{}` promises {promised}, but returns {found}", func.name.name);
            let first = types.first().map_or(func.name.span, |ty| ty.span);
            let declared = self.loc(frame, first);
            let diagnostic = Diagnostic::error("MDL0308", message, at, "returned here");
            return self.report(diagnostic.label(declared, "promised here"));
        }
        let mut all = vec![];
        for (((ty, promise), term), at) in types.into_iter().zip(promises).zip(&terms).zip(places) {
            let wanted = promise.unwrap_or_else(|| self.tensor_type(frame, ty));
            all.push(wanted.and_then(|wanted| self.promised_one(frame, (func, ty), wanted, term, at)));
        }
        let mut all = all.into_iter().collect::<Checks<Vec<Term>>>()?;
        Ok(if all.len() == 1 { all.remove(0) } else { Term::Tuple(all) })
    }

    fn promised_one(
        &mut self,
        frame: &Frame,
        (func, ty): (&Func, &Type),
        wanted: Typed,
        term: &Term,
        at: Loc,
    ) -> Checks<Term> {
        let operand = self.tensor(frame, term, Some(wanted.ty.dtype), at)?;
        let given = self.given(&operand, at);
        if let Some(difference) = self.difference(&wanted.ty, &given.ty, at) {
            let (wants, has) = (self.show(&wanted.ty), self.show(&given.ty));
            let message = format!("`{}` returns {has}, but promises {wants}", func.name.name);
            let declared = self.loc(frame, ty.span);
            let diagnostic = Diagnostic::error("MDL0308", message, at, format!("this is {has}"))
                .label(declared, format!("{wants} is promised here"));
            let diagnostic = self.explain_difference(diagnostic, difference, &wanted, &given);
            return self.report(diagnostic);
        }
        let from = operand.from.iter().zip(&wanted.from).map(|(own, other)| own.clone().or_else(|| other.clone()));
        Ok(Term::Tensor(Operand { from: from.collect(), name: None, ..operand }))
    }
}

/// The types that a function promises, in order.
pub(super) fn promised_types(func: &Func) -> Vec<&Type> {
    match &func.ret {
        Ret::Type(ty) => vec![ty],
        Ret::Named(fields) => fields.iter().map(|field| &field.ty).collect(),
    }
}
