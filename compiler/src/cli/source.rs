//! Reading model files named on the command line.

use crate::diag::{Diagnostic, SourceMap};
use crate::report;
use anyhow::{Context, Result};
use std::io::Read;
use std::path::Path;

/// A file no larger than this is read; a model is text that people write.
const LIMIT: u64 = 64 << 20;

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

/// Parses a file into the source map; gives its number and what is wrong with it.
pub(super) fn parse(path: &Path, sources: &mut SourceMap) -> Result<(u32, Vec<Diagnostic>)> {
    let text = read(path)?;
    let errors = mlc_grammar::parse(&text).errors;
    let file = sources.add(path.display().to_string(), text);
    Ok((file, errors.iter().map(|error| report::syntax(error, file)).collect()))
}
