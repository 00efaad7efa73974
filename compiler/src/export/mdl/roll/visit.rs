//! The names that a statement uses, to read or to change: values and dims, not what is called.

use mlc_grammar::ast::{Expr, ExprKind, Ident, IndexKind, Pattern, Stmt, StmtKind, Type, TypeDimKind, TypeKind};

/// Every name in an expression that stands for a value or a dim, in the order of the text.
pub(super) fn expr(expr: &mut Expr, visit: &mut dyn FnMut(&mut Box<str>)) {
    match &mut expr.kind {
        ExprKind::Name(name) => visit(name),
        ExprKind::Tuple(items) | ExprKind::List(items) => items.iter_mut().for_each(|item| self::expr(item, visit)),
        ExprKind::Unary(_, operand) => self::expr(operand, visit),
        ExprKind::Chain(first, links) => {
            self::expr(first, visit);
            links.iter_mut().for_each(|link| self::expr(&mut link.operand, visit));
        }
        ExprKind::Pipe(first, stages) => {
            self::expr(first, visit);
            stages.iter_mut().for_each(|stage| self::expr(stage, visit));
        }
        ExprKind::Call(callee, args) => {
            if let ExprKind::Index(_, items) = &mut callee.kind {
                items.iter_mut().for_each(|item| index(&mut item.kind, visit));
            }
            args.iter_mut().for_each(|arg| self::expr(&mut arg.value, visit));
        }
        ExprKind::Index(base, items) => {
            self::expr(base, visit);
            items.iter_mut().for_each(|item| index(&mut item.kind, visit));
        }
        ExprKind::Field(base, _) | ExprKind::At(base, _) => self::expr(base, visit),
        ExprKind::If(choice) => {
            let parts = [&mut choice.cond, &mut choice.then, &mut choice.otherwise];
            parts.into_iter().for_each(|part| self::expr(part, visit));
        }
        ExprKind::Int(_)
        | ExprKind::Float(_)
        | ExprKind::Quantity(..)
        | ExprKind::Str(_)
        | ExprKind::Bool(_)
        | ExprKind::Error => {}
    }
}

fn index(item: &mut IndexKind, visit: &mut dyn FnMut(&mut Box<str>)) {
    match item {
        IndexKind::At(value) | IndexKind::Named(_, value) => expr(value, visit),
        IndexKind::Slice(start, stop) => start.iter_mut().chain(stop).for_each(|side| expr(side, visit)),
        IndexKind::Rest | IndexKind::Error => {}
    }
}

/// Every name in the sizes of a type.
pub(super) fn ty(ty: &mut Type, visit: &mut dyn FnMut(&mut Box<str>)) {
    let TypeKind::Tensor(_, dims) = &mut ty.kind else { return };
    for dim in dims {
        match &mut dim.kind {
            TypeDimKind::Size(size) => expr(size, visit),
            TypeDimKind::Counted(_, least, most) => [least, most].into_iter().for_each(|side| expr(side, visit)),
            TypeDimKind::Pack(_) => {}
        }
    }
}

/// Every name that a statement uses; what it binds only where a loop takes it from before.
pub(super) fn stmt(stmt: &mut Stmt, visit: &mut dyn FnMut(&mut Box<str>)) {
    match &mut stmt.kind {
        StmtKind::Let { ty, value, .. } => {
            ty.iter_mut().for_each(|ty| self::ty(ty, visit));
            expr(value, visit);
        }
        StmtKind::Weight { ty, default, .. } => {
            self::ty(ty, visit);
            default.iter_mut().for_each(|value| expr(value, visit));
        }
        StmtKind::Set { target, value } => [target, value].into_iter().for_each(|part| expr(part, visit)),
        StmtKind::Repeat { start, end, cond, carry, body, .. } => {
            [start, end].into_iter().chain(cond).for_each(|part| expr(part, visit));
            carry.iter_mut().for_each(|name| visit(&mut name.name));
            body.stmts.iter_mut().for_each(|inner| all(inner, visit));
        }
        StmtKind::Fused { body, .. } => body.stmts.iter_mut().for_each(|inner| self::stmt(inner, visit)),
        StmtKind::Assert(value) | StmtKind::Return(value) => expr(value, visit),
        StmtKind::Const(_) | StmtKind::Dim(_) | StmtKind::Error(_) => {}
    }
}

/// Those, and the names that the statement binds.
fn all(inner: &mut Stmt, visit: &mut dyn FnMut(&mut Box<str>)) {
    stmt(inner, visit);
    bound(inner).into_iter().for_each(|name| visit(&mut name.name));
}

/// The names that a statement binds.
pub(super) fn bound(stmt: &mut Stmt) -> Vec<&mut Ident> {
    match &mut stmt.kind {
        StmtKind::Let { pattern: Pattern::Name(name), .. } | StmtKind::Weight { name, .. } => {
            vec![name]
        }
        StmtKind::Let { pattern: Pattern::Tuple(names), .. } => names.iter_mut().collect(),
        _ => vec![],
    }
}

/// The names that a statement uses, in the order of the text.
pub(super) fn used(found: &Stmt) -> Vec<String> {
    let mut names = vec![];
    stmt(&mut found.clone(), &mut |name| names.push(name.to_string()));
    names
}

/// The names that a statement binds.
pub(super) fn binds(found: &Stmt) -> Vec<String> {
    bound(&mut found.clone()).into_iter().map(|name| name.name.to_string()).collect()
}
