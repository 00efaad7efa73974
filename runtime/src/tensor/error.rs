//! What can be wrong with a shape, and the one place that multiplies dims.

use mlc_codegen::base::DType;

/// A tensor that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The product of the dims, in bytes, leaves 63 bits.
    #[error("{dtype}{shape:?} has more elements than 64 bits can count")]
    Overflow {
        /// The element type asked for.
        dtype: DType,
        /// The shape asked for.
        shape: Vec<usize>,
    },
    /// The bytes or elements given are not as many as the shape says.
    #[error("{dtype}{shape:?} takes {expected} {unit}, found {found}")]
    Length {
        /// The element type asked for.
        dtype: DType,
        /// The shape asked for.
        shape: Vec<usize>,
        /// How many the shape takes.
        expected: usize,
        /// How many were given.
        found: usize,
        /// `bytes` or `elements`.
        unit: &'static str,
    },
    /// The system has not as much memory.
    #[error("{dtype}{shape:?} takes {bytes} bytes, more than the system gives")]
    OutOfMemory {
        /// The element type asked for.
        dtype: DType,
        /// The shape asked for.
        shape: Vec<usize>,
        /// Bytes that were asked of the system.
        bytes: usize,
    },
}

/// The product of the dims; `None` where the product of those that are not 0 leaves 63 bits.
/// A dim of 0 excuses nothing, so that strides of an accepted shape always fit.
pub fn element_count(shape: &[usize]) -> Option<usize> {
    let product =
        shape.iter().filter(|dim| **dim != 0).try_fold(1i64, |p, dim| p.checked_mul(i64::try_from(*dim).ok()?));
    let product = usize::try_from(product?).ok()?;
    Some(if shape.contains(&0) { 0 } else { product })
}

/// Elements and bytes of a shape.
pub(super) fn sizes(dtype: DType, shape: &[usize]) -> Result<(usize, usize), TensorError> {
    let both = || {
        let count = element_count(shape)?;
        let bytes = dtype.bytes_for(i64::try_from(count).ok()?)?;
        Some((count, usize::try_from(bytes).ok()?))
    };
    both().ok_or_else(|| TensorError::Overflow { dtype, shape: shape.to_vec() })
}
