//! Contractions in f32 on one thread, beside the rate at which this machine multiplies and adds in registers.
//! `cargo bench -p mlc-codegen --bench contract`; each figure is the best of many runs, taken in turns.
#![allow(missing_docs, reason = "a program")]

#[path = "../tests/support/mod.rs"]
mod support;

use mlc_codegen::base::{DType, Storage};
use mlc_codegen::cpu::Isa;
use mlc_codegen::cpu::panels::{PANEL, packed_panels};
use mlc_codegen::kernel::*;
use std::time::{Duration, Instant};
use support::build::Build;
use support::machine::{Compiled, Guarded, multiply_adds, thread_time};
use support::{Random, random_bytes, sizes};

/// How the right side lies.
#[derive(Clone, Copy)]
enum Lie {
    /// `[k, n]`.
    Columns,
    /// `[n, k]`.
    Rows,
    /// In the panels of a build.
    Panels,
}

fn gemm([m, n, k]: [i64; 3], lie: Lie, weights: DType, epilogue: Option<Unary>) -> Kernel {
    let mut b = Build::new("gemm");
    let (m, n, k) = (b.axis("m", m), b.axis("n", n), b.axis("k", k));
    let (x, w, bias, y) = (b.input(DType::F32), b.input(weights), b.input(DType::F32), b.output(DType::F32));
    let left = b.read_dense(x, &[m, k]);
    let right = match lie {
        Lie::Columns => b.read_dense(w, &[k, n]),
        Lie::Rows => b.read_dense(w, &[n, k]),
        Lie::Panels => {
            let panels = packed_panels(&b.0, w, n, &[k], PANEL);
            b.read(panels)
        }
    };
    let sum = b.0.expr.push(Node::Accumulator);
    let value = match epilogue {
        None => sum,
        Some(function) => {
            let bias = b.read_dense(bias, &[n]);
            let sum = b.binary(Binary::Add, sum, bias);
            let gate = b.unary(function, sum);
            b.binary(Binary::Mul, sum, gate)
        }
    };
    let stores = vec![b.store_dense(y, &[m, n], value)];
    let (m, n, k) = (vec![m], vec![n], vec![k]);
    let contract = Contract { batch: vec![], m, n, k, a: left, b: right, accumulator: DType::F32, stores };
    b.finish(Body::Contract(contract))
}

fn main() {
    let cases = [
        ("256^3 [k,n]", [256, 256, 256], Lie::Columns, DType::F32, None),
        ("256^3 [n,k]", [256, 256, 256], Lie::Rows, DType::F32, None),
        ("256^3 [n,k] bias, x erf x", [256, 256, 256], Lie::Rows, DType::F32, Some(Unary::Erf)),
        ("1024^3 [k,n]", [1024, 1024, 1024], Lie::Columns, DType::F32, None),
        ("1024^3 [n,k]", [1024, 1024, 1024], Lie::Rows, DType::F32, None),
        ("128x1536x384 panels", [128, 1536, 384], Lie::Panels, DType::F32, None),
        ("128x1536x384 panels, x erf x", [128, 1536, 384], Lie::Panels, DType::F32, Some(Unary::Erf)),
        ("1024x128x784 panels", [1024, 128, 784], Lie::Panels, DType::F32, None),
        ("128x384x1536 panels", [128, 384, 1536], Lie::Panels, DType::F32, None),
        ("49x512x4608 panels", [49, 512, 4608], Lie::Panels, DType::F32, None),
        ("32x1024x4096 panels", [32, 1024, 4096], Lie::Panels, DType::F32, None),
        ("1x1024x1024 [k,n]", [1, 1024, 1024], Lie::Columns, DType::F32, None),
        ("1x1024x1024 [n,k]", [1, 1024, 1024], Lie::Rows, DType::F32, None),
        ("1x1024x1024 [n,k] f16", [1, 1024, 1024], Lie::Rows, DType::F16, None),
        ("16x384x384 [n,k]", [16, 384, 384], Lie::Rows, DType::F32, None),
        ("8x1024x1024 [n,k]", [8, 1024, 1024], Lie::Rows, DType::F32, None),
    ];
    println!("{:28} {:>11} {:>11} {:>6} {:>9}", "case", "128 bits", "AVX2", "ratio", "of peak");
    let chosen = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    let cases = cases.into_iter().filter(|case| case.0.contains(&chosen));
    for (name, size @ [m, n, k], lie, weights, epilogue) in cases {
        let kernel = gemm(size, lie, weights, epilogue);
        let mut random = Random(7);
        let mut buffers = [
            random_bytes(Storage::Plain(DType::F32), m * k, &mut random),
            random_bytes(Storage::Plain(weights), (n + PANEL - 1) / PANEL * PANEL * k, &mut random),
            random_bytes(Storage::Plain(DType::F32), n, &mut random),
            random_bytes(Storage::Plain(DType::F32), m * n, &mut random),
        ]
        .map(|bytes| Guarded::new(&bytes, true));
        let compiled = [Isa::Portable, Isa::Avx2].map(|isa| Compiled::new(&kernel, isa));
        let mut scratches = compiled.each_ref().map(|compiled| compiled.scratch(&sizes(&[]), 1));
        let (mut best, mut peak) = ([Duration::MAX; 2], 0f64);
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(1500) {
            for ((best, compiled), scratch) in best.iter_mut().zip(&compiled).zip(&mut scratches) {
                let start = thread_time();
                compiled.run_on(&sizes(&[]), &mut buffers, scratch, 1);
                *best = (thread_time() - start).min(*best);
            }
            peak = peak.max(multiply_adds(Isa::Avx2));
        }
        let work = 2.0 * (m * n * k) as f64;
        let [narrow, wide] = best.map(|time| time.as_secs_f64());
        println!(
            "{name:28} {:>8.1} us {:>8.1} us {:>6.2} {:>7.1} %  ({:.1} of {:.1} GFLOP/s)",
            narrow * 1e6,
            wide * 1e6,
            narrow / wide,
            100.0 * work / wide / peak,
            work / wide / 1e9,
            peak / 1e9,
        );
    }
}
