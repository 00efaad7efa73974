//! `mlc check`: every mistake of the files, in one run.

use super::output::{self, MessageFormat};
use super::source::{self, ModelArgs};
use crate::diag::SourceMap;
use anyhow::Result;
use std::path::PathBuf;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Model files; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
}

/// `Ok(true)` when nothing is wrong.
pub(super) fn run(args: &Args, format: MessageFormat) -> Result<bool> {
    let mut sources = SourceMap::default();
    let (mut diagnostics, mut notes) = (Vec::new(), Vec::new());
    for path in &args.files {
        let (_, checked) = source::check(path, &args.model, true, &mut sources)?;
        if let (Some(graph), true) = (&checked.graph, args.model.verify) {
            crate::graph::verify(graph)?;
        }
        diagnostics.extend(checked.diagnostics);
        notes.extend(checked.notes);
    }
    let sound = output::show(&diagnostics, &sources, format);
    if format == MessageFormat::Human {
        notes.iter().for_each(|note| output::message(&format!("note: {note}")));
    }
    Ok(sound)
}
