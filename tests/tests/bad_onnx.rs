//! ONNX files that nobody exports: each is refused with a code, and none is a panic.

use mlc::import::onnx::{ImportError, Options, fuzz_onnx, import, import_bytes};
use mlc_tests::made::onnx::{field, file, integer, model};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

fn refused(bytes: Vec<u8>) -> ImportError {
    match import_bytes(bytes, None, &Options::default()) {
        Err(error) => error,
        Ok(_) => panic!("it is imported"),
    }
}

const EXTERNAL: &str = "input x f32[2]\nexternal w f32[2] w.bin\nnode - y = Add(x, w)\noutput y\n";

fn outside(place: impl Fn(&Path, &Path)) {
    let folder = tempfile::tempdir().expect("a folder");
    let (secret, inside) = (folder.path().join("secret.bin"), folder.path().join("model"));
    std::fs::create_dir(&inside).expect("a folder");
    std::fs::write(&secret, [0; 8]).expect("written");
    std::fs::write(inside.join("m.onnx"), model(EXTERNAL).expect("a model")).expect("written");
    place(&secret, &inside.join("w.bin"));
    let error = import(&inside.join("m.onnx"), &Options::default()).expect_err("a refusal");
    assert_eq!(error.code(), "MDL0805", "{error}");
}

#[test]
fn links_out_of_the_folder() {
    outside(|secret, place| std::os::unix::fs::symlink(secret, place).expect("a link"));
    outside(|secret, place| std::fs::hard_link(secret, place).expect("a link"));
    outside(|_, place| std::fs::create_dir(place).expect("a folder"));
}

/// A node `If` whose branches hold another, and so on.
fn nested(depth: usize) -> Vec<u8> {
    let named = |tag, name: &str| field(tag, name.as_bytes());
    let mut inner = [named(1, "x"), named(2, "y"), named(4, "Relu")].concat();
    for _ in 0..depth {
        let graph = [field(1, &inner), named(2, "b"), field(12, &named(1, "y"))].concat();
        let branch = |name| field(5, &[named(1, name), field(6, &graph), integer(20, 5)].concat());
        inner = [named(1, "c"), named(2, "y"), named(4, "If"), branch("then_branch")].concat();
        if inner.len() < 1000 {
            inner.extend(branch("else_branch"));
        }
    }
    let shape = |name: &str, code| {
        let ty = field(1, &[integer(1, code), field(2, &[])].concat());
        field(11, &[named(1, name), field(2, &ty)].concat())
    };
    let graph = [field(1, &inner), named(2, "g"), shape("x", 1), shape("c", 9), field(12, &named(1, "y"))].concat();
    file(17, &graph)
}

#[test]
fn graphs_nested_three_thousand_deep() {
    assert!(import_bytes(nested(1), None, &Options::default()).is_ok());
    assert_eq!(refused(nested(3_000)).code(), "MDL0801");
    assert_eq!(refused(nested(40)).code(), "MDL0801");
}

#[test]
fn tensors_that_are_not_what_their_shape_says() {
    let tensor = |dims: &[i64], bytes: &[u8]| {
        let dims: Vec<u8> = dims.iter().flat_map(|dim| integer(1, *dim)).collect();
        let tensor = [dims, integer(2, 1), field(8, b"w"), field(9, bytes)].concat();
        file(17, &[field(2, b"g"), field(5, &tensor), field(12, &field(1, b"w"))].concat())
    };
    assert!(import_bytes(tensor(&[2], &[0; 8]), None, &Options::default()).is_ok());
    for (dims, len) in [(&[2i64][..], 7), (&[3], 8), (&[-2], 8), (&[1 << 40, 1 << 40], 8), (&[1 << 62], 0)] {
        let error = refused(tensor(dims, &vec![0; len]));
        assert_eq!(error.code(), "MDL0801", "{dims:?}: {error}");
    }
}

#[test]
fn shapes_too_large_to_fold_take_no_memory() {
    let text = "weight s i64[3] = 1000000\nnode - y = ConstantOfShape(s)\nnode - z = Neg(y)\noutput z\n";
    let _ = import_bytes(model(text).expect("a model"), None, &Options::default());
    let tiles: String = (0..40).map(|i| format!("node - a{} = Tile(a{i}, t)\n", i + 1)).collect();
    let text = format!("weight a0 i64[4] = 1\nweight t i64[1] = 1000\n{tiles}output a40\n");
    assert_eq!(refused(model(&text).expect("a model")).code(), "MDL0803");
}

#[test]
fn mutants() {
    let sound = [
        EXTERNAL,
        "input x f32[n, 4]\nweight w f32[4, 3] = 1 2\nweight b f32[3] = 0.5\nnode - h = Gemm(x, w, b)\nnode - y = Relu(h)\n\
         output y\n",
        "input x f32[n, 4, 6]\nnode - s = Shape(x)\nweight i i64[] = 1\nnode - d = Gather(s, i)\nweight z i64[1] = 0\nnode - u \
         = Unsqueeze(d, z)\nweight m i64[1] = -1\nnode - c = Concat(m, u) axis=0\nnode - y = Reshape(x, c)\noutput y\n",
        "input x f32[1, 2, 8, 8]\nweight w f32[4, 2, 3, 3] = 0.5\nnode - c = Conv(x, w) pads=[1,1,1,1] strides=[2,2]\nnode - y \
         = MaxPool(c) kernel_shape=[2,2]\nnode - a b = Split(y) axis=1\noutput a\noutput b\n",
    ];
    let sound: Vec<Vec<u8>> = sound.iter().map(|text| model(text).expect("a model")).collect();
    for bytes in &sound[1..] {
        assert!(import_bytes(bytes.clone(), None, &Options::default()).is_ok());
    }
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64) | 1;
    println!("seed {seed}");
    let mut state = seed;
    let mut below = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) as usize % bound.max(1)
    };
    for _ in 0..2_000 {
        let mut bytes = sound[below(sound.len())].clone();
        for _ in 0..=below(3) {
            let at = below(bytes.len());
            match below(4) {
                0 => bytes[at] = below(256) as u8,
                1 => bytes[at] ^= 1 << below(8),
                2 => drop(bytes.drain(at..(at + 1 + below(4)).min(bytes.len()))),
                _ => bytes.insert(at, [0, 1, 127, 255][below(4)]),
            }
            if bytes.is_empty() {
                break;
            }
        }
        fuzz_onnx(&bytes);
    }
}
