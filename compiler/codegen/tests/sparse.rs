//! Contractions with a sparse right side: both forms, every way that rows are taken, sizes around blocks, tiles and slices,
//! and matrices of strangers.
#![allow(missing_docs, reason = "tests")]

mod support;

use mlc_codegen::base::{BLOCK, DType, Dense, Dim, Form, Sparse, Storage};
use mlc_codegen::cpu::Isa;
use mlc_codegen::kernel::*;
use support::build::{Build, slot};
use support::machine::{Compiled, Guarded, runnable};
use support::{CLOSE, Random, hold, random_bytes};

const F32: Storage = Storage::Plain(DType::F32);

/// Numbers of a `[rows, columns]` matrix of which one in `of` is not zero.
fn drawn(rows: usize, columns: usize, of: u64, random: &mut Random) -> Vec<f32> {
    let mut number = || if random.below(of) == 0 { random.float() as f32 } else { 0.0 };
    (0..rows * columns).map(|_| number()).collect()
}

fn encoded([rows, columns]: [usize; 2], form: Form, numbers: &[f32]) -> (Sparse, Vec<u8>) {
    let places: Vec<usize> = (0..columns).collect();
    let dense = Dense { numbers, by_row: columns, columns: &places };
    let (sparse, bytes) = Sparse::encode(rows as u32, form, dense);
    sparse.check(&bytes).expect("what is encoded keeps to the form");
    (sparse, bytes)
}

/// What the left side and the results are like.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Like {
    /// Rows in memory, results along n.
    Plain,
    /// A left side to be evaluated.
    Prologue,
    /// Results with m innermost.
    Turned,
}

/// `y = relu(a · w + bias)`.
fn product(like: Like, sparse: Sparse, depth: &[i64], m: impl Into<Dim>) -> Kernel {
    let mut b = Build::new(&format!("{like:?}"));
    let (m, n) = (b.axis("m", m), b.axis("n", i64::from(sparse.rows)));
    let k: Vec<AxisId> = depth.iter().map(|extent| b.axis("k", *extent)).collect();
    let (x, w) = (b.input(DType::F32), b.buffer("w", Storage::Sparse(sparse), Role::Read));
    let (bias, y) = (b.input(DType::F32), b.output(DType::F32));
    let mut left = b.read_dense(x, &[&[m], &k[..]].concat());
    if like == Like::Prologue {
        left = b.unary(Unary::Tanh, left);
    }
    let right = sparse_right(&b.0, w, n, &k);
    let right = b.read(right);
    let acc = b.0.expr.push(Node::Accumulator);
    let bias = b.read_dense(bias, &[n]);
    let sum = b.binary(Binary::Add, acc, bias);
    let zero = b.f32(0.0);
    let value = b.binary(Binary::Max, sum, zero);
    let places = if like == Like::Turned { [n, m] } else { [m, n] };
    let stores = vec![b.store_dense(y, &places, value)];
    let (m, n) = (vec![m], vec![n]);
    let accumulator = DType::F32;
    b.finish(Body::Contract(Contract { batch: vec![], m, n, k, a: left, b: right, accumulator, stores }))
}

fn run(like: Like, form: Form, [m, n, k]: [usize; 3], of: u64) {
    let mut random = Random(0x5eed_0000 + (m * 31 + n * 7 + k) as u64 + of);
    let (sparse, bytes) = encoded([n, k], form, &drawn(n, k, of, &mut random));
    let buffers = [
        random_bytes(F32, (m * k) as i64, &mut random),
        bytes,
        random_bytes(F32, n as i64, &mut random),
        random_bytes(F32, (m * n) as i64, &mut random),
    ];
    hold(&product(like, sparse, &[k as i64], slot(0)), &[m as i64], &buffers, "sparse", CLOSE);
    hold(&product(like, sparse, &[k as i64], m as i64), &[], &buffers, "sparse", CLOSE);
}

#[test]
fn every_number_of_rows() {
    for m in [0, 1, 2, 7, 8, 9, 16, 17, 31, 32, 33, 67] {
        run(Like::Plain, Form::Cached, [m, 13, 21], 3);
        run(Like::Prologue, Form::Permuted, [m, 13, 21], 3);
    }
}

#[test]
fn sizes_around_blocks_tiles_and_slices() {
    for [n, k] in
        [[1, 1], [8, 0], [0, 8], [7, 255], [8, 256], [9, 257], [127, 64], [128, 65], [129, 63], [300, 16], [3, 700]]
    {
        for form in [Form::Cached, Form::Permuted] {
            for m in [1, 5] {
                run(Like::Plain, form, [m, n, k], 5);
                run(Like::Turned, form, [m, n, k], 5);
                run(Like::Prologue, form, [m, n, k], 5);
            }
        }
    }
}

#[test]
fn every_density() {
    for of in [1, 2, 50, u64::MAX >> 20] {
        run(Like::Plain, Form::Cached, [1, 140, 270], of);
        run(Like::Plain, Form::Permuted, [3, 140, 70], of);
    }
}

/// Several axes of k, and those of a batch that the right side does not have.
#[test]
fn many_axes() {
    let mut random = Random(99);
    let (sparse, bytes) = encoded([10, 3 * 4 * 5], Form::Cached, &drawn(10, 60, 4, &mut random));
    let mut kernel = product(Like::Plain, sparse, &[3, 4, 5], 6);
    let Body::Contract(c) = &mut kernel.body else { unreachable!("it was built so") };
    std::mem::swap(&mut c.batch, &mut c.m);
    let sizes = [6 * 60, 10, 6 * 10];
    let [x, bias, y] = sizes.map(|count| random_bytes(F32, count, &mut random));
    hold(&kernel, &[], &[x, bytes, bias, y], "sparse", CLOSE);
}

/// A row gives the same bits alone and among others.
#[test]
fn rows_do_not_depend_on_one_another() {
    let mut random = Random(4242);
    let (sparse, bytes) = encoded([150, 530], Form::Cached, &drawn(150, 530, 10, &mut random));
    let x = random_bytes(F32, 40 * 530, &mut random);
    let bias = random_bytes(F32, 150, &mut random);
    for isa in runnable() {
        let code = Compiled::new(&product(Like::Plain, sparse, &[530], slot(0)), isa);
        let results = |x: &[u8]| {
            let rows = x.len() / (530 * 4);
            let parts = [x.to_vec(), bytes.clone(), bias.clone(), vec![0; rows * 600]];
            let mut buffers = parts.map(|part| Guarded::new(&part, false));
            code.run(&support::sizes(&[rows as i64]), &mut buffers, 1);
            buffers[3].bytes().to_vec()
        };
        let all = results(&x);
        for row in [0, 17, 39] {
            let one = results(&x[row * 2120..][..2120]);
            assert!(one == all[row * 600..][..600], "row {row} of {isa:?}");
        }
    }
}

/// What is not a number goes where a number of the matrix takes it, and nowhere else.
#[test]
fn infinities_meet_no_zeros_that_are_left_out() {
    let mut numbers = vec![0.0; 9 * 20];
    (0..9).for_each(|row| numbers[row * 20 + row] = 2.0);
    numbers[19] = 1.0;
    let (sparse, bytes) = encoded([9, 20], Form::Cached, &numbers);
    let mut x = vec![1.0f32; 20];
    (x[1], x[18]) = (f32::INFINITY, f32::NAN);
    let flat = |numbers: &[f32]| numbers.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    for isa in runnable() {
        let code = Compiled::new(&product(Like::Plain, sparse, &[20], 1), isa);
        let parts = [flat(&x), bytes.clone(), flat(&[0.0; 9]), vec![0; 36]];
        let mut buffers = parts.map(|part| Guarded::new(&part, true));
        code.run(&support::sizes(&[]), &mut buffers, 1);
        let got: Vec<f32> =
            buffers[3].bytes().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        assert_eq!((got[0], got[1]), (3.0, f32::INFINITY));
        // The other rows of the first slice are as short as row 1, filled up where they hold zeros.
        assert!(got[8] == 2.0, "{got:?}");
    }
}

#[test]
fn elements_are_found_again_with_more_room_too() {
    let mut random = Random(7);
    for form in [Form::Cached, Form::Permuted] {
        let numbers = drawn(131, 300, 6, &mut random);
        let (sparse, bytes) = encoded([131, 300], form, &numbers);
        let turned: Vec<f32> = (0..300 * 131).map(|i| numbers[i % 131 * 300 + i / 131]).collect();
        let columns: Vec<usize> = (0..300).map(|column| column * 131).collect();
        let other = Dense { numbers: &turned, by_row: 1, columns: &columns };
        assert!((sparse, bytes.clone()) == Sparse::encode(131, form, other), "the same from columns");
        let (wider, padded) = sparse.with_room(&bytes, sparse.steps + 19);
        wider.check(&padded).expect("room does no harm");
        for (i, number) in numbers.iter().enumerate() {
            assert_eq!((sparse.element(&bytes, i), wider.element(&padded, i)), (*number, *number), "element {i}");
        }
        let count = numbers.iter().filter(|number| **number != 0.0).count() as u64;
        assert_eq!((sparse.entries(&bytes), wider.entries(&padded)), (count, count));
    }
}

/// Bytes with one thing wrong each.
#[test]
fn bytes_that_do_not_keep_to_the_form_are_refused() {
    let mut random = Random(8);
    let (sparse, bytes) = encoded([130, 260], Form::Cached, &drawn(130, 260, 4, &mut random));
    let wrong = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        assert!(bytes[at] != byte, "it changes something");
        bytes[at] = byte;
        sparse.check(&bytes).expect_err("it is wrong")
    };
    let says = [
        (wrong(0, 1), "room"),
        (wrong(4, bytes[4] ^ 1), "follow"),
        (wrong(16 + 3, 0x7f), "room"),
        (wrong(sparse.counts(), bytes[sparse.counts()] ^ 1), "follow"),
        (wrong(sparse.order(), bytes[sparse.order() + 1]), "every row once"),
        (wrong(sparse.order(), BLOCK as u8), "every row once"),
    ];
    says.into_iter().for_each(|(error, word)| assert!(error.contains(word), "{error}"));
    let second = 4;
    let start = u32::from_le_bytes(bytes[second..second + 4].try_into().expect("4 bytes")) as usize;
    assert!(wrong(sparse.indices() + start * 8, 4).contains("beyond"), "the second tile has four columns");
    assert!(sparse.check(&bytes[..bytes.len() - 1]).expect_err("it is short").contains("length"));
}

/// Whatever passes the check stays inside its buffers, and means what `eval` says.
#[test]
fn changed_bytes_are_refused_or_harmless() {
    let mut random = Random(0xfeed);
    let (sparse, bytes) = encoded([20, 300], Form::Cached, &drawn(20, 300, 9, &mut random));
    let buffers = [3 * 300, 20, 3 * 20].map(|count| random_bytes(F32, count, &mut random));
    let (mut refused, mut run) = (0, 0);
    for _ in 0..300 {
        let mut bytes = bytes.clone();
        // The numbers themselves may be anything.
        let at = match random.below(2) {
            0 => random.below(sparse.values() as u64) as usize,
            _ => sparse.indices() + random.below((bytes.len() - sparse.indices()) as u64) as usize,
        };
        bytes[at] = random.next() as u8;
        if sparse.check(&bytes).is_err() {
            refused += 1;
            continue;
        }
        run += 1;
        let [x, bias, y] = buffers.clone();
        let kernel = product(Like::Plain, sparse, &[300], slot(0));
        if run % 8 == 0 {
            hold(&kernel, &[3], &[x, bytes, bias, y], "sparse", CLOSE);
        }
    }
    assert!(refused > 20 && run > 20, "{refused} refused, {run} run");
}

#[test]
fn other_reads_of_a_sparse_buffer_do_not_verify() {
    let (sparse, _) = encoded([6, 10], Form::Cached, &[0.0; 60]);
    let fine = product(Like::Plain, sparse, &[10], slot(0));
    verify(&fine, 8).expect("as it should be");
    let refused = |change: &dyn Fn(&mut Kernel)| {
        let mut kernel = fine.clone();
        change(&mut kernel);
        assert_eq!(verify(&kernel, 8), Err(VerifyError::SparseRead(BufferId(1))), "{kernel}");
    };
    let contract = |kernel: &mut Kernel, change: &dyn Fn(&mut Contract)| match &mut kernel.body {
        Body::Contract(c) => change(c),
        _ => unreachable!("it was built so"),
    };
    refused(&|kernel| kernel.operands[1].base = Dim::from(1));
    refused(&|kernel| kernel.operands[1].coords[0] = kernel.operands[1].coords[0].clone().guarded(6));
    refused(&|kernel| kernel.axes[1].extent = Dim::from(5));
    refused(&|kernel| kernel.axes[2].extent = Dim::from(9));
    refused(&|kernel| kernel.axes[1].extent = slot(1));
    refused(&|kernel| contract(kernel, &|c| c.accumulator = DType::F64));
    refused(&|kernel| contract(kernel, &|c| std::mem::swap(&mut c.a, &mut c.b)));
    refused(&|kernel| contract(kernel, &|c| std::mem::swap(&mut c.n, &mut c.m)));
    refused(&|kernel| kernel.expr.nodes.push(Node::Operand(OperandId(1))));
    refused(&|kernel| kernel.body = Body::Map(vec![]));
}

/// The form that a machine without it reads, too.
#[test]
fn levels_use_their_instructions() {
    use iced_x86::{Decoder, DecoderOptions, Mnemonic};
    let counted = |isa: Isa, form: Form, m: i64, mnemonic: Mnemonic| {
        let (sparse, _) = encoded([6, 10], form, &[0.0; 60]);
        let leaves = support::leaves(&product(Like::Plain, sparse, &[10], m), isa);
        let all = leaves.iter().flat_map(|bytes| Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE).into_iter());
        all.filter(|instruction| instruction.mnemonic() == mnemonic).count()
    };
    assert_eq!(counted(Isa::Avx2, Form::Cached, 1, Mnemonic::Vinsertps), 6);
    assert_eq!(counted(Isa::Avx2, Form::Permuted, 1, Mnemonic::Vinsertps), 12);
    assert_eq!(counted(Isa::Avx512, Form::Permuted, 1, Mnemonic::Vpermi2ps), 2);
    assert_eq!(counted(Isa::Avx512, Form::Cached, 1, Mnemonic::Vpermi2ps), 0);
    // Four passes over a slice of eight rows, two at a time; each with its eight sums.
    assert!(counted(Isa::Avx2, Form::Cached, 32, Mnemonic::Vfmadd231ps) >= 32);
    assert!(counted(Isa::Avx512, Form::Permuted, 32, Mnemonic::Vfmadd231ps) >= 32);
}
