//! Writing a `.mlc`: the same artifact gives the same bytes.

use super::header::{LENGTH, Section, aligned, encode};
use super::{Artifact, ArtifactError};
use crate::weights::{WriteSeek, write_aside};
use std::io;
use std::path::Path;

impl Artifact {
    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// The system refuses.
    pub fn write(&self, path: &Path) -> Result<(), ArtifactError> {
        let json =
            |error: serde_json::Error| ArtifactError::Write { path: path.display().to_string(), error: error.into() };
        let meta = serde_json::to_vec_pretty(&self.meta).map_err(json)?;
        let plan = serde_json::to_vec(&self.plan).map_err(json)?;
        write_aside(path, |out| self.write_to(out, &meta, &plan))
            .map_err(|error| ArtifactError::Write { path: path.display().to_string(), error })
    }

    fn write_to(&self, out: &mut dyn WriteSeek, meta: &[u8], plan: &[u8]) -> io::Result<()> {
        let too_long = || io::Error::new(io::ErrorKind::FileTooLarge, "longer than 64 bits can say");
        let start = |end: u64| aligned(end).ok_or_else(too_long);
        let constants: Vec<&[u8]> = self.constants().iter().map(super::Constant::bytes).collect();
        let (length, hash) = constants_section(&constants);
        let hashed = |bytes: &[u8]| *blake3::hash(bytes).as_bytes();
        let meta_section = Section { offset: LENGTH as u64, length: meta.len() as u64, hash: hashed(meta) };
        let offset = start(meta_section.offset + meta_section.length)?;
        let plan_section = Section { offset, length: plan.len() as u64, hash: hashed(plan) };
        let offset = start(offset + plan_section.length)?;
        let sections = [meta_section, plan_section, Section { offset, length, hash }];
        out.write_all(&encode(&sections))?;
        for bytes in [meta, plan] {
            out.write_all(bytes)?;
            out.write_all(padding(bytes.len()))?;
        }
        for (i, bytes) in constants.iter().enumerate() {
            out.write_all(bytes)?;
            if i + 1 < constants.len() {
                out.write_all(padding(bytes.len()))?;
            }
        }
        Ok(())
    }
}

/// Length and hash of the constants, each but the last padded.
fn constants_section(constants: &[&[u8]]) -> (u64, [u8; 32]) {
    let mut hasher = blake3::Hasher::new();
    for (i, bytes) in constants.iter().enumerate() {
        hasher.update(bytes);
        if i + 1 < constants.len() {
            hasher.update(padding(bytes.len()));
        }
    }
    (hasher.count(), *hasher.finalize().as_bytes())
}

/// The zeros between something of `length` bytes and the next multiple of 64.
fn padding(length: usize) -> &'static [u8] {
    &[0; 64][..length.next_multiple_of(64) - length]
}
