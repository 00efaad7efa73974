//! Diagnostics as text for people. codespan-reporting draws the snippet; helps and fixes stand below it.

use super::excerpt::{Excerpt, visible};
use super::{Diagnostic, Fix, Severity, SourceMap};
use codespan_reporting::diagnostic as codespan;
use codespan_reporting::term::termcolor::{Ansi, NoColor};
use codespan_reporting::term::{Config, emit_to_write_style};

/// How messages for people look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// With terminal colours.
    pub colour: bool,
    /// The column at which notes and helps are wrapped.
    pub width: usize,
}

impl Default for Style {
    fn default() -> Self {
        Style { colour: false, width: 100 }
    }
}

/// The message with the source around its labels; ends in an empty line.
pub fn human(diagnostic: &Diagnostic, sources: &SourceMap, style: Style) -> String {
    let files = Excerpt::new(sources, &diagnostic.labels);
    let severity = match diagnostic.severity {
        Severity::Error => codespan::Severity::Error,
        Severity::Warning => codespan::Severity::Warning,
    };
    let labels = diagnostic.labels.iter().filter_map(|label| {
        let drawn = if label.primary { codespan::LabelStyle::Primary } else { codespan::LabelStyle::Secondary };
        Some(codespan::Label::new(drawn, label.loc.file, files.place(label)?).with_message(visible(&label.text)))
    });
    let indent =
        diagnostic.labels.iter().map(|label| sources.position(label.loc).0.to_string().len()).max().unwrap_or(0);
    let wrap = |text: String| wrapped(&visible(&text), style.width.saturating_sub(indent + 3));
    let helps = diagnostic.helps.iter().map(|help| format!("help: {help}"));
    let fixes = diagnostic.fixes.iter().filter(|fix| shows(diagnostic, fix)).map(|fix| format!("fix: {}", fix.title));
    let notes = diagnostic.notes.iter().map(|note| format!("note: {note}"));
    let drawn = codespan::Diagnostic::new(severity)
        .with_code(diagnostic.code)
        .with_message(visible(&diagnostic.message))
        .with_labels(labels.collect())
        .with_notes(helps.chain(fixes).chain(notes).map(wrap).collect());
    let mut bytes = Vec::new();
    let written = match style.colour {
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

/// Lines of at most `width` characters, broken at single spaces: two in a row belong to code that is shown as written.
/// Further lines stand below the text after `help: `.
fn wrapped(text: &str, width: usize) -> String {
    const HANGING: usize = 6;
    let mut lines = vec![];
    for line in text.lines() {
        let mut current = String::new();
        for word in line.split_inclusive(' ') {
            let free = width.max(40) - if lines.is_empty() { 0 } else { HANGING };
            let fits = current.chars().count() + word.trim_end().chars().count() <= free;
            if !fits && current.ends_with(' ') && !current.ends_with("  ") && !word.trim().is_empty() {
                lines.push(std::mem::take(&mut current));
            }
            current += word;
        }
        lines.push(current);
    }
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    lines.join(&format!("\n{:HANGING$}", ""))
}

/// `file:line:column: error[CODE]: message`.
pub fn short(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let level = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let place = diagnostic.labels.first().map(|label| {
        let (line, column) = sources.position(label.loc);
        format!("{}:{line}:{column}: ", visible(sources.name(label.loc.file)))
    });
    format!("{}{level}[{}]: {}", place.unwrap_or_default(), diagnostic.code, visible(&diagnostic.message))
}
