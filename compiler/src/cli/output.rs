//! Where words go: data to stdout, messages to stderr, diagnostics in the form that was asked for.

use crate::diag::{self, Diagnostic, Severity, SourceMap};
use clap::ValueEnum;
use std::io::{IsTerminal, Write};

/// How diagnostics are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum MessageFormat {
    /// With the source around them.
    Human,
    /// A line each.
    Short,
    /// A JSON object a line, on stdout.
    Json,
}

/// No more than this many diagnostics are shown to people.
const CAP: usize = 50;

/// Shows diagnostics in order; says whether there is no error.
pub(super) fn show(diagnostics: &[Diagnostic], sources: &SourceMap, format: MessageFormat) -> bool {
    match format {
        MessageFormat::Json => {
            diagnostics.iter().for_each(|d| data(&format!("{}\n", diag::to_line(d, sources))));
            data(&format!("{}\n", diag::summary_line(diagnostics)));
        }
        MessageFormat::Short => diagnostics.iter().for_each(|d| message(&diag::short(d, sources))),
        MessageFormat::Human => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let shown = diagnostics.iter().take(CAP);
            shown.for_each(|d| message(diag::human(d, sources, colour).trim_end_matches('\n')));
            if diagnostics.len() > CAP {
                message(&format!("and {} more", diagnostics.len() - CAP));
            }
        }
    }
    !diagnostics.iter().any(|d| d.severity == Severity::Error)
}

/// Writes data. A reader that has gone away is no error of ours.
pub(super) fn data(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a line for people.
pub(super) fn message(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
