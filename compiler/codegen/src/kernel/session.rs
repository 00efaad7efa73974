//! The check of a whole entry: run when the size block changes, never per call.
//!
//! A loop's counter is the interval of all its values, and a family counts as its smallest member, so one visit of each
//! call covers every iteration. What passes here may be run as machine code without further checks.

use super::*;
use crate::base::{DType, Dim, Interval, Slot, SlotDef, Storage};

/// What is wrong with a plan, as data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A kernel number beyond the plan's.
    #[error("there is no kernel {0:?}")]
    UnknownKernel(KernelId),
    /// A buffer number beyond the entry's.
    #[error("there is no buffer {0:?}")]
    UnknownBuffer(PlanBuffer),
    /// A call passes another number of buffers than its kernel has, or of another storage.
    #[error("a call of kernel {0:?} passes other buffers than it takes")]
    Arguments(KernelId),
    /// A buffer that a call writes is an input or a constant, or is passed to it twice.
    #[error("a call writes buffer {0:?}, which it may not")]
    Written(PlanBuffer),
    /// A family that is empty or is selected by a slot that no enclosing loop counts.
    #[error("a family is selected by no loop")]
    BadFamily,
    /// No guard is sure to hold for these sizes.
    #[error("no variant of a kernel fits these sizes")]
    NoVariant,
    /// A slot beyond the size block.
    #[error("there is no slot {0:?}")]
    NotASlot(Slot),
    /// Arithmetic on sizes left 64 bits.
    #[error("a size does not fit in 64 bits")]
    Overflow,
    /// A copy, check or count that leaves its buffer.
    #[error("a step reaches beyond buffer {0:?}")]
    Reach(PlanBuffer),
    /// A call that leaves its buffers.
    #[error("kernel {0:?}: {1}")]
    Kernel(KernelId, VerifyError),
}

/// Checks every step that these sizes can reach. `bytes` are the sizes of the entry's buffers.
pub fn check_plan(
    plan: &Plan,
    entry: &EntryPlan,
    sizes: &[i64],
    bytes: &[i64],
    device: &dyn Fn(&str) -> bool,
) -> Result<(), PlanError> {
    let ranges = sizes.iter().map(|s| Interval::point(*s)).collect();
    Check { plan, entry, bytes, device, ranges, counters: vec![] }.steps(&entry.steps)
}

struct Check<'p> {
    plan: &'p Plan,
    entry: &'p EntryPlan,
    bytes: &'p [i64],
    device: &'p dyn Fn(&str) -> bool,
    ranges: Vec<Interval>,
    counters: Vec<Slot>,
}

impl Check<'_> {
    fn steps(&mut self, steps: &[Step]) -> Result<(), PlanError> {
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &Step) -> Result<(), PlanError> {
        match step {
            Step::Call(call) => self.call(call),
            Step::Copy { from, to, bytes } => {
                let need = self.range(bytes)?.hi;
                self.holds(from, need)?;
                self.writable(to)?;
                self.holds(to, need)
            }
            Step::Check(check) => {
                let wide = self.elements_of(&check.indices, &[DType::I64, DType::I32])?;
                self.range(&check.extent)?;
                if !(0..check.columns).contains(&check.column) {
                    return Err(PlanError::Reach(check.indices.members()[0]));
                }
                let need = self.range(&check.count)?.hi.checked_mul(wide).ok_or(PlanError::Overflow)?;
                self.holds(&check.indices, need)
            }
            Step::Count { slot, from } => {
                let argument = Argument::Buffer(*from);
                self.elements_of(&argument, &[DType::I64])?;
                self.holds(&argument, 8)?;
                self.counted(*slot)
            }
            Step::Loop { counter, trips, condition, body } => {
                self.ranges.get(counter.0 as usize).ok_or(PlanError::NotASlot(*counter))?;
                let Some(turns) = Interval::of_extent(self.range(trips)?.hi) else { return Ok(()) };
                let outside = self.ranges.clone();
                self.ranges[counter.0 as usize] = turns;
                self.plan.slots.rederive(*counter, &mut self.ranges).ok_or(PlanError::Overflow)?;
                self.counters.push(*counter);
                if let Some(flag) = condition {
                    self.flag(flag)?;
                }
                self.steps(body)?;
                self.counters.pop();
                self.ranges = outside;
                Ok(())
            }
            Step::Branch { flag, then, otherwise } => {
                self.flag(flag)?;
                self.steps(then)?;
                self.steps(otherwise)
            }
        }
    }

    /// From here on the slot is anything up to its bound, and derived slots follow.
    fn counted(&mut self, slot: Slot) -> Result<(), PlanError> {
        if slot.0 as usize >= self.ranges.len() {
            return Err(PlanError::NotASlot(slot));
        }
        let SlotDef::Counted { most, .. } = self.plan.slots.def(slot) else { return Err(PlanError::NotASlot(slot)) };
        let most = self.range(most)?.hi.max(0);
        self.ranges[slot.0 as usize] = Interval { lo: 0, hi: most };
        self.plan.slots.rederive(slot, &mut self.ranges).ok_or(PlanError::Overflow)
    }

    fn range(&self, dim: &Dim) -> Result<Interval, PlanError> {
        dim.range(&self.ranges).ok_or(PlanError::Overflow)
    }

    fn members<'a>(&self, argument: &'a Argument) -> Result<&'a [PlanBuffer], PlanError> {
        let members = argument.members();
        if let Argument::Family(family) = argument
            && (members.is_empty() || !self.counters.contains(&family.counter))
        {
            return Err(PlanError::BadFamily);
        }
        match members.iter().find(|b| b.0 as usize >= self.bytes.len()) {
            Some(buffer) => Err(PlanError::UnknownBuffer(*buffer)),
            None => Ok(members),
        }
    }

    fn least(&self, argument: &Argument) -> Result<i64, PlanError> {
        let members = self.members(argument)?.iter();
        Ok(members.map(|b| self.bytes[b.0 as usize]).min().expect("a family has members"))
    }

    fn holds(&self, argument: &Argument, bytes: i64) -> Result<(), PlanError> {
        if self.least(argument)? < bytes || bytes < 0 {
            return Err(PlanError::Reach(argument.members()[0]));
        }
        Ok(())
    }

    fn writable(&self, argument: &Argument) -> Result<(), PlanError> {
        let fixed =
            |b: &&PlanBuffer| matches!(self.entry.buffers[b.0 as usize].place, Place::Input(_) | Place::Constant(_));
        match self.members(argument)?.iter().find(fixed) {
            Some(buffer) => Err(PlanError::Written(*buffer)),
            None => Ok(()),
        }
    }

    /// Bytes of an element, when the argument is plain and of one of the types.
    fn elements_of(&self, argument: &Argument, types: &[DType]) -> Result<i64, PlanError> {
        let first = self.members(argument)?[0];
        match self.entry.buffers[first.0 as usize].storage {
            Storage::Plain(dtype) if types.contains(&dtype) => Ok(i64::from(dtype.bits() / 8)),
            _ => Err(PlanError::Reach(first)),
        }
    }

    fn flag(&self, argument: &Argument) -> Result<(), PlanError> {
        self.elements_of(argument, &[DType::Bool])?;
        self.holds(argument, 1)
    }

    fn call(&self, call: &Call) -> Result<(), PlanError> {
        let bytes = call.arguments.iter().map(|a| self.least(a)).collect::<Result<Vec<i64>, _>>()?;
        for variant in &call.variants {
            let verdicts: Vec<Option<bool>> = variant.guard.iter().map(|c| self.verdict(c)).collect();
            if verdicts.contains(&Some(false)) {
                continue;
            }
            let id = variant.kernel;
            let kernel = self.plan.kernels.get(id.0 as usize).ok_or(PlanError::UnknownKernel(id))?;
            self.arguments(id, kernel, &call.arguments)?;
            check_call(kernel, &self.ranges, &bytes).map_err(|e| PlanError::Kernel(id, e))?;
            if verdicts.iter().all(|v| *v == Some(true)) {
                return Ok(());
            }
        }
        Err(PlanError::NoVariant)
    }

    /// Storage is as the kernel says, and what it writes is writable and passed once.
    fn arguments(&self, id: KernelId, kernel: &Kernel, arguments: &[Argument]) -> Result<(), PlanError> {
        if kernel.buffers.len() != arguments.len() {
            return Err(PlanError::Arguments(id));
        }
        for (i, (buffer, argument)) in kernel.buffers.iter().zip(arguments).enumerate() {
            let members = self.members(argument)?;
            if members.iter().any(|b| self.entry.buffers[b.0 as usize].storage != buffer.storage) {
                return Err(PlanError::Arguments(id));
            }
            if buffer.role == Role::Read {
                continue;
            }
            self.writable(argument)?;
            let again = arguments.iter().enumerate().any(|(j, other)| i != j && other == argument);
            if again {
                return Err(PlanError::Written(members[0]));
            }
        }
        Ok(())
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
                (r.lo == r.hi && *factor > 0).then(|| r.lo % factor == 0)
            }
        }
    }
}
