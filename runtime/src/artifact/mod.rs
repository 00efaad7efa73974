//! The `.mlc` file: a model ready to run, portable and safe to load.
//!
//! | bytes | what |
//! |---|---|
//! | 0..4 | `MLC\0` |
//! | 4..8 | format version, little-endian |
//! | 8..32 | the version of the mlc that wrote it, ASCII, zero-padded: readable by every later format |
//! | 32..64 | BLAKE3 of the bytes 64..256 |
//! | 64..208 | three sections: offset, length (u64 each), BLAKE3 |
//! | 208..256 | zero |
//! | 256.. | metadata (JSON), plan (JSON), constants |
//!
//! Sections and constants begin at the first multiple of 64 after what precedes them, with zeros between; the file ends
//! with the last constant. So offsets follow from lengths, and the lengths of constants from the plan: a file has one
//! form, and overlaps, holes and trailing bytes are refused by comparing. Constants lie in their storage, packed for the
//! build target. No section holds code.
//!
//! Invariant: reading believes no number before it is compared with the file's real length. Knows no machine.

mod constants;
mod error;
mod fuzz;
mod header;
mod meta;
mod read;
mod write;

pub use constants::Constant;
pub use error::ArtifactError;
pub use fuzz::fuzz_mlc;
pub use header::{FORMAT, Layout};
pub use meta::{Meta, Source};
pub use read::OpenOptions;

use mlc_codegen::base::Storage;
use mlc_codegen::kernel::Plan;

/// A model as `mlc build` makes it: what a session needs, whether it came from a file or not.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// What people and tools ask about it.
    pub meta: Meta,
    /// What runs.
    pub plan: Plan,
    constants: Vec<Constant>,
}

impl Artifact {
    /// An artifact in memory.
    ///
    /// # Errors
    /// The constants are not as many, or not as long, as the plan says, or a sparse one does not keep to its form.
    pub fn from_parts(meta: Meta, plan: Plan, mut constants: Vec<Constant>) -> Result<Artifact, ArtifactError> {
        if constants.len() != plan.constants.len() {
            return Err(ArtifactError::Damaged("the plan has another number of constants"));
        }
        for (constant, (storage, elements)) in constants.iter_mut().zip(&plan.constants) {
            let bytes = constants::length(*storage, *elements)?;
            if constant.bytes().len() as u64 != bytes {
                return Err(ArtifactError::Damaged("a constant has another length than the plan says"));
            }
            if let Storage::Sparse(sparse) = storage {
                if sparse.elements() != *elements {
                    return Err(ArtifactError::Damaged("a sparse constant has other sizes than the plan says"));
                }
                // Kernels go where its tables say, which must stay as they were checked.
                *constant = constant.clone().owned()?;
                sparse.check(constant.bytes()).map_err(ArtifactError::Damaged)?;
            }
        }
        Ok(Artifact { meta, plan, constants })
    }

    /// The constants, as many as `plan.constants`.
    pub fn constants(&self) -> &[Constant] {
        &self.constants
    }
}

#[cfg(test)]
mod tests;
