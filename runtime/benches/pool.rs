//! What it costs to share work: from a call of `run` to its return, with parts that do nothing.
//! `cargo bench -p mlc-runtime --bench pool`; medians, for runs back to back and after a pause that lets workers park.
#![allow(missing_docs, reason = "a program")]

use mlc_runtime::pool::Pool;
use std::time::{Duration, Instant};

/// Nanoseconds of one of `runs` runs back to back.
fn hot(pool: &Pool, parts: usize, runs: u32) -> f64 {
    let begun = Instant::now();
    (0..runs).for_each(|_| {
        pool.run(parts, &|part| {
            std::hint::black_box(part);
        })
    });
    begun.elapsed().as_nanos() as f64 / f64::from(runs)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{:>8} {:>14} {:>14}", "threads", "hot, ns", "parked, ns");
    for threads in [1, 2, cores] {
        let pool = Pool::new(threads);
        let back_to_back = median((0..200).map(|_| hot(&pool, threads, 500)).collect());
        let parked = (0..40).map(|_| {
            std::thread::sleep(Duration::from_millis(2));
            hot(&pool, threads, 1)
        });
        println!("{threads:>8} {back_to_back:>14.0} {:>14.0}", median(parked.collect()));
    }
}
