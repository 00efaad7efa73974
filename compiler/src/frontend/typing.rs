//! Types as they are written, and comparing one with what was found.

use super::elaborate::{Elaborator, rename};
use super::origin::{Origin, Whence};
use super::scope::Frame;
use super::term::{Checks, Poison, Static, Term};
use super::unify::Given;
use super::words;
use crate::diag::Diagnostic;
use crate::graph::GuardNode;
use crate::types::{Loc, TensorType};
use mlc_codegen::base::{DType, Dim, Truth};
use mlc_grammar::ast::{Expr, ExprKind, Ident, Type, TypeDim, TypeDimKind, TypeKind};

/// A type and where each of its dims comes from.
#[derive(Clone, Debug)]
pub(super) struct Typed {
    pub(super) ty: TensorType,
    pub(super) from: Vec<Whence>,
}

/// Why two types differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Difference {
    DType,
    Rank,
    /// The dims of an axis.
    Axis(usize),
}

impl Elaborator<'_> {
    /// An element type by its word.
    pub(super) fn dtype(&mut self, frame: &Frame, word: &Ident) -> Checks<DType> {
        if let Ok(dtype) = word.name.parse() {
            return Ok(dtype);
        }
        let loc = self.loc(frame, word.span);
        if matches!(&*word.name, "size" | "int") {
            let message = format!("`{}` is not an element type", word.name);
            let diagnostic = Diagnostic::error("MDL0310", message, loc, "a tensor has elements of a dtype");
            return self.report(diagnostic.help("integers in tensors are i64, i32, i16, i8 or u8"));
        }
        let message = format!("`{}` is not an element type", word.name);
        let diagnostic = Diagnostic::error("MDL0310", message, loc, "unknown");
        let diagnostic = match words::dtype(&word.name) {
            Some(near) => rename(diagnostic.help(format!("did you mean `{near}`?")), &word.name, near, loc),
            None => diagnostic,
        };
        let all: Vec<&str> = DType::ALL.iter().map(|dtype| dtype.name()).collect();
        self.report(diagnostic.note(format!("element types are {}", all.join(" "))))
    }

    /// A dim expression, and where it comes from.
    pub(super) fn dim(&mut self, frame: &Frame, expr: &Expr) -> Checks<(Dim, Whence)> {
        let loc = self.loc(frame, expr.span);
        if let Some(name) = expr.as_name() {
            self.require_dim_name(frame, name, loc)?;
        }
        let term = match &expr.kind {
            ExprKind::Name(name) => self.lookup(frame, name, loc)?,
            _ => self.expr(frame, expr)?,
        };
        let Term::Static(value) = &term else { return self.no_dim(expr, &term, loc) };
        match value.plain() {
            Static::Unknown => Err(Poison),
            Static::Dim(dim, from) => Ok((dim.clone(), from.clone())),
            Static::Float(v) if v.fract() == 0.0 && v.abs() < 9e15 => Ok(((*v as i64).into(), None)),
            _ => self.no_dim(expr, &term, loc),
        }
    }

    fn no_dim<T>(&mut self, expr: &Expr, term: &Term, loc: Loc) -> Checks<T> {
        let (what, kind) = (self.text(loc).to_owned(), term.kind());
        match (&expr.kind, term) {
            (ExprKind::Name(_), Term::Tensor(_) | Term::State(_) | Term::Tuple(_)) => {
                let message = format!("`{what}` is not a dimension");
                let diagnostic = Diagnostic::error("MDL0210", message, loc, format!("this is {kind}"));
                self.report(diagnostic.note("a size that is given at the call is declared as an argument: NAME: size"))
            }
            _ => {
                let message = format!("`{what}` must be known at compile time");
                self.error("MDL0205", message, loc, format!("a dim is an integer, this is {kind}"))
            }
        }
    }

    fn require_dim_name(&mut self, frame: &Frame, name: &str, loc: Loc) -> Checks<()> {
        let known = frame.get(name).is_some() || self.modules[frame.module].names.contains_key(name);
        if known || name.parse::<DType>().is_ok() || name == "none" {
            return Ok(());
        }
        let is_dim = |term: &Checks<Term>| matches!(term, Ok(Term::Static(value)) if value.as_dim().is_some());
        let local = frame.scopes.iter().flatten();
        let dims: Vec<&str> = local.filter(|(_, b)| is_dim(&b.term)).map(|(name, _)| &**name).collect();
        let near = words::nearest(name, dims.iter().copied()).map(str::to_owned);
        let other = words::nearest(name, frame.names().filter(|n| !dims.contains(n))).map(str::to_owned);
        let message = format!("`{name}` is not a dimension");
        let diagnostic = Diagnostic::error("MDL0210", message, loc, "nothing of this name is in scope");
        let diagnostic = diagnostic.help(format!("declare it: dim {name} in 1..=1024"));
        self.report(match (near, other) {
            (Some(near), _) => rename(diagnostic.note(format!("did you mean `{near}`?")), name, &near, loc),
            (None, Some(other)) => diagnostic.note(format!("did you mean `{other}`? (a value, not a dim)")),
            (None, None) => diagnostic,
        })
    }

    /// A type whose names are all in scope.
    pub(super) fn tensor_type(&mut self, frame: &Frame, ty: &Type) -> Checks<Typed> {
        let TypeKind::Tensor(word, dims) = &ty.kind else { return Err(Poison) };
        let dtype = self.dtype(frame, word);
        let axes: Vec<Checks<Vec<(Dim, Whence)>>> = dims.iter().map(|dim| self.axes(frame, dim)).collect();
        let axes: Vec<(Dim, Whence)> = axes.into_iter().collect::<Checks<Vec<_>>>()?.into_iter().flatten().collect();
        let (dims, from): (Vec<Dim>, Vec<Whence>) = axes.into_iter().unzip();
        Ok(Typed { ty: TensorType::new(dtype?, dims), from })
    }

    /// The axes that one place of a type stands for.
    fn axes(&mut self, frame: &Frame, dim: &TypeDim) -> Checks<Vec<(Dim, Whence)>> {
        let loc = self.loc(frame, dim.span);
        match &dim.kind {
            TypeDimKind::Size(expr) => {
                let (value, from) = self.dim(frame, expr)?;
                self.require_size(&value, loc)?;
                let shown = self.show_dim(&value);
                let written = match &expr.kind {
                    ExprKind::Int(_) | ExprKind::Name(_) => None,
                    _ => Origin::new(loc, format!("`{shown}` is `{}`", self.text(loc))),
                };
                Ok(vec![(value, from.or(written))])
            }
            TypeDimKind::Pack(name) => match frame.packs.get(&*name.name) {
                Some((dims, from)) => Ok(dims.iter().cloned().zip(from.iter().cloned()).collect()),
                None => {
                    let message = format!("`..{}` is not a dim pack", name.name);
                    self.error("MDL0210", message, loc, "no parameter of a block or function introduces it")
                }
            },
            TypeDimKind::Counted(name, ..) => match frame.get(&name.name) {
                Some(_) => {
                    let (value, from) =
                        self.dim(frame, &Expr { kind: ExprKind::Name(name.name.clone()), span: name.span })?;
                    Ok(vec![(value, from)])
                }
                None => {
                    let message = format!("`{}` cannot be counted here", name.name);
                    let diagnostic = Diagnostic::error("MDL0210", message, loc, "no operator counts it");
                    self.report(
                        diagnostic.note("only a `let` of an operator such as `nonzero` introduces a counted dim"),
                    )
                }
            },
        }
    }

    /// Where two types differ. What cannot be told is guarded and counts as equal.
    pub(super) fn difference(&mut self, wanted: &TensorType, found: &TensorType, at: Loc) -> Option<Difference> {
        if wanted.dtype != found.dtype {
            return Some(Difference::DType);
        }
        if wanted.rank() != found.rank() {
            return Some(Difference::Rank);
        }
        for (axis, (a, b)) in wanted.dims.iter().zip(&found.dims).enumerate() {
            match self.graph.slots.equal(a, b) {
                Truth::Yes => {}
                Truth::No => return Some(Difference::Axis(axis)),
                Truth::Unknown if self.promised_equal(a, b) => {}
                Truth::Unknown => {
                    let question = format!("whether `{}` equals `{}`", self.show_dim(b), self.show_dim(a));
                    self.guard(a.clone() - b, true, &question, at);
                }
            }
        }
        None
    }

    fn promised_equal(&self, a: &Dim, b: &Dim) -> bool {
        let promised = |d: Dim| self.graph.facts.contains(&d);
        promised(a.clone() - b) && promised(b.clone() - a)
    }

    /// Compares a type with the one that `what` promises or wants.
    pub(super) fn require_type(
        &mut self,
        wanted: &Typed,
        given: &Given,
        what: &str,
        code: &'static str,
        declared: Loc,
    ) -> Checks<()> {
        let Some(difference) = self.difference(&wanted.ty, &given.ty, given.loc) else { return Ok(()) };
        let (wants, has) = (self.show(&wanted.ty), self.show(&given.ty));
        let (code, message) = match (difference, code) {
            (Difference::DType, "MDL0301") => {
                ("MDL0306", format!("expected {}, found {} for {what}", wanted.ty.dtype, given.ty.dtype))
            }
            _ => (code, format!("{what} is {wants}, found {has}")),
        };
        let diagnostic = Diagnostic::error(code, message, given.loc, format!("this is {has}"));
        let diagnostic = diagnostic.label(declared, format!("{wants} is wanted here"));
        let diagnostic = self.explain_difference(diagnostic, difference, wanted, given);
        self.report(diagnostic)
    }

    /// Adds which axes differ, and where each of the two sizes comes from.
    pub(super) fn explain_difference(
        &self,
        mut diagnostic: Diagnostic,
        difference: Difference,
        wanted: &Typed,
        given: &Given,
    ) -> Diagnostic {
        let found = &given.ty;
        match difference {
            Difference::DType if found.dtype.is_integer() != wanted.ty.dtype.is_integer() => {
                diagnostic = diagnostic.note("integers and floats are never converted silently");
                self.suggest_cast(diagnostic, given.loc, wanted.ty.dtype)
            }
            Difference::DType => self.suggest_cast(diagnostic, given.loc, wanted.ty.dtype),
            Difference::Rank => {
                let axes = |n| words::count(n, "axis", "axes");
                diagnostic.note(format!("{} are wanted, {} found", axes(wanted.ty.rank()), axes(found.rank())))
            }
            Difference::Axis(axis) => {
                let (a, b) = (&wanted.ty.dims[axis], &found.dims[axis]);
                let (x, y) = (self.show_dim(a), self.show_dim(b));
                diagnostic = diagnostic.note(format!("axis {axis}: `{y}` is not `{x}`"));
                let origins = [
                    self.origin_of(b, given.from.get(axis).unwrap_or(&None)),
                    self.origin_of(a, wanted.from.get(axis).unwrap_or(&None)),
                ];
                for from in origins.into_iter().flatten() {
                    if diagnostic.labels.iter().all(|label| label.loc != from.loc) {
                        diagnostic = diagnostic.label(from.loc, from.text.clone());
                    }
                }
                diagnostic
            }
        }
    }

    /// Leaves to the run what cannot be decided: `dim` must not be negative, or must be zero.
    pub(super) fn guard(&mut self, dim: Dim, exactly_zero: bool, question: &str, loc: Loc) {
        self.guard_against(dim, exactly_zero, question, loc, None);
    }

    /// A guard on a bound that comes from somewhere.
    pub(super) fn guard_against(&mut self, dim: Dim, exactly_zero: bool, question: &str, loc: Loc, bound: Whence) {
        if self.standalone || self.unroll.is_some() {
            return;
        }
        let message = format!("it does not hold {}", question.trim_start_matches("whether "));
        let known = |guards: &[GuardNode], dim: &Dim| {
            guards.iter().any(|guard| guard.at_least_zero == *dim && guard.exactly_zero == exactly_zero)
        };
        let mut open = self.at_call_entry(dim.clone());
        open.retain(|dim| !known(&self.guards, dim));
        if open.is_empty() {
            return;
        }
        let guard = |at_least_zero| GuardNode { at_least_zero, exactly_zero, message: message.clone(), loc };
        self.guards.extend(open.into_iter().map(guard));
        let message = format!("cannot tell {question}");
        let mut diagnostic = match self.options.deny_guards {
            true => Diagnostic::error("MDL0303", message, loc, "not decided here"),
            false => Diagnostic::warning("MDL0303", message, loc, "checked when the model is called")
                .note("a run-time check was added; `mlc check --deny-guards` makes this an error"),
        };
        let mut slots: Vec<_> = dim.slots().collect();
        slots.dedup();
        let slots = slots.into_iter().take(4).map(|slot| self.slot_origins.get(&slot).cloned().flatten());
        for from in slots.chain([bound]).flatten() {
            if diagnostic.labels.iter().all(|label| label.loc != from.loc) {
                diagnostic = diagnostic.label(from.loc, from.text.clone());
            }
        }
        if let Some(assert) = as_assert(question) {
            diagnostic = diagnostic.help(format!("add  assert {assert}"));
        }
        let _: Checks<()> = self.report(diagnostic);
    }

    /// A guard inside loops, as guards that name no counter: at the first and at the last iteration.
    fn at_call_entry(&self, dim: Dim) -> Vec<Dim> {
        let mut all = vec![dim];
        for around in self.loops.iter().rev() {
            if !all.iter().any(|dim| dim.slots().any(|slot| slot == around.counter)) {
                continue;
            }
            let trips = match self.graph.slots.def(around.counter) {
                mlc_codegen::base::SlotDef::Counter { trips, .. } => trips.clone(),
                _ => continue,
            };
            let ends = [Dim::from(0), trips - 1];
            let at = |dim: &Dim, end: &Dim| {
                dim.substitute(&mut |slot| if slot == around.counter { end.clone() } else { Dim::slot(slot) })
            };
            all = all.iter().flat_map(|dim| ends.iter().map(move |end| at(dim, end))).collect();
        }
        all.sort();
        all.dedup();
        all
    }
}

/// The assertion that would settle a question.
fn as_assert(question: &str) -> Option<String> {
    let mut quoted = question.split('`').skip(1).step_by(2);
    let (a, b) = (quoted.next()?, quoted.next());
    match b {
        Some(b) if question.contains("fits in") => Some(format!("{a} <= {b}")),
        Some(b) if question.contains("equals") => Some(format!("{a} == {b}")),
        None if question.contains("is a size") => Some(format!("{a} >= 0")),
        _ => None,
    }
}
