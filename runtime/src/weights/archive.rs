//! Zip archives whose members are checked against the file before any of them is expanded.
//! Invariant: members do not overlap, so together they are no larger than the file times the greatest ratio of deflate;
//! a read gives as many bytes as the directory says, and their checksum holds, or it is a fault.

use super::error::{Fault, Name};
use super::file::OpenOptions;
use super::source::{Reader, Source};
use std::collections::HashMap;
use std::io::Read;
use zip::{CompressionMethod, ZipArchive};

/// No deflate stream expands further than this (zlib, "Technical Details").
const GREATEST_RATIO: u64 = 1032;

/// Expansion that real weights do not reach, unless they are nearly all zeros.
const SUSPICIOUS_RATIO: u64 = 256;

/// A zip archive.
pub(super) struct Archive {
    zip: ZipArchive<Reader>,
    members: Vec<Member>,
    names: HashMap<String, usize>,
}

/// One file in it, as the directory says.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    /// Bytes once expanded.
    pub(super) size: u64,
    /// Where its bytes begin in the archive.
    pub(super) start: u64,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.members).finish()
    }
}

impl Archive {
    pub(super) fn open(source: &Source, options: OpenOptions) -> Result<Archive, Fault> {
        let mut zip = ZipArchive::new(source.reader()).map_err(|cause| fault(0, cause))?;
        if zip.has_overlapping_files().map_err(|cause| fault(0, cause))? {
            return Err(Fault::damaged(0, "members of the archive overlap"));
        }
        let mut members = Vec::new();
        let mut names = HashMap::new();
        for index in 0..zip.len() {
            let member = member(&mut zip, index, source.len(), options)?;
            if names.insert(member.name.clone(), index).is_some() {
                return Err(Fault::damaged(member.start, format!("two members are named {}", Name(member.name))));
            }
            members.push(member);
        }
        Ok(Archive { zip, members, names })
    }

    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// Hands a reader of an expanded member to `with`.
    pub(super) fn open_member<T>(
        &self,
        index: usize,
        with: impl FnOnce(&mut dyn Read) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut zip = self.zip.clone();
        let mut file = zip.by_index(index).map_err(|cause| fault(self.members[index].start, cause))?;
        with(&mut file)
    }

    /// Bytes `start..start + len` of an expanded member; all of it is read, so that its checksum is.
    pub(super) fn read(&self, index: usize, start: u64, len: u64) -> Result<Vec<u8>, Fault> {
        let Member { name, size, start: at } = &self.members[index];
        let damaged = |what: &str| Fault::damaged(*at, format!("member {} {what}", Name(name.clone())));
        let (start, len) = (start as usize, len as usize);
        let mut bytes = Vec::new();
        let reserved = bytes.try_reserve_exact(*size as usize);
        reserved.map_err(|_| damaged("does not fit in memory"))?;
        self.open_member(index, |reader| {
            let read = reader.take(size.saturating_add(1)).read_to_end(&mut bytes);
            read.map_err(|cause| damaged(&format!("does not expand ({cause})")))?;
            Ok(())
        })?;
        if bytes.len() as u64 != *size || start.checked_add(len).is_none_or(|end| end > bytes.len()) {
            return Err(damaged("has another length than its header says"));
        }
        if start > 0 {
            bytes.drain(..start);
        }
        bytes.truncate(len);
        Ok(bytes)
    }

    /// All bytes of an expanded member.
    pub(super) fn read_all(&self, index: usize) -> Result<Vec<u8>, Fault> {
        self.read(index, 0, self.members[index].size)
    }
}

fn member(zip: &mut ZipArchive<Reader>, index: usize, len: u64, options: OpenOptions) -> Result<Member, Fault> {
    let file = zip.by_index_raw(index).map_err(|cause| fault(0, cause))?;
    let (name, start) = (file.name().to_owned(), file.data_start().unwrap_or(0));
    let (size, packed) = (file.size(), file.compressed_size());
    let damaged = |what: &str| Fault::damaged(start, format!("member {} {what}", Name(name.clone())));
    if file.encrypted() {
        let what = format!("member {} is encrypted", Name(name));
        return Err(Fault::Unsupported { what, help: "store it without a password" });
    }
    if start.checked_add(packed).is_none_or(|end| end > len) {
        let end = start.saturating_add(packed);
        return Err(Fault::Truncated { what: format!("member {}", Name(name)), start, end, len });
    }
    match file.compression() {
        CompressionMethod::Stored if size != packed => return Err(damaged("has two different sizes")),
        CompressionMethod::Stored => {}
        CompressionMethod::Deflated if size > packed.saturating_mul(GREATEST_RATIO) + GREATEST_RATIO => {
            return Err(Fault::Bomb { name: Name(name), packed, bytes: size });
        }
        CompressionMethod::Deflated => {
            if size > options.expand_limit && size / packed.max(1) > SUSPICIOUS_RATIO {
                return Err(Fault::Bomb { name: Name(name), packed, bytes: size });
            }
        }
        method => {
            let what = format!("member {} is compressed by {method}", Name(name));
            return Err(Fault::Unsupported { what, help: "deflate and no compression are read" });
        }
    }
    Ok(Member { name, size, start })
}

fn fault(at: u64, cause: zip::result::ZipError) -> Fault {
    match cause {
        zip::result::ZipError::Io(cause) if cause.kind() != std::io::ErrorKind::UnexpectedEof => Fault::Io(cause),
        cause => Fault::damaged(at, format!("the archive does not open ({cause})")),
    }
}
