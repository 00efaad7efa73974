//! A pool of threads that live as long as a model and share its kernels' parts.
//!
//! Part `p` of a run always goes to the same thread, `p mod threads`: nothing is stolen, so nothing about timing can
//! change a result. A worker spins for some microseconds after its last part, then parks.
//!
//! # Safety
//!
//! What must hold: a worker uses the function that `run` was given only while `run` has not returned, and the one cell
//! that holds it is never written while a worker may read it. Who upholds it: `run` writes the cell under the lock
//! `turn` before it raises tickets, and returns, also when a part panics, only after every worker whose ticket it raised
//! has counted itself out; workers read the cell only after their ticket rose and before they count themselves out.
//! Which tests check it: `runs_see_their_own_function`, `a_panic_arrives_after_all_parts`.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::thread::{self, JoinHandle, Thread};

/// Turns of the waiting loop before a thread parks: some tens of microseconds.
const SPINS: u32 = 4000;

thread_local! {
    static IN_PART: Cell<bool> = const { Cell::new(false) };
}

/// Threads that run the parts of one function at a time. The calling thread is one of them.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    turn: Mutex<()>,
}

type Part<'a> = dyn Fn(usize) + Sync + 'a;

struct Job {
    function: *const Part<'static>,
    parts: usize,
    threads: usize,
    caller: Thread,
}

struct Shared {
    /// One for each worker; a worker has a job when its ticket differs from the one it served last.
    tickets: Vec<AtomicU32>,
    job: UnsafeCell<Option<Job>>,
    /// Workers that have not finished their parts.
    running: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    closing: AtomicBool,
}

// SAFETY: the cell `job` is the only member that is not Sync by itself; the protocol above orders its reads and writes.
unsafe impl Sync for Shared {}

// SAFETY: the pointer inside `job` is used by workers only while the function it points to, which is Sync, is borrowed.
unsafe impl Send for Shared {}

impl Pool {
    /// A pool of `threads` threads, the caller's included; 0 means one for each core that this process may use.
    pub fn new(threads: usize) -> Pool {
        let threads = if threads == 0 { thread::available_parallelism().map_or(1, usize::from) } else { threads };
        let shared = Arc::new(Shared {
            tickets: (1..threads).map(|_| AtomicU32::new(0)).collect(),
            job: UnsafeCell::new(None),
            running: AtomicUsize::new(0),
            panic: Mutex::new(None),
            closing: AtomicBool::new(false),
        });
        let workers = (1..threads)
            .map_while(|number| {
                let shared = Arc::clone(&shared);
                thread::Builder::new().name(format!("mlc-{number}")).spawn(move || shared.work(number)).ok()
            })
            .collect();
        Pool { shared, workers, turn: Mutex::new(()) }
    }

    /// How many threads share a run.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Calls `function` once with each of `0..parts` and returns when all have returned. While another thread uses the
    /// pool, the caller runs all parts itself.
    ///
    /// # Panics
    ///
    /// When a part panics, with its payload, after all other parts have ended. When called from within a part.
    pub fn run(&self, parts: usize, function: &Part<'_>) {
        assert!(!IN_PART.get(), "a part of a run does not start another");
        let helpers = self.workers.len().min(parts.saturating_sub(1));
        if helpers == 0 {
            return (0..parts).for_each(function);
        }
        let turn = match self.turn.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
            Err(TryLockError::WouldBlock) => return (0..parts).for_each(function),
        };
        // SAFETY: only the lifetime changes, and no worker uses the pointer after this function has returned: see above.
        let function: *const Part<'static> = unsafe { std::mem::transmute(std::ptr::from_ref(function)) };
        let threads = self.threads();
        self.shared.running.store(helpers, Ordering::Relaxed);
        // SAFETY: `turn` is held and `running` was 0 before, so that no worker reads the cell.
        unsafe { *self.shared.job.get() = Some(Job { function, parts, threads, caller: thread::current() }) };
        for (ticket, worker) in self.shared.tickets.iter().zip(&self.workers).take(helpers) {
            ticket.fetch_add(1, Ordering::Release);
            worker.thread().unpark();
        }
        self.shared.run_parts(function, (0..parts).step_by(threads));
        wait_until(|| self.shared.running.load(Ordering::Acquire) == 0);
        let panic = self.shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(turn);
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            let ended = worker.join();
            debug_assert!(ended.is_ok(), "a worker catches the panics of its parts");
        }
    }
}

impl Shared {
    /// The life of worker `number`.
    fn work(&self, number: usize) {
        let ticket = &self.tickets[number - 1];
        let mut served = 0;
        loop {
            wait_until(|| ticket.load(Ordering::Acquire) != served || self.closing.load(Ordering::Acquire));
            if ticket.load(Ordering::Acquire) == served {
                return;
            }
            served = served.wrapping_add(1);
            // SAFETY: the ticket rose after `run` wrote the cell, and `run` waits until this worker has counted itself out.
            let job = unsafe { (*self.job.get()).as_ref() }.expect("a ticket rises only after the job is written");
            let caller = job.caller.clone();
            self.run_parts(job.function, (number..job.parts).step_by(job.threads));
            if self.running.fetch_sub(1, Ordering::Release) == 1 {
                caller.unpark();
            }
        }
    }

    /// Runs the parts of one thread; keeps the first panic.
    fn run_parts(&self, function: *const Part<'static>, mut parts: impl Iterator<Item = usize>) {
        // SAFETY: called between the raise of the tickets and the return of `run`, which borrows the function.
        let function = unsafe { &*function };
        IN_PART.set(true);
        let result = catch_unwind(AssertUnwindSafe(|| parts.by_ref().for_each(function)));
        IN_PART.set(false);
        if let Err(payload) = result {
            self.panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(payload);
        }
    }
}

/// Spins, then parks, until `done`. Whoever makes `done` true unparks this thread afterwards.
fn wait_until(done: impl Fn() -> bool) {
    for _ in 0..SPINS {
        if done() {
            return;
        }
        spin_loop();
    }
    while !done() {
        thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_see_their_own_function() {
        for threads in [1, 2, 5] {
            let pool = Pool::new(threads);
            assert_eq!(pool.threads(), threads);
            for round in 0..500 {
                let parts = round % 7;
                let sums: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
                pool.run(parts, &|part| {
                    sums[part].fetch_add(round + 1, Ordering::Relaxed);
                });
                assert!(sums.iter().all(|s| s.load(Ordering::Relaxed) == round + 1), "each part once");
            }
        }
    }

    #[test]
    fn a_parked_pool_wakes() {
        let pool = Pool::new(3);
        for _ in 0..3 {
            thread::sleep(std::time::Duration::from_millis(5));
            let count = AtomicUsize::new(0);
            pool.run(3, &|_| {
                count.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(count.into_inner(), 3);
        }
    }

    #[test]
    fn a_panic_arrives_after_all_parts() {
        let pool = Pool::new(3);
        for bad in 0..3 {
            let ended = AtomicUsize::new(0);
            let caught = catch_unwind(AssertUnwindSafe(|| {
                pool.run(3, &|part| {
                    assert!(part != bad, "part {part}");
                    ended.fetch_add(1, Ordering::Relaxed);
                });
            }));
            let payload = caught.expect_err("the panic propagates");
            assert_eq!(payload.downcast_ref::<String>(), Some(&format!("part {bad}")));
            assert_eq!(ended.into_inner(), 2);
        }
        pool.run(3, &|_| {});
    }

    #[test]
    fn nested_use_is_refused() {
        let pool = Pool::new(2);
        let caught = catch_unwind(AssertUnwindSafe(|| pool.run(2, &|_| pool.run(2, &|_| {}))));
        assert!(caught.is_err());
    }

    #[test]
    fn two_callers_share_one_pool() {
        let (pool, count) = (Pool::new(2), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..300 {
                        pool.run(2, &|_| {
                            count.fetch_add(1, Ordering::Relaxed);
                        });
                    }
                });
            }
        });
        assert_eq!(count.into_inner(), 1200);
    }
}
