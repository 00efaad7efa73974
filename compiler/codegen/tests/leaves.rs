//! The bytes of wide leaves, read back: what they may contain, for sets that this machine has and those it lacks.
#![allow(missing_docs, reason = "tests")]

mod support;

use iced_x86::{Code as Instruction, Decoder, DecoderOptions, Mnemonic, OpKind, Register};
use mlc_codegen::base::{DType, Dense, Form, Interleaved, Packing, Sparse, Storage};
use mlc_codegen::cpu::Isa;
use mlc_codegen::cpu::panels::{PANEL, packed_panels, wanted};
use mlc_codegen::kernel::{Binary, Body, BufferId, Contract, Kernel, Node, Role, Unary, sparse_right};
use support::build::{Build, slot};
use support::leaves;

fn gemm() -> Kernel {
    let mut b = Build::new("gemm");
    let (m, n, k) = (b.axis("m", slot(0)), b.axis("n", slot(1)), b.axis("k", slot(2)));
    let (x, w, y) = (b.input(DType::F32), b.input(DType::F32), b.output(DType::F32));
    let (a, right) = (b.read_dense(x, &[m, k]), b.read_dense(w, &[k, n]));
    let value = b.0.expr.push(Node::Accumulator);
    let value = b.unary(Unary::Erf, value);
    let stores = vec![b.store_dense(y, &[m, n], value)];
    let (m, n, k) = (vec![m], vec![n], vec![k]);
    b.finish(Body::Contract(Contract { batch: vec![], m, n, k, a, b: right, accumulator: DType::F32, stores }))
}

/// Bytes by bytes in panels, stored as bytes.
fn bytes() -> Kernel {
    let mut b = Build::new("bytes");
    let (m, n, k) = (b.axis("m", slot(0)), b.axis("n", 40), b.axis("k", 21));
    let (x, w, y) = (b.input(DType::I8), b.input(DType::I8), b.output(DType::I8));
    let (a, right) = (b.read_dense(x, &[m, k]), b.read_dense(w, &[k, n]));
    let value = b.0.expr.push(Node::Accumulator);
    let stores = vec![b.store_dense(y, &[m, n], value)];
    let (m, n, k) = (vec![m], vec![n], vec![k]);
    let body = Contract { batch: vec![], m, n, k, a, b: right, accumulator: DType::I32, stores };
    let kernel = b.finish(Body::Contract(body));
    wanted(&kernel, BufferId(1)).expect("forty columns are worth it").1
}

fn sparse(form: Form) -> Kernel {
    let dense = Dense { numbers: &[1.0; 12], by_row: 4, columns: &[0, 1, 2, 3] };
    let storage = Storage::Sparse(Sparse::encode(3, form, dense).0);
    let mut b = Build::new("sparse");
    let (m, n, k) = (b.axis("m", slot(0)), b.axis("n", 3), b.axis("k", 4));
    let (x, w, y) = (b.input(DType::F32), b.buffer("w", storage, Role::Read), b.output(DType::F32));
    let a = b.read_dense(x, &[m, k]);
    let right = sparse_right(&b.0, w, n, &[k]);
    let right = b.read(right);
    let value = b.0.expr.push(Node::Accumulator);
    let stores = vec![b.store_dense(y, &[m, n], value)];
    let (m, n, k) = (vec![m], vec![n], vec![k]);
    b.finish(Body::Contract(Contract { batch: vec![], m, n, k, a, b: right, accumulator: DType::F32, stores }))
}

/// Any number of rows against 27 columns in panels.
fn panels(depth: i64) -> Kernel {
    let mut b = Build::new("panels");
    let (m, n, k) = (b.axis("m", slot(0)), b.axis("n", 27), b.axis("k", depth));
    let (x, w, r, y) = (b.input(DType::F32), b.input(DType::F32), b.input(DType::F32), b.output(DType::F32));
    let (a, right) = (b.read_dense(x, &[m, k]), packed_panels(&b.0, w, n, &[k], PANEL));
    let (right, residual) = (b.read(right), b.read_dense(r, &[m, n]));
    let sum = b.0.expr.push(Node::Accumulator);
    let value = b.unary(Unary::Erf, sum);
    let value = b.binary(Binary::Add, value, residual);
    let stores = vec![b.store_dense(y, &[m, n], value)];
    let (m, n, k) = (vec![m], vec![n], vec![k]);
    b.finish(Body::Contract(Contract { batch: vec![], m, n, k, a, b: right, accumulator: DType::F32, stores }))
}

fn side_by_side(packing: Packing) -> Kernel {
    let storage = Storage::Interleaved(Interleaved::new(packing, 64).expect("whole groups"));
    let mut b = Build::new("side by side");
    let (m, n, k) = (b.axis("m", slot(0)), b.axis("n", 24), b.axis("k", 64));
    let (x, w, y) = (b.input(DType::F32), b.buffer("w", storage, Role::Read), b.output(DType::F32));
    let (a, right) = (b.read_dense(x, &[m, k]), b.read_dense(w, &[n, k]));
    let value = b.0.expr.push(Node::Accumulator);
    let stores = vec![b.store_dense(y, &[m, n], value)];
    let (m, n, k) = (vec![m], vec![n], vec![k]);
    b.finish(Body::Contract(Contract { batch: vec![], m, n, k, a, b: right, accumulator: DType::F32, stores }))
}

/// The columns past the last are neither read nor written: vectors that are not whole go through a mask.
#[test]
fn rests_of_columns_are_masked() {
    for (isa, heights) in [(Isa::Avx2, 6), (Isa::Avx512, 12)] {
        let leaves = leaves(&panels(20), isa);
        let masked = leaves.iter().filter(|bytes| {
            let mut moves = Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE).into_iter().filter(|instruction| {
                let is_masked = instruction.mnemonic() == Mnemonic::Vmaskmovps || instruction.has_op_mask();
                is_masked && instruction.op0_kind() == OpKind::Memory
            });
            moves.next().is_some()
        });
        assert_eq!(masked.count(), heights, "{isa:?} has a leaf for each height");
    }
}

#[test]
fn every_leaf_keeps_to_its_level_and_leaves_clean_registers() {
    for isa in [Isa::Avx2, Isa::Avx2Vnni, Isa::Avx512, Isa::Avx512Vnni] {
        let packings = [Packing::Q8_0, Packing::Q4_0, Packing::Q4_1].map(side_by_side);
        for kernel in [gemm(), bytes(), sparse(Form::Cached), sparse(Form::Permuted), panels(20), panels(1200)]
            .into_iter()
            .chain(packings)
        {
            let leaves = leaves(&kernel, isa);
            assert!(leaves.len() >= 3, "{isa:?} has wide leaves");
            for (number, bytes) in leaves.iter().enumerate() {
                check(isa, number, bytes);
            }
        }
    }
}

/// A product of eight codes with eight numbers takes a mask or a shift, a conversion and a multiplication, all codes of four
/// streams in one turn; nothing is stored but masks, once, and results.
#[test]
fn codes_side_by_side_take_three_instructions() {
    for (packing, codes) in [(Packing::Q8_0, 4), (Packing::Q4_0, 8), (Packing::Q4_1, 8)] {
        for isa in [Isa::Avx2, Isa::Avx512] {
            let count = |bytes: &[u8], mnemonics: &[Mnemonic]| {
                let decoder = Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE);
                decoder.into_iter().filter(|instruction| mnemonics.contains(&instruction.mnemonic())).count()
            };
            let all = leaves(&side_by_side(packing), isa);
            let is_dots = |bytes: &&Vec<u8>| {
                let converted = count(bytes, &[Mnemonic::Vcvtdq2ps]);
                converted == 4 * 32 && count(bytes, &[Mnemonic::Vcvtph2ps]) > 0
            };
            let [dots] = all.iter().filter(is_dots).collect::<Vec<_>>()[..] else { panic!("{packing:?} has one leaf") };
            assert_eq!(count(dots, &[Mnemonic::Vpand]), 4 * (32 - 32 / codes), "{packing:?}");
            assert_eq!(count(dots, &[Mnemonic::Vpsrld]), 4 * 32 / codes, "{packing:?}");
            let moves = Decoder::with_ip(64, dots, 0, DecoderOptions::NONE).into_iter().filter(|instruction| {
                instruction.mnemonic() == Mnemonic::Vmovups && instruction.op0_kind() == OpKind::Memory
            });
            assert_eq!(moves.count(), 8, "{packing:?}: results are cleared and stored");
        }
    }
}

/// Dots of packed rows decode in registers: nothing is stored but results and, of groups of 256, the scales.
#[test]
fn packed_rows_are_not_unpacked_to_memory() {
    for (packing, scales) in [("q8_0", 0), ("q4_0", 0), ("q4_1", 0), ("q4_k", 2), ("q6_k", 2)] {
        let packing: Packing = packing.parse().expect("a packing");
        let mut b = Build::new("rows");
        let (m, n, k) = (b.axis("m", 1), b.axis("n", slot(1)), b.axis("k", 512));
        let (x, w) = (b.input(DType::F32), b.buffer("w", Storage::Packed(packing), Role::Read));
        let y = b.output(DType::F32);
        let (a, right) = (b.read_dense(x, &[m, k]), b.read_dense(w, &[n, k]));
        let value = b.0.expr.push(Node::Accumulator);
        let stores = vec![b.store_dense(y, &[m, n], value)];
        let (m, n, k) = (vec![m], vec![n], vec![k]);
        let body = Contract { batch: vec![], m, n, k, a, b: right, accumulator: DType::F32, stores };
        let leaves = leaves(&b.finish(Body::Contract(body)), Isa::Avx2);
        let stores = |bytes: &Vec<u8>, base: Option<Register>| {
            let written = Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE).into_iter().filter(|instruction| {
                let stores = matches!(instruction.mnemonic(), Mnemonic::Vmovups | Mnemonic::Vmovss);
                stores
                    && instruction.op0_kind() == OpKind::Memory
                    && base.is_none_or(|b| instruction.memory_base() == b)
            });
            written.count()
        };
        let loads_halves = |bytes: &&Vec<u8>| {
            let mut decoder = Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE);
            let halves = decoder.iter().any(|instruction| instruction.mnemonic() == Mnemonic::Vcvtph2ps);
            halves && stores(bytes, Some(Register::RCX)) == 1
        };
        let dots: Vec<_> = leaves.iter().skip(8).filter(loads_halves).collect();
        assert_eq!(dots.len(), 1, "{packing:?}");
        assert_eq!(stores(dots[0], Some(Register::RSP)), scales, "{packing:?}");
        assert_eq!(stores(dots[0], None), 1 + scales, "{packing:?}");
    }
}

fn check(isa: Isa, number: usize, bytes: &[u8]) {
    let mut decoder = Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE);
    let (mut before, mut pushed, mut stack) = (Mnemonic::INVALID, vec![], true);
    let mut all = Vec::new();
    while decoder.can_decode() {
        let instruction = decoder.decode();
        all.push(instruction);
        if instruction.mnemonic() == Mnemonic::Ret {
            break;
        }
    }
    for instruction in &all {
        let place = format!("leaf {number} of {isa:?} at {}: {instruction:?}", instruction.ip());
        assert!(instruction.code() != Instruction::INVALID, "{place}");
        let vector = (0..instruction.op_count()).any(|i| instruction.op_register(i).is_vector_register());
        let name = format!("{:?}", instruction.mnemonic());
        assert!(!vector || name.starts_with('V'), "a legacy move or operation: {place}");
        let encoding = format!("{:?}", instruction.code());
        let known = encoding.starts_with("VEX_")
            || (matches!(isa, Isa::Avx512 | Isa::Avx512Vnni) && encoding.starts_with("EVEX_"));
        assert!(!vector || known, "above the level: {place}");
        match instruction.mnemonic() {
            Mnemonic::Push => pushed.push(instruction.op0_register()),
            Mnemonic::Pop => assert_eq!(pushed.pop(), Some(instruction.op0_register()), "{place}"),
            Mnemonic::Ret => assert!(pushed.is_empty(), "{place}"),
            Mnemonic::Call => panic!("a leaf calls: {place}"),
            _ => {
                let own = [Register::RBX, Register::RBP, Register::R12, Register::R13, Register::R14, Register::R15];
                let written = instruction.op0_register();
                assert!(!own.contains(&written) || pushed.contains(&written), "the caller's register: {place}");
                // Masks and factors of 32 bits come from there once; vectors and pointers never go there.
                let stored = instruction.memory_base() == Register::RSP && instruction.op0_kind() == OpKind::Memory;
                stack &= !stored || instruction.op1_register() == Register::EAX;
            }
        }
        if name.starts_with('J') {
            let to = instruction.near_branch_target();
            assert!(all.iter().any(|other| other.ip() == to), "a branch into an instruction: {place}");
        }
        before = if matches!(instruction.mnemonic(), Mnemonic::Pop | Mnemonic::Ret) {
            before
        } else {
            instruction.mnemonic()
        };
    }
    assert!(stack, "leaf {number} of {isa:?} spills");
    assert_eq!(before, Mnemonic::Vzeroupper, "leaf {number} of {isa:?} leaves dirty registers");
    assert_eq!(all.last().map(|i| i.mnemonic()), Some(Mnemonic::Ret), "leaf {number} of {isa:?} returns");
}

/// The tallest tiles: sums in registers of the full width, two vectors a row.
#[test]
fn tiles_fill_the_registers() {
    for (isa, rows, first) in [(Isa::Avx2, 6, Register::YMM0), (Isa::Avx512, 12, Register::ZMM0)] {
        let tile = &leaves(&gemm(), isa)[8];
        let mut decoder = Decoder::with_ip(64, tile, 0, DecoderOptions::NONE);
        let mut sums = std::collections::BTreeSet::new();
        for instruction in &mut decoder {
            if instruction.mnemonic() == Mnemonic::Vfmadd231ps {
                assert!(
                    instruction.op0_register() >= first && instruction.op0_register() <= first + 31,
                    "{instruction:?}"
                );
                sums.insert(instruction.op0_register());
            }
        }
        assert_eq!(sums.len(), rows * 2, "{isa:?}");
    }
}
