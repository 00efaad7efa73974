//! Which parameters of a block are states: those that it sets, or hands to a block that does.

use super::elaborate::Elaborator;
use super::functions::Takes;
use super::scope::{Entity, Function};
use super::state::{base, sets};
use mlc_grammar::ast::{Arg, Body, Expr, ExprKind, Func, IndexKind, Param, StmtKind, TypeKind};

/// Parameters that are being looked at, so that blocks that call each other come to an end.
type Seen<'a> = Vec<(*const Func, &'a str)>;

impl<'t> Elaborator<'t> {
    /// What a parameter of a function of a file takes.
    pub(super) fn takes(&self, module: usize, func: &Func, param: &Param) -> Takes {
        match &param.ty.kind {
            TypeKind::Tensor(word, dims) if dims.is_empty() && matches!(&*word.name, "size" | "int") => Takes::Size,
            _ if self.is_set(module, func, &param.name.name, &mut vec![]) => Takes::State,
            _ => Takes::Tensor,
        }
    }

    fn is_set<'a>(&'a self, module: usize, func: &'a Func, name: &'a str, seen: &mut Seen<'a>) -> bool {
        let key = (std::ptr::from_ref(func), name);
        if seen.contains(&key) {
            return false;
        }
        seen.push(key);
        sets(&func.body, name) || self.handed_on_in(module, &func.body, name, seen)
    }

    fn handed_on_in<'a>(&'a self, module: usize, body: &'a Body, name: &str, seen: &mut Seen<'a>) -> bool {
        body.stmts.iter().any(|stmt| match &stmt.kind {
            StmtKind::Let { value, .. } | StmtKind::Set { value, .. } | StmtKind::Return(value) => {
                self.handed_on(module, value, name, seen)
            }
            StmtKind::Repeat { body, .. } | StmtKind::Fused { body, .. } => self.handed_on_in(module, body, name, seen),
            _ => false,
        })
    }

    /// Whether an expression gives the name, or a part of it, to a parameter that is a state.
    fn handed_on<'a>(&'a self, module: usize, expr: &'a Expr, name: &str, seen: &mut Seen<'a>) -> bool {
        let mut inside = |expr: &'a Expr| self.handed_on(module, expr, name, seen);
        match &expr.kind {
            ExprKind::Tuple(items) | ExprKind::List(items) => items.iter().any(inside),
            ExprKind::Unary(_, operand) | ExprKind::At(operand, _) => inside(operand),
            ExprKind::Chain(first, links) => inside(first) || links.iter().any(|link| inside(&link.operand)),
            ExprKind::If(choice) => [&choice.cond, &choice.then, &choice.otherwise].into_iter().any(inside),
            ExprKind::Index(of, items) => {
                inside(of) || items.iter().any(|item| matches!(&item.kind, IndexKind::At(expr) if inside(expr)))
            }
            ExprKind::Call(callee, args) => {
                args.iter().any(|arg| inside(&arg.value)) || self.taken_as_state(module, callee, None, args, name, seen)
            }
            ExprKind::Pipe(first, stages) => {
                if inside(first) || stages.iter().any(&mut inside) {
                    return true;
                }
                let (callee, args) = called(&stages[0]);
                self.taken_as_state(module, callee, Some(first), args, name, seen)
            }
            _ => false,
        }
    }

    fn taken_as_state<'a>(
        &'a self,
        module: usize,
        callee: &Expr,
        piped: Option<&Expr>,
        args: &[Arg],
        name: &str,
        seen: &mut Seen<'a>,
    ) -> bool {
        let is_it = |value: &Expr| base(value).and_then(Expr::as_name) == Some(name);
        if !piped.is_some_and(is_it) && !args.iter().any(|arg| is_it(&arg.value)) {
            return false;
        }
        let Some(function) = self.function(module, callee) else { return false };
        let params = &function.func.params;
        let unnamed = piped.into_iter().chain(args.iter().filter(|arg| arg.name.is_none()).map(|arg| &arg.value));
        let by_place = params.iter().zip(unnamed).filter(|(_, value)| is_it(value)).map(|(param, _)| param);
        let named = args.iter().filter(|arg| is_it(&arg.value)).filter_map(|arg| arg.name.as_ref());
        let by_name = named.filter_map(|word| params.iter().find(|param| param.name.name == word.name));
        let mut taken = by_place.chain(by_name);
        taken.any(|param| self.is_set(function.module, function.func, &param.name.name, seen))
    }

    /// The block or function that a callee names, without a word if there is none.
    fn function(&self, module: usize, callee: &Expr) -> Option<Function<'t>> {
        let named = |module: usize, name: &str| match self.modules.get(module)?.names.get(name)? {
            (Entity::Function(function), _) => Some(*function),
            _ => None,
        };
        match &callee.kind {
            ExprKind::Name(name) => named(module, name),
            ExprKind::Index(callee, _) => self.function(module, callee),
            ExprKind::Field(file, name) => match self.modules.get(module)?.names.get(file.as_name()?)? {
                (Entity::File(index), _) => named(*index, &name.name),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The callee and the arguments of a stage of a pipe.
fn called(stage: &Expr) -> (&Expr, &[Arg]) {
    match &stage.kind {
        ExprKind::At(inner, _) => called(inner),
        ExprKind::Call(callee, args) => (callee, args),
        _ => (stage, &[]),
    }
}
