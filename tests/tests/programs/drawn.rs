//! The models of the repository: on their own weights where those are vendored, else on drawn ones.

use super::{Call, Draw, Program};
use mlc_runtime::npz::read_npz;
use mlc_runtime::tensor::Tensor;
use std::path::Path;

type Make = fn(u64) -> Program;

/// By name.
pub(crate) const PROGRAMS: &[(&str, Make)] = &[
    ("fashion_mlp", fashion_mlp),
    ("fashion_cnn", fashion_cnn),
    ("mlp", mlp),
    ("mobilenet_block", mobilenet_block),
    ("minilm on drawn weights", minilm),
    ("gpt2 on drawn weights", gpt2),
    ("smollm2 on drawn weights", smollm2),
    ("silero_vad on drawn weights", silero_vad),
];

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(path).expect("a model of the repository")
}

/// Weights drawn, dims replaced.
fn small(path: &str, seed: u64, dims: &[(&str, i64)], calls: Vec<Call>) -> Program {
    let dims = dims.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    Program { text: text(path), random_weights: Some(seed), dims, calls, allowed: 1e-3, ..Program::default() }
}

/// The first `n` test images, by twos and one.
fn images(n: usize) -> Vec<Call> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let data = read_npz(examples.join("fashion_test_256.npz")).expect("it is vendored");
    let (_, all) = data.into_iter().find(|(name, _)| name == "image").expect("it holds images");
    let batch = |rows: usize| Tensor::from_fn(all.dtype(), [rows, 784], |i| all.get(i)).expect("a part of a tensor");
    [batch(n), batch(1)].map(|image| Call::of(&[("image", image)])).into()
}

fn fashion(name: &str) -> Program {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let text = text(&format!("examples/{name}.mdl"));
    Program { text, folder: Some(folder), calls: images(33), allowed: 1e-4, ..Program::default() }
}

fn fashion_mlp(_seed: u64) -> Program {
    fashion("fashion_mlp")
}

fn fashion_cnn(_seed: u64) -> Program {
    fashion("fashion_cnn")
}

fn mlp(seed: u64) -> Program {
    let mut draw = Draw::new(seed);
    let calls = [1, 7].map(|n| Call::of(&[("image", draw.floats(&[n, 784]))]));
    small("compiler/tests/data/mlp.mdl", seed, &[], calls.into())
}

fn mobilenet_block(seed: u64) -> Program {
    let mut draw = Draw::new(seed);
    let calls = [[1, 16, 8, 9], [2, 16, 13, 8]].map(|shape| Call::of(&[("x", draw.floats(&shape))]));
    small("compiler/tests/data/mobilenet_block.mdl", seed, &[], calls.into())
}

fn minilm(seed: u64) -> Program {
    let mut draw = Draw::new(seed);
    let calls = [[1, 5], [3, 7]].map(|shape| {
        let mask = draw.integers(&shape, 5).cast(mlc_codegen::base::DType::Bool).expect("a small tensor");
        let mask = mask.cast(mlc_codegen::base::DType::I64).expect("a small tensor");
        Call::of(&[("ids", draw.integers(&shape, 30_522)), ("attention_mask", mask)])
    });
    small("compiler/tests/data/minilm.mdl", seed, &[], calls.into())
}

/// A prompt, then a token at a time, over the cache that the calls before have written; a prompt too long is refused.
fn decoding(seed: u64, vocabulary: u64, context: usize) -> Vec<Call> {
    let mut draw = Draw::new(seed);
    let mut call = |s: usize, past: i64| Call::of(&[("tokens", draw.integers(&[2, s], vocabulary))]).size("past", past);
    let mut calls = vec![call(5, 0), call(1, 5), call(1, 6), call(3, 7)];
    calls.push(Call { refused: true, ..call(context, 10) });
    calls.push(call(1, 10));
    calls
}

fn gpt2(seed: u64) -> Program {
    let dims = [("L", 3), ("D", 24), ("heads", 4), ("ctx", 32), ("V", 101)];
    small("compiler/tests/data/gpt2.mdl", seed, &dims, decoding(seed, 101, 32))
}

fn smollm2(seed: u64) -> Program {
    let dims = [("L", 3), ("D", 72), ("ctx", 32), ("V", 101)];
    small("examples/smollm2.mdl", seed, &dims, decoding(seed, 101, 32))
}

fn silero_vad(seed: u64) -> Program {
    let mut draw = Draw::new(seed);
    let calls = (0..3).map(|_| Call::of(&[("frame", draw.floats(&[2, 512]))])).collect();
    small("examples/silero_vad.mdl", seed, &[], calls)
}
