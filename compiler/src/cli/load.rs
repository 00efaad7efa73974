//! A loaded model, from a model file or from an artifact.

use super::output::{self, MessageFormat};
use super::source::{self, ModelArgs};
use crate::diag::SourceMap;
use anyhow::Result;
use mlc_runtime::artifact::{Artifact, OpenOptions};
use mlc_runtime::session::{Model, Options};
use std::path::Path;

/// The flags of every verb that runs.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// Threads that share the work; 0 means one for each core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) threads: usize,
    /// Which entry of a model with several.
    #[arg(long, value_name = "NAME")]
    pub(super) entry: Option<String>,
}

/// The artifact of a `.mdl` or `.mlc` file; `None` when the model was found wanting, which has been said.
pub(super) fn artifact(path: &Path, model: &ModelArgs, format: MessageFormat) -> Result<Option<Artifact>> {
    if path.extension().is_some_and(|e| e == "mlc") {
        return Ok(Some(Artifact::open(path, OpenOptions::default())?));
    }
    let mut sources = SourceMap::default();
    let (file, checked) = source::check(path, model, false, &mut sources)?;
    if !checked.diagnostics.is_empty() {
        output::show(&checked.diagnostics, &sources, format);
    }
    let Some(mut graph) = checked.graph else { return Ok(None) };
    anyhow::ensure!(!graph.entries.is_empty(), "`{}` has no entry to run", path.display());
    for pass in crate::passes::PASSES {
        (pass.run)(&mut graph);
    }
    Ok(Some(crate::artifact(&graph, &sources, file)?))
}

/// The model, ready for sessions.
pub(super) fn model(path: &Path, args: &ModelArgs, run: &RunArgs, format: MessageFormat) -> Result<Option<Model>> {
    let Some(artifact) = artifact(path, args, format)? else { return Ok(None) };
    Ok(Some(Model::load(artifact, Options { threads: run.threads, ..Options::default() })?))
}
