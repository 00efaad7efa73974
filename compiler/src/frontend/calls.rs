//! Calls as they are written: `at` scopes, the callee, static arguments, arguments; and the stages of pipes.

use super::arguments::Argument;
use super::elaborate::Elaborator;
use super::lookup::Callee;
use super::scope::{Entity, Frame};
use super::term::{Checks, Poison, Term};
use crate::diag::Diagnostic;
use crate::types::Loc;
use mlc_grammar::ast::{Arg, Expr, ExprKind, IndexItem, Text};

/// A call taken apart.
struct Parts<'e> {
    callee: &'e Expr,
    statics: &'e [IndexItem],
    args: &'e [Arg],
    /// In the order in which they join.
    scopes: Vec<&'e Text>,
}

impl<'e> Parts<'e> {
    fn of(expr: &'e Expr) -> Parts<'e> {
        let (mut target, mut scopes) = (expr, vec![]);
        while let ExprKind::At(inner, text) = &target.kind {
            scopes.push(text);
            target = inner;
        }
        scopes.reverse();
        let (callee, args): (&Expr, &[Arg]) = match &target.kind {
            ExprKind::Call(callee, args) => (callee, args),
            _ => (target, &[]),
        };
        let (callee, statics): (&Expr, &[IndexItem]) = match &callee.kind {
            ExprKind::Index(callee, items) => (callee, items),
            _ => (callee, &[]),
        };
        Parts { callee, statics, args, scopes }
    }
}

impl<'t> Elaborator<'t> {
    /// A stage of a pipe: a call whose first argument is the value so far.
    pub(super) fn stage(&mut self, frame: &Frame, stage: &Expr, value: Checks<(Term, Loc)>) -> Checks<Term> {
        match value {
            Ok(first) => self.invoke(frame, stage, Some(first)),
            Err(poison) => {
                let parts = Parts::of(stage);
                let _ = self.arguments(frame, parts.args);
                if let Ok(callee) = self.callee(frame, parts.callee) {
                    if let Callee::Function(function) = callee {
                        self.called.insert((function.module, &function.func.name.name));
                    }
                    self.check_words(frame, callee, parts.args);
                }
                Err(poison)
            }
        }
    }

    /// A call, or a stage of a pipe, whose first argument is then given.
    pub(super) fn invoke(&mut self, frame: &Frame, expr: &Expr, first: Option<(Term, Loc)>) -> Checks<Term> {
        let loc = self.loc(frame, expr.span);
        let parts = Parts::of(expr);
        let piped = first.is_some();
        if !piped && !matches!(strip(expr).kind, ExprKind::Call(..)) {
            return self.not_a_call(frame, &parts, loc);
        }
        let callee = self.callee(frame, parts.callee);
        if let Ok(Callee::Function(function)) = &callee {
            self.called.insert((function.module, &function.func.name.name));
        }
        let given = self.arguments(frame, parts.args);
        if let (Err(_), Ok(callee)) = (&given, &callee) {
            self.check_words(frame, *callee, parts.args);
        }
        let mut inner_path = Ok(frame.path.clone());
        for text in &parts.scopes {
            let segment = self.segment(frame, text);
            inner_path = inner_path.and_then(|path| Ok(path.join(segment?)));
        }
        let whole = first.as_ref().map_or(loc, |(_, at)| at.to(loc));
        let mut arguments: Vec<Argument> = first.into_iter().map(|(term, at)| Argument::positional(term, at)).collect();
        match callee? {
            Callee::Function(function) => {
                arguments.extend(given?);
                let call = super::functions::Call {
                    function,
                    statics: parts.statics,
                    arguments,
                    path: inner_path?,
                    loc: if piped { loc } else { whole },
                    callee: self.loc(frame, parts.callee.span),
                };
                self.call(frame, call)
            }
            Callee::Op(op) => {
                if let Some(item) = parts.statics.first() {
                    let at = self.loc(frame, item.span);
                    let message = format!("`{}` is an operator: it has no static arguments", op.name());
                    let diagnostic = Diagnostic::error("MDL0204", message, at, "not known");
                    return self.report(diagnostic.help("its arguments go in parentheses"));
                }
                arguments.extend(given?);
                let path = inner_path?;
                if path == frame.path {
                    return self.apply_op(frame, op, arguments, whole);
                }
                let named = Frame { path, ..Frame::new(frame.module) };
                self.apply_op(&named, op, arguments, whole)
            }
        }
    }

    /// The arguments of a call, all of them evaluated, so that each mistake is found.
    fn arguments(&mut self, frame: &Frame, args: &[Arg]) -> Checks<Vec<Argument>> {
        let evaluated: Vec<Checks<Argument>> = args
            .iter()
            .map(|arg| {
                let loc = self.loc(frame, arg.value.span);
                let name = arg.name.as_ref().map(|name| (name.name.clone(), self.loc(frame, name.span)));
                self.expr(frame, &arg.value).map(|term| Argument { name, term, loc })
            })
            .collect();
        evaluated.into_iter().collect()
    }

    /// The words before `=`, where the arguments themselves are lost.
    fn check_words(&mut self, frame: &Frame, callee: Callee, args: &[Arg]) {
        for word in args.iter().filter_map(|arg| arg.name.as_ref()) {
            let at = self.loc(frame, word.span);
            match callee {
                Callee::Op(op) => drop(self.check_word(op.op().signature(), &word.name, at)),
                Callee::Function(function) => {
                    let func = function.func;
                    if !func.params.iter().any(|param| param.name.name == word.name) {
                        let declared = self.loc_in(function.module, func.name.span);
                        let _ = self.no_parameter(func, &word.name, at, declared);
                    }
                }
            }
        }
    }

    /// `x at "a"`, `Dense[4]` outside of a pipe.
    fn not_a_call(&mut self, frame: &Frame, parts: &Parts, loc: Loc) -> Checks<Term> {
        let callee = self.loc(frame, parts.callee.span);
        let word = self.text(callee).to_owned();
        if matches!(parts.callee.kind, ExprKind::Error) {
            return Err(Poison);
        }
        let message = match parts.scopes.is_empty() {
            true => format!("`{word}` is not called here"),
            false => "`at` follows a call".to_owned(),
        };
        let diagnostic = Diagnostic::error("MDL0212", message, loc, "this is no call");
        self.report(diagnostic.help(format!("give its arguments in parentheses: {word}(…)")))
    }

    /// Whether an expression names a block, a function or an operator.
    pub(super) fn is_function(&self, frame: &Frame, expr: &Expr) -> bool {
        match &expr.kind {
            ExprKind::Name(name) => {
                frame.get(name).is_none()
                    && match self.modules[frame.module].names.get(&**name) {
                        Some((entity, _)) => matches!(entity, Entity::Function(_)),
                        None => crate::ops::OpKind::by_name(name).is_some(),
                    }
            }
            ExprKind::Field(base, _) => {
                let file = base.as_name().and_then(|word| self.modules[frame.module].names.get(word));
                matches!(file, Some((Entity::File(_), _)))
            }
            _ => false,
        }
    }
}

fn strip(expr: &Expr) -> &Expr {
    let mut target = expr;
    while let ExprKind::At(inner, _) = &target.kind {
        target = inner;
    }
    target
}
