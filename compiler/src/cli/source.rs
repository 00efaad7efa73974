//! Reading and checking model files named on the command line.

use crate::diag::{Diagnostic, SourceMap};
use crate::frontend::{self, Checked};
use crate::report;
use anyhow::{Context, Result};
use std::io::Read;
use std::path::{Path, PathBuf};

/// A file no larger than this is read; a model is text that people write.
const LIMIT: u64 = 64 << 20;

/// The flags of every verb that compiles.
#[derive(Debug, clap::Args)]
pub(super) struct ModelArgs {
    /// A weight file that stands for those that the model names.
    #[arg(long, value_name = "FILE")]
    pub(super) weights: Option<PathBuf>,
    /// Which model of a file with several.
    #[arg(long, value_name = "NAME")]
    pub(super) model: Option<String>,
}

/// The text of a file; `-` is standard input.
pub(super) fn read(path: &Path) -> Result<String> {
    let name = path.display();
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().take(LIMIT + 1).read_to_end(&mut bytes).context("cannot read standard input")?;
    } else {
        let file = std::fs::File::open(path).with_context(|| format!("cannot open `{name}`"))?;
        file.take(LIMIT + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read `{name}`"))?;
    }
    anyhow::ensure!(bytes.len() as u64 <= LIMIT, "`{name}` is larger than {} MiB", LIMIT >> 20);
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].iter().filter(|b| **b == b'\n').count() + 1;
        anyhow::anyhow!("`{name}` is no UTF-8 text: line {line}, byte {valid} of the file")
    })
}

/// Parses a file into the source map; gives its number and what is wrong with its syntax.
pub(super) fn parse(path: &Path, sources: &mut SourceMap) -> Result<(u32, Vec<Diagnostic>)> {
    let text = read(path)?;
    let errors = mlc_grammar::parse(&text).errors;
    let file = sources.add(path.display().to_string(), text);
    Ok((file, errors.iter().map(|error| report::syntax(error, file)).collect()))
}

/// Checks a file that is added to the source map; `lenient` where a missing weight file is only a warning.
pub(super) fn check(path: &Path, args: &ModelArgs, lenient: bool, sources: &mut SourceMap) -> Result<(u32, Checked)> {
    let text = read(path)?;
    let file = sources.add(path.display().to_string(), text);
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let options = frontend::Options {
        folder: Some(parent.to_owned()),
        weights: args.weights.clone(),
        model: args.model.clone(),
        without_weights: lenient,
        ..frontend::Options::default()
    };
    let checked = frontend::check(sources, file, &options);
    Ok((file, checked))
}
