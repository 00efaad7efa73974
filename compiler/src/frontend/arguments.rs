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
use crate::ops::{Arguments, Default, Kind, OpKind, Param, Signature};
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

/// An argument with a name that the signature does not have: the size of an axis, by its word.
pub(super) type Named = (Box<str>, Term, Loc);

/// The tensors of a call.
struct Operands {
    values: Vec<Operand>,
    /// Where each was given.
    places: Vec<Loc>,
    /// How many each parameter took.
    counts: Vec<u32>,
}

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
        let Operands { values: operands, places, counts } = self.operands(frame, signature, &bound)?;
        let mut attrs = Vec::new();
        let mut rank = operands.first().map_or(0, |operand| self.graph.ty(operand.value).rank());
        rank += usize::from(op.name() == "stack");
        for (param, given) in signature.params.iter().zip(&bound).filter(|(param, _)| !param.is_tensor()) {
            attrs.push(match param.kind {
                Kind::Names => self.sized_names(&names)?,
                _ => self.attr(signature, param, given.first(), rank, loc)?,
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
    fn operands(&mut self, frame: &Frame, signature: &'static Signature, bound: &[Bound]) -> Checks<Operands> {
        let tensors = || signature.params.iter().zip(bound).filter(|(param, _)| param.is_tensor());
        let given = tensors().flat_map(|(_, terms)| terms).filter_map(|(term, _)| self.dtype_of(term));
        let dtypes: Vec<DType> = given.collect();
        let strong = dtypes.iter().copied().find(|d| *d != DType::Bool).or(dtypes.first().copied());
        let strong = strong.or_else(|| fixed_math::needs_float(signature.name).then_some(DType::F32));
        let mut all = Operands { values: vec![], places: vec![], counts: vec![] };
        for (param, terms) in tensors() {
            let want = if matches!(param.name, "indices" | "index" | "ids") { Some(DType::I64) } else { strong };
            for (term, loc) in terms {
                all.values.push(self.tensor(frame, term, want, *loc)?);
                all.places.push(*loc);
            }
            all.counts.push(terms.len() as u32);
        }
        Ok(all)
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
    fn bind(
        &mut self,
        signature: &'static Signature,
        arguments: Vec<Argument>,
        loc: Loc,
    ) -> Checks<(Vec<Bound>, Vec<Named>)> {
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
}

fn all_static(arguments: &[Argument]) -> Option<Vec<Static>> {
    let fixed = |argument: &Argument| match (&argument.name, &argument.term) {
        (None, Term::Static(value)) => Some(value.clone()),
        _ => None,
    };
    arguments.iter().map(fixed).collect()
}
