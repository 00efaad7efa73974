//! Why a weight file, or one tensor of it, cannot be read. Every message names the file, the place and what to do.

use crate::tensor::TensorError;
use std::fmt;
use std::path::{Path, PathBuf};

/// A weight file that was refused.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {fault}{}", file.display(), fault.help().map_or(String::new(), |help| format!("; {help}")))]
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
    #[error("{}", crate::system::why(.0))]
    Io(#[from] std::io::Error),
    /// Neither the first bytes nor the name say a format that is read.
    #[error("not a weight file")]
    UnknownFormat,
    /// The file ends too early.
    #[error("{what} needs bytes {start}..{end}, but the file ends at {len}")]
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
    #[error("damaged at byte {at}: {what}")]
    Damaged {
        /// Where in the file, or where its tensor data begin.
        at: u64,
        /// What is wrong there.
        what: String,
    },
    /// One tensor's header contradicts the file.
    #[error("tensor {name}: {what}")]
    Tensor {
        /// The tensor.
        name: Name,
        /// What is wrong with it.
        what: String,
    },
    /// A whole file in a form that is not read.
    #[error("{what}")]
    Unsupported {
        /// What it is.
        what: String,
        /// What to do instead.
        help: &'static str,
    },
    /// A tensor of a type that is not read.
    #[error("tensor {name} is {dtype}, which mlc does not read")]
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
    #[error("{name} claims to expand from {packed} to {bytes} bytes, which looks like a zip bomb")]
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

impl LoadError {
    /// Its `MDL0xxx` code.
    pub fn code(&self) -> &'static str {
        self.fault.code()
    }

    /// What is wrong, without what to do about it.
    pub fn message(&self) -> String {
        format!("`{}`: {}", self.file.display(), self.fault)
    }
}

impl Fault {
    /// Its `MDL0xxx` code: one for each thing that a person can do about it.
    pub fn code(&self) -> &'static str {
        match self {
            Fault::Io(_) => "MDL0403",
            Fault::Missing { .. } => "MDL0401",
            Fault::UnknownFormat | Fault::Unsupported { .. } => "MDL0406",
            Fault::Truncated { .. } | Fault::Damaged { .. } | Fault::Tensor { .. } => "MDL0407",
            Fault::Foreign { .. } => "MDL0408",
            Fault::Bomb { .. } => "MDL0409",
            Fault::Memory { .. } => "MDL0704",
        }
    }

    /// What to do about it.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Fault::Io(_) | Fault::Missing { .. } | Fault::Memory { .. } => None,
            Fault::UnknownFormat => Some(".safetensors, .index.json, .npz, .npy, .gguf and .pth are read"),
            Fault::Truncated { .. } => Some("it is cut short: fetch it again"),
            Fault::Damaged { .. } => Some("fetch it again"),
            Fault::Tensor { .. } => Some("the file is damaged: fetch it again"),
            Fault::Unsupported { help, .. } | Fault::Foreign { help, .. } => Some(help),
            Fault::Bomb { .. } => Some("store it uncompressed (numpy.savez)"),
        }
    }

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
