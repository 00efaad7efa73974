//! Calls of blocks and functions: static arguments are given or inferred, and the body is elaborated in place.

use super::arguments::Argument;
use super::elaborate::{CallSite, Elaborator, rename};
use super::keys::KeyPath;
use super::origin::Origin;
use super::scope::{Frame, Function};
use super::term::{Checks, Operand, Poison, Static, Term};
use super::unify::Given;
use super::words;
use crate::diag::Diagnostic;
use crate::types::Loc;
use mlc_codegen::base::DType;
use mlc_grammar::ast::{Expr, Func, IndexItem, IndexKind, Param, StaticParam, TypeDimKind, TypeKind};
use std::collections::HashSet;
use std::rc::Rc;

/// The deepest that blocks may call blocks.
const DEEPEST: usize = 64;

/// A call of a block or function.
pub(super) struct Call<'t, 'e> {
    pub(super) function: Function<'t>,
    pub(super) statics: &'e [IndexItem],
    pub(super) arguments: Vec<Argument>,
    /// The path of its weights.
    pub(super) path: KeyPath,
    pub(super) loc: Loc,
    /// The name that is called.
    pub(super) callee: Loc,
}

/// What a parameter takes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Takes {
    /// A dim or a size.
    Size,
    /// A tensor.
    Tensor,
    /// A state, because the body sets it, or hands it to a block that does.
    State,
}

impl<'t> Elaborator<'t> {
    /// Elaborates a block or function in place.
    pub(super) fn call(&mut self, frame: &Frame, call: Call<'t, '_>) -> Checks<Term> {
        let func = call.function.func;
        self.step(call.loc)?;
        self.not_recursive(&call)?;
        let mut inner = Frame::new(call.function.module);
        inner.path = call.path.clone();
        inner.pure = call.function.pure || frame.pure;
        let mut open = self.bind_statics(frame, &mut inner, &call)?;
        let arguments = self.by_parameter(&inner, &call)?;
        let mut given: Vec<Option<Given>> = vec![];
        let mut failed = false;
        for (param, argument) in func.params.iter().zip(&arguments) {
            let bound = self.bind_parameter(frame, &mut inner, func, param, argument);
            let introduced = bound.and_then(|given| {
                if let Some(given) = &given {
                    self.introduce(&mut inner, param, given, &open)?;
                }
                Ok(given)
            });
            open.retain(|name| inner.get(name).is_none());
            failed |= introduced.is_err();
            given.push(introduced.unwrap_or(None));
        }
        if failed {
            return Err(Poison);
        }
        self.infer_statics(&mut inner, &call)?;
        let checked = func.params.iter().zip(&given).map(|(param, given)| match given {
            Some(given) => self.check_parameter(&inner, param, given),
            None => Ok(()),
        });
        let checked: Vec<Checks<()>> = checked.collect();
        checked.into_iter().collect::<Checks<Vec<()>>>()?;
        let site = CallSite { name: func.name.name.to_string(), module: call.function.module, loc: call.loc };
        self.calls.push(site);
        let result = self.body(&mut inner, func);
        self.calls.pop();
        result
    }

    fn not_recursive(&mut self, call: &Call) -> Checks<()> {
        let (name, module) = (&*call.function.func.name.name, call.function.module);
        let same = |site: &CallSite| site.name == name && site.module == module;
        if let Some(first) = self.calls.iter().position(same) {
            let names = self.calls[first..].iter().map(|site| site.name.as_str()).chain([name]);
            let chain = names.collect::<Vec<_>>().join(" → ");
            let message = format!("`{name}` calls itself: {chain}");
            let mut diagnostic =
                Diagnostic::error("MDL0206", message, call.loc, format!("`{name}` is called again here"));
            for site in self.calls[first + 1..].iter().take(3) {
                diagnostic = diagnostic.label(site.loc, format!("`{}` is called here", site.name));
            }
            return self.report(diagnostic.help("a network has a fixed number of layers; write them with `repeat`"));
        }
        if self.calls.len() >= DEEPEST {
            let message = format!("blocks call blocks more than {DEEPEST} deep");
            return self.error("MDL0217", message, call.loc, "the limit is passed here");
        }
        Ok(())
    }

    /// Binds the static arguments that are written; gives the names of those that are not.
    fn bind_statics<'f>(&mut self, frame: &Frame, inner: &mut Frame, call: &Call<'f, '_>) -> Checks<HashSet<&'f str>> {
        let func = call.function.func;
        let mut open: HashSet<&str> = func.statics.iter().map(|param| &*param.name.name).collect();
        let mut failed = false;
        for (i, item) in call.statics.iter().enumerate() {
            let at = self.loc(frame, item.span);
            let (param, expr): (Option<&StaticParam>, &Expr) = match &item.kind {
                IndexKind::At(expr) => (func.statics.get(i), expr),
                IndexKind::Named(name, expr) => (func.statics.iter().find(|p| p.name.name == name.name), expr),
                IndexKind::Error => return Err(Poison),
                _ => {
                    failed |= self.error::<()>("MDL0204", "a static argument is a value", at, "this is none").is_err();
                    continue;
                }
            };
            let Some(param) = param else {
                failed |= self.no_static(call, item, at).is_err();
                continue;
            };
            if !open.remove(&*param.name.name) {
                let message = format!("`{}` is given twice", param.name.name);
                failed |= self.error::<()>("MDL0211", message, at, "the second time").is_err();
                continue;
            }
            let value =
                self.expr(frame, expr).and_then(|term| self.static_argument(inner, param, term, (at, expr, frame)));
            failed |= value.is_err();
            let loc = self.loc(inner, param.name.span);
            inner.bind(&param.name.name, value.map(Term::Static), loc);
        }
        if failed { Err(Poison) } else { Ok(open) }
    }

    fn no_static(&mut self, call: &Call, item: &IndexItem, at: Loc) -> Checks<()> {
        let func = call.function.func;
        let names: Vec<&str> = func.statics.iter().map(|param| &*param.name.name).collect();
        let declared = self.loc_in(call.function.module, func.name.span);
        let (message, word) = match &item.kind {
            IndexKind::Named(name, _) => {
                (format!("`{}` has no static argument `{}`", func.name.name, name.name), Some(name))
            }
            _ => {
                let takes = words::count(names.len(), "static argument", "static arguments");
                (format!("`{}` takes {takes}", func.name.name), None)
            }
        };
        let label = if word.is_some() { "not known" } else { "one too many" };
        let mut diagnostic = Diagnostic::error("MDL0204", message, at, label).label(declared, "declared here");
        if let Some(word) = word
            && let Some(near) = words::nearest(&word.name, names.iter().copied())
        {
            let word_at = Loc::new(at.file, word.span.start, word.span.end);
            diagnostic = rename(diagnostic.help(format!("did you mean `{near}`?")), &word.name, near, word_at);
        } else if !names.is_empty() {
            diagnostic = diagnostic.note(format!("its static arguments are {}", words::listed(&names)));
        }
        self.report(diagnostic)
    }

    /// A static argument as its parameter wants it; a dim remembers where it was given.
    fn static_argument(
        &mut self,
        inner: &Frame,
        param: &StaticParam,
        term: Term,
        (at, expr, frame): (Loc, &Expr, &Frame),
    ) -> Checks<Static> {
        let name = &*param.name.name;
        let declared = self.loc(inner, param.span);
        let Term::Static(value) = &term else {
            let message = format!("`{name}` must be known at compile time");
            let depends = super::lints::names(expr).into_iter().map(|(name, _)| name);
            let label = match depends.into_iter().find(|name| is_tensor(frame, name)) {
                Some(name) => format!("this depends on `{name}`, which is known when the model runs"),
                None => "this is computed when the model runs".to_owned(),
            };
            let at = self.loc(frame, expr.span);
            let diagnostic = Diagnostic::error("MDL0205", message, at, label)
                .label(declared, "declared compile-time here")
                .help("pass a literal, a `const`, a `dim`, or the repeat index");
            return self.report(diagnostic);
        };
        let value = value.clone();
        let kind = static_kind(param);
        let fits = match (kind, value.plain()) {
            (_, Static::Unknown) => true,
            ("dim" | "int", Static::Dim(..)) => true,
            ("float", v) => v.as_f64().is_some(),
            ("bool", Static::Bool(_)) | ("dtype", Static::DType(_)) | ("text", Static::Text(_)) => true,
            _ => false,
        };
        if !fits {
            let message = format!("`{name}` is {}, found {}", with_article(kind), value.kind());
            let diagnostic = Diagnostic::error("MDL0306", message, at, format!("this is {}", value.kind()));
            return self.report(diagnostic.label(declared, "declared here"));
        }
        if let Static::Dim(dim, from) = value.plain() {
            self.require_size_of(kind, dim, at)?;
            let text = self.text(self.loc(frame, expr.span));
            let written = || {
                Origin::new(
                    self.loc(frame, expr.span),
                    format!("`{}` comes from `{name} = {text}`", self.show_dim(dim)),
                )
            };
            let from = if expr.as_name().is_some() { from.clone().or_else(written) } else { written() };
            return Ok(Static::Dim(dim.clone(), from));
        }
        Ok(value)
    }

    fn require_size_of(&mut self, kind: &str, dim: &mlc_codegen::base::Dim, at: Loc) -> Checks<()> {
        if kind == "dim" { self.require_size(dim, at) } else { Ok(()) }
    }

    /// The argument of each parameter, in order.
    fn by_parameter(&mut self, inner: &Frame, call: &Call) -> Checks<Vec<Argument>> {
        let func = call.function.func;
        let mut slots: Vec<Option<Argument>> = func.params.iter().map(|_| None).collect();
        let declared = self.loc(inner, func.name.span);
        let mut extra = 0;
        for argument in &call.arguments {
            let place = match &argument.name {
                None => slots.iter().position(Option::is_none),
                Some((word, at)) => match func.params.iter().position(|param| param.name.name == *word) {
                    Some(place) if slots[place].is_none() => Some(place),
                    Some(_) => {
                        return self.error("MDL0211", format!("`{word}` is given twice"), *at, "the second time");
                    }
                    None => {
                        self.no_parameter(func, word, *at, declared)?;
                        None
                    }
                },
            };
            match place {
                Some(place) => slots[place] = Some(argument.clone()),
                None => extra += 1,
            }
        }
        let missing: Vec<&str> =
            func.params.iter().zip(&slots).filter(|(_, slot)| slot.is_none()).map(|(p, _)| &*p.name.name).collect();
        if extra == 0 && missing.is_empty() {
            return Ok(slots.into_iter().flatten().collect());
        }
        let takes = words::count(func.params.len(), "argument", "arguments");
        let message = format!("`{}` takes {takes}, found {}", func.name.name, call.arguments.len());
        let mut diagnostic =
            Diagnostic::error("MDL0211", message, call.loc, "called here").label(declared, "declared here");
        if !missing.is_empty() {
            diagnostic = diagnostic.help(format!("give {} too", words::listed(&missing)));
        }
        self.report(diagnostic)
    }

    /// A function has no parameter of this name.
    pub(super) fn no_parameter(&mut self, func: &Func, word: &str, at: Loc, declared: Loc) -> Checks<()> {
        let names: Vec<&str> = func.params.iter().map(|param| &*param.name.name).collect();
        let message = format!("`{}` has no argument `{word}`", func.name.name);
        let mut diagnostic = Diagnostic::error("MDL0204", message, at, "not known").label(declared, "declared here");
        if func.statics.iter().any(|param| &*param.name.name == word) {
            let help = format!("`{word}` is a static argument: {}[{word} = …](…)", func.name.name);
            diagnostic = diagnostic.help(help);
        } else if let Some(near) = words::argument(word, &names) {
            diagnostic = rename(diagnostic.help(format!("the argument is called `{near}`")), word, near, at);
        }
        self.report(diagnostic)
    }

    /// Binds a parameter; gives what its type is unified with, where it is a tensor or a state.
    fn bind_parameter(
        &mut self,
        frame: &Frame,
        inner: &mut Frame,
        func: &Func,
        param: &Param,
        argument: &Argument,
    ) -> Checks<Option<Given>> {
        let declared = self.loc(inner, param.name.span);
        let name = &*param.name.name;
        self.introduces(name, "argument", declared);
        let label = Some(Rc::new((name.to_owned(), declared)));
        match (self.takes(inner.module, func, param), &argument.term) {
            (Takes::Size, Term::Static(value)) if value.as_dim().is_some() || value.unknown() => {
                inner.bind(name, Ok(Term::Static(value.plain().clone())), declared);
                Ok(None)
            }
            (Takes::Size, other) => {
                let message = format!("`{name}` is a size, found {}", other.kind());
                let diagnostic =
                    Diagnostic::error("MDL0306", message, argument.loc, format!("this is {}", other.kind()));
                self.report(diagnostic.label(declared, "declared here"))
            }
            (Takes::State, Term::State(view)) => {
                let given = Given { ty: self.view_type(view), from: view.shown(), name: label, loc: argument.loc };
                inner.bind(name, Ok(argument.term.clone()), declared);
                Ok(Some(given))
            }
            (Takes::State, other) => {
                let message = format!("`{name}` is set in `{}`: its argument must be a state", func.name.name);
                let diagnostic =
                    Diagnostic::error("MDL0214", message, argument.loc, format!("this is {}", other.kind()));
                self.report(
                    diagnostic.label(declared, "set in the body").help("pass a `state` of the model or a slice of one"),
                )
            }
            (Takes::Tensor, term) => {
                let want = match &param.ty.kind {
                    TypeKind::Tensor(word, _) => word.name.parse::<DType>().ok(),
                    TypeKind::Error => None,
                };
                let operand = self.tensor(frame, term, want, argument.loc)?;
                let mut given = self.given(&operand, argument.loc);
                given.name = operand.name.clone().or(given.name);
                let operand = Operand { name: label, ..operand };
                inner.bind(name, Ok(Term::Tensor(operand)), declared);
                Ok(Some(given))
            }
        }
    }

    /// Static parameters that the arguments' types did not bind take their defaults.
    fn infer_statics(&mut self, inner: &mut Frame, call: &Call) -> Checks<()> {
        let func = call.function.func;
        for param in &func.statics {
            let name = &*param.name.name;
            if inner.get(name).is_some() {
                continue;
            }
            let at = self.loc(inner, param.span);
            let Some(default) = &param.default else {
                let message = format!("cannot infer `{name}` of `{}`", func.name.name);
                let value = self.text(call.callee).to_owned();
                let rest = self.text(Loc { start: call.callee.end, ..call.loc });
                let arguments = rest.find('(').map_or("(…)", |at| rest[at..].split(" at ").next().unwrap_or("(…)"));
                let label = match promises(func, name) {
                    true => format!("`{name}` appears only in the result type"),
                    false => format!("`{name}` appears in no argument's type"),
                };
                let diagnostic = Diagnostic::error("MDL0208", message, call.loc, "called here")
                    .label(at, label)
                    .help(format!("write it: {value}[{name} = …]{arguments}"));
                return self.report(diagnostic);
            };
            let term = self.expr(inner, default)?;
            let own = inner.clone();
            let value = self.static_argument(inner, param, term, (at, default, &own))?;
            let loc = self.loc(inner, param.name.span);
            inner.bind(name, Ok(Term::Static(value)), loc);
        }
        Ok(())
    }
}

fn is_tensor(frame: &Frame, name: &str) -> bool {
    frame.get(name).is_some_and(|binding| matches!(binding.term, Ok(Term::Tensor(_) | Term::State(_))))
}

/// Whether the result type of a function names a dim.
fn promises(func: &Func, name: &str) -> bool {
    let types = super::bodies::promised_types(func).into_iter();
    let dims = types.flat_map(|ty| match &ty.kind {
        TypeKind::Tensor(_, dims) => dims.as_slice(),
        TypeKind::Error => &[],
    });
    dims.into_iter().any(|dim| match &dim.kind {
        TypeDimKind::Size(expr) => super::lints::names(expr).iter().any(|(own, _)| *own == name),
        _ => false,
    })
}

/// The word for what a static parameter takes.
pub(super) fn static_kind(param: &StaticParam) -> &'static str {
    match param.ty.as_ref().map(|ty| &ty.kind) {
        None | Some(TypeKind::Error) => "dim",
        Some(TypeKind::Tensor(word, _)) => match &*word.name {
            "int" | "size" | "i64" | "i32" => "int",
            "float" | "f32" | "f64" | "f16" | "bf16" => "float",
            "bool" => "bool",
            "dtype" => "dtype",
            "text" | "str" | "string" => "text",
            _ => "int",
        },
    }
}

fn with_article(kind: &str) -> String {
    match kind {
        "int" => "an integer".into(),
        "dtype" => "an element type".into(),
        "text" => "a text".into(),
        kind => format!("a {kind}"),
    }
}
