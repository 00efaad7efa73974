//! What a name of an ONNX graph stands for while it is imported.
//!
//! Invariant: integers that are made of dims stay dims, so that shapes are found without running anything.

use crate::graph::ValueId;
use mlc_codegen::base::{DType, Dim};
use mlc_runtime::tensor::Tensor;

/// A value of the graph, or something that is known without one.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// A value that is computed when the model runs.
    Value(ValueId),
    /// Numbers.
    Known(Known),
    /// Integers that are dims: a shape, or one size.
    Sizes(Sizes),
}

/// Numbers, and what they are called.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The numbers.
    pub(super) tensor: Tensor,
    /// The name in the file; none for what was folded.
    pub(super) name: Option<String>,
    /// Whether they are a weight of the file.
    pub(super) weight: bool,
}

/// A tensor of integers with no axis or one, whose elements are dims.
#[derive(Clone, Debug)]
pub(super) struct Sizes {
    /// The elements.
    pub(super) dims: Vec<Dim>,
    /// Whether there is no axis.
    pub(super) scalar: bool,
    /// i64 or i32.
    pub(super) dtype: DType,
}

impl Item {
    /// Numbers without a name.
    pub(super) fn known(tensor: Tensor) -> Item {
        Item::Known(Known { tensor, name: None, weight: false })
    }

    /// The numbers, where they are known.
    pub(super) fn tensor(&self) -> Option<&Tensor> {
        match self {
            Item::Known(known) => Some(&known.tensor),
            _ => None,
        }
    }

    /// Its elements as dims: sizes, or integers with at most one axis.
    pub(super) fn sizes(&self) -> Option<Sizes> {
        match self {
            Item::Sizes(sizes) => Some(sizes.clone()),
            Item::Known(Known { tensor, .. }) if tensor.dtype().is_integer() && tensor.shape().len() < 2 => {
                let dims = tensor.iter().map(|value| Dim::from(value.as_i64())).collect();
                Some(Sizes { dims, scalar: tensor.shape().is_empty(), dtype: tensor.dtype() })
            }
            _ => None,
        }
    }
}

impl Sizes {
    /// As numbers where all of them are, else as dims.
    pub(super) fn item(self) -> Item {
        let numbers: Option<Vec<i64>> = self.dims.iter().map(Dim::as_constant).collect();
        let Some(numbers) = numbers else { return Item::Sizes(self) };
        let shape: &[usize] = if self.scalar { &[] } else { &[numbers.len()] };
        let element = |i: usize| mlc_codegen::base::Scalar::from_i64(self.dtype, numbers[i]);
        match Tensor::from_fn(self.dtype, shape, element) {
            Ok(tensor) => Item::known(tensor),
            Err(_) => Item::Sizes(self),
        }
    }
}
