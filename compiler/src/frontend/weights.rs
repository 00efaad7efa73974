//! Weights: keys from paths, files by their headers, constants of the graph.

use super::elaborate::{Checks, Elaborator, Frame, Term};
use super::statics::Static;
use crate::diag::Diagnostic;
use crate::graph::{Constant, ConstantData, ConstantId, NodeKind};
use crate::types::TensorType;
use mlc_codegen::base::{Scalar, Storage};
use mlc_grammar::ast::{Expr, Ident, Span, Text, Type};
use mlc_runtime::tensor::Tensor;
use mlc_runtime::weights::{WeightFile, WeightSet};
use std::collections::HashMap;
use std::path::{Component, Path};

/// The files of a model, and the constants that its keys have become.
#[derive(Debug, Default)]
pub(super) struct WeightKeys {
    pub(super) set: WeightSet,
    known: HashMap<String, ConstantId>,
    /// A file was not opened: what it would hold is not known.
    unknown: bool,
    /// The text has no syntax error, so that what it says of weights can be believed.
    believed: bool,
}

impl WeightKeys {
    /// No files yet.
    pub(super) fn new(believed: bool) -> Self {
        WeightKeys { believed, ..WeightKeys::default() }
    }
}

impl Elaborator<'_> {
    /// `weights from "file" at "prefix"`.
    pub(super) fn open_weights(&mut self, from: &Text, at: Option<&Text>) {
        if !self.keys.believed {
            self.keys.unknown = true;
            return;
        }
        let prefix = at.map_or("", |text| &text.value);
        let path = Path::new(&*from.value);
        let inside = path.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        let own = self.options.folder.as_ref().filter(|_| inside).map(|folder| folder.join(path));
        let Some(path) = self.options.weights.clone().or(own) else {
            self.keys.unknown = true;
            let message = format!("the weights path `{}` leaves the model's folder", from.value);
            let diagnostic = Diagnostic::error("MDL0405", message, self.loc(from.span), "not opened");
            let help = "keep weights beside the model, or name the file on the command line: --weights PATH";
            self.diagnostics.push(diagnostic.help(help));
            return;
        };
        match WeightFile::open(&path) {
            Ok(file) => self.keys.set.add(file, prefix),
            Err(error) => {
                self.keys.unknown = true;
                let (loc, message) = (self.loc(from.span), error.to_string());
                let diagnostic = match self.options.without_weights {
                    true => Diagnostic::warning("MDL0403", message, loc, "weights were not checked"),
                    false => Diagnostic::error("MDL0403", message, loc, "needed to build"),
                };
                self.diagnostics.push(diagnostic);
            }
        }
    }

    /// `weight name: type from "leaf" else default`.
    pub(super) fn weight(
        &mut self,
        frame: &mut Frame,
        name: &Ident,
        ty: &Type,
        from: &Text,
        default: Option<&Expr>,
    ) -> Checks<Term> {
        if frame.pure {
            return self.error("MDL0213", "a function owns no weights", name.span, "only blocks and entries do");
        }
        let ty = self.tensor_type(frame, ty)?;
        if ty.shape().is_none() {
            let shown = ty.show(&self.graph.slots);
            return self.error("MDL0406", format!("a weight has static dims; this is {shown}"), name.span, "");
        }
        let key = match from.value.strip_prefix('/') {
            Some(absolute) => absolute.to_owned(),
            None => frame.path.iter().map(String::as_str).chain([&*from.value]).collect::<Vec<_>>().join("."),
        };
        let constant = match self.keys.known.get(&key) {
            Some(constant) => *constant,
            None => self.find(frame, &key, &ty, from.span, default)?,
        };
        let declared = self.graph.constants[constant].ty.clone();
        self.require_type(&declared, &ty, name.span, &format!("weight `{key}`"), "MDL0402")?;
        let loc = self.loc(name.span);
        let value = self.graph.values.push(crate::graph::Value { ty, name: Some(name.name.to_string()), loc });
        let kind = NodeKind::Constant { members: vec![constant], counter: None };
        self.push(kind, vec![], vec![value], name.span, frame);
        Ok(Term::Value(value))
    }

    fn find(
        &mut self,
        frame: &mut Frame,
        key: &str,
        ty: &TensorType,
        span: Span,
        default: Option<&Expr>,
    ) -> Checks<ConstantId> {
        let wanted = ty.shape().expect("weights have static dims");
        let found = match self.keys.set.find(key) {
            Ok(found) => found.map(|found| (found.entry.shape.clone(), found.entry.storage)),
            Err(duplicate) => return self.error("MDL0404", duplicate.to_string(), span, "found in both"),
        };
        let loc = self.loc(span);
        let plain = Storage::Plain(ty.dtype);
        let data = match (found, default) {
            (Some((shape, storage)), _) => {
                if shape.iter().map(|d| *d as i64).collect::<Vec<_>>() != wanted {
                    return self.misshapen(key, &shape, &wanted, span);
                }
                if storage != plain && !narrower(storage, plain) {
                    let message = format!("`{key}` is kept as {storage}, the model says {}", ty.dtype);
                    return self.error("MDL0407", message, span, "read here");
                }
                ConstantData::Weight(key.to_owned())
            }
            (None, Some(default)) if !self.keys.unknown => self.filled(frame, ty, default)?,
            (None, _) if self.keys.unknown => ConstantData::Weight(key.to_owned()),
            (None, _) => return self.missing(key, span),
        };
        let constant = Constant { ty: ty.clone(), storage: plain, name: key.to_owned(), data, loc };
        let constant = self.graph.constants.push(constant);
        self.keys.known.insert(key.to_owned(), constant);
        Ok(constant)
    }

    fn filled(&mut self, frame: &mut Frame, ty: &TensorType, default: &Expr) -> Checks<ConstantData> {
        let value = match self.expr(frame, default)? {
            Term::Static(Static::Float(value)) => Scalar::from_f64(ty.dtype, value),
            Term::Static(Static::Dim(dim)) if dim.as_constant().is_some() => {
                Scalar::from_i64(ty.dtype, dim.as_constant().unwrap_or(0))
            }
            _ => return self.error("MDL0205", "a default weight is a number", default.span, "this is none"),
        };
        let shape: Vec<usize> = ty.shape().expect("weights have static dims").iter().map(|d| *d as usize).collect();
        match Tensor::from_fn(ty.dtype, shape, |_| value) {
            Ok(tensor) => Ok(ConstantData::Tensor(tensor)),
            Err(error) => self.error("MDL0602", error.to_string(), default.span, "made here"),
        }
    }

    fn misshapen<T>(&mut self, key: &str, shape: &[usize], wanted: &[i64], span: Span) -> Checks<T> {
        let message = format!("`{key}` has shape {shape:?}, the model says {wanted:?}");
        let diagnostic = Diagnostic::error("MDL0402", message, self.loc(span), "declared here");
        let turned: Vec<i64> = shape.iter().rev().map(|d| *d as i64).collect();
        self.report(match turned == wanted && shape.len() == 2 {
            true => diagnostic
                .help("the file stores the transposed matrix; declare it so and use x @ w")
                .note("Keras and GPT-2 Conv1D store [in, out]"),
            false => diagnostic,
        })
    }

    fn missing<T>(&mut self, key: &str, span: Span) -> Checks<T> {
        let files: Vec<String> = self.keys.set.files().map(|(f, _)| format!("`{}`", f.path().display())).collect();
        let names: Vec<String> = self.keys.set.keys().map(|(name, _)| name).collect();
        let place = if files.is_empty() { "the model's weights".into() } else { files.join(", ") };
        let label = format!("looked for `{key}`");
        let diagnostic =
            Diagnostic::error("MDL0401", format!("no tensor named `{key}` in {place}"), self.loc(span), label);
        let suffix = names.iter().find(|name| name.ends_with(&format!(".{key}")));
        let near = super::calls::nearest(key, names.iter().map(String::as_str));
        self.report(match (suffix, near) {
            (Some(name), _) => {
                let prefix = &name[..name.len() - key.len() - 1];
                diagnostic.help(format!("`{name}` is there: weights from \"…\" at \"{prefix}\""))
            }
            (None, Some(near)) => diagnostic.help(format!("did you mean `{near}`?")),
            (None, None) if files.is_empty() => diagnostic.help("name a file: weights from \"FILE\""),
            (None, None) => diagnostic,
        })
    }
}

/// Whether a float may be read from narrower storage.
fn narrower(storage: Storage, plain: Storage) -> bool {
    match (storage, plain) {
        (Storage::Packed(_), Storage::Plain(to)) => to.is_float(),
        (Storage::Plain(from), Storage::Plain(to)) => from.is_float() && to.is_float() && from.bits() < to.bits(),
        _ => false,
    }
}
