//! Types as they are written, and what calls bind in them.

use super::elaborate::{Checks, Elaborator, Frame, Term};
use super::statics::Static;
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim};
use mlc_grammar::ast::{Ident, Span, Type, TypeDim, TypeDimKind, TypeKind};

impl Elaborator<'_> {
    /// An element type by its word.
    pub(super) fn dtype(&mut self, word: &Ident) -> Checks<DType> {
        if let Ok(dtype) = word.name.parse() {
            return Ok(dtype);
        }
        let long = [("float32", "f32"), ("float", "f32"), ("float64", "f64"), ("float16", "f16"), ("int64", "i64")];
        let more = [("int32", "i32"), ("int8", "i8"), ("uint8", "u8"), ("bfloat16", "bf16"), ("int", "i64")];
        let synonym = long.iter().chain(&more).find(|(other, _)| *other == &*word.name).map(|(_, own)| *own);
        let near = synonym.or_else(|| super::calls::nearest(&word.name, DType::ALL.iter().map(|d| d.name())));
        let message = format!("`{}` is not an element type", word.name);
        let diagnostic = crate::diag::Diagnostic::error("MDL0310", message, self.loc(word.span), "unknown");
        self.report(match near {
            Some(near) => {
                let edit = crate::diag::Edit { loc: self.loc(word.span), text: near.into() };
                let title = format!("{} → {near}", word.name);
                diagnostic.help(format!("did you mean `{near}`?")).fix(
                    title,
                    vec![edit],
                    crate::diag::Applicability::Exact,
                )
            }
            None => diagnostic.note("element types are f64 f32 f16 bf16 i64 i32 i16 i8 u8 i4 u4 bool"),
        })
    }

    /// A type whose names are all in scope.
    pub(super) fn tensor_type(&mut self, frame: &mut Frame, ty: &Type) -> Checks<TensorType> {
        let TypeKind::Tensor(word, dims) = &ty.kind else { return Err(super::elaborate::Poison) };
        let dtype = self.dtype(word)?;
        let mut all = Vec::new();
        for dim in dims {
            match &dim.kind {
                TypeDimKind::Size(expr) => all.push(self.dim(frame, expr)?),
                TypeDimKind::Pack(name) => match frame.packs.get(&*name.name) {
                    Some(pack) => all.extend(pack.clone()),
                    None => {
                        let message = format!("`..{}` is not a dim pack", name.name);
                        return self.error("MDL0210", message, name.span, "no parameter introduces it");
                    }
                },
                TypeDimKind::Counted(name, ..) => return self.unsupported("counted dims", name.span),
            }
        }
        Ok(TensorType::new(dtype, all))
    }

    /// Binds the names that a parameter's type introduces, then compares the type with the argument's.
    pub(super) fn bind_parameter(
        &mut self,
        frame: &mut Frame,
        ty: &Type,
        found: &TensorType,
        at: Span,
        name: &Ident,
    ) -> Checks<()> {
        let TypeKind::Tensor(_, dims) = &ty.kind else { return Err(super::elaborate::Poison) };
        let packs = dims.iter().filter(|d| matches!(d.kind, TypeDimKind::Pack(_))).count();
        let fits = if packs == 0 { dims.len() == found.rank() } else { dims.len() - packs <= found.rank() };
        if fits && packs <= 1 {
            let width = found.rank() + packs - dims.len();
            let mut rest = found.dims.as_slice();
            for dim in dims {
                let taken = if matches!(dim.kind, TypeDimKind::Pack(_)) { width } else { 1 };
                let (own, later) = rest.split_at(taken);
                introduce(frame, dim, own);
                rest = later;
            }
        }
        let wanted = self.tensor_type(frame, ty)?;
        self.require_type(&wanted, found, at, &format!("`{}`", name.name), "MDL0301")
    }

    /// Compares a type with the one that is promised or wanted.
    pub(super) fn require_type(
        &mut self,
        wanted: &TensorType,
        found: &TensorType,
        at: Span,
        what: &str,
        code: &'static str,
    ) -> Checks<()> {
        let slots = &self.graph.slots;
        let same = wanted.dtype == found.dtype
            && wanted.rank() == found.rank()
            && wanted.dims.iter().zip(&found.dims).all(|(a, b)| slots.equal(a, b) == mlc_codegen::base::Truth::Yes);
        if same {
            return Ok(());
        }
        let (wants, has) = (wanted.show(slots), found.show(slots));
        self.error(code, format!("{what} is {wants}, but this is {has}"), at, format!("this is {has}"))
    }
}

/// A bare name that is not in scope is bound to the dim; a pack name to its dims.
fn introduce(frame: &mut Frame, dim: &TypeDim, found: &[Dim]) {
    match &dim.kind {
        TypeDimKind::Pack(name) => {
            frame.packs.entry(name.name.to_string()).or_insert_with(|| found.to_vec());
        }
        TypeDimKind::Size(expr) => {
            if let Some(name) = expr.as_name() {
                let term = || Ok(Term::Static(Static::Dim(found[0].clone())));
                frame.names.entry(name.to_owned()).or_insert_with(term);
            }
        }
        TypeDimKind::Counted(..) => {}
    }
}
