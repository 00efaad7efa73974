//! What ends a command early, as a diagnostic: files, calls and machines have codes like everything else.

use super::output::{self, MessageFormat};
use crate::BuildError;
use crate::diag::{Diagnostic, SourceMap};
use crate::export::{ExportError, Refusal};
use crate::graph::ReadError;
use crate::import::onnx::ImportError;
use crate::runner::NoEntry;
use crate::schedule::ScheduleError;
use crate::tune::TuneError;
use crate::types::Loc;
use mlc_runtime::artifact::{ArtifactError, Source};
use mlc_runtime::npz::WriteError;
use mlc_runtime::session::{CacheError, JitError, RunError};
use mlc_runtime::system::why;
use mlc_runtime::tensor::TensorError;
use mlc_runtime::weights::LoadError;
use std::path::Path;
use std::sync::Arc;

/// A file of a model, or one that a command was given, that cannot be used as what it should be.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Failure {
    code: &'static str,
    message: String,
}

impl Failure {
    /// A failure with its code.
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into() }
    }

    /// A file that cannot be read.
    pub(super) fn unread(path: &Path, error: &std::io::Error) -> Failure {
        Failure::new("MDL0003", format!("cannot read `{}`: {}", path.display(), why(error)))
    }

    /// A file that cannot be written.
    pub(super) fn unwritten(path: &Path, error: &std::io::Error) -> Failure {
        Failure::new("MDL0007", format!("cannot write `{}`: {}", path.display(), why(error)))
    }
}

/// Refusals at places of the model's text, at least one.
#[derive(Debug, thiserror::Error)]
#[error("{}", .diagnostics[0].message)]
pub(super) struct Placed {
    diagnostics: Vec<Diagnostic>,
    sources: Arc<SourceMap>,
}

/// A graph that has no plan, at the place of the tensor that is to blame.
pub(super) fn unplanned(error: &ScheduleError, sources: &Arc<SourceMap>) -> Placed {
    let ScheduleError::TooLarge { loc, .. } = error;
    let diagnostic = Diagnostic::error("MDL0602", error.to_string(), *loc, "made here")
        .help("give its dims smaller bounds, or set one: -D NAME=N");
    Placed { diagnostics: vec![diagnostic], sources: Arc::clone(sources) }
}

/// A graph that another format has no words for; what a repeat does in each round is told once.
pub(super) fn unwritable(refusals: &[Refusal], sources: &Arc<SourceMap>) -> Placed {
    let mut diagnostics: Vec<Diagnostic> = vec![];
    for Refusal { why, loc, .. } in refusals {
        let diagnostic = Diagnostic::error("MDL0807", why, *loc, "there is no word for this in the format");
        if !diagnostics.contains(&diagnostic) {
            diagnostics.push(diagnostic);
        }
    }
    Placed { diagnostics, sources: Arc::clone(sources) }
}

/// A profile that cannot be carried out, at the directive that asks for it.
pub(super) fn untuned(error: TuneError, sources: &Arc<SourceMap>) -> anyhow::Error {
    match error {
        TuneError::Refused { code, message, loc: Some(loc), helps } => {
            let asked = Diagnostic::error(code, message, loc, "asked for here");
            let diagnostic = helps.into_iter().fold(asked, Diagnostic::help);
            Placed { diagnostics: vec![diagnostic], sources: Arc::clone(sources) }.into()
        }
        other => other.into(),
    }
}

/// The exit code of a command that ended early.
pub(super) fn exit(error: &anyhow::Error) -> u8 {
    let budget = |placed: &Placed| matches!(placed.diagnostics[0].code, "MDL0503" | "MDL0504");
    if error.downcast_ref().is_some_and(budget) { 3 } else { 1 }
}

/// Shows why a command ended early.
pub(super) fn show(error: &anyhow::Error, format: MessageFormat) {
    if let Some(Placed { diagnostics, sources }) = error.downcast_ref() {
        output::show(diagnostics, sources, format);
        return;
    }
    let mut sources = SourceMap::default();
    match diagnostic(error, &mut sources) {
        Some(diagnostic) => drop(output::show(&[diagnostic], &sources, format)),
        None => output::message(&format!("error: {}", causes(error))),
    }
}

/// The diagnostic of an error of any stage; `None` for one without a code, such as a misused flag.
fn diagnostic(error: &anyhow::Error, sources: &mut SourceMap) -> Option<Diagnostic> {
    error.chain().find_map(|cause| {
        if let Some(TuneError::Refused { code, message, helps, .. }) = cause.downcast_ref() {
            let plain = Diagnostic::placeless(code, message);
            return Some(helps.iter().fold(plain, |told, help| told.help(help.clone())));
        }
        let cause = cause.downcast_ref::<TuneError>().map_or(cause, TuneError::cause);
        if let Some(refused) = cause.downcast_ref::<RunError>() {
            let plain = Diagnostic::placeless(refused.code, &refused.message);
            return Some(refused.source.as_ref().map_or(plain.clone(), |source| placed(plain, source, sources)));
        }
        if let Some(unread) = cause.downcast_ref::<LoadError>() {
            let plain = Diagnostic::placeless(unread.code(), unread.message());
            return Some(unread.fault.help().into_iter().fold(plain, Diagnostic::help));
        }
        let code = code(cause)?;
        let told = match cause.downcast_ref::<ArtifactError>() {
            Some(_) => causes(error),
            None => cause.to_string(),
        };
        Some(Diagnostic::placeless(code, told))
    })
}

fn code(cause: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let failure = cause.downcast_ref::<Failure>().map(|error| error.code);
    failure
        .or_else(|| cause.downcast_ref::<BuildError>().and_then(BuildError::code))
        .or_else(|| cause.downcast_ref::<ArtifactError>().map(ArtifactError::code))
        .or_else(|| cause.downcast_ref::<ImportError>().map(ImportError::code))
        .or_else(|| cause.downcast_ref::<ExportError>().map(ExportError::code))
        .or_else(|| cause.downcast_ref::<WriteError>().map(WriteError::code))
        .or_else(|| cause.downcast_ref::<JitError>().map(JitError::code))
        .or_else(|| cause.downcast_ref::<CacheError>().map(CacheError::code))
        .or_else(|| cause.downcast_ref::<TensorError>().map(|_| "MDL0704"))
        .or_else(|| cause.downcast_ref::<NoEntry>().map(|_| "MDL0707"))
        .or_else(|| cause.downcast_ref::<ReadError>().map(|_| "MDL0401"))
}

/// A label at a place of the source, of which an artifact keeps the one line.
fn placed(diagnostic: Diagnostic, source: &Source, sources: &mut SourceMap) -> Diagnostic {
    const LAST: u32 = 1 << 20;
    let before = source.text.char_indices().nth(source.col.saturating_sub(1) as usize).map(|(start, _)| start);
    let (Some(start), 1..LAST, false) = (before, source.line, source.text.contains('\n')) else {
        return diagnostic.note(format!("the model says so at {source}"));
    };
    let length: usize = source.text[start..].chars().take(source.length as usize).map(char::len_utf8).sum();
    let above = source.line as usize - 1;
    let file = sources.add(&source.file, "\n".repeat(above) + &source.text);
    let loc = Loc::new(file, (above + start) as u32, (above + start + length) as u32);
    diagnostic.primary(loc, "the model says so here")
}

/// An error and its causes, but for those that an error before them quotes.
fn causes(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |told, cause| match cause.to_string() {
        cause if told.contains(&cause) => told,
        cause if cause.starts_with(&told) => cause,
        cause => format!("{told}: {cause}"),
    })
}
