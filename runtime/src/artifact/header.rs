//! The first 256 bytes.

use super::ArtifactError;
use std::ops::Range;
use std::path::Path;

/// The format version that this mlc reads and writes.
pub const FORMAT: u32 = 1;

pub(super) const LENGTH: usize = 256;
const MAGIC: [u8; 4] = *b"MLC\0";
const WRITER: Range<usize> = 8..32;
const HASH: Range<usize> = 32..64;
const SECTIONS: usize = 64;
const SECTION: usize = 48;

/// The parts of a file, in order.
pub(super) const NAMES: [&str; 3] = ["metadata", "plan", "constants"];

/// What the first bytes say of a file, which is as long as they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The format version.
    pub format: u32,
    /// The version of the mlc that wrote it.
    pub writer: String,
    /// Bytes of the whole file.
    pub bytes: u64,
    /// Names and bytes of its sections, in order.
    pub sections: [(&'static str, u64); 3],
}

/// Where a section lies, and its BLAKE3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) hash: [u8; 32],
}

impl Section {
    pub(super) fn end(self) -> Option<u64> {
        self.offset.checked_add(self.length)
    }
}

/// The first multiple of 64 that is not below `offset`.
pub(super) fn aligned(offset: u64) -> Option<u64> {
    offset.checked_next_multiple_of(64)
}

/// The header of a file with these sections.
pub(super) fn encode(sections: &[Section; 3]) -> [u8; LENGTH] {
    let mut header = [0; LENGTH];
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&FORMAT.to_le_bytes());
    let writer = env!("CARGO_PKG_VERSION").as_bytes();
    let count = writer.len().min(WRITER.len());
    header[WRITER][..count].copy_from_slice(&writer[..count]);
    for (section, place) in sections.iter().zip(header[SECTIONS..].chunks_exact_mut(SECTION)) {
        place[..8].copy_from_slice(&section.offset.to_le_bytes());
        place[8..16].copy_from_slice(&section.length.to_le_bytes());
        place[16..].copy_from_slice(&section.hash);
    }
    let hash = blake3::hash(&header[SECTIONS..]);
    header[HASH].copy_from_slice(hash.as_bytes());
    header
}

/// The sections of a file of `bytes`; every one lies inside it, right behind its predecessor, and the last ends it.
pub(super) fn decode(bytes: &[u8], path: &Path) -> Result<[Section; 3], ArtifactError> {
    let name = || path.display().to_string();
    if !bytes.starts_with(&MAGIC) {
        return Err(ArtifactError::NotAnArtifact { path: name() });
    }
    let header: &[u8; LENGTH] = bytes.first_chunk().ok_or(ArtifactError::Damaged("it is cut off in its header"))?;
    let found = u32::from_le_bytes(word(header, 4));
    if found != FORMAT {
        let writer = writer(header);
        let source_path = path.with_extension("mdl").display().to_string();
        return Err(ArtifactError::Version { path: name(), found, writer, source_path });
    }
    let sections = [0, 1, 2].map(|i| {
        let at = SECTIONS + i * SECTION;
        let (offset, length) = (u64::from_le_bytes(word(header, at)), u64::from_le_bytes(word(header, at + 8)));
        Section { offset, length, hash: word(header, at + 16) }
    });
    if blake3::hash(&header[SECTIONS..]).as_bytes() != &header[HASH] || header[SECTIONS + 3 * SECTION..] != [0; 48] {
        return Err(ArtifactError::Damaged("its header does not match its hash"));
    }
    let mut end = LENGTH as u64;
    for section in sections {
        if Some(section.offset) != aligned(end) {
            return Err(ArtifactError::Damaged("a section overlaps another or leaves a hole"));
        }
        end = section.end().ok_or(ArtifactError::Damaged("a section is longer than 64 bits can say"))?;
    }
    match end.cmp(&(bytes.len() as u64)) {
        std::cmp::Ordering::Equal => Ok(sections),
        std::cmp::Ordering::Less => Err(ArtifactError::Damaged("bytes follow its end")),
        std::cmp::Ordering::Greater => Err(ArtifactError::Damaged("it is cut off")),
    }
}

/// The layout of a file of `bytes`.
pub(super) fn layout(bytes: &[u8], path: &Path) -> Result<Layout, ArtifactError> {
    let sections = decode(bytes, path)?;
    let lengths = [0, 1, 2].map(|i| (NAMES[i], sections[i].length));
    Ok(Layout { format: FORMAT, writer: writer(bytes), bytes: bytes.len() as u64, sections: lengths })
}

fn writer(header: &[u8]) -> String {
    String::from_utf8_lossy(&header[WRITER]).trim_end_matches('\0').escape_debug().to_string()
}

fn word<const N: usize>(header: &[u8; LENGTH], at: usize) -> [u8; N] {
    header[at..at + N].try_into().expect("a slice of N bytes")
}
