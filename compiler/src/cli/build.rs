//! `mlc build`: a model and its weights as one `.mlc` file.

use super::load;
use super::output::{self, MessageFormat};
use super::source::ModelArgs;
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
    #[command(flatten)]
    model: ModelArgs,
}

/// `Ok(true)` when the file was written.
pub(super) fn run(args: &Args, format: MessageFormat) -> Result<bool> {
    let start = Instant::now();
    let Some(artifact) = load::artifact(&args.file, &args.model, format)? else { return Ok(false) };
    let output = args.output.clone().unwrap_or_else(|| args.file.with_extension("mlc"));
    artifact.write(&output)?;
    let bytes = std::fs::metadata(&output)?.len();
    let (kernels, milliseconds) = (artifact.plan.kernels.len(), start.elapsed().as_millis());
    output::message(&format!("{}: {bytes} bytes, {kernels} kernels, {milliseconds} ms", output.display()));
    Ok(true)
}
