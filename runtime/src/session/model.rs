//! A loaded model, and sessions on it.

use super::RunError;
use super::bind::bind;
use crate::artifact::Artifact;
use crate::jit::{Checked, Code, JitError, Region, Stop, walk};
use crate::pool::Pool;
use crate::tensor::Tensor;
use mlc_codegen::base::DType;
use mlc_codegen::kernel::{EntryPlan, Place, Port, StateDef};
use std::sync::Arc;

/// How a model runs.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Threads that share the work of a call; 0 means one for each core.
    pub threads: usize,
    /// Bytes that a session's arena, states and outputs may take together.
    pub max_memory: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { threads: 0, max_memory: 16 << 30 }
    }
}

struct Shared {
    artifact: Artifact,
    code: Code,
    pool: Pool,
    options: Options,
}

/// Constants and code, shared by all sessions on it.
#[derive(Clone)]
pub struct Model(Arc<Shared>);

/// One line of calls on a model: its states and its working memory.
pub struct Session {
    model: Model,
    arena: Tensor,
    /// Made by the first call after a reset, which fixes their symbolic dims.
    states: Option<(Vec<Vec<usize>>, Vec<Tensor>)>,
    checked: Option<(usize, Checked)>,
}

impl Model {
    /// Verifies and compiles the kernels of an artifact.
    ///
    /// # Errors
    /// A kernel that must not run, or a machine that no code can be made for.
    pub fn load(artifact: Artifact, options: Options) -> Result<Model, JitError> {
        let code = Code::compile(&artifact.plan)?;
        Ok(Model(Arc::new(Shared { code, pool: Pool::new(options.threads), artifact, options })))
    }

    /// What was loaded.
    pub fn artifact(&self) -> &Artifact {
        &self.0.artifact
    }

    /// A session with empty states.
    pub fn session(&self) -> Session {
        let arena = Tensor::zeros(DType::U8, [0]).expect("nothing");
        Session { model: self.clone(), arena, states: None, checked: None }
    }
}

impl Session {
    /// Clears all states.
    pub fn reset(&mut self) {
        self.states = None;
    }

    /// Runs an entry; `None` stands for the only or first one. Gives the outputs in order.
    ///
    /// # Errors
    /// Inputs that do not fit, sizes out of range, too little memory, indices out of range. States are then as they were,
    /// unless a run-time index was refused after a state was written.
    pub fn run(
        &mut self,
        entry: Option<&str>,
        inputs: &[(&str, &Tensor)],
        sizes: &[(&str, i64)],
    ) -> Result<Vec<(String, Tensor)>, RunError> {
        let model = self.model.clone();
        let Shared { artifact, .. } = &*model.0;
        let number = self.entry(entry)?;
        let plan = &artifact.plan.entries[number];
        let (tensors, block) = bind(&artifact.plan, &artifact.meta, plan, inputs, sizes)?;
        let mut outputs = self.prepare(plan, &block)?;
        let lengths = self.lengths(plan, &block, &tensors, &outputs)?;
        if !self.checked.as_ref().is_some_and(|(n, checked)| *n == number && checked.sizes() == block) {
            let checked = Checked::new(&artifact.plan, plan, &block, lengths)
                .map_err(|error| RunError::new("MDL0709", error.to_string(), None))?;
            self.checked = Some((number, checked));
        }
        let sizes = self.walk(plan, &block, &tensors, &mut outputs)?;
        for (output, port) in outputs.iter_mut().zip(&plan.outputs) {
            cut(output, port, &sizes);
        }
        Ok(plan.outputs.iter().map(|port| port.name.clone()).zip(outputs).collect())
    }

    fn entry(&self, name: Option<&str>) -> Result<usize, RunError> {
        let entries = &self.model.0.artifact.plan.entries;
        let found = match name {
            None => (!entries.is_empty()).then_some(0),
            Some(name) => entries.iter().position(|entry| entry.name == name),
        };
        found.ok_or_else(|| {
            let names: Vec<String> = entries.iter().map(|entry| format!("`{}`", entry.name)).collect();
            let message = format!("there is no entry `{}`; entries are {}", name.unwrap_or(""), names.join(", "));
            RunError::new("MDL0701", message, None)
        })
    }

    /// Makes outputs, arena and states, after the sum of their sizes was found to be allowed.
    fn prepare(&mut self, entry: &EntryPlan, block: &[i64]) -> Result<Vec<Tensor>, RunError> {
        let limit = self.model.0.options.max_memory;
        let states = &self.model.0.artifact.plan.states;
        let too_large =
            || RunError::new("MDL0704", format!("this call needs more than the {limit} bytes allowed"), None);
        let arena = entry.arena.eval(block).filter(|bytes| *bytes >= 0).ok_or_else(too_large)?;
        let mut total = arena as u64;
        let mut shape_of = |dims: &[mlc_codegen::base::Dim], dtype: DType| {
            let shape: Option<Vec<usize>> = dims.iter().map(|d| usize::try_from(d.eval(block)?).ok()).collect();
            let shape = shape?;
            let elements = shape.iter().try_fold(1i64, |n, d| n.checked_mul(i64::try_from(*d).ok()?))?;
            total = total.checked_add(dtype.bytes_for(elements)? as u64)?;
            Some(shape)
        };
        let output = |port: &Port| Some((port.dtype, shape_of(&port.dims, port.dtype)?));
        let outputs: Option<Vec<(DType, Vec<usize>)>> = entry.outputs.iter().map(output).collect();
        let outputs = outputs.ok_or_else(too_large)?;
        let state = |state: &StateDef| shape_of(&state.dims, state.dtype);
        let shapes: Option<Vec<Vec<usize>>> = states.iter().map(state).collect();
        let shapes = shapes.ok_or_else(too_large)?;
        if total > limit {
            return Err(too_large());
        }
        let make = |dtype: DType, shape: Vec<usize>| {
            Tensor::zeros(dtype, shape).map_err(|error| RunError::new("MDL0704", error.to_string(), None))
        };
        match &self.states {
            Some((fixed, _)) if *fixed != shapes => {
                let message = "a state keeps the dims of the first call after a reset; reset the session first";
                return Err(RunError::new("MDL0706", message, None));
            }
            Some(_) => {}
            None => {
                let made = states.iter().zip(&shapes).map(|(state, shape)| make(state.dtype, shape.clone()));
                let made: Vec<Tensor> = made.collect::<Result<_, _>>()?;
                self.states = Some((shapes, made));
            }
        }
        if self.arena.len() < arena as usize {
            self.arena = make(DType::U8, vec![arena as usize])?;
        }
        outputs.into_iter().map(|(dtype, shape)| make(dtype, shape)).collect()
    }

    /// The bytes behind each buffer of the entry.
    fn lengths(
        &self,
        entry: &EntryPlan,
        block: &[i64],
        inputs: &[&Tensor],
        outputs: &[Tensor],
    ) -> Result<Vec<i64>, RunError> {
        let constants = self.model.0.artifact.constants();
        let states = &self.states.as_ref().expect("made by prepare").1;
        let broken = || RunError::new("MDL0709", "the plan names a buffer that is not there", None);
        let length = |buffer: &mlc_codegen::kernel::BufferDef| {
            let bytes = match &buffer.place {
                Place::Input(i) => inputs.get(*i as usize)?.bytes().len(),
                Place::Output(i) => outputs.get(*i as usize)?.bytes().len(),
                Place::Constant(i) => constants.get(*i as usize)?.bytes().len(),
                Place::State(i) => states.get(*i as usize)?.bytes().len(),
                Place::Arena { offset } => {
                    let offset = usize::try_from(offset.eval(block)?).ok()?;
                    let bytes = usize::try_from(buffer.storage.bytes_for(buffer.elements.eval(block)?)?).ok()?;
                    (offset.checked_add(bytes)? <= self.arena.len() && offset.is_multiple_of(64)).then_some(bytes)?
                }
            };
            i64::try_from(bytes).ok()
        };
        entry.buffers.iter().map(|buffer| length(buffer).ok_or_else(broken)).collect()
    }

    fn walk(
        &mut self,
        entry: &EntryPlan,
        block: &[i64],
        inputs: &[&Tensor],
        outputs: &mut [Tensor],
    ) -> Result<Vec<i64>, RunError> {
        let Shared { artifact, code, pool, .. } = &*self.model.0;
        let arena = Region::exclusive(self.arena.bytes_mut());
        let states = self.states.as_mut().expect("made by prepare").1.iter_mut();
        let states: Vec<Region> = states.map(|state| Region::exclusive(state.bytes_mut())).collect();
        let outputs: Vec<Region> = outputs.iter_mut().map(|output| Region::exclusive(output.bytes_mut())).collect();
        let region = |buffer: &mlc_codegen::kernel::BufferDef| match &buffer.place {
            Place::Input(i) => Region::shared(inputs[*i as usize].bytes()),
            Place::Output(i) => outputs[*i as usize],
            Place::Constant(i) => Region::shared(artifact.constants()[*i as usize].bytes()),
            Place::State(i) => states[*i as usize],
            Place::Arena { offset } => {
                let offset = offset.eval(block).expect("checked") as usize;
                let elements = buffer.elements.eval(block).expect("checked");
                let bytes = buffer.storage.bytes_for(elements).expect("checked") as usize;
                arena.part(offset, bytes).expect("checked")
            }
        };
        let regions: Vec<Region> = entry.buffers.iter().map(region).collect();
        let (_, checked) = self.checked.as_ref().expect("checked before the walk");
        walk(code, &artifact.plan, entry, checked, &regions, pool).map_err(|stop| match stop {
            Stop::Index { index, place, extent, source } => {
                let message = format!("index {index} at position {place} is outside an axis of extent {extent}");
                RunError::new("MDL0703", message, artifact.meta.sources.get(source as usize))
            }
            Stop::Memory => RunError::new("MDL0709", "there is not enough memory for a kernel", None),
            Stop::Count => RunError::new("MDL0709", "a count is beyond its bound", None),
        })
    }
}

/// Shortens an output that was made for as many elements as there may be to those that were counted.
fn cut(output: &mut Tensor, port: &Port, sizes: &[i64]) {
    let shape: Option<Vec<usize>> = port.dims.iter().map(|dim| usize::try_from(dim.eval(sizes)?).ok()).collect();
    let Some(shape) = shape.filter(|shape| shape != output.shape()) else { return };
    let elements = shape.iter().try_fold(1i64, |n, d| n.checked_mul(i64::try_from(*d).ok()?));
    let bytes = elements.and_then(|n| usize::try_from(port.dtype.bytes_for(n)?).ok());
    let kept = bytes.and_then(|bytes| output.bytes().get(..bytes));
    if let Some(Ok(tensor)) = kept.map(|bytes| Tensor::new(port.dtype, shape, bytes)) {
        *output = tensor;
    }
}
