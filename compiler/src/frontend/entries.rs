//! Entries: arguments become inputs and sizes of the graph, and what is returned its outputs. Also `assert`.

use super::elaborate::Elaborator;
use super::functions::Takes;
use super::fused;
use super::origin::Origin;
use super::scope::Frame;
use super::statics::is_comparison;
use super::term::{Checks, Operand, Poison, Static, Term};
use crate::diag::Diagnostic;
use crate::graph::{Entry, GuardNode, Input, ValueId};
use crate::types::Loc;
use mlc_codegen::base::{Dim, SlotDef, Truth};
use mlc_grammar::ast::{BinaryOp, Expr, ExprKind, Func, Link, Member, Ret};
use std::collections::HashMap;
use std::rc::Rc;

impl<'t> Elaborator<'t> {
    /// Elaborates an entry of the model whose names are in `around`.
    pub(super) fn entry(&mut self, around: &Frame, func: &'t Func, member: &'t Member) {
        let mut frame = around.clone();
        frame.scopes.push(HashMap::new());
        let facts = self.graph.facts.len();
        let names = self.external_names(&frame, func, &member.attrs);
        let pushed = self.enter_attributes(&frame, &member.attrs);
        let (mut inputs, mut sizes) = (vec![], vec![]);
        for param in &func.params {
            let loc = self.loc(&frame, param.name.span);
            let name = &*param.name.name;
            if frame.scopes.last().is_some_and(|scope| scope.contains_key(name)) {
                let message = format!("`{name}` is an argument twice");
                let _: Checks<()> = self.error("MDL0202", message, loc, "the second time");
            }
            self.introduces(name, "argument", loc);
            if self.takes(frame.module, func, param) == Takes::Size {
                let slot = self.size_argument(name, self.loc(&frame, param.span));
                let from = self.slot_origins.get(&slot).cloned().flatten();
                frame.bind(name, Ok(Term::Static(Static::Dim(Dim::slot(slot), from))), loc);
                sizes.push((names.get(name).cloned().unwrap_or_else(|| name.to_owned()), slot));
                continue;
            }
            let term = self.tensor_type(&frame, &param.ty).map(|typed| {
                let value = self.value(typed.ty, Some(name.to_owned()), self.loc(&frame, param.span));
                let external = names.get(name).cloned().unwrap_or_else(|| name.to_owned());
                inputs.push(Input { name: external, value });
                Term::Tensor(Operand { value, from: typed.from.into(), name: Some(Rc::new((name.to_owned(), loc))) })
            });
            frame.bind(name, term, loc);
        }
        let result = self.body(&mut frame, func);
        self.leave_attributes(pushed);
        self.writes.clear();
        let (body, guards) = (std::mem::take(&mut self.block), std::mem::take(&mut self.guards));
        self.keep_own_facts(facts, &sizes);
        let Ok(result) = result else { return };
        let outputs = outputs(func, result, &names);
        let values: Vec<ValueId> = outputs.iter().map(|(_, value)| *value).collect();
        fused::name_results(&mut self.graph, &body, &values);
        let docs: Vec<&str> = member.docs.iter().map(|line| line.value.trim()).collect();
        let name = names.get("").cloned().unwrap_or_else(|| func.name.name.to_string());
        let loc = self.loc(&frame, func.name.span);
        self.graph.entries.push(Entry { name, doc: docs.join("\n"), inputs, sizes, guards, body, outputs, loc });
    }

    fn size_argument(&mut self, name: &str, loc: Loc) -> mlc_codegen::base::Slot {
        let pinned = self.options.dims.iter().rev().find(|(own, _)| own == name).map(|(_, value)| *value);
        if pinned.is_some() {
            self.pinned.insert(name.to_owned());
        }
        let (lo, hi) = pinned.map_or((0, i64::MAX), |value| (value, value));
        let slot = self.graph.slots.add(SlotDef::Given { name: name.into(), lo, hi, size: true });
        let bound = if pinned.is_some() { "is pinned by -D" } else { "has no upper bound" };
        self.slot_origins.insert(slot, Origin::new(loc, format!("`{name}: size` {bound}")));
        slot
    }

    /// What an entry asserts of the model's dims need not hold in another one: only facts on its own sizes stay.
    fn keep_own_facts(&mut self, before: usize, sizes: &[(String, mlc_codegen::base::Slot)]) {
        let own = |fact: &Dim| fact.slots().any(|slot| sizes.iter().any(|(_, size)| *size == slot));
        let kept: Vec<Dim> = self.graph.facts.drain(before..).filter(own).collect();
        self.graph.facts.extend(kept);
    }

    /// `assert a <= b`: checked at call entry, and a fact from here on.
    pub(super) fn assert(&mut self, frame: &Frame, expr: &Expr) -> Checks<()> {
        let loc = self.loc(frame, expr.span);
        if let ExprKind::Chain(first, links) = &expr.kind {
            if links.iter().all(|link| link.op == BinaryOp::And) {
                let all: Vec<Checks<()>> = [&**first]
                    .into_iter()
                    .chain(links.iter().map(|link| &link.operand))
                    .map(|e| self.assert(frame, e))
                    .collect();
                return all.into_iter().collect();
            }
            if let [link] = links.as_slice()
                && is_comparison(link.op)
            {
                return self.assert_comparison(frame, (first, link), loc);
            }
        }
        match self.expr(frame, expr)? {
            Term::Static(value) => match value.plain() {
                Static::Bool(true) | Static::Unknown => Ok(()),
                Static::Bool(false) => self.error("MDL0313", "this assertion never holds", loc, "it is false"),
                other => self.error("MDL0306", "an assertion is a bool", loc, format!("this is {}", other.kind())),
            },
            other => self.not_of_sizes(loc, other.kind()),
        }
    }

    fn not_of_sizes<T>(&mut self, loc: Loc, kind: &str) -> Checks<T> {
        let diagnostic =
            Diagnostic::error("MDL0205", "an assertion is about dims and sizes", loc, format!("this is {kind}"));
        self.report(diagnostic.note("it is checked when an entry is called, before anything is computed"))
    }

    fn assert_comparison(&mut self, frame: &Frame, (first, link): (&Expr, &Link), loc: Loc) -> Checks<()> {
        let (a, b) = (self.expr(frame, first), self.expr(frame, &link.operand));
        let (a, b) = match (a?, b?) {
            (Term::Static(a), Term::Static(b)) => (a, b),
            (Term::Static(_), other) | (other, _) => return self.not_of_sizes(loc, other.kind()),
        };
        if let Some(value) = self.static_binary(link.op, &a, &b, loc)? {
            return match value.plain() {
                Static::Bool(false) => {
                    let label = "it is false for every size that is allowed";
                    self.error("MDL0313", "this assertion never holds", loc, label)
                }
                _ => Ok(()),
            };
        }
        let (Some(a), Some(b)) = (a.as_dim(), b.as_dim()) else { return self.not_of_sizes(loc, "not of sizes") };
        let facts: Vec<Dim> = match link.op {
            BinaryOp::Le => vec![b.clone() - a],
            BinaryOp::Lt => vec![b.clone() - a - 1],
            BinaryOp::Ge => vec![a.clone() - b],
            BinaryOp::Gt => vec![a.clone() - b - 1],
            BinaryOp::Eq => vec![a.clone() - b, b.clone() - a],
            _ => {
                let diagnostic = Diagnostic::error("MDL0205", "`!=` cannot be asserted", loc, "not a range of sizes");
                return self.report(diagnostic.help("use <, <=, ==, >= or >"));
            }
        };
        if self.unroll.is_some() {
            return Err(Poison);
        }
        let message = format!("it does not hold that {}", self.text(loc).trim());
        let exactly_zero = link.op == BinaryOp::Eq;
        for dim in facts.iter().take(1) {
            if self.at_most(&Dim::from(0), dim) != Truth::Yes || exactly_zero {
                let guard = GuardNode { at_least_zero: dim.clone(), exactly_zero, message: message.clone(), loc };
                self.guards.push(guard);
            }
        }
        self.graph.facts.extend(facts);
        Ok(())
    }
}

/// The results of an entry by name: `out` where it has none.
fn outputs(func: &Func, result: Term, names: &HashMap<String, String>) -> Vec<(String, ValueId)> {
    let terms = match result {
        Term::Tuple(terms) => terms,
        one => vec![one],
    };
    let name = |i: usize| match &func.ret {
        Ret::Named(fields) => fields[i].name.name.to_string(),
        Ret::Type(_) => "out".to_owned(),
    };
    let value = |(i, term): (usize, Term)| match term {
        Term::Tensor(operand) => Some((names.get(&name(i)).cloned().unwrap_or_else(|| name(i)), operand.value)),
        _ => None,
    };
    terms.into_iter().enumerate().filter_map(value).collect()
}
