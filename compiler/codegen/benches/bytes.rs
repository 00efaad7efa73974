//! Products of bytes beside the same in f32, both over panels of the build, on one thread.
//! `cargo bench -p mlc-codegen --bench bytes`; each figure is the best of many runs, taken in turns.
#![allow(missing_docs, reason = "a program")]

#[path = "../tests/support/mod.rs"]
mod support;

use mlc_codegen::base::{DType, Storage};
use mlc_codegen::cpu::Isa;
use mlc_codegen::cpu::panels::wanted;
use mlc_codegen::kernel::*;
use std::time::{Duration, Instant};
use support::build::Build;
use support::machine::{Compiled, Guarded, multiply_adds, thread_time};
use support::{Random, random_bytes, sizes};

/// `f32(Σ x · w) * scale`, over panels; and buffers for it.
fn product([m, n, k]: [i64; 3], dtype: DType) -> (Kernel, Vec<Vec<u8>>) {
    let mut b = Build::new("product");
    let axes = (b.axis("m", m), b.axis("n", n), b.axis("k", k));
    let (x, w, scale, y) = (b.input(dtype), b.input(dtype), b.input(DType::F32), b.output(DType::F32));
    let (left, right) = (b.read_dense(x, &[axes.0, axes.2]), b.read_dense(w, &[axes.2, axes.1]));
    let sum = b.0.expr.push(Node::Accumulator);
    let sum = if dtype == DType::F32 { sum } else { b.0.expr.push(Node::Convert(DType::F32, sum)) };
    let scale = b.read_dense(scale, &[axes.1]);
    let value = b.binary(Binary::Mul, sum, scale);
    let stores = vec![b.store_dense(y, &[axes.0, axes.1], value)];
    let (batch, m_axes, n_axes, k_axes) = (vec![], vec![axes.0], vec![axes.1], vec![axes.2]);
    let accumulator = dtype.compute();
    let contract = Contract { batch, m: m_axes, n: n_axes, k: k_axes, a: left, b: right, accumulator, stores };
    let kernel = b.finish(Body::Contract(contract));
    let (panels, kernel) = wanted(&kernel, BufferId(1)).expect("whole panels");
    let mut random = Random(7);
    let mut bytes = |dtype, elements| random_bytes(Storage::Plain(dtype), elements, &mut random);
    let weights = panels.pack(&bytes(dtype, n * k));
    let buffers = vec![bytes(dtype, m * k), weights, bytes(DType::F32, n), bytes(DType::F32, m * n)];
    (kernel, buffers)
}

fn main() {
    let sizes_of = [
        [1, 1024, 1024],
        [1, 4096, 4096],
        [6, 256, 256],
        [16, 384, 384],
        [32, 4096, 1024],
        [128, 1536, 384],
        [256, 256, 256],
        [384, 512, 4608],
        [3136, 64, 64],
    ];
    println!("{:16} {:>12} {:>12} {:>6} {:>22}", "rows, n, k", "f32", "i8", "ratio", "against FMA peak");
    let chosen = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    for size @ [m, n, k] in sizes_of {
        let name = format!("{m}x{n}x{k}");
        if !name.contains(&chosen) {
            continue;
        }
        let mut runs = [DType::F32, DType::I8].map(|dtype| {
            let (kernel, buffers) = product(size, dtype);
            let buffers: Vec<Guarded> = buffers.iter().map(|bytes| Guarded::new(bytes, true)).collect();
            let compiled = Compiled::new(&kernel, Isa::Avx2);
            let scratch = compiled.scratch(&sizes(&[]), 1);
            (compiled, buffers, scratch)
        });
        let (mut best, mut peak) = ([Duration::MAX; 2], 0f64);
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(400) {
            for (best, (compiled, buffers, scratch)) in best.iter_mut().zip(&mut runs) {
                let start = thread_time();
                compiled.run_on(&sizes(&[]), buffers, scratch, 1);
                *best = (thread_time() - start).min(*best);
            }
            peak = peak.max(multiply_adds(Isa::Avx2));
        }
        let work = 2.0 * (m * n * k) as f64;
        let [single, bytes] = best.map(|time| time.as_secs_f64());
        println!(
            "{name:16} {:>9.1} us {:>9.1} us {:>6.2} {:>6.2} ({:.0} of {:.0} G/s)",
            single * 1e6,
            bytes * 1e6,
            single / bytes,
            work / bytes / peak,
            work / bytes / 1e9,
            peak / 1e9,
        );
    }
}
