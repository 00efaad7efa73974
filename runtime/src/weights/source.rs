//! Where a weight file's bytes come from: a mapping, reads at offsets, or memory.
//! Invariant: a range is checked against the length before a byte of it is allocated.

use super::error::Fault;
use crate::mmap::Mapping;
use crate::tensor::Tensor;
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

#[derive(Debug)]
enum Bytes {
    Mapped(Mapping),
    File(File),
    Memory(Vec<u8>),
    Tensor(Tensor),
}

/// A file's bytes; cloning shares them.
#[derive(Clone, Debug)]
pub(super) struct Source {
    bytes: Arc<Bytes>,
    len: u64,
}

impl Source {
    pub(super) fn open(path: &Path, mmap: bool) -> Result<Source, Fault> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            let what = if metadata.is_dir() { "this is a folder" } else { "this is not a regular file" };
            return Err(Fault::Unsupported { what: what.into(), help: "name a weight file" });
        }
        let bytes = if mmap { Bytes::Mapped(Mapping::new(&file)?) } else { Bytes::File(file) };
        let len = match &bytes {
            Bytes::Mapped(mapping) => mapping.bytes().len() as u64,
            _ => metadata.len(),
        };
        Ok(Source { bytes: Arc::new(bytes), len })
    }

    pub(super) fn memory(bytes: &[u8]) -> Source {
        Source { len: bytes.len() as u64, bytes: Arc::new(Bytes::Memory(bytes.to_vec())) }
    }

    pub(super) fn tensor(tensor: Tensor) -> Source {
        Source { len: tensor.bytes().len() as u64, bytes: Arc::new(Bytes::Tensor(tensor)) }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes `start..start + len`, called `what` where the file ends before.
    pub(super) fn range(&self, start: u64, len: u64, what: impl FnOnce() -> String) -> Result<Cow<'_, [u8]>, Fault> {
        let end = start.checked_add(len).filter(|end| *end <= self.len);
        let Some(end) = end else {
            return Err(Fault::Truncated { what: what(), start, end: start.saturating_add(len), len: self.len });
        };
        Ok(match &*self.bytes {
            Bytes::Mapped(mapping) => Cow::Borrowed(&mapping.bytes()[start as usize..end as usize]),
            Bytes::Memory(bytes) => Cow::Borrowed(&bytes[start as usize..end as usize]),
            Bytes::Tensor(tensor) => Cow::Borrowed(&tensor.bytes()[start as usize..end as usize]),
            Bytes::File(file) => {
                let mut bytes = vec![0; len as usize];
                file.read_exact_at(&mut bytes, start)?;
                Cow::Owned(bytes)
            }
        })
    }

    /// The first bytes, at most `len`.
    pub(super) fn prefix(&self, len: u64) -> Result<Cow<'_, [u8]>, Fault> {
        self.range(0, len.min(self.len), String::new)
    }

    /// How much of a header to look at first: all of it where that is free.
    pub(super) fn first_look(&self) -> u64 {
        if matches!(*self.bytes, Bytes::File(_)) { self.len.min(1 << 20) } else { self.len }
    }

    pub(super) fn reader(&self) -> Reader {
        Reader { source: self.clone(), at: 0 }
    }
}

/// A position in a source.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    source: Source,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = (buffer.len() as u64).min(self.source.len.saturating_sub(self.at)) as usize;
        let start = self.at as usize;
        match &*self.source.bytes {
            _ if len == 0 => {}
            Bytes::Mapped(mapping) => buffer[..len].copy_from_slice(&mapping.bytes()[start..start + len]),
            Bytes::Memory(bytes) => buffer[..len].copy_from_slice(&bytes[start..start + len]),
            Bytes::Tensor(tensor) => buffer[..len].copy_from_slice(&tensor.bytes()[start..start + len]),
            Bytes::File(file) => file.read_exact_at(&mut buffer[..len], self.at)?,
        }
        self.at += len as u64;
        Ok(len)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.source.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a position before the file"))?;
        Ok(self.at)
    }
}
