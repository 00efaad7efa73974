//! A loaded model: constants and code, shared by all sessions on it.

use super::memory::physical;
use super::{CodeCache, Cpu, JitError, Session};
use crate::artifact::Artifact;
use crate::jit::Program;
use crate::pool::Pool;
use std::fmt;
use std::sync::Arc;

/// How a model runs.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Threads that share the work of a call; 0 means one for each core. Results are bit-equal for every number.
    pub threads: usize,
    /// Bytes that a session's arena, scratch, states and outputs may take together.
    pub max_memory: u64,
    /// Which instructions the code may use.
    pub cpu: Cpu,
}

impl Default for Options {
    /// All cores and all memory of this machine.
    fn default() -> Self {
        Options { threads: 0, max_memory: physical(), cpu: Cpu::Native }
    }
}

pub(super) struct Shared {
    pub(super) program: Program,
    pub(super) pool: Pool,
    pub(super) max_memory: u64,
}

/// A model that is ready to run. Cloning shares it.
#[derive(Clone)]
pub struct Model(pub(super) Arc<Shared>);

impl Model {
    /// Verifies and compiles the kernels of an artifact.
    ///
    /// # Errors
    /// A plan or kernel that must not run, or a machine that no code can be made for.
    pub fn load(artifact: Artifact, options: Options) -> Result<Model, JitError> {
        Model::load_with(artifact, options, None)
    }

    /// The same, with the kernels' code from a cache, where it is or will be kept.
    ///
    /// # Errors
    /// Those of [`Model::load`]. What is wrong with an entry of the cache is none: code is made then.
    pub fn load_with(artifact: Artifact, options: Options, cache: Option<&CodeCache>) -> Result<Model, JitError> {
        let pool = Pool::new(options.threads);
        let program = Program::new(artifact, options.cpu, &pool, cache)?;
        Ok(Model(Arc::new(Shared { program, pool, max_memory: options.max_memory })))
    }

    /// What was loaded.
    pub fn artifact(&self) -> &Artifact {
        self.0.program.artifact()
    }

    /// How a kernel of the plan was lowered: `contract`, `sparse`, `attention`, `lanes` or `loops`.
    pub fn path(&self, kernel: usize) -> &str {
        self.0.program.path(kernel)
    }

    /// Whether the kernels' code came from a cache.
    pub fn code_was_kept(&self) -> bool {
        self.0.program.kept()
    }

    /// How many threads share the work of a call.
    pub fn threads(&self) -> usize {
        self.0.pool.threads()
    }

    /// A session with empty states.
    pub fn session(&self) -> Session {
        Session::new(self)
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Model({})", self.artifact().meta.model)
    }
}
