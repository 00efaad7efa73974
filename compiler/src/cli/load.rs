//! A loaded model, from a model file or from an artifact.

use super::failure::{self, Failure};
use super::output::{self, MessageFormat};
use super::progress;
use super::runner::{Device, Runner};
use super::source::{self, ModelArgs};
use crate::diag::{Severity, SourceMap};
use crate::graph::Graph;
use crate::{BuildError, Pipeline};
use anyhow::{Context, Result};
use mlc_runtime::artifact::{Artifact, OpenOptions};
use mlc_runtime::session::{Model, Options};
use std::path::Path;
use std::sync::Arc;

/// A bar is shown while more bytes of weights than this are read.
const SHOWN: u64 = 100 << 20;

/// The flags of every verb that runs.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// Where the model runs.
    #[arg(long, value_enum, default_value_t)]
    pub(super) device: Device,
    /// Threads that share the work; 0 means one for each core.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) threads: usize,
    /// Which entry of a model with several.
    #[arg(long, value_name = "NAME")]
    pub(super) entry: Option<String>,
}

/// A checked model and its text.
pub(super) struct Loaded {
    /// The model.
    pub(super) graph: Arc<Graph>,
    /// Its files.
    pub(super) sources: Arc<SourceMap>,
    /// The one that was named.
    pub(super) file: u32,
    /// What happens to it before it is scheduled.
    pub(super) pipeline: Pipeline,
}

impl Loaded {
    /// The model as an artifact.
    pub(super) fn artifact(&self) -> Result<Artifact> {
        let mut graph = Graph::clone(&self.graph);
        self.pipeline.run(&mut graph).unwrap_or_else(|bug| panic!("{bug}"));
        self.lowered(&graph)
    }

    /// The artifact of the graph as the passes left it.
    pub(super) fn lowered(&self, graph: &Graph) -> Result<Artifact> {
        let mut bar = None;
        let made = crate::lowered(&self.pipeline, graph, &self.sources, self.file, &mut |read, all| {
            if all > SHOWN {
                bar.get_or_insert_with(|| progress::bytes("weights", all)).set_position(read);
            }
        });
        match made {
            Err(BuildError::Schedule(error)) => Err(failure::unplanned(&error, &self.sources).into()),
            Err(bug) if bug.code().is_none() => panic!("{bug}"),
            made => Ok(made?),
        }
    }
}

/// Whether a file is an artifact, not a model's text.
fn is_artifact(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "mlc")
}

/// Refuses an artifact where the meaning of a model is asked for.
pub(super) fn require_text(path: &Path) -> Result<(), Failure> {
    let shown = path.display();
    let message =
        format!("the reference evaluates a model's text, and `{shown}` holds kernels only; name the .mdl file");
    if is_artifact(path) { Err(Failure::new("MDL0604", message)) } else { Ok(()) }
}

/// The graph of a `.mdl` file; `None` when the model was found wanting, which has been said.
pub(super) fn graph(path: &Path, model: &ModelArgs, format: MessageFormat) -> Result<Option<Loaded>> {
    let mut sources = SourceMap::default();
    let (file, checked) = source::check(path, model, false, &mut sources)?;
    if !checked.diagnostics.is_empty() {
        output::show(&checked.diagnostics, &sources, format);
    }
    let failed = checked.diagnostics.iter().any(|d| d.severity == Severity::Error);
    let lacking = |code, what: &str| Failure::new(code, format!("`{}` has no {what} to run", path.display()));
    let graph = match checked.graph {
        Some(graph) if graph.entries.is_empty() => return Err(lacking("MDL0707", "entry").into()),
        Some(graph) => graph,
        None if failed => return Ok(None),
        None => return Err(lacking("MDL0209", "model").into()),
    };
    Ok(Some(Loaded { graph: Arc::new(graph), sources: Arc::new(sources), file, pipeline: model.pipeline() }))
}

/// The artifact of a `.mdl` or `.mlc` file; `None` when the model was found wanting, which has been said.
pub(super) fn artifact(path: &Path, model: &ModelArgs, format: MessageFormat) -> Result<Option<Artifact>> {
    if is_artifact(path) {
        let opened = Artifact::open(path, OpenOptions::default());
        return Ok(Some(opened.with_context(|| format!("`{}`", path.display()))?));
    }
    graph(path, model, format)?.map(|loaded| loaded.artifact()).transpose()
}

/// The model, ready for calls on the device that was asked for.
pub(super) fn runner(path: &Path, args: &ModelArgs, run: &RunArgs, format: MessageFormat) -> Result<Option<Runner>> {
    match run.device {
        Device::Cuda => {
            let message = "this build has no support for CUDA devices yet; run on --device cpu";
            Err(Failure::new("MDL0604", message).into())
        }
        Device::Cpu => Ok(artifact(path, args, format)?.map(|artifact| cpu(artifact, run)).transpose()?),
        Device::Reference => {
            require_text(path)?;
            Ok(graph(path, args, format)?.map(|loaded| Runner::reference(loaded.graph, loaded.sources)))
        }
    }
}

/// A session on an artifact.
pub(super) fn cpu(artifact: Artifact, run: &RunArgs) -> Result<Runner> {
    Ok(Runner::cpu(Model::load(artifact, Options { threads: run.threads, ..Options::default() })?))
}
