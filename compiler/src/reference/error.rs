//! Why a call is refused.

use crate::graph::Node;
use crate::ops::EvalError;
use crate::types::Loc;
use std::fmt;

/// A refusal with its code and the place in the source; a session refuses the same call in the same words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `MDL07xx`, or `MDL04xx` for a weight that cannot be read.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// Where the model says what was expected.
    pub loc: Option<Loc>,
}

impl Refusal {
    pub(super) fn new(code: &'static str, message: impl Into<String>, loc: impl Into<Option<Loc>>) -> Self {
        Refusal { code, message: message.into(), loc: loc.into() }
    }

    /// An op that has no answer for its data.
    pub(super) fn of(error: EvalError, node: &Node) -> Self {
        let code = if matches!(error, EvalError::Index { .. }) { "MDL0703" } else { "MDL0704" };
        Refusal::new(code, error.to_string(), node.loc)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Refusal {}
