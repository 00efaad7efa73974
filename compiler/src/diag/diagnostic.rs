//! The one diagnostic type.

use crate::types::Loc;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is built.
    Error,
    /// Worth a look.
    Warning,
}

/// Whether a fix can be applied without a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applicability {
    /// `mlc fix` applies it.
    Exact,
    /// A suggestion.
    Maybe,
}

/// A place and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub loc: Loc,
    /// What stands there; may be empty.
    pub text: String,
    /// The place of the fault itself.
    pub primary: bool,
}

/// A replacement of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced; empty to insert.
    pub loc: Loc,
    /// With what.
    pub text: String,
}

/// Edits that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What it does, in a few words.
    pub title: String,
    /// All or none.
    pub edits: Vec<Edit>,
    /// Whether `mlc fix` may apply it.
    pub applicability: Applicability,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// `MDL0xxx`.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// One line that stands alone: no capital, no period, code in backticks.
    pub message: String,
    /// Places; the primary ones first.
    pub labels: Vec<Label>,
    /// Facts.
    pub notes: Vec<String>,
    /// What to do.
    pub helps: Vec<String>,
    /// Edits that do it.
    pub fixes: Vec<Fix>,
}

impl Diagnostic {
    /// An error with its primary place.
    pub fn error(code: &'static str, message: impl Into<String>, loc: Loc, label: impl Into<String>) -> Self {
        let labels = vec![Label { loc, text: label.into(), primary: true }];
        let message = message.into();
        Diagnostic { code, severity: Severity::Error, message, labels, notes: vec![], helps: vec![], fixes: vec![] }
    }

    /// A warning with its primary place.
    pub fn warning(code: &'static str, message: impl Into<String>, loc: Loc, label: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, message, loc, label) }
    }

    /// An error of no place in a source: a file, a call, a machine.
    pub fn placeless(code: &'static str, message: impl Into<String>) -> Self {
        Diagnostic { labels: vec![], ..Diagnostic::error(code, message, Loc::default(), "") }
    }

    /// The place of the fault, before those that are there.
    pub fn primary(mut self, loc: Loc, text: impl Into<String>) -> Self {
        self.labels.insert(0, Label { loc, text: text.into(), primary: true });
        self
    }

    /// A further place.
    pub fn label(mut self, loc: Loc, text: impl Into<String>) -> Self {
        self.labels.push(Label { loc, text: text.into(), primary: false });
        self
    }

    /// A fact.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Advice.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.helps.push(help.into());
        self
    }

    /// Edits that mend it.
    pub fn fix(mut self, title: impl Into<String>, edits: Vec<Edit>, applicability: Applicability) -> Self {
        self.fixes.push(Fix { title: title.into(), edits, applicability });
        self
    }
}
