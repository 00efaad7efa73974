//! Folds over windows along channels: depthwise convolutions and pools on pictures that lie channels-last.

mod support;

use mlc_codegen::base::{DType, Scalar, Storage};
use mlc_codegen::cpu::panels::wanted;
use mlc_codegen::kernel::*;
use support::build::{Build, slot};
use support::{CLOSE, EXACT, Random, hold, random_bytes};

const F32: Storage = Storage::Plain(DType::F32);

/// A picture `[height, width, channels]` and a window that slides over it.
#[derive(Clone, Copy, Debug)]
struct Slide {
    size: [i64; 2],
    channels: i64,
    window: [i64; 2],
    stride: i64,
    dilation: i64,
    pad: i64,
}

impl Slide {
    fn out(&self) -> [i64; 2] {
        [0, 1].map(|i| (self.size[i] + 2 * self.pad - (self.window[i] - 1) * self.dilation - 1) / self.stride + 1)
    }

    /// Axes n, y, x, c of the result and the two of the window.
    fn axes(&self, b: &mut Build) -> [AxisId; 6] {
        let [height, width] = self.out();
        let (n, y, x) = (b.axis("n", slot(0)), b.axis("y", height), b.axis("x", width));
        let c = b.axis("c", self.channels);
        let [dy, dx] = self.window.map(|extent| b.axis("d", extent));
        [n, y, x, c, dy, dx]
    }

    fn picture(&self, b: &mut Build, axes: [AxisId; 6], fill: f32) -> ExprId {
        self.picture_of(b, axes, DType::F32, Scalar::F32(fill))
    }

    fn picture_of(&self, b: &mut Build, [n, y, x, c, dy, dx]: [AxisId; 6], dtype: DType, fill: Scalar) -> ExprId {
        let buffer = b.input(dtype);
        let at = |outer, inner| Index::affine(vec![(outer, self.stride), (inner, self.dilation)], -self.pad);
        let coords = vec![
            Coord::new(Index::axis(n), self.size[0] * self.size[1] * self.channels),
            Coord::new(at(y, dy), self.size[1] * self.channels).guarded(self.size[0]),
            Coord::new(at(x, dx), self.channels).guarded(self.size[1]),
            Coord::new(Index::axis(c), 1),
        ];
        b.read(Access::new(buffer, coords, fill))
    }

    fn elements(&self, batch: i64) -> [i64; 2] {
        let [height, width] = self.out();
        [batch * self.size[0] * self.size[1] * self.channels, batch * height * width * self.channels]
    }
}

/// `min(Σ picture · filter + bias + residual, 6)`, the filter as `[c, dy, dx]` or `[dy, dx, c]`.
fn depthwise(slide: Slide, channels_first: bool) -> Kernel {
    let mut b = Build::new(&format!("depthwise {slide:?}"));
    let axes @ [n, y, x, c, dy, dx] = slide.axes(&mut b);
    let picture = slide.picture(&mut b, axes, 0.0);
    let (w, bias, r, out) = (b.input(DType::F32), b.input(DType::F32), b.input(DType::F32), b.output(DType::F32));
    let filter = if channels_first { b.read_dense(w, &[c, dy, dx]) } else { b.read_dense(w, &[dy, dx, c]) };
    let value = b.binary(Binary::Mul, filter, picture);
    let sum = b.0.expr.push(Node::Cell(0));
    let bias = b.read_dense(bias, &[c]);
    let sum = b.binary(Binary::Add, sum, bias);
    let residual = b.read_dense(r, &[n, y, x, c]);
    let sum = b.binary(Binary::Add, sum, residual);
    let six = b.f32(6.0);
    let result = b.binary(Binary::Min, sum, six);
    let stores = vec![b.store_dense(out, &[n, y, x, c], result)];
    b.finish(Body::Reduce(Reduce { over: vec![dy, dx], folds: vec![Fold { kind: FoldKind::Sum, value }], stores }))
}

fn pool(slide: Slide, kind: FoldKind) -> Kernel {
    let mut b = Build::new(&format!("pool {slide:?}"));
    let axes @ [n, y, x, c, dy, dx] = slide.axes(&mut b);
    let start = kind.start(DType::F32).as_f64() as f32;
    let value = slide.picture(&mut b, axes, start);
    let out = b.output(DType::F32);
    let sum = b.0.expr.push(Node::Cell(0));
    let count = b.f32((slide.window[0] * slide.window[1]) as f32);
    let result = if kind == FoldKind::Sum { b.binary(Binary::Div, sum, count) } else { sum };
    let stores = vec![b.store_dense(out, &[n, y, x, c], result)];
    b.finish(Body::Reduce(Reduce { over: vec![dy, dx], folds: vec![Fold { kind, value }], stores }))
}

fn expected_path() -> &'static str {
    if support::machine::runnable().len() > 1 { "windows" } else { "lanes" }
}

fn slides() -> Vec<Slide> {
    let slide = |size, channels, window, stride, dilation, pad| Slide { size, channels, window, stride, dilation, pad };
    vec![
        slide([7, 7], 16, [3, 3], 1, 1, 1),
        slide([14, 14], 24, [3, 3], 1, 1, 1),
        slide([14, 9], 8, [3, 3], 2, 1, 1),
        slide([5, 6], 13, [5, 5], 1, 1, 2),
        slide([9, 11], 40, [5, 5], 2, 1, 2),
        slide([3, 2], 9, [3, 3], 1, 1, 1),
        slide([8, 10], 11, [3, 3], 1, 2, 2),
        slide([1, 1], 32, [3, 3], 1, 1, 1),
        slide([6, 17], 21, [1, 4], 3, 1, 0),
        slide([4, 5], 8, [7, 7], 1, 1, 3),
    ]
}

#[test]
fn depthwise_convolutions() {
    for (i, slide) in slides().into_iter().enumerate() {
        for (batch, channels_first) in [(1, true), (2, false), (0, true)] {
            let mut random = Random(0xd3b7 + i as u64);
            let ([read, written], taps) = (slide.elements(batch), slide.window[0] * slide.window[1]);
            let sizes = [read, slide.channels * taps, slide.channels, written, written];
            let buffers = sizes.map(|elements| random_bytes(F32, elements, &mut random));
            hold(&depthwise(slide, channels_first), &[batch], &buffers, expected_path(), CLOSE);
        }
    }
}

/// The same of bytes about a zero point: an exact sum, its scale, and bytes again.
fn depthwise_of_bytes(slide: Slide, sides: [DType; 2], fill: i32) -> Kernel {
    let mut b = Build::new(&format!("depthwise of {sides:?} {slide:?}"));
    let axes @ [n, y, x, c, dy, dx] = slide.axes(&mut b);
    let picture = slide.picture_of(&mut b, axes, sides[0], Scalar::I32(fill));
    let (w, scale, out) = (b.input(sides[1]), b.input(DType::F32), b.output(sides[0]));
    let filter = b.read_dense(w, &[c, dy, dx]);
    let value = b.binary(Binary::Mul, filter, picture);
    let sum = b.0.expr.push(Node::Cell(0));
    let sum = b.0.expr.convert(DType::F32, sum);
    let scale = b.read_dense(scale, &[c]);
    let sum = b.binary(Binary::Mul, sum, scale);
    let sum = b.unary(Unary::Round, sum);
    let result = b.0.expr.push(Node::Convert(sides[0], sum));
    let stores = vec![b.store_dense(out, &[n, y, x, c], result)];
    b.finish(Body::Reduce(Reduce { over: vec![dy, dx], folds: vec![Fold { kind: FoldKind::Sum, value }], stores }))
}

#[test]
fn depthwise_convolutions_of_bytes() {
    for (i, slide) in slides().into_iter().enumerate() {
        for (sides, fill) in [([DType::U8, DType::I8], 131), ([DType::I8, DType::I8], -7), ([DType::U8, DType::U8], 0)]
        {
            let mut random = Random(0xb17e + i as u64);
            let ([read, written], taps) = (slide.elements(2), slide.window[0] * slide.window[1]);
            let sizes = [
                (sides[0], read),
                (sides[1], slide.channels * taps),
                (DType::F32, slide.channels),
                (sides[0], written),
            ];
            let mut buffers = sizes.map(|(dtype, count)| random_bytes(Storage::Plain(dtype), count, &mut random));
            let kernel = depthwise_of_bytes(slide, sides, fill);
            hold(&kernel, &[2], &buffers, expected_path(), EXACT);
            let Some((panels, laid_out)) = wanted(&kernel, BufferId(1)) else {
                assert!(slide.channels < 8, "filters are laid out when a model is built");
                continue;
            };
            buffers[1] = panels.pack(&buffers[1]);
            hold(&laid_out, &[2], &buffers, expected_path(), EXACT);
        }
    }
}

#[test]
fn pools() {
    for (i, slide) in slides().into_iter().enumerate() {
        for (kind, near) in [(FoldKind::Max, EXACT), (FoldKind::Min, EXACT), (FoldKind::Sum, CLOSE)] {
            let mut random = Random(0x9001 + i as u64);
            let [read, written] = slide.elements(2);
            let mut buffers = [read, written].map(|elements| random_bytes(F32, elements, &mut random));
            if kind != FoldKind::Sum {
                buffers[0][..4].copy_from_slice(&f32::NAN.to_le_bytes());
            }
            hold(&pool(slide, kind), &[2], &buffers, expected_path(), near);
        }
    }
}

/// What lies outside is a zero that filters multiply: an infinite one makes NaN of it.
#[test]
fn borders_are_zeros() {
    let slide = Slide { size: [4, 4], channels: 8, window: [3, 3], stride: 1, dilation: 1, pad: 1 };
    let kernel = depthwise(slide, false);
    let mut random = Random(0x1f);
    let [read, written] = slide.elements(1);
    let sizes = [read, 72, 8, written, written];
    let mut buffers = sizes.map(|elements| random_bytes(F32, elements, &mut random));
    buffers[1][..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    hold(&kernel, &[1], &buffers, expected_path(), CLOSE);
}

/// The mean of whole pictures, to `[n, c]`.
#[test]
fn whole_pictures() {
    for (channels, places) in [(8, 49), (20, 7), (64, 1)] {
        let mut b = Build::new("global pool");
        let (n, c, p) = (b.axis("n", slot(0)), b.axis("c", channels), b.axis("p", places));
        let (x, y) = (b.input(DType::F32), b.output(DType::F32));
        let value = b.read_dense(x, &[n, p, c]);
        let sum = b.0.expr.push(Node::Cell(0));
        let count = b.0.expr.push(Node::Size(slot(1)));
        let count = b.0.expr.convert(DType::F32, count);
        let mean = b.binary(Binary::Div, sum, count);
        let stores = vec![b.store_dense(y, &[n, c], mean)];
        let reduce = Reduce { over: vec![p], folds: vec![Fold { kind: FoldKind::Sum, value }], stores };
        let kernel = b.finish(Body::Reduce(reduce));
        let mut random = Random(0x610b + channels as u64);
        for batch in [1, 3] {
            let sizes = [batch * places * channels, batch * channels];
            let buffers = sizes.map(|elements| random_bytes(F32, elements, &mut random));
            hold(&kernel, &[batch, places], &buffers, expected_path(), CLOSE);
        }
    }
}
