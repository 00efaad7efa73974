//! A pool of threads that live as long as a model and share its kernels' parts.
//!
//! Part `p` of a run always goes to the same thread, `p mod threads`: nothing is stolen, so nothing about timing can
//! change a result. A worker spins for some microseconds after its last part, then parks.
//!
//! What a run costs when workers spin is two trips of a cache line for each of them: the line that holds a worker's job
//! goes there, the line that holds what it has served comes back. Nobody enters the kernel unless the other side sleeps.
//!
//! # Safety
//!
//! What must hold: a worker uses the function that `run` was given only while `run` has not returned, and the cell that
//! holds a worker's job is never written while the worker may read it. Who upholds it: `run` writes the cells under the
//! lock `turn`, each before it raises that worker's ticket, and returns, also when a part panics, only after every worker
//! whose ticket it raised has served it; a worker reads its cell only after its ticket rose and before it says that it has
//! served it. Which tests check it: `runs_see_their_own_function`, `a_panic_arrives_after_all_parts`.

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
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

/// What a worker is to do.
#[derive(Clone, Copy)]
struct Job {
    function: *const Part<'static>,
    parts: usize,
    threads: usize,
}

struct Shared {
    orders: Vec<Order>,
    reports: Vec<Report>,
    /// Whom workers wake; set while the caller of a run sleeps or is about to.
    caller: Mutex<Option<Thread>>,
    caller_sleeps: AtomicBool,
    panicked: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    closing: AtomicBool,
}

/// What the caller writes and one worker reads, on a cache line of its own.
#[repr(align(128))]
struct Order {
    /// The worker has a job when it differs from what it has served.
    ticket: AtomicU32,
    job: UnsafeCell<Option<Job>>,
}

/// What one worker writes, on a cache line of its own.
#[repr(align(128))]
struct Report {
    /// The last ticket whose parts have ended.
    served: AtomicU32,
    /// Set while the worker sleeps or is about to.
    sleeps: AtomicBool,
}

// SAFETY: the cells `job` are the only members that are not Sync by themselves; the protocol above orders their use.
unsafe impl Sync for Shared {}

// SAFETY: the pointer inside a job is used by workers only while the function it points to, which is Sync, is borrowed.
unsafe impl Send for Shared {}

impl Pool {
    /// A pool of `threads` threads, the caller's included; 0 means one for each core that this process may use.
    pub fn new(threads: usize) -> Pool {
        let threads = if threads == 0 { thread::available_parallelism().map_or(1, usize::from) } else { threads };
        let order = |_| Order { ticket: AtomicU32::new(0), job: UnsafeCell::new(None) };
        let report = |_| Report { served: AtomicU32::new(0), sleeps: AtomicBool::new(false) };
        let shared = Arc::new(Shared {
            orders: (1..threads).map(order).collect(),
            reports: (1..threads).map(report).collect(),
            caller: Mutex::new(None),
            caller_sleeps: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
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
        let (shared, threads) = (&*self.shared, self.threads());
        let orders = || shared.orders.iter().zip(&shared.reports).take(helpers);
        for ((order, report), worker) in orders().zip(&self.workers) {
            // SAFETY: `turn` is held and the worker has served all its tickets, so that it does not read the cell.
            unsafe { *order.job.get() = Some(Job { function, parts, threads }) };
            // Raising the ticket and the worker's `sleeps` are ordered with what it does before it parks: one of the two
            // sees the other.
            order.ticket.fetch_add(1, Ordering::SeqCst);
            if report.sleeps.load(Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
        shared.run_parts(function, (0..parts).step_by(threads));
        let done = || {
            orders().all(|(order, report)| report.served.load(Ordering::SeqCst) == order.ticket.load(Ordering::Relaxed))
        };
        if !spin_until(done) {
            *shared.caller.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread::current());
            shared.caller_sleeps.store(true, Ordering::SeqCst);
            park_until(done);
            shared.caller_sleeps.store(false, Ordering::SeqCst);
        }
        let panicked = shared.panicked.swap(false, Ordering::Relaxed);
        let payload = panicked.then(|| shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take()).flatten();
        drop(turn);
        if let Some(payload) = payload {
            resume_unwind(payload);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
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
        let (order, report) = (&self.orders[number - 1], &self.reports[number - 1]);
        let mut served = 0;
        loop {
            let called = || order.ticket.load(Ordering::SeqCst) != served || self.closing.load(Ordering::Relaxed);
            if !spin_until(called) {
                report.sleeps.store(true, Ordering::SeqCst);
                park_until(called);
                report.sleeps.store(false, Ordering::SeqCst);
            }
            if order.ticket.load(Ordering::SeqCst) == served {
                return;
            }
            served = served.wrapping_add(1);
            // SAFETY: the ticket rose after `run` wrote the cell, and `run` waits until this worker has served it.
            let job = unsafe { *order.job.get() }.expect("a ticket rises only after the job is written");
            self.run_parts(job.function, (number..job.parts).step_by(job.threads));
            report.served.store(served, Ordering::SeqCst);
            if self.caller_sleeps.load(Ordering::SeqCst)
                && let Some(caller) = &*self.caller.lock().unwrap_or_else(PoisonError::into_inner)
            {
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
            self.panicked.store(true, Ordering::Relaxed);
        }
    }
}

/// Spins until `done`, but not for long; whether it was.
fn spin_until(done: impl Fn() -> bool) -> bool {
    (0..SPINS).any(|_| {
        let is = done();
        if !is {
            spin_loop();
        }
        is
    })
}

/// Sleeps until `done`. Whoever makes it true after this thread said that it sleeps unparks it.
fn park_until(done: impl Fn() -> bool) {
    while !done() {
        thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

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

    /// Pauses around the time after which threads park, so that runs meet workers that are about to, and callers that wait
    /// for long parts do.
    #[test]
    fn runs_meet_threads_that_are_falling_asleep() {
        let pool = Pool::new(3);
        for round in 0..400u64 {
            let pause = std::time::Duration::from_nanos(round * 977 % 200_000);
            let count = AtomicUsize::new(0);
            pool.run(3, &|part| {
                if round % 8 == 0 && part == 2 {
                    thread::sleep(std::time::Duration::from_micros(300));
                }
                count.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(count.into_inner(), 3);
            let begun = std::time::Instant::now();
            while begun.elapsed() < pause {
                spin_loop();
            }
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
