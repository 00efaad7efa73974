//! Why a call is refused.

use crate::artifact::{Meta, Source};
use std::fmt;

/// A refusal, with its code and the place in the source. It prints as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunError {
    /// `MDL07xx`.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// Where the model says what was expected.
    pub source: Option<Source>,
}

impl RunError {
    /// A refusal that no place in the source explains.
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        RunError { code, message: message.into(), source: None }
    }

    /// The same refusal, pointing at an entry of the source table.
    pub(super) fn at(mut self, meta: &Meta, source: u32) -> Self {
        self.source = meta.sources.get(source as usize).cloned();
        self
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "{source}: {}: {}", self.code, self.message),
            None => write!(f, "{}: {}", self.code, self.message),
        }
    }
}

impl std::error::Error for RunError {}

/// Names as a sentence has them: `a`, `b` and `c`.
pub fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match &names[..] {
        [] => "none".into(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// Bytes in the unit that a person would choose: `1.5 GiB`.
pub fn human(bytes: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let unit = (bytes.max(1).ilog2() / 10) as usize;
    match unit {
        0 => format!("{bytes} bytes"),
        _ => format!("{:.1} {}", bytes as f64 / (1u64 << (10 * unit)) as f64, units[unit]),
    }
}
