//! The larger examples on their own weights, with the inputs of their oracles.

use super::{Call, Program};
use mlc_runtime::npz::read_npz;
use mlc_runtime::tensor::Tensor;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

type Make = fn(u64) -> Program;

/// By name.
pub(crate) const PROGRAMS: &[(&str, Make)] =
    &[("minilm", minilm), ("efficientnet_lite0", efficientnet), ("silero_vad", silero), ("smollm2", smollm2)];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn oracle(name: &str) -> PathBuf {
    root().join("tests/oracle/out").join(format!("{name}.npz"))
}

/// Whether the weights and the inputs of an example are here.
pub(crate) fn present(name: &str) -> bool {
    root().join("examples/models").join(name).exists() && oracle(name).exists()
}

fn program(name: &str, allowed: f64, calls: impl FnOnce(&HashMap<String, Tensor>) -> Vec<Call>) -> Program {
    let folder = root().join("examples");
    let text = std::fs::read_to_string(folder.join(format!("{name}.mdl"))).expect("an example");
    let answers = read_npz(oracle(name)).expect("it is present").into_iter().collect();
    Program { text, folder: Some(folder), calls: calls(&answers), allowed, ..Program::default() }
}

/// Positions `range` of axis 0.
fn rows(tensor: &Tensor, range: std::ops::Range<usize>) -> Tensor {
    let inner: usize = tensor.shape()[1..].iter().product();
    let shape = [&[range.len()], &tensor.shape()[1..]].concat();
    Tensor::from_fn(tensor.dtype(), shape, |i| tensor.get(range.start * inner + i)).expect("a part of a tensor")
}

fn minilm(_seed: u64) -> Program {
    program("minilm", 1e-4, |answers| {
        let inputs = ["ids", "attention_mask"].map(|name| (name, answers[&format!("{name}.0")].clone()));
        vec![Call::of(&inputs)]
    })
}

fn efficientnet(_seed: u64) -> Program {
    program("efficientnet_lite0", 1e-3, |answers| vec![Call::of(&[("image", rows(&answers["image"], 0..1))])])
}

fn silero(_seed: u64) -> Program {
    program("silero_vad", 1e-4, |answers| {
        let frame = |i: usize| {
            let frame = rows(&answers["frame"], i..i + 1);
            let shape = frame.shape()[1..].to_vec();
            Call::of(&[("frame", frame.reshape(shape).expect("as many elements"))])
        };
        (0..answers["frame"].shape()[0].min(8)).map(frame).collect()
    })
}

/// The prompt, then the tokens that the oracle gave: eight in all. The cache is f16: a last bit that rounds the other way
/// there grows over thirty layers.
fn smollm2(_seed: u64) -> Program {
    program("smollm2", 2e-2, |answers| {
        let prompt = answers["tokens"].clone();
        let length = prompt.shape()[1] as i64;
        let mut calls = vec![Call::of(&[("tokens", prompt)]).size("past", 0)];
        for (past, token) in (length..).zip(answers["generated"].iter().take(7)) {
            let token = Tensor::from_i64([1, 1], [token.as_i64()]).expect("one token");
            calls.push(Call::of(&[("tokens", token)]).size("past", past));
        }
        calls
    })
}
