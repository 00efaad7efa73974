//! The pipeline, whole: a typed graph becomes an artifact.

use crate::diag::SourceMap;
use crate::graph::{Constant, ConstantData, Graph};
use crate::schedule::{ScheduleError, Scheduled, schedule};
use crate::types::Loc;
use mlc_codegen::base::Storage;
use mlc_codegen::kernel::{VerifyError, verify};
use mlc_runtime::artifact::{Artifact, ArtifactError, Constant as Bytes, Meta, Source};
use mlc_runtime::tensor::{Tensor, TensorError};
use mlc_runtime::weights::LoadError;

/// Why a checked graph does not become an artifact.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// It has no plan.
    #[error("MDL0602: {0}")]
    Schedule(#[from] ScheduleError),
    /// A weight cannot be read.
    #[error("MDL0403: {0}")]
    Weights(#[from] LoadError),
    /// A weight that the headers promised is gone.
    #[error("MDL0401: no tensor named `{0}`")]
    Missing(String),
    /// A weight does not fit in memory.
    #[error("MDL0602: {0}")]
    Tensor(#[from] TensorError),
    /// The parts do not fit together, which is a fault of mlc.
    #[error("this is a bug in mlc: {0}")]
    Artifact(#[from] ArtifactError),
    /// A kernel that does not verify, which is a fault of mlc.
    #[error("this is a bug in mlc: kernel `{kernel}`: {why}")]
    Kernel {
        /// Its name.
        kernel: String,
        /// What is wrong.
        why: VerifyError,
    },
}

/// Schedules a graph, verifies every kernel, and reads the constants.
///
/// # Errors
/// A size beyond 64 bits, or a weight that cannot be read.
pub fn artifact(graph: &Graph, sources: &SourceMap, file: u32) -> Result<Artifact, BuildError> {
    artifact_watched(graph, sources, file, &mut |_, _| {})
}

/// As [`artifact`]; `watch` is told the bytes of constants that were read, and of all, after each.
///
/// # Errors
/// As [`artifact`].
pub fn artifact_watched(
    graph: &Graph,
    sources: &SourceMap,
    file: u32,
    watch: &mut dyn FnMut(u64, u64),
) -> Result<Artifact, BuildError> {
    let Scheduled { plan, constants, sources: places } = schedule(graph)?;
    for kernel in &plan.kernels {
        verify(kernel, plan.slots.len() as u32)
            .map_err(|why| BuildError::Kernel { kernel: kernel.name.clone(), why })?;
    }
    let meta = Meta {
        model: graph.name.clone(),
        mlc: env!("CARGO_PKG_VERSION").into(),
        source_hash: blake3::hash(sources.text(file).as_bytes()).to_hex().to_string(),
        target: "cpu".into(),
        sources: places.into_iter().map(|loc| place(loc, sources)).collect(),
        ..Meta::default()
    };
    let all: u64 = constants.iter().map(|id| size(&graph.constants[*id])).sum();
    let (mut bytes, mut done) = (Vec::with_capacity(constants.len()), 0);
    for id in constants {
        let constant = &graph.constants[id];
        bytes.push(read(graph, constant)?);
        done += size(constant);
        watch(done, all);
    }
    Ok(Artifact::from_parts(meta, plan, bytes)?)
}

/// The bytes of a constant; 0 where they do not fit in 64 bits, which is refused elsewhere.
fn size(constant: &Constant) -> u64 {
    let elements = constant.ty.elements().as_constant();
    elements.and_then(|count| constant.storage.bytes_for(count)).map_or(0, |bytes| bytes.max(0) as u64)
}

/// A place in the source as run-time errors show it.
pub fn place(loc: Loc, sources: &SourceMap) -> Source {
    let (line, col) = sources.position(loc);
    let text = sources.text(loc.file)[loc.start as usize..loc.end as usize].lines().next().unwrap_or("").to_owned();
    Source { file: sources.name(loc.file).into(), line: line as u32, col: col as u32, text }
}

/// The bytes of a constant in the storage that the plan says.
fn read(graph: &Graph, constant: &Constant) -> Result<Bytes, BuildError> {
    let tensor: Tensor = match &constant.data {
        ConstantData::Tensor(tensor) => tensor.clone(),
        ConstantData::Weight(key) => {
            let found = graph.weights.find(key).ok().flatten().ok_or_else(|| BuildError::Missing(key.clone()))?;
            found.file.read(found.name)?
        }
    };
    let tensor = match constant.storage {
        Storage::Plain(dtype) if tensor.dtype() != dtype => tensor.cast(dtype)?,
        _ => tensor,
    };
    Ok(Bytes::from(tensor))
}
