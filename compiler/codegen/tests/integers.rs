//! Contractions of bytes: constants in panels, exact sums, and what follows them, held to `eval` bit by bit.
#![allow(missing_docs, reason = "tests")]

mod support;

use iced_x86::{Decoder, DecoderOptions, Mnemonic};
use mlc_codegen::base::{DType, Scalar, Storage};
use mlc_codegen::cpu::Isa;
use mlc_codegen::cpu::panels::wanted;
use mlc_codegen::kernel::*;
use support::build::{Build, slot};
use support::{EXACT, Random, random_bytes};

/// What follows a sum.
#[derive(Clone, Copy, Debug, PartialEq)]
enum After {
    /// The sum itself.
    Sum,
    /// `max(f32(sum) * scale[n] + bias[n], 0)`.
    Scaled,
    /// The same as an integer again, beside a residual of bytes.
    Requantised(DType),
    /// What no leaf finishes: a power.
    Power,
}

#[derive(Clone, Copy, Debug)]
struct Product {
    columns: i64,
    depth: i64,
    sides: [DType; 2],
    after: After,
}

/// Appends what follows the sum at axes `m` and `n`; gives the stores.
fn finish(b: &mut Build, after: After, m: &[AxisId], n: AxisId) -> Vec<Store> {
    let all = [m, &[n]].concat();
    let sum = b.0.expr.push(Node::Accumulator);
    if after == After::Sum {
        let out = b.output(DType::I32);
        return vec![b.store_dense(out, &all, sum)];
    }
    let (scale, bias) = (b.input(DType::F32), b.input(DType::F32));
    let (scale, bias) = (b.read_dense(scale, &[n]), b.read_dense(bias, &[n]));
    let sum = b.0.expr.push(Node::Convert(DType::F32, sum));
    let sum = b.binary(Binary::Mul, sum, scale);
    let sum = b.binary(Binary::Add, sum, bias);
    let zero = b.f32(0.0);
    let negative = b.0.expr.compare(Compare::Lt, sum, zero);
    let value = b.0.expr.select(negative, zero, sum);
    match after {
        After::Requantised(dtype) => {
            let residual = b.input(dtype);
            let residual = b.read_dense(residual, &all);
            let step = b.f32(17.5);
            let value = b.binary(Binary::Div, value, step);
            let value = b.unary(Unary::Round, value);
            let value = b.0.expr.push(Node::Convert(dtype, value));
            let value = b.binary(Binary::Add, value, residual);
            let out = b.output(dtype);
            vec![b.store_dense(out, &all, value)]
        }
        After::Power => {
            let two = b.f32(2.0);
            let value = b.binary(Binary::Pow, value, two);
            let out = b.output(DType::F32);
            vec![b.store_dense(out, &all, value)]
        }
        _ => {
            let out = b.output(DType::F32);
            vec![b.store_dense(out, &all, value)]
        }
    }
}

impl Product {
    fn kernel(&self, rows: Option<i64>) -> Kernel {
        let mut b = Build::new(&format!("{self:?}"));
        let m = match rows {
            Some(rows) => b.axis("m", rows),
            None => b.axis("m", slot(0)),
        };
        let (n, k) = (b.axis("n", self.columns), b.axis("k", self.depth));
        let [x, w] = self.sides.map(|dtype| b.input(dtype));
        let (left, right) = (b.read_dense(x, &[m, k]), b.read_dense(w, &[k, n]));
        let stores = finish(&mut b, self.after, &[m], n);
        let (m, n, k) = (vec![m], vec![n], vec![k]);
        b.finish(Body::Contract(Contract {
            batch: vec![],
            m,
            n,
            k,
            a: left,
            b: right,
            accumulator: DType::I32,
            stores,
        }))
    }
}

/// Buffers for a kernel's inputs and outputs, of so many elements each.
fn buffers(kernel: &Kernel, elements: &[i64], random: &mut Random) -> Vec<Vec<u8>> {
    assert_eq!(kernel.buffers.len(), elements.len());
    let filled = kernel.buffers.iter().zip(elements);
    filled.map(|(buffer, elements)| random_bytes(buffer.storage, *elements, random)).collect()
}

/// The kernel that reads panels gives what the kernel as it is gives, interpreted and as machine code.
fn hold_in_panels(kernel: &Kernel, block: &[i64], buffers: &mut [Vec<u8>], weights: usize) {
    hold_on(kernel, block, buffers, weights, "integers");
}

fn hold_on(kernel: &Kernel, block: &[i64], buffers: &mut [Vec<u8>], weights: usize, path: &str) {
    let (panels, laid_out) = wanted(kernel, BufferId(weights as u32)).unwrap_or_else(|| panic!("{kernel}"));
    let sizes = support::sizes(block);
    let mut expected = buffers.to_vec();
    eval::run(kernel, &sizes, &mut expected);
    buffers[weights] = panels.pack(&buffers[weights]);
    assert_eq!(buffers[weights].len() as i64, panels.elements());
    let mut found = buffers.to_vec();
    eval::run(&laid_out, &sizes, &mut found);
    let last = buffers.len() - 1;
    assert!(found[last] == expected[last], "panels hold other numbers\n{kernel}");
    if support::machine::runnable().len() > 1 {
        support::hold(&laid_out, block, buffers, path, EXACT);
    } else {
        support::hold_any(&laid_out, block, buffers, EXACT);
    }
}

fn elements(product: &Product, rows: i64) -> Vec<i64> {
    let Product { columns, depth, .. } = *product;
    let sides = vec![rows * depth, depth * columns];
    let more = match product.after {
        After::Sum => vec![rows * columns],
        After::Requantised(_) => vec![columns, columns, rows * columns, rows * columns],
        _ => vec![columns, columns, rows * columns],
    };
    [sides, more].concat()
}

#[test]
fn products_of_every_pair_of_types() {
    let afters =
        [After::Sum, After::Scaled, After::Requantised(DType::I8), After::Requantised(DType::U8), After::Power];
    let shapes = [(8, 1), (10, 3), (16, 4), (24, 5), (33, 37), (48, 64), (40, 130), (7 + 16, 18)];
    let mut random = Random(0x1278);
    for left in [DType::I8, DType::U8] {
        for right in [DType::I8, DType::U8] {
            for (number, (columns, depth)) in shapes.into_iter().enumerate() {
                let after = afters[(number + usize::from(left == DType::U8)) % afters.len()];
                let product = Product { columns, depth, sides: [left, right], after };
                for rows in [0, 1, 2, 5, 6, 7, 19] {
                    let fixed = (rows > 0 && random.below(2) == 0).then_some(rows);
                    let kernel = product.kernel(fixed);
                    let mut buffers = buffers(&kernel, &elements(&product, rows), &mut random);
                    hold_in_panels(&kernel, &[rows], &mut buffers, 1);
                }
            }
        }
    }
}

/// The greatest products of each pair of types, added in one direction: nothing saturates, and sums that leave 32 bits
/// wrap.
#[test]
fn extremes() {
    for (left, right, bytes, depth) in [
        (DType::I8, DType::I8, [0x80, 0x80], 4096),
        (DType::I8, DType::I8, [0x80, 0x7f], 4096),
        (DType::U8, DType::I8, [0xff, 0x80], 4096),
        (DType::U8, DType::I8, [0xff, 0x7f], 4096),
        (DType::I8, DType::U8, [0x80, 0xff], 4096),
        (DType::I8, DType::I8, [0x80, 0x80], 140_003),
        (DType::U8, DType::U8, [0xff, 0xff], 40_001),
    ] {
        let product = Product { columns: 8, depth, sides: [left, right], after: After::Sum };
        let kernel = product.kernel(None);
        let mut buffers = vec![vec![bytes[0]; depth as usize], vec![bytes[1]; depth as usize * 8], vec![0; 32]];
        hold_in_panels(&kernel, &[1], &mut buffers, 1);
    }
}

/// Rows that lie along two axes, both known only when called.
#[test]
fn rows_of_two_axes() {
    let mut b = Build::new("two");
    let (s, t) = (b.axis("s", slot(0)), b.axis("t", slot(1)));
    let (n, k) = (b.axis("n", 24), b.axis("k", 20));
    let (x, w) = (b.input(DType::I8), b.input(DType::I8));
    let (left, right) = (b.read_dense(x, &[s, t, k]), b.read_dense(w, &[n, k]));
    let stores = finish(&mut b, After::Requantised(DType::I8), &[s, t], n);
    let (m, n, k) = (vec![s, t], vec![n], vec![k]);
    let kernel = b.finish(Body::Contract(Contract {
        batch: vec![],
        m,
        n,
        k,
        a: left,
        b: right,
        accumulator: DType::I32,
        stores,
    }));
    let mut random = Random(0x2a);
    for [outer, inner] in [[3, 7], [1, 1], [0, 4], [2, 16]] {
        let rows = outer * inner;
        let sizes = [rows * 20, 24 * 20, 24, 24, rows * 24, rows * 24];
        let mut buffers = buffers(&kernel, &sizes, &mut random);
        hold_in_panels(&kernel, &[outer, inner], &mut buffers, 1);
    }
}

/// Pictures that lie channels-last, with borders; channels that do and do not fill groups of four.
#[test]
fn convolutions() {
    let mut random = Random(0xc0);
    for (size, [channels, filters], window, stride, pad, first) in [
        ([6, 9], [8, 16], 3, 1, 1, false),
        ([7, 5], [3, 24], 3, 2, 1, false),
        ([5, 5], [21, 32], 3, 1, 1, false),
        ([9, 4], [16, 8], 1, 1, 0, false),
        ([8, 8], [5, 17], 2, 2, 0, false),
        ([4, 7], [12, 16], 5, 1, 2, false),
        ([7, 9], [3, 24], 3, 2, 1, true),
        ([6, 6], [2, 11], 5, 1, 2, true),
    ] {
        for after in [After::Sum, After::Requantised(DType::I8)] {
            let out = size.map(|size: i64| (size + 2 * pad - window) / stride + 1);
            let mut b = Build::new("conv");
            let batch = b.axis("b", slot(0));
            let [y, x] = out.map(|extent| b.axis("y", extent));
            let (o, c) = (b.axis("o", filters), b.axis("c", channels));
            let [dy, dx] = [0, 1].map(|_| b.axis("d", window));
            let (picture, w) = (b.input(DType::I8), b.input(DType::I8));
            let at = |outer, inner| Index::affine(vec![(outer, stride), (inner, 1)], -pad);
            // Rows of so few numbers side by side are not worth bringing together.
            let path = if first || (window > 1 && channels < 8) { "windows" } else { "integers" };
            let row = size[1] * if first { 1 } else { channels };
            let [step, plane] = if first { [1, size[0] * size[1]] } else { [channels, 1] };
            let guarded = |coord: Coord, extent: i64| if pad > 0 { coord.guarded(extent) } else { coord };
            let coords = vec![
                Coord::new(Index::axis(batch), size[0] * size[1] * channels),
                guarded(Coord::new(at(y, dy), row), size[0]),
                guarded(Coord::new(at(x, dx), step), size[1]),
                Coord::new(Index::axis(c), plane),
            ];
            let left = b.read(Access::new(picture, coords, Scalar::I32(-3)));
            let right = b.read_dense(w, &[o, c, dy, dx]);
            let stores = finish(&mut b, after, &[batch, y, x], o);
            let kernel = b.finish(Body::Contract(Contract {
                batch: vec![batch],
                m: vec![y, x],
                n: vec![o],
                k: if first { vec![c, dy, dx] } else { vec![dy, dx, c] },
                a: left,
                b: right,
                accumulator: DType::I32,
                stores,
            }));
            for images in [1, 2, 0] {
                let results = images * out[0] * out[1] * filters;
                let mut sizes = vec![images * size[0] * size[1] * channels, filters * channels * window * window];
                match after {
                    After::Sum => sizes.push(results),
                    _ => sizes.extend([filters, filters, results, results]),
                }
                let mut buffers = buffers(&kernel, &sizes, &mut random);
                hold_on(&kernel, &[images], &mut buffers, 1, path);
            }
        }
    }
}

/// What other sums or sides need stays as it is.
#[test]
fn weights_that_stay() {
    let product = Product { columns: 16, depth: 8, sides: [DType::I8, DType::I8], after: After::Sum };
    let kernel = product.kernel(None);
    let (_, laid_out) = wanted(&kernel, BufferId(1)).expect("worth it");
    assert!(wanted(&laid_out, BufferId(1)).is_none(), "panels are made once");
    let narrow = Product { columns: 7, ..product };
    assert!(wanted(&narrow.kernel(None), BufferId(1)).is_none(), "seven columns fill no vector");
    let mixed = Product { sides: [DType::I32, DType::I8], ..product };
    assert!(wanted(&mixed.kernel(None), BufferId(1)).is_none(), "the left side is no bytes");
    let mut wide = kernel.clone();
    let Body::Contract(contract) = &mut wide.body else { unreachable!("a contraction") };
    contract.accumulator = DType::I64;
    assert!(wanted(&wide, BufferId(1)).is_none(), "sums of 64 bits");
    assert_eq!(kernel.buffer(BufferId(1)).storage, Storage::Plain(DType::I8));
}

/// Instructions, and the names of their encodings.
type Parts = Vec<(Mnemonic, String)>;

/// The finished leaves of a kernel, and what each is made of.
fn leaves(kernel: &Kernel, isa: Isa) -> Vec<(Vec<u8>, Parts)> {
    let parts = |bytes: Vec<u8>| {
        let decoder = Decoder::with_ip(64, &bytes, 0, DecoderOptions::NONE);
        let until = decoder.into_iter().take_while(|i| i.mnemonic() != Mnemonic::Ret);
        let parts = until.map(|i| (i.mnemonic(), format!("{:?}", i.code()))).collect();
        (bytes, parts)
    };
    support::leaves(kernel, isa).into_iter().map(parts).collect()
}

/// Each level multiplies with its own instruction, in its own encoding, and with none that saturates.
#[test]
fn instructions_of_each_level() {
    for (isa, wanted_one, encoding) in [
        (Isa::Avx2, Mnemonic::Vpmaddwd, "VEX_"),
        (Isa::Avx2Vnni, Mnemonic::Vpdpbusd, "VEX_"),
        (Isa::Avx512, Mnemonic::Vpmaddwd, "EVEX_"),
        (Isa::Avx512Vnni, Mnemonic::Vpdpbusd, "EVEX_"),
    ] {
        let product =
            Product { columns: 40, depth: 24, sides: [DType::I8, DType::I8], after: After::Requantised(DType::I8) };
        let kernel = product.kernel(None);
        let (_, kernel) = wanted(&kernel, BufferId(1)).expect("worth it");
        let mut multiplied = 0;
        for (_, parts) in leaves(&kernel, isa) {
            let multiplies = |m: Mnemonic| matches!(m, Mnemonic::Vpmaddwd | Mnemonic::Vpdpbusd);
            for (mnemonic, code) in &parts {
                let saturates = matches!(mnemonic, Mnemonic::Vpmaddubsw | Mnemonic::Vpdpbusds | Mnemonic::Vpdpwssds);
                assert!(!saturates, "{isa:?}: {code}");
                assert!(code.starts_with("VEX_") || code.starts_with(encoding) || !code.starts_with("EVEX_"), "{code}");
                if multiplies(*mnemonic) {
                    assert_eq!(*mnemonic, wanted_one, "{isa:?}");
                    assert!(code.starts_with(encoding), "{isa:?}: {code}");
                    multiplied += 1;
                }
            }
        }
        assert!(multiplied > 0, "{isa:?}");
    }
}

/// Leaves of levels that this machine may lack, emulated: the rows that they bring and the sums that they make.
#[test]
fn emulated_tiles() {
    use support::emulate::{BASE, Machine};
    let mut random = Random(0xe0);
    let types = [DType::I8, DType::U8];
    for isa in [Isa::Avx2, Isa::Avx2Vnni, Isa::Avx512, Isa::Avx512Vnni] {
        for (left, right) in types.into_iter().flat_map(|left| types.map(|right| (left, right))) {
            for (rows, depth) in [(1, 7), (2, 64), (3, 37), (5, 129), (12, 20)] {
                if rows > 5 && !matches!(isa, Isa::Avx512 | Isa::Avx512Vnni) {
                    continue;
                }
                let product = Product { columns: 16, depth, sides: [left, right], after: After::Sum };
                let kernel = product.kernel(Some(rows));
                let (panels, laid_out) = wanted(&kernel, BufferId(1)).expect("worth it");
                let mut buffers = buffers(&kernel, &elements(&product, rows), &mut random);
                let least = |dtype| if dtype == DType::I8 { 0x80 } else { 0xff };
                buffers[0][..depth as usize / 2].fill(least(left));
                buffers[1][..depth as usize * 8].fill(least(right));
                eval::run(&kernel, &support::sizes(&[rows]), &mut buffers);
                let is_tile = |parts: &[(Mnemonic, String)]| {
                    parts.iter().any(|(m, _)| matches!(m, Mnemonic::Vpmaddwd | Mnemonic::Vpdpbusd))
                };
                let leaves = leaves(&laid_out, isa);
                let (tiles, bringers): (Vec<_>, Vec<_>) = leaves.iter().partition(|(_, parts)| is_tile(parts));
                assert_eq!((tiles.len(), bringers.len()), (1, 1), "{isa:?}, {rows} rows");
                let dots = matches!(isa, Isa::Avx2Vnni | Isa::Avx512Vnni);
                let groups = (depth + 3) / 4;
                let row_bytes = groups * if dots { 4 } else { 8 } + 64;
                let packed = panels.pack(&buffers[1]);
                let mut memory = vec![];
                let mut place = |bytes: Vec<u8>| {
                    let at = BASE + memory.len() as u64;
                    memory.extend(bytes);
                    memory.resize(memory.len().next_multiple_of(64), 0xcc);
                    at
                };
                let from = place(buffers[0].clone());
                let brought = place(vec![0xcc; (rows * row_bytes) as usize]);
                let panel = place(packed);
                let out = place(vec![0xcc; rows as usize * 64]);
                let list = place([brought, panel, out].iter().flat_map(|p| p.to_le_bytes()).collect());
                let mut machine = Machine::new(memory);
                for row in 0..rows {
                    let [from, to] = [from + (row * depth) as u64, brought + (row * row_bytes) as u64];
                    machine.call(&bringers[0].0, &[depth as u64, from, to]);
                }
                machine.call(&tiles[0].0, &[groups as u64, list]);
                let at = (out - BASE) as usize;
                assert!(
                    machine.memory[at..at + rows as usize * 64] == buffers[2],
                    "{isa:?} {left} by {right}, {rows} rows of {depth}"
                );
            }
        }
    }
}

/// Maps that read and write bytes run in wide vectors: `quantize` and `dequantize`.
#[test]
fn maps_of_bytes() {
    let mut random = Random(0x3b);
    for dtype in [DType::I8, DType::U8] {
        for down in [true, false] {
            let mut b = Build::new("map");
            let (m, n) = (b.axis("m", slot(0)), b.axis("n", slot(1)));
            let (from, to) = if down { (DType::F32, dtype) } else { (dtype, DType::F32) };
            let (x, y) = (b.input(from), b.output(to));
            let value = b.read_dense(x, &[m, n]);
            let value = if down {
                let step = b.f32(0.013);
                let value = b.binary(Binary::Div, value, step);
                let value = b.unary(Unary::Round, value);
                b.0.expr.push(Node::Convert(dtype, value))
            } else {
                let zero = b.0.expr.constant(Scalar::I32(3));
                let value = b.binary(Binary::Sub, value, zero);
                let value = b.0.expr.push(Node::Convert(DType::F32, value));
                let step = b.f32(0.013);
                b.binary(Binary::Mul, value, step)
            };
            let stores = vec![b.store_dense(y, &[m, n], value)];
            let kernel = b.finish(Body::Map(stores));
            for isa in [Isa::Avx2, Isa::Avx512] {
                let narrows = |m: Mnemonic| matches!(m, Mnemonic::Vpacksswb | Mnemonic::Vpackuswb | Mnemonic::Vpmovdb);
                let widens = |m: Mnemonic| matches!(m, Mnemonic::Vpmovsxbd | Mnemonic::Vpmovzxbd);
                let found = leaves(&kernel, isa)
                    .iter()
                    .any(|(_, parts)| parts.iter().any(|(m, _)| if down { narrows(*m) } else { widens(*m) }));
                assert!(found, "{isa:?} {dtype}");
            }
            for [rows, columns] in [[3, 41], [1, 8], [2, 7], [0, 9], [5, 64]] {
                let buffers = buffers(&kernel, &[rows * columns; 2], &mut random);
                support::hold_any(&kernel, &[rows, columns], &buffers, EXACT);
            }
        }
    }
}
