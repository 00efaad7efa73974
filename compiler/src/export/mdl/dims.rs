//! Dims as expressions over the names in scope.
//!
//! Invariant: the text depends on meaning and names only, not on the numbers of slots, so that it survives being read.

use super::tree;
use crate::types::TensorType;
use mlc_codegen::base::{Dim, Slot, SlotDef, Slots};
use mlc_grammar::ast::{BinaryOp, Expr, Type, TypeDimKind};
use mlc_grammar::print_expr;
use std::collections::BTreeMap;

/// The names of slots that are in scope.
#[derive(Clone, Debug)]
pub(super) struct Scope<'g> {
    slots: &'g Slots,
    /// A name stands for its slot plus a number: a loop may be counted from another start than 0.
    names: BTreeMap<Slot, (String, i64)>,
    /// Names of other numbers: `step * counter + first`, by counter, first and step.
    numbers: BTreeMap<(Slot, i64, i64), String>,
}

impl<'g> Scope<'g> {
    pub(super) fn new(slots: &'g Slots) -> Self {
        Scope { slots, names: BTreeMap::new(), numbers: BTreeMap::new() }
    }

    /// `name` stands for `slot + start` from here on.
    pub(super) fn bind(&mut self, slot: Slot, name: &str, start: i64) {
        self.names.insert(slot, (name.to_owned(), start));
    }

    /// The name of a slot and what it counts from, where it is in scope.
    pub(super) fn get(&self, slot: Slot) -> Option<&(String, i64)> {
        self.names.get(&slot)
    }

    /// Whether a name stands for a slot here.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.values().any(|(own, _)| own == name)
    }

    /// The name of `step * counter + first`, made by `name` where there is none; and whether it was made now.
    pub(super) fn number(&mut self, key: (Slot, i64, i64), name: impl FnOnce() -> String) -> (String, bool) {
        let known = self.numbers.get(&key).cloned();
        let made = known.is_none();
        (known.unwrap_or_else(|| self.numbers.entry(key).or_insert_with(name).clone()), made)
    }

    /// The given, counted and counter slots that a dim is made of.
    pub(super) fn leaves(&self, dim: &Dim) -> Vec<Slot> {
        let mut found = vec![];
        for slot in dim.slots() {
            match self.slots.def(slot) {
                SlotDef::Floor(a, _) => found.extend(self.leaves(a)),
                SlotDef::Quotient(a, b) | SlotDef::Max(a, b) | SlotDef::Min(a, b) => {
                    found.extend(self.leaves(a).into_iter().chain(self.leaves(b)));
                }
                _ => found.push(slot),
            }
        }
        found
    }

    /// A dim as it is written: the highest degree first, then by name, a negative term never first if another can be.
    pub(super) fn dim(&self, dim: &Dim) -> Expr {
        let start = |slot| self.names.get(&slot).map_or(0, |(_, start)| *start);
        let dim = dim.substitute(&mut |slot| Dim::slot(slot) - start(slot));
        let mut terms: Vec<(usize, String, i64, Vec<Expr>)> = vec![];
        for (slots, coefficient) in dim.terms() {
            let mut factors: Vec<(String, Expr)> = slots.iter().map(|slot| keyed(self.slot(*slot))).collect();
            factors.sort_by(|a, b| a.0.cmp(&b.0));
            let key: Vec<&str> = factors.iter().map(|(text, _)| text.as_str()).collect();
            terms.push((slots.len(), key.join(" "), *coefficient, factors.iter().map(|(_, e)| e.clone()).collect()));
        }
        terms.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        if let Some(positive) = terms.iter().position(|term| term.2 > 0) {
            let first = terms.remove(positive);
            terms.insert(0, first);
        }
        let mut terms = terms.into_iter();
        let Some((_, _, coefficient, factors)) = terms.next() else { return tree::int(0) };
        let first = product(coefficient, factors);
        let links = terms.map(|(_, _, coefficient, factors)| match coefficient {
            i64::MIN => (BinaryOp::Add, product(coefficient, factors)),
            c if c < 0 => (BinaryOp::Sub, product(-c, factors)),
            c => (BinaryOp::Add, product(c, factors)),
        });
        tree::chain(first, links.collect())
    }

    fn slot(&self, slot: Slot) -> Expr {
        if let Some((name, _)) = self.names.get(&slot) {
            return tree::name(name);
        }
        let pair = |word: &str, a: &Dim, b: &Dim| {
            let mut args = [keyed(self.dim(a)), keyed(self.dim(b))];
            args.sort_by(|a, b| a.0.cmp(&b.0));
            tree::call(tree::name(word), args.into_iter().map(|(_, dim)| tree::arg(dim)).collect())
        };
        let quotient = |a: &Dim, b: Expr| tree::chain(self.dim(a), vec![(BinaryOp::Div, b)]);
        match self.slots.def(slot) {
            SlotDef::Given { name, .. } | SlotDef::Counted { name, .. } | SlotDef::Counter { name, .. } => {
                tree::name(name)
            }
            SlotDef::Floor(a, k) => quotient(a, tree::int(*k)),
            SlotDef::Quotient(a, b) => quotient(a, self.dim(b)),
            SlotDef::Max(a, b) => pair("max", a, b),
            SlotDef::Min(a, b) => pair("min", a, b),
        }
    }

    /// `a <= b` or `a == b` as expressions of the parts of `b - a`.
    pub(super) fn sides(&self, difference: &Dim) -> (Expr, Expr) {
        let start = |slot| self.names.get(&slot).map_or(0, |(_, start)| *start);
        let shown = difference.substitute(&mut |slot| Dim::slot(slot) - start(slot));
        let part = |keep: fn(i64) -> bool| {
            let terms = shown.terms().iter().filter(|(_, c)| keep(*c)).cloned().collect();
            let dim = Dim::from_terms(terms, false);
            dim.substitute(&mut |slot| Dim::slot(slot) + start(slot))
        };
        (self.dim(&(-part(|c| c < 0))), self.dim(&part(|c| c > 0)))
    }

    /// A type.
    pub(super) fn ty(&self, ty: &TensorType) -> Type {
        let dims = ty.dims.iter().map(|dim| TypeDimKind::Size(self.dim(dim))).collect();
        tree::tensor_type(ty.dtype.name(), dims)
    }
}

fn keyed(expr: Expr) -> (String, Expr) {
    (print_expr(&expr), expr)
}

fn product(coefficient: i64, factors: Vec<Expr>) -> Expr {
    let mut all = factors.into_iter();
    let first = match (coefficient, all.next()) {
        (c, None) => return tree::int(c),
        (1, Some(first)) => first,
        (-1, Some(first)) => tree::negated(first),
        (c, Some(first)) => {
            let rest = std::iter::once(first).chain(all).map(|factor| (BinaryOp::Mul, factor));
            return tree::chain(tree::int(c), rest.collect());
        }
    };
    tree::chain(first, all.map(|factor| (BinaryOp::Mul, factor)).collect())
}
