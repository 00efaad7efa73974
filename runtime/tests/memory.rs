//! What a model takes, it gives back; code can be listed and written to object files.
//!
//! Alone in its process, so that nothing else maps memory meanwhile.

#[allow(dead_code)]
mod build;

use build::{Builder, With, call, input, output, port, slot};
use mlc_codegen::base::{DType, Slot, SlotDef};
use mlc_codegen::kernel::{Binary, Plan};
use mlc_runtime::artifact::{Artifact, Meta};
use mlc_runtime::jit::{CodeTarget, Cpu, listing, object};
use mlc_runtime::session::{Model, Options};
use mlc_runtime::tensor::Tensor;

fn double() -> Plan {
    let n = || slot(Slot(0));
    let mut b = Builder::new("double x", &["x"], &[("out", DType::F32)], n());
    let x = b.read(0);
    let sum = b.binary(Binary::Add, x, x);
    let defs = vec![SlotDef::Given { name: "n".into(), lo: 0, hi: 1 << 40, size: false }];
    build::plan(defs, vec![b.store(1, sum)], vec![input(0, n()), output(0, n())], vec![call(0, &[0, 1])])
        .with_ports(&[port("x", DType::F32, n())], &[port("out", DType::F32, n())])
}

fn maps() -> usize {
    std::fs::read_to_string("/proc/self/maps").expect("Linux").lines().count()
}

#[test]
fn a_dropped_model_leaves_no_mapping() {
    let x = Tensor::from_f32([2], [1.0, 2.0]).expect("small");
    let run = || {
        let artifact = Artifact::from_parts(Meta::default(), double(), vec![]).expect("fits");
        let model = Model::load(artifact, Options { threads: 1, ..Options::default() }).expect("loads");
        let out = model.session().run(Some("main"), &[("x", &x)], &[]).expect("runs");
        assert_eq!(out[0].1.to_f32_vec(), [2.0, 4.0]);
    };
    (0..20).for_each(|_| run());
    let before = maps();
    (0..1000).for_each(|_| run());
    // Other tests of this process map memory too; a leak would leave a mapping for each model.
    assert!(maps() < before + 500, "{before} mappings became {}", maps());
}

#[test]
fn kernels_are_listed() {
    let listed = listing(&double().kernels, &CodeTarget::default()).expect("compiles");
    let [kernel] = &listed[..] else { panic!("one kernel") };
    assert_eq!(kernel.name, "double x");
    let entry = kernel.functions.last().expect("an entry");
    assert_eq!(entry.symbol, "mlc_kernel_0_double_x");
    assert!(entry.clif.as_deref().is_some_and(|text| text.contains("fadd")), "{:?}", entry.clif);
    let adds = entry.asm.lines().filter(|line| line.contains("addp") || line.contains("adds")).count();
    assert!(adds > 0 && entry.asm.contains("ret"), "{}", entry.asm);
    assert!(!entry.code.is_empty());
}

#[test]
fn kernels_of_another_machine_are_listed() {
    let target = CodeTarget { triple: Some("aarch64-unknown-linux-gnu".into()), cpu: Cpu::Generic };
    let listed = listing(&double().kernels, &target).expect("compiles");
    let asm = &listed[0].functions.last().expect("an entry").asm;
    assert!(asm.contains("fadd v"), "{asm}");
    let refused = |triple: &str, cpu| {
        let target = CodeTarget { triple: Some(triple.into()), cpu };
        listing(&double().kernels, &target).expect_err("no such target").to_string()
    };
    assert!(refused("aarch64-unknown-linux-gnu", Cpu::V3).ends_with("x86-64-v3 is a level of x86-64"));
    assert!(refused("x86_64-apple-darwin", Cpu::Generic).contains("code is made for x86_64-unknown-linux-gnu and"));
}

#[test]
fn kernels_become_object_files() {
    for triple in [None, Some("x86_64-unknown-linux-gnu"), Some("aarch64-unknown-linux-gnu")] {
        for cpu in [Cpu::Native, Cpu::Generic] {
            let target = CodeTarget { triple: triple.map(str::to_string), cpu };
            let bytes = object(&double().kernels, "m", &target).expect("compiles");
            assert_eq!(bytes[..4], *b"\x7fELF");
            let machine = u16::from_le_bytes([bytes[18], bytes[19]]);
            let arm = triple.is_some_and(|triple| triple.starts_with("aarch64"));
            assert_eq!(machine, if arm { 183 } else { 62 });
            let symbol = b"mlc_kernel_0_double_x\0";
            assert!(bytes.windows(symbol.len()).any(|w| w == symbol));
            let again = object(&double().kernels, "m", &target).expect("compiles");
            assert_eq!(bytes, again, "the same kernels, the same bytes");
        }
    }
    let target = CodeTarget { triple: Some("z80-unknown-none".into()), cpu: Cpu::Generic };
    assert_eq!(object(&double().kernels, "m", &target).expect_err("no such target").code(), "MDL0603");
}
