//! Where words go: data to stdout, messages to stderr, diagnostics in the form that was asked for.

use super::failure::Failure;
use crate::diag::{self, Diagnostic, Severity, SourceMap, Style};
use clap::ValueEnum;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::OnceLock;

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
            let style = style();
            let shown = &diagnostics[..diagnostics.len().min(CAP)];
            shown.iter().for_each(|d| message(&format!("{}\n", diag::human(d, sources, style).trim_end_matches('\n'))));
            if diagnostics.len() > CAP {
                message(&format!("and {} more\n", diagnostics.len() - CAP));
            }
            more_about(shown);
        }
    }
    !diagnostics.iter().any(|d| d.severity == Severity::Error)
}

/// Names the page of the first error, or of the first warning where there is no error.
fn more_about(shown: &[Diagnostic]) {
    let Some(worst) = shown.iter().min_by_key(|d| d.severity) else { return };
    let what = match worst.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    message(&format!("For more about this {what}: mlc explain {}", worst.code));
}

/// Colours on a terminal that did not refuse them, or where CLICOLOR_FORCE asks for them; COLUMNS wide.
fn style() -> Style {
    let set = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty() && value != "0");
    let colour = !set("NO_COLOR") && (set("CLICOLOR_FORCE") || std::io::stderr().is_terminal());
    let width = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    Style { colour, width: width.unwrap_or(Style::default().width) }
}

/// Why data could not be written, the first time.
static LOST: OnceLock<Failure> = OnceLock::new();

/// Writes data. A reader that has gone away is no error of ours; any other is kept for `require_written`.
pub(super) fn data(text: &str) {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            LOST.get_or_init(|| Failure::unwritten(Path::new("standard output"), &error));
        }
        _ => {}
    }
}

/// Whether all data could be written.
pub(super) fn require_written() -> anyhow::Result<()> {
    LOST.get().map_or(Ok(()), |lost| Err(lost.clone().into()))
}

/// Writes a line for people.
pub(super) fn message(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
