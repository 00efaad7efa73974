//! The verifier of plans: everything that needs no sizes, once at load. What depends on sizes is `check_plan`'s.
//!
//! Slots are defined by earlier ones, every number names something, calls pass the buffers that their kernels take, only
//! loops' counters select members of families, and nothing writes what may only be read.

use super::{
    Argument, BufferDef, BufferId, Call, Condition, EntryPlan, KernelId, Place, Plan, PlanBuffer, Role, Step,
    VerifyError, in_place, verify,
};
use crate::base::{Dim, Slot, SlotDef};

/// What is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No such kernel.
    #[error("kernel {0:?} does not exist")]
    UnknownKernel(KernelId),
    /// No such buffer, input, output, constant or state.
    #[error("buffer {0:?} does not exist or lies nowhere")]
    UnknownBuffer(PlanBuffer),
    /// A slot outside the table, or of another kind than the step needs.
    #[error("slot {0:?} is not what the step needs")]
    BadSlot(Slot),
    /// A call passes another number of buffers than its kernel has, or of another storage.
    #[error("a call passes other buffers than kernel {0:?} takes")]
    Arguments(KernelId),
    /// A family that is empty or is selected by a slot that no enclosing loop counts.
    #[error("a family has no members or no loop")]
    BadFamily,
    /// A step writes what may only be read: an input or a constant.
    #[error("a step writes buffer {0:?}, which may only be read")]
    ReadOnly(PlanBuffer),
    /// One buffer for a written and a read parameter whose accesses differ.
    #[error("kernel {0:?} reads and overwrites one buffer at different places")]
    Aliased(KernelId),
    /// A divisor of a guard below 1.
    #[error("a guard divides by a number below 1")]
    BadGuard,
    /// An index check of a column beyond its columns.
    #[error("a check of indices names a column that does not exist")]
    BadColumn,
    /// No guard is sure to hold for these sizes.
    #[error("no variant of a call is sure to fit these sizes")]
    NoVariant,
    /// Sizes that leave 64 bits or are negative.
    #[error("a size is negative or too large")]
    Size,
    /// A buffer larger than the place it lies in, or a step that needs more than it holds.
    #[error("buffer {0:?} is too small")]
    TooSmall(PlanBuffer),
    /// A kernel that does not pass.
    #[error("kernel {0:?}: {1}")]
    Kernel(KernelId, VerifyError),
}

/// Checks everything that needs no sizes, kernels included.
pub fn verify_plan(plan: &Plan) -> Result<(), PlanError> {
    for (i, kernel) in plan.kernels.iter().enumerate() {
        verify(kernel, plan.slots.len() as u32).map_err(|error| PlanError::Kernel(KernelId(i as u32), error))?;
    }
    for (slot, def) in plan.slots.iter() {
        let earlier = |dim: &Dim| dim.highest_slot().is_none_or(|highest| highest < slot);
        let fine = match def {
            SlotDef::Given { lo, hi, .. } => lo <= hi,
            SlotDef::Counted { most: dim, .. } | SlotDef::Counter { trips: dim, .. } => earlier(dim),
            SlotDef::Floor(dim, divisor) => earlier(dim) && *divisor > 0,
            SlotDef::Quotient(a, b) | SlotDef::Max(a, b) | SlotDef::Min(a, b) => earlier(a) && earlier(b),
        };
        if !fine {
            return Err(PlanError::BadSlot(slot));
        }
    }
    let unknown = |dim: &&Dim| dim.highest_slot().is_some_and(|slot| slot.0 as usize >= plan.slots.len());
    if let Some(dim) = plan.states.iter().flat_map(|state| &state.dims).find(unknown) {
        return Err(PlanError::BadSlot(dim.highest_slot().expect("an unknown one")));
    }
    plan.entries.iter().try_for_each(|entry| PlanVerifier { plan, entry }.entry())
}

pub(super) struct PlanVerifier<'a> {
    pub(super) plan: &'a Plan,
    pub(super) entry: &'a EntryPlan,
}

impl PlanVerifier<'_> {
    /// Everything of an entry that needs no sizes.
    pub(super) fn entry(&self) -> Result<(), PlanError> {
        for (i, def) in self.entry.buffers.iter().enumerate() {
            self.buffer(PlanBuffer(i as u32), def)?;
        }
        let ports = self.entry.inputs.iter().chain(&self.entry.outputs);
        ports.flat_map(|port| &port.dims).try_for_each(|dim| self.dim(dim))?;
        let sizes = self.entry.sizes.iter();
        sizes.map(|(_, slot)| *slot).try_for_each(|s| self.slot(s, |def| matches!(def, SlotDef::Given { .. })))?;
        self.dim(&self.entry.arena)?;
        self.entry.guards.iter().try_for_each(|guard| self.dim(&guard.at_least_zero))?;
        self.steps(&self.entry.steps, &mut vec![])
    }

    fn dim(&self, dim: &Dim) -> Result<(), PlanError> {
        match dim.highest_slot() {
            Some(slot) if slot.0 as usize >= self.plan.slots.len() => Err(PlanError::BadSlot(slot)),
            _ => Ok(()),
        }
    }

    fn buffer(&self, id: PlanBuffer, def: &BufferDef) -> Result<(), PlanError> {
        self.dim(&def.elements)?;
        let exists = |i: u32, len: usize| (i as usize) < len;
        let fine = match &def.place {
            Place::Input(i) => exists(*i, self.entry.inputs.len()),
            Place::Output(i) => exists(*i, self.entry.outputs.len()),
            Place::Constant(i) => exists(*i, self.plan.constants.len()),
            Place::State(i) => exists(*i, self.plan.states.len()),
            Place::Arena { offset } => return self.dim(offset),
        };
        if fine { Ok(()) } else { Err(PlanError::UnknownBuffer(id)) }
    }

    fn argument(&self, argument: &Argument, counters: &[Slot], written: bool) -> Result<(), PlanError> {
        if let Argument::Family(family) = argument
            && (family.members.is_empty() || !counters.contains(&family.counter))
        {
            return Err(PlanError::BadFamily);
        }
        for member in argument.members() {
            let def = self.entry.buffers.get(member.0 as usize).ok_or(PlanError::UnknownBuffer(*member))?;
            if written && matches!(def.place, Place::Input(_) | Place::Constant(_)) {
                return Err(PlanError::ReadOnly(*member));
            }
        }
        Ok(())
    }

    fn steps(&self, steps: &[Step], counters: &mut Vec<Slot>) -> Result<(), PlanError> {
        steps.iter().try_for_each(|step| match step {
            Step::Call(call) => self.call(call, counters),
            Step::Copy { from, to, bytes } => {
                self.argument(from, counters, false)?;
                self.argument(to, counters, true)?;
                self.dim(bytes)
            }
            Step::Check(check) => {
                self.argument(&check.indices, counters, false)?;
                self.dim(&check.count)?;
                self.dim(&check.extent)
            }
            Step::Count { slot, from } => {
                self.argument(&Argument::Buffer(*from), counters, false)?;
                self.slot(*slot, |def| matches!(def, SlotDef::Counted { .. }))
            }
            Step::Loop { counter, trips, condition, body } => {
                self.slot(*counter, |def| matches!(def, SlotDef::Counter { .. }))?;
                if counters.contains(counter) {
                    return Err(PlanError::BadSlot(*counter));
                }
                self.dim(trips)?;
                counters.push(*counter);
                condition.iter().try_for_each(|argument| self.argument(argument, counters, false))?;
                self.steps(body, counters)?;
                counters.pop();
                Ok(())
            }
            Step::Branch { flag, then, otherwise } => {
                self.argument(flag, counters, false)?;
                self.steps(then, counters)?;
                self.steps(otherwise, counters)
            }
        })
    }

    fn slot(&self, slot: Slot, kind: impl Fn(&SlotDef) -> bool) -> Result<(), PlanError> {
        let exists = (slot.0 as usize) < self.plan.slots.len();
        if exists && kind(self.plan.slots.def(slot)) { Ok(()) } else { Err(PlanError::BadSlot(slot)) }
    }

    fn call(&self, call: &Call, counters: &[Slot]) -> Result<(), PlanError> {
        for variant in &call.variants {
            let id = variant.kernel;
            let kernel = self.plan.kernels.get(id.0 as usize).ok_or(PlanError::UnknownKernel(id))?;
            if kernel.buffers.len() != call.arguments.len() {
                return Err(PlanError::Arguments(id));
            }
            for condition in &variant.guard {
                match condition {
                    Condition::AtMost(dim, _) => self.dim(dim)?,
                    Condition::MultipleOf(_, factor) if *factor < 1 => return Err(PlanError::BadGuard),
                    Condition::MultipleOf(dim, _) => self.dim(dim)?,
                    Condition::Device(_) => {}
                }
            }
            for (buffer, argument) in kernel.buffers.iter().zip(&call.arguments) {
                self.argument(argument, counters, buffer.role != Role::Read)?;
                let mut members = argument.members().iter().map(|member| self.entry.buffers[member.0 as usize].storage);
                if members.any(|storage| storage != buffer.storage) {
                    return Err(PlanError::Arguments(id));
                }
            }
            let roles = || (0..).map(BufferId).zip(&kernel.buffers).zip(&call.arguments);
            for ((written, _), target) in roles().filter(|((_, b), _)| b.role != Role::Read) {
                for ((read, _), source) in roles().filter(|((_, b), _)| b.role == Role::Read) {
                    if may_meet(target, source) && !in_place(kernel, written, read) {
                        return Err(PlanError::Aliased(id));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether two arguments may be the same buffer in one iteration.
fn may_meet(a: &Argument, b: &Argument) -> bool {
    match (a, b) {
        (Argument::Family(x), Argument::Family(y)) if x.counter == y.counter && x.members.len() == y.members.len() => {
            let len = x.members.len() as i64;
            let at = |f: &super::Family, turn: i64| f.members[(turn + f.ahead).rem_euclid(len) as usize];
            (0..len).any(|turn| at(x, turn) == at(y, turn))
        }
        _ => a.members().iter().any(|member| b.members().contains(member)),
    }
}
