//! What an expression stands for: tensors of the graph, numbers known at compile time, states, and lists of them.

use super::origin::Whence;
use crate::graph::{StateId, ValueId};
use crate::types::Loc;
use mlc_codegen::base::{DType, Dim};
use std::rc::Rc;

/// A mistake was reported; whoever depends on it stays silent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Poison;

/// The result of a step that reports its own mistakes.
pub(super) type Checks<T> = Result<T, Poison>;

/// What a name or an expression stands for inside a body.
#[derive(Clone, Debug)]
pub(super) enum Term {
    /// A value of the graph.
    Tensor(Operand),
    /// Known at compile time, or a dim.
    Static(Static),
    /// Several values.
    Tuple(Vec<Term>),
    /// A state, or a rectangle of one.
    State(View),
}

/// A value of the graph with what messages say of it.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    /// The value.
    pub(super) value: ValueId,
    /// Where the size of each axis comes from.
    pub(super) from: Rc<[Whence]>,
    /// The name it is bound to, and where.
    pub(super) name: Option<Rc<(String, Loc)>>,
}

/// A number, word or list known at compile time. Dims may stay symbolic.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Static {
    /// An integer, a dim or a size, and where it comes from.
    Dim(Dim, Whence),
    /// A float.
    Float(f64),
    /// A bool.
    Bool(bool),
    /// Quoted text.
    Text(Rc<str>),
    /// An element type.
    DType(DType),
    /// A list.
    List(Rc<[Static]>),
    /// A `const` with a type: strong where the others are weak.
    Typed(Box<Static>, DType),
    /// `none`.
    None,
    /// An argument of a block that nothing calls: any integer, float or word.
    Unknown,
}

/// A rectangle of a state.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Which state.
    pub(super) state: StateId,
    /// The first position on each axis of the state.
    pub(super) starts: Vec<Dim>,
    /// How far it reaches on each axis of the state.
    pub(super) extents: Vec<Dim>,
    /// Whether an axis is an axis of the view; an indexed one is not.
    pub(super) kept: Vec<bool>,
    /// Where the extents come from.
    pub(super) from: Vec<Whence>,
}

impl Static {
    /// A dim without an origin.
    pub(super) fn dim(dim: impl Into<Dim>) -> Static {
        Static::Dim(dim.into(), None)
    }

    /// What messages call it.
    pub(super) fn kind(&self) -> &'static str {
        match self.plain() {
            Static::Dim(..) => "an integer",
            Static::Float(_) => "a float",
            Static::Bool(_) => "a bool",
            Static::Text(_) => "text",
            Static::DType(_) => "an element type",
            Static::List(_) => "a list",
            Static::None => "`none`",
            Static::Typed(..) | Static::Unknown => "a value",
        }
    }

    /// The value without the type that a `const` gave it.
    pub(super) fn plain(&self) -> &Static {
        match self {
            Static::Typed(inner, _) => inner.plain(),
            other => other,
        }
    }

    /// The type that a `const` gave it.
    pub(super) fn strong(&self) -> Option<DType> {
        match self {
            Static::Typed(_, dtype) => Some(*dtype),
            _ => None,
        }
    }

    /// A number that is known, as a float.
    pub(super) fn as_f64(&self) -> Option<f64> {
        match self.plain() {
            Static::Float(value) => Some(*value),
            Static::Dim(dim, _) => dim.as_constant().map(|v| v as f64),
            _ => None,
        }
    }

    /// A dim, whatever else is known of it.
    pub(super) fn as_dim(&self) -> Option<&Dim> {
        match self.plain() {
            Static::Dim(dim, _) => Some(dim),
            _ => None,
        }
    }

    /// Whether it is, or holds, what is not known because nothing calls the block.
    pub(super) fn unknown(&self) -> bool {
        match self.plain() {
            Static::Unknown => true,
            Static::List(items) => items.iter().any(Static::unknown),
            _ => false,
        }
    }
}

impl Term {
    /// What messages call it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Term::Tensor(_) => "a tensor",
            Term::Static(value) => value.kind(),
            Term::Tuple(_) => "several values",
            Term::State(_) => "a state",
        }
    }
}
