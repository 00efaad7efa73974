//! Expressions: what is written between a keyword and the next. No operator has a meaning here.

use crate::ast::{Ident, Span, Text};
use serde::{Deserialize, Serialize};

/// An expression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// All of it, with the parentheses around it.
    pub span: Span,
}

impl Expr {
    /// An expression that stands nowhere, for trees that are generated.
    pub fn new(kind: ExprKind) -> Expr {
        Expr { kind, span: Span::default() }
    }

    /// The word, where the expression is a plain name.
    pub fn as_name(&self) -> Option<&str> {
        match &self.kind {
            ExprKind::Name(name) => Some(name),
            _ => None,
        }
    }
}

/// The kinds of expression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ExprKind {
    /// `x`.
    Name(Box<str>),
    /// `1_024`.
    Int(u64),
    /// `1e-5`; finite.
    Float(f64),
    /// `0.5%`, `8ms`, `120MiB`: the number as written and its unit.
    Quantity(f64, Unit),
    /// `"conv"`, escapes resolved.
    Str(Box<str>),
    /// `true` or `false`.
    Bool(bool),
    /// `(a, b)`.
    Tuple(Vec<Expr>),
    /// `[a, b]`.
    List(Vec<Expr>),
    /// `-x`, `not x`.
    Unary(UnaryOp, Box<Expr>),
    /// Operators of one precedence, grouping to the left: `a - b + c` is `a`, then `- b`, then `+ c`.
    /// A comparison has exactly one link.
    Chain(Box<Expr>, Vec<Link>),
    /// `x |> f |> g(a)`: the value, then the stages.
    Pipe(Box<Expr>, Vec<Expr>),
    /// `f(a, axis = 1)`.
    Call(Box<Expr>, Vec<Arg>),
    /// `x[0, :]`, and also the instance `Dense[Out = 4]`.
    Index(Box<Expr>, Vec<IndexItem>),
    /// `nn.Dense`.
    Field(Box<Expr>, Ident),
    /// `Dense(x) at "fc1"`.
    At(Box<Expr>, Text),
    /// `if c { a } else { b }`.
    If(Box<If>),
    /// An expression that did not parse.
    Error,
}

/// The parts of `if c { a } else { b }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct If {
    /// The condition.
    pub cond: Expr,
    /// The value where it holds.
    pub then: Expr,
    /// The value where it does not.
    pub otherwise: Expr,
}

/// One step of a chain: an operator and its right operand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// The operator.
    pub op: BinaryOp,
    /// Where the operator stands.
    pub op_span: Span,
    /// Its right operand.
    pub operand: Expr,
}

/// The unit of a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Unit {
    /// `%`
    Percent,
    /// `ms`
    Ms,
    /// `us`
    Us,
    /// `KiB`
    KiB,
    /// `MiB`
    MiB,
    /// `GiB`
    GiB,
}

impl Unit {
    /// The unit as written.
    pub fn text(self) -> &'static str {
        match self {
            Unit::Percent => "%",
            Unit::Ms => "ms",
            Unit::Us => "us",
            Unit::KiB => "KiB",
            Unit::MiB => "MiB",
            Unit::GiB => "GiB",
        }
    }
}

/// An operator before its operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `not`
    Not,
}

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BinaryOp {
    /// `or`
    Or,
    /// `and`
    And,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `@`
    MatMul,
}

impl BinaryOp {
    /// The operator as written.
    pub fn text(self) -> &'static str {
        match self {
            BinaryOp::Or => "or",
            BinaryOp::And => "and",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::MatMul => "@",
        }
    }
}

/// An argument.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arg {
    /// The name before `=`; keywords are allowed here.
    pub name: Option<Ident>,
    /// The value.
    pub value: Expr,
    /// All of it.
    pub span: Span,
}

/// What stands between the commas of an index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexItem {
    /// What it is.
    pub kind: IndexKind,
    /// All of it.
    pub span: Span,
}

/// The kinds of index item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum IndexKind {
    /// A value: an index of an axis, `none`, or a static argument.
    At(Expr),
    /// `Out = 128`, a static argument by name.
    Named(Ident, Expr),
    /// `..`: the axes between.
    Rest,
    /// `a:b`, each side optional.
    Slice(Option<Expr>, Option<Expr>),
    /// An item that did not parse.
    Error,
}
