//! Diagnostics: messages with a code, labelled places, notes, helps and fixes, and how they are shown.
//!
//! Invariant: knows no stage. Stages make data; `report` turns it into a `Diagnostic`.

mod diagnostic;

pub use diagnostic::{Applicability, Diagnostic, Edit, Fix, Label, Severity, SourceMap};
