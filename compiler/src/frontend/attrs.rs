//! Compile-time arguments of operators: numbers, axes, words and sizes, as the signature wants them.

use super::arguments::Named;
use super::elaborate::{Elaborator, rename};
use super::term::{Checks, Poison, Static, Term};
use super::words;
use crate::diag::Diagnostic;
use crate::ops::{Attr, Default, Kind, Param, Signature};
use crate::types::Loc;
use mlc_codegen::base::Dim;

impl Elaborator<'_> {
    /// `h = 12` of `rearrange`: names with sizes.
    pub(super) fn sized_names(&mut self, names: &[Named]) -> Checks<Attr> {
        let mut all = vec![];
        for (name, term, loc) in names {
            match term {
                Term::Static(value) if value.unknown() => return Err(Poison),
                Term::Static(value) => match value.as_dim() {
                    Some(dim) => all.push((name.to_string(), dim.clone())),
                    None => return self.no_integer(name, value.kind(), *loc),
                },
                other => return self.no_integer(name, other.kind(), *loc),
            }
        }
        Ok(Attr::Names(all))
    }

    fn no_integer<T>(&mut self, name: &str, kind: &str, loc: Loc) -> Checks<T> {
        let message = format!("`{name}` must be known at compile time");
        self.error("MDL0205", message, loc, format!("an axis has a size, this is {kind}"))
    }

    /// A compile-time argument as its parameter wants it; axes count from the front.
    pub(super) fn attr(
        &mut self,
        signature: &'static Signature,
        param: &'static Param,
        given: Option<&(Term, Loc)>,
        rank: usize,
        at: Loc,
    ) -> Checks<Attr> {
        let Some((term, loc)) = given else { return self.default(param, rank, at) };
        let value = match term {
            Term::Static(value) => value,
            other => return self.not_fixed(signature, param, other, *loc),
        };
        if value.unknown() {
            return Err(Poison);
        }
        let attr = match (param.kind, value.plain()) {
            (_, Static::None) if param.default == Default::None => Some(Attr::None),
            (Kind::Int | Kind::Axis, Static::Dim(dim, _)) => Some(Attr::Int(self.fixed(signature, param, dim, *loc)?)),
            (Kind::Float, value) => value.as_f64().map(Attr::Float),
            (Kind::Bool, Static::Bool(value)) => Some(Attr::Bool(*value)),
            (Kind::Word(words), Static::Text(text)) => return self.word(param, words, text, *loc),
            (Kind::Text, Static::Text(text)) => Some(Attr::Text(text.to_string())),
            (Kind::DType, Static::DType(dtype)) => Some(Attr::DType(*dtype)),
            (Kind::Dim, Static::Dim(dim, _)) => Some(Attr::Dim(dim.clone())),
            (Kind::Dims, value) => dims(value).map(Attr::Dims),
            (Kind::Tensor | Kind::Tensors | Kind::Names, _) => None,
            (Kind::Int | Kind::Axis | Kind::Bool | Kind::Word(_) | Kind::Text | Kind::DType | Kind::Dim, _) => None,
            (_, Static::Text(text)) if !matches!(param.kind, Kind::Ints | Kind::Axes) => {
                Some(Attr::Text(text.to_string()))
            }
            (_, Static::Dim(dim, _)) => Some(Attr::Int(self.fixed(signature, param, dim, *loc)?)),
            (_, value @ Static::List(_)) => self.integers(signature, param, value, *loc)?.map(Attr::Ints),
            _ => None,
        };
        match attr {
            Some(attr) => self.whole_axes(param, attr, rank, *loc),
            None => {
                let message = format!("`{}` of `{}` does not take {}", param.name, signature.name, value.kind());
                let diagnostic = Diagnostic::error("MDL0205", message, *loc, format!("this is {}", value.kind()));
                self.report(diagnostic.note(format!("it is written {}", signature.show())))
            }
        }
    }

    fn default(&mut self, param: &'static Param, rank: usize, at: Loc) -> Checks<Attr> {
        let value = match param.default {
            Default::None | Default::Required => Attr::None,
            Default::Int(value) => Attr::Int(value),
            Default::Float(value) => Attr::Float(value),
            Default::Bool(value) => Attr::Bool(value),
            Default::Text(value) => Attr::Text(value.into()),
        };
        self.whole_axes(param, value, rank, at)
    }

    fn not_fixed<T>(&mut self, signature: &'static Signature, param: &Param, term: &Term, loc: Loc) -> Checks<T> {
        let message = format!("`{}` must be known at compile time", param.name);
        let label = match term {
            Term::Tensor(operand) => match &operand.name {
                Some(name) => format!("`{}` is computed when the model runs", name.0),
                None => "this is computed when the model runs".to_owned(),
            },
            other => format!("this is {}", other.kind()),
        };
        let diagnostic = Diagnostic::error("MDL0205", message, loc, label);
        let diagnostic = diagnostic.help("pass a literal, a `const`, a `dim`, or the repeat index");
        self.report(diagnostic.note(format!("it is written {}", signature.show())))
    }

    /// A number that must be known; one that depends on a rolled loop asks for that loop to be unrolled.
    fn fixed(&mut self, signature: &'static Signature, param: &Param, dim: &Dim, loc: Loc) -> Checks<i64> {
        if let Some(value) = dim.as_constant() {
            return Ok(value);
        }
        self.known_integer(dim)?;
        if self.standalone {
            return Err(Poison);
        }
        let message = format!("`{}` of `{}` must be known at compile time", param.name, signature.name);
        let label = format!("`{}` is known when the model is called", self.show_dim(dim));
        let mut diagnostic = Diagnostic::error("MDL0205", message, loc, label);
        if let Some(from) = self.origin_of(dim, &None) {
            diagnostic = diagnostic.label(from.loc, from.text.clone());
        }
        self.report(diagnostic.help("pass a literal, a `const`, a static `dim`, or the repeat index"))
    }

    fn integers(
        &mut self,
        signature: &'static Signature,
        param: &Param,
        value: &Static,
        loc: Loc,
    ) -> Checks<Option<Vec<i64>>> {
        let Some(all) = dims(value) else { return Ok(None) };
        let known: Vec<Checks<i64>> = all.iter().flatten().map(|dim| self.fixed(signature, param, dim, loc)).collect();
        if known.len() < all.len() {
            return Ok(None);
        }
        known.into_iter().collect::<Checks<Vec<i64>>>().map(Some)
    }

    fn word(&mut self, param: &Param, words: &[&'static str], text: &str, loc: Loc) -> Checks<Attr> {
        if words.contains(&text) {
            return Ok(Attr::Text(text.into()));
        }
        let message = format!("`{}` is one of {}", param.name, words::listed(words));
        let diagnostic = Diagnostic::error("MDL0309", message, loc, format!("this is `{text}`"));
        self.report(match words::nearest(text, words.iter().copied()) {
            Some(near) => {
                let old = format!("\"{text}\"");
                rename(diagnostic.help(format!("did you mean `{near}`?")), &old, &format!("\"{near}\""), loc)
            }
            None => diagnostic,
        })
    }

    /// Axes that count from the end, from the front.
    fn whole_axes(&mut self, param: &Param, attr: Attr, rank: usize, loc: Loc) -> Checks<Attr> {
        if !matches!(param.kind, Kind::Axis | Kind::Axes) {
            return Ok(attr);
        }
        let whole = |n: i64| if n < 0 { n.saturating_add(rank as i64) } else { n };
        let attr = match attr {
            Attr::Int(n) => Attr::Int(whole(n)),
            Attr::Ints(all) => Attr::Ints(all.into_iter().map(whole).collect()),
            other => other,
        };
        let axes: &[i64] = match &attr {
            Attr::Int(n) => std::slice::from_ref(n),
            Attr::Ints(all) => all,
            _ => &[],
        };
        if axes.iter().any(|n| *n < 0 || *n >= rank as i64) {
            let message = format!("there is no such axis: the tensor has {}", words::count(rank, "axis", "axes"));
            let label = match rank {
                0 => "a scalar has no axis".to_owned(),
                1 => "the only axis is 0".to_owned(),
                n => format!("axes are 0 to {}, or -1 to -{n} from the end", n - 1),
            };
            return self.error("MDL0309", message, loc, label);
        }
        Ok(attr)
    }
}

/// The dims of a list, in order, however deep it is nested; `None` for an item that is `none`.
fn dims(value: &Static) -> Option<Vec<Option<Dim>>> {
    match value.plain() {
        Static::Dim(dim, _) => Some(vec![Some(dim.clone())]),
        Static::None => Some(vec![None]),
        Static::List(items) => {
            let inner: Option<Vec<Vec<Option<Dim>>>> = items.iter().map(dims).collect();
            inner.map(|all| all.into_iter().flatten().collect())
        }
        _ => None,
    }
}
