//! Diagnostics: messages with a code, labelled places, notes, helps and fixes, and how they are shown.
//!
//! Invariant: knows no stage. Stages make data; `report` turns it into a `Diagnostic`.

mod diagnostic;
mod excerpt;
mod fixes;
mod json;
mod render;
mod sources;

pub use diagnostic::{Applicability, Diagnostic, Edit, Fix, Label, Severity};
pub use fixes::apply;
pub use json::{summary_line, to_line};
pub use render::{Style, human, short};
pub use sources::SourceMap;
