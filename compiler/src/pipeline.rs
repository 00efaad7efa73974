//! The pipeline, whole: a typed graph becomes an artifact.

use crate::diag::SourceMap;
use crate::graph::{self, ConstantId, Graph, ReadError};
use crate::passes::{Keep, Pass};
use crate::schedule::{Form, ScheduleError, Scheduled, schedule_reading};
use crate::types::Loc;
use mlc_codegen::base::Storage;
use mlc_codegen::kernel::{VerifyError, verify};
use mlc_runtime::artifact::{Artifact, ArtifactError, Constant as Bytes, Meta, Source};
use mlc_runtime::session::{Options, human};
use mlc_runtime::tensor::TensorError;
use mlc_runtime::weights::LoadError;

/// Why a checked graph does not become an artifact.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// It has no plan.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// A weight cannot be read.
    #[error(transparent)]
    Weights(#[from] LoadError),
    /// A weight that the headers promised is gone.
    #[error("no tensor named `{0}`")]
    Missing(String),
    /// A weight does not fit in memory.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// All constants together need more memory than is allowed.
    #[error("the constants of this model need {}; {} are allowed; raise --max-memory", human(*needed), human(*allowed))]
    Memory {
        /// Bytes.
        needed: u64,
        /// Bytes.
        allowed: u64,
    },
    /// A group that was asked for and is not there.
    #[error("there is no group {number} to keep: the model has {there} of them, counted from 0")]
    NoGroup {
        /// What was asked for.
        number: usize,
        /// How many there are.
        there: usize,
    },
    /// A graph that is not one, which is a fault of mlc.
    #[error("after {after} the graph does not verify: {why}")]
    Graph {
        /// What made it.
        after: String,
        /// What is wrong.
        why: graph::VerifyError,
    },
    /// The parts do not fit together, which is a fault of mlc.
    #[error("the parts of the artifact do not fit together: {0}")]
    Artifact(#[from] ArtifactError),
    /// A kernel that does not verify, which is a fault of mlc.
    #[error("kernel `{kernel}` does not verify: {why}")]
    Kernel {
        /// Its name.
        kernel: String,
        /// What is wrong.
        why: VerifyError,
    },
}

impl BuildError {
    /// Its `MDL0xxx` code; none for a fault of mlc, or a group that is not there.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            BuildError::Schedule(_) => Some("MDL0602"),
            BuildError::Weights(error) => Some(error.code()),
            BuildError::Missing(_) => Some("MDL0401"),
            BuildError::Tensor(_) | BuildError::Memory { .. } => Some("MDL0704"),
            BuildError::NoGroup { .. }
            | BuildError::Graph { .. }
            | BuildError::Artifact(_)
            | BuildError::Kernel { .. } => None,
        }
    }
}

/// The passes that run when none are named.
pub const PIPELINE: &[&str] = &[
    // Sizes and small tables become numbers, which the rules of the next pass look for.
    "fold",
    "canonicalize",
    // One value for one thing: only then can it be told what is used once, and what reads one tensor.
    "cse",
    // Before scales are sought behind products: it puts them there.
    "fold-qdq",
    "fold-scales",
    "merge-matmuls",
    // Queries and keys as slices of one product are read in place.
    "fuse-attention",
    "dce",
    // Last: other passes leave groups alone.
    "fuse",
];

/// What happens to a graph before it is scheduled.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// In order.
    pub passes: Vec<&'static Pass>,
    /// Whether the graph is verified before the first and after each.
    pub verify: bool,
    /// Which groups of what they made stay.
    pub groups: Keep,
    /// Whether weights that are mostly zeros are stored without them.
    pub sparse: bool,
    /// Bytes that all constants may take together.
    pub max_memory: u64,
}

impl Default for Pipeline {
    fn default() -> Self {
        let named = |name: &&str| Pass::by_name(name).expect("the table has every pass of the pipeline");
        Pipeline {
            passes: PIPELINE.iter().map(named).collect(),
            verify: cfg!(debug_assertions),
            groups: Keep::All,
            sparse: true,
            max_memory: Options::default().max_memory,
        }
    }
}

impl Pipeline {
    /// No pass.
    pub fn none() -> Self {
        Pipeline { passes: vec![], ..Pipeline::default() }
    }

    /// Weights of at most so many bytes are read to see which are mostly zeros.
    pub fn reads(&self) -> Option<u64> {
        self.sparse.then_some(self.max_memory)
    }

    /// As the command line would say it: the passes, and what is not as usual.
    fn with_flags(&self) -> String {
        let groups = if self.groups == Keep::All { String::new() } else { format!(" --fuse {}", self.groups) };
        format!("{self}{groups}{}", if self.sparse { "" } else { " --sparse off" })
    }

    /// Runs the passes.
    ///
    /// # Errors
    /// A graph that does not verify, which is a fault of mlc.
    pub fn run(&self, graph: &mut Graph) -> Result<(), BuildError> {
        self.run_watched::<BuildError>(graph, &mut |_, _| Ok(()))
    }

    /// Runs the passes and shows the graph before the first, under the name `check`, and after each, under its own.
    ///
    /// # Errors
    /// As [`Pipeline::run`], and what `watch` returns.
    pub fn run_watched<E: From<BuildError>>(
        &self,
        graph: &mut Graph,
        watch: &mut dyn FnMut(&str, &Graph) -> Result<(), E>,
    ) -> Result<(), E> {
        self.verified(graph, || "the checker".into())?;
        watch("check", graph)?;
        for pass in &self.passes {
            (pass.run)(graph);
            self.verified(graph, || format!("`{}`", pass.name))?;
            watch(pass.name, graph)?;
        }
        self.groups.apply(graph).map_err(|there| match self.groups {
            Keep::Only(number) => BuildError::NoGroup { number, there },
            Keep::All | Keep::None => unreachable!("they ask for no group"),
        })?;
        Ok(self.verified(graph, || "groups were taken apart".into())?)
    }

    fn verified(&self, graph: &Graph, after: impl Fn() -> String) -> Result<(), BuildError> {
        let checked = if self.verify { graph::verify(graph) } else { Ok(()) };
        checked.map_err(|why| BuildError::Graph { after: after(), why })
    }
}

impl std::fmt::Display for Pipeline {
    /// As `--passes` takes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.passes.iter().map(|pass| pass.name).collect();
        f.pad(if names.is_empty() { "none".into() } else { names.join(",") }.as_str())
    }
}

/// Runs the passes, schedules, verifies every kernel, and reads the constants.
///
/// # Errors
/// A size beyond 64 bits, or a weight that cannot be read.
pub fn artifact(graph: &Graph, sources: &SourceMap, file: u32) -> Result<Artifact, BuildError> {
    artifact_by(&Pipeline::default(), graph, sources, file)
}

/// The same with passes of one's choice.
///
/// # Errors
/// As [`artifact`].
pub fn artifact_by(pipeline: &Pipeline, graph: &Graph, sources: &SourceMap, file: u32) -> Result<Artifact, BuildError> {
    let mut graph = graph.clone();
    pipeline.run(&mut graph)?;
    lowered(pipeline, &graph, sources, file, &mut |_, _| {})
}

/// The artifact of a graph that the pipeline has run on; `watch` is told the bytes of constants that were read, and of
/// all, after each.
///
/// # Errors
/// As [`artifact`].
pub fn lowered(
    pipeline: &Pipeline,
    graph: &Graph,
    sources: &SourceMap,
    file: u32,
    watch: &mut dyn FnMut(u64, u64),
) -> Result<Artifact, BuildError> {
    let Scheduled { plan, constants, sources: places, .. } = schedule_reading(graph, pipeline.reads())?;
    for kernel in &plan.kernels {
        verify(kernel, plan.slots.len() as u32)
            .map_err(|why| BuildError::Kernel { kernel: kernel.name.clone(), why })?;
    }
    let meta = Meta {
        model: graph.name.clone(),
        mlc: env!("CARGO_PKG_VERSION").into(),
        source_hash: blake3::hash(sources.text(file).as_bytes()).to_hex().to_string(),
        pipeline: pipeline.with_flags(),
        constants: constants.iter().map(|(id, _)| graph.constants[*id].name.clone()).collect(),
        target: "cpu".into(),
        sources: places.into_iter().map(|loc| place(loc, sources)).collect(),
        ..Meta::default()
    };
    let sizes: Vec<u64> = plan.constants.iter().map(|(storage, count)| size(*storage, *count)).collect();
    let all = sizes.iter().fold(0, |sum: u64, size| sum.saturating_add(*size));
    if all > pipeline.max_memory {
        return Err(BuildError::Memory { needed: all, allowed: pipeline.max_memory });
    }
    let (mut bytes, mut done) = (Vec::with_capacity(constants.len()), 0);
    for ((id, form), size) in constants.into_iter().zip(sizes) {
        bytes.push(read(graph, id, &form)?);
        done += size;
        watch(done, all);
    }
    Ok(Artifact::from_parts(meta, plan, bytes)?)
}

/// The bytes of so many elements; as many as can be counted where they do not fit in 64 bits.
fn size(storage: Storage, elements: i64) -> u64 {
    storage.bytes_for(elements).map_or(u64::MAX, |bytes| bytes.max(0) as u64)
}

/// A place in the source as run-time errors show it.
pub fn place(loc: Loc, sources: &SourceMap) -> Source {
    let (line, col) = sources.position(loc);
    let text = sources.text(loc.file);
    let meant = text[loc.start as usize..loc.end as usize].lines().next().unwrap_or("");
    Source {
        file: sources.name(loc.file).into(),
        line: line as u32,
        col: col as u32,
        text: sources.line_of(loc).to_owned(),
        length: meant.chars().count() as u32,
    }
}

/// The bytes of a constant in the storage and the form that the plan says.
fn read(graph: &Graph, constant: ConstantId, form: &Form) -> Result<Bytes, BuildError> {
    if let Form::Bytes(bytes) = form {
        return Ok(Bytes::copied(bytes)?);
    }
    let tensor = graph.stored(constant).map_err(|error| match error {
        ReadError::Weights(error) => BuildError::Weights(error),
        ReadError::Missing(key) => BuildError::Missing(key),
        ReadError::Tensor(error) => BuildError::Tensor(error),
    })?;
    match form {
        Form::AsIs | Form::Bytes(_) => Ok(Bytes::from(tensor)),
        Form::Panels(panels) => Ok(Bytes::copied(&panels.pack(tensor.bytes()))?),
        Form::Interleaved(rows) => Ok(Bytes::copied(&rows.interleave(tensor.bytes()))?),
    }
}
