//! `mlc explain m.mdl`: which kernels a model becomes, what was fused into each, and why it is not more.

use super::failure::Failure;
use super::load;
use super::output::{self, MessageFormat};
use super::source::ModelArgs;
use crate::BuildError;
use crate::graph::Graph;
use crate::report::kernels::{KernelRow, json, table};
use crate::schedule::explain;
use anyhow::Result;
use mlc_runtime::session::list;
use std::path::Path;

/// The flags that a model takes, beside those of every verb that compiles.
#[derive(Debug, clap::Args)]
pub(super) struct ModelArguments {
    /// Only the kernels of this entry.
    #[arg(long, value_name = "NAME")]
    entry: Option<String>,
    /// The kernels as a JSON list.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
}

/// Whether what is to be explained is a model.
pub(super) fn is_model(subject: &str) -> bool {
    let path = Path::new(subject);
    path.is_file() || path.extension().is_some_and(|extension| extension == "mdl" || extension == "mlc")
}

/// Runs the passes and prints a row for what each call of the plan does.
pub(super) fn run(path: &Path, args: &ModelArguments, format: MessageFormat) -> Result<bool> {
    if load::is_artifact(path) {
        let message = format!("`{}` holds kernels without their reasons; name the .mdl file", path.display());
        return Err(Failure::new("MDL0604", message).into());
    }
    let Some(loaded) = load::graph(path, &args.model, format)? else { return Ok(false) };
    let mut graph = Graph::clone(&loaded.graph);
    loaded.passed(&mut graph, &mut |_, _| Ok(()))?;
    let mut rows: Vec<KernelRow> = loaded.built(explain(&graph, loaded.pipeline.reads()).map_err(BuildError::from))?;
    if let Some(entry) = &args.entry {
        if !graph.entries.iter().any(|known| known.name == *entry) {
            let names = list(graph.entries.iter().map(|entry| entry.name.as_str()));
            return Err(Failure::new("MDL0707", format!("there is no entry `{entry}`; entries are {names}")).into());
        }
        rows.retain(|row| row.entry == *entry);
    }
    output::data(&match args.json {
        true => format!("{:#}\n", json(&rows, &loaded.sources)),
        false => table(&rows, &loaded.sources),
    });
    Ok(true)
}
