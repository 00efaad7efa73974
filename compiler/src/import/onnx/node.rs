//! One use of an operator while it is imported: its attributes, its inputs, and what of them is known.

use super::builder::{Builder, Fault};
use super::items::Item;
use crate::formats::onnx::{AttributeProto, NodeProto, TensorProto};
use crate::ops::Attr;
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim};

/// A node, its inputs, and the graph that grows.
pub(super) struct Node<'a> {
    pub(super) proto: &'a NodeProto,
    /// `None` where an optional input is left out.
    pub(super) inputs: Vec<Option<Item>>,
    /// The version of the operator set.
    pub(super) version: i64,
    pub(super) build: &'a mut Builder,
}

impl Node<'_> {
    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.proto.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// Whether an attribute is given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// An integer, or what stands for it.
    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    /// Integers, where they are given.
    pub(super) fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.attribute(name).map(|attribute| attribute.ints.clone())
    }

    /// A float, or what stands for it: of the numbers that it is rounded from, the shortest.
    pub(super) fn float(&self, name: &str, default: f32) -> f64 {
        let value = self.attribute(name).map_or(default, |attribute| attribute.f);
        value.to_string().parse().unwrap_or(f64::from(value))
    }

    /// Floats, where they are given.
    pub(super) fn floats(&self, name: &str) -> Option<Vec<f32>> {
        self.attribute(name).map(|attribute| attribute.floats.clone())
    }

    /// A text, or what stands for it.
    pub(super) fn text(&self, name: &str, default: &str) -> String {
        self.attribute(name).map_or_else(|| default.into(), |a| String::from_utf8_lossy(&a.s).into_owned())
    }

    /// Texts, where they are given.
    pub(super) fn texts(&self, name: &str) -> Option<Vec<String>> {
        let attribute = self.attribute(name)?;
        Some(attribute.strings.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect())
    }

    /// A tensor, where it is given.
    pub(super) fn tensor(&self, name: &str) -> Option<&TensorProto> {
        self.attribute(name)?.t.as_deref()
    }

    /// An input that must be there.
    pub(super) fn x(&self, i: usize) -> Result<Item, Fault> {
        self.opt(i).ok_or_else(|| Fault::Use(format!("its input {i} is missing")))
    }

    /// An input that may be left out.
    pub(super) fn opt(&self, i: usize) -> Option<Item> {
        self.inputs.get(i).cloned().flatten()
    }

    /// The type of an input.
    pub(super) fn ty(&self, i: usize) -> Result<TensorType, Fault> {
        Ok(self.build.ty(&self.x(i)?))
    }

    /// How many axes an input has.
    pub(super) fn rank(&self, i: usize) -> Result<i64, Fault> {
        Ok(self.ty(i)?.rank() as i64)
    }

    /// Integers that must be known; `None` where the input is left out.
    pub(super) fn known_ints(&self, i: usize) -> Result<Option<Vec<i64>>, Fault> {
        let Some(item) = self.opt(i) else { return Ok(None) };
        match item.tensor() {
            Some(tensor) => Ok(Some(tensor.iter().map(|value| value.as_i64()).collect())),
            None => Err(Fault::Unbound(i)),
        }
    }

    /// Floats that must be known; `None` where the input is left out.
    pub(super) fn known_floats(&self, i: usize) -> Result<Option<Vec<f64>>, Fault> {
        let Some(item) = self.opt(i) else { return Ok(None) };
        item.tensor().map(|tensor| Some(tensor.to_f64_vec())).ok_or(Fault::Unbound(i))
    }

    /// Integers that may be dims; `None` where the input is left out.
    pub(super) fn known_dims(&self, i: usize) -> Result<Option<Vec<Dim>>, Fault> {
        let Some(item) = self.opt(i) else { return Ok(None) };
        item.sizes().map(|sizes| Some(sizes.dims)).ok_or(Fault::Unbound(i))
    }

    /// Axes of an attribute, or since `from` of the input at `i`; counted from the front of `rank`.
    pub(super) fn axes(&self, from: i64, i: usize, rank: i64) -> Result<Option<Vec<i64>>, Fault> {
        let axes = if self.version < from || self.has("axes") { self.ints("axes") } else { self.known_ints(i)? };
        axes.map(|axes| axes.into_iter().map(|axis| front(axis, rank)).collect()).transpose()
    }

    /// The axis of an attribute, counted from the front.
    pub(super) fn axis(&self, default: i64, rank: i64) -> Result<i64, Fault> {
        front(self.int("axis", default), rank)
    }

    /// The one result of an op.
    pub(super) fn op(&mut self, name: &str, inputs: &[&Item], attrs: &[(&str, Attr)]) -> Result<Item, Fault> {
        self.build.op(name, inputs, attrs)
    }

    /// The element type that an attribute names.
    pub(super) fn dtype(&self, name: &str, default: i64) -> Result<DType, Fault> {
        let code = self.int(name, default);
        crate::formats::onnx::dtype(code)
            .ok_or_else(|| Fault::Use(format!("mlc has no element type {}", super::tensors::type_name(code))))
    }
}

/// An axis counted from the front.
pub(super) fn front(axis: i64, rank: i64) -> Result<i64, Fault> {
    let counted = if axis < 0 { axis + rank } else { axis };
    match (0..rank.max(1)).contains(&counted) {
        true => Ok(counted),
        false => Err(Fault::Use(format!("axis {axis} of a tensor with {rank} axes"))),
    }
}
