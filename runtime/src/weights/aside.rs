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
    let (file, unfinished) = Unfinished::create(folder, 0o666)?;
    let mut out = BufWriter::with_capacity(1 << 18, file);
    write(&mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    unfinished.finish(file, &target)
}

/// What becomes of a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aside {
    /// The new one takes its place.
    Replacing,
    /// It stays.
    UnlessThere,
}

/// Writes a file of a folder that only its owner may read, as [`write_aside`] does.
pub(crate) fn write_private(folder: &Path, name: &str, parts: &[&[u8]], present: Aside) -> io::Result<()> {
    let (mut file, unfinished) = Unfinished::create(folder, 0o600)?;
    parts.iter().try_for_each(|part| file.write_all(part))?;
    let target = folder.join(name);
    match present {
        Aside::Replacing => unfinished.finish(file, &target),
        Aside::UnlessThere => match file.persist_noclobber(&target) {
            Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
            _ => Ok(()),
        },
    }
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
    fn create(folder: &Path, mode: u32) -> io::Result<(NamedTempFile, Unfinished)> {
        let mut list = unfinished();
        let mut builder = tempfile::Builder::new();
        let file = builder.prefix(".mlc-").permissions(Permissions::from_mode(mode)).tempfile_in(folder);
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
