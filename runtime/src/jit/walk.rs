//! The walk over an entry's steps.

use super::{Checked, Profile, Program, Region};
use crate::pool::Pool;
use mlc_codegen::base::{DType, Slot, SlotDef, Storage};
use mlc_codegen::kernel::{Argument, Call, EntryPlan, IndexCheck, Place, PlanBuffer, Step, Work};
use std::time::Instant;

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
        /// Whether an index may count from the end.
        negative: bool,
        /// The entry of the source table.
        source: u32,
    },
    /// A count that a kernel made leaves its bound.
    Count {
        /// What was found.
        count: i64,
        /// Its slot.
        slot: Slot,
    },
    /// A kernel needs more scratch than the walk was given.
    Scratch,
}

/// What walks keep between calls, so that a call allocates nothing.
#[derive(Default)]
pub(crate) struct Workspace {
    /// The size block as the last walk left it: counted slots hold what was counted.
    pub(crate) sizes: Vec<i64>,
    arguments: Vec<Region<'static>>,
}

impl Program {
    /// Runs the entry that was checked. `regions` are its buffers; `scratch` is shared by the parts of each call.
    ///
    /// # Panics
    /// When a region is shorter than was checked.
    pub(crate) fn walk(
        &self,
        checked: &Checked,
        regions: &[Region],
        scratch: Region,
        pool: &Pool,
        workspace: &mut Workspace,
        profile: Option<&mut Profile>,
    ) -> Result<(), Stop> {
        assert_eq!(regions.len(), checked.bytes.len(), "one region for each buffer");
        let long = regions.iter().zip(&checked.bytes).all(|(region, bytes)| region.bytes as i64 >= *bytes);
        assert!(long, "no region is shorter than was checked");
        let entry = &self.artifact.plan.entries[checked.entry];
        workspace.sizes.clear();
        workspace.sizes.extend(&checked.sizes);
        let arguments = std::mem::take(&mut workspace.arguments);
        let sizes = &mut workspace.sizes;
        let mut walk = Walk { program: self, entry, regions, scratch, pool, sizes, arguments, profile };
        let result = walk.steps(&entry.steps);
        workspace.arguments = Region::emptied(walk.arguments);
        result
    }
}

struct Walk<'w> {
    program: &'w Program,
    entry: &'w EntryPlan,
    regions: &'w [Region<'w>],
    scratch: Region<'w>,
    pool: &'w Pool,
    sizes: &'w mut Vec<i64>,
    arguments: Vec<Region<'w>>,
    profile: Option<&'w mut Profile>,
}

impl Walk<'_> {
    fn steps(&mut self, steps: &[Step]) -> Result<(), Stop> {
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &Step) -> Result<(), Stop> {
        match step {
            Step::Call(call) => self.call(call),
            Step::Copy { from, to, bytes } => {
                let bytes = bytes.eval(self.sizes).expect("checked") as usize;
                let (from, to) = (self.region(from).part(0, bytes), self.region(to).part(0, bytes));
                // SAFETY: both regions hold so many bytes; `copy` allows that they overlap.
                unsafe { std::ptr::copy(from.start, to.start, bytes) };
                Ok(())
            }
            Step::Check(check) => self.check(check),
            Step::Count { slot, from } => self.count(*slot, *from),
            Step::Loop { counter, trips, condition, body } => {
                let trips = trips.eval(self.sizes).expect("checked");
                for turn in 0..trips {
                    self.turn(*counter, turn);
                    if condition.as_ref().is_some_and(|flag| !self.flag(flag)) {
                        break;
                    }
                    self.steps(body)?;
                }
                self.turn(*counter, 0);
                Ok(())
            }
            Step::Branch { flag, then, otherwise } => self.steps(if self.flag(flag) { then } else { otherwise }),
        }
    }

    /// Sets a counter and what is derived from it.
    fn turn(&mut self, counter: Slot, turn: i64) {
        self.sizes[counter.0 as usize] = turn;
        let slots = &self.program.artifact.plan.slots;
        slots.refill(counter, self.sizes).expect("no derived size overflows, as was checked");
    }

    fn region(&self, argument: &Argument) -> Region<'_> {
        self.regions[argument.resolve(self.sizes).0 as usize]
    }

    fn call(&mut self, call: &Call) -> Result<(), Stop> {
        let program = self.program;
        let chosen = call.choose(self.sizes, &|word| program.cpu.has(word));
        let kernel = chosen.expect("a variant fits, as was checked").0 as usize;
        self.arguments.clear();
        self.arguments.extend(call.arguments.iter().map(|a| self.regions[a.resolve(self.sizes).0 as usize]));
        self.arguments.push(self.scratch);
        let lasts = program.durations[kernel].of(&program.artifact.plan.kernels[kernel], self.sizes);
        let parts = self.pool.threads().min(((lasts / GRAIN) as usize).max(1));
        let need = program.scratch[kernel].eval(self.sizes).and_then(|bytes| bytes.checked_mul(parts as i64));
        if need.is_none_or(|need| need < 0 || need as u64 > self.scratch.bytes as u64) {
            return Err(Stop::Scratch);
        }
        let timed = Profile::parts(self.profile.as_deref());
        let start = self.profile.is_some().then(Instant::now);
        let (code, number) = (&program.code, program.code_of[kernel]);
        let (arguments, sizes) = (&self.arguments[..], &self.sizes[..]);
        self.pool.run(parts, &|part| {
            // SAFETY: `check_plan` proved that the kernel stays inside these buffers for these sizes, the scratch was
            // compared above, and the regions are borrowed until all parts have returned. Parts write disjoint elements.
            timed.time(part, || unsafe { code.call(number, arguments, sizes, part, parts) });
        });
        if let Some(took) = start.map(|start| start.elapsed()) {
            let work = self.work(call, kernel);
            let threads = self.pool.threads();
            self.profile.as_mut().expect("its start was taken").add(kernel, took, work, timed, threads);
        }
        Ok(())
    }

    /// The work of a call, no buffer counting for more than it holds, and the bytes of it that are constants.
    fn work(&self, call: &Call, kernel: usize) -> (Work, f64) {
        let kernel = &self.program.artifact.plan.kernels[kernel];
        let (mut bytes, mut constants) = (0.0, 0.0);
        for (traffic, argument) in kernel.traffic(self.sizes).into_iter().zip(&call.arguments) {
            let buffer = argument.resolve(self.sizes).0 as usize;
            let whole = self.regions[buffer].bytes as f64;
            let (read, written) = (traffic.read.min(whole), traffic.written.min(whole));
            bytes += read + written;
            if matches!(self.entry.buffers[buffer].place, Place::Constant(_)) {
                constants += read;
            }
        }
        (Work { flops: kernel.flops(self.sizes), bytes }, constants)
    }

    /// An element of an i64 or i32 buffer that was checked to hold it.
    fn integer(&self, argument: &Argument, place: usize) -> i64 {
        let buffer = argument.resolve(self.sizes);
        let region = self.regions[buffer.0 as usize];
        match self.entry.buffers[buffer.0 as usize].storage {
            Storage::Plain(DType::I64) => {
                let at = region.part(place * 8, 8).start.cast::<i64>();
                // SAFETY: eight bytes of the region lie there.
                unsafe { at.read_unaligned() }
            }
            _ => {
                let at = region.part(place * 4, 4).start.cast::<i32>();
                // SAFETY: four bytes of the region lie there.
                i64::from(unsafe { at.read_unaligned() })
            }
        }
    }

    fn flag(&self, argument: &Argument) -> bool {
        let at = self.region(argument).part(0, 1).start;
        // SAFETY: a byte of the region lies there.
        unsafe { at.read() != 0 }
    }

    fn check(&self, check: &IndexCheck) -> Result<(), Stop> {
        let count = check.count.eval(self.sizes).expect("checked") as usize;
        let extent = check.extent.eval(self.sizes).expect("checked");
        let least = if check.negative { extent.saturating_neg() } else { 0 };
        let places = (check.column as usize..count).step_by(check.columns as usize);
        let mut indices = places.map(|place| (place, self.integer(&check.indices, place)));
        match indices.find(|(_, index)| *index < least || *index >= extent) {
            None => Ok(()),
            Some((place, index)) => {
                Err(Stop::Index { index, place, extent, negative: check.negative, source: check.source })
            }
        }
    }

    fn count(&mut self, slot: Slot, from: PlanBuffer) -> Result<(), Stop> {
        let count = self.integer(&Argument::Buffer(from), 0);
        let slots = &self.program.artifact.plan.slots;
        let most = match slots.def(slot) {
            SlotDef::Counted { most, .. } => most.eval(self.sizes),
            _ => None,
        };
        if count < 0 || most.is_none_or(|most| count > most) {
            return Err(Stop::Count { count, slot });
        }
        self.sizes[slot.0 as usize] = count;
        slots.refill(slot, self.sizes).map_err(|_| Stop::Count { count, slot })
    }
}

/// Nanoseconds of a kernel that are worth a thread: two trips of a cache line between cores, and what the other core then
/// reads from the caches of this one.
const GRAIN: f64 = 2500.0;
