//! `mlc build`: a model and its weights as one `.mlc` file, and the forms in between.

use super::emit::{self, Emit};
use super::load;
use super::output::{self, MessageFormat};
use super::source::ModelArgs;
use crate::diag::SourceMap;
use anyhow::Result;
use std::path::PathBuf;
use std::time::Instant;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A model file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where to write; the model's name with `.mlc` when left out.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Writes a form of the model to PATH, or to standard output; without -o nothing else is written. May be repeated.
    #[arg(long, value_name = "KIND[=PATH]", value_parser = emit::Parser)]
    emit: Vec<Emit>,
    #[command(flatten)]
    model: ModelArgs,
}

/// `Ok(true)` when everything was written.
pub(super) fn run(args: &Args, format: MessageFormat) -> Result<bool> {
    let start = Instant::now();
    let (trees, graphs): (Vec<&Emit>, Vec<&Emit>) = args.emit.iter().partition(|emit| emit.kind == emit::Kind::Ast);
    for tree in &trees {
        if !emit::ast(tree, &args.file, format)? {
            return Ok(false);
        }
    }
    let whole = args.emit.is_empty() || args.output.is_some();
    if graphs.is_empty() && !whole {
        return Ok(true);
    }
    let mut sources = SourceMap::default();
    let Some((file, graph)) = load::graph(&args.file, &args.model, format, &mut sources)? else { return Ok(false) };
    for emit in graphs {
        emit::graph(emit, &graph, &args.file)?;
    }
    if !whole {
        return Ok(true);
    }
    let artifact = crate::artifact_by(&args.model.pipeline(), &graph, &sources, file)?;
    let output = args.output.clone().unwrap_or_else(|| args.file.with_extension("mlc"));
    artifact.write(&output)?;
    let bytes = std::fs::metadata(&output)?.len();
    let (kernels, milliseconds) = (artifact.plan.kernels.len(), start.elapsed().as_millis());
    output::message(&format!("{}: {bytes} bytes, {kernels} kernels, {milliseconds} ms", output.display()));
    Ok(true)
}
