//! A loaded model, from a model file or from an artifact.

use super::device::Device;
use super::failure::{self, Failure};
use super::flags::{CacheArgs, CpuArgs, OpenArgs};
use super::output::{self, MessageFormat};
use super::progress;
use super::source::{self, ModelArgs};
use crate::diag::{Severity, SourceMap};
use crate::graph::Graph;
use crate::runner::Runner;
use crate::tune::{Compressed, Metric, Orders, Site, compress};
use crate::{BuildError, Pipeline};
use anyhow::{Context, Result, anyhow};
use mlc_runtime::artifact::{Artifact, OpenOptions};
use mlc_runtime::session::{CodeCache, Model, Options};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// A bar is shown while more bytes of weights than this are read.
const SHOWN: u64 = 100 << 20;

/// The flags of every verb that runs.
#[derive(Clone, Debug, clap::Args)]
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
    #[command(flatten)]
    pub(super) cpu: CpuArgs,
    #[command(flatten)]
    pub(super) open: OpenArgs,
    #[command(flatten)]
    pub(super) cache: CacheArgs,
}

impl RunArgs {
    /// How the model runs on this processor.
    pub(super) fn options(&self, model: &ModelArgs) -> Options {
        Options { threads: self.threads, max_memory: model.memory.limit(), cpu: self.cpu.cpu }
    }
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
    /// The profile that was carried out.
    pub(super) profile: Option<Profile>,
}

/// What a profile came to.
pub(super) struct Profile {
    /// Its name.
    pub(super) name: String,
    /// What was measured, where it has a budget.
    pub(super) certificate: Option<Value>,
    /// All that was decided and measured.
    pub(super) report: Value,
}

impl Loaded {
    /// The model as an artifact.
    pub(super) fn artifact(&self) -> Result<Artifact> {
        let mut graph = Graph::clone(&self.graph);
        self.passed(&mut graph, &mut |_, _| Ok(()))?;
        self.lowered(&graph)
    }

    /// Runs the passes; `watch` is shown the graph as it was checked, and after each.
    pub(super) fn passed(&self, graph: &mut Graph, watch: &mut dyn FnMut(&str, &Graph) -> Result<()>) -> Result<()> {
        let mut last = Instant::now();
        let run = self.pipeline.run_watched(graph, &mut |pass, graph| {
            detail(&format!("pass {pass}"), last);
            watch(pass, graph)?;
            last = Instant::now();
            Ok(())
        });
        run.or_else(|error: anyhow::Error| self.built(Err(error.downcast::<BuildError>()?)))
    }

    /// The artifact of the graph as the passes left it.
    pub(super) fn lowered(&self, graph: &Graph) -> Result<Artifact> {
        let (begun, mut bar) = (Instant::now(), None);
        let made = crate::lowered(&self.pipeline, graph, &self.sources, self.file, &mut |read, all| {
            if all > SHOWN {
                bar.get_or_insert_with(|| progress::bytes("weights", all)).set_position(read);
            }
        });
        let mut artifact = self.built(made)?;
        if let Some(Profile { name, certificate, .. }) = &self.profile {
            (artifact.meta.profile, artifact.meta.certificate) = (Some(name.clone()), certificate.clone());
        }
        detail(&format!("{} kernels scheduled, weights read", artifact.plan.kernels.len()), begun);
        Ok(artifact)
    }

    /// What the pipeline gave; what it refuses has a place or a code, and a fault of mlc ends the process.
    pub(super) fn built<T>(&self, made: Result<T, BuildError>) -> Result<T> {
        match made {
            Err(BuildError::Schedule(error)) => Err(failure::unplanned(&error, &self.sources).into()),
            Err(asked @ BuildError::NoGroup { .. }) => Err(anyhow!("{asked}")),
            Err(bug) if bug.code().is_none() => panic!("{bug}"),
            made => Ok(made?),
        }
    }
}

/// Under `-v`, what was done since `begun`.
fn detail(what: &str, begun: Instant) {
    output::detail(|| format!("{:9.3} ms  {what}", begun.elapsed().as_secs_f64() * 1e3));
}

/// Whether a file is an artifact, not a model's text.
pub(super) fn is_artifact(path: &Path) -> bool {
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
    let (begun, mut sources) = (Instant::now(), SourceMap::default());
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
    detail(&format!("checked `{}`", path.display()), begun);
    let sources = Arc::new(sources);
    let (graph, profile) = match model.profile() {
        None => (graph, None),
        Some(name) => {
            let orders = Orders::new(name, &checked.profiles, &checked.overrides);
            let made = carried_out(path, model, graph, &orders, &sources, file)?;
            let report = made.report(name);
            (made.graph, Some(Profile { name: name.to_owned(), certificate: made.certificate, report }))
        }
    };
    Ok(Some(Loaded { graph: Arc::new(graph), sources, file, pipeline: model.pipeline(), profile }))
}

/// The model after its profile was carried out.
fn carried_out(
    path: &Path,
    model: &ModelArgs,
    graph: Graph,
    orders: &Orders,
    sources: &Arc<SourceMap>,
    file: u32,
) -> Result<Compressed> {
    let begun = Instant::now();
    let options = Options { max_memory: model.memory.limit(), ..Options::default() };
    let folder = path.parent().unwrap_or(Path::new(""));
    let (accept_undecided, search) = (model.accept_undecided, model.search);
    let site = Site { sources, file, folder, options, accept_undecided, search };
    let made = compress(&graph, orders, &site, &mut progress::samples());
    let made = made.map_err(|error| failure::untuned(error, sources))?;
    for decision in &made.decisions {
        output::detail(|| decision.line());
    }
    let changed: usize = made.decisions.iter().filter(|made| made.form.is_some()).map(|made| made.members).sum();
    let all: usize = made.decisions.iter().map(|made| made.members).sum();
    output::note(&format!("profile {}: {changed} of {all} weights changed", orders.profile));
    if let Some(certificate) = &made.certificate {
        output::note(&certified(certificate));
    }
    detail(&format!("profile {}", orders.profile), begun);
    Ok(made)
}

/// The figures of a certificate in a line.
pub(super) fn certified(certificate: &Value) -> String {
    let number = |key: &str| certificate[key].as_f64().unwrap_or(f64::NAN);
    let word = certificate["metric"].as_str().unwrap_or("");
    let show = |value: f64| Metric::named(word).map_or_else(|| value.to_string(), |metric| metric.show(value));
    let [before, after] = ["before", "value"].map(|key| show(number(key)));
    let relative = certificate["relative"] == true;
    let part = |key: &str| if relative { format!("{:.2} %", number(key) * 100.0) } else { show(number(key)) };
    let [drop, upper, allowed] = ["drop", "upper", "max_drop"].map(part);
    let sure = if certificate["undecided"] == true { "undecided, and accepted" } else { "met" };
    format!(
        "budget {sure}: {word} {before} before, {after} after; a drop of {drop}, at most {upper}, {allowed} allowed"
    )
}

/// The artifact of a `.mdl` or `.mlc` file; `None` when the model was found wanting, which has been said.
pub(super) fn artifact(
    path: &Path,
    model: &ModelArgs,
    open: OpenArgs,
    format: MessageFormat,
) -> Result<Option<Artifact>> {
    if is_artifact(path) {
        return open_artifact(path, open.artifact(model.read)).map(Some);
    }
    graph(path, model, format)?.map(|loaded| loaded.artifact()).transpose()
}

/// Opens a `.mlc`.
pub(super) fn open_artifact(path: &Path, options: OpenOptions) -> Result<Artifact> {
    let begun = Instant::now();
    let opened = Artifact::open(path, options);
    let artifact = opened.with_context(|| format!("`{}`", path.display()))?;
    detail(&format!("opened `{}`", path.display()), begun);
    Ok(artifact)
}

/// The model, ready for calls on the device that was asked for.
pub(super) fn runner(path: &Path, args: &ModelArgs, run: &RunArgs, format: MessageFormat) -> Result<Option<Runner>> {
    match run.device {
        Device::Cuda => {
            let message = "this build has no support for CUDA devices yet; run on --device cpu";
            Err(Failure::new("MDL0604", message).into())
        }
        Device::Cpu => {
            let cache = run.cache.open()?;
            let made = artifact(path, args, run.open, format)?;
            made.map(|made| cpu(made, run.options(args), cache.as_ref())).transpose()
        }
        Device::Reference => {
            require_text(path)?;
            let limit = args.memory.limit();
            Ok(graph(path, args, format)?.map(|loaded| Runner::reference(loaded.graph, loaded.sources, limit)))
        }
    }
}

/// A session on an artifact.
pub(super) fn cpu(artifact: Artifact, options: Options, cache: Option<&CodeCache>) -> Result<Runner> {
    let begun = Instant::now();
    let model = Model::load_with(artifact, options, cache)?;
    let kept = if model.code_was_kept() { " from the cache" } else { "" };
    detail(&format!("machine code for {}{kept}, {} threads", options.cpu.resolved(), model.threads()), begun);
    Ok(Runner::cpu(model))
}
