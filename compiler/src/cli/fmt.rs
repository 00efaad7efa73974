//! `mlc fmt`: the one layout of model files.

use super::failure::Failure;
use super::output::{self, MessageFormat};
use super::source;
use crate::diag::SourceMap;
use crate::report;
use anyhow::Result;
use mlc_runtime::weights::write_aside;
use std::path::{Path, PathBuf};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Model files, changed in place; `-` formats standard input to standard output.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only says which files would change; exit code 1 if any would.
    #[arg(long)]
    check: bool,
}

/// `Ok(true)` when every file is, or with `--check` was, in the one layout.
pub(super) fn run(args: &Args, format: MessageFormat) -> Result<bool> {
    let mut fine = true;
    for path in &args.files {
        let text = source::read(path)?;
        match mlc_grammar::format(&text) {
            Ok(formatted) => fine &= settle(path, &text, &formatted, args.check)?,
            Err(errors) => {
                let mut sources = SourceMap::default();
                let file = sources.add(path.display().to_string(), text);
                let diagnostics: Vec<_> = errors.iter().map(|error| report::syntax(error, file)).collect();
                fine &= output::show(&diagnostics, &sources, format);
            }
        }
    }
    Ok(fine)
}

fn settle(path: &Path, text: &str, formatted: &str, check: bool) -> Result<bool> {
    let name = path.display();
    if check {
        if text != formatted {
            output::message(&format!("{name}: would be formatted"));
        }
        return Ok(text == formatted);
    }
    if path == Path::new("-") {
        output::data(formatted);
    } else if text != formatted {
        write_aside(path, |out| std::io::Write::write_all(out, formatted.as_bytes()))
            .map_err(|error| Failure::unwritten(path, &error))?;
    }
    Ok(true)
}
