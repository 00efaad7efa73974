//! Writing a file so that it is there whole or not at all.

use std::fs::{Permissions, canonicalize, metadata};
use std::io::{self, BufWriter, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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
    let file =
        tempfile::Builder::new().prefix(".mlc-").permissions(Permissions::from_mode(0o666)).tempfile_in(folder)?;
    let mut out = BufWriter::with_capacity(1 << 18, file);
    write(&mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)?.persist(target)?;
    Ok(())
}
