//! Plain data that every level shares: element types, dim polynomials, storage formats.
//!
//! Invariant: knows no kernel, no machine and no tensor op.

mod dim;
mod dtype;
mod interleaved;
mod interval;
mod scalar;
mod slots;
mod sparse;
mod storage;

pub use dim::{Dim, Slot};
pub use dtype::DType;
pub use interleaved::{Interleaved, ROWS};
pub use interval::Interval;
pub use scalar::Scalar;
pub use slots::{SizeError, SlotDef, Slots, Truth};
pub use sparse::{BLOCK, Dense, Form, Sparse};
pub use storage::{Packing, Storage};
