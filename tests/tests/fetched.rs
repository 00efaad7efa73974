//! The larger examples against ONNX Runtime and numpy, where `examples/fetch all` and `tests/oracle/run` have been run.
//! What is not there is counted as ignored, after a line that says what brings it.

use libtest_mimic::{Arguments, Failed, Trial};
use mlc_runtime::artifact::{Artifact, OpenOptions};
use mlc_runtime::npz::read_npz;
use mlc_runtime::session::{Model, Options, Session};
use mlc_runtime::tensor::Tensor;
use mlc_tests::golden::program;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

type Answers = HashMap<String, Tensor>;
type Check = fn(&Model, &Answers) -> Result<(), String>;

const CHECKS: [(&str, Check); 4] =
    [("minilm", minilm), ("efficientnet_lite0", efficientnet), ("silero_vad", silero), ("smollm2", smollm2)];

fn main() {
    let trials = CHECKS.into_iter().map(|(name, check)| {
        let absent = !folder("examples/models").join(name).exists() || !answers_path(name).exists();
        if absent {
            println!("{name}: skipped; examples/fetch all and tests/oracle/run bring what it needs");
        }
        Trial::test(name, move || run(name, check)).with_ignored_flag(absent)
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn answers_path(name: &str) -> PathBuf {
    folder("tests/oracle/out").join(format!("{name}.npz"))
}

/// Builds the example, loads what was built with one thread and with two, and checks both.
fn run(name: &str, check: Check) -> Result<(), Failed> {
    let answers = read_npz(answers_path(name)).map_err(|e| e.to_string())?.into_iter().collect();
    let made = tempfile::tempdir().map_err(|e| e.to_string())?;
    let artifact = made.path().join("model.mlc");
    let source = folder("examples").join(format!("{name}.mdl"));
    let mlc = program().map_err(|e| e.to_string())?;
    let built =
        Command::new(mlc).arg("build").arg(source).arg("-o").arg(&artifact).output().map_err(|e| e.to_string())?;
    if !built.status.success() {
        return Err(String::from_utf8_lossy(&built.stderr).into_owned().into());
    }
    for threads in [1, 2] {
        let opened = Artifact::open(&artifact, OpenOptions::default()).map_err(|e| e.to_string())?;
        let options = Options { threads, ..Options::default() };
        let model = Model::load(opened, options).map_err(|e| e.to_string())?;
        check(&model, &answers)?;
    }
    Ok(())
}

fn call(session: &mut Session, inputs: &[(&str, &Tensor)], sizes: &[(&str, i64)]) -> Result<Vec<Tensor>, String> {
    let outputs = session.run(None, inputs, sizes).map_err(|e| e.to_string())?;
    Ok(outputs.into_iter().map(|(_, tensor)| tensor).collect())
}

fn near(found: &Tensor, expected: &Tensor, allowed: f64) -> Result<(), String> {
    if found.shape() != expected.shape() {
        return Err(format!("shape {:?}, not {:?}", found.shape(), expected.shape()));
    }
    let pairs = found.to_f64_vec().into_iter().zip(expected.to_f64_vec());
    let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, |worst: f64, d| if d <= worst { worst } else { d });
    if worst <= allowed { Ok(()) } else { Err(format!("off by {worst}, allowed is {allowed}")) }
}

/// Slice `i` of the first axis.
fn row(tensor: &Tensor, i: usize) -> Tensor {
    let shape = tensor.shape()[1..].to_vec();
    let elements: usize = shape.iter().product();
    Tensor::from_fn(tensor.dtype(), shape, |at| tensor.get(i * elements + at)).expect("a part of a tensor")
}

fn minilm(model: &Model, answers: &Answers) -> Result<(), String> {
    (0..3).try_for_each(|k| {
        let at = |name: &str| &answers[&format!("{name}.{k}")];
        let inputs = [("ids", at("ids")), ("attention_mask", at("attention_mask"))];
        near(&call(&mut model.session(), &inputs, &[])?[0], at("out"), 1e-4)
    })
}

fn efficientnet(model: &Model, answers: &Answers) -> Result<(), String> {
    near(&call(&mut model.session(), &[("image", &answers["image"])], &[])?[0], &answers["out"], 1e-4)
}

/// Frame by frame, the state carried by the session.
fn silero(model: &Model, answers: &Answers) -> Result<(), String> {
    let mut session = model.session();
    (0..answers["frame"].shape()[0]).try_for_each(|i| {
        let found = call(&mut session, &[("frame", &row(&answers["frame"], i))], &[])?;
        near(&found[0], &row(&answers["out"], i), 1e-4).map_err(|e| format!("frame {i}: {e}"))
    })
}

/// Greedy decoding: the prompt in one call, then a token at a time.
fn smollm2(model: &Model, answers: &Answers) -> Result<(), String> {
    let mut session = model.session();
    let (mut tokens, mut past) = (answers["tokens"].clone(), 0);
    let expected: Vec<i64> = answers["generated"].iter().map(|token| token.as_i64()).collect();
    for (i, expected) in expected.into_iter().enumerate() {
        let found = call(&mut session, &[("tokens", &tokens)], &[("past", past)])?;
        near(&row(&found[0], 0), &row(&answers["logits"], i), 5e-2).map_err(|e| format!("token {i}: {e}"))?;
        let next = found[1].get(0).as_i64();
        if next != expected {
            return Err(format!("token {i} is {next}, not {expected}"));
        }
        past += tokens.shape()[1] as i64;
        tokens = Tensor::from_i64([1, 1], [next]).expect("one token");
    }
    Ok(())
}
