//! Nodes of the syntax tree that stand nowhere in a source.

use mlc_grammar::ast::{
    Arg, Attr, BinaryOp, Body, Expr, ExprKind, Ident, IndexItem, IndexKind, Link, Pattern, Span, Stmt, StmtKind, Type,
    TypeDim, TypeDimKind, TypeKind, UnaryOp,
};

pub(super) fn name(word: &str) -> Expr {
    Expr::new(ExprKind::Name(word.into()))
}

pub(super) fn text(words: &str) -> Expr {
    Expr::new(ExprKind::Str(words.into()))
}

pub(super) fn list(items: Vec<Expr>) -> Expr {
    Expr::new(ExprKind::List(items))
}

/// An integer; a negative one is a minus and its magnitude, as it is parsed.
pub(super) fn int(value: i64) -> Expr {
    let magnitude = Expr::new(ExprKind::Int(value.unsigned_abs()));
    if value < 0 { negated(magnitude) } else { magnitude }
}

/// A float; infinity and NaN are quotients by zero.
pub(super) fn float(value: f64) -> Expr {
    let plain = |value: f64| Expr::new(ExprKind::Float(value));
    match value {
        v if v.is_nan() => chain(plain(0.0), vec![(BinaryOp::Div, plain(0.0))]),
        v if v.is_infinite() => chain(float(1f64.copysign(v)), vec![(BinaryOp::Div, plain(0.0))]),
        v if v.is_sign_negative() => negated(plain(-v)),
        v => plain(v),
    }
}

pub(super) fn negated(operand: Expr) -> Expr {
    Expr::new(ExprKind::Unary(UnaryOp::Neg, Box::new(operand)))
}

pub(super) fn chain(first: Expr, links: Vec<(BinaryOp, Expr)>) -> Expr {
    if links.is_empty() {
        return first;
    }
    let link = |(op, operand)| Link { op, op_span: Span::default(), operand };
    Expr::new(ExprKind::Chain(Box::new(first), links.into_iter().map(link).collect()))
}

pub(super) fn call(callee: Expr, args: Vec<Arg>) -> Expr {
    Expr::new(ExprKind::Call(Box::new(callee), args))
}

pub(super) fn arg(value: Expr) -> Arg {
    Arg { name: None, value, span: Span::default() }
}

pub(super) fn named(word: &str, value: Expr) -> Arg {
    Arg { name: Some(Ident::new(word)), value, span: Span::default() }
}

pub(super) fn index(base: Expr, items: Vec<IndexKind>) -> Expr {
    let item = |kind| IndexItem { kind, span: Span::default() };
    Expr::new(ExprKind::Index(Box::new(base), items.into_iter().map(item).collect()))
}

/// One expression, or a tuple of several.
pub(super) fn tuple(mut values: Vec<Expr>) -> Expr {
    if values.len() == 1 { values.remove(0) } else { Expr::new(ExprKind::Tuple(values)) }
}

/// One name, or a tuple of several.
pub(super) fn pattern(names: &[String]) -> Pattern {
    match names {
        [one] => Pattern::Name(Ident::new(one)),
        several => Pattern::Tuple(several.iter().map(|name| Ident::new(name)).collect()),
    }
}

pub(super) fn stmt(kind: StmtKind) -> Stmt {
    Stmt { attrs: vec![], kind, span: Span::default() }
}

pub(super) fn bind(pattern: Pattern, ty: Option<Type>, value: Expr) -> Stmt {
    stmt(StmtKind::Let { pattern, ty, value })
}

pub(super) fn body(stmts: Vec<Stmt>) -> Body {
    Body { stmts, span: Span::default() }
}

pub(super) fn attribute(entry: Expr) -> Attr {
    Attr { entries: vec![entry], span: Span::default() }
}

pub(super) fn tensor_type(dtype: &str, dims: Vec<TypeDimKind>) -> Type {
    let dim = |kind| TypeDim { kind, span: Span::default() };
    let kind = TypeKind::Tensor(Ident::new(dtype), dims.into_iter().map(dim).collect());
    Type { kind, span: Span::default() }
}
