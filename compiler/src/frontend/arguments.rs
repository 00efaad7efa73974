//! Operators: arguments are bound by the signature, types inferred, a node added.

use super::blame::Inputs;
use super::elaborate::{Elaborator, rename};
use super::fixed_math;
use super::origin::Whence;
use super::scope::Frame;
use super::term::{Checks, Operand, Static, Term};
use super::words;
use crate::diag::Diagnostic;
use crate::graph::{Applied, GraphBuilder};
use crate::ops::{Arguments, Attr, Default, Kind, OpKind, Param, Signature};
use crate::types::Loc;
use mlc_codegen::base::{DType, Dim};

/// An argument as it was given.
#[derive(Clone, Debug)]
pub(super) struct Argument {
    /// The word before `=`, and where it stands.
    pub(super) name: Option<(Box<str>, Loc)>,
    pub(super) term: Term,
    pub(super) loc: Loc,
}

impl Argument {
    /// An argument without a name.
    pub(super) fn positional(term: Term, loc: Loc) -> Argument {
        Argument { name: None, term, loc }
    }

    /// An argument with a name that nobody wrote.
    pub(super) fn named(name: &str, value: Static, loc: Loc) -> Argument {
        Argument { name: Some((name.into(), loc)), term: Term::Static(value), loc }
    }
}

/// The arguments of one parameter; several where it takes several.
pub(super) type Bound = Vec<(Term, Loc)>;

impl Elaborator<'_> {
    /// Computes an operator of numbers, or adds its node.
    pub(super) fn apply_op(&mut self, frame: &Frame, op: OpKind, arguments: Vec<Argument>, loc: Loc) -> Checks<Term> {
        self.step(loc)?;
        if let Some(numbers) = all_static(&arguments)
            && let Some(value) = self.fixed_call(op.name(), &numbers)
        {
            return Ok(Term::Static(value));
        }
        let signature = op.op().signature();
        let (bound, names) = self.bind(signature, arguments, loc)?;
        let (operands, places, counts) = self.operands(frame, signature, &bound)?;
        let mut attrs = Vec::new();
        let mut rank = operands.first().map_or(0, |operand| self.graph.ty(operand.value).rank());
        rank += usize::from(op.name() == "stack");
        for (param, given) in signature.params.iter().zip(&bound).filter(|(param, _)| !param.is_tensor()) {
            attrs.push(match param.kind {
                Kind::Names => self.names(&names)?,
                _ => self.attr(signature, param, given.first(), rank)?,
            });
        }
        let inputs: Vec<_> = operands.iter().map(|operand| operand.value).collect();
        let path = frame.path.show();
        let mut builder = GraphBuilder { graph: &mut self.graph, block: &mut self.block, path };
        match builder.apply(op, Arguments { counts, attrs: attrs.clone() }, &inputs, loc) {
            Ok(Applied { outputs, guards }) => {
                let given = Inputs { signature, operands: &operands, places: &places, bound: &bound, loc };
                for guard in guards {
                    let at = given.place(&guard.blame);
                    self.guard(guard.at_least_zero, guard.exactly_zero, &guard.question, at);
                }
                let terms = outputs.into_iter().map(|value| {
                    let from = self.origins(&self.graph.ty(value).dims, &operands, &bound);
                    Term::Tensor(Operand { value, from: from.into(), name: None })
                });
                let mut terms: Vec<Term> = terms.collect();
                Ok(if terms.len() == 1 { terms.remove(0) } else { Term::Tuple(terms) })
            }
            Err(error) => {
                let given = Inputs { signature, operands: &operands, places: &places, bound: &bound, loc };
                self.op_error(error, &given)
            }
        }
    }

    /// The dims of a result come from where equal dims of the inputs and arguments come from.
    fn origins(&self, dims: &[Dim], operands: &[Operand], bound: &[Bound]) -> Vec<Whence> {
        let arguments = || {
            bound.iter().flatten().filter_map(|(term, _)| match term {
                Term::Static(Static::Dim(dim, from)) => Some((dim, from)),
                _ => None,
            })
        };
        let of_inputs = |dim: &Dim, axis: Option<usize>| {
            operands.iter().find_map(|operand| {
                let ty = self.graph.ty(operand.value);
                let mut axes = ty.dims.iter().zip(operand.from.iter()).enumerate();
                axes.find(|(i, (own, from))| from.is_some() && *own == dim && axis.is_none_or(|a| a == *i))
                    .and_then(|(_, (_, from))| from.clone())
            })
        };
        let of_arguments = |dim: &Dim| arguments().find(|(own, _)| *own == dim).and_then(|(_, from)| from.clone());
        let find = |(axis, dim): (usize, &Dim)| {
            of_inputs(dim, Some(axis)).or_else(|| of_inputs(dim, None)).or_else(|| of_arguments(dim))
        };
        dims.iter().enumerate().map(find).collect()
    }

    /// The tensors of a call; numbers take the element type of the tensors beside them.
    #[allow(clippy::type_complexity)]
    fn operands(
        &mut self,
        frame: &Frame,
        signature: &'static Signature,
        bound: &[Bound],
    ) -> Checks<(Vec<Operand>, Vec<Loc>, Vec<u32>)> {
        let tensors = || signature.params.iter().zip(bound).filter(|(param, _)| param.is_tensor());
        let given = tensors().flat_map(|(_, terms)| terms).filter_map(|(term, _)| self.dtype_of(term));
        let dtypes: Vec<DType> = given.collect();
        let strong = dtypes.iter().copied().find(|d| *d != DType::Bool).or(dtypes.first().copied());
        let strong = strong.or_else(|| fixed_math::needs_float(signature.name).then_some(DType::F32));
        let (mut operands, mut places, mut counts) = (vec![], vec![], vec![]);
        for (param, terms) in tensors() {
            let want = if matches!(param.name, "indices" | "index" | "ids") { Some(DType::I64) } else { strong };
            for (term, loc) in terms {
                operands.push(self.tensor(frame, term, want, *loc)?);
                places.push(*loc);
            }
            counts.push(terms.len() as u32);
        }
        Ok((operands, places, counts))
    }

    fn dtype_of(&self, term: &Term) -> Option<DType> {
        match term {
            Term::Tensor(operand) => Some(self.graph.ty(operand.value).dtype),
            Term::State(view) => Some(self.graph.states[view.state].ty.dtype),
            Term::Static(value) => value.strong(),
            Term::Tuple(_) => None,
        }
    }

    /// The arguments of each parameter, in the signature's order, and the named ones that are left for `Kind::Names`.
    #[allow(clippy::type_complexity)]
    fn bind(
        &mut self,
        signature: &'static Signature,
        arguments: Vec<Argument>,
        loc: Loc,
    ) -> Checks<(Vec<Bound>, Vec<(Box<str>, Term, Loc)>)> {
        let params = signature.params;
        let mut bound: Vec<Bound> = vec![vec![]; params.len()];
        let mut names = vec![];
        let takes_names = params.iter().any(|param| param.kind == Kind::Names);
        for Argument { name, term, loc: at } in arguments {
            let place = match &name {
                None => self.place(signature, &bound, &term, at)?,
                Some((word, word_at)) => match params.iter().position(|p| p.name == &**word && p.kind != Kind::Names) {
                    Some(place) if bound[place].is_empty() => place,
                    Some(_) => {
                        let message = format!("`{word}` is given twice to `{}`", signature.name);
                        return self.error("MDL0211", message, *word_at, "the second time");
                    }
                    None if takes_names => {
                        names.push((word.clone(), term, at));
                        continue;
                    }
                    None => return self.no_argument(signature, word, *word_at),
                },
            };
            match (params[place].kind, term) {
                (Kind::Tensors, Term::Tuple(terms)) => bound[place].extend(terms.into_iter().map(|term| (term, at))),
                (Kind::Tensors, Term::Static(Static::List(items))) => {
                    bound[place].extend(items.iter().map(|item| (Term::Static(item.clone()), at)));
                }
                (Kind::Tensor, Term::Static(Static::None)) if params[place].default == Default::None => {}
                (_, term) => bound[place].push((term, at)),
            }
        }
        let absent = params.iter().zip(&bound).find(|(p, b)| p.default == Default::Required && b.is_empty());
        match absent {
            Some((param, _)) if param.kind != Kind::Names => {
                let message = format!("`{}` needs `{}`", signature.name, param.name);
                let diagnostic = Diagnostic::error("MDL0211", message, loc, "not given here");
                self.report(diagnostic.note(format!("it is written {}", signature.show())))
            }
            _ => Ok((bound, names)),
        }
    }

    /// The parameter of the next argument without a name. Quoted text goes to the text parameter, wherever it stands.
    fn place(&mut self, signature: &'static Signature, bound: &[Bound], term: &Term, at: Loc) -> Checks<usize> {
        let text = matches!(term, Term::Static(value) if matches!(value.plain(), Static::Text(_)));
        let textual = |param: &Param| matches!(param.kind, Kind::Text | Kind::Word(_));
        let open = |i: &usize| {
            let param = &signature.params[*i];
            param.kind != Kind::Names && (bound[*i].is_empty() || param.kind == Kind::Tensors)
        };
        let mut places = (0..signature.params.len()).filter(open);
        let fitting = (0..signature.params.len()).filter(open).find(|i| match &signature.params[*i] {
            param if text => textual(param) || !param.is_tensor() && param.default == Default::Required,
            param => param.kind != Kind::Text,
        });
        match fitting.or_else(|| places.next()) {
            Some(place) => Ok(place),
            None => {
                let takes = signature.params.len();
                let message = format!("`{}` takes {}", signature.name, words::count(takes, "argument", "arguments"));
                let diagnostic = Diagnostic::error("MDL0211", message, at, "one too many");
                self.report(diagnostic.note(format!("it is written {}", signature.show())))
            }
        }
    }

    /// Refuses a word that is no argument of an operator.
    pub(super) fn check_word(&mut self, signature: &'static Signature, word: &str, at: Loc) -> Checks<()> {
        match signature.params.iter().any(|param| param.name == word || param.kind == Kind::Names) {
            true => Ok(()),
            false => self.no_argument(signature, word, at),
        }
    }

    fn no_argument<T>(&mut self, signature: &'static Signature, word: &str, at: Loc) -> Checks<T> {
        let known: Vec<&str> = signature.params.iter().map(|param| param.name).collect();
        let message = format!("`{}` has no argument `{word}`", signature.name);
        let mut diagnostic = Diagnostic::error("MDL0204", message, at, "not known");
        if let Some(near) = words::argument(word, &known) {
            diagnostic = rename(diagnostic.help(format!("the argument is called `{near}`")), word, near, at);
        }
        self.report(diagnostic.note(format!("it is written {}", signature.show())))
    }

    /// `h = 12` of `rearrange`: names with sizes.
    fn names(&mut self, names: &[(Box<str>, Term, Loc)]) -> Checks<Attr> {
        let mut all = vec![];
        for (name, term, loc) in names {
            match term {
                Term::Static(value) if value.unknown() => return Err(super::term::Poison),
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
    fn attr(
        &mut self,
        signature: &'static Signature,
        param: &'static Param,
        given: Option<&(Term, Loc)>,
        rank: usize,
    ) -> Checks<Attr> {
        let Some((term, loc)) = given else { return Ok(param.default_attr(rank)) };
        let value = match term {
            Term::Static(value) => value,
            other => return self.not_fixed(signature, param, other, *loc),
        };
        if value.unknown() {
            return Err(super::term::Poison);
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
            return Err(super::term::Poison);
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

fn all_static(arguments: &[Argument]) -> Option<Vec<Static>> {
    let fixed = |argument: &Argument| match (&argument.name, &argument.term) {
        (None, Term::Static(value)) => Some(value.clone()),
        _ => None,
    };
    arguments.iter().map(fixed).collect()
}
