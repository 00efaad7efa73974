//! Owned dense tensors: what goes into a session, what comes out, and what `eval` computes on.
//!
//! Invariant: row-major, without gaps, as many bytes as shape and dtype say, the first one at a multiple of 64.
//! Knows no file and no device.

mod buffer;
mod dense;
mod element;
mod error;

pub use buffer::ALIGNMENT;
pub use dense::Tensor;
pub use element::Element;
pub use error::{TensorError, element_count};
