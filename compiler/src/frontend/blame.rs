//! An operator's refusal as a diagnostic: places of its arguments, names of its operands, where sizes come from.

use super::arguments::Bound;
use super::elaborate::Elaborator;
use super::term::{Checks, Operand, Poison};
use crate::diag::{Applicability, Diagnostic, Edit};
use crate::ops::{Blame, OpError, Signature};
use crate::types::{Loc, TensorType};
use mlc_codegen::base::{DType, Dim, Truth};

/// What an operator was given, and where.
pub(super) struct Inputs<'a> {
    pub(super) signature: &'static Signature,
    pub(super) operands: &'a [Operand],
    pub(super) places: &'a [Loc],
    pub(super) bound: &'a [Bound],
    pub(super) loc: Loc,
}

/// No more labels say where sizes come from.
const MOST_ORIGINS: usize = 4;

impl Inputs<'_> {
    fn argument(&self, name: &str) -> Loc {
        let found = self.signature.params.iter().zip(self.bound).find(|(param, _)| param.name == name);
        found.and_then(|(_, terms)| terms.first()).map_or(self.loc, |(_, loc)| *loc)
    }

    /// The place that is blamed.
    pub(super) fn place(&self, blame: &Blame) -> Loc {
        match blame {
            Blame::Call => self.loc,
            Blame::Input(i) => self.places.get(*i).copied().unwrap_or(self.loc),
            Blame::Argument(name) => self.argument(name),
            Blame::Text(name, range) => {
                let text = self.argument(name);
                let at = |byte: usize| (text.start + 1).saturating_add(byte as u32).min(text.end);
                Loc::new(text.file, at(range.start), at(range.end))
            }
        }
    }
}

impl Elaborator<'_> {
    /// Reports why an operator does not apply.
    pub(super) fn op_error<T>(&mut self, error: OpError, given: &Inputs) -> Checks<T> {
        if self.standalone && matches!(error.code, "MDL0304" | "MDL0309") {
            return Err(Poison);
        }
        let mut labels = error.labels.iter();
        let Some((blame, text)) = labels.next() else { return Err(Poison) };
        let mut diagnostic = Diagnostic::error(error.code, error.message.clone(), given.place(blame), text.clone());
        if let Blame::Input(i) = blame {
            diagnostic = self.bound_label(diagnostic, given, *i);
        }
        for (blame, text) in labels {
            diagnostic = match blame {
                Blame::Input(i) if text.starts_with("this is ") && self.binding(given, *i).is_some() => {
                    self.bound_label(diagnostic, given, *i)
                }
                _ => diagnostic.label(given.place(blame), text.clone()),
            };
        }
        let mut shown = 0;
        for dim in &error.dims {
            let Some(from) = self.origin_in(dim, given) else { continue };
            if shown < MOST_ORIGINS && diagnostic.labels.iter().all(|label| label.loc != from.loc) {
                diagnostic = diagnostic.label(from.loc, from.text.clone());
                shown += 1;
            }
        }
        diagnostic.notes = error.notes;
        diagnostic.helps = error.helps;
        if let Some((input, dtype)) = error.cast {
            diagnostic = self.suggest_cast(diagnostic, given.place(&Blame::Input(input)), dtype);
        }
        let diagnostic = match error.code {
            "MDL0302" => self.suggest_axis(diagnostic, given),
            "MDL0301" if given.signature.name == "matmul" => self.suggest_contraction(diagnostic, given),
            _ => diagnostic,
        };
        self.report(diagnostic)
    }

    /// `cast(ids, f32)`, as it would be written here.
    pub(super) fn suggest_cast(&self, diagnostic: Diagnostic, loc: Loc, dtype: DType) -> Diagnostic {
        let written = self.text(loc);
        let shown = if written.len() <= 40 && !written.contains('\n') { written } else { "…" };
        let edit = Edit { loc, text: format!("cast({written}, {dtype})") };
        diagnostic.help(format!("cast it: cast({shown}, {dtype})")).fix("cast it", vec![edit], Applicability::Maybe)
    }

    fn binding(&self, given: &Inputs, input: usize) -> Option<(String, Loc)> {
        let name = given.operands.get(input)?.name.as_ref()?;
        Some((name.0.clone(), name.1))
    }

    /// `` `h` is f32[batch, 128] `` where `h` is bound.
    fn bound_label(&self, diagnostic: Diagnostic, given: &Inputs, input: usize) -> Diagnostic {
        match self.binding(given, input) {
            Some((name, loc)) if diagnostic.labels.iter().all(|label| label.loc != loc) => {
                let ty = self.show(self.graph.ty(given.operands[input].value));
                diagnostic.label(loc, format!("`{name}` is {ty}"))
            }
            _ => diagnostic,
        }
    }

    fn origin_in(&self, dim: &Dim, given: &Inputs) -> super::origin::Whence {
        let axes =
            given.operands.iter().flat_map(|operand| self.graph.ty(operand.value).dims.iter().zip(operand.from.iter()));
        let beside = axes.filter(|(own, _)| *own == dim).find_map(|(_, from)| from.clone());
        self.origin_of(dim, &beside)
    }

    /// `a[:, none, :]` where one more axis makes two shapes broadcast, in one way only.
    fn suggest_axis(&self, mut diagnostic: Diagnostic, given: &Inputs) -> Diagnostic {
        let [a, b] = given.operands else { return diagnostic };
        let (ta, tb) = (self.graph.ty(a.value), self.graph.ty(b.value));
        let (wide, narrow, input) = if ta.rank() > tb.rank() { (ta, tb, 1) } else { (tb, ta, 0) };
        if wide.rank() != narrow.rank() + 1 || wide.rank() > 8 {
            return diagnostic;
        }
        let ways: Vec<usize> = (0..wide.rank()).filter(|at| self.aligns(wide, narrow, *at)).collect();
        let [at] = ways.as_slice() else { return diagnostic };
        let items: Vec<&str> = (0..wide.rank()).map(|axis| if axis == *at { "none" } else { ":" }).collect();
        let place = given.places[input];
        let operand = self.text(place);
        let simple = operand.chars().all(|c| c.is_alphanumeric() || c == '_');
        let text = if simple { operand.to_owned() } else { format!("({operand})") };
        let text = format!("{text}[{}]", items.join(", "));
        diagnostic.helps = vec![format!("insert an axis: {text}")];
        diagnostic.fix("insert an axis", vec![Edit { loc: place, text }], Applicability::Maybe)
    }

    fn aligns(&self, wide: &TensorType, narrow: &TensorType, at: usize) -> bool {
        let one = Dim::from(1);
        let kept = wide.dims.iter().enumerate().filter(|(axis, _)| *axis != at).map(|(_, dim)| dim);
        kept.zip(&narrow.dims).all(|(x, y)| *x == one || *y == one || self.graph.slots.equal(x, y) == Truth::Yes)
    }

    /// `einsum("… i, o i -> … o", x, w)` where the right operand of `@` is stored the other way around.
    fn suggest_contraction(&self, mut diagnostic: Diagnostic, given: &Inputs) -> Diagnostic {
        let [a, b] = given.operands else { return diagnostic };
        let (ta, tb) = (self.graph.ty(a.value), self.graph.ty(b.value));
        let (Some(k), 2) = (ta.dims.last(), tb.rank()) else { return diagnostic };
        if tb.dims[1] != *k || tb.dims[0] == *k || a.value == b.value {
            return diagnostic;
        }
        let (x, w) = (self.text(given.places[0]), self.text(given.places[1]));
        let text = format!("einsum(\"... i, o i -> ... o\", {x}, {w})");
        let name = b.name.as_ref().map_or_else(|| "the right side".to_owned(), |name| format!("`{}`", name.0));
        diagnostic.helps = vec![format!("{name} is stored [out, in]; contract its last axis: {text}")];
        diagnostic.fix("contract the last axis", vec![Edit { loc: given.loc, text }], Applicability::Maybe)
    }
}
