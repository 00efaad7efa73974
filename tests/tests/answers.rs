//! `eval`, which every backend is held to, against answers from numpy and onnxruntime.

use mlc::ops::{Call, Infer};
use mlc::types::TensorType;
use mlc_codegen::base::Slots;
use mlc_runtime::tensor::Tensor;
use mlc_tests::answers::{Answer, answers, type_of};

#[test]
fn eval_gives_the_answers_of_numpy_and_onnxruntime() {
    let wrong: Vec<String> = answers().iter().filter_map(|answer| check(answer).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check(answer: &Answer) -> Result<(), String> {
    let (op, arguments) = (answer.op.op(), &answer.arguments);
    let what = format!("{} {arguments:?}", answer.op.name());
    let types: Vec<TensorType> = answer.inputs.iter().map(type_of).collect();
    let call = Call { signature: op.signature(), arguments, inputs: &types, results: &[] };
    let results = op.infer(&call, &mut Infer::new(&mut Slots::default(), &[]));
    let results = results.map_err(|e| format!("{what}: {}", e.message))?;
    let call = Call { results: &results, ..call };
    let inputs: Vec<&Tensor> = answer.inputs.iter().collect();
    let found = op.eval(&call, &inputs, &[]).map_err(|e| format!("{what}: {e}"))?;
    if found.len() != answer.outputs.len() {
        return Err(format!("{what}: {} results, not {}", found.len(), answer.outputs.len()));
    }
    found.iter().zip(&answer.outputs).try_for_each(|(a, b)| near(a, b).map_err(|e| format!("{what}: {e}")))
}

fn near(found: &Tensor, wanted: &Tensor) -> Result<(), String> {
    if found.dtype() != wanted.dtype() || found.shape() != wanted.shape() {
        return Err(format!("found {found:?}, not {wanted:?}"));
    }
    let differs = |(a, b): &(f64, f64)| !(a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-5 + 1e-5 * b.abs());
    let pairs = || found.to_f64_vec().into_iter().zip(wanted.to_f64_vec());
    match pairs().position(|pair| differs(&pair)) {
        None => Ok(()),
        Some(i) => Err(format!("element {i} of {found:?} is not that of {wanted:?}")),
    }
}
