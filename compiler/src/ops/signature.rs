//! What an op says of itself: its words. Help, the op reference, completion and did-you-mean are made from this.

use super::Attr;

/// The kind of thing an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One tensor.
    Tensor,
    /// Any number of tensors, in a list or as further positional arguments.
    Tensors,
    /// A compile-time integer.
    Int,
    /// A compile-time integer, or a list of them.
    Ints,
    /// A padding: an integer, a list of them, or the word "same".
    Pad,
    /// A compile-time float.
    Float,
    /// `true` or `false`.
    Bool,
    /// One of these words, quoted.
    Word(&'static [&'static str]),
    /// Any quoted text: an einsum or rearrange pattern.
    Text,
    /// An element type.
    DType,
    /// A dim or size expression.
    Dim,
    /// A list of dim expressions.
    Dims,
    /// An axis; negative counts from the end.
    Axis,
    /// An axis or a list of axes; negative counts from the end.
    Axes,
    /// Names with integer values, as in `rearrange(x, "…", h = 12)`; takes every named argument that is left.
    Names,
}

/// What an argument is when it is not given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Default {
    /// It must be given.
    Required,
    /// Absent: no tensor, or `Attr::None`.
    None,
    /// An integer (also for `Ints`, `Axis`, `Axes`, `Dim`).
    Int(i64),
    /// A float.
    Float(f64),
    /// A bool.
    Bool(bool),
    /// A word or text.
    Text(&'static str),
}

/// One argument.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// The word before `=`.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// When it is left out.
    pub default: Default,
}

/// The words of an op.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// The name in `.mdl` text.
    pub name: &'static str,
    /// In positional order.
    pub params: &'static [Param],
    /// What the result is called in documentation, such as `f32[.., d]`.
    pub result: &'static str,
    /// One paragraph: the meaning, the shapes, the limits.
    pub doc: &'static str,
    /// A line of `.mdl` that uses it, over inputs `x: f32[2, 3, 4]` and what it declares.
    pub example: &'static str,
}

impl Param {
    /// A required argument.
    pub const fn required(name: &'static str, kind: Kind) -> Param {
        Param { name, kind, default: Default::Required }
    }

    /// An argument with a default.
    pub const fn optional(name: &'static str, kind: Kind, default: Default) -> Param {
        Param { name, kind, default }
    }

    /// What stands for it where it is left out; axes count from the front of `rank`.
    pub fn default_attr(&self, rank: usize) -> Attr {
        match self.default {
            Default::None | Default::Required => Attr::None,
            Default::Int(value) if value < 0 && matches!(self.kind, Kind::Axis | Kind::Axes) => {
                Attr::Int((value + rank as i64).max(0))
            }
            Default::Int(value) => Attr::Int(value),
            Default::Float(value) => Attr::Float(value),
            Default::Bool(value) => Attr::Bool(value),
            Default::Text(value) => Attr::Text(value.into()),
        }
    }

    /// Whether it takes tensors.
    pub fn is_tensor(&self) -> bool {
        matches!(self.kind, Kind::Tensor | Kind::Tensors)
    }
}

impl Signature {
    /// `softmax(x, axis: int)`, as messages show it.
    pub fn show(&self) -> String {
        let params: Vec<String> = self.params.iter().map(Param::show).collect();
        format!("{}({})", self.name, params.join(", "))
    }
}

impl Param {
    fn show(&self) -> String {
        let kind = match self.kind {
            Kind::Tensor => String::new(),
            Kind::Tensors => "…".into(),
            Kind::Int | Kind::Axis => ": int".into(),
            Kind::Ints | Kind::Axes => ": int | [int]".into(),
            Kind::Pad => ": int | [int] | \"same\"".into(),
            Kind::Float => ": float".into(),
            Kind::Bool => ": bool".into(),
            Kind::Word(words) => {
                format!(": {}", words.iter().map(|w| format!("{w:?}")).collect::<Vec<_>>().join(" | "))
            }
            Kind::Text => ": text".into(),
            Kind::DType => ": dtype".into(),
            Kind::Dim => ": dim".into(),
            Kind::Dims => ": [dim]".into(),
            Kind::Names => " = int, …".into(),
        };
        let default = match self.default {
            Default::Required => String::new(),
            Default::None => " = none".into(),
            Default::Int(v) => format!(" = {v}"),
            Default::Float(v) => format!(" = {v:?}"),
            Default::Bool(v) => format!(" = {v}"),
            Default::Text(v) => format!(" = {v:?}"),
        };
        format!("{}{kind}{default}", self.name)
    }
}
