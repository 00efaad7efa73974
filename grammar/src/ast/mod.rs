//! The syntax tree of a `.mdl` file: what is written, with byte spans, before any name has a meaning.
//!
//! Operator chains and pipes are flat lists, so the depth of a tree is bounded by the nesting limit of the parser and
//! every walk over a parsed tree may recurse. A place that did not parse is an `Error` node: it carries the names it
//! would have introduced, and whoever meets it stays silent, for the mistake has been reported.

mod expr;

pub use expr::{Arg, BinaryOp, Expr, ExprKind, If, IndexItem, IndexKind, Link, UnaryOp, Unit};
use serde::{Deserialize, Serialize};

/// A half-open range of bytes in the source text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset one past the last byte.
    pub end: u32,
}

impl Span {
    /// The span from byte `start` up to byte `end`.
    pub fn new(start: usize, end: usize) -> Span {
        Span { start: start as u32, end: end as u32 }
    }

    /// The smallest span that covers both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The empty span just after this one.
    pub fn after(self) -> Span {
        Span { start: self.end, end: self.end }
    }

    /// The span as a range that indexes the source text.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A name and the place where it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ident {
    /// The word itself.
    pub name: Box<str>,
    /// Where it stands.
    pub span: Span,
}

impl Ident {
    /// A name that stands nowhere, for trees that are generated.
    pub fn new(name: &str) -> Ident {
        Ident { name: name.into(), span: Span::default() }
    }
}

/// A string literal, a path or a line of documentation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Text {
    /// The content with escapes resolved; of documentation, the line without its slashes.
    pub value: Box<str>,
    /// Where it stands, quotes or slashes included.
    pub span: Span,
}

impl Text {
    /// A text that stands nowhere, for trees that are generated.
    pub fn new(value: &str) -> Text {
        Text { value: value.into(), span: Span::default() }
    }

    /// The place of bytes `start..end` of a string literal's content, exact where the literal has no escapes.
    pub fn inside(&self, start: usize, end: usize) -> Span {
        let first = self.span.start + 1;
        Span { start: first + start as u32, end: first + end as u32 }
    }
}

/// A whole source file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct File {
    /// The language edition, if the file names one.
    pub edition: Option<Edition>,
    /// The `//!` lines.
    pub docs: Vec<Text>,
    /// The items in source order.
    pub items: Vec<Item>,
}

/// The first line, `mdl 1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edition {
    /// The number after `mdl`.
    pub number: u64,
    /// Both words.
    pub span: Span,
}

/// Something declared at the top level of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// The `///` lines above it.
    pub docs: Vec<Text>,
    /// The `#[…]` groups before it.
    pub attrs: Vec<Attr>,
    /// What it is.
    pub kind: ItemKind,
    /// From its keyword (not its attributes) to its end.
    pub span: Span,
}

/// The kinds of item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ItemKind {
    /// `import nn from "nn.mdl"` or `import { Attn } from "attn.mdl"`.
    Import(Import),
    /// `const EPS: f32 = 1e-5`.
    Const(Const),
    /// `dim D = 384`.
    Dim(Dim),
    /// `fn`: a pure function.
    Fn(Func),
    /// `block`: a function that owns weights.
    Block(Func),
    /// `model Name { … }`.
    Model(Model),
    /// `profile name { … }`.
    Profile(Profile),
    /// An item that did not parse; the names it would have declared.
    Error(Vec<Ident>),
}

/// An import of one file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Import {
    /// What comes into scope.
    pub names: ImportNames,
    /// The path of the other file.
    pub from: Text,
}

/// What an import brings into scope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ImportNames {
    /// The file under one name: `import nn from …`, used as `nn.Dense`.
    File(Ident),
    /// Some of its items: `import { Attn, Mlp } from …`.
    Items(Vec<Ident>),
}

/// `const NAME: TYPE = VALUE`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Const {
    /// Its name.
    pub name: Ident,
    /// Its type, where written.
    pub ty: Option<Type>,
    /// Its value.
    pub value: Expr,
}

/// `dim NAME`, `dim NAME = …` or `dim NAME in … ..= …`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dim {
    /// Its name.
    pub name: Ident,
    /// What is known of it.
    pub kind: DimKind,
}

/// What a `dim` says of its size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum DimKind {
    /// Any size.
    Free,
    /// Exactly this size.
    Is(Expr),
    /// From the first to the second, both included.
    Range(Expr, Expr),
}

/// A `fn`, a `block` or an `entry`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Func {
    /// Its name.
    pub name: Ident,
    /// The parameters in square brackets; none for an entry.
    pub statics: Vec<StaticParam>,
    /// The parameters in parentheses.
    pub params: Vec<Param>,
    /// What follows the arrow.
    pub ret: Ret,
    /// What it does.
    pub body: Body,
}

/// A compile-time parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StaticParam {
    /// Its name.
    pub name: Ident,
    /// Its type; without one it is a dim.
    pub ty: Option<Type>,
    /// Its default.
    pub default: Option<Expr>,
    /// All of it.
    pub span: Span,
}

/// A parameter, or a named result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// Its name.
    pub name: Ident,
    /// Its type.
    pub ty: Type,
    /// All of it.
    pub span: Span,
}

/// What a function returns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Ret {
    /// One value.
    Type(Type),
    /// Several values, each with a name.
    Named(Vec<Param>),
}

/// A type, `f32[batch, 4 * D]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Type {
    /// What it is.
    pub kind: TypeKind,
    /// All of it.
    pub span: Span,
}

/// The kinds of type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TypeKind {
    /// A dtype, or `size` or `int`, with its dims; a scalar has none.
    Tensor(Ident, Vec<TypeDim>),
    /// A type that did not parse.
    Error,
}

/// One axis, or one pack of axes, of a type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TypeDim {
    /// What it is.
    pub kind: TypeDimKind,
    /// All of it.
    pub span: Span,
}

/// The kinds of axis in a type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TypeDimKind {
    /// A size: a name, a number or arithmetic on them.
    Size(Expr),
    /// `..B`: any number of axes.
    Pack(Ident),
    /// `count in 0..=h * w`: known once the operator has run, within these bounds.
    Counted(Ident, Expr, Expr),
}

/// `#[quantize(i8), storage("q4_k")]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attr {
    /// The names and calls inside.
    pub entries: Vec<Expr>,
    /// All of it, brackets included.
    pub span: Span,
}

/// `model Name { … }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its name.
    pub name: Ident,
    /// The parameters in square brackets.
    pub statics: Vec<StaticParam>,
    /// Its members in source order.
    pub members: Vec<Member>,
}

/// Something declared inside a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The `///` lines above it.
    pub docs: Vec<Text>,
    /// The `#[…]` groups before it.
    pub attrs: Vec<Attr>,
    /// What it is.
    pub kind: MemberKind,
    /// From its keyword (not its attributes) to its end.
    pub span: Span,
}

/// The kinds of member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MemberKind {
    /// `const EPS: f32 = 1e-5`.
    Const(Const),
    /// `dim batch in 1..=8`.
    Dim(Dim),
    /// `weights from "f.safetensors" at "model"`.
    Weights {
        /// The path of the file.
        from: Text,
        /// The prefix of every key in it.
        at: Option<Text>,
    },
    /// `state cache: f16[L, batch]`.
    State {
        /// Its name.
        name: Ident,
        /// Its type.
        ty: Type,
    },
    /// `entry main(…) -> … { … }`.
    Entry(Func),
    /// A member that did not parse; the names it would have declared.
    Error(Vec<Ident>),
}

/// `profile name { … }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Its name.
    pub name: Ident,
    /// Its directives in order.
    pub directives: Vec<Directive>,
}

/// One line of a profile, `quantize(weights = i8)`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Directive {
    /// What to do.
    pub name: Ident,
    /// How.
    pub args: Vec<Arg>,
    /// All of it.
    pub span: Span,
}

/// Statements in braces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Body {
    /// The statements in order.
    pub stmts: Vec<Stmt>,
    /// From brace to brace.
    pub span: Span,
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stmt {
    /// The `#[…]` groups before it.
    pub attrs: Vec<Attr>,
    /// What it is.
    pub kind: StmtKind,
    /// From its keyword (not its attributes) to its end.
    pub span: Span,
}

/// The kinds of statement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum StmtKind {
    /// `let x: TYPE = VALUE`, `let (a, b) = VALUE`.
    Let {
        /// What is bound.
        pattern: Pattern,
        /// The type, where written.
        ty: Option<Type>,
        /// The value.
        value: Expr,
    },
    /// `weight w: TYPE from "KEY" else VALUE`.
    Weight {
        /// Its name.
        name: Ident,
        /// Its type.
        ty: Type,
        /// The last part of its key.
        from: Text,
        /// What it is where the file lacks the key.
        default: Option<Expr>,
    },
    /// `set cache[i, :] = VALUE`.
    Set {
        /// A state or a part of one.
        target: Expr,
        /// The value.
        value: Expr,
    },
    /// `repeat i in 0..N while COND carry x, y { … }`.
    Repeat {
        /// The index.
        index: Ident,
        /// The first index.
        start: Expr,
        /// One past the last index.
        end: Expr,
        /// Checked before each iteration.
        cond: Option<Expr>,
        /// What one iteration hands to the next.
        carry: Vec<Ident>,
        /// One iteration.
        body: Body,
    },
    /// `fused "name" { … }`: one kernel.
    Fused {
        /// The kernel's name.
        name: Text,
        /// The statements inside.
        body: Body,
    },
    /// `assert past + s <= ctx`.
    Assert(Expr),
    /// `return VALUE`.
    Return(Expr),
    /// A local `const`.
    Const(Const),
    /// A local `dim`.
    Dim(Dim),
    /// A statement that did not parse; the names it would have bound.
    Error(Vec<Ident>),
}

/// What a `let` binds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Pattern {
    /// One name.
    Name(Ident),
    /// One name for each value of a tuple.
    Tuple(Vec<Ident>),
}

impl Pattern {
    /// The names in order.
    pub fn names(&self) -> &[Ident] {
        match self {
            Pattern::Name(name) => std::slice::from_ref(name),
            Pattern::Tuple(names) => names,
        }
    }
}
