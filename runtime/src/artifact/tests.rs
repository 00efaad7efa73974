//! Round trips of `.mlc` files, and damaged ones.

use super::constants::Block;
use super::{Artifact, ArtifactError, Constant, Meta, OpenOptions, Source, fuzz_mlc, read};
use crate::tensor::Tensor;
use mlc_codegen::base::{DType, Packing, Storage};
use mlc_codegen::kernel::Plan;
use std::fs;
use std::path::Path;

fn sample() -> Artifact {
    let source = Source { file: "m.mdl".into(), line: 3, col: 5, text: "entry main()".into(), length: 5 };
    let meta = Meta { model: "M".into(), mlc: "0.1.0".into(), sources: vec![source], ..Meta::default() };
    let constants =
        vec![(Storage::Plain(DType::F32), 5), (Storage::Packed(Packing::Q8_0), 64), (Storage::Plain(DType::I4), 3)];
    let plan = Plan { constants, ..Plan::default() };
    let bytes = [vec![1; 20], vec![2; 68], vec![3; 2]].map(|b: Vec<u8>| Constant::copied(&b).expect("small"));
    Artifact::from_parts(meta, plan, bytes.into()).expect("lengths fit")
}

fn written(artifact: &Artifact) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("m.mlc");
    artifact.write(&path).expect("written");
    fs::read(path).expect("there")
}

fn parse(bytes: &[u8]) -> Result<Artifact, ArtifactError> {
    let block = Block::Owned(Tensor::new(DType::U8, [bytes.len()], bytes).expect("small"));
    read::parse(&block, Path::new("dir/m.mlc"), OpenOptions { mmap: false, verify_weights: true })
}

#[test]
fn a_file_gives_back_what_was_written() {
    let (folder, artifact) = (tempfile::tempdir().expect("a folder"), sample());
    let path = folder.path().join("m.mlc");
    artifact.write(&path).expect("written");
    for mmap in [true, false] {
        let read = Artifact::open(&path, OpenOptions { mmap, verify_weights: true }).expect("opens");
        assert_eq!((&read.meta, &read.plan), (&artifact.meta, &artifact.plan));
        for (a, b) in read.constants().iter().zip(artifact.constants()) {
            assert_eq!(a.bytes(), b.bytes());
            assert!((a.bytes().as_ptr() as usize).is_multiple_of(64));
        }
    }
    assert_eq!(written(&artifact), fs::read(&path).expect("there"), "the same artifact, the same bytes");
    assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 1, "no temporary file stays");
}

#[test]
fn another_format_names_writer_reader_and_remedy() {
    let mut bytes = written(&sample());
    bytes[4] = 9;
    let error = parse(&bytes).expect_err("format 9");
    assert_eq!(error.code(), "MDL0005");
    assert_eq!(
        error.to_string(),
        "`dir/m.mlc` has format 9, written by mlc 0.1.0; this mlc 0.1.0 reads format 1; rebuild it: mlc build dir/m.mdl -o dir/m.mlc"
    );
    assert!(matches!(parse(b"GGUF"), Err(ArtifactError::NotAnArtifact { .. })));
}

#[test]
fn constants_must_fit_the_plan() {
    let artifact = sample();
    let fewer = artifact.constants()[..2].to_vec();
    assert!(Artifact::from_parts(artifact.meta.clone(), artifact.plan.clone(), fewer).is_err());
    let mut longer = artifact.clone();
    longer.plan.constants[0].1 = 17;
    assert!(parse(&written(&longer)).is_err());
    longer.plan.constants[0].1 = i64::MAX;
    assert!(parse(&written(&longer)).is_err());
}

/// Every bit of a file matters, weights included when they are verified.
#[test]
fn no_changed_file_is_accepted() {
    let bytes = written(&sample());
    assert!(fuzz_mlc(&bytes));
    for i in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[i] ^= 1 << (i % 8);
        let writer = (8..32).contains(&i);
        assert_eq!(fuzz_mlc(&changed), writer, "byte {i}");
        assert!(!fuzz_mlc(&bytes[..i]), "cut at {i}");
    }
    assert!(!fuzz_mlc(&[&bytes[..], &[0]].concat()), "a trailing byte");
}

/// Headers with sections that overlap, leave holes or lie outside, their hash made right.
#[test]
fn sections_lie_where_they_must() {
    let bytes = written(&sample());
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        state >> 33
    };
    for _ in 0..2000 {
        let mut changed = bytes.clone();
        let at = 64 + (random() % 3) as usize * 48 + (random() % 2) as usize * 8;
        let old = u64::from_le_bytes(changed[at..at + 8].try_into().expect("8 bytes"));
        let new = [old + 64, old.wrapping_sub(64), u64::MAX - random() % 99, random() % 1024, 1 << (random() % 64)];
        let new = new[(random() % 5) as usize];
        changed[at..at + 8].copy_from_slice(&new.to_le_bytes());
        let hash = *blake3::hash(&changed[64..256]).as_bytes();
        changed[32..64].copy_from_slice(&hash);
        assert_eq!(fuzz_mlc(&changed), new == old);
    }
}
