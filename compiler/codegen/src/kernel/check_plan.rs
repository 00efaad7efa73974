//! The session check of a plan, whenever sizes change.
//!
//! A loop's counter is the interval of all its values, slots derived from it are the intervals that follow, and a family
//! counts as its smallest member, so one visit of each step covers every iteration. A counted slot is a point, its upper
//! bound, until its `Count` step, and `0..=bound` after it. What passes both `verify_plan` and this may be run as machine
//! code without further checks.

use super::verify_plan::PlanVerifier;
use super::{Argument, Call, Condition, EntryPlan, Plan, PlanBuffer, PlanError, Step, check_call};
use crate::base::{DType, Dim, Interval, Slot, SlotDef, Storage};

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
