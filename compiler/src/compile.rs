//! The library's front door: a model file becomes a model that runs.

use crate::conversion;
use crate::diag::{self, Severity, SourceMap};
use crate::frontend::{self, Checked};
use crate::import::onnx::ImportError;
use crate::pipeline::{BuildError, artifact};
use mlc_runtime::artifact::{Artifact, ArtifactError};
use mlc_runtime::session::{JitError, Model, Options};
use std::io;
use std::path::{Path, PathBuf};

/// Why a model file does not become a model.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The system gives no text.
    #[error("cannot read `{}`: {cause}", file.display())]
    Read {
        /// The model file.
        file: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A model of another format that mlc does not import.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Its mistakes, all of them, as `mlc check` shows them.
    #[error("{0}")]
    Mistakes(String),
    /// There is nothing to call.
    #[error("`{}` has no entry to run", .0.display())]
    NoEntry(PathBuf),
    /// It was checked, but its plan or its weights cannot be had.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A `.mlc` that cannot be opened.
    #[error(transparent)]
    Open(#[from] ArtifactError),
    /// There is no machine code for it here.
    #[error(transparent)]
    Load(#[from] JitError),
}

/// Compiles a `.mdl` file and its weights or a `.onnx` file, or opens a `.mlc`, and loads it with the defaults: all cores, all weights where
/// the model says they are. Sessions on the model then run it.
///
/// ```
/// let model = mlc::compile("../examples/fashion_mlp.mdl")?;
/// assert_eq!(model.artifact().plan.entries[0].name, "classify");
/// # Ok::<(), mlc::CompileError>(())
/// ```
///
/// # Errors
/// The file cannot be read, has mistakes, or holds nothing that this machine can run. Warnings are left to `mlc check`.
pub fn compile(path: impl AsRef<Path>) -> Result<Model, CompileError> {
    let path = path.as_ref();
    let artifact = match path.extension().is_some_and(|extension| extension == "mlc") {
        true => Artifact::open(path, Default::default())?,
        false => checked(path)?,
    };
    Ok(Model::load(artifact, Options::default())?)
}

fn checked(path: &Path) -> Result<Artifact, CompileError> {
    let (text, given) = match conversion::is_foreign(path) {
        true => {
            let made = conversion::onnx(path, &[])?;
            (made.text, Some(made.tensors))
        }
        false => {
            let read = std::fs::read_to_string(path);
            (read.map_err(|cause| CompileError::Read { file: path.to_owned(), cause })?, None)
        }
    };
    let mut sources = SourceMap::default();
    let file = sources.add(path.display().to_string(), text);
    let options = frontend::Options { folder: Some(folder(path).to_owned()), given, ..Default::default() };
    let Checked { graph, diagnostics, .. } = frontend::check(&mut sources, file, &options);
    let Some(graph) = graph else {
        let mistakes = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
        let shown: String = mistakes.map(|mistake| diag::human(mistake, &sources, diag::Style::default())).collect();
        return Err(match shown.is_empty() {
            true => CompileError::NoEntry(path.to_owned()),
            false => CompileError::Mistakes(shown.trim_end().to_owned()),
        });
    };
    if graph.entries.is_empty() {
        return Err(CompileError::NoEntry(path.to_owned()));
    }
    Ok(artifact(&graph, &sources, file)?)
}

/// The folder of a file, that its imports and weights are relative to.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
