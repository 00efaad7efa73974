//! Writing a file so that it is there whole or not at all.

use std::collections::BTreeSet;
use std::fs::{Permissions, canonicalize, metadata};
use std::io::{self, BufWriter, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tempfile::NamedTempFile;

/// What [`write_aside`] hands to its caller.
pub trait WriteSeek: Write + Seek {}

impl<T: Write + Seek> WriteSeek for T {}

/// Writes a temporary file beside `path` and renames it over `path` once `write` has succeeded. A path that is something
/// else than a regular file (a device, a pipe) is written in place.
///
/// # Errors
/// What the system or `write` says; `path` is then as it was, and the temporary file is removed.
pub fn write_aside(path: &Path, write: impl FnOnce(&mut dyn WriteSeek) -> io::Result<()>) -> io::Result<()> {
    let present = metadata(path).ok();
    if present.is_some_and(|found| !found.is_file() && !found.is_dir()) {
        let mut out = BufWriter::new(std::fs::OpenOptions::new().write(true).open(path)?);
        write(&mut out)?;
        return out.flush();
    }
    let target = canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let folder = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (file, unfinished) = Unfinished::create(folder)?;
    let mut out = BufWriter::with_capacity(1 << 18, file);
    write(&mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    unfinished.finish(file, &target)
}

/// Removes the temporary files of all writers: what is left to do before a process ends in the middle of them. A writer
/// that goes on fails when it would rename its file.
pub fn remove_unfinished() {
    for path in std::mem::take(&mut *unfinished()) {
        let _ = std::fs::remove_file(path);
    }
}

/// Temporary files that are being written.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An entry of that list, for as long as its file is there.
struct Unfinished(PathBuf);

impl Unfinished {
    fn create(folder: &Path) -> io::Result<(NamedTempFile, Unfinished)> {
        let mut list = unfinished();
        let mut builder = tempfile::Builder::new();
        let file = builder.prefix(".mlc-").permissions(Permissions::from_mode(0o666)).tempfile_in(folder);
        let file = file.map_err(nameless)?;
        list.insert(file.path().to_path_buf());
        let entry = Unfinished(file.path().to_path_buf());
        Ok((file, entry))
    }

    fn finish(self, file: NamedTempFile, target: &Path) -> io::Result<()> {
        let persisted = file.persist(target);
        persisted.map(drop).map_err(|error| error.error)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        unfinished().remove(&self.0);
    }
}

/// The error without the temporary file's name, that nobody asked for.
fn nameless(error: io::Error) -> io::Error {
    let said = error.to_string();
    io::Error::new(error.kind(), said.split(" at path ").next().unwrap_or(&said))
}
