//! One mapped file.

use std::fs::File;
use std::io;

/// A whole file, mapped read-only; as long as it lives, the bytes do.
#[derive(Debug)]
pub(crate) struct Mapping(memmap2::Mmap);

impl Mapping {
    /// Maps all of a regular file; an empty one gives no bytes.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn new(file: &File) -> io::Result<Mapping> {
        // SAFETY: the mapping is read-only and private to readers; that nobody shortens or rewrites the file meanwhile is
        // the condition that this folder states, and that `--no-mmap` lifts.
        let map = unsafe { memmap2::Mmap::map(file)? };
        Ok(Mapping(map))
    }

    /// All bytes of the file as it was when mapped.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Mapping;
    use crate::weights::write_aside;
    use std::fs::{File, read};

    #[test]
    fn a_replaced_file_keeps_its_mapping() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("w");
        write_aside(&path, |out| out.write_all(&[7; 10_000])).expect("written");
        let mapping = Mapping::new(&File::open(&path).expect("there")).expect("mapped");
        write_aside(&path, |out| out.write_all(b"short")).expect("replaced");
        assert_eq!(mapping.bytes(), [7; 10_000]);
        assert_eq!(read(&path).expect("there"), b"short");
    }
}
