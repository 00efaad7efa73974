//! The metadata section: what people and tools ask about a model without running it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What is known about a model beside its plan. Names, dims and ranges of entries stand in the plan's ports and slots.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Meta {
    /// As in the source.
    pub model: String,
    /// The version of the mlc that built it.
    pub mlc: String,
    /// BLAKE3 of the source text, in hexadecimal.
    pub source_hash: String,
    /// The profile it was built with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The passes that ran, as `--passes` takes them.
    pub pipeline: String,
    /// The CPU level or device that constants are packed for.
    pub target: String,
    /// From the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// The docs of the model.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub docs: String,
    /// What was measured when it was compressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<serde_json::Value>,
    /// The names of the plan's constants.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub constants: Vec<String>,
    /// Places in the source that run-time errors point at.
    pub sources: Vec<Source>,
}

/// A place in the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The file, as it was named.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub col: u32,
    /// The line, whole.
    pub text: String,
    /// How many characters of it are meant.
    pub length: u32,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.col)
    }
}
