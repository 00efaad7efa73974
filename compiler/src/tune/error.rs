//! Why a measurement cannot be made, or a profile not be carried out.

use crate::BuildError;
use crate::graph::ReadError;
use crate::runner::NoEntry;
use crate::types::Loc;
use mlc_runtime::session::{JitError, RunError};
use mlc_runtime::tensor::TensorError;
use mlc_runtime::weights::LoadError;

/// An error of this room, or of what it drives.
#[derive(Debug, thiserror::Error)]
pub enum TuneError {
    /// What was asked for cannot be had.
    #[error("{message}")]
    Refused {
        /// `MDL05xx` or `MDL07xx`.
        code: &'static str,
        /// One sentence.
        message: String,
        /// The place in the profile.
        loc: Option<Loc>,
        /// What would help.
        helps: Vec<String>,
    },
    /// A call was refused.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A file of data cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A weight cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Something does not fit in memory.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// A graph does not become an artifact.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// An artifact does not become machine code.
    #[error(transparent)]
    Jit(#[from] JitError),
    /// There is no such entry.
    #[error(transparent)]
    Entry(#[from] NoEntry),
}

impl TuneError {
    /// Data that does not fit what is measured on it.
    pub fn data(message: impl Into<String>) -> TuneError {
        TuneError::Refused { code: "MDL0705", message: message.into(), loc: None, helps: vec![] }
    }

    /// A directive that cannot be carried out.
    pub fn refused(code: &'static str, message: impl Into<String>, loc: Loc) -> TuneError {
        TuneError::Refused { code, message: message.into(), loc: Some(loc), helps: vec![] }
    }

    /// The same with what would help.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> TuneError {
        if let TuneError::Refused { helps, .. } = &mut self {
            helps.push(help.into());
        }
        self
    }

    /// A call that calibrates, refused for its data: what the profile names does not fit the model.
    #[must_use]
    pub fn of_file(self, file: &str) -> TuneError {
        match self {
            TuneError::Run(RunError { message, .. }) => TuneError::data(format!("`{file}` does not fit: {message}")),
            TuneError::Load(cause) => TuneError::data(format!("`{file}`: {cause}")),
            other => other,
        }
    }

    /// The same, with the place in a profile that asked for it.
    #[must_use]
    pub fn at(mut self, place: Loc) -> TuneError {
        if let TuneError::Refused { loc, .. } = &mut self {
            loc.get_or_insert(place);
        }
        self
    }

    /// What it passes on; itself where it was made here.
    pub fn cause(&self) -> &(dyn std::error::Error + 'static) {
        match self {
            TuneError::Refused { .. } => self,
            TuneError::Run(cause) => cause,
            TuneError::Load(cause) => cause,
            TuneError::Read(ReadError::Weights(cause)) => cause,
            TuneError::Read(ReadError::Tensor(cause)) => cause,
            TuneError::Read(cause) => cause,
            TuneError::Tensor(cause) => cause,
            TuneError::Build(cause) => cause,
            TuneError::Jit(cause) => cause,
            TuneError::Entry(cause) => cause,
        }
    }
}
