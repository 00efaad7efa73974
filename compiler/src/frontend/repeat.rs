//! `repeat`: elaborated once with the counter as a dim, and unrolled only where a number must be known.

use super::elaborate::{Elaborator, Loop};
use super::origin::{Origin, Whence};
use super::scope::Frame;
use super::term::{Checks, Operand, Poison, Static, Term};
use super::unify::Given;
use crate::diag::Diagnostic;
use crate::graph::{Block, NodeKind, Repeat, ValueId};
use crate::types::{Loc, TensorType};
use mlc_codegen::base::{DType, Dim, SlotDef};
use mlc_grammar::ast::{Body, Expr, Ident};
use std::collections::HashMap;
use std::rc::Rc;

/// No loop is unrolled further.
const MOST_UNROLLED: i64 = 4096;

/// What is written.
#[derive(Clone, Copy)]
pub(super) struct Parts<'t> {
    pub(super) index: &'t Ident,
    pub(super) start: &'t Expr,
    pub(super) end: &'t Expr,
    pub(super) cond: Option<&'t Expr>,
    pub(super) carry: &'t [Ident],
    pub(super) body: &'t Body,
}

/// A carried name: what it is before the loop.
struct Carried {
    name: Rc<str>,
    /// Where the name stands after `carry`.
    loc: Loc,
    initial: Checks<Operand>,
}

/// Lengths to return to when a body is elaborated again.
struct Mark {
    nodes: usize,
    diagnostics: usize,
    guards: usize,
    facts: usize,
    missing: usize,
    overrides: usize,
    writes: Vec<super::state::Write>,
}

impl<'t> Elaborator<'t> {
    /// A `repeat` statement: its carried names are bound to what they are after it.
    pub(super) fn repeat(&mut self, frame: &mut Frame, parts: Parts<'t>, loc: Loc) {
        let bounds = self.trips(frame, &parts, loc);
        let carried = self.carried(frame, &parts);
        let Ok((start, trips)) = bounds else {
            self.lose(frame, parts.carry);
            return;
        };
        let mark = self.mark();
        let depth = self.loops.len();
        let rolled = self.rolled(frame, &parts, &carried, (&start, &trips), loc);
        let results = match self.unroll {
            Some(wanted) if wanted == depth => {
                self.unroll = None;
                self.reset(mark);
                self.unrolled(frame, &parts, &carried, (&start, &trips), loc)
            }
            _ => rolled,
        };
        for (carried, result) in carried.iter().zip(results) {
            let term = result.map(|operand| self.named(Term::Tensor(operand), &carried.name, carried.loc));
            self.introduces(&carried.name, "carried", carried.loc);
            if let Some(usage) = self.uses.get_mut(&carried.loc) {
                usage.used = true;
            }
            frame.bind(&carried.name, term, carried.loc);
        }
    }

    /// The first index, and how often the loop runs.
    fn trips(&mut self, frame: &Frame, parts: &Parts, loc: Loc) -> Checks<(Dim, Dim)> {
        let (start, end) = (self.dim(frame, parts.start), self.dim(frame, parts.end));
        let (start, end) = (start?.0, end?.0);
        let trips = end - &start;
        let at = self.loc(frame, parts.start.span.to(parts.end.span));
        match trips.as_constant() {
            Some(n) if n < 0 => {
                self.error("MDL0312", "this range is empty: it ends before it begins", at, "counted upwards")
            }
            Some(_) => Ok((start, trips)),
            None => {
                self.known_integer(&trips)?;
                self.require_size(&trips, if at.end > at.start { at } else { loc })?;
                Ok((start, trips))
            }
        }
    }

    fn carried(&mut self, frame: &Frame, parts: &Parts) -> Vec<Carried> {
        let mut all: Vec<Carried> = vec![];
        for ident in parts.carry {
            let (name, loc): (Rc<str>, _) = ((*ident.name).into(), self.loc(frame, ident.span));
            let initial = self.lookup(frame, &ident.name, loc).and_then(|term| self.tensor(frame, &term, None, loc));
            if all.iter().any(|other| other.name == name) {
                let _: Checks<()> = self.error("MDL0202", format!("`{name}` is carried twice"), loc, "the second time");
                continue;
            }
            all.push(Carried { name, loc, initial });
        }
        all
    }

    fn rolled(
        &mut self,
        frame: &mut Frame,
        parts: &Parts<'t>,
        carried: &[Carried],
        (start, trips): (&Dim, &Dim),
        loc: Loc,
    ) -> Vec<Checks<Operand>> {
        let index = self.loc(frame, parts.index.span);
        let def = SlotDef::Counter { name: parts.index.name.to_string(), trips: trips.clone() };
        let counter = self.graph.slots.add(def);
        let known = trips.as_constant();
        let name = parts.index.name.to_string();
        self.loops.push(Loop { counter, start: start.clone(), trips: known, name, loc: index });
        frame.scopes.push(HashMap::new());
        let from = Origin::new(index, format!("`{}` is the index of this loop", parts.index.name));
        let value = Static::Dim(Dim::slot(counter) + start, from);
        frame.bind(&parts.index.name, Ok(Term::Static(value)), index);
        let params: Vec<Checks<Operand>> = carried.iter().map(|carried| self.param(frame, carried)).collect();
        let writes = std::mem::take(&mut self.writes);
        let condition = parts.cond.map(|cond| self.condition(frame, cond));
        let mut block = Block::default();
        self.inside(&mut block, |e| parts.body.stmts.iter().for_each(|stmt| e.statement(frame, stmt)));
        self.require_writers_once(writes);
        let results = self.inside(&mut block, |e| {
            let results = carried.iter().zip(&params).map(|(carried, param)| e.next(frame, carried, param));
            results.collect::<Vec<_>>()
        });
        frame.scopes.pop();
        self.loops.pop();
        let failed = condition.as_ref().is_some_and(Result::is_err);
        if failed || params.iter().any(Result::is_err) || results.iter().any(Result::is_err) {
            return vec![Err(Poison); carried.len()];
        }
        let values = |all: &[Checks<Operand>]| all.iter().flatten().map(|operand| operand.value).collect::<Vec<_>>();
        let inputs: Vec<ValueId> = carried.iter().flat_map(|c| &c.initial).map(|operand| operand.value).collect();
        let initial = || carried.iter().map(|carried| carried.initial.clone()).collect::<Vec<_>>();
        if known == Some(0) {
            return initial();
        }
        let outputs: Vec<Operand> = carried
            .iter()
            .flat_map(|carried| carried.initial.as_ref().map(|operand| (operand, carried)))
            .map(|(operand, carried)| {
                let ty = self.graph.ty(operand.value).clone();
                let value = self.value(ty, Some(carried.name.to_string()), carried.loc);
                Operand { value, from: operand.from.clone(), name: None }
            })
            .collect();
        let repeat = Repeat {
            counter,
            trips: trips.clone(),
            condition: condition.and_then(Result::ok),
            params: values(&params),
            body: block,
            results: values(&results),
        };
        let defined = outputs.iter().map(|operand| operand.value).collect();
        self.push(frame, NodeKind::Repeat(Box::new(repeat)), inputs, defined, loc);
        outputs.into_iter().map(Ok).collect()
    }

    /// A carried name at the start of an iteration.
    fn param(&mut self, frame: &mut Frame, carried: &Carried) -> Checks<Operand> {
        let operand = carried.initial.clone().map(|initial| {
            let ty = self.graph.ty(initial.value).clone();
            let value = self.value(ty, Some(carried.name.to_string()), carried.loc);
            Operand { value, from: initial.from, name: Some(Rc::new((carried.name.to_string(), carried.loc))) }
        });
        frame.bind(&carried.name, operand.clone().map(Term::Tensor), carried.loc);
        operand
    }

    /// `while c`: a block of its own, read before each iteration.
    fn condition(&mut self, frame: &Frame, cond: &Expr) -> Checks<(Block, ValueId)> {
        let at = self.loc(frame, cond.span);
        let mut block = Block::default();
        let flag = self.inside(&mut block, |e| {
            let term = e.expr(frame, cond)?;
            e.tensor(frame, &term, Some(DType::Bool), at)
        })?;
        let ty = self.graph.ty(flag.value).clone();
        if ty != TensorType::scalar(DType::Bool) {
            let shown = self.show(&ty);
            return self.error("MDL0306", "a condition is a bool scalar", at, format!("this is {shown}"));
        }
        Ok((block, flag.value))
    }

    /// What a carried name is at the end of an iteration: its last binding at the top level of the body.
    fn next(&mut self, frame: &Frame, carried: &Carried, param: &Checks<Operand>) -> Checks<Operand> {
        let binding = frame.scopes.last().and_then(|scope| scope.get(&carried.name)).cloned();
        let binding = binding.ok_or(Poison)?;
        let param = param.as_ref().map_err(|poison| *poison)?;
        if let Some(usage) = self.uses.get_mut(&binding.loc) {
            usage.used = true;
        }
        let term = binding.term?;
        let ty = self.graph.ty(param.value).clone();
        let operand = self.tensor(frame, &term, Some(ty.dtype), binding.loc)?;
        if operand.value == param.value && binding.loc == carried.loc && !self.standalone && self.unroll.is_none() {
            let message = format!("`{}` is carried, but the body never binds it", carried.name);
            let diagnostic = Diagnostic::warning("MDL0905", message, carried.loc, "the same in every iteration");
            self.diagnostics
                .push(diagnostic.help(format!("remove it from `carry`, or bind it: let {} = …", carried.name)));
        }
        let wanted = super::typing::Typed { ty, from: param.from.to_vec() };
        let given: Given = self.given(&operand, binding.loc);
        let Some(difference) = self.difference(&wanted.ty, &given.ty, binding.loc) else { return Ok(operand) };
        let (was, is) = (self.show(&wanted.ty), self.show(&given.ty));
        let message = format!("the body of `repeat` changes the type of `{}`", carried.name);
        let diagnostic = Diagnostic::error("MDL0307", message, binding.loc, format!("{is} here"))
            .label(carried.loc, format!("was {was} on entry"))
            .note("a carried value must keep its type from one iteration to the next");
        let diagnostic = self.explain_difference(diagnostic, difference, &wanted, &given);
        // The place is the name that is bound, not the value: nothing can be written around it.
        self.report(Diagnostic { fixes: vec![], ..diagnostic })
    }

    /// One body after another, with the index as a number.
    fn unrolled(
        &mut self,
        frame: &mut Frame,
        parts: &Parts<'t>,
        carried: &[Carried],
        (start, trips): (&Dim, &Dim),
        loc: Loc,
    ) -> Vec<Checks<Operand>> {
        let lost = || vec![Err(Poison); carried.len()];
        let (Some(first), Some(trips)) = (start.as_constant(), trips.as_constant()) else { return lost() };
        let index = self.loc(frame, parts.index.span);
        if let Some(cond) = parts.cond {
            let message = format!("`{}` must be known at compile time in a loop with `while`", parts.index.name);
            let at = self.loc(frame, cond.span);
            let diagnostic = Diagnostic::error("MDL0205", message, index, "the body depends on its number");
            let _: Checks<()> = self.report(diagnostic.label(at, "how often it runs is not known"));
            return lost();
        }
        if trips > MOST_UNROLLED {
            let message = format!("this loop has {trips} different iterations");
            let label = format!("more than {MOST_UNROLLED}, and the body depends on the number of each");
            let _: Checks<()> = self.error("MDL0217", message, loc, label);
            return lost();
        }
        let mut current: Vec<Checks<Operand>> = carried.iter().map(|carried| carried.initial.clone()).collect();
        for i in 0..trips {
            frame.scopes.push(HashMap::new());
            let from: Whence = Origin::new(index, format!("`{}` is the index of this loop", parts.index.name));
            let value = Static::Dim(Dim::from(first + i), from);
            frame.bind(&parts.index.name, Ok(Term::Static(value)), index);
            for (carried, operand) in carried.iter().zip(&current) {
                let name = Some(Rc::new((carried.name.to_string(), carried.loc)));
                let bound = operand.clone().map(|operand| Term::Tensor(Operand { name, ..operand }));
                frame.bind(&carried.name, bound, carried.loc);
            }
            let writes = std::mem::take(&mut self.writes);
            parts.body.stmts.iter().for_each(|stmt| self.statement(frame, stmt));
            self.require_writers_once(writes);
            let steps = carried.iter().zip(&current).map(|(carried, param)| self.next(frame, carried, param));
            current = steps.collect();
            frame.scopes.pop();
            if self.unroll.is_some() {
                return lost();
            }
        }
        current
    }

    fn mark(&self) -> Mark {
        Mark {
            nodes: self.block.nodes.len(),
            diagnostics: self.diagnostics.len(),
            guards: self.guards.len(),
            facts: self.graph.facts.len(),
            missing: self.weights.missing.len(),
            overrides: self.overrides.len(),
            writes: self.writes.clone(),
        }
    }

    fn reset(&mut self, mark: Mark) {
        self.block.nodes.truncate(mark.nodes);
        self.diagnostics.truncate(mark.diagnostics);
        self.guards.truncate(mark.guards);
        self.graph.facts.truncate(mark.facts);
        self.weights.missing.truncate(mark.missing);
        self.overrides.truncate(mark.overrides);
        self.writes = mark.writes;
    }
}
