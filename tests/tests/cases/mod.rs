//! Uses of ops that conformance runs: ones, primes, empty tensors, broadcasts, and every element type that an op takes.

pub(crate) mod elementwise;
pub(crate) mod forms;
pub(crate) mod indices;
pub(crate) mod made;
pub(crate) mod reductions;
pub(crate) mod shapes;

use mlc::ops::{Attr, OpKind};
use mlc_codegen::base::DType;

/// A use of an op.
pub(crate) struct Case {
    /// Which.
    pub(crate) op: OpKind,
    /// Its compile-time arguments, in the signature's order.
    pub(crate) attrs: Vec<Attr>,
    /// How many inputs each tensor parameter has.
    pub(crate) counts: Vec<u32>,
    /// The inputs.
    pub(crate) inputs: Vec<(DType, Vec<usize>)>,
    /// Inputs that hold indices, and the extent of what they point into.
    pub(crate) indices: Vec<(usize, i64)>,
}

/// All floats.
pub(crate) const FLOATS: &[DType] = &[DType::F32, DType::F64, DType::F16, DType::BF16];
/// Integers of whole bytes; kernels read those of four bits only as storage.
pub(crate) const INTEGERS: &[DType] = &[DType::I64, DType::I32, DType::I16, DType::I8, DType::U8];
/// The other.
pub(crate) const BOOL: &[DType] = &[DType::Bool];

impl Case {
    /// One input for each tensor parameter.
    pub(crate) fn new(op: OpKind, attrs: &[Attr], inputs: &[(DType, &[usize])]) -> Case {
        let inputs: Vec<_> = inputs.iter().map(|(dtype, shape)| (*dtype, shape.to_vec())).collect();
        Case { op, attrs: attrs.to_vec(), counts: vec![1; inputs.len()], inputs, indices: vec![] }
    }

    /// The same with other counts.
    pub(crate) fn counted(self, counts: &[u32]) -> Case {
        Case { counts: counts.to_vec(), ..self }
    }

    /// The same with indices below `extent` in an input.
    pub(crate) fn indexed(mut self, input: usize, extent: i64) -> Case {
        self.indices.push((input, extent));
        self
    }
}
