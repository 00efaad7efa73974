//! Why a model is not written in another format.

use crate::graph::ReadError;
use crate::types::Loc;
use std::path::PathBuf;

/// What a format has no word for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The op, with its reason.
    pub why: String,
    /// The path of the node, with the rounds of repeats in it.
    pub path: String,
    /// The place in the source.
    pub loc: Loc,
}

/// Why a model is not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// What the format has no word for, all of it.
    #[error("{}", lines(.0))]
    Uses(Vec<Refusal>),
    /// A weight cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The system takes no bytes.
    #[error("cannot write `{}`: {why}", path.display())]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
}

impl ExportError {
    /// Its `MDL0xxx` code.
    pub fn code(&self) -> &'static str {
        match self {
            ExportError::Uses(_) => "MDL0807",
            ExportError::Read(ReadError::Missing(_)) => "MDL0401",
            ExportError::Read(_) => "MDL0704",
            ExportError::Unwritten { .. } => "MDL0007",
        }
    }
}

fn lines(all: &[Refusal]) -> String {
    const SHOWN: usize = 50;
    let line = |refusal: &Refusal| match refusal.path.as_str() {
        "" => refusal.why.clone(),
        path => format!("`{path}`: {}", refusal.why),
    };
    let more = all.len().saturating_sub(SHOWN);
    let shown: Vec<String> = all.iter().take(SHOWN).map(line).collect();
    if more == 0 { shown.join("\n") } else { format!("{}\nand {more} more", shown.join("\n")) }
}
