//! Why a weight file, or one tensor of it, cannot be read. Every message names the file, the place and what to do.

use crate::tensor::TensorError;
use std::fmt;
use std::path::{Path, PathBuf};

/// A weight file that was refused.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {fault}", file.display())]
pub struct LoadError {
    /// The file, as it was asked for.
    pub file: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a weight file.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The system refuses.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Neither the first bytes nor the name say a format that is read.
    #[error("not a weight file; .safetensors, .index.json, .npz, .npy, .gguf and .pth are read")]
    UnknownFormat,
    /// The file ends too early.
    #[error("{what} needs bytes {start}..{end}, but the file ends at {len}; it is cut short: fetch it again")]
    Truncated {
        /// What lies there.
        what: String,
        /// First byte needed.
        start: u64,
        /// Behind the last byte needed.
        end: u64,
        /// The file's length.
        len: u64,
    },
    /// The headers contradict the format or themselves.
    #[error("damaged at byte {at}: {what}; fetch it again")]
    Damaged {
        /// Where in the file, or where its tensor data begin.
        at: u64,
        /// What is wrong there.
        what: String,
    },
    /// One tensor's header contradicts the file.
    #[error("tensor {name}: {what}; the file is damaged: fetch it again")]
    Tensor {
        /// The tensor.
        name: Name,
        /// What is wrong with it.
        what: String,
    },
    /// A whole file in a form that is not read.
    #[error("{what}; {help}")]
    Unsupported {
        /// What it is.
        what: String,
        /// What to do instead.
        help: &'static str,
    },
    /// A tensor of a type that is not read.
    #[error("tensor {name} is {dtype}, which mlc does not read; {help}")]
    Foreign {
        /// The tensor.
        name: Name,
        /// Its type in the file's words.
        dtype: String,
        /// What to do instead.
        help: &'static str,
    },
    /// No tensor of that name.
    #[error("no tensor named {name}; the file has {count}")]
    Missing {
        /// The name asked for.
        name: Name,
        /// How many tensors there are.
        count: usize,
    },
    /// A compressed member that expands beyond all measure.
    #[error(
        "{name} claims to expand from {packed} to {bytes} bytes, which looks like a zip bomb; store it uncompressed \
         (numpy.savez), or allow it with a higher limit"
    )]
    Bomb {
        /// The member.
        name: Name,
        /// Bytes in the file.
        packed: u64,
        /// Bytes it claims.
        bytes: u64,
    },
    /// A shape or memory that cannot be had.
    #[error("tensor {name}: {cause}")]
    Memory {
        /// The tensor.
        name: Name,
        /// Why not.
        cause: TensorError,
    },
}

/// A name from a file, shown in backticks with control characters escaped and its length bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(pub String);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown: String = self.0.chars().take(200).flat_map(escape).collect();
        if self.0.chars().nth(200).is_some() {
            shown.push('…');
        }
        write!(f, "`{shown}`")
    }
}

fn escape(c: char) -> Vec<char> {
    if c.is_control() { c.escape_default().collect() } else { vec![c] }
}

impl Fault {
    /// This fault of that file.
    pub fn of(self, file: &Path) -> LoadError {
        LoadError { file: file.to_path_buf(), fault: self }
    }

    pub(super) fn damaged(at: u64, what: impl Into<String>) -> Fault {
        Fault::Damaged { at, what: what.into() }
    }

    pub(super) fn tensor(name: &str, what: impl Into<String>) -> Fault {
        Fault::Tensor { name: Name(name.into()), what: what.into() }
    }
}
