//! Uses of ops that conformance runs: ones, primes, empty tensors, broadcasts, and every element type that an op takes.

pub(crate) mod elementwise;
pub(crate) mod indices;
pub(crate) mod made;
pub(crate) mod reductions;
pub(crate) mod shapes;

use mlc_codegen::base::DType;

/// All floats.
pub(crate) const FLOATS: &[DType] = &[DType::F32, DType::F64, DType::F16, DType::BF16];
/// Integers of whole bytes; kernels read those of four bits only as storage.
pub(crate) const INTEGERS: &[DType] = &[DType::I64, DType::I32, DType::I16, DType::I8, DType::U8];
/// The other.
pub(crate) const BOOL: &[DType] = &[DType::Bool];
