//! The type of a value: an element type and dims.

use mlc_codegen::base::{DType, Dim, Slots};
use serde::{Deserialize, Serialize};

/// `f32[batch, 784]`: row-major, possibly symbolic dims; no dims is a scalar.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TensorType {
    /// The element type.
    pub dtype: DType,
    /// Outermost first.
    pub dims: Vec<Dim>,
}

impl TensorType {
    /// A type from its parts.
    pub fn new(dtype: DType, dims: impl IntoIterator<Item = Dim>) -> Self {
        TensorType { dtype, dims: dims.into_iter().collect() }
    }

    /// A type without dims.
    pub fn scalar(dtype: DType) -> Self {
        TensorType { dtype, dims: vec![] }
    }

    /// A type of static dims.
    pub fn fixed(dtype: DType, shape: &[i64]) -> Self {
        TensorType::new(dtype, shape.iter().map(|d| Dim::from(*d)))
    }

    /// How many dims.
    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    /// The product of the dims.
    pub fn elements(&self) -> Dim {
        self.dims.iter().cloned().product()
    }

    /// The dims, when all are static.
    pub fn shape(&self) -> Option<Vec<i64>> {
        self.dims.iter().map(Dim::as_constant).collect()
    }

    /// The dims for one size block; `None` on overflow.
    pub fn shape_at(&self, sizes: &[i64]) -> Option<Vec<i64>> {
        self.dims.iter().map(|dim| dim.eval(sizes)).collect()
    }

    /// The type with other element type.
    pub fn with_dtype(&self, dtype: DType) -> Self {
        TensorType { dtype, dims: self.dims.clone() }
    }

    /// `f32[batch, 784]`, with the names of the source.
    pub fn show(&self, slots: &Slots) -> String {
        match self.dims.is_empty() {
            true => self.dtype.to_string(),
            false => {
                let dims: Vec<String> = self.dims.iter().map(|d| slots.show(d)).collect();
                format!("{}[{}]", self.dtype, dims.join(", "))
            }
        }
    }
}
