//! Attention: grouped heads, causal ranges, caches in narrow types, rows that see nothing.

mod support;

use mlc_codegen::base::{DType, Scalar};
use mlc_codegen::kernel::*;
use support::build::{Build, slot};
use support::{CLOSE, Near, Random, hold, random_bytes};

/// The keys that a query sees.
#[derive(Clone, Copy, PartialEq)]
enum Sees {
    All,
    /// From the first to its own.
    Past,
    /// Its own and three before.
    Window,
}

/// Slots: tokens, past, keys. Two kv heads of three queries each.
fn attention(cache: DType, io: DType, sees: Sees, mask: bool, blind_is_zero: bool) -> Kernel {
    attention_of([20, 21], cache, io, sees, mask, blind_is_zero)
}

/// The same with keys and values of these lengths.
fn attention_of(
    [depth, width]: [i64; 2],
    cache: DType,
    io: DType,
    sees: Sees,
    mask: bool,
    blind_is_zero: bool,
) -> Kernel {
    let mut b = Build::new("attention");
    let (h, g, t) = (b.axis("h", 2), b.axis("g", 3), b.axis("t", slot(0)));
    let (n, d, e) = (b.axis("n", slot(2)), b.axis("d", depth), b.axis("e", width));
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
    let end = Index::affine(vec![(t, 1)], slot(1) + 1);
    let visible = match sees {
        Sees::All => None,
        Sees::Past => Some((Index::constant(0), end)),
        Sees::Window => Some((Index::affine(vec![(t, 1)], slot(1) - 3), end)),
    };
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
        blind_is_zero,
        stores,
    }))
}

/// What no score survives.
const HIDDEN: [u8; 4] = f32::NEG_INFINITY.to_le_bytes();

fn run(kernel: &Kernel, sizes: [i64; 3], path: &str, near: Near, hide: bool) {
    let row = sizes[2] as usize * 4;
    run_on(kernel, sizes, path, near, &|[_, _, _, masks, _]| {
        if hide {
            masks.chunks_exact_mut(4).step_by(2).for_each(|m| m.copy_from_slice(&HIDDEN));
            masks[..row].chunks_exact_mut(4).for_each(|m| m.copy_from_slice(&HIDDEN));
        }
    });
}

/// On random queries, keys, values, masks and results, changed.
fn run_on(kernel: &Kernel, [tokens, past, keys]: [i64; 3], path: &str, near: Near, change: &dyn Fn(&mut [Vec<u8>; 5])) {
    let mut random = Random(41 + keys as u64);
    let storage = |i: usize| kernel.buffers[i].storage;
    let masks = random_bytes(storage(3), tokens * keys, &mut random);
    let [depth, width] = [4, 5].map(|axis: usize| kernel.axes[axis].extent.as_constant().expect("a constant"));
    let mut buffers = [
        random_bytes(storage(0), tokens * 6 * depth, &mut random),
        random_bytes(storage(1), keys * 2 * depth, &mut random),
        random_bytes(storage(2), keys * 2 * width, &mut random),
        masks,
        random_bytes(storage(4), tokens * 6 * width, &mut random),
    ];
    change(&mut buffers);
    hold(kernel, &[tokens, past, keys], &buffers, path, near);
}

#[test]
fn rows_see_what_they_may() {
    for cache in [DType::F32, DType::F16] {
        for (sees, zero) in [(Sees::All, true), (Sees::Past, true), (Sees::Past, false), (Sees::Window, false)] {
            for size in [[1, 0, 1], [1, 7, 8], [5, 12, 17], [3, 0, 40], [2, 0, 0], [7, -3, 4], [6, 1, 7]] {
                run(&attention(cache, DType::F32, sees, true, zero), size, "attention", CLOSE, false);
                run(&attention(cache, DType::F32, sees, true, zero), size, "attention", CLOSE, true);
                run(&attention(cache, DType::F32, sees, false, zero), size, "attention", CLOSE, false);
            }
        }
    }
    let half = Near { absolute: 1e-3, relative: 1e-3 };
    run(&attention(DType::F16, DType::F16, Sees::Past, false, true), [4, 3, 7], "attention", half, false);
}

/// Keys and values of whole vectors, one by one and in fours, in windows that begin anywhere.
#[test]
fn rows_of_whole_vectors() {
    for cache in [DType::F32, DType::F16, DType::BF16] {
        for lengths in [[64, 64], [8, 104], [40, 16], [20, 32], [32, 21]] {
            for (sees, size) in [(Sees::Past, [1, 6, 7]), (Sees::Window, [3, 9, 12]), (Sees::Past, [2, 0, 0])] {
                let kernel = attention_of(lengths, cache, DType::F32, sees, true, true);
                run(&kernel, size, "attention", CLOSE, false);
            }
        }
    }
}

/// Tiles whose rows all see the same keys, which are finished in registers, and tiles of causal rows.
#[test]
fn tiles_of_whole_vectors() {
    for lengths in [[32, 64], [3, 32], [20, 21]] {
        for size in [[2, 0, 16], [7, 0, 40], [5, 28, 33], [9, 0, 0]] {
            for (sees, mask) in [(Sees::All, true), (Sees::All, false), (Sees::Past, false)] {
                let kernel = attention_of(lengths, DType::F32, DType::F32, sees, mask, true);
                run(&kernel, size, "attention", CLOSE, mask);
            }
        }
    }
}

/// A row that sees nothing is 0 beside rows that see an infinite value.
#[test]
fn blind_rows_are_zero_over_infinite_values() {
    for lengths in [[32, 64], [20, 21]] {
        for size in [[2, 0, 16], [7, 0, 40], [3, 2, 5]] {
            for sees in [Sees::All, Sees::Past] {
                let kernel = attention_of(lengths, DType::F32, DType::F32, sees, true, true);
                run_on(&kernel, size, "attention", CLOSE, &|[_, _, values, masks, _]| {
                    masks[..size[2] as usize * 4].chunks_exact_mut(4).for_each(|m| m.copy_from_slice(&HIDDEN));
                    values[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
                });
            }
        }
    }
}

#[test]
fn doubles_go_through_loops() {
    run(&attention(DType::F64, DType::F64, Sees::Window, false, false), [13, 2, 5], "lanes", CLOSE, false);
}

/// What is hidden has no part, also where it is no number: the definition does not look at it.
#[test]
fn hidden_keys_are_not_looked_at() {
    let kernel = attention(DType::F32, DType::F32, Sees::Past, false, true);
    let mut random = Random(5);
    let [tokens, past, keys] = [9, 2, 16];
    let elements = [tokens * 6 * 20, keys * 2 * 20, keys * 2 * 21, tokens * keys, tokens * 6 * 21];
    let storage = |i: usize| kernel.buffers[i].storage;
    let mut buffers: Vec<Vec<u8>> = (0..5).map(|i| random_bytes(storage(i), elements[i], &mut random)).collect();
    let seen = (tokens + past) as usize;
    let hide = |numbers: &mut [u8]| {
        numbers.chunks_exact_mut(4).for_each(|number| number.copy_from_slice(&f32::NAN.to_le_bytes()));
    };
    // From the key of the last query on, which is in a tile with queries that do not see it.
    buffers[2].chunks_exact_mut(keys as usize * 21 * 4).for_each(|head| hide(&mut head[(seen - 1) * 21 * 4..]));
    hide(&mut buffers[1][(seen - 1) * 2 * 20 * 4..]);
    hold(&kernel, &[tokens, past, keys], &buffers, "attention", CLOSE);
}
