//! Opening a `.mlc`.

use super::constants::{Block, length};
use super::header::{LENGTH, Layout, NAMES, Section, aligned, decode, layout};
use super::{Artifact, ArtifactError, Constant};
use crate::mmap::Mapping;
use crate::tensor::Tensor;
use mlc_codegen::base::DType;
use mlc_codegen::kernel::Plan;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// How a file is opened.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// Maps the file instead of reading it; nobody may change it then while it is in use.
    pub mmap: bool,
    /// Compares the constants with their hash, too.
    pub verify_weights: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        OpenOptions { mmap: true, verify_weights: false }
    }
}

impl Artifact {
    /// Opens a file. Everything but the constants is compared with its hash; what is not exactly as written is refused.
    ///
    /// # Errors
    /// The file cannot be read, is of another format, or is damaged.
    pub fn open(path: &Path, options: OpenOptions) -> Result<Artifact, ArtifactError> {
        let io = |error| ArtifactError::Read { path: path.display().to_string(), error };
        let file = File::open(path).map_err(io)?;
        let block = match options.mmap {
            true => Block::Mapped(Arc::new(Mapping::new(&file).map_err(io)?)),
            false => Block::Owned(read_whole(file).map_err(io)??),
        };
        parse(&block, path, options)
    }

    /// What a file says of itself before it is read any further.
    ///
    /// # Errors
    /// The file cannot be read, is of another format, or is not as long as it says.
    pub fn layout(path: &Path) -> Result<Layout, ArtifactError> {
        let io = |error| ArtifactError::Read { path: path.display().to_string(), error };
        let mapping = File::open(path).and_then(|file| Mapping::new(&file)).map_err(io)?;
        layout(mapping.bytes(), path)
    }
}

fn read_whole(mut file: File) -> std::io::Result<Result<Tensor, ArtifactError>> {
    let expected = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut tensor = match Tensor::zeros(DType::U8, [expected]) {
        Ok(tensor) => tensor,
        Err(error) => return Ok(Err(error.into())),
    };
    file.read_exact(tensor.bytes_mut())?;
    Ok(Ok(tensor))
}

/// The artifact that lies in `block`; `path` is for messages.
pub(super) fn parse(block: &Block, path: &Path, options: OpenOptions) -> Result<Artifact, ArtifactError> {
    let bytes = block.bytes();
    let sections = decode(bytes, path)?;
    let mut end = LENGTH;
    for (i, section) in sections.into_iter().enumerate() {
        let range = range(section)?;
        if bytes[end..range.start].iter().any(|byte| *byte != 0) {
            return Err(ArtifactError::Damaged("the bytes between its sections are not zero"));
        }
        let hashed = i != 2 || options.verify_weights;
        if hashed && *blake3::hash(&bytes[range.clone()]).as_bytes() != section.hash {
            return Err(ArtifactError::Damaged(
                [
                    "its metadata does not match its hash",
                    "its plan does not match its hash",
                    "its weights do not match their hash",
                ][i],
            ));
        }
        end = range.end;
    }
    let meta = json(bytes, sections[0], 0)?;
    let plan: Plan = json(bytes, sections[1], 1)?;
    let constants = constants(block, &plan, sections[2])?;
    Artifact::from_parts(meta, plan, constants)
}

fn range(section: Section) -> Result<Range<usize>, ArtifactError> {
    let end = section.end().and_then(|end| usize::try_from(end).ok());
    let end = end.ok_or(ArtifactError::Damaged("it is longer than this machine can address"))?;
    Ok(section.offset as usize..end)
}

fn json<T: serde::de::DeserializeOwned>(bytes: &[u8], section: Section, i: usize) -> Result<T, ArtifactError> {
    let error = |error| ArtifactError::Json { section: NAMES[i], error };
    serde_json::from_slice(&bytes[range(section)?]).map_err(error)
}

/// The constants, one after another as the plan says; they end with the section.
fn constants(block: &Block, plan: &Plan, section: Section) -> Result<Vec<Constant>, ArtifactError> {
    let mismatch = ArtifactError::Damaged("its constants are not as long as the plan says");
    let whole = range(section)?;
    let mut end = section.offset;
    let mut ranges = Vec::new();
    for (storage, elements) in &plan.constants {
        let start = aligned(end);
        let Some(stop) = start.and_then(|s| s.checked_add(length(*storage, *elements).ok()?)) else {
            return Err(mismatch);
        };
        let start = start.expect("its end was just computed");
        if stop > whole.end as u64 {
            return Err(mismatch);
        }
        if block.bytes()[end as usize..start as usize].iter().any(|byte| *byte != 0) {
            return Err(ArtifactError::Damaged("the bytes between its constants are not zero"));
        }
        ranges.push(start as usize..stop as usize);
        end = stop;
    }
    if end != whole.end as u64 {
        return Err(mismatch);
    }
    Ok(ranges.into_iter().map(|range| Constant::within(block, range)).collect())
}
