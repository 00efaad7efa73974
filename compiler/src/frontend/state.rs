//! `state` and `set`: rectangles of states, read at their present version and written once.

use super::arguments::Argument;
use super::elaborate::Elaborator;
use super::index::Item;
use super::origin::Whence;
use super::scope::Frame;
use super::term::{Checks, Operand, Poison, Static, Term, View};
use super::typing::Typed;
use crate::diag::Diagnostic;
use crate::graph::{NodeKind, State, StateId};
use crate::ops::OpKind;
use crate::types::{Loc, TensorType};
use mlc_codegen::base::{Dim, Truth};
use mlc_grammar::ast::{Body, Expr, ExprKind, Ident, StmtKind, Type};
use std::rc::Rc;

/// A region of a state that was written.
#[derive(Clone, Debug)]
pub(super) struct Write {
    state: StateId,
    starts: Vec<Dim>,
    extents: Vec<Dim>,
    loc: Loc,
}

/// Whether a body sets a name, and so takes it as a state.
pub(super) fn sets(body: &Body, name: &str) -> bool {
    body.stmts.iter().any(|stmt| match &stmt.kind {
        StmtKind::Set { target, .. } => base(target).and_then(Expr::as_name) == Some(name),
        StmtKind::Repeat { body, .. } | StmtKind::Fused { body, .. } => sets(body, name),
        _ => false,
    })
}

/// The name under the indices of a target.
pub(super) fn base(target: &Expr) -> Option<&Expr> {
    let mut target = target;
    while let ExprKind::Index(inner, _) = &target.kind {
        target = inner;
    }
    Some(target)
}

impl View {
    /// A whole state.
    pub(super) fn whole(state: StateId, ty: &TensorType, from: Vec<Whence>) -> View {
        let (starts, kept) = (vec![Dim::from(0); ty.rank()], vec![true; ty.rank()]);
        View { state, starts, extents: ty.dims.clone(), kept, from }
    }

    /// Where the sizes of its axes come from.
    pub(super) fn shown(&self) -> Rc<[Whence]> {
        self.from.iter().zip(&self.kept).filter(|(_, kept)| **kept).map(|(from, _)| from.clone()).collect()
    }
}

impl Elaborator<'_> {
    /// `state NAME: TYPE` of a model.
    pub(super) fn declare_state(&mut self, frame: &mut Frame, name: &Ident, ty: &Type) {
        let loc = self.loc(frame, name.span);
        let term = self.tensor_type(frame, ty).map(|Typed { ty, from }| {
            let state = self.graph.states.push(State { name: name.name.to_string(), ty: ty.clone(), loc });
            Term::State(View::whole(state, &ty, from))
        });
        frame.bind(&name.name, term, loc);
    }

    /// The type of what a view shows.
    pub(super) fn view_type(&self, view: &View) -> TensorType {
        let dims = view.extents.iter().zip(&view.kept).filter(|(_, kept)| **kept).map(|(dim, _)| dim.clone());
        TensorType::new(self.graph.states[view.state].ty.dtype, dims)
    }

    /// The present version of a state, or of a rectangle of it.
    pub(super) fn read_state(&mut self, frame: &Frame, view: &View, loc: Loc) -> Checks<Operand> {
        let State { name, ty, loc: declared } = self.graph.states[view.state].clone();
        let value = self.value(ty.clone(), None, loc);
        self.push(frame, NodeKind::Read(view.state), vec![], vec![value], loc);
        let named = Some(Rc::new((name, declared)));
        let whole = Operand { value, from: view.from.clone().into(), name: named };
        let zero = Dim::from(0);
        let cut: Vec<(usize, Dim, Dim)> = (0..ty.rank())
            .filter(|axis| view.starts[*axis] != zero || view.extents[*axis] != ty.dims[*axis])
            .map(|axis| (axis, view.starts[axis].clone(), view.starts[axis].clone() + &view.extents[axis]))
            .collect();
        let part = self.slice(frame, whole, &cut, loc)?;
        if view.kept.iter().all(|kept| *kept) {
            return Ok(part);
        }
        let shape = self.view_type(view).dims;
        self.reshape(frame, part, shape, view.shown(), loc)
    }

    /// A rectangle of a view.
    pub(super) fn index_view(&mut self, view: &View, items: Vec<Item>, loc: Loc) -> Checks<Term> {
        let mut view = view.clone();
        let axes: Vec<usize> = (0..view.kept.len()).filter(|axis| view.kept[*axis]).collect();
        let mut axes = axes.into_iter();
        for item in items {
            match item {
                Item::New => {
                    let message = "a part of a state cannot have new axes here";
                    return self.error("MDL0214", message, loc, "bind the state with `let` first");
                }
                item => {
                    let axis = axes.next().ok_or(Poison)?;
                    match item {
                        Item::Range(start, stop, from) => {
                            view.extents[axis] = stop - &start;
                            view.starts[axis] = view.starts[axis].clone() + start;
                            view.from[axis] = from;
                        }
                        Item::At(at) => {
                            view.extents[axis] = Dim::from(1);
                            view.starts[axis] = view.starts[axis].clone() + at;
                            view.kept[axis] = false;
                        }
                        Item::Keep | Item::New => {}
                    }
                }
            }
        }
        Ok(Term::State(view))
    }

    /// `set target = value`.
    pub(super) fn set(&mut self, frame: &Frame, target: &Expr, value: &Expr) -> Checks<()> {
        let (target_loc, at) = (self.loc(frame, target.span), self.loc(frame, value.span));
        let (found, given) = (self.expr(frame, target), self.expr(frame, value));
        let view = match found? {
            Term::State(view) => view,
            other => {
                let what = base(target).map_or(target_loc, |base| self.loc(frame, base.span));
                let message = format!("`{}` is not a state, and cannot be set", self.text(what));
                let diagnostic = Diagnostic::error("MDL0214", message, target_loc, format!("this is {}", other.kind()));
                return self.report(diagnostic.help("bind a new value with `let`, or declare a `state` in the model"));
            }
        };
        if frame.pure {
            return self.error("MDL0214", "a function sets no state", target_loc, "only blocks and entries do");
        }
        let wanted = Typed { ty: self.view_type(&view), from: view.shown().to_vec() };
        let operand = self.tensor(frame, &given?, Some(wanted.ty.dtype), at)?;
        let given = self.given(&operand, at);
        self.require_type(&wanted, &given, "the part of the state", "MDL0301", target_loc)?;
        self.written(&view, target_loc)?;
        let input = match view.kept.iter().all(|kept| *kept) {
            true => operand,
            false => self.reshape(frame, operand, view.extents.clone(), view.from.clone().into(), at)?,
        };
        let kind = NodeKind::Set { state: view.state, starts: view.starts };
        self.push(frame, kind, vec![input.value], vec![], target_loc);
        Ok(())
    }

    /// Each place of a state has one writer in an iteration.
    fn written(&mut self, view: &View, loc: Loc) -> Checks<()> {
        let write = Write { state: view.state, starts: view.starts.clone(), extents: view.extents.clone(), loc };
        let before = self.writes.clone();
        let clash = before.iter().find(|other| other.state == write.state && !self.apart(other, &write));
        if let Some(first) = clash {
            let name = self.graph.states[view.state].name.clone();
            let message = format!("`{name}` is set twice");
            let diagnostic = Diagnostic::error("MDL0214", message, loc, "set again here");
            return self
                .report(diagnostic.label(first.loc, "first set here").note("a state has one writer in an iteration"));
        }
        self.writes.push(write);
        Ok(())
    }

    fn apart(&mut self, a: &Write, b: &Write) -> bool {
        (0..a.starts.len()).any(|axis| {
            let before = |x: &Write, y: &Write| (x.starts[axis].clone() + &x.extents[axis], y.starts[axis].clone());
            [before(a, b), before(b, a)].iter().any(|(end, start)| self.at_most(end, start) == Truth::Yes)
        })
    }

    /// After an iteration: what it wrote is written for the code after the loop too.
    pub(super) fn require_writers_once(&mut self, around: Vec<Write>) {
        let inner = std::mem::replace(&mut self.writes, around);
        for write in inner {
            let same = |other: &Write| other.state == write.state && other.loc == write.loc;
            let clash = self.writes.iter().find(|other| other.state == write.state && !same(other)).cloned();
            if let Some(first) = clash
                && !self.apart(&first, &write)
            {
                let name = self.graph.states[write.state].name.clone();
                let diagnostic =
                    Diagnostic::error("MDL0214", format!("`{name}` is set twice"), write.loc, "set again here");
                let note = "a state has one writer in an iteration";
                let _: Checks<()> = self.report(diagnostic.label(first.loc, "first set here").note(note));
            }
        }
    }

    /// Rectangles of a tensor: `(axis, start, stop)` for each axis that is cut.
    pub(super) fn slice(
        &mut self,
        frame: &Frame,
        operand: Operand,
        cut: &[(usize, Dim, Dim)],
        loc: Loc,
    ) -> Checks<Operand> {
        if cut.is_empty() {
            return Ok(operand);
        }
        let list = |dims: Vec<Dim>| Static::List(dims.into_iter().map(Static::dim).collect());
        let starts = cut.iter().map(|(_, start, _)| start.clone()).collect();
        let stops = cut.iter().map(|(_, _, stop)| stop.clone()).collect();
        let axes = cut.iter().map(|(axis, ..)| Dim::from(*axis as i64)).collect();
        let given = vec![
            Argument::positional(Term::Tensor(operand), loc),
            Argument::named("starts", list(starts), loc),
            Argument::named("stops", list(stops), loc),
            Argument::named("axis", list(axes), loc),
        ];
        match self.apply_op(frame, OpKind::Slice, given, loc)? {
            Term::Tensor(operand) => Ok(operand),
            _ => Err(Poison),
        }
    }

    /// The same elements in another shape.
    pub(super) fn reshape(
        &mut self,
        frame: &Frame,
        operand: Operand,
        shape: Vec<Dim>,
        from: Rc<[Whence]>,
        loc: Loc,
    ) -> Checks<Operand> {
        let shape = Static::List(shape.into_iter().map(Static::dim).collect());
        let given =
            vec![Argument::positional(Term::Tensor(operand), loc), Argument::positional(Term::Static(shape), loc)];
        match self.apply_op(frame, OpKind::Reshape, given, loc)? {
            Term::Tensor(operand) => Ok(Operand { from, ..operand }),
            _ => Err(Poison),
        }
    }
}
