//! Contractions: every way the sides may lie, every storage format of weights, sizes around the tile's.

mod support;

use mlc_codegen::base::{DType, Dim, Interleaved, Packing, Scalar, Storage};
use mlc_codegen::cpu::panels::{PANEL, packed_panels};
use mlc_codegen::kernel::*;
use support::build::{Build, slot};
use support::{CLOSE, Near, Random, hold, random_bytes};

const F32: Storage = Storage::Plain(DType::F32);

/// How the right side of a test's contraction lies.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    /// `[k, n]`.
    Columns,
    /// `[n, k]`, as weights do.
    Rows,
    /// In the tile's own panels.
    Panels,
}

/// `y = gelu-ish(a · b + bias)`, `a` being `[m, k]`.
fn gemm(lie: Lie, storage: Storage, prologue: bool, depth: impl Into<Dim>) -> Kernel {
    let mut b = Build::new(&format!("gemm {lie:?} {storage}"));
    let (m, n, k) = (b.axis("m", slot(0)), b.axis("n", slot(1)), b.axis("k", depth));
    let (x, w) = (b.input(DType::F32), b.buffer("w", storage, Role::Read));
    let (bias, y) = (b.input(DType::F32), b.output(DType::F32));
    let mut left = b.read_dense(x, &[m, k]);
    if prologue {
        left = b.unary(Unary::Tanh, left);
    }
    let right = match lie {
        Lie::Columns => b.read_dense(w, &[k, n]),
        Lie::Rows => b.read_dense(w, &[n, k]),
        Lie::Panels => {
            let panels = packed_panels(&b.0, w, n, &[k], PANEL);
            b.read(panels)
        }
    };
    let acc = b.0.expr.push(Node::Accumulator);
    let bias = b.read_dense(bias, &[n]);
    let sum = b.binary(Binary::Add, acc, bias);
    let value = b.unary(Unary::Erf, sum);
    let stores = vec![b.store_dense(y, &[m, n], value)];
    product(b, [m, n, k], [left, right], stores)
}

/// `left · right` over axes m, n and k, summed in f32.
fn product(b: Build, [m, n, k]: [AxisId; 3], [left, right]: [ExprId; 2], stores: Vec<Store>) -> Kernel {
    b.finish(Body::Contract(Contract {
        batch: vec![],
        m: vec![m],
        n: vec![n],
        k: vec![k],
        a: left,
        b: right,
        accumulator: DType::F32,
        stores,
    }))
}

fn run(kernel: &Kernel, [m, n, k]: [i64; 3], right: i64, path: &str, near: Near) {
    let mut random = Random(0x5eed_0000 + (m * 31 + n * 7 + k) as u64);
    let storage = kernel.buffers[1].storage;
    let buffers = [
        random_bytes(F32, m * k, &mut random),
        random_bytes(storage, right, &mut random),
        random_bytes(F32, n, &mut random),
        random_bytes(F32, m * n, &mut random),
    ];
    hold(kernel, &[m, n, k], &buffers, path, near);
}

#[test]
fn every_side_and_size() {
    let sizes =
        [[1, 1, 1], [1, 20, 64], [3, 17, 5], [4, 8, 16], [5, 33, 19], [9, 16, 40], [2, 3, 0], [0, 5, 4], [6, 0, 4]];
    for size @ [_, n, k] in sizes {
        for prologue in [false, true] {
            run(&gemm(Lie::Columns, F32, prologue, slot(2)), size, n * k, "contract", CLOSE);
            run(&gemm(Lie::Rows, F32, prologue, slot(2)), size, n * k, "contract", CLOSE);
            run(&gemm(Lie::Panels, F32, prologue, slot(2)), size, (n + 15) / 16 * 16 * k, "contract", CLOSE);
        }
    }
}

/// More rows than a block has, which start in the middle of tiles where parts share them.
#[test]
fn blocks_of_rows_against_panels() {
    let near = Near { absolute: 2e-4, relative: 1e-4 };
    run(&gemm(Lie::Panels, F32, false, slot(2)), [203, 33, 600], 48 * 600, "contract", near);
}

/// A sum over several axes, the last innermost in the panels.
#[test]
fn panels_over_several_axes() {
    let mut b = Build::new("several axes");
    let (m, n, outer, inner) = (b.axis("m", slot(0)), b.axis("n", slot(1)), b.axis("o", 3), b.axis("i", slot(2)));
    let (x, w, y) = (b.input(DType::F32), b.input(DType::F32), b.output(DType::F32));
    let left = b.read_dense(x, &[m, outer, inner]);
    let panels = packed_panels(&b.0, w, n, &[outer, inner], PANEL);
    let right = b.read(panels);
    let value = b.0.expr.push(Node::Accumulator);
    let stores = vec![b.store_dense(y, &[m, n], value)];
    let (m, n, k) = (vec![m], vec![n], vec![outer, inner]);
    let contract = Contract { batch: vec![], m, n, k, a: left, b: right, accumulator: DType::F32, stores };
    let kernel = b.finish(Body::Contract(contract));
    let mut random = Random(0x9a7e);
    for [m, n, inner] in [[1, 16, 7], [2, 33, 5], [8, 40, 3]] {
        let panels = (n + 15) / 16 * 16;
        let buffers = [m * 3 * inner, panels * 3 * inner, m * n].map(|count| random_bytes(F32, count, &mut random));
        hold(&kernel, &[m, n, inner], &buffers, "contract", CLOSE);
    }
}

#[test]
fn narrow_and_packed_weights() {
    let packings = Packing::ALL.map(Storage::Packed);
    let plain = [DType::F16, DType::BF16, DType::I8, DType::U8, DType::I16, DType::F64].map(Storage::Plain);
    for storage in packings.into_iter().chain(plain) {
        for [m, n] in [[1, 11], [4, 8], [7, 19]] {
            let kernel = gemm(Lie::Rows, storage, false, 256);
            run(&kernel, [m, n, 256], n * 256, "contract", Near { absolute: 2e-4, relative: 1e-4 });
        }
    }
    for packing in [Packing::Q8_0, Packing::Q4_0, Packing::Q4_1].map(Storage::Packed) {
        for [m, n, k] in [[1, 5, 32], [2, 17, 96], [3, 1, 160], [4, 33, 0], [0, 3, 64]] {
            let kernel = gemm(Lie::Rows, packing, m == 3, k);
            run(&kernel, [m, n, k], n * k, "contract", Near { absolute: 2e-5, relative: 2e-5 });
        }
    }
    for storage in [DType::I4, DType::U4].map(Storage::Plain) {
        run(&gemm(Lie::Rows, storage, false, 64), [3, 9, 64], 9 * 64, "contract", CLOSE);
    }
}

/// Whether a leaf of the kernel moves the top code of a word of eight or four down.
fn makes_columns(kernel: &Kernel) -> bool {
    support::leaves(kernel, mlc_codegen::cpu::Isa::Avx2).iter().any(|leaf| {
        let mut decoder = iced_x86::Decoder::new(64, leaf, iced_x86::DecoderOptions::NONE);
        decoder.iter().any(|instruction| instruction.mnemonic() == iced_x86::Mnemonic::Vpsrld)
    })
}

/// Rows side by side: few and many rows on the left, parts with and without four streams, last panels that are not whole,
/// and columns that are no whole blocks, which are read one by one.
#[test]
fn rows_side_by_side() {
    for packing in [Packing::Q8_0, Packing::Q4_0, Packing::Q4_1] {
        let near = Near { absolute: 2e-4, relative: 1e-4 };
        for [m, n, k] in [[1, 8, 32], [1, 264, 96], [2, 88, 64], [4, 568, 32], [5, 24, 160], [7, 72, 64], [0, 16, 32]] {
            let storage = Storage::Interleaved(Interleaved::new(packing, k).expect("whole groups"));
            for prologue in [false, true] {
                let mut kernel = gemm(Lie::Rows, storage, prologue, k);
                kernel.axes[1].extent = Dim::from(n);
                assert!(makes_columns(&kernel), "blocks are read as they lie");
                run(&kernel, [m, n, k], n * k, "contract", near);
            }
        }
        for [m, n] in [[1, 11], [6, 20]] {
            let storage = Storage::Interleaved(Interleaved::new(packing, 64).expect("whole groups"));
            run(&gemm(Lie::Rows, storage, false, 64), [m, n, 64], n * 64, "contract", near);
        }
    }
}

/// Packed rows under two axes, one after another and with other rows between them.
#[test]
fn packed_heads() {
    for (packing, gap) in Packing::ALL.into_iter().flat_map(|packing| [(packing, 0), (packing, 1)]) {
        let mut b = Build::new("packed heads");
        let (m, k) = (b.axis("m", slot(0)), b.axis("k", 512));
        let (h, e) = (b.axis("h", 3), b.axis("e", 7));
        let (x, w, y) =
            (b.input(DType::F32), b.buffer("w", Storage::Packed(packing), Role::Read), b.output(DType::F32));
        let left = b.read_dense(x, &[m, k]);
        let coords = vec![
            Coord::new(Index::axis(h), (7 + gap) * 512),
            Coord::new(Index::axis(e), 512),
            Coord::new(Index::axis(k), 1),
        ];
        let right = b.read(Access::new(w, coords, Scalar::F32(0.0)));
        let value = b.0.expr.push(Node::Accumulator);
        let stores = vec![b.store_dense(y, &[m, h, e], value)];
        let contract = Contract {
            batch: vec![],
            m: vec![m],
            n: vec![h, e],
            k: vec![k],
            a: left,
            b: right,
            accumulator: DType::F32,
            stores,
        };
        let kernel = b.finish(Body::Contract(contract));
        let mut random = Random(0xa11 + gap as u64);
        for m in [1, 3] {
            let buffers = [
                random_bytes(F32, m * 512, &mut random),
                random_bytes(Storage::Packed(packing), 3 * (7 + gap) * 512, &mut random),
                random_bytes(F32, m * 21, &mut random),
            ];
            hold(&kernel, &[m], &buffers, "contract", Near { absolute: 2e-4, relative: 1e-4 });
        }
    }
}

/// Integers accumulate exactly, along the columns in lanes.
#[test]
fn integers() {
    let mut b = Build::new("i8 gemm");
    let (m, n, k) = (b.axis("m", slot(0)), b.axis("n", slot(1)), b.axis("k", slot(2)));
    let (x, w, y) = (b.input(DType::I8), b.input(DType::I8), b.output(DType::I32));
    let (left, right) = (b.read_dense(x, &[m, k]), b.read_dense(w, &[k, n]));
    let value = b.0.expr.push(Node::Accumulator);
    let stores = vec![b.store_dense(y, &[m, n], value)];
    let (m, n, k) = (vec![m], vec![n], vec![k]);
    let contract = Contract { batch: vec![], m, n, k, a: left, b: right, accumulator: DType::I32, stores };
    let kernel = b.finish(Body::Contract(contract));
    let mut random = Random(77);
    let buffers = [
        random_bytes(Storage::Plain(DType::I8), 5 * 13, &mut random),
        random_bytes(Storage::Plain(DType::I8), 13 * 37, &mut random),
        random_bytes(Storage::Plain(DType::I32), 5 * 37, &mut random),
    ];
    hold(&kernel, &[5, 37, 13], &buffers, "lanes", support::EXACT);
}

/// Strided, padded convolution in NCHW; depthwise with one channel a batch.
#[test]
fn convolutions() {
    for (channels, groups) in [(3, 1), (1, 4)] {
        for stride in [1, 2] {
            let (height, width) = (9i64, 21i64);
            let (out_h, out_w) = ((height - 1) / stride + 1, (width - 1) / stride + 1);
            let filters = if groups == 1 { 6 } else { 1 };
            let mut b = Build::new("convolution");
            let (g, o) = (b.axis("g", groups), b.axis("o", filters));
            let (oy, ox) = (b.axis("y", out_h), b.axis("x", out_w));
            let (c, dy, dx) = (b.axis("c", channels), b.axis("dy", 3), b.axis("dx", 3));
            let (x, w, y) = (b.input(DType::F32), b.input(DType::F32), b.output(DType::F32));
            let left = b.read_dense(w, &[g, o, c, dy, dx]);
            let at = |outer, inner| Index::affine(vec![(outer, stride), (inner, 1)], -1);
            let coords = vec![
                Coord::new(Index::axis(g), channels * height * width),
                Coord::new(Index::axis(c), height * width),
                Coord::new(at(oy, dy), width).guarded(height),
                Coord::new(at(ox, dx), 1).guarded(width),
            ];
            let right = b.read(Access::new(x, coords, Scalar::F32(0.0)));
            let acc = b.0.expr.push(Node::Accumulator);
            let zero = b.f32(0.0);
            let value = b.binary(Binary::Max, acc, zero);
            let stores = vec![b.store_dense(y, &[g, o, oy, ox], value)];
            let kernel = b.finish(Body::Contract(Contract {
                batch: vec![g],
                m: vec![o],
                n: vec![oy, ox],
                k: vec![c, dy, dx],
                a: left,
                b: right,
                accumulator: DType::F32,
                stores,
            }));
            let mut random = Random(5 + stride as u64);
            let buffers = [
                random_bytes(F32, groups * channels * height * width, &mut random),
                random_bytes(F32, groups * filters * channels * 9, &mut random),
                random_bytes(F32, groups * filters * out_h * out_w, &mut random),
            ];
            let buffers = [buffers[0].clone(), buffers[1].clone(), buffers[2].clone()];
            hold(&kernel, &[], &buffers, if filters == 1 { "lanes" } else { "contract" }, CLOSE);
        }
    }
}

/// Heads: a batch axis, and results scattered over a layout of another order, with a residual.
#[test]
fn batches_and_layouts() {
    let mut b = Build::new("heads");
    let (h, s) = (b.axis("h", 3), b.axis("s", slot(0)));
    let (t, e, k) = (b.axis("t", 2), b.axis("e", 12), b.axis("k", slot(1)));
    let (x, w, r, y) = (b.input(DType::F32), b.input(DType::F16), b.input(DType::F32), b.output(DType::F16));
    let left = b.read_dense(x, &[s, h, k]);
    let right = b.read_dense(w, &[h, t, e, k]);
    let acc = b.0.expr.push(Node::Accumulator);
    let residual = b.read_dense(r, &[t, h, s, e]);
    let sum = b.binary(Binary::Add, acc, residual);
    let position = b.0.expr.push(Node::Position(e));
    let position = b.0.expr.convert(DType::F32, position);
    let value = b.binary(Binary::Add, sum, position);
    let stores = vec![b.store_dense(y, &[t, h, s, e], value)];
    let kernel = b.finish(Body::Contract(Contract {
        batch: vec![h],
        m: vec![s],
        n: vec![t, e],
        k: vec![k],
        a: left,
        b: right,
        accumulator: DType::F32,
        stores,
    }));
    let mut random = Random(9);
    for s in [1, 2, 7] {
        let buffers = [
            random_bytes(F32, s * 3 * 20, &mut random),
            random_bytes(Storage::Plain(DType::F16), 3 * 24 * 20, &mut random),
            random_bytes(F32, 2 * 3 * s * 12, &mut random),
            random_bytes(Storage::Plain(DType::F16), 2 * 3 * s * 12, &mut random),
        ];
        hold(&kernel, &[s, 20], &buffers, "contract", Near { absolute: 2e-3, relative: 2e-3 });
    }
}

/// The tile loads whole panels, so a buffer that ends inside one is refused although no access reaches its end; with an
/// empty k everything is stored all the same.
#[test]
fn what_leaves_touch_is_checked() {
    let kernel = gemm(Lie::Panels, F32, false, slot(2));
    let block = support::sizes(&[2, 20, 4]);
    for (elements, fits) in [(2 * 16 * 4, true), (16 * 4 + 20, false)] {
        let buffers = [vec![0; 8 * 4], vec![0; elements * 4], vec![0; 20 * 4], vec![0; 40 * 4]];
        assert_eq!(support::accepts(&kernel, &block, &buffers), fits);
    }
    let block = support::sizes(&[2, 20, 0]);
    for (elements, fits) in [(40, true), (39, false)] {
        let buffers = [vec![], vec![], vec![0; 20 * 4], vec![0; elements * 4]];
        assert_eq!(support::accepts(&kernel, &block, &buffers), fits);
    }
}

/// One row against columns that lie side by side: in strips where there are wide vectors, else in lanes.
#[test]
fn one_row() {
    for (n, k) in [(1, 3), (20, 64), (64, 5), (131, 17), (200, 0)] {
        let mut b = Build::new("vector times matrix");
        let (m, columns, depth) = (b.axis("m", 1), b.axis("n", slot(1)), b.axis("k", slot(2)));
        let (x, w, bias, y) = (b.input(DType::F32), b.input(DType::F32), b.input(DType::F32), b.output(DType::F32));
        let (left, right) = (b.read_dense(x, &[m, depth]), b.read_dense(w, &[depth, columns]));
        let sum = b.0.expr.push(Node::Accumulator);
        let bias = b.read_dense(bias, &[columns]);
        let sum = b.binary(Binary::Add, sum, bias);
        let value = b.unary(Unary::Tanh, sum);
        let stores = vec![b.store_dense(y, &[m, columns], value)];
        let kernel = product(b, [m, columns, depth], [left, right], stores);
        let mut random = Random(0x5712 + n as u64);
        let buffers = [k, n * k, n, n].map(|elements| random_bytes(F32, elements, &mut random));
        let wide = support::machine::runnable().len() > 1;
        hold(&kernel, &[1, n, k], &buffers, if wide { "contract" } else { "lanes" }, CLOSE);
    }
}
