//! Where the time of a session goes, kernel by kernel.

use mlc_codegen::kernel::Work;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Calls of one kernel and their time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KernelTime {
    /// How many calls.
    pub calls: u64,
    /// Nanoseconds in all of them.
    pub nanos: u64,
    /// The work of all of them.
    pub work: Work,
    /// Bytes that all of them read of constants; part of the work's.
    pub constants: f64,
}

/// What one thread did in one call of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The kernel's number in the plan.
    pub kernel: usize,
    /// The thread, 0 being the caller's.
    pub thread: usize,
    /// When it began, since the profile did.
    pub start: Duration,
    /// How long it took.
    pub took: Duration,
}

/// Times of the kernels of a plan, in the plan's order, and what each thread did while `events` is `Some`.
#[derive(Clone, Debug)]
pub struct Profile {
    /// By kernel.
    pub kernels: Vec<KernelTime>,
    /// In no order.
    pub events: Option<Vec<Event>>,
    began: Instant,
}

/// Parts of one call, each timed on its own thread.
pub(super) struct Parts(Option<Mutex<Vec<(usize, Instant, Duration)>>>);

impl Parts {
    /// Runs a part, and times it where that was asked for.
    pub(super) fn time(&self, part: usize, run: impl FnOnce()) {
        let Some(parts) = &self.0 else { return run() };
        let start = Instant::now();
        run();
        let took = start.elapsed();
        parts.lock().unwrap_or_else(PoisonError::into_inner).push((part, start, took));
    }
}

impl Profile {
    /// An empty profile of `kernels` kernels.
    pub(crate) fn new(kernels: usize, events: bool) -> Profile {
        Profile { kernels: vec![KernelTime::default(); kernels], events: events.then(Vec::new), began: Instant::now() }
    }

    /// What times the parts of a call for `profile`.
    pub(super) fn parts(profile: Option<&Profile>) -> Parts {
        Parts(profile.is_some_and(|profile| profile.events.is_some()).then(Mutex::default))
    }

    /// Adds a call that took so long; part `p` of it ran on thread `p mod threads`.
    pub(super) fn add(&mut self, kernel: usize, took: Duration, work: (Work, f64), parts: Parts, threads: usize) {
        let (work, constants) = work;
        let time = &mut self.kernels[kernel];
        time.calls += 1;
        time.nanos += took.as_nanos() as u64;
        time.work.flops += work.flops;
        time.work.bytes += work.bytes;
        time.constants += constants;
        if let (Some(events), Some(parts)) = (&mut self.events, parts.0) {
            let parts = parts.into_inner().unwrap_or_else(PoisonError::into_inner);
            events.extend(parts.into_iter().map(|(part, start, took)| {
                let start = start.duration_since(self.began);
                Event { kernel, thread: part % threads, start, took }
            }));
        }
    }
}
