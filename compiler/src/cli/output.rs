//! Where words go: data to stdout, messages to stderr, diagnostics in the form that was asked for.

use super::failure::Failure;
use crate::diag::{self, Diagnostic, Severity, SourceMap, Style};
use clap::ValueEnum;
use mlc_runtime::weights::write_aside;
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

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Talk {
    /// Errors.
    Errors,
    /// What was done, and warnings.
    Usual,
    /// Each step, and how long it took.
    More,
}

/// What was asked for; a process has one command line.
static TALK: OnceLock<Talk> = OnceLock::new();

/// Says how much is said from here on; the first time counts.
pub(super) fn talk(talk: Talk) {
    TALK.get_or_init(|| talk);
}

fn talks(talk: Talk) -> bool {
    TALK.get().copied().unwrap_or(Talk::Usual) >= talk
}

/// No more than this many diagnostics are shown to people.
const CAP: usize = 50;

/// Shows diagnostics in order; says whether there is no error.
pub(super) fn show(diagnostics: &[Diagnostic], sources: &SourceMap, format: MessageFormat) -> bool {
    let told: Vec<&Diagnostic> =
        diagnostics.iter().filter(|d| d.severity == Severity::Error || talks(Talk::Usual)).collect();
    match format {
        MessageFormat::Json => {
            diagnostics.iter().for_each(|d| data(&format!("{}\n", diag::to_line(d, sources))));
            data(&format!("{}\n", diag::summary_line(diagnostics)));
        }
        MessageFormat::Short => told.iter().for_each(|d| message(&diag::short(d, sources))),
        MessageFormat::Human => {
            let style = style();
            let shown = &told[..told.len().min(CAP)];
            shown.iter().for_each(|d| message(&format!("{}\n", diag::human(d, sources, style).trim_end_matches('\n'))));
            if told.len() > CAP {
                message(&format!("and {} more\n", told.len() - CAP));
            }
            more_about(shown);
        }
    }
    !diagnostics.iter().any(|d| d.severity == Severity::Error)
}

/// Names the page of the first error, or of the first warning where there is no error.
fn more_about(shown: &[&Diagnostic]) {
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

/// Writes a file, whole or not at all.
pub(super) fn file(path: &Path, text: &str) -> Result<(), Failure> {
    write_aside(path, |out| out.write_all(text.as_bytes())).map_err(|error| Failure::unwritten(path, &error))
}

/// Whether all data could be written.
pub(super) fn require_written() -> anyhow::Result<()> {
    LOST.get().map_or(Ok(()), |lost| Err(lost.clone().into()))
}

/// A text from a file, without what a terminal would obey; lines stay.
pub(super) fn plain(text: &str) -> String {
    let obeyed = |c: char| c.is_control() && c != '\n';
    let shown = |c: char| if obeyed(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// Writes a line of what was done, but not under `-q`.
pub(super) fn note(line: &str) {
    if talks(Talk::Usual) {
        message(line);
    }
}

/// Writes a line of how it was done, under `-v`.
pub(super) fn detail(line: impl FnOnce() -> String) {
    if talks(Talk::More) {
        message(&line());
    }
}

/// Writes a line for people.
pub(super) fn message(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
