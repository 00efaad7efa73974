//! The session check of a plan: static facts once at load (`verify_plan`), sizes whenever they change (`check_plan`).
//!
//! A loop's counter is the interval of all its values, slots derived from it are the intervals that follow, and a family
//! counts as its smallest member, so one visit of each step covers every iteration. A counted slot is a point, its upper
//! bound, until its `Count` step, and `0..=bound` after it. What passes both may be run as machine code without further checks.

use super::{
    Argument, BufferDef, BufferId, Call, Condition, EntryPlan, KernelId, Place, Plan, PlanBuffer, Role, Step,
    VerifyError, check_call, in_place, verify,
};
use crate::base::{DType, Dim, Interval, Slot, SlotDef, Storage};

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
            SlotDef::Given { .. } => true,
            SlotDef::Counted { most: dim, .. } | SlotDef::Counter { trips: dim, .. } => earlier(dim),
            SlotDef::Floor(dim, divisor) => earlier(dim) && *divisor > 0,
            SlotDef::Quotient(a, b) | SlotDef::Max(a, b) | SlotDef::Min(a, b) => earlier(a) && earlier(b),
        };
        if !fine {
            return Err(PlanError::BadSlot(slot));
        }
    }
    plan.entries.iter().try_for_each(|entry| PlanVerifier { plan, entry }.entry())
}

struct PlanVerifier<'a> {
    plan: &'a Plan,
    entry: &'a EntryPlan,
}

impl PlanVerifier<'_> {
    fn entry(&self) -> Result<(), PlanError> {
        for (i, def) in self.entry.buffers.iter().enumerate() {
            self.buffer(PlanBuffer(i as u32), def)?;
        }
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

/// Checks an entry for one size block: everything that `verify_plan` checks of its steps, and every access that these
/// sizes can reach. `bytes` are the lengths of the entry's buffers; the plan's kernels have passed `verify`; `device`
/// answers device words.
pub fn check_plan(
    plan: &Plan,
    entry: &EntryPlan,
    sizes: &[i64],
    bytes: &[i64],
    device: &dyn Fn(&str) -> bool,
) -> Result<(), PlanError> {
    if sizes.len() != plan.slots.len() || bytes.len() != entry.buffers.len() {
        return Err(PlanError::Size);
    }
    PlanVerifier { plan, entry }.entry()?;
    let ranges = sizes.iter().map(|size| Interval::point(*size)).collect();
    PlanCheck { plan, entry, bytes, ranges, device }.steps(&entry.steps)
}

struct PlanCheck<'a> {
    plan: &'a Plan,
    entry: &'a EntryPlan,
    bytes: &'a [i64],
    ranges: Vec<Interval>,
    device: &'a dyn Fn(&str) -> bool,
}

impl PlanCheck<'_> {
    fn steps(&mut self, steps: &[Step]) -> Result<(), PlanError> {
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &Step) -> Result<(), PlanError> {
        match step {
            Step::Call(call) => self.call(call),
            Step::Copy { from, to, bytes } => {
                let bytes = self.count(bytes)?;
                self.holds(from, bytes)?;
                self.holds(to, bytes)
            }
            Step::Check(check) => {
                let count = self.count(&check.count)?;
                self.range(&check.extent)?;
                if !(0..check.columns).contains(&check.column) {
                    return Err(PlanError::BadColumn);
                }
                let width = if self.wide(&check.indices) { 8 } else { 4 };
                self.holds(&check.indices, count.checked_mul(width).ok_or(PlanError::Size)?)
            }
            Step::Count { slot, from } => {
                self.holds(&Argument::Buffer(*from), 8)?;
                let most = self.ranges[slot.0 as usize].hi;
                self.ranges[slot.0 as usize] = Interval { lo: 0, hi: most.max(0) };
                self.derive(*slot)
            }
            Step::Loop { counter, trips, condition, body } => {
                condition.iter().try_for_each(|flag| self.holds(flag, 1))?;
                let Some(turns) = Interval::of_extent(self.range(trips)?.hi) else { return Ok(()) };
                let outside = self.ranges.clone();
                self.ranges[counter.0 as usize] = turns;
                self.derive(*counter)?;
                // A count inside the loop is known to be a range from the second iteration on: settle it first.
                self.widen_counts(body)?;
                self.steps(body)?;
                for (slot, def) in self.plan.slots.iter() {
                    if !matches!(def, SlotDef::Counted { .. }) {
                        self.ranges[slot.0 as usize] = outside[slot.0 as usize];
                    }
                }
                self.derive(*counter)
            }
            Step::Branch { flag, then, otherwise } => {
                self.holds(flag, 1)?;
                self.widen_counts(then)?;
                self.widen_counts(otherwise)?;
                self.steps(then)?;
                self.steps(otherwise)
            }
        }
    }

    fn widen_counts(&mut self, steps: &[Step]) -> Result<(), PlanError> {
        for step in steps {
            match step {
                Step::Count { slot, .. } => {
                    let most = self.ranges[slot.0 as usize].hi;
                    self.ranges[slot.0 as usize] = Interval { lo: 0, hi: most.max(0) };
                    self.derive(*slot)?;
                }
                Step::Loop { body, .. } => self.widen_counts(body)?,
                Step::Branch { then, otherwise, .. } => {
                    self.widen_counts(then)?;
                    self.widen_counts(otherwise)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The ranges of the slots that are derived from `changed` or later ones.
    fn derive(&mut self, changed: Slot) -> Result<(), PlanError> {
        self.plan.slots.rederive(changed, &mut self.ranges).ok_or(PlanError::Size)
    }

    fn range(&self, dim: &Dim) -> Result<Interval, PlanError> {
        dim.range(&self.ranges).ok_or(PlanError::Size)
    }

    /// The greatest value of a dim that may not be negative.
    fn count(&self, dim: &Dim) -> Result<i64, PlanError> {
        let range = self.range(dim)?;
        if range.lo < 0 { Err(PlanError::Size) } else { Ok(range.hi) }
    }

    fn least(&self, argument: &Argument) -> i64 {
        argument.members().iter().map(|member| self.bytes[member.0 as usize]).min().unwrap_or(0)
    }

    fn holds(&self, argument: &Argument, bytes: i64) -> Result<(), PlanError> {
        if self.least(argument) < bytes { Err(PlanError::TooSmall(argument.members()[0])) } else { Ok(()) }
    }

    /// Whether a buffer of indices holds i64; what is not i32 counts as such.
    fn wide(&self, argument: &Argument) -> bool {
        let i32s = |member: &PlanBuffer| self.entry.buffers[member.0 as usize].storage == Storage::Plain(DType::I32);
        !argument.members().iter().all(i32s)
    }

    fn call(&self, call: &Call) -> Result<(), PlanError> {
        let bytes: Vec<i64> = call.arguments.iter().map(|argument| self.least(argument)).collect();
        for variant in &call.variants {
            let verdicts: Vec<Option<bool>> = variant.guard.iter().map(|c| self.verdict(c)).collect();
            if verdicts.contains(&Some(false)) {
                continue;
            }
            let kernel = &self.plan.kernels[variant.kernel.0 as usize];
            check_call(kernel, &self.ranges, &bytes).map_err(|error| PlanError::Kernel(variant.kernel, error))?;
            if verdicts.iter().all(|verdict| *verdict == Some(true)) {
                return Ok(());
            }
        }
        Err(PlanError::NoVariant)
    }

    /// Whether a condition holds in all (`Some(true)`), none (`Some(false)`) or some of the ranges.
    fn verdict(&self, condition: &Condition) -> Option<bool> {
        match condition {
            Condition::Device(word) => Some((self.device)(word)),
            Condition::AtMost(dim, limit) => match dim.range(&self.ranges)? {
                r if r.hi <= *limit => Some(true),
                r if r.lo > *limit => Some(false),
                _ => None,
            },
            Condition::MultipleOf(dim, factor) => {
                let r = dim.range(&self.ranges)?;
                (r.lo == r.hi).then(|| r.lo % factor == 0)
            }
        }
    }
}
