//! Attention: grouped heads, causal ranges, caches in narrow types, rows that see nothing.

mod support;

use mlc_codegen::base::{DType, Scalar};
use mlc_codegen::kernel::*;
use support::build::{Build, slot};
use support::{CLOSE, Near, Random, hold, random_bytes};

/// Slots: tokens, past, keys. Two kv heads of three queries each.
fn attention(cache: DType, io: DType, causal: bool, mask: bool) -> Kernel {
    let mut b = Build::new("attention");
    let (h, g, t) = (b.axis("h", 2), b.axis("g", 3), b.axis("t", slot(0)));
    let (n, d, e) = (b.axis("n", slot(2)), b.axis("d", 20), b.axis("e", 21));
    let (q, k, v) = (b.input(io), b.input(cache), b.input(cache));
    let (masks, y) = (b.input(DType::F32), b.output(io));
    let query = b.read_dense(q, &[t, h, g, d]);
    let key = b.read_dense(k, &[n, h, d]);
    let value = b.read_dense(v, &[h, n, e]);
    let acc = b.0.expr.push(Node::Accumulator);
    let scale = b.0.expr.constant(if io == DType::F64 { Scalar::F64(0.3) } else { Scalar::F32(0.3) });
    let mut score = b.binary(Binary::Mul, acc, scale);
    if mask {
        let added = b.read_dense(masks, &[t, n]);
        score = b.binary(Binary::Add, score, added);
    }
    let visible = causal.then(|| (Index::affine(vec![(t, 1)], slot(1) - 3), Index::affine(vec![(t, 1)], slot(1) + 1)));
    let stores = vec![b.store_dense(y, &[t, h, g, e], acc)];
    b.finish(Body::Attention(Attention {
        batch: vec![h],
        m: vec![g, t],
        n,
        d,
        e,
        q: query,
        k: key,
        v: value,
        score,
        visible,
        stores,
    }))
}

fn run(kernel: &Kernel, [tokens, past, keys]: [i64; 3], path: &str, near: Near, hide: bool) {
    let mut random = Random(41 + keys as u64);
    let storage = |i: usize| kernel.buffers[i].storage;
    let mut masks = random_bytes(storage(3), tokens * keys, &mut random);
    if hide {
        masks.chunks_exact_mut(4).step_by(2).for_each(|m| m.copy_from_slice(&f32::NEG_INFINITY.to_le_bytes()));
        let row = keys as usize * 4;
        masks[..row].chunks_exact_mut(4).for_each(|m| m.copy_from_slice(&f32::NEG_INFINITY.to_le_bytes()));
    }
    let buffers = [
        random_bytes(storage(0), tokens * 6 * 20, &mut random),
        random_bytes(storage(1), keys * 2 * 20, &mut random),
        random_bytes(storage(2), keys * 2 * 21, &mut random),
        masks,
        random_bytes(storage(4), tokens * 6 * 21, &mut random),
    ];
    hold(kernel, &[tokens, past, keys], &buffers, path, near);
}

#[test]
fn rows_see_what_they_may() {
    for cache in [DType::F32, DType::F16] {
        for causal in [false, true] {
            for size in [[1, 0, 1], [1, 7, 8], [5, 12, 17], [3, 0, 40], [2, 0, 0]] {
                run(&attention(cache, DType::F32, causal, true), size, "attention", CLOSE, false);
                run(&attention(cache, DType::F32, causal, true), size, "attention", CLOSE, true);
                run(&attention(cache, DType::F32, causal, false), size, "attention", CLOSE, false);
            }
        }
    }
    let half = Near { absolute: 1e-3, relative: 1e-3 };
    run(&attention(DType::F16, DType::F16, true, false), [4, 3, 7], "attention", half, false);
}

#[test]
fn doubles_go_through_loops() {
    run(&attention(DType::F64, DType::F64, true, false), [13, 2, 5], "lanes", CLOSE, false);
}
