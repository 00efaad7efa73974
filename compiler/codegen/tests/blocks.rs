//! Contractions over panels: convolutions of pictures that lie channels-last, with filters in the panels that a build makes
//! of them, and products of any number of rows.

mod support;

use mlc_codegen::base::{DType, Dim, Scalar, Storage};
use mlc_codegen::cpu::panels::{PANEL, packed_panels, wanted};
use mlc_codegen::kernel::*;
use support::build::{Build, slot};
use support::{CLOSE, Near, Random, hold, random_bytes};

const F32: Storage = Storage::Plain(DType::F32);

#[derive(Clone, Copy, Debug)]
struct Conv {
    size: [i64; 2],
    channels: i64,
    filters: i64,
    window: i64,
    stride: i64,
    dilation: i64,
    pad: i64,
}

impl Conv {
    fn out(&self) -> [i64; 2] {
        self.size.map(|size| (size + 2 * self.pad - (self.window - 1) * self.dilation - 1) / self.stride + 1)
    }

    /// `max(Σ picture · filter + bias + residual, 0)`, filters as `[o, c, dy, dx]`.
    fn kernel(&self) -> Kernel {
        let mut b = Build::new(&format!("{self:?}"));
        let [height, width] = self.out();
        let (n, y, x) = (b.axis("n", slot(0)), b.axis("y", height), b.axis("x", width));
        let (o, c) = (b.axis("o", self.filters), b.axis("c", self.channels));
        let [dy, dx] = [0, 1].map(|_| b.axis("d", self.window));
        let (picture, w) = (b.input(DType::F32), b.input(DType::F32));
        let (bias, r, out) = (b.input(DType::F32), b.input(DType::F32), b.output(DType::F32));
        let at = |outer, inner| Index::affine(vec![(outer, self.stride), (inner, self.dilation)], -self.pad);
        let row = self.size[1] * self.channels;
        let guarded = |coord: Coord, extent: i64| if self.pad > 0 { coord.guarded(extent) } else { coord };
        let coords = vec![
            Coord::new(Index::axis(n), self.size[0] * row),
            guarded(Coord::new(at(y, dy), row), self.size[0]),
            guarded(Coord::new(at(x, dx), self.channels), self.size[1]),
            Coord::new(Index::axis(c), 1),
        ];
        let left = b.read(Access::new(picture, coords, Scalar::F32(0.0)));
        let right = b.read_dense(w, &[o, c, dy, dx]);
        let sum = b.0.expr.push(Node::Accumulator);
        let bias = b.read_dense(bias, &[o]);
        let sum = b.binary(Binary::Add, sum, bias);
        let residual = b.read_dense(r, &[n, y, x, o]);
        let sum = b.binary(Binary::Add, sum, residual);
        let zero = b.f32(0.0);
        let negative = b.0.expr.compare(Compare::Lt, sum, zero);
        let value = b.0.expr.select(negative, zero, sum);
        let stores = vec![b.store_dense(out, &[n, y, x, o], value)];
        b.finish(Body::Contract(Contract {
            batch: vec![n],
            m: vec![y, x],
            n: vec![o],
            k: vec![dy, dx, c],
            a: left,
            b: right,
            accumulator: DType::F32,
            stores,
        }))
    }

    fn buffers(&self, batch: i64, random: &mut Random) -> Vec<Vec<u8>> {
        let [height, width] = self.out();
        let picture = batch * self.size[0] * self.size[1] * self.channels;
        let weights = self.filters * self.channels * self.window * self.window;
        let result = batch * height * width * self.filters;
        let sizes = [picture, weights, self.filters, result, result];
        sizes.map(|elements| random_bytes(F32, elements, random)).to_vec()
    }
}

fn convolutions() -> Vec<(Conv, &'static str)> {
    let conv = |size, [channels, filters]: [i64; 2], window, stride, dilation, pad| Conv {
        size,
        channels,
        filters,
        window,
        stride,
        dilation,
        pad,
    };
    vec![
        (conv([7, 7], [72, 24], 1, 1, 1, 0), "blocks"),
        (conv([9, 5], [200, 8], 1, 2, 1, 0), "blocks"),
        (conv([3, 2], [1024, 16], 1, 1, 1, 0), "blocks"),
        (conv([5, 5], [1024, 40], 1, 1, 1, 0), "blocks"),
        (conv([5, 3], [1500, 24], 1, 1, 1, 0), "blocks"),
        (conv([4, 4], [129, 41], 3, 1, 1, 1), "blocks"),
        (conv([6, 9], [24, 32], 3, 1, 1, 1), "blocks"),
        (conv([7, 11], [21, 56], 3, 2, 1, 1), "blocks"),
        (conv([9, 8], [20, 16], 3, 1, 2, 2), "blocks"),
        (conv([2, 2], [18, 48], 5, 1, 1, 2), "blocks"),
        (conv([11, 13], [3, 32], 3, 2, 1, 1), "windows"),
        (conv([12, 9], [3, 24], 7, 2, 1, 3), "windows"),
        (conv([10, 9], [2, 13], 5, 1, 1, 2), "windows"),
    ]
}

/// A kernel that reads panels gives what the kernel gives that reads the filters as they were.
#[test]
fn filters_in_panels() {
    for (i, (conv, path)) in convolutions().into_iter().enumerate() {
        let kernel = conv.kernel();
        let (panels, laid_out) = wanted(&kernel, BufferId(1)).expect("the filters are worth it");
        for batch in [1, 2, 0] {
            let mut random = Random(0xc04 + i as u64 * 3 + batch as u64);
            let mut buffers = conv.buffers(batch, &mut random);
            let block = support::sizes(&[batch]);
            let mut expected = buffers.clone();
            eval::run(&kernel, &block, &mut expected);
            buffers[1] = panels.pack(&buffers[1]);
            assert_eq!(buffers[1].len() as i64, panels.elements() * 4);
            let mut found = buffers.clone();
            eval::run(&laid_out, &block, &mut found);
            let numbers = |bytes: &[u8]| -> Vec<f32> {
                bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
            };
            assert_eq!(numbers(&found[4]), numbers(&expected[4]), "{conv:?}");
            let wide = support::machine::runnable().len() > 1;
            let near = Near { absolute: 2e-3, ..CLOSE };
            if wide {
                hold(&laid_out, &[batch], &buffers, path, near);
            } else {
                support::hold_any(&laid_out, &[batch], &buffers, near);
            }
        }
    }
}

/// What is read at other places too, or lies along the columns already, stays as it is.
#[test]
fn filters_that_stay() {
    let conv = convolutions()[4].0;
    let kernel = conv.kernel();
    assert!(wanted(&kernel, BufferId(0)).is_none(), "a picture is no filter");
    assert!(wanted(&kernel, BufferId(2)).is_none(), "nor is a bias");
    let (_, laid_out) = wanted(&kernel, BufferId(1)).expect("the filters are worth it");
    assert!(wanted(&laid_out, BufferId(1)).is_none(), "panels are made once");
    let narrow = Conv { filters: 7, ..conv };
    assert!(wanted(&narrow.kernel(), BufferId(1)).is_none(), "seven columns fill no vector");
}

/// An infinite weight beside the picture's border makes NaN there, as zeros that it multiplies do.
#[test]
fn borders_are_zeros() {
    for (conv, path) in [convolutions()[4], convolutions()[8]] {
        let (panels, laid_out) = wanted(&conv.kernel(), BufferId(1)).expect("the filters are worth it");
        let mut buffers = conv.buffers(1, &mut Random(0xb0));
        buffers[1][..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
        buffers[1] = panels.pack(&buffers[1]);
        if support::machine::runnable().len() > 1 {
            hold(&laid_out, &[1], &buffers, path, Near { absolute: 2e-3, ..CLOSE });
        }
    }
}

/// `erf(left · w + bias) + residual`, so many rows as a call has; `left` is read, or computed where there is a prologue.
fn product(columns: i64, depth: i64, prologue: bool) -> Kernel {
    product_of([slot(0), slot(1)], columns, depth, prologue)
}

/// The same of rows along two axes.
fn product_of([outer, rows]: [Dim; 2], columns: i64, depth: i64, prologue: bool) -> Kernel {
    let mut b = Build::new("product");
    let (outer, m, n, k) = (b.axis("o", outer), b.axis("m", rows), b.axis("n", columns), b.axis("k", depth));
    let [x, w, bias, residual] = [0; 4].map(|_| b.input(DType::F32));
    let y = b.output(DType::F32);
    let mut left = b.read_dense(x, &[outer, m, k]);
    if prologue {
        left = b.binary(Binary::Mul, left, left);
    }
    let panels = packed_panels(&b.0, w, n, &[k], PANEL);
    let right = b.read(panels);
    let sum = b.0.expr.push(Node::Accumulator);
    let bias = b.read_dense(bias, &[n]);
    let sum = b.binary(Binary::Add, sum, bias);
    let erf = b.unary(Unary::Erf, sum);
    let residual = b.read_dense(residual, &[outer, m, n]);
    let value = b.binary(Binary::Add, erf, residual);
    let stores = vec![b.store_dense(y, &[outer, m, n], value)];
    let (m, n, k) = (vec![outer, m], vec![n], vec![k]);
    b.finish(Body::Contract(Contract { batch: vec![], m, n, k, a: left, b: right, accumulator: DType::F32, stores }))
}

/// Every height of a tile and every rest of columns, in one piece of k and in several.
#[test]
fn rows_known_when_called() {
    if support::machine::runnable().len() == 1 {
        return;
    }
    let near = Near { absolute: 5e-4, relative: 1e-4 };
    for (columns, depth) in [(37, 24), (16, 5), (48, 33), (9, 1), (21, 1030)] {
        for prologue in [false, true] {
            let kernel = product(columns, depth, prologue);
            for [outer, m] in [[0, 3], [1, 1], [2, 1], [1, 3], [2, 2], [1, 5], [2, 3], [1, 7], [3, 3], [1, 23]] {
                let mut random = Random(0xb10c + (columns * 100 + outer * 31 + m) as u64);
                let (rows, panels) = (outer * m, (columns + PANEL - 1) / PANEL * PANEL);
                let sizes = [rows * depth, panels * depth, columns, rows * columns, rows * columns];
                let buffers = sizes.map(|elements| random_bytes(F32, elements, &mut random));
                hold(&kernel, &[outer, m], &buffers, "blocks", near);
            }
        }
    }
}

/// Rows that a build knows to be few, whose panels are read side by side: as many as fit, and what is left.
#[test]
fn few_rows_known_at_build() {
    if support::machine::runnable().len() == 1 {
        return;
    }
    let near = Near { absolute: 5e-4, relative: 1e-4 };
    for rows in [1, 2, 3, 7, 13, 16] {
        for (columns, depth) in [(64, 24), (112, 7), (149, 33), (32, 1030), (70, 1), (9, 5)] {
            let kernel = product_of([Dim::from(1), Dim::from(rows)], columns, depth, depth == 33);
            let mut random = Random(0xfe3 + (columns * 7 + rows) as u64);
            let panels = (columns + PANEL - 1) / PANEL * PANEL;
            let sizes = [rows * depth, panels * depth, columns, rows * columns, rows * columns];
            let buffers = sizes.map(|elements| random_bytes(F32, elements, &mut random));
            hold(&kernel, &[], &buffers, "blocks", near);
        }
    }
}

/// More rows than are brought together at a time.
#[test]
fn blocks_of_many_rows() {
    if support::machine::runnable().len() == 1 {
        return;
    }
    for (columns, depth, rows) in [(24, 1024, 61), (17, 1100, 77)] {
        let mut random = Random(0xb10d);
        let panels = (columns + PANEL - 1) / PANEL * PANEL;
        let sizes = [rows * depth, panels * depth, columns, rows * columns, rows * columns];
        let buffers = sizes.map(|elements| random_bytes(F32, elements, &mut random));
        let near = Near { absolute: 5e-4, relative: 1e-4 };
        hold(&product(columns, depth, true), &[1, rows], &buffers, "blocks", near);
    }
}

/// Weights of 16 bits are read as they are, and give what their numbers as f32 give.
#[test]
fn panels_of_16_bits() {
    for (i, (columns, depth)) in [(40, 64), (41, 70), (16, 1500), (24, 3)].into_iter().enumerate() {
        for dtype in [DType::F16, DType::BF16] {
            let mut b = Build::new(&format!("{columns} {depth} {dtype}"));
            let (m, n, k) = (b.axis("m", slot(0)), b.axis("n", columns), b.axis("k", depth));
            let (x, w, bias, out) = (b.input(DType::F32), b.input(dtype), b.input(DType::F32), b.output(DType::F32));
            let (left, right) = (b.read_dense(x, &[m, k]), b.read_dense(w, &[k, n]));
            let sum = b.0.expr.push(Node::Accumulator);
            let bias = b.read_dense(bias, &[n]);
            let value = b.binary(Binary::Add, sum, bias);
            let stores = vec![b.store_dense(out, &[m, n], value)];
            let (batch, accumulator) = (vec![], DType::F32);
            let contract =
                Contract { batch, m: vec![m], n: vec![n], k: vec![k], a: left, b: right, accumulator, stores };
            let kernel = b.finish(Body::Contract(contract));
            let (panels, laid_out) = wanted(&kernel, BufferId(1)).expect("weights are worth it");
            for rows in [1, 3, 13, 0] {
                let mut random = Random(0x16b + i as u64 * 7 + rows as u64);
                let sizes = [
                    (F32, rows * depth),
                    (Storage::Plain(dtype), depth * columns),
                    (F32, columns),
                    (F32, rows * columns),
                ];
                let mut buffers = sizes.map(|(storage, count)| random_bytes(storage, count, &mut random)).to_vec();
                let block = support::sizes(&[rows]);
                let mut expected = buffers.clone();
                eval::run(&kernel, &block, &mut expected);
                buffers[1] = panels.pack(&buffers[1]);
                let mut packed = buffers.clone();
                eval::run(&laid_out, &block, &mut packed);
                assert_eq!(packed[3], expected[3], "panels hold the numbers that they were made of");
                hold(
                    &laid_out,
                    &[rows],
                    &buffers,
                    if support::machine::runnable().len() > 1 { "blocks" } else { "contract" },
                    Near { absolute: 5e-4, relative: 1e-4 },
                );
            }
        }
    }
}
