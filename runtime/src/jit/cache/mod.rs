//! Finished machine code, kept between processes for the user who made it.
//!
//! Nothing is executed that this user's mlc did not write itself. An entry is named by a BLAKE3 of all that its code is a
//! function of (the kernels, the instruction set, Cranelift's settings, the generator), and opens with a BLAKE3 of that name
//! and its content under a secret of the folder. What is cut off, changed, renamed, put there by someone else or brought from
//! another folder is passed over, as if it were not there, and written anew. Kernels are verified before either way.
//!
//! The folder and its files must belong to the user of this process, and nobody else may be able to write to them (`folder`).
//! It may be deleted at any time.

mod entry;
mod folder;

use super::JitError;
use super::compile::CompiledKernel;
use super::cpu::Target;
use folder::Folder;
use mlc_codegen::kernel::Kernel;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The form of entries.
const FORMAT: u32 = 1;

/// A folder that cannot keep machine code.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The system refuses.
    #[error("the folder for machine code `{}` cannot be used: {}", path.display(), crate::system::why(error))]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Someone else may have written what is in it.
    #[error("`{}` is no place for machine code: {why}", path.display())]
    Untrusted {
        /// The folder, or its file that is to blame.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

impl CacheError {
    /// Its `MDL0xxx` code.
    pub fn code(&self) -> &'static str {
        "MDL0605"
    }
}

/// A folder where the machine code of models is kept, for whom it belongs to alone.
#[derive(Debug)]
pub struct CodeCache {
    folder: Folder,
    secret: [u8; 32],
}

impl CodeCache {
    /// Opens a folder, which is made when it is not there.
    ///
    /// # Errors
    /// The system refuses, or it belongs to someone else, or others may write to it or read its secret.
    pub fn open(path: &Path) -> Result<CodeCache, CacheError> {
        let folder = Folder::open(path)?;
        let secret = folder.secret()?;
        Ok(CodeCache { folder, secret })
    }

    /// The kernels' code: what is kept of them, else what `make` makes, which is then kept. The flag says which.
    pub(super) fn kernels(
        &self,
        kernels: &[&Kernel],
        target: &Target,
        make: impl FnOnce() -> Result<Vec<CompiledKernel>, JitError>,
    ) -> Result<(Vec<CompiledKernel>, bool), JitError> {
        let key = key(kernels, target);
        let name = format!("{key}.code");
        if let Some(known) = self.folder.read(&name).and_then(|bytes| self.opened(&key, &bytes)) {
            return Ok((known, true));
        }
        let made = make()?;
        if let Some(content) = entry::encode(&made) {
            // Code that cannot be kept is made again next time.
            let _ = self.folder.write(&name, &[self.seal(&key, &content).as_bytes(), &content[..]]);
        }
        Ok((made, false))
    }

    /// The kernels of an entry that this cache wrote under this key.
    fn opened(&self, key: &blake3::Hash, bytes: &[u8]) -> Option<Vec<CompiledKernel>> {
        let (seal, content) = bytes.split_first_chunk::<32>()?;
        if self.seal(key, content) != *seal {
            return None;
        }
        entry::decode(content)
    }

    fn seal(&self, key: &blake3::Hash, content: &[u8]) -> blake3::Hash {
        blake3::Hasher::new_keyed(&self.secret).update(key.as_bytes()).update(content).finalize()
    }
}

/// A hash of all that the code of these kernels depends on.
fn key(kernels: &[&Kernel], target: &Target) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    let settings = target.settings();
    let words = [mlc_codegen::GENERATOR, cranelift_codegen::VERSION, env!("CARGO_PKG_VERSION"), settings.as_str()];
    hasher.update(&FORMAT.to_le_bytes());
    for word in words {
        hasher.update(&(word.len() as u64).to_le_bytes()).update(word.as_bytes());
    }
    let mut writer = BufWriter::new(&mut hasher);
    serde_json::to_writer(&mut writer, kernels).expect("kernels are plain data");
    writer.flush().expect("a hash takes any number of bytes");
    drop(writer);
    hasher.finalize()
}
