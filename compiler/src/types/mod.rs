//! Tensor types and source locations: what every stage of the compiler says about a value.
//!
//! Dims are the polynomials of `mlc_codegen::base`; there is one dim language from the text to the machine code.
//! Invariant: knows no op, no graph, no file format.

mod loc;
mod tensor_type;

pub use loc::Loc;
pub use tensor_type::TensorType;
