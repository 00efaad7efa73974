//! `mlc fix`: applies the exact fixes of what `mlc check` reports.

use super::failure::Failure;
use super::output::{self, MessageFormat};
use super::source;
use crate::diag::{self, SourceMap};
use anyhow::Result;
use mlc_runtime::weights::write_aside;
use std::path::PathBuf;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Model files, changed in place.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// `Ok(true)` when nothing is left that is wrong.
pub(super) fn run(args: &Args, format: MessageFormat) -> Result<bool> {
    let mut clean = true;
    for path in &args.files {
        let mut sources = SourceMap::default();
        let (file, diagnostics) = source::parse(path, &mut sources)?;
        let (text, applied) = diag::apply(file, sources.text(file), &diagnostics);
        let name = path.display();
        if applied > 0 {
            write_aside(path, |out| std::io::Write::write_all(out, text.as_bytes()))
                .map_err(|error| Failure::unwritten(path, &error))?;
            output::note(&format!("{name}: {applied} {} applied", if applied == 1 { "fix" } else { "fixes" }));
        }
        let mut sources = SourceMap::default();
        let left = source::parse(path, &mut sources)?.1;
        clean &= output::show(&left, &sources, format);
    }
    Ok(clean)
}
