//! The session check for sizes of one's choice, on buffers that are as large as the plan says: nothing is allocated or run.

use super::Cpu;
use crate::artifact::Artifact;
use mlc_codegen::base::{DType, Dim};
use mlc_codegen::kernel::{EntryPlan, Place, PlanError, check_plan, verify_plan};

/// Bytes that a call takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallMemory {
    /// For intermediate values.
    pub arena: u64,
    /// For inputs and outputs.
    pub tensors: u64,
    /// For the states that it uses.
    pub states: u64,
}

/// What is checked before a model's code is made: everything that needs no sizes.
///
/// # Errors
/// What is wrong with the plan, or with a kernel.
pub fn check_model(artifact: &Artifact) -> Result<(), PlanError> {
    verify_plan(&artifact.plan)
}

/// What a session checks before the first call with a size block: that no access leaves its buffer. `block` is filled;
/// the model has passed [`check_model`].
///
/// # Errors
/// An access, or a size, that goes too far.
pub fn check_sizes(artifact: &Artifact, entry: &EntryPlan, block: &[i64], cpu: Cpu) -> Result<CallMemory, PlanError> {
    let plan = &artifact.plan;
    let tensor = |dtype: DType, dims: &[Dim]| {
        let shape: Option<Vec<usize>> = dims.iter().map(|dim| usize::try_from(dim.eval(block)?).ok()).collect();
        let elements = crate::tensor::element_count(&shape?)?;
        dtype.bytes_for(i64::try_from(elements).ok()?)
    };
    let arena = entry.arena.eval(block).and_then(|bytes| u64::try_from(bytes).ok()).ok_or(PlanError::Size)?;
    let mut memory = CallMemory { arena, ..CallMemory::default() };
    let mut bytes = Vec::with_capacity(entry.buffers.len());
    let mut states = vec![0; plan.states.len()];
    for buffer in &entry.buffers {
        let long = match &buffer.place {
            Place::Input(i) => entry.inputs.get(*i as usize).and_then(|port| tensor(port.dtype, &port.dims)),
            Place::Output(i) => entry.outputs.get(*i as usize).and_then(|port| tensor(port.dtype, &port.dims)),
            Place::Constant(i) => {
                artifact.constants().get(*i as usize).and_then(|constant| i64::try_from(constant.bytes().len()).ok())
            }
            Place::State(i) => plan.states.get(*i as usize).and_then(|state| tensor(state.dtype, &state.dims)),
            Place::Arena { offset } => {
                let own = buffer.elements.eval(block).and_then(|count| buffer.storage.bytes_for(count));
                let start = offset.eval(block).filter(|start| *start >= 0 && start % 64 == 0);
                let end = start.zip(own).and_then(|(start, own)| start.checked_add(own));
                own.filter(|own| *own >= 0 && end.is_some_and(|end| end as u64 <= arena))
            }
        };
        let long = long.ok_or(PlanError::Size)?;
        if let Place::State(i) = buffer.place {
            states[i as usize] = long as u64;
        }
        bytes.push(long);
    }
    check_plan(plan, entry, block, &bytes, &|word| cpu.has(word))?;
    let ports = entry.inputs.iter().chain(&entry.outputs).filter_map(|port| tensor(port.dtype, &port.dims));
    memory.tensors = ports.fold(0, |sum: u64, bytes| sum.saturating_add(bytes as u64));
    memory.states = states.into_iter().fold(0, u64::saturating_add);
    Ok(memory)
}
