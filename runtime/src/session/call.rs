//! A session: one line of calls on a model, with its states and its working memory.

use super::error::list;
use super::memory::Budget;
use super::model::Shared;
use super::{Model, Profile, RunError, bind::bind};
use crate::jit::{Checked, Region, Stop, Workspace};
use crate::tensor::Tensor;
use mlc_codegen::base::{DType, SlotDef};
use mlc_codegen::kernel::{BufferDef, EntryPlan, Place};
use std::sync::Arc;

/// Runs calls on a model, one at a time, and keeps the model's states between them.
pub struct Session {
    model: Model,
    arena: Tensor,
    scratch: Tensor,
    /// Made by the first call after a reset that uses them, which fixes their dims.
    states: Vec<Option<Tensor>>,
    /// By entry, for the sizes of its last call.
    proofs: Vec<Option<Checked>>,
    workspace: Workspace,
    regions: Vec<Region<'static>>,
    block: Vec<i64>,
    order: Vec<usize>,
    profile: Option<Profile>,
}

/// Bytes that a session holds between calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// For intermediate values.
    pub arena: u64,
    /// Scratch memory of kernels, of all threads together.
    pub scratch: u64,
    /// States.
    pub states: u64,
}

impl Session {
    pub(super) fn new(model: &Model) -> Session {
        let plan = &model.artifact().plan;
        let nothing = || Tensor::zeros(DType::U8, [0]).expect("no bytes");
        Session {
            arena: nothing(),
            scratch: nothing(),
            states: vec![None; plan.states.len()],
            proofs: plan.entries.iter().map(|_| None).collect(),
            workspace: Workspace::default(),
            regions: vec![],
            block: vec![],
            order: vec![],
            profile: None,
            model: model.clone(),
        }
    }

    /// Clears all states: the next call finds zeros, and fixes their symbolic dims anew.
    pub fn reset(&mut self) {
        self.states.fill(None);
    }

    /// A state as the last call left it; `None` while no call has used it.
    pub fn state(&self, name: &str) -> Option<&Tensor> {
        let number = self.model.artifact().plan.states.iter().position(|state| state.name == name)?;
        self.states[number].as_ref()
    }

    /// Bytes that the session holds.
    pub fn held(&self) -> Held {
        let bytes = |tensor: &Tensor| tensor.bytes().len() as u64;
        let states = self.states.iter().flatten().map(bytes).sum();
        Held { arena: bytes(&self.arena), scratch: bytes(&self.scratch), states }
    }

    /// Times kernels from now on; with `events`, each call of one by itself.
    pub fn start_profile(&mut self, events: bool) {
        self.profile = Some(Profile::new(self.model.artifact().plan.kernels.len(), events));
    }

    /// Ends the profile that was started.
    pub fn take_profile(&mut self) -> Option<Profile> {
        self.profile.take()
    }

    /// Runs an entry; `None` stands for the first one. Gives the outputs by name, in order.
    ///
    /// # Errors
    /// Inputs that do not fit, sizes out of range, too little memory, indices out of range. States are then as they were.
    pub fn run(
        &mut self,
        entry: Option<&str>,
        inputs: &[(&str, &Tensor)],
        sizes: &[(&str, i64)],
    ) -> Result<Vec<(String, Tensor)>, RunError> {
        let Model(shared) = self.model.clone();
        let number = self.bind(&shared, entry, inputs, sizes)?;
        let entry = &shared.program.artifact().plan.entries[number];
        let shapes = self.plan_memory(&shared, entry)?;
        let made = entry.outputs.iter().zip(shapes).map(|(port, shape)| Tensor::zeros(port.dtype, shape));
        let mut outputs = made.collect::<Result<Vec<_>, _>>().map_err(|e| RunError::new("MDL0704", e.to_string()))?;
        self.call(&shared, number, inputs, &mut outputs)?;
        let named = entry.outputs.iter().zip(outputs).map(|(port, output)| {
            let counted = port.dims.iter().map(|dim| usize::try_from(dim.eval(&self.workspace.sizes)?).ok());
            let shape: Option<Vec<usize>> = counted.collect();
            (port.name.clone(), cut(output, shape))
        });
        Ok(named.collect())
    }

    /// Runs an entry into tensors of the outputs' dtypes and shapes, where counted dims have their upper bounds. Allocates
    /// nothing when sizes are those of the entry's last call, no state is new, and no other tensor shares an output's bytes.
    ///
    /// # Errors
    /// As [`Session::run`]; an output that does not fit. Outputs may have been written when an index was refused.
    pub fn run_into(
        &mut self,
        entry: Option<&str>,
        inputs: &[(&str, &Tensor)],
        sizes: &[(&str, i64)],
        outputs: &mut [Tensor],
    ) -> Result<(), RunError> {
        let Model(shared) = self.model.clone();
        let number = self.bind(&shared, entry, inputs, sizes)?;
        let artifact = shared.program.artifact();
        let entry = &artifact.plan.entries[number];
        let known = self.proofs[number].as_ref().is_some_and(|proof| proof.holds(number, &self.block));
        if !known || !self.has_states(entry) {
            self.plan_memory(&shared, entry)?;
        }
        if outputs.len() != entry.outputs.len() {
            let message = format!("`{}` has {} outputs, {} are given", entry.name, entry.outputs.len(), outputs.len());
            return Err(RunError::new("MDL0701", message));
        }
        for (port, output) in entry.outputs.iter().zip(&*outputs) {
            let block = &self.block;
            let mut dims = port.dims.iter().map(|dim| dim.eval(block).and_then(|d| usize::try_from(d).ok()));
            let same =
                output.shape().len() == port.dims.len() && output.shape().iter().all(|d| dims.next() == Some(Some(*d)));
            if !same || output.dtype() != port.dtype {
                let (dtype, shape, name) = (output.dtype(), output.shape(), &port.name);
                let gives = port.show(&artifact.plan.slots);
                let message = format!("output `{name}` cannot go into {dtype} of shape {shape:?}; it is {gives}");
                return Err(RunError::new("MDL0701", message).at(&artifact.meta, port.source));
            }
        }
        self.call(&shared, number, inputs, outputs)
    }

    /// Finds the entry, and fills `block` and `order`.
    fn bind(
        &mut self,
        shared: &Shared,
        name: Option<&str>,
        inputs: &[(&str, &Tensor)],
        sizes: &[(&str, i64)],
    ) -> Result<usize, RunError> {
        let artifact = shared.program.artifact();
        let entries = &artifact.plan.entries;
        let number = match name {
            None if entries.is_empty() => None,
            None => Some(0),
            Some(name) => entries.iter().position(|entry| entry.name == name),
        };
        let number = number.ok_or_else(|| {
            let known = list(entries.iter().map(|entry| entry.name.as_str()));
            RunError::new("MDL0707", format!("there is no entry `{}`; entries are {known}", name.unwrap_or("main")))
        })?;
        bind(artifact, &entries[number], inputs, sizes, &mut self.block, &mut self.order)?;
        Ok(number)
    }

    fn has_states(&self, entry: &EntryPlan) -> bool {
        states_of(entry).all(|i| self.states[i].is_some())
    }

    /// Finds the memory of a call to be allowed, then makes arena, scratch and the shapes of the outputs.
    fn plan_memory(&mut self, shared: &Shared, entry: &EntryPlan) -> Result<Vec<Vec<usize>>, RunError> {
        let plan = &shared.program.artifact().plan;
        let mut budget = Budget::new(shared.max_memory);
        let bytes = entry.arena.eval(&self.block).and_then(|bytes| u64::try_from(bytes).ok());
        let arena = budget.take(bytes, "its intermediate values")?;
        let bytes = shared.program.scratch(&self.block).and_then(|b| b.checked_mul(shared.pool.threads() as u64));
        let scratch = budget.take(bytes, "its scratch memory")?;
        for (i, state) in plan.states.iter().enumerate() {
            let uses = states_of(entry).any(|used| used == i);
            if uses {
                let shape = budget.tensor(state.dtype, &state.dims, &self.block, "its states")?;
                self.same_dims(&state.name, i, &shape)?;
            } else if let Some(tensor) = &self.states[i] {
                budget.take(Some(tensor.bytes().len() as u64), "its states")?;
            }
        }
        let outputs = entry.outputs.iter().map(|p| budget.tensor(p.dtype, &p.dims, &self.block, "its outputs"));
        let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
        for (block, bytes) in [(&mut self.arena, arena), (&mut self.scratch, scratch)] {
            if block.len() < bytes {
                *block = Tensor::zeros(DType::U8, [0]).expect("no bytes");
                *block = Tensor::zeros(DType::U8, [bytes]).map_err(|e| RunError::new("MDL0704", e.to_string()))?;
            }
        }
        Ok(outputs)
    }

    fn same_dims(&self, name: &str, state: usize, shape: &[usize]) -> Result<(), RunError> {
        match &self.states[state] {
            Some(tensor) if tensor.shape() != shape => {
                let fixed = tensor.shape();
                let message = format!(
                    "state `{name}` has shape {fixed:?} since the first call after a reset, and this call takes {shape:?}; reset the session first"
                );
                Err(RunError::new("MDL0706", message))
            }
            _ => Ok(()),
        }
    }

    /// Makes states that the entry is the first to use; gives their numbers.
    fn make_states(&mut self, shared: &Shared, entry: &EntryPlan) -> Result<Vec<usize>, RunError> {
        let mut made = Vec::new();
        for i in states_of(entry) {
            if self.states[i].is_some() {
                continue;
            }
            let state = &shared.program.artifact().plan.states[i];
            let dims = state.dims.iter().map(|d| d.eval(&self.block).and_then(|d| usize::try_from(d).ok()));
            let shape: Vec<usize> = dims.map(|dim| dim.expect("its bytes were counted")).collect();
            let tensor = Tensor::zeros(state.dtype, shape).map_err(|e| RunError::new("MDL0704", e.to_string()))?;
            self.states[i] = Some(tensor);
            made.push(i);
        }
        Ok(made)
    }

    /// Proves and walks; puts back every state when either fails.
    fn call(
        &mut self,
        shared: &Arc<Shared>,
        number: usize,
        inputs: &[(&str, &Tensor)],
        outputs: &mut [Tensor],
    ) -> Result<(), RunError> {
        let entry = &shared.program.artifact().plan.entries[number];
        let made = self.make_states(shared, entry)?;
        let undo = shared.program.undo(number).iter().map(|i| *i as usize);
        let before: Vec<(usize, Option<Tensor>)> = undo.map(|i| (i, self.states[i].clone())).collect();
        let result =
            self.prove(shared, number, inputs, outputs).and_then(|()| self.walk(shared, number, inputs, outputs));
        if result.is_err() {
            before.into_iter().for_each(|(i, state)| self.states[i] = state);
            made.into_iter().for_each(|i| self.states[i] = None);
        }
        result
    }

    fn prove(
        &mut self,
        shared: &Shared,
        number: usize,
        inputs: &[(&str, &Tensor)],
        outputs: &[Tensor],
    ) -> Result<(), RunError> {
        if self.proofs[number].as_ref().is_some_and(|proof| proof.holds(number, &self.block)) {
            return Ok(());
        }
        let artifact = shared.program.artifact();
        let constants = artifact.constants();
        let bytes_of = |buffer: &BufferDef| {
            let bytes = match &buffer.place {
                Place::Input(i) => inputs[self.order[*i as usize]].1.bytes().len(),
                Place::Output(i) => outputs[*i as usize].bytes().len(),
                Place::Constant(i) => constants[*i as usize].bytes().len(),
                Place::State(i) => self.states[*i as usize].as_ref().expect("made above").bytes().len(),
                Place::Arena { .. } => {
                    let (offset, bytes) = arena_range(buffer, &self.block)?;
                    let inside = offset.checked_add(bytes)? <= self.arena.len() && offset.is_multiple_of(64);
                    inside.then_some(bytes)?
                }
            };
            i64::try_from(bytes).ok()
        };
        let bytes: Option<Vec<i64>> = artifact.plan.entries[number].buffers.iter().map(bytes_of).collect();
        let refused = |why: String| RunError::new("MDL0709", format!("the model cannot run with these sizes: {why}"));
        let bytes = bytes.ok_or_else(|| refused("a buffer leaves its memory".into()))?;
        self.proofs[number] = None;
        let proof = shared.program.check(number, &self.block, bytes).map_err(|error| refused(error.to_string()))?;
        self.proofs[number] = Some(proof);
        Ok(())
    }

    fn walk(
        &mut self,
        shared: &Shared,
        number: usize,
        inputs: &[(&str, &Tensor)],
        outputs: &mut [Tensor],
    ) -> Result<(), RunError> {
        let artifact = shared.program.artifact();
        let arena = Region::exclusive(self.arena.bytes_mut());
        let scratch = Region::exclusive(self.scratch.bytes_mut());
        let mut regions: Vec<Region> = std::mem::take(&mut self.regions);
        let buffers = &artifact.plan.entries[number].buffers;
        regions.extend(buffers.iter().map(|buffer| match &buffer.place {
            Place::Input(i) => Region::shared(inputs[self.order[*i as usize]].1.bytes()),
            Place::Constant(i) => Region::shared(artifact.constants()[*i as usize].bytes()),
            Place::Arena { .. } => {
                let (offset, bytes) = arena_range(buffer, &self.block).expect("proved");
                arena.part(offset, bytes)
            }
            Place::Output(_) | Place::State(_) => Region::shared(&[]),
        }));
        place_all(&mut regions, buffers, outputs.iter_mut().enumerate().map(|(i, t)| (Place::Output(i as u32), t)));
        let states =
            self.states.iter_mut().enumerate().filter_map(|(i, t)| Some((Place::State(i as u32), t.as_mut()?)));
        place_all(&mut regions, buffers, states);
        let proof = self.proofs[number].as_ref().expect("proved");
        let profile = self.profile.as_mut();
        let result = shared.program.walk(proof, &regions, scratch, &shared.pool, &mut self.workspace, profile);
        self.regions = Region::emptied(regions);
        result.map_err(|stop| refusal(shared, stop))
    }
}

/// Puts each tensor where the buffers name its place.
fn place_all<'t>(
    regions: &mut [Region<'t>],
    buffers: &[BufferDef],
    tensors: impl Iterator<Item = (Place, &'t mut Tensor)>,
) {
    for (place, tensor) in tensors {
        let region = Region::exclusive(tensor.bytes_mut());
        let own = regions.iter_mut().zip(buffers).filter(|(_, buffer)| buffer.place == place);
        own.for_each(|(slot, _)| *slot = region);
    }
}

/// Offset and bytes of a buffer in the arena.
fn arena_range(buffer: &BufferDef, block: &[i64]) -> Option<(usize, usize)> {
    let Place::Arena { offset } = &buffer.place else { return None };
    let offset = usize::try_from(offset.eval(block)?).ok()?;
    let bytes = usize::try_from(buffer.storage.bytes_for(buffer.elements.eval(block)?)?).ok()?;
    Some((offset, bytes))
}

/// The states that an entry's buffers name, perhaps more than once.
fn states_of(entry: &EntryPlan) -> impl Iterator<Item = usize> {
    entry.buffers.iter().filter_map(|buffer| match buffer.place {
        Place::State(i) => Some(i as usize),
        _ => None,
    })
}

/// The first elements of a tensor whose counted dims are now known.
fn cut(output: Tensor, shape: Option<Vec<usize>>) -> Tensor {
    let Some(shape) = shape.filter(|shape| shape != output.shape()) else { return output };
    let elements = shape.iter().product::<usize>() as i64;
    let bytes = output.dtype().bytes_for(elements).expect("fewer than the output has") as usize;
    Tensor::new(output.dtype(), shape, &output.bytes()[..bytes]).expect("no more than the output has")
}

fn refusal(shared: &Shared, stop: Stop) -> RunError {
    let artifact = shared.program.artifact();
    match stop {
        Stop::Index { index, place, extent, negative, source } => {
            let least = if negative { -extent } else { 0 };
            let message = format!("index {index} at position {place} is outside {least}..{extent}");
            RunError::new("MDL0703", message).at(&artifact.meta, source)
        }
        Stop::Count { count, slot } => {
            let name = match artifact.plan.slots.def(slot) {
                SlotDef::Counted { name, .. } | SlotDef::Given { name, .. } | SlotDef::Counter { name, .. } => name,
                _ => "a count",
            };
            RunError::new("MDL0709", format!("the model cannot run: {name} = {count} is beyond its bound"))
        }
        Stop::Scratch => RunError::new("MDL0709", "the model cannot run: a kernel needs more scratch than was planned"),
    }
}
