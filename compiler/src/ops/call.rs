//! One use of an op: the types of its inputs, and its compile-time arguments.

use super::signature::{Kind, Signature};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A compile-time argument. Axes are normalised to `0..rank` and defaults filled in before an op sees them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attr {
    /// Not given, where the signature allows it.
    None,
    /// `Kind::Int`, `Kind::Axis`.
    Int(i64),
    /// `Kind::Ints`, `Kind::Axes`.
    Ints(Vec<i64>),
    /// `Kind::Float`.
    Float(f64),
    /// `Kind::Bool`.
    Bool(bool),
    /// `Kind::Word`, `Kind::Text`.
    Text(String),
    /// `Kind::DType`.
    DType(DType),
    /// `Kind::Dim`.
    Dim(Dim),
    /// `Kind::Dims`; `None` where a list item was `none` or left out, as in slices.
    Dims(Vec<Option<Dim>>),
    /// `Kind::Names`, in source order.
    Names(Vec<(String, Dim)>),
}

/// The compile-time part of a node: everything but its input values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arguments {
    /// How many inputs each tensor parameter has, in the signature's order.
    pub counts: Vec<u32>,
    /// One for each other parameter, in the signature's order.
    pub attrs: Vec<Attr>,
}

/// What an op is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The op's words.
    pub signature: &'static Signature,
    /// The compile-time part.
    pub arguments: &'a Arguments,
    /// The types of the inputs, in order.
    pub inputs: &'a [TensorType],
    /// The types of the results; empty while they are inferred.
    pub results: &'a [TensorType],
}

impl<'a> Call<'a> {
    /// The input positions of a tensor parameter.
    pub fn tensors(&self, name: &str) -> Range<usize> {
        let mut start = 0;
        let tensors = self.signature.params.iter().filter(|p| p.is_tensor());
        for (param, count) in tensors.zip(&self.arguments.counts) {
            let end = start + *count as usize;
            if param.name == name {
                return start..end;
            }
            start = end;
        }
        panic!("`{}` has no tensor argument `{name}`", self.signature.name)
    }

    /// The input position of a tensor parameter, when it is given.
    pub fn tensor(&self, name: &str) -> Option<usize> {
        let range = self.tensors(name);
        (!range.is_empty()).then_some(range.start)
    }

    /// The parameter of an input position, and which of its inputs it is.
    pub fn parameter_of(&self, input: usize) -> (&'static str, usize) {
        let tensors = self.signature.params.iter().filter(|p| p.is_tensor());
        let mut start = 0;
        for (param, count) in tensors.zip(&self.arguments.counts) {
            if input < start + *count as usize {
                return (param.name, input - start);
            }
            start += *count as usize;
        }
        panic!("`{}` has no input {input}", self.signature.name)
    }

    /// A compile-time argument.
    pub fn attr(&self, name: &str) -> &'a Attr {
        let others = self.signature.params.iter().filter(|p| !p.is_tensor());
        let found = others.zip(&self.arguments.attrs).find(|(param, _)| param.name == name);
        found.map(|(_, attr)| attr).unwrap_or_else(|| panic!("`{}` has no argument `{name}`", self.signature.name))
    }

    /// An integer or axis; `None` when absent.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.attr(name) {
            Attr::Int(value) => Some(*value),
            Attr::None => None,
            other => panic!("`{name}` is {other:?}, not an integer"),
        }
    }

    /// An axis that is given, as an index into dims.
    pub fn axis(&self, name: &str) -> usize {
        self.int(name).expect("the signature requires the axis") as usize
    }

    /// A list of integers or axes; one integer counts as a list of one. `None` when absent.
    pub fn ints(&self, name: &str) -> Option<Vec<i64>> {
        match self.attr(name) {
            Attr::Int(value) => Some(vec![*value]),
            Attr::Ints(values) => Some(values.clone()),
            Attr::None => None,
            other => panic!("`{name}` is {other:?}, not a list of integers"),
        }
    }

    /// A float.
    pub fn float(&self, name: &str) -> Option<f64> {
        match self.attr(name) {
            Attr::Float(value) => Some(*value),
            Attr::Int(value) => Some(*value as f64),
            Attr::None => None,
            other => panic!("`{name}` is {other:?}, not a float"),
        }
    }

    /// A bool.
    pub fn bool(&self, name: &str) -> bool {
        match self.attr(name) {
            Attr::Bool(value) => *value,
            other => panic!("`{name}` is {other:?}, not a bool"),
        }
    }

    /// A word or text; `None` when absent.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        match self.attr(name) {
            Attr::Text(value) => Some(value),
            Attr::None => None,
            other => panic!("`{name}` is {other:?}, not text"),
        }
    }

    /// An element type; `None` when absent.
    pub fn dtype(&self, name: &str) -> Option<DType> {
        match self.attr(name) {
            Attr::DType(value) => Some(*value),
            Attr::None => None,
            other => panic!("`{name}` is {other:?}, not an element type"),
        }
    }

    /// A dim; `None` when absent.
    pub fn dim(&self, name: &str) -> Option<Dim> {
        match self.attr(name) {
            Attr::Dim(value) => Some(value.clone()),
            Attr::Int(value) => Some(Dim::from(*value)),
            Attr::None => None,
            other => panic!("`{name}` is {other:?}, not a dim"),
        }
    }

    /// A list of dims; `None` when absent.
    pub fn dims(&self, name: &str) -> Option<Vec<Option<Dim>>> {
        match self.attr(name) {
            Attr::Dims(values) => Some(values.clone()),
            Attr::Ints(values) => Some(values.iter().map(|v| Some(Dim::from(*v))).collect()),
            Attr::None => None,
            other => panic!("`{name}` is {other:?}, not a list of dims"),
        }
    }

    /// The names that were left over.
    pub fn names(&self, name: &str) -> &'a [(String, Dim)] {
        match self.attr(name) {
            Attr::Names(values) => values,
            Attr::None => &[],
            other => panic!("`{name}` is {other:?}, not names"),
        }
    }

    /// The type of an input.
    pub fn input(&self, input: usize) -> &'a TensorType {
        &self.inputs[input]
    }

    /// The type of a result.
    pub fn result(&self, result: usize) -> &'a TensorType {
        &self.results[result]
    }
}

/// Whether an attribute fits a kind, for verifiers.
pub fn fits(kind: Kind, attr: &Attr) -> bool {
    matches!(
        (kind, attr),
        (_, Attr::None)
            | (Kind::Int | Kind::Axis, Attr::Int(_))
            | (Kind::Ints | Kind::Axes, Attr::Int(_) | Attr::Ints(_))
            | (Kind::Pad, Attr::Int(_) | Attr::Ints(_) | Attr::Text(_))
            | (Kind::Float, Attr::Float(_) | Attr::Int(_))
            | (Kind::Bool, Attr::Bool(_))
            | (Kind::Word(_) | Kind::Text, Attr::Text(_))
            | (Kind::DType, Attr::DType(_))
            | (Kind::Dim, Attr::Dim(_) | Attr::Int(_))
            | (Kind::Dims, Attr::Dims(_) | Attr::Ints(_))
            | (Kind::Names, Attr::Names(_))
    )
}
