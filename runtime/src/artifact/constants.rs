//! The bytes of constants: mapped, or owned.

use super::ArtifactError;
use crate::mmap::Mapping;
use crate::tensor::{Tensor, TensorError};
use mlc_codegen::base::{DType, Storage};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// The bytes of one constant in its storage, from a multiple of 64. Cloning shares them.
#[derive(Clone)]
pub struct Constant {
    block: Block,
    range: Range<usize>,
}

/// What constants lie in.
#[derive(Clone)]
pub(super) enum Block {
    Mapped(Arc<Mapping>),
    Owned(Tensor),
}

impl Block {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Block::Mapped(mapping) => mapping.bytes(),
            Block::Owned(tensor) => tensor.bytes(),
        }
    }
}

impl Constant {
    /// A copy of `bytes`.
    ///
    /// # Errors
    /// Memory is short.
    pub fn copied(bytes: &[u8]) -> Result<Constant, TensorError> {
        Ok(Constant::from(Tensor::new(DType::U8, [bytes.len()], bytes)?))
    }

    /// Part of a block; `range` is inside it and begins at a multiple of 64.
    pub(super) fn within(block: &Block, range: Range<usize>) -> Constant {
        debug_assert!(range.end <= block.bytes().len() && range.start.is_multiple_of(64));
        Constant { block: block.clone(), range }
    }

    /// The same bytes in memory that no other process changes: a copy where they are mapped.
    ///
    /// # Errors
    /// Memory is short.
    pub(super) fn owned(self) -> Result<Constant, TensorError> {
        match self.block {
            Block::Mapped(_) => Constant::copied(self.bytes()),
            Block::Owned(_) => Ok(self),
        }
    }

    /// All its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.block.bytes()[self.range.clone()]
    }
}

impl From<Tensor> for Constant {
    /// The tensor's bytes, shared.
    fn from(tensor: Tensor) -> Constant {
        let range = 0..tensor.bytes().len();
        Constant { block: Block::Owned(tensor), range }
    }
}

impl fmt::Debug for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Constant({} bytes)", self.range.len())
    }
}

/// Bytes of a constant of `elements` elements.
pub(super) fn length(storage: Storage, elements: i64) -> Result<u64, ArtifactError> {
    let bytes = if elements < 0 { None } else { storage.bytes_for(elements) };
    bytes.and_then(|b| u64::try_from(b).ok()).ok_or(ArtifactError::Damaged("a constant's size does not fit in 64 bits"))
}
