//! `x[a:b, 0, none, ..]`: slices, indices and new axes. Bounds are proved or guarded, never clamped.

use super::arguments::Argument;
use super::elaborate::Elaborator;
use super::origin::{Origin, Whence};
use super::scope::Frame;
use super::term::{Checks, Operand, Poison, Static, Term};
use super::words;
use crate::diag::Diagnostic;
use crate::ops::OpKind;
use crate::types::Loc;
use mlc_codegen::base::{DType, Dim, Truth};
use mlc_grammar::ast::{Expr, ExprKind, IndexItem, IndexKind, UnaryOp};
use std::rc::Rc;

/// What an index does to an axis.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// `:`
    Keep,
    /// `a:b`, and where its extent comes from.
    Range(Dim, Dim, Whence),
    /// An integer: the axis goes.
    At(Dim),
    /// `none`: an axis of 1 comes.
    New,
}

/// What is written between two commas, evaluated.
enum Written {
    Term(Term, bool),
    Slice(Option<Bound>, Option<Bound>),
    Rest,
}

/// An end of a slice.
struct Bound {
    dim: Dim,
    /// A negative literal, which counts from the end.
    negative: bool,
    /// As it is written, for messages.
    text: String,
}

/// An axis that is indexed.
#[derive(Clone, Copy)]
struct Axis<'a> {
    number: usize,
    dim: &'a Dim,
    from: &'a Whence,
}

impl Elaborator<'_> {
    /// `base[items]`.
    pub(super) fn index(&mut self, frame: &Frame, base: &Expr, items: &[IndexItem], loc: Loc) -> Checks<Term> {
        if self.is_function(frame, base) {
            return self.invoke_uncalled(frame, base, loc);
        }
        let found = self.expr(frame, base);
        let written: Vec<Checks<Written>> = items.iter().map(|item| self.written_item(frame, item)).collect();
        let (found, written) = (found?, written.into_iter().collect::<Checks<Vec<_>>>()?);
        let base_loc = self.loc(frame, base.span);
        match found {
            Term::State(view) => {
                let (dims, from) = (self.view_type(&view).dims, view.shown());
                let items = self.resolve(frame, &dims, &from, written, items, (base_loc, loc))?;
                self.index_view(&view, items, loc)
            }
            Term::Tensor(operand) => self.index_tensor(frame, operand, written, items, (base_loc, loc)),
            Term::Tuple(terms) => self.pick(&terms, &written, loc),
            Term::Static(value) => match value.plain() {
                Static::List(list) => {
                    let terms: Vec<Term> = list.iter().map(|item| Term::Static(item.clone())).collect();
                    self.pick(&terms, &written, loc)
                }
                Static::Unknown => Err(Poison),
                other => {
                    let message = format!("{} has no axes to index", other.kind());
                    self.error("MDL0212", message, base_loc, format!("this is {}", other.kind()))
                }
            },
        }
    }

    fn invoke_uncalled(&mut self, frame: &Frame, base: &Expr, loc: Loc) -> Checks<Term> {
        let word = self.text(self.loc(frame, base.span)).to_owned();
        let diagnostic = Diagnostic::error("MDL0212", format!("`{word}` is not called here"), loc, "this is no call");
        self.report(diagnostic.help("give its arguments in parentheses after the static ones"))
    }

    fn pick(&mut self, terms: &[Term], written: &[Written], loc: Loc) -> Checks<Term> {
        let index = match written {
            [Written::Term(Term::Static(value), _)] => value.as_dim().cloned(),
            _ => None,
        };
        let Some(index) = index else {
            return self.error("MDL0205", "a list is indexed by one integer", loc, "this is none");
        };
        self.known_integer(&index)?;
        let at = index.as_constant().map(|i| if i < 0 { i + terms.len() as i64 } else { i });
        match at.and_then(|i| terms.get(usize::try_from(i).ok()?)) {
            Some(term) => Ok(term.clone()),
            None => {
                let message = format!("there is no such item: the list has {}", terms.len());
                self.error("MDL0309", message, loc, "indexed here")
            }
        }
    }

    fn written_item(&mut self, frame: &Frame, item: &IndexItem) -> Checks<Written> {
        match &item.kind {
            IndexKind::At(expr) => Ok(Written::Term(self.expr(frame, expr)?, is_negative(expr))),
            IndexKind::Rest => Ok(Written::Rest),
            IndexKind::Slice(start, stop) => {
                let mut bound = |expr: &Option<Expr>| {
                    let Some(expr) = expr else { return Ok(None) };
                    let (dim, _) = self.dim(frame, expr)?;
                    let text = self.text(self.loc(frame, expr.span)).to_owned();
                    Ok(Some(Bound { dim, negative: is_negative(expr), text }))
                };
                let (start, stop) = (bound(start), bound(stop));
                Ok(Written::Slice(start?, stop?))
            }
            IndexKind::Named(name, _) => {
                let loc = self.loc(frame, name.span);
                self.error("MDL0212", "an index has no name", loc, "only blocks take static arguments")
            }
            IndexKind::Error => Err(Poison),
        }
    }

    /// One item for each axis, `none`s between them.
    fn resolve(
        &mut self,
        frame: &Frame,
        dims: &[Dim],
        from: &[Whence],
        written: Vec<Written>,
        spans: &[IndexItem],
        (base, loc): (Loc, Loc),
    ) -> Checks<Vec<Item>> {
        let new = |w: &Written| matches!(w, Written::Term(Term::Static(Static::None), _));
        let used = written.iter().filter(|w| !new(w) && !matches!(w, Written::Rest)).count();
        let rests = written.iter().filter(|w| matches!(w, Written::Rest)).count();
        if rests > 1 {
            return self.error("MDL0309", "`..` stands once in an index", loc, "which axes each means is open");
        }
        if used > dims.len() {
            let message = format!(
                "{} for a tensor of {}",
                words::count(used, "index", "indices"),
                words::count(dims.len(), "axis", "axes")
            );
            return self.error("MDL0309", message, loc, format!("`{}` has fewer axes", self.text(base)));
        }
        let (mut items, mut axis) = (vec![], 0);
        for (written, span) in written.into_iter().zip(spans) {
            let at = self.loc(frame, span.span);
            match written {
                written if new(&written) => items.push(Item::New),
                Written::Rest => {
                    let skipped = dims.len() - used;
                    items.extend(std::iter::repeat_n(Item::Keep, skipped));
                    axis += skipped;
                }
                Written::Slice(start, stop) => {
                    let along = Axis { number: axis, dim: &dims[axis], from: &from[axis] };
                    items.push(self.range_item(along, start, stop, at)?);
                    axis += 1;
                }
                Written::Term(term, negative) => {
                    let along = Axis { number: axis, dim: &dims[axis], from: &from[axis] };
                    items.push(self.at_item(along, &term, negative, at)?);
                    axis += 1;
                }
            }
        }
        items.extend(std::iter::repeat_n(Item::Keep, dims.len() - axis));
        Ok(items)
    }

    fn range_item(&mut self, axis: Axis, start: Option<Bound>, stop: Option<Bound>, at: Loc) -> Checks<Item> {
        if start.is_none() && stop.is_none() {
            return Ok(Item::Keep);
        }
        let extent = (axis.dim.clone(), self.show_dim(axis.dim));
        let whole = |bound: Option<Bound>, open: (Dim, String)| match bound {
            Some(bound) if bound.negative => (bound.dim + axis.dim, bound.text),
            Some(bound) => (bound.dim, bound.text),
            None => open,
        };
        let zero = (Dim::from(0), "0".to_owned());
        let (start, stop) = (whole(start, zero.clone()), whole(stop, extent.clone()));
        for (a, b) in [(&zero, &start), (&start, &stop), (&stop, &extent)] {
            self.require_within((&a.0, &a.1), (&b.0, &b.1), axis, at)?;
        }
        let (start, stop) = (start.0, stop.0);
        let extent = stop.clone() - &start;
        let from = match (self.graph.slots.equal(&extent, axis.dim), extent.as_slot()) {
            (Truth::Yes, _) => axis.from.clone(),
            (_, Some(_)) => self.origin_of(&extent, &None),
            _ => Origin::new(at, format!("`{}` comes from this slice", self.show_dim(&extent))),
        };
        Ok(Item::Range(start, stop, from))
    }

    fn at_item(&mut self, axis: Axis, term: &Term, negative: bool, at: Loc) -> Checks<Item> {
        let Term::Static(value) = term else {
            let message = "an index of a state must be a dim or an integer";
            return self.error("MDL0205", message, at, format!("this is {}", term.kind()));
        };
        match value.plain() {
            Static::Unknown => Err(Poison),
            Static::Dim(index, _) => {
                let index = if negative { index.clone() + axis.dim } else { index.clone() };
                if let (Some(i), Some(extent)) = (index.as_constant(), axis.dim.as_constant())
                    && !(0..extent).contains(&i)
                {
                    let message = format!("this index leaves axis {}, whose extent is {extent}", axis.number);
                    let label = match extent {
                        0 => "the axis is empty".to_owned(),
                        _ => format!("its positions are 0 to {}, or -1 to -{extent} from the end", extent - 1),
                    };
                    return self.error("MDL0309", message, at, label);
                }
                let (next, extent) = (index.clone() + 1, self.show_dim(axis.dim));
                let (shown, after) = (self.show_dim(&index), self.show_dim(&next));
                self.require_within((&Dim::from(0), "0"), (&index, &shown), axis, at)?;
                self.require_within((&next, &after), (axis.dim, &extent), axis, at)?;
                Ok(Item::At(index))
            }
            other => {
                let message = format!("an axis is indexed by an integer, found {}", other.kind());
                self.error("MDL0306", message, at, format!("this is {}", other.kind()))
            }
        }
    }

    /// Refuses `a > b` for bounds of an axis, each with how it is shown; where it is open a guard is left.
    fn require_within(&mut self, (a, x): (&Dim, &str), (b, y): (&Dim, &str), axis: Axis, at: Loc) -> Checks<()> {
        match self.in_order(a, b) {
            Truth::Yes => Ok(()),
            Truth::Unknown => {
                let question = format!("whether `{x}` fits in `{y}`");
                let from = if b == axis.dim { axis.from.clone() } else { None };
                self.guard_against(b.clone() - a, false, &question, at, from);
                Ok(())
            }
            Truth::No => {
                let message =
                    format!("this index leaves axis {}, whose extent is {}", axis.number, self.show_dim(axis.dim));
                let diagnostic = Diagnostic::error("MDL0309", message, at, format!("`{x}` is more than `{y}`"));
                self.report(diagnostic.note("an index counts from 0; a negative literal counts from the end"))
            }
        }
    }

    fn in_order(&mut self, a: &Dim, b: &Dim) -> Truth {
        match (a.as_constant(), b.as_constant()) {
            (Some(a), Some(b)) if a > b => Truth::No,
            _ => self.at_most(a, b),
        }
    }

    /// Refuses `a > b` for the range of a counted dim; where it is open a guard is left.
    pub(super) fn require_at_most(&mut self, a: &Dim, b: &Dim, at: Loc) -> Checks<()> {
        let (x, y) = (self.show_dim(a), self.show_dim(b));
        match self.in_order(a, b) {
            Truth::Yes => Ok(()),
            Truth::Unknown => {
                self.guard(b.clone() - a, false, &format!("whether `{x}` fits in `{y}`"), at);
                Ok(())
            }
            Truth::No => {
                let message = "this range does not hold what the operator may count";
                self.error("MDL0312", message, at, format!("`{x}` is more than `{y}`"))
            }
        }
    }

    fn index_tensor(
        &mut self,
        frame: &Frame,
        operand: Operand,
        written: Vec<Written>,
        spans: &[IndexItem],
        (base, loc): (Loc, Loc),
    ) -> Checks<Term> {
        let ty = self.graph.ty(operand.value).clone();
        if let Some(place) =
            written.iter().position(|w| matches!(w, Written::Term(Term::Tensor(_) | Term::State(_), _)))
        {
            return self.gather_index(frame, operand, written, place, loc);
        }
        let items = self.resolve(frame, &ty.dims, &operand.from.clone(), written, spans, (base, loc))?;
        let (mut cut, mut shape, mut from, mut axis) = (vec![], vec![], vec![], 0);
        for item in &items {
            match item {
                Item::New => {
                    shape.push(Dim::from(1));
                    from.push(Origin::new(loc, "`1` comes from `none` in this index"));
                    continue;
                }
                Item::Keep => {
                    shape.push(ty.dims[axis].clone());
                    from.push(operand.from[axis].clone());
                }
                Item::Range(start, stop, origin) => {
                    cut.push((axis, start.clone(), stop.clone()));
                    shape.push(stop.clone() - start);
                    from.push(origin.clone());
                }
                Item::At(at) => cut.push((axis, at.clone(), at.clone() + 1)),
            }
            axis += 1;
        }
        let whole = |(axis, start, stop): &(usize, Dim, Dim)| *start == Dim::from(0) && *stop == ty.dims[*axis];
        cut.retain(|part| !whole(part));
        let part = self.slice(frame, operand, &cut, loc)?;
        let from: Rc<[Whence]> = from.into();
        let part = match items.iter().any(|item| matches!(item, Item::New | Item::At(_))) {
            true => self.reshape(frame, part, shape, from, loc)?,
            false => Operand { from, ..part },
        };
        Ok(Term::Tensor(part))
    }

    /// `x[:, ids]`: indexing by a tensor.
    fn gather_index(
        &mut self,
        frame: &Frame,
        operand: Operand,
        written: Vec<Written>,
        place: usize,
        loc: Loc,
    ) -> Checks<Term> {
        let full = |w: &Written| matches!(w, Written::Slice(None, None));
        let others = written.iter().enumerate().all(|(i, w)| i == place || full(w));
        if !others {
            let diagnostic =
                Diagnostic::error("MDL0309", "an index by a tensor stands alone", loc, "mixed with slices here");
            return self.report(diagnostic.help("slice first, then index: gather(x, ids, axis = …)"));
        }
        let Some(Written::Term(index, _)) = written.into_iter().nth(place) else { return Err(Poison) };
        let index = self.tensor(frame, &index, Some(DType::I64), loc)?;
        let arguments = vec![
            Argument::positional(Term::Tensor(operand), loc),
            Argument::positional(Term::Tensor(index), loc),
            Argument::named("axis", Static::dim(place as i64), loc),
        ];
        self.apply_op(frame, OpKind::Gather, arguments, loc)
    }
}

/// A literal that counts from the end.
fn is_negative(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Unary(UnaryOp::Neg, inner) if matches!(inner.kind, ExprKind::Int(_)))
}
