//! `mlc build`: a model and its weights as one `.mlc` file, and the forms in between.

use super::emit::{self, Emit};
use super::load;
use super::output::{self, MessageFormat};
use super::phases::{self, Phases};
use super::source::ModelArgs;
use crate::graph::Graph;
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
    /// Prints the graph as it is after a pass, or as it was checked: check. May be repeated.
    #[arg(long, value_name = "PASS", value_parser = phases::phase)]
    print_after: Vec<String>,
    /// Writes the graph as it was checked and after each pass, and the kernels, into a folder.
    #[arg(long, value_name = "DIR")]
    dump_phases: Option<PathBuf>,
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
    let phases = Phases { printed: &args.print_after, folder: args.dump_phases.as_deref(), file: &args.file };
    let whole = args.emit.is_empty() && phases.is_empty() || args.output.is_some();
    if graphs.is_empty() && phases.is_empty() && !whole {
        return Ok(true);
    }
    let Some(loaded) = load::graph(&args.file, &args.model, format)? else { return Ok(false) };
    let mut graph = Graph::clone(&loaded.graph);
    phases.run(&loaded.pipeline, &mut graph)?;
    for emit in graphs {
        emit::graph(emit, &graph, &args.file)?;
    }
    if !whole && phases.folder.is_none() {
        return Ok(true);
    }
    let artifact = loaded.lowered(&graph)?;
    phases.kernels(&loaded.pipeline, &artifact)?;
    if !whole {
        return Ok(true);
    }
    let output = args.output.clone().unwrap_or_else(|| args.file.with_extension("mlc"));
    artifact.write(&output)?;
    let bytes = std::fs::metadata(&output)?.len();
    let (kernels, milliseconds) = (artifact.plan.kernels.len(), start.elapsed().as_millis());
    output::message(&format!("{}: {bytes} bytes, {kernels} kernels, {milliseconds} ms", output.display()));
    Ok(true)
}
