//! Why a call is refused.

use crate::artifact::Source;
use std::fmt;

/// A refusal, with its code and the place in the source.
#[derive(Clone, Debug, PartialEq)]
pub struct RunError {
    /// `MDL07xx`.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// Where the model says what was expected.
    pub source: Option<Source>,
}

impl RunError {
    pub(super) fn new(code: &'static str, message: impl Into<String>, source: Option<&Source>) -> Self {
        RunError { code, message: message.into(), source: source.cloned() }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        match &self.source {
            Some(source) => write!(f, " ({source})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for RunError {}
