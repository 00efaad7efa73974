//! What can be wrong with a `.mlc` file.

use std::io;

/// A `.mlc` that cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The system does not let it be read.
    #[error("cannot read `{path}`: {}", crate::system::why(error))]
    Read {
        /// The file.
        path: String,
        /// What the system says.
        error: io::Error,
    },
    /// The system does not let it be written.
    #[error("cannot write `{path}`: {}", crate::system::why(error))]
    Write {
        /// The file.
        path: String,
        /// What the system says.
        error: io::Error,
    },
    /// It does not begin as a `.mlc` does.
    #[error("`{path}` is not a .mlc file")]
    NotAnArtifact {
        /// The file.
        path: String,
    },
    /// Another format version.
    #[error("`{path}` has format {found}, written by mlc {writer}; this mlc {} reads format {}; rebuild it: mlc build {source_path} -o {path}", env!("CARGO_PKG_VERSION"), super::FORMAT)]
    Version {
        /// The file.
        path: String,
        /// Its format.
        found: u32,
        /// The mlc that wrote it.
        writer: String,
        /// What it was probably built from.
        source_path: String,
    },
    /// Cut off, changed, or put together by a stranger.
    #[error("the .mlc is damaged: {0}")]
    Damaged(&'static str),
    /// A JSON section that does not say what it should.
    #[error("the .mlc is damaged: {section}: {error}")]
    Json {
        /// `metadata` or `plan`.
        section: &'static str,
        /// Where and why.
        error: serde_json::Error,
    },
    /// The system has not as much memory.
    #[error(transparent)]
    Memory(#[from] crate::tensor::TensorError),
}

impl ArtifactError {
    /// Its `MDL0xxx` code.
    pub fn code(&self) -> &'static str {
        match self {
            ArtifactError::Read { .. } => "MDL0003",
            ArtifactError::Write { .. } => "MDL0007",
            ArtifactError::NotAnArtifact { .. } | ArtifactError::Version { .. } => "MDL0005",
            ArtifactError::Damaged(_) | ArtifactError::Json { .. } => "MDL0006",
            ArtifactError::Memory(_) => "MDL0704",
        }
    }
}
