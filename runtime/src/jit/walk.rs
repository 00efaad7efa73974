//! The walk over an entry's steps.

use super::code::Code;
use crate::pool::Pool;
use mlc_codegen::base::{DType, Slot, SlotDef, Storage};
use mlc_codegen::kernel::{
    Argument, Call, EntryPlan, IndexCheck, Kernel, Plan, PlanBuffer, PlanError, Step, check_plan,
};
use std::cell::RefCell;
use std::marker::PhantomData;

/// Bytes that a plan's buffer stands for, borrowed for as long as this lives.
#[derive(Clone, Copy)]
pub(crate) struct Region<'a> {
    start: *mut u8,
    bytes: usize,
    lifetime: PhantomData<&'a mut [u8]>,
}

// SAFETY: a region is a borrow; parts on other threads use it only while the walk that was given it has not returned.
unsafe impl Sync for Region<'_> {}

impl<'a> Region<'a> {
    /// Bytes that are only read: what `check_plan` calls inputs and constants.
    pub(crate) fn shared(bytes: &'a [u8]) -> Self {
        Region { start: bytes.as_ptr().cast_mut(), bytes: bytes.len(), lifetime: PhantomData }
    }

    /// Bytes that kernels may write.
    pub(crate) fn exclusive(bytes: &'a mut [u8]) -> Self {
        Region { start: bytes.as_mut_ptr(), bytes: bytes.len(), lifetime: PhantomData }
    }

    /// A part of it; `None` when it does not lie inside.
    pub(crate) fn part(self, offset: usize, bytes: usize) -> Option<Self> {
        let end = offset.checked_add(bytes)?;
        // SAFETY: the offset lies inside the region.
        (end <= self.bytes).then(|| Region { start: unsafe { self.start.add(offset) }, bytes, ..self })
    }
}

/// The proof that an entry stays inside its buffers for one size block.
pub(crate) struct Checked {
    sizes: Vec<i64>,
    bytes: Vec<i64>,
}

impl Checked {
    /// Makes the proof. `bytes` are the lengths of the entry's buffers.
    pub(crate) fn new(plan: &Plan, entry: &EntryPlan, sizes: &[i64], bytes: Vec<i64>) -> Result<Self, PlanError> {
        check_plan(plan, entry, sizes, &bytes, &device)?;
        Ok(Checked { sizes: sizes.to_vec(), bytes })
    }

    /// The size block it was made for.
    pub(crate) fn sizes(&self) -> &[i64] {
        &self.sizes
    }
}

fn device(word: &str) -> bool {
    word == "cpu"
}

/// Why a walk stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// An index outside its axis.
    Index {
        /// What was found.
        index: i64,
        /// Where in the indices, in row-major order.
        place: usize,
        /// The axis has so many positions.
        extent: i64,
        /// The entry of the source table.
        source: u32,
    },
    /// A count that a kernel made leaves its bound.
    Count,
    /// There is no memory for what a kernel needs between its passes.
    Memory,
}

/// Runs an entry of the plan that `checked` was made from and that `code` was compiled from. `regions` are its buffers.
/// Gives the size block as it ends, counted slots included.
///
/// # Panics
/// When a region is shorter than was checked.
pub(crate) fn walk(
    code: &Code,
    plan: &Plan,
    entry: &EntryPlan,
    checked: &Checked,
    regions: &[Region],
    pool: &Pool,
) -> Result<Vec<i64>, Stop> {
    assert_eq!(regions.len(), checked.bytes.len(), "one region for each buffer");
    let long = regions.iter().zip(&checked.bytes).all(|(region, bytes)| region.bytes as i64 >= *bytes);
    assert!(long, "no region is shorter than was checked");
    let mut walk = Walk { code, plan, entry, regions, pool, sizes: checked.sizes.clone() };
    walk.steps(&entry.steps)?;
    Ok(walk.sizes)
}

struct Walk<'w> {
    code: &'w Code,
    plan: &'w Plan,
    entry: &'w EntryPlan,
    regions: &'w [Region<'w>],
    pool: &'w Pool,
    sizes: Vec<i64>,
}

impl Walk<'_> {
    fn steps(&mut self, steps: &[Step]) -> Result<(), Stop> {
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &Step) -> Result<(), Stop> {
        match step {
            Step::Call(call) => self.call(call)?,
            Step::Copy { from, to, bytes } => {
                let bytes = bytes.eval(&self.sizes).expect("checked") as usize;
                let (from, to) = (self.region(from), self.region(to));
                // SAFETY: both regions hold so many bytes, as was checked; `copy` allows that they overlap.
                unsafe { std::ptr::copy(from.start, to.start, bytes) };
            }
            Step::Check(check) => self.check(check)?,
            Step::Count { slot, from } => self.count(*slot, *from)?,
            Step::Loop { counter, trips, condition, body } => {
                let trips = trips.eval(&self.sizes).expect("checked");
                for turn in 0..trips {
                    self.turn(*counter, turn);
                    if condition.as_ref().is_some_and(|flag| !self.flag(flag)) {
                        break;
                    }
                    self.steps(body)?;
                }
                self.turn(*counter, 0);
            }
            Step::Branch { flag, then, otherwise } => {
                let steps = if self.flag(flag) { then } else { otherwise };
                self.steps(steps)?;
            }
        }
        Ok(())
    }

    /// Sets a counter and what is derived from it.
    fn turn(&mut self, counter: Slot, turn: i64) {
        self.sizes[counter.0 as usize] = turn;
        self.plan.slots.refill(counter, &mut self.sizes).expect("no derived size overflows, as was checked");
    }

    fn region(&self, argument: &Argument) -> Region<'_> {
        self.regions[argument.resolve(&self.sizes).0 as usize]
    }

    fn call(&self, call: &Call) -> Result<(), Stop> {
        let kernel = call.choose(&self.sizes, &device).expect("a variant fits, as was checked");
        let (entry, scratch) = self.code.entry(kernel.0 as usize);
        let work = work_of(&self.plan.kernels[kernel.0 as usize], &self.sizes);
        let parts = if work < SMALL { 1 } else { self.pool.threads() };
        let each = scratch.eval(&self.sizes).and_then(|bytes| usize::try_from(bytes).ok()).ok_or(Stop::Memory)?;
        let bytes = each.checked_mul(parts).ok_or(Stop::Memory)?;
        SCRATCH.with_borrow_mut(|memory| {
            let words = bytes.div_ceil(8);
            if memory.len() < words {
                memory.try_reserve(words - memory.len()).map_err(|_| Stop::Memory)?;
                memory.resize(words, 0);
            }
            let mut buffers: Vec<*mut u8> = call.arguments.iter().map(|a| self.region(a).start).collect();
            buffers.push(memory.as_mut_ptr().cast());
            let job = Job { entry, buffers: &buffers, sizes: &self.sizes };
            match parts {
                1 => job.run(0, 1),
                parts => self.pool.run(parts, &|part| job.run(part, parts)),
            }
            Ok(())
        })
    }

    /// An element of an i64 or i32 buffer that was checked to hold it.
    fn integer(&self, argument: &Argument, place: usize) -> i64 {
        let buffer = argument.resolve(&self.sizes);
        let at = self.regions[buffer.0 as usize].start;
        match self.entry.buffers[buffer.0 as usize].storage {
            // SAFETY: the buffer holds the element, as was checked.
            Storage::Plain(DType::I64) => unsafe { at.cast::<i64>().add(place).read_unaligned() },
            // SAFETY: likewise; the check allows no other type.
            _ => i64::from(unsafe { at.cast::<i32>().add(place).read_unaligned() }),
        }
    }

    fn flag(&self, argument: &Argument) -> bool {
        // SAFETY: the buffer holds a byte, as was checked.
        unsafe { self.region(argument).start.read() != 0 }
    }

    fn check(&self, check: &IndexCheck) -> Result<(), Stop> {
        let count = check.count.eval(&self.sizes).expect("checked") as usize;
        let extent = check.extent.eval(&self.sizes).expect("checked");
        let least = if check.negative { -extent } else { 0 };
        for place in (check.column as usize..count).step_by(check.columns as usize) {
            let index = self.integer(&check.indices, place);
            if index < least || index >= extent {
                return Err(Stop::Index { index, place, extent, source: check.source });
            }
        }
        Ok(())
    }

    fn count(&mut self, slot: Slot, from: PlanBuffer) -> Result<(), Stop> {
        let count = self.integer(&Argument::Buffer(from), 0);
        let SlotDef::Counted { most, .. } = self.plan.slots.def(slot) else { return Err(Stop::Count) };
        let most = most.eval(&self.sizes).ok_or(Stop::Count)?;
        if count < 0 || count > most {
            return Err(Stop::Count);
        }
        self.sizes[slot.0 as usize] = count;
        self.plan.slots.refill(slot, &mut self.sizes).map_err(|_| Stop::Count)
    }
}

thread_local! {
    /// What kernels use between their passes: grown to the greatest need of this thread's walks and kept.
    static SCRATCH: RefCell<Vec<u64>> = const { RefCell::new(vec![]) };
}

/// Points of an iteration space below which one thread is faster than waking another.
const SMALL: i64 = 1 << 14;

fn work_of(kernel: &Kernel, sizes: &[i64]) -> i64 {
    kernel.axes.iter().fold(1i64, |work, axis| work.saturating_mul(axis.extent.eval(sizes).unwrap_or(1)))
}

struct Job<'j> {
    entry: super::code::Entry,
    buffers: &'j [*mut u8],
    sizes: &'j [i64],
}

// SAFETY: parts write disjoint elements of the buffers, which stay borrowed until all parts have returned.
unsafe impl Sync for Job<'_> {}

impl Job<'_> {
    fn run(&self, part: usize, parts: usize) {
        // SAFETY: `check_plan` proved that the kernel stays inside these buffers for these sizes.
        unsafe { (self.entry)(self.buffers.as_ptr(), self.sizes.as_ptr(), part as i64, parts as i64) }
    }
}
