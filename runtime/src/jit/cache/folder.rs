//! A folder that only one user can write to.
//!
//! Invariant: the folder that was checked is the one that is used, also when its path is given to another meanwhile: files
//! are reached through the open folder, and each is checked after it was opened.

use super::CacheError;
use crate::weights::{Aside, write_private};
use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The file of the secret, and its bytes.
const SECRET: &str = "secret";
const SECRET_BYTES: usize = 32;

/// Permissions to write for others than the owner, and to do anything.
const OTHERS_WRITE: u32 = 0o022;
const OTHERS_ANY: u32 = 0o077;

/// No larger file is read.
const MOST: u64 = 1 << 30;

#[derive(Debug)]
pub(super) struct Folder {
    opened: File,
    owner: u32,
    path: PathBuf,
}

impl Folder {
    /// Opens a folder of this process's user, made for the user alone when it is not there.
    pub(super) fn open(path: &Path) -> Result<Folder, CacheError> {
        let unusable = |error| CacheError::Unusable { path: path.to_owned(), error };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let opened = File::open(path).map_err(unusable)?;
        let found = opened.metadata().map_err(unusable)?;
        // The user that this process acts for owns its entry in /proc.
        let owner = std::fs::metadata("/proc/self").map_err(unusable)?.uid();
        match distrusted(&found, owner, OTHERS_WRITE) {
            Some(why) => Err(CacheError::Untrusted { path: path.to_owned(), why }),
            None => Ok(Folder { opened, owner, path: path.to_owned() }),
        }
    }

    /// The folder's secret, drawn when it has none.
    pub(super) fn secret(&self) -> Result<[u8; SECRET_BYTES], CacheError> {
        let path = self.path.join(SECRET);
        let untrusted = |why: String| CacheError::Untrusted { path: path.clone(), why };
        let unusable = |error| CacheError::Unusable { path: self.path.clone(), error };
        let mut file = match File::open(self.place(SECRET)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut drawn = [0; SECRET_BYTES];
                File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut drawn)).map_err(unusable)?;
                // Of several that draw at once, one is the first.
                write_private(&self.place(""), SECRET, &[&drawn], Aside::UnlessThere).map_err(unusable)?;
                File::open(self.place(SECRET))
            }
            found => found,
        }
        .map_err(unusable)?;
        let found = file.metadata().map_err(unusable)?;
        if let Some(why) = distrusted(&found, self.owner, OTHERS_ANY) {
            return Err(untrusted(why));
        }
        let mut secret = [0; SECRET_BYTES];
        match file.read_exact(&mut secret) {
            Ok(()) if found.len() == SECRET_BYTES as u64 => Ok(secret),
            _ => Err(untrusted("it does not hold a secret; remove the folder".into())),
        }
    }

    /// The bytes of a file; `None` where there is none, or one that somebody else may have written.
    pub(super) fn read(&self, name: &str) -> Option<Vec<u8>> {
        let mut file = File::open(self.place(name)).ok()?;
        let found = file.metadata().ok()?;
        if distrusted(&found, self.owner, OTHERS_WRITE).is_some() || !found.is_file() || found.len() > MOST {
            return None;
        }
        let mut bytes = Vec::with_capacity(found.len() as usize);
        file.read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Writes a file that only its owner may read, whole or not at all.
    pub(super) fn write(&self, name: &str, parts: &[&[u8]]) -> io::Result<()> {
        write_private(&self.place(""), name, parts, Aside::Replacing)
    }

    /// A file of the folder that is open, whatever its path names by now.
    fn place(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.opened.as_raw_fd()))
    }
}

/// Why what was found may be the work of somebody else than `owner`.
fn distrusted(found: &Metadata, owner: u32, others: u32) -> Option<String> {
    let (user, mode) = (found.uid(), found.mode() & 0o7777);
    if user != owner {
        return Some(format!("it belongs to user {user}, and mlc runs for user {owner}"));
    }
    let may = if others == OTHERS_ANY { "read it or write to it" } else { "write to it" };
    let right = if found.is_dir() { "700" } else { "600" };
    (mode & others != 0).then(|| format!("others may {may} (mode {mode:03o}); chmod {right} makes it yours alone"))
}
