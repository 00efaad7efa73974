//! Where the time of a session goes, kernel by kernel.

use mlc_codegen::kernel::Work;
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
}

/// Times of the kernels of a plan, in the plan's order, and every call as an event while `events` is `Some`.
#[derive(Clone, Debug)]
pub struct Profile {
    /// By kernel.
    pub kernels: Vec<KernelTime>,
    /// Kernel, start since the profile began, duration.
    pub events: Option<Vec<(usize, Duration, Duration)>>,
    began: Instant,
}

impl Profile {
    /// An empty profile of `kernels` kernels.
    pub(crate) fn new(kernels: usize, events: bool) -> Profile {
        Profile { kernels: vec![KernelTime::default(); kernels], events: events.then(Vec::new), began: Instant::now() }
    }

    pub(super) fn add(&mut self, kernel: usize, work: Work, start: Instant) {
        let took = start.elapsed();
        let time = &mut self.kernels[kernel];
        time.calls += 1;
        time.nanos += took.as_nanos() as u64;
        time.work.flops += work.flops;
        time.work.bytes += work.bytes;
        if let Some(events) = &mut self.events {
            events.push((kernel, start.duration_since(self.began), took));
        }
    }
}
