//! Diagnostics as text for people. codespan-reporting draws the snippet; helps and fixes stand below it.

use super::{Diagnostic, Fix, Severity, SourceMap};
use codespan_reporting::diagnostic as codespan;
use codespan_reporting::files::SimpleFiles;
use codespan_reporting::term::termcolor::{Ansi, NoColor};
use codespan_reporting::term::{Config, emit_to_write_style};

/// The message with the source around its labels; ends in an empty line.
pub fn human(diagnostic: &Diagnostic, sources: &SourceMap, colour: bool) -> String {
    let mut files = SimpleFiles::new();
    for file in 0..sources.len() as u32 {
        files.add(sources.name(file), sources.text(file));
    }
    let severity = match diagnostic.severity {
        Severity::Error => codespan::Severity::Error,
        Severity::Warning => codespan::Severity::Warning,
    };
    let labels = diagnostic.labels.iter().map(|label| {
        let style = if label.primary { codespan::LabelStyle::Primary } else { codespan::LabelStyle::Secondary };
        let range = label.loc.start as usize..label.loc.end as usize;
        codespan::Label::new(style, label.loc.file as usize, range).with_message(&label.text)
    });
    let helps = diagnostic.helps.iter().map(|help| format!("help: {help}"));
    let fixes = diagnostic.fixes.iter().filter(|fix| shows(diagnostic, fix)).map(|fix| format!("fix: {}", fix.title));
    let notes = diagnostic.notes.iter().map(|note| format!("note: {note}"));
    let drawn = codespan::Diagnostic::new(severity)
        .with_code(diagnostic.code)
        .with_message(&diagnostic.message)
        .with_labels(labels.collect())
        .with_notes(helps.chain(fixes).chain(notes).collect());
    let mut bytes = Vec::new();
    let written = match colour {
        true => emit_to_write_style(&mut Ansi::new(&mut bytes), &Config::default(), &files, &drawn),
        false => emit_to_write_style(&mut NoColor::new(&mut bytes), &Config::default(), &files, &drawn),
    };
    match written {
        Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => format!("{}\n", short(diagnostic, sources)),
    }
}

/// A fix is named only where no help says the same.
fn shows(diagnostic: &Diagnostic, fix: &Fix) -> bool {
    diagnostic.helps.is_empty() && !fix.title.is_empty()
}

/// `file:line:column: error[CODE]: message`.
pub fn short(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let level = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let place = diagnostic.labels.first().map(|label| {
        let (line, column) = sources.position(label.loc);
        format!("{}:{line}:{column}: ", sources.name(label.loc.file))
    });
    format!("{}{level}[{}]: {}", place.unwrap_or_default(), diagnostic.code, diagnostic.message)
}
