//! Models that mlc writes as ONNX: read back by mlc, and held to onnx.checker and ONNX Runtime where Python has them.

use mlc::export::{ExportError, onnx as format};
use mlc::graph::Graph;
use mlc::import::onnx::{Options, import_bytes};
use mlc::reference::Reference;
use mlc_codegen::base::DType;
use mlc_runtime::npz::write_npz;
use mlc_runtime::tensor::Tensor;
use mlc_tests::answers::{Answer, answers};
use mlc_tests::forms::{self, Case};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// What is not written, by the beginning of the reason.
const REFUSED: &[&str] = &[
    "and: bits of integers have operators since set 18",
    "dequantize: groups of scales have operators since set 21",
    "normal: its numbers are known only where its dims are",
    "not: bits of integers have operators since set 18",
    "or: bits of integers have operators since set 18",
    "pow: its integers wrap, and the format's do not say",
    "uniform: its numbers are known only where its dims are",
    "xor: bits of integers have operators since set 18",
];

/// What is written and cannot be read back, by what the reason holds.
const UNREAD: &[&str] = &[
    "the shape of its filters is symbolic",
    "it keeps the size of an axis whose dim is symbolic",
    "it resizes symbolic dims in a way that needs numbers",
    // A dim that a file names is at least 1.
    "is outside 1..=",
];

/// An answer in a form: static, or with dims that a call says.
struct Written {
    name: String,
    bytes: Vec<u8>,
    inputs: Vec<(String, Tensor)>,
    outputs: Vec<(String, Tensor)>,
}

/// Every answer in every form and operator set, and what was refused.
fn written() -> (Vec<Written>, BTreeSet<String>) {
    let (mut all, mut refused) = (vec![], BTreeSet::new());
    for (number, answer) in answers().iter().enumerate() {
        let case = case(answer);
        for symbolic in std::iter::once(vec![]).chain(forms::symbolic(&case)) {
            let graph = forms::graph(&case, &symbolic).expect("an answer is a sound use");
            for opset in format::OPSETS {
                let form = if symbolic.is_empty() { "fixed" } else { "symbolic" };
                let extents: Vec<String> = symbolic.iter().map(usize::to_string).collect();
                let name = format!("{number:03}-{}-{opset}-{form}{}", answer.op.name(), extents.join("."));
                match format::bytes(&graph, &graph.entries[0], opset) {
                    Ok(bytes) => all.push(Written {
                        name,
                        bytes,
                        inputs: inputs(answer, &graph, &symbolic),
                        outputs: outputs(answer),
                    }),
                    Err(ExportError::Uses(uses)) => refused.extend(uses.into_iter().map(|refusal| refusal.why)),
                    Err(error) => panic!("{name}: {error}"),
                }
            }
        }
    }
    (all, refused)
}

fn case(answer: &Answer) -> Case {
    Case {
        op: answer.op,
        attrs: answer.arguments.attrs.clone(),
        counts: answer.arguments.counts.clone(),
        inputs: answer.inputs.iter().map(|x| (x.dtype(), x.shape().to_vec())).collect(),
        indices: vec![],
    }
}

/// The tensors of the call, and the sizes that none of them says.
fn inputs(answer: &Answer, graph: &Graph, symbolic: &[usize]) -> Vec<(String, Tensor)> {
    let tensors = answer.inputs.iter().enumerate().map(|(i, tensor)| (format!("x{i}"), tensor.clone()));
    let size = |name: &str| symbolic.iter().find(|extent| format!("d{extent}") == name).expect("it is a symbol");
    let sizes = graph.entries[0].sizes.iter().map(|(name, _)| {
        let value = Tensor::from_i64([], [*size(name) as i64]).expect("one number");
        (name.clone(), value)
    });
    tensors.chain(sizes).collect()
}

fn outputs(answer: &Answer) -> Vec<(String, Tensor)> {
    answer.outputs.iter().enumerate().map(|(i, tensor)| (format!("y{i}"), tensor.clone())).collect()
}

#[test]
fn every_op_is_written_and_read_back() {
    let (all, refused) = written();
    let unknown: Vec<&String> =
        refused.iter().filter(|why| !REFUSED.iter().any(|known| why.starts_with(known))).collect();
    assert!(unknown.is_empty(), "refused: {unknown:#?}");
    for known in REFUSED {
        assert!(
            refused.iter().any(|why| why.starts_with(known)),
            "`{known}` is refused no more: strike it from the list"
        );
    }
    let mut wrong: Vec<String> = vec![];
    for case in &all {
        match read_back(case) {
            Err(why) if !UNREAD.iter().any(|known| why.contains(known)) => wrong.push(format!("{}: {why}", case.name)),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}

fn read_back(case: &Written) -> Result<(), String> {
    let bind = case.inputs.iter().filter(|(name, _)| name.starts_with('d')).cloned().collect();
    let options = Options { bind, name: "m".into() };
    let read = import_bytes(case.bytes.clone(), None, &options).map_err(|error| error.to_string())?;
    let takes: Vec<String> = read.graph.entries[0].inputs.iter().map(|input| input.name.clone()).collect();
    let given: Vec<(&str, &Tensor)> = case
        .inputs
        .iter()
        .map(|(name, x)| (name.as_str(), x))
        .filter(|(name, _)| takes.iter().any(|own| own == name))
        .collect();
    let mut reference = Reference::new(Arc::new(read.graph));
    let found = reference.run(None, &given, &[]).map_err(|error| format!("{error:?}"))?;
    let mut pairs = found.iter().zip(&case.outputs);
    pairs.try_for_each(|((name, found), (_, wanted))| near(found, wanted).map_err(|e| format!("{name}: {e}")))
}

fn near(found: &Tensor, wanted: &Tensor) -> Result<(), String> {
    if found.dtype() != wanted.dtype() || found.shape() != wanted.shape() {
        return Err(format!("{} {:?}, not {} {:?}", found.dtype(), found.shape(), wanted.dtype(), wanted.shape()));
    }
    let loose = if wanted.dtype().is_float() && wanted.dtype().bits() < 32 { 1e-2 } else { 2e-5 };
    let same = |a: f64, b: f64| a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= loose + loose * b.abs();
    let pairs = found.to_f64_vec().into_iter().zip(wanted.to_f64_vec());
    match pairs.enumerate().find(|(_, (a, b))| !same(*a, *b)) {
        None => Ok(()),
        Some((i, (a, b))) => Err(format!("element {i} is {a}, not {b}")),
    }
}

/// Whether numpy has names for its types, and the format says what it gives: mlc finds a NaN greatest, which the format
/// leaves open.
fn is_comparable(answer: &Written) -> bool {
    let named = |tensor: &Tensor| !matches!(tensor.dtype(), DType::BF16 | DType::I4 | DType::U4);
    let has_nan = |tensor: &Tensor| tensor.to_f64_vec().into_iter().any(f64::is_nan);
    let open = ["-argmax-", "-argmin-"].iter().any(|op| answer.name.contains(op));
    answer.inputs.iter().chain(&answer.outputs).all(|(_, tensor)| named(tensor) && !(open && has_nan(tensor)))
}

#[test]
fn onnx_runtime_runs_what_is_written() {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", "import numpy, onnx, onnxruntime"]).output();
    if !has.is_ok_and(|ran| ran.status.success()) {
        println!("{python} has no numpy, onnx and onnxruntime: skipped");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");

    for case in written().0 {
        if !is_comparable(&case) {
            continue;
        }
        let place = |kind: &str| folder.path().join(format!("{}.{kind}", case.name));
        std::fs::write(place("onnx"), &case.bytes).expect("the folder takes files");
        write_npz(place("inputs.npz"), &case.inputs, false).expect("the folder takes files");
        write_npz(place("outputs.npz"), &case.outputs, false).expect("the folder takes files");
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracle/exported.py");
    let ran = Command::new(&python).arg(script).arg(folder.path()).output().expect("Python starts");
    let told = String::from_utf8_lossy(&ran.stdout);
    println!("{}", told.lines().last().unwrap_or_default());
    assert!(ran.status.success(), "{told}{}", String::from_utf8_lossy(&ran.stderr));
}
