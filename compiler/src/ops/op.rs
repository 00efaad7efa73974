//! The trait that every op implements.

use super::{Call, Contraction, Infer, Lowering, OpError, Signature};
use crate::types::TensorType;
use mlc_runtime::tensor::Tensor;

/// How far a backend's result may be from `eval`'s: `|a - b| <= absolute + relative * |b|`; integers and bools are equal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// In units of the result.
    pub absolute: f64,
    /// Of the magnitude.
    pub relative: f64,
}

impl Tolerance {
    /// Bit-equal.
    pub const EXACT: Tolerance = Tolerance { absolute: 0.0, relative: 0.0 };
    /// A few roundings of f32.
    pub const ROUNDING: Tolerance = Tolerance { absolute: 1e-6, relative: 2e-6 };
    /// Sums in another order, transcendental functions.
    pub const SUMMATION: Tolerance = Tolerance { absolute: 1e-4, relative: 1e-4 };
}

/// A run-time refusal: what `eval` and the runtime say of data that an op has no answer for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// An index outside its axis (MDL0703).
    #[error("index {index} is outside axis {axis} of extent {extent}")]
    Index {
        /// What was found.
        index: i64,
        /// The axis of the data operand.
        axis: usize,
        /// Its extent.
        extent: i64,
    },
    /// A size that does not fit.
    #[error("a size does not fit: {0}")]
    Size(String),
}

/// An input whose elements are indices into an axis of another; `-extent..0` counts from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexUse {
    /// The input that holds them.
    pub indices: usize,
    /// The input that they point into.
    pub data: usize,
    /// The axis of `data`.
    pub axis: usize,
    /// Which position of the last axis of `indices` holds them.
    pub column: usize,
    /// How many positions that axis has; 1 when every element is one of them.
    pub columns: usize,
}

/// One op.
pub trait Op: Sync {
    /// Its words.
    fn signature(&self) -> &'static Signature;

    /// The types of the results, or why there are none. Arguments are complete and axes are in `0..rank`.
    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError>;

    /// The definition, in plain loops. `inputs` have the shapes that the types say at `sizes`.
    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError>;

    /// How it becomes code.
    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a>;

    /// How far backends may be from `eval`.
    fn tolerance(&self) -> Tolerance {
        Tolerance::ROUNDING
    }

    /// The sum of products that it is, if it is one.
    fn contraction(&self, _call: &Call) -> Option<Contraction> {
        None
    }

    /// Inputs that hold indices into an axis of another. The runtime checks them before kernels run.
    fn checked_indices(&self, _call: &Call) -> Vec<IndexUse> {
        vec![]
    }
}
