//! Finding what a name stands for: the body, the file, element types.

use super::elaborate::Elaborator;
use super::scope::{Entity, Frame, Function};
use super::term::{Checks, Poison, Static, Term};
use super::words;
use crate::diag::Diagnostic;
use crate::ops::OpKind;
use crate::types::Loc;
use mlc_codegen::base::DType;
use mlc_grammar::ast::{Expr, ExprKind, Ident};

/// What stands before the parentheses of a call.
#[derive(Clone, Copy)]
pub(super) enum Callee<'t> {
    /// A block or a `fn`.
    Function(Function<'t>),
    /// An operator of the table.
    Op(OpKind),
}

impl<'t> Elaborator<'t> {
    /// The value of a name.
    pub(super) fn lookup(&mut self, frame: &Frame, name: &str, loc: Loc) -> Checks<Term> {
        if let Some(binding) = frame.get(name) {
            let bound = binding.loc;
            let term = binding.term.clone();
            if let Some(usage) = self.uses.get_mut(&bound) {
                usage.used = true;
            }
            return term;
        }
        match self.modules[frame.module].names.get(name) {
            Some((Entity::Value(term), bound)) => {
                let (term, bound) = (term.clone(), *bound);
                if let Some(usage) = self.uses.get_mut(&bound) {
                    usage.used = true;
                }
                return term;
            }
            Some((Entity::Lost, _)) => return Err(Poison),
            Some((entity, bound)) => {
                let what = match entity {
                    Entity::Function(function) if function.pure => "a function",
                    Entity::Function(_) => "a block",
                    Entity::File(_) => "an imported file",
                    Entity::Model(_) => "a model",
                    _ => "a profile",
                };
                let (message, bound) = (format!("`{name}` is {what}, not a value"), *bound);
                let diagnostic = Diagnostic::error("MDL0212", message, loc, "used as a value here");
                let diagnostic = diagnostic.label(bound, "declared here");
                return self.report(match what {
                    "a function" | "a block" => diagnostic.help(format!("call it: {name}(…)")),
                    _ => diagnostic,
                });
            }
            None => {}
        }
        if let Ok(dtype) = name.parse::<DType>() {
            return Ok(Term::Static(Static::DType(dtype)));
        }
        if name == "none" {
            return Ok(Term::Static(Static::None));
        }
        self.unknown_name(frame, name, loc)
    }

    fn unknown_name(&mut self, frame: &Frame, name: &str, loc: Loc) -> Checks<Term> {
        if OpKind::by_name(name).is_some() {
            let message = format!("`{name}` is an operator, not a value");
            let diagnostic = Diagnostic::error("MDL0212", message, loc, "used as a value here");
            return self.report(diagnostic.help(format!("call it: {name}(…)")));
        }
        let module = &self.modules[frame.module];
        let top = module.names.iter().filter(|(_, (e, _))| matches!(e, Entity::Value(_))).map(|(name, _)| *name);
        let near = words::nearest(name, frame.names().chain(top)).map(str::to_owned);
        let hidden = match name {
            "x" | "None" | "null" | "nil" => None,
            _ => self.model_name(name),
        };
        let message = format!("nothing is named `{name}` here");
        self.unknown("MDL0207", message, loc, near.as_deref(), hidden)
    }

    /// A note where the name is one of the model's, which blocks do not see.
    fn model_name(&self, name: &str) -> Option<&'static str> {
        let models = self.modules.iter().flat_map(|module| module.names.values());
        let declared = models.filter_map(|(entity, _)| match entity {
            Entity::Model(model) => Some(model),
            _ => None,
        });
        let found = declared.flat_map(|model| &model.members).any(|member| match &member.kind {
            mlc_grammar::ast::MemberKind::Dim(dim) => &*dim.name.name == name,
            mlc_grammar::ast::MemberKind::Const(constant) => &*constant.name.name == name,
            _ => false,
        });
        found.then_some("a block does not see the model's dims; hand it over as a static argument")
    }

    /// What a call calls: a name, or `file.name`.
    pub(super) fn callee(&mut self, frame: &Frame, expr: &Expr) -> Checks<Callee<'t>> {
        match &expr.kind {
            ExprKind::Name(name) => self.callee_by_name(frame, name, self.loc(frame, expr.span)),
            ExprKind::Field(base, name) => self.callee_in_file(frame, base, name),
            ExprKind::Error => Err(Poison),
            _ => {
                let loc = self.loc(frame, expr.span);
                self.error("MDL0212", "only blocks, functions and operators can be called", loc, "this is none")
            }
        }
    }

    fn callee_by_name(&mut self, frame: &Frame, name: &str, loc: Loc) -> Checks<Callee<'t>> {
        match self.modules[frame.module].names.get(name) {
            Some((Entity::Function(function), _)) => return Ok(Callee::Function(*function)),
            Some((Entity::Lost, _)) => return Err(Poison),
            _ => {}
        }
        if let Some(op) = OpKind::by_name(name) {
            return Ok(Callee::Op(op));
        }
        if frame.get(name).is_some() {
            let term = self.lookup(frame, name, loc)?;
            let message = format!("`{name}` is {}, and cannot be called", term.kind());
            return self.error("MDL0212", message, loc, "called here");
        }
        let known = |own: &str| OpKind::by_name(own).is_some();
        let functions = self.modules[frame.module].names.iter();
        let own = functions.filter(|(_, (e, _))| matches!(e, Entity::Function(_))).map(|(name, _)| *name);
        let near = words::operator(name, known)
            .map(str::to_owned)
            .or_else(|| words::nearest(name, own.chain(OpKind::ALL.iter().map(|op| op.name()))).map(str::to_owned));
        let message = format!("unknown operator `{name}`");
        self.unknown("MDL0201", message, loc, near.as_deref(), Some("`mlc ops` lists all operators"))
    }

    fn callee_in_file(&mut self, frame: &Frame, base: &Expr, name: &Ident) -> Checks<Callee<'t>> {
        let loc = self.loc(frame, name.span);
        let file = base.as_name().and_then(|word| self.modules[frame.module].names.get(word));
        match file {
            Some((Entity::File(index), _)) => {
                let index = *index;
                match self.modules[index].names.get(&*name.name) {
                    Some((Entity::Function(function), _)) => Ok(Callee::Function(*function)),
                    Some((Entity::Lost, _)) => Err(Poison),
                    _ => self.not_in_file(index, &name.name, loc),
                }
            }
            Some((Entity::Lost, _)) => Err(Poison),
            _ => {
                let base = self.loc(frame, base.span);
                let message = format!("`{}` is not an imported file", self.text(base));
                self.error("MDL0212", message, base, "expected a file here")
            }
        }
    }

    /// A file has no item of this name.
    pub(super) fn not_in_file<T>(&mut self, index: usize, name: &str, loc: Loc) -> Checks<T> {
        let module = &self.modules[index];
        let near = words::nearest(name, module.names.keys().copied()).map(str::to_owned);
        let file = self.sources.name(module.file).to_owned();
        self.unknown("MDL0218", format!("there is no `{name}` in `{file}`"), loc, near.as_deref(), None)
    }
}
