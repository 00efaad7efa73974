//! Code that is kept between processes: the same answers, and nothing executed that this user's mlc did not write.

#[allow(dead_code)]
mod build;

use build::{Builder, With, call, input, output, port, slot};
use mlc_codegen::base::{DType, Slot, SlotDef};
use mlc_codegen::kernel::{Binary, Plan};
use mlc_runtime::artifact::{Artifact, Meta};
use mlc_runtime::session::{CacheError, CodeCache, Cpu, Model, Options};
use mlc_runtime::tensor::Tensor;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// `out = x op x`.
fn plan(op: Binary) -> Plan {
    let n = || slot(Slot(0));
    let mut b = Builder::new("twice", &["x"], &[("out", DType::F32)], n());
    let x = b.read(0);
    let value = b.binary(op, x, x);
    let defs = vec![SlotDef::Given { name: "n".into(), lo: 0, hi: 1 << 40, size: false }];
    build::plan(defs, vec![b.store(1, value)], vec![input(0, n()), output(0, n())], vec![call(0, &[0, 1])])
        .with_ports(&[port("x", DType::F32, n())], &[port("out", DType::F32, n())])
}

/// What `plan(op)` gives for 3 and 5, and whether its code was kept.
fn run(op: Binary, cpu: Cpu, cache: Option<&CodeCache>) -> (Vec<f32>, bool) {
    let artifact = Artifact::from_parts(Meta::default(), plan(op), vec![]).expect("fits");
    let options = Options { threads: 2, cpu, ..Options::default() };
    let model = Model::load_with(artifact, options, cache).expect("loads");
    let x = Tensor::from_f32([2], [3.0, 5.0]).expect("small");
    let out = model.session().run(None, &[("x", &x)], &[]).expect("runs");
    (out[0].1.to_f32_vec(), model.code_was_kept())
}

const SUM: [f32; 2] = [6.0, 10.0];
const PRODUCT: [f32; 2] = [9.0, 25.0];

fn sum(cache: &CodeCache) -> (Vec<f32>, bool) {
    run(Binary::Add, Cpu::Native, Some(cache))
}

fn open(path: &Path) -> CodeCache {
    CodeCache::open(path).expect("a folder of one's own")
}

/// The entries of a cache.
fn entries(path: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(path).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut found: Vec<PathBuf> = all.filter(|path| path.extension().is_some_and(|e| e == "code")).collect();
    found.sort();
    found
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").mode() & 0o777
}

#[test]
fn code_that_was_kept_gives_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deep/code");
    assert_eq!(run(Binary::Add, Cpu::Native, None), (SUM.to_vec(), false));
    assert_eq!(sum(&open(&path)), (SUM.to_vec(), false), "the first time it is made");
    for _ in 0..2 {
        assert_eq!(sum(&open(&path)), (SUM.to_vec(), true), "and kept for later");
    }
    assert_eq!(run(Binary::Mul, Cpu::Native, Some(&open(&path))), (PRODUCT.to_vec(), false), "other kernels");
    assert_eq!(run(Binary::Add, Cpu::Generic, Some(&open(&path))), (SUM.to_vec(), false), "other instructions");
    assert_eq!(entries(&path).len(), 3);
    assert_eq!(mode(&path), 0o700);
    let files: Vec<PathBuf> = fs::read_dir(&path).expect("a folder").map(|e| e.expect("an entry").path()).collect();
    assert_eq!(files.len(), 4, "three entries and the secret, nothing unfinished: {files:?}");
    files.iter().for_each(|file| assert_eq!(mode(file), 0o600, "{file:?}"));
}

/// Every bit of an entry matters, and so does its end.
#[test]
fn damaged_entries_are_made_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = open(folder.path());
    sum(&cache);
    let [entry] = &entries(folder.path())[..] else { panic!("one entry") };
    let whole = fs::read(entry).expect("written");
    let step = whole.len() / 97 + 1;
    let flipped = (0..whole.len()).step_by(step).map(|i| {
        let mut bytes = whole.clone();
        bytes[i] ^= 1 << (i % 8);
        bytes
    });
    let cut = (0..whole.len()).step_by(step).map(|i| whole[..i].to_vec());
    for bytes in flipped.chain(cut).chain([[&whole[..], &[0]].concat()]) {
        fs::write(entry, bytes).expect("written");
        assert_eq!(sum(&cache), (SUM.to_vec(), false));
        assert_eq!(fs::read(entry).expect("written anew"), whole, "the same code, the same entry");
        assert_eq!(sum(&cache), (SUM.to_vec(), true));
    }
}

#[test]
fn entries_of_other_kernels_and_other_folders_are_passed_over() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let [cache, other] = [&folders[0], &folders[1]].map(|folder| open(folder.path()));
    sum(&cache);
    let [own] = &entries(folders[0].path())[..] else { panic!("one entry") };
    sum(&other);
    fs::copy(&entries(folders[1].path())[0], own).expect("copied");
    assert_eq!(sum(&cache), (SUM.to_vec(), false), "another folder's entry of the same kernels");
    run(Binary::Mul, Cpu::Native, Some(&cache));
    let product = entries(folders[0].path()).into_iter().find(|entry| entry != own).expect("the other entry");
    fs::copy(product, own).expect("copied");
    assert_eq!(sum(&cache), (SUM.to_vec(), false), "this folder's entry of other kernels");
}

#[test]
fn entries_that_others_may_write_are_passed_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = open(folder.path());
    sum(&cache);
    let entry = &entries(folder.path())[0];
    fs::set_permissions(entry, Permissions::from_mode(0o620)).expect("one's own");
    assert_eq!(sum(&cache), (SUM.to_vec(), false));
    assert_eq!(mode(entry), 0o600, "it was written anew");
}

#[test]
fn folders_that_others_may_write_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let refusal = |path: &Path| {
        let error = CodeCache::open(path).expect_err("refused");
        assert_eq!(error.code(), "MDL0605");
        match error {
            CacheError::Untrusted { why, .. } => why,
            CacheError::Unusable { error, .. } => error.to_string(),
        }
    };
    for others in [0o720, 0o702, 0o777] {
        fs::set_permissions(folder.path(), Permissions::from_mode(others)).expect("one's own");
        assert!(refusal(folder.path()).contains("others may write to it"), "{others:o}");
    }
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("one's own");
    open(folder.path());
    let secret = folder.path().join("secret");
    fs::set_permissions(&secret, Permissions::from_mode(0o640)).expect("one's own");
    assert!(refusal(folder.path()).contains("others may read it"));
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).expect("one's own");
    fs::write(&secret, [1; 31]).expect("written");
    assert!(refusal(folder.path()).contains("does not hold a secret"));
    refusal(&secret);
}

/// Root may give a folder away; others cannot, and have nothing to test.
#[test]
fn folders_of_others_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    if std::os::unix::fs::chown(folder.path(), Some(65_534), None).is_err() {
        println!("a folder cannot be given away here: skipped");
        return;
    }
    let error = CodeCache::open(folder.path()).expect_err("refused");
    assert!(matches!(&error, CacheError::Untrusted { why, .. } if why.contains("belongs to user 65534")), "{error}");
}

#[test]
fn many_may_write_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    for _ in 0..5 {
        fs::remove_dir_all(folder.path()).expect("one's own");
        std::thread::scope(|scope| {
            for i in 0..8 {
                let path = folder.path();
                scope.spawn(move || {
                    let cache = open(path);
                    match i % 2 {
                        0 => assert_eq!(sum(&cache).0, SUM),
                        _ => assert_eq!(run(Binary::Mul, Cpu::Native, Some(&cache)).0, PRODUCT),
                    }
                });
            }
        });
        assert_eq!(sum(&open(folder.path())), (SUM.to_vec(), true), "all of them agree on one secret");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 3);
    }
}
