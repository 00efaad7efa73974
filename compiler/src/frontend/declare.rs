//! `dim` and `const`: names for what is known at compile time.

use super::elaborate::Elaborator;
use super::origin::{Origin, Whence};
use super::scope::Frame;
use super::term::{Checks, Poison, Static, Term};
use crate::diag::Diagnostic;
use crate::types::Loc;
use mlc_codegen::base::{Dim, SlotDef};
use mlc_grammar::ast::{self, BinaryOp, DimKind, Expr, ExprKind, Span, TypeKind};

/// Where a declaration stands, and so what it may leave open.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Place {
    /// A model, or the top level of the file that is checked: `-D` applies.
    Model,
    /// The top level of an imported file.
    File,
    /// A body.
    Body,
}

impl Elaborator<'_> {
    /// What a `dim` stands for.
    pub(super) fn dim_declaration(&mut self, frame: &Frame, dim: &ast::Dim, span: Span, place: Place) -> Checks<Term> {
        let (name, loc) = (&*dim.name.name, self.loc(frame, span));
        let pinned = match place {
            Place::Model => self.options.dims.iter().rev().find(|(own, _)| own == name).map(|(_, value)| *value),
            _ => None,
        };
        if pinned.is_some() {
            self.pinned.insert(name.to_owned());
        }
        match &dim.kind {
            DimKind::Is(expr) => {
                let (value, _) = self.dim(frame, expr)?;
                if let Some(value) = pinned {
                    return Ok(self.pinned_dim(name, value, loc));
                }
                self.whole_division(frame, expr)?;
                self.require_size(&value, self.loc(frame, expr.span))?;
                let shown = self.show_dim(&value);
                let from = self.text(loc).trim();
                let from = Origin::new(loc, format!("`{shown}` comes from `{from}`"));
                Ok(Term::Static(Static::Dim(value, from)))
            }
            _ if place == Place::Body => {
                let message = format!("`dim {name}` has no value here");
                let diagnostic = Diagnostic::error("MDL0205", message, loc, "a dim of a body needs a value");
                self.report(diagnostic.help(format!("write it: dim {name} = …, or declare it in the model")))
            }
            DimKind::Free => self.symbol(name, (0, i64::MAX), loc, pinned),
            DimKind::Range(lo, hi) => {
                let range = self.bounds(frame, lo, hi, loc)?;
                self.symbol(name, range, loc, pinned)
            }
        }
    }

    /// A new symbolic dim, or the number it is pinned to.
    fn symbol(&mut self, name: &str, (lo, hi): (i64, i64), loc: Loc, pinned: Option<i64>) -> Checks<Term> {
        if let Some(value) = pinned {
            if value < lo || value > hi {
                let message = format!("-D {name}={value} is outside {lo}..={}", bound(hi));
                return self.error("MDL0312", message, loc, "declared here");
            }
            if value != 1 {
                return Ok(self.pinned_dim(name, value, loc));
            }
        }
        let (lo, hi) = pinned.map_or((lo, hi), |value| (value, value));
        let slot = self.graph.slots.add(SlotDef::Given { name: name.into(), lo, hi, size: false });
        let range = if hi == i64::MAX { String::new() } else { format!(", {lo}..={hi}") };
        let from = Origin::new(loc, format!("`{name}` is declared here{range}"));
        self.slot_origins.insert(slot, from.clone());
        Ok(Term::Static(Static::Dim(Dim::slot(slot), from)))
    }

    fn pinned_dim(&mut self, name: &str, value: i64, loc: Loc) -> Term {
        Term::Static(Static::Dim(value.into(), Origin::new(loc, format!("`{value}` comes from -D {name}={value}"))))
    }

    /// The bounds of a range of sizes.
    pub(super) fn bounds(&mut self, frame: &Frame, lo: &Expr, hi: &Expr, loc: Loc) -> Checks<(i64, i64)> {
        let (least, most) = (self.dim(frame, lo)?.0, self.dim(frame, hi)?.0);
        match (least.as_constant(), most.as_constant()) {
            (Some(lo), Some(hi)) if (0..=hi).contains(&lo) => Ok((lo, hi)),
            (Some(lo), Some(hi)) => {
                let label = if lo > hi { "it holds no number" } else { "a size is never negative" };
                self.error("MDL0312", format!("{lo}..={hi} is no range of sizes"), loc, label)
            }
            _ => self.error("MDL0205", "the range of a dim must be two integers", loc, "declared here"),
        }
    }

    /// A whole `a / b` of static sizes must leave no remainder.
    fn whole_division(&mut self, frame: &Frame, expr: &Expr) -> Checks<()> {
        let ExprKind::Chain(first, links) = &expr.kind else { return Ok(()) };
        let [ast::Link { op: BinaryOp::Div, operand, .. }] = links.as_slice() else { return Ok(()) };
        let ((a, from_a), (b, from_b)) = (self.dim(frame, first)?, self.dim(frame, operand)?);
        let (Some(p), Some(q)) = (a.as_constant(), b.as_constant()) else { return Ok(()) };
        if q <= 0 || p % q == 0 {
            return Ok(());
        }
        let loc = self.loc(frame, expr.span);
        let mut diagnostic = Diagnostic::error(
            "MDL0304",
            format!("{p} is not divisible by {q}"),
            loc,
            format!("this leaves a remainder of {}", p % q),
        );
        for from in [from_b, from_a].into_iter().flatten() {
            diagnostic = diagnostic.label(from.loc, from.text.clone());
        }
        let near = divisors_near(p, q);
        if !near.is_empty() {
            let shown: Vec<String> = near.iter().map(i64::to_string).collect();
            diagnostic = diagnostic.help(format!("numbers that divide {p} near {q}: {}", shown.join(", ")));
        }
        self.report(diagnostic)
    }

    /// `const NAME: TYPE = VALUE`.
    pub(super) fn const_declaration(&mut self, frame: &Frame, constant: &ast::Const) -> Checks<Term> {
        let loc = self.loc(frame, constant.value.span);
        let value = match self.expr(frame, &constant.value)? {
            Term::Static(value) => value,
            other => {
                let message = format!("`{}` must be known at compile time", constant.name.name);
                return self.error("MDL0205", message, loc, format!("this is {}", other.kind()));
            }
        };
        let Some(ty) = &constant.ty else { return Ok(Term::Static(value)) };
        if let TypeKind::Tensor(word, dims) = &ty.kind
            && dims.is_empty()
            && matches!(&*word.name, "int" | "size")
        {
            return match value.as_dim() {
                Some(_) => Ok(Term::Static(value)),
                None => self.error("MDL0306", format!("expected an integer, found {}", value.kind()), loc, "here"),
            };
        }
        let typed = self.tensor_type(frame, ty)?;
        if typed.ty.rank() == 0 {
            if self.number_of(&value, typed.ty.dtype, loc)?.is_none() && !value.unknown() {
                let message = format!("expected {}, found {}", typed.ty.dtype, value.kind());
                return self.error("MDL0306", message, loc, "this is the value");
            }
            let plain = value.plain().clone();
            return Ok(Term::Static(Static::Typed(Box::new(plain), typed.ty.dtype)));
        }
        self.listed_tensor(&value, &typed.ty, loc)?;
        Ok(Term::Static(Static::Typed(Box::new(value.plain().clone()), typed.ty.dtype)))
    }

    /// Refuses a size that is negative; one that may be is guarded.
    pub(super) fn require_size(&mut self, dim: &Dim, loc: Loc) -> Checks<()> {
        match dim.as_constant() {
            Some(value) if value >= 0 => return Ok(()),
            Some(value) => return self.error("MDL0312", "a size is negative", loc, format!("this is {value}")),
            None if dim.as_slot().is_some() => return Ok(()),
            None => {}
        }
        let zero = Dim::from(0);
        match self.at_most(&zero, dim) {
            mlc_codegen::base::Truth::Yes => Ok(()),
            mlc_codegen::base::Truth::No => {
                let message = format!("the size `{}` is negative", self.show_dim(dim));
                self.error("MDL0312", message, loc, "for every size that is allowed")
            }
            mlc_codegen::base::Truth::Unknown => {
                let question = format!("whether `{}` is a size, 0 or more", self.show_dim(dim));
                self.guard(dim.clone(), false, &question, loc);
                Ok(())
            }
        }
    }

    /// What says where a dim comes from: what is kept beside it, or the declaration of its symbol.
    pub(super) fn origin_of(&self, dim: &Dim, beside: &Whence) -> Whence {
        let own = || self.slot_origins.get(&dim.as_slot()?).cloned().flatten();
        beside.clone().or_else(own)
    }

    /// A name that is poisoned: what uses it stays silent.
    pub(super) fn lose(&mut self, frame: &mut Frame, names: &[ast::Ident]) {
        for name in names {
            let loc = self.loc(frame, name.span);
            frame.bind(&name.name, Err(Poison), loc);
        }
    }
}

fn bound(hi: i64) -> String {
    if hi == i64::MAX { "…".into() } else { hi.to_string() }
}

/// The divisors of `p` on both sides of `q`.
fn divisors_near(p: i64, q: i64) -> Vec<i64> {
    if !(1..=1 << 40).contains(&p) || q > 1 << 20 {
        return vec![];
    }
    let below = (1..q).rev().find(|d| p % d == 0);
    let above = (q + 1..=p.min(q.saturating_mul(8))).find(|d| p % d == 0);
    below.into_iter().chain(above).filter(|d| *d > 1).collect()
}
