//! What the tests of code generation share: kernels to build, memory to run them on, and machine code beside `eval`.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test binary uses its own part")]

pub mod build;
pub mod emulate;
pub mod machine;

use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use machine::{Compiled, Guarded};
use mlc_codegen::base::{DType, Interval, Storage};
use mlc_codegen::cpu::{Code, Isa, lower};
use mlc_codegen::kernel::{Kernel, Role, check_call, eval, verify};

/// Slots of the size blocks that tests use.
pub const SLOTS: usize = 8;

/// A xorshift generator; the seed is in every failure's message.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 16) % n
    }

    pub fn pick(&mut self, lo: i64, hi: i64) -> i64 {
        lo + self.below((hi - lo) as u64) as i64
    }

    /// In -1..1.
    pub fn float(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// Random elements of a storage format: floats around 0, integers of all sizes, packed groups with small scales.
pub fn random_bytes(storage: Storage, elements: i64, random: &mut Random) -> Vec<u8> {
    let bytes = storage.bytes_for(elements).expect("small") as usize;
    let mut all: Vec<u8> = (0..bytes).map(|_| random.next() as u8).collect();
    match storage {
        Storage::Plain(dtype) if dtype.is_float() || dtype == DType::Bool => {
            for i in 0..elements {
                let value = if dtype == DType::Bool { f64::from(random.below(2) as u8) } else { random.float() * 2.0 };
                eval::write_element(storage, &mut all, i, mlc_codegen::base::Scalar::F64(value));
            }
        }
        Storage::Plain(_) => {}
        Storage::Interleaved(rows) => {
            let packed =
                random_bytes(Storage::Packed(rows.packing), all.len() as i64 / rows.row() * rows.elements(), random);
            all = rows.interleave(&packed);
        }
        Storage::Sparse(_) => unreachable!("sparse matrices are encoded"),
        Storage::Packed(packing) => {
            let (at, count): (&[usize], _) = match packing.name() {
                "q8_0" | "q4_0" => (&[0], packing.bytes()),
                "q4_1" | "q4_k" => (&[0, 2], packing.bytes()),
                _ => (&[208], packing.bytes()),
            };
            for group in all.chunks_exact_mut(count as usize) {
                at.iter().for_each(|at| group[*at..at + 2].copy_from_slice(&0x2400u16.to_le_bytes()));
            }
        }
    }
    all
}

/// Sizes as a block.
pub fn sizes(values: &[i64]) -> Vec<i64> {
    let mut block = values.to_vec();
    block.resize(SLOTS, 0);
    block
}

/// Whether the session check accepts a call.
pub fn accepts(kernel: &Kernel, block: &[i64], buffers: &[Vec<u8>]) -> bool {
    let ranges: Vec<Interval> = block.iter().map(|s| Interval::point(*s)).collect();
    let bytes: Vec<i64> = buffers.iter().map(|b| b.len() as i64).collect();
    verify(kernel, SLOTS as u32).is_ok() && check_call(kernel, &ranges, &bytes).is_ok()
}

/// The finished leaves of a kernel.
pub fn leaves(kernel: &Kernel, isa: Isa) -> Vec<Vec<u8>> {
    let target = target();
    let lowered = lower(kernel, isa, target, 0);
    let bytes = lowered.functions.into_iter().filter_map(|code| match code {
        Code::Bytes(bytes) => Some(bytes),
        Code::Clif(_) => None,
    });
    bytes.collect()
}

fn target() -> TargetFrontendConfig {
    let isa = cranelift_native::builder().expect("a supported host");
    let flags = cranelift_codegen::settings::Flags::new(cranelift_codegen::settings::builder());
    let config = isa.finish(flags).expect("default flags").frontend_config();
    assert_eq!(config.default_call_conv, CallConv::SystemV);
    config
}

/// How near machine code must be to the interpreter.
#[derive(Clone, Copy)]
pub struct Near {
    pub absolute: f64,
    pub relative: f64,
}

pub const EXACT: Near = Near { absolute: 0.0, relative: 0.0 };
pub const CLOSE: Near = Near { absolute: 1e-5, relative: 1e-5 };

/// Runs a kernel through `eval` and as machine code, portable and fused, with 1 and 3 parts, on buffers flush against
/// guard pages at either end; holds each written buffer to `eval` and the parts to each other, bit by bit.
pub fn hold(kernel: &Kernel, block: &[i64], buffers: &[Vec<u8>], path: &str, near: Near) {
    let taken = hold_any(kernel, block, buffers, near);
    assert_eq!(taken, path, "{kernel}");
}

/// `hold`, whatever the path; gives it.
pub fn hold_any(kernel: &Kernel, block: &[i64], buffers: &[Vec<u8>], near: Near) -> &'static str {
    let mut path = "";
    let block = sizes(block);
    verify(kernel, SLOTS as u32).unwrap_or_else(|error| panic!("{error}\n{kernel}"));
    assert!(
        accepts(kernel, &block, buffers),
        "the check refuses {:?}\n{kernel}",
        buffers.iter().map(Vec::len).collect::<Vec<_>>()
    );
    let mut expected = buffers.to_vec();
    eval::run(kernel, &block, &mut expected);
    for isa in machine::runnable() {
        let compiled = Compiled::new(kernel, isa);
        path = compiled.path;
        let mut first: Option<Vec<Vec<u8>>> = None;
        for (parts, at_end) in [(1, true), (3, true), (1, false), (2, false)] {
            let mut guarded: Vec<Guarded> = buffers.iter().map(|b| Guarded::new(b, at_end)).collect();
            compiled.run(&block, &mut guarded, parts);
            let got: Vec<Vec<u8>> = guarded.iter().map(|g| g.bytes().to_vec()).collect();
            for (i, buffer) in kernel.buffers.iter().enumerate() {
                if buffer.role == Role::Read {
                    assert!(got[i] == buffers[i], "buffer {i} was only to be read\n{kernel}");
                    continue;
                }
                compare(kernel, i, buffer.storage, &got[i], &expected[i], near, isa);
            }
            match &first {
                None => first = Some(got),
                Some(first) => assert!(*first == got, "{parts} parts give other bits\n{kernel}"),
            }
        }
    }
    path
}

fn compare(kernel: &Kernel, i: usize, storage: Storage, got: &[u8], expected: &[u8], near: Near, isa: Isa) {
    let Storage::Plain(dtype) = storage else { unreachable!("only plain buffers are written") };
    for element in 0..got.len() as i64 * 8 / i64::from(dtype.bits()) {
        let [a, b] = [got, expected].map(|bytes| eval::read_element(storage, bytes, element).as_f64());
        let fine = a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= near.absolute + near.relative * b.abs();
        assert!(fine, "buffer {i} element {element}: {a} for {b} ({isa:?})\n{kernel}");
    }
}
