//! A plan that may run: verified and compiled.

use super::code::Code;
use super::compile::{compile, distinct};
use super::{CodeCache, Cpu, JitError};
use crate::artifact::Artifact;
use crate::pool::Pool;
use mlc_codegen::base::Dim;
use mlc_codegen::cpu::duration::{Duration, bandwidth};
use mlc_codegen::kernel::{
    Argument, Call, EntryPlan, Kernel, Place, Plan, PlanError, Role, Step, check_plan, verify_plan,
};
use std::borrow::Cow;

/// An artifact and the code of its kernels.
pub(crate) struct Program {
    pub(super) artifact: Artifact,
    pub(super) code: Code,
    pub(super) cpu: Cpu,
    /// The code of each kernel.
    pub(super) code_of: Vec<usize>,
    /// Bytes of scratch for each part, by kernel.
    pub(super) scratch: Vec<Dim>,
    /// About how long each kernel takes.
    pub(super) durations: Vec<Duration>,
    /// How each kernel was lowered.
    paths: Vec<Cow<'static, str>>,
    /// Whether their code was kept from an earlier process.
    kept: bool,
    /// By entry: the states to put back when a call fails.
    undo: Vec<Vec<u32>>,
}

/// The proof that an entry stays inside its buffers for one size block.
pub(crate) struct Checked {
    pub(super) entry: usize,
    pub(super) sizes: Vec<i64>,
    pub(super) bytes: Vec<i64>,
}

impl Program {
    /// Verifies the plan and compiles its kernels on the threads of a pool, those that differ in their names alone once,
    /// unless a cache has their code.
    pub(crate) fn new(
        artifact: Artifact,
        cpu: Cpu,
        pool: &Pool,
        cache: Option<&CodeCache>,
    ) -> Result<Program, JitError> {
        let plan = &artifact.plan;
        verify_plan(plan)?;
        let (kernels, code_of) = distinct(&plan.kernels);
        let target = cpu.host()?;
        let make = || compile(&kernels, &target, pool, false);
        let (compiled, kept) = match cache {
            None => (make()?, false),
            Some(cache) => cache.kernels(&kernels, &target, make)?,
        };
        let code = Code::map(&compiled, target)?;
        let paths = code_of.iter().map(|code| compiled[*code].path.clone()).collect();
        let scratch = code_of.iter().map(|code| compiled[*code].scratch.clone()).collect();
        let undo = plan.entries.iter().map(|entry| undo(plan, entry)).collect();
        let bytes = plan.constants.iter().map(|(storage, elements)| storage.bytes_for(*elements).unwrap_or(i64::MAX));
        let bandwidth = bandwidth(bytes.fold(0, i64::saturating_add));
        let durations = plan.kernels.iter().map(|kernel| Duration::new(kernel, bandwidth)).collect();
        Ok(Program { artifact, code, cpu, code_of, scratch, durations, paths, kept, undo })
    }

    /// How a kernel was lowered.
    pub(crate) fn path(&self, kernel: usize) -> &str {
        &self.paths[kernel]
    }

    /// Whether the code was kept from an earlier process.
    pub(crate) fn kept(&self) -> bool {
        self.kept
    }

    /// The artifact.
    pub(crate) fn artifact(&self) -> &Artifact {
        &self.artifact
    }

    /// The states that a failing call of the entry may have written.
    pub(crate) fn undo(&self, entry: usize) -> &[u32] {
        &self.undo[entry]
    }

    /// Proves an entry for a size block and the bytes of its buffers.
    pub(crate) fn check(&self, entry: usize, sizes: &[i64], bytes: Vec<i64>) -> Result<Checked, PlanError> {
        let plan = &self.artifact.plan;
        assert_eq!(bytes.len(), plan.entries[entry].buffers.len(), "a length for each buffer");
        check_plan(plan, &plan.entries[entry], sizes, &bytes, &|word| self.cpu.has(word))?;
        Ok(Checked { entry, sizes: sizes.to_vec(), bytes })
    }

    /// Bytes of scratch that each part of any call may take for these sizes; `None` beyond 64 bits.
    pub(crate) fn scratch(&self, sizes: &[i64]) -> Option<u64> {
        self.scratch.iter().try_fold(0, |most, dim| Some(most.max(u64::try_from(dim.eval(sizes)?).ok()?)))
    }
}

impl Checked {
    /// Whether it proves this entry for these sizes.
    pub(crate) fn holds(&self, entry: usize, sizes: &[i64]) -> bool {
        self.entry == entry && self.sizes == sizes
    }
}

/// States that are written before a step that may fail. A loop's body counts twice: what an iteration wrote precedes the
/// next one's checks.
fn undo(plan: &Plan, entry: &EntryPlan) -> Vec<u32> {
    let mut undo = Undo { kernels: &plan.kernels, entry, written: vec![], needed: vec![] };
    undo.steps(&entry.steps);
    undo.needed.sort_unstable();
    undo.needed.dedup();
    undo.needed
}

struct Undo<'p> {
    kernels: &'p [Kernel],
    entry: &'p EntryPlan,
    written: Vec<u32>,
    needed: Vec<u32>,
}

impl Undo<'_> {
    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Call(call) => self.call(call),
                Step::Copy { to, .. } => self.write(to),
                Step::Check(_) | Step::Count { .. } => self.needed.extend(&self.written),
                Step::Loop { body, .. } => {
                    self.steps(body);
                    self.steps(body);
                }
                Step::Branch { then, otherwise, .. } => {
                    self.steps(then);
                    self.steps(otherwise);
                }
            }
        }
        self.written.dedup();
    }

    fn call(&mut self, call: &Call) {
        for variant in &call.variants {
            let Some(kernel) = self.kernels.get(variant.kernel.0 as usize) else { continue };
            let writes = kernel.buffers.iter().zip(&call.arguments).filter(|(buffer, _)| buffer.role != Role::Read);
            writes.for_each(|(_, argument)| self.write(argument));
        }
    }

    fn write(&mut self, argument: &Argument) {
        let places = argument.members().iter().filter_map(|b| self.entry.buffers.get(b.0 as usize));
        self.written.extend(places.filter_map(|buffer| match buffer.place {
            Place::State(i) => Some(i),
            _ => None,
        }));
    }
}
