//! Calls: of ops, whose arguments are bound by their signature, and of blocks and functions, which are elaborated in place.

use super::elaborate::{Checks, Elaborator, Frame, Poison, Term};
use super::statics::Static;
use crate::diag::{Applicability, Diagnostic, Edit};
use crate::graph::{GraphBuilder, GuardNode, Node, NodeKind, ValueId};
use crate::ops::{Arguments, Attr, Blame, Default, Kind, OpError, OpKind, Param};
use mlc_codegen::base::DType;
use mlc_grammar::ast::{self, Arg, Expr, ExprKind, IndexItem, IndexKind, Span, Text};

/// The nearest of some names: at most a third of the letters differ.
pub(super) fn nearest<'a>(name: &str, all: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |other: &&str| strsim::damerau_levenshtein(name, other);
    let near = all.map(|other| (distance(&other), other)).min()?;
    (near.0 <= (name.len() / 3).max(1)).then_some(near.1)
}

/// A named argument of an op: its name's place, its value and the value's place.
pub(super) type Named = (Box<str>, Span, Term, Span);

/// The deepest that blocks may call blocks.
const DEEPEST: usize = 64;

impl<'t> Elaborator<'t> {
    /// A call, or a stage of a pipe, whose first argument is then given.
    pub(super) fn invoke(&mut self, frame: &mut Frame, expr: &Expr, first: Option<(Term, Span)>) -> Checks<Term> {
        let (mut target, mut scopes): (&Expr, Vec<&Text>) = (expr, vec![]);
        while let ExprKind::At(inner, text) = &target.kind {
            scopes.insert(0, text);
            target = inner;
        }
        let (callee, args): (&Expr, &[Arg]) = match &target.kind {
            ExprKind::Call(callee, args) => (callee, args),
            _ => (target, &[]),
        };
        let (callee, statics): (&Expr, &[IndexItem]) = match &callee.kind {
            ExprKind::Index(callee, items) => (callee, items),
            _ => (callee, &[]),
        };
        let Some(name) = callee.as_name() else {
            return self.error("MDL0201", "this cannot be called", callee.span, "not a name");
        };
        let op = OpKind::by_name(name).filter(|_| !self.functions.contains_key(name));
        if let Some(op) = op {
            self.check_words(op, args)?;
        }
        let mut positional: Vec<(Term, Span)> = first.into_iter().collect();
        let mut named: Vec<Named> = vec![];
        for arg in args {
            let value = self.expr(frame, &arg.value)?;
            match &arg.name {
                None => positional.push((value, arg.value.span)),
                Some(word) => named.push((word.name.clone(), word.span, value, arg.value.span)),
            }
        }
        if let Some((function, pure)) = self.functions.get(name).copied() {
            return self.call(frame, (function, pure), statics, positional, named, &scopes, expr.span);
        }
        let Some(op) = op else {
            let ops = OpKind::ALL.iter().map(|op| op.name());
            let synonym = [("gemm", "matmul"), ("swish", "silu")].iter().find(|(other, _)| *other == name);
            let own: Vec<&str> = self.functions.keys().copied().chain(ops).collect();
            let near = synonym.map(|(_, own)| *own).or_else(|| nearest(name, own.into_iter()));
            return self.unknown("MDL0201", format!("unknown operator `{name}`"), callee.span, near);
        };
        self.apply_op(frame, op, positional, named, expr.span)
    }

    /// The names of arguments are right or wrong whatever their values are.
    fn check_words(&mut self, op: OpKind, args: &[Arg]) -> Checks<()> {
        let signature = op.op().signature();
        if signature.params.iter().any(|p| p.kind == Kind::Names) {
            return Ok(());
        }
        let mut words = args.iter().filter_map(|arg| arg.name.as_ref());
        match words.find(|word| !signature.params.iter().any(|p| p.name == &*word.name)) {
            Some(word) => self.no_argument(signature.name, &word.name, word.span, signature.params, &signature.show()),
            None => Ok(()),
        }
    }

    /// Binds arguments by the signature, infers, adds the node.
    pub(super) fn apply_op(
        &mut self,
        frame: &mut Frame,
        op: OpKind,
        positional: Vec<(Term, Span)>,
        named: Vec<Named>,
        span: Span,
    ) -> Checks<Term> {
        let signature = op.op().signature();
        let bound = self.bind(op, positional, named, span)?;
        let dtype_of = |e: &Self, term: &Term| match term {
            Term::Value(value) => Some(e.graph.ty(*value).dtype),
            _ => None,
        };
        let tensors = || signature.params.iter().zip(&bound).filter(|(p, _)| p.is_tensor());
        let flat: Vec<(usize, Term, Span)> = tensors()
            .enumerate()
            .flat_map(|(i, (_, terms))| terms.iter().map(move |(term, span)| (i, term.clone(), *span)))
            .collect();
        let strong: Option<DType> = flat.iter().find_map(|(_, term, _)| dtype_of(self, term));
        let (mut inputs, mut spans) = (Vec::new(), Vec::new());
        let mut counts = vec![0; tensors().count()];
        for (param, term, span) in &flat {
            inputs.push(self.tensor(frame, term, strong, *span)?);
            spans.push(*span);
            counts[*param] += 1;
        }
        let rank = inputs.first().map_or(0, |value| self.graph.ty(*value).rank());
        let mut attrs = Vec::new();
        for (param, terms) in signature.params.iter().zip(&bound).filter(|(p, _)| !p.is_tensor()) {
            attrs.push(match param.kind {
                Kind::Names => self.names(terms)?,
                _ => self.attr(param, terms.first(), rank)?,
            });
        }
        let loc = self.loc(span);
        let path = frame.path.join(".");
        let mut builder = GraphBuilder { graph: &mut self.graph, block: &mut self.block, path };
        match builder.apply(op, Arguments { counts, attrs }, &inputs, loc) {
            Ok(applied) => {
                for guard in applied.guards {
                    self.guard(guard, &spans, span);
                }
                Ok(match applied.outputs.as_slice() {
                    [one] => Term::Value(*one),
                    many => Term::Tuple(many.iter().map(|value| Term::Value(*value)).collect()),
                })
            }
            Err(error) => self.op_error(error, &spans, &bound, signature.params, span),
        }
    }

    /// The arguments of each parameter, in the signature's order.
    fn bind(
        &mut self,
        op: OpKind,
        positional: Vec<(Term, Span)>,
        named: Vec<Named>,
        span: Span,
    ) -> Checks<Vec<Vec<(Term, Span)>>> {
        let signature = op.op().signature();
        let mut bound: Vec<Vec<(Term, Span)>> = vec![vec![]; signature.params.len()];
        let mut next = 0;
        for (term, at) in positional {
            // In a pipe the tensor comes first, where a pattern may stand before it in the signature.
            let misplaced = |i: &usize| {
                let param = &signature.params[*i];
                param.is_tensor() == matches!(term, Term::Static(Static::Text(_))) && bound[*i].is_empty()
            };
            while next < bound.len() && misplaced(&next) && signature.params[next].kind == Kind::Text {
                next += 1;
            }
            let text = matches!(term, Term::Static(Static::Text(_)));
            let home = match text.then(|| signature.params.iter().position(|p| p.kind == Kind::Text)).flatten() {
                Some(i) if bound[i].is_empty() => i,
                _ => next,
            };
            let Some(param) = signature.params.get(home) else {
                return self.error(
                    "MDL0204",
                    format!("`{}` takes {}", signature.name, signature.show()),
                    at,
                    "one too many",
                );
            };
            match (param.kind, term) {
                (Kind::Tensors, Term::Tuple(terms)) => bound[home].extend(terms.into_iter().map(|term| (term, at))),
                (_, term) => bound[home].push((term, at)),
            }
            if home == next && param.kind != Kind::Tensors {
                next += 1;
                while next < bound.len() && !bound[next].is_empty() {
                    next += 1;
                }
            }
        }
        for (name, name_span, term, at) in named {
            let names = || signature.params.iter().position(|p| p.kind == Kind::Names);
            let own = signature.params.iter().position(|p| p.name == &*name && p.kind != Kind::Names);
            let Some(i) = own else {
                let word = Term::Static(Static::Text(name.into()));
                bound[names().expect("the words were checked")].push((Term::Tuple(vec![word, term]), at));
                continue;
            };
            if !bound[i].is_empty() {
                return self.error("MDL0206", format!("`{name}` is given twice"), name_span, "the second time");
            }
            bound[i].push((term, at));
        }
        let missing = signature.params.iter().zip(&bound).find(|(p, b)| p.default == Default::Required && b.is_empty());
        match missing {
            Some((param, _)) => {
                let message = format!("`{}` needs `{}`", signature.name, param.name);
                let diagnostic = Diagnostic::error("MDL0206", message, self.loc(span), "not given here");
                self.report(diagnostic.note(format!("it is written {}", signature.show())))
            }
            None => Ok(bound),
        }
    }

    fn no_argument<T>(&mut self, op: &str, name: &str, span: Span, params: &[Param], shown: &str) -> Checks<T> {
        let synonyms = [("dim", "axis"), ("keepdim", "keep"), ("bias", "beta"), ("weight", "gamma")];
        let known = |word: &str| params.iter().any(|p| p.name == word);
        let synonym = synonyms.iter().find(|(other, own)| *other == name && known(own)).map(|(_, own)| *own);
        let near = synonym.or_else(|| nearest(name, params.iter().map(|p| p.name)));
        let loc = self.loc(span);
        let message = format!("`{op}` has no argument `{name}`");
        let diagnostic = Diagnostic::error("MDL0204", message, loc, "unknown").note(format!("it is written {shown}"));
        self.report(match near {
            Some(near) => diagnostic.help(format!("the argument is called `{near}`")).fix(
                format!("{name} → {near}"),
                vec![Edit { loc, text: near.into() }],
                Applicability::Exact,
            ),
            None => diagnostic,
        })
    }

    /// The named arguments that no parameter took, each a word with its dim.
    fn names(&mut self, terms: &[(Term, Span)]) -> Checks<Attr> {
        let mut names = Vec::new();
        for (term, span) in terms {
            match term {
                Term::Tuple(pair) => match pair.as_slice() {
                    [Term::Static(Static::Text(word)), Term::Static(Static::Dim(dim))] => {
                        names.push((word.clone(), dim.clone()));
                    }
                    _ => return self.error("MDL0205", "a named size is an integer or a dim", *span, "this is none"),
                },
                _ => return self.error("MDL0204", "a size is given by its name", *span, "write NAME = SIZE"),
            }
        }
        Ok(Attr::Names(names))
    }

    /// A compile-time argument as its parameter wants it; axes count from the front.
    fn attr(&mut self, param: &Param, given: Option<&(Term, Span)>, rank: usize) -> Checks<Attr> {
        let Some((term, span)) = given else {
            return Ok(match param.default {
                Default::Required => unreachable!("required arguments were bound"),
                Default::None => Attr::None,
                Default::Int(value) if value < 0 && matches!(param.kind, Kind::Axis | Kind::Axes) => {
                    Attr::Int(value + rank as i64)
                }
                Default::Int(value) => Attr::Int(value),
                Default::Float(value) => Attr::Float(value),
                Default::Bool(value) => Attr::Bool(value),
                Default::Text(value) => Attr::Text(value.into()),
            });
        };
        let Term::Static(value) = term else {
            let message = format!("`{}` must be known at compile time", param.name);
            let diagnostic = Diagnostic::error("MDL0205", message, self.loc(*span), "this is computed at run time");
            return self.report(diagnostic.help("pass a literal, a `const`, a `dim`, or the repeat index"));
        };
        let number = |value: &Static| match value {
            Static::Dim(dim) => dim.as_constant(),
            _ => None,
        };
        let numbers = |value: &Static| match value {
            Static::List(items) => items.iter().map(number).collect::<Option<Vec<i64>>>(),
            one => number(one).map(|n| vec![n]),
        };
        let dims = |items: &[Static]| {
            let dim = |item: &Static| match item {
                Static::Dim(dim) => Some(Some(dim.clone())),
                _ => None,
            };
            items.iter().map(dim).collect::<Option<Vec<_>>>()
        };
        let whole = |n: i64| if n < 0 { n + rank as i64 } else { n };
        let attr = match (param.kind, value) {
            (_, Static::None) if param.default == Default::None => Some(Attr::None),
            (Kind::Int, value) => number(value).map(Attr::Int),
            (Kind::Axis, value) => number(value).map(|n| Attr::Int(whole(n))),
            (Kind::Pad, Static::Text(text)) => Some(Attr::Text(text.clone())),
            (Kind::Ints | Kind::Pad, value) => numbers(value).map(Attr::Ints),
            (Kind::Axes, value) => numbers(value).map(|all| Attr::Ints(all.into_iter().map(whole).collect())),
            (Kind::Float, Static::Float(value)) => Some(Attr::Float(*value)),
            (Kind::Float, value) => number(value).map(|n| Attr::Float(n as f64)),
            (Kind::Bool, Static::Bool(value)) => Some(Attr::Bool(*value)),
            (Kind::Word(words), Static::Text(text)) => words.contains(&text.as_str()).then(|| Attr::Text(text.clone())),
            (Kind::Text, Static::Text(text)) => Some(Attr::Text(text.clone())),
            (Kind::DType, Static::DType(dtype)) => Some(Attr::DType(*dtype)),
            (Kind::Dim, Static::Dim(dim)) => Some(Attr::Dim(dim.clone())),
            (Kind::Dims, Static::List(items)) => dims(items).map(Attr::Dims),
            _ => None,
        };
        let Some(attr) = attr else {
            let message = format!("`{}` does not take {}", param.name, value.kind());
            return self.error("MDL0205", message, *span, "not of the kind that is wanted");
        };
        let outside = |n: &i64| *n < 0 || *n >= rank as i64;
        let axes: &[i64] = match (&attr, param.kind) {
            (Attr::Int(n), Kind::Axis) => std::slice::from_ref(n),
            (Attr::Ints(all), Kind::Axes) => all,
            _ => &[],
        };
        if axes.iter().any(outside) {
            let message = format!("there is no such axis: the tensor has {rank} axes");
            return self.error("MDL0309", message, *span, format!("axes are 0..{rank}, or negative from the end"));
        }
        Ok(attr)
    }

    fn guard(&mut self, guard: crate::ops::Guard, spans: &[Span], span: Span) {
        let span = match guard.blame {
            Blame::Input(i) => spans[i],
            _ => span,
        };
        let message = format!("cannot tell {}", guard.question);
        let diagnostic = Diagnostic::warning("MDL0303", message, self.loc(span), "checked when the model is called");
        self.diagnostics.push(diagnostic.help("an `assert` in the entry would settle it"));
        let (at_least_zero, exactly_zero) = (guard.at_least_zero, guard.exactly_zero);
        let message = format!("it does not hold {}", guard.question.trim_start_matches("whether "));
        self.guards.push(GuardNode { at_least_zero, exactly_zero, message, loc: self.loc(span) });
    }

    fn op_error<T>(
        &mut self,
        error: OpError,
        spans: &[Span],
        bound: &[Vec<(Term, Span)>],
        params: &[Param],
        span: Span,
    ) -> Checks<T> {
        let argument = |name: &str| {
            let found = params.iter().zip(bound).find(|(p, _)| p.name == name);
            found.and_then(|(_, terms)| terms.first()).map_or(span, |(_, at)| *at)
        };
        let place = |blame: &Blame| match blame {
            Blame::Call => span,
            Blame::Input(i) => spans.get(*i).copied().unwrap_or(span),
            Blame::Argument(name) => argument(name),
            Blame::Text(name, range) => {
                let text = argument(name);
                Span::new(text.start as usize + 1 + range.start, text.start as usize + 1 + range.end)
            }
        };
        let mut labels = error.labels.iter();
        let (blame, text) = labels.next().expect("an error has a primary label");
        let mut diagnostic = Diagnostic::error(error.code, error.message.clone(), self.loc(place(blame)), text.clone());
        for (blame, text) in labels {
            diagnostic = diagnostic.label(self.loc(place(blame)), text.clone());
        }
        diagnostic.notes = error.notes;
        diagnostic.helps = error.helps;
        self.report(diagnostic)
    }

    /// Elaborates a block or function in place.
    #[allow(clippy::too_many_arguments)]
    fn call(
        &mut self,
        frame: &mut Frame,
        (function, pure): (&'t ast::Func, bool),
        statics: &[IndexItem],
        positional: Vec<(Term, Span)>,
        named: Vec<Named>,
        scopes: &[&Text],
        span: Span,
    ) -> Checks<Term> {
        let name = &*function.name.name;
        if self.running.contains(&name) || self.running.len() >= DEEPEST {
            let chain = self.running.iter().copied().chain([name]).collect::<Vec<_>>().join(" → ");
            let message = format!("`{name}` calls itself: {chain}");
            return self.error("MDL0214", message, span, "a network has a fixed number of layers");
        }
        let mut inner = Frame { pure: pure || frame.pure, ..self.globals.clone() };
        inner.path = scopes.iter().fold(frame.path.clone(), |path, text| match text.value.strip_prefix('/') {
            Some(absolute) => vec![absolute.to_owned()],
            None => path.into_iter().chain([text.value.to_string()]).collect(),
        });
        self.bind_statics(frame, &mut inner, function, statics)?;
        if let Some((word, at, ..)) = named.first() {
            return self.error("MDL0204", format!("`{name}` has no argument `{word}`"), *at, "arguments go by place");
        }
        if positional.len() != function.params.len() {
            let message = format!("`{name}` takes {} arguments, found {}", function.params.len(), positional.len());
            let diagnostic = Diagnostic::error("MDL0206", message, self.loc(span), "called here");
            let declared = self.loc(function.name.span);
            return self.report(diagnostic.label(declared, "declared here"));
        }
        for (param, (term, at)) in function.params.iter().zip(&positional) {
            let value = self.tensor(frame, term, None, *at)?;
            let found = self.graph.ty(value).clone();
            self.bind_parameter(&mut inner, &param.ty, &found, *at, &param.name)?;
            inner.names.insert(param.name.name.to_string(), Ok(Term::Value(value)));
        }
        self.infer_statics(&mut inner, function, span)?;
        self.running.push(&function.name.name);
        let result = self.body(&mut inner, function);
        self.running.pop();
        result
    }

    fn bind_statics(
        &mut self,
        frame: &mut Frame,
        inner: &mut Frame,
        function: &ast::Func,
        given: &[IndexItem],
    ) -> Checks<()> {
        for (i, item) in given.iter().enumerate() {
            let (param, expr) = match &item.kind {
                IndexKind::At(expr) => (function.statics.get(i), expr),
                IndexKind::Named(name, expr) => (function.statics.iter().find(|p| p.name.name == name.name), expr),
                _ => return Err(Poison),
            };
            let Some(param) = param else {
                let message = format!("`{}` has no such static argument", function.name.name);
                return self.error("MDL0204", message, item.span, "unknown");
            };
            let value = self.expr(frame, expr);
            if !matches!(value, Ok(Term::Static(_)) | Err(_)) {
                let message = format!("`{}` must be known at compile time", param.name.name);
                return self.error("MDL0205", message, expr.span, "this is computed at run time");
            }
            inner.names.insert(param.name.name.to_string(), value);
        }
        // A static argument hides a global of the same name, also while it is not bound yet.
        for param in &function.statics {
            let bound = given.iter().enumerate().any(|(i, item)| match &item.kind {
                IndexKind::At(_) => function.statics.get(i).is_some_and(|p| p.name == param.name),
                IndexKind::Named(name, _) => name.name == param.name.name,
                _ => false,
            });
            if !bound {
                inner.names.remove(&*param.name.name);
            }
        }
        Ok(())
    }

    /// Static arguments that the parameters' types did not bind take their defaults.
    fn infer_statics(&mut self, inner: &mut Frame, function: &ast::Func, span: Span) -> Checks<()> {
        for param in &function.statics {
            let name = &*param.name.name;
            if inner.names.contains_key(name) {
                continue;
            }
            let Some(default) = &param.default else {
                let message = format!("cannot infer `{name}` of `{}`", function.name.name);
                let declared = self.loc(param.span);
                let diagnostic = Diagnostic::error("MDL0208", message, self.loc(span), "called here")
                    .label(declared, format!("`{name}` appears only in the result type"))
                    .help(format!("write it: {}[{name} = …](…)", function.name.name));
                return self.report(diagnostic);
            };
            let value = self.expr(inner, default);
            inner.names.insert(name.to_owned(), value);
        }
        Ok(())
    }

    /// Adds a node to the present block.
    pub(super) fn push(
        &mut self,
        kind: NodeKind,
        inputs: Vec<ValueId>,
        outputs: Vec<ValueId>,
        span: Span,
        frame: &Frame,
    ) {
        let node = Node { kind, inputs, outputs, loc: self.loc(span), path: frame.path.join(".") };
        let node = self.graph.nodes.push(node);
        self.block.nodes.push(node);
    }
}
