//! What an import writes once means what it meant written out.

use mlc::conversion;
use mlc::export::mdl::print;
use mlc::import::onnx::{Options, import};
use mlc_codegen::base::Scalar;
use mlc_runtime::tensor::Tensor;
use mlc_tests::golden::Golden;
use mlc_tests::made;
use mlc_tests::onnx_suite::answers;
use std::path::{Path, PathBuf};

/// The model of a golden file.
fn model(name: &str, folder: &Path) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/import").join(name);
    let golden = Golden::read(&golden).expect("a golden file");
    let (kind, name, text) = golden.files.first().expect("its model");
    let path = folder.join(name);
    made::write(kind, &path, text).expect("written");
    path
}

fn same_rolled_as_written_out(name: &str, extent: i64) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = model(name, folder.path());
    let rolled = conversion::onnx(&path, &[]).expect("it is imported");
    let graph = import(&path, &Options::default()).expect("it is imported").graph;
    let long = print(&graph);
    assert!(rolled.text.lines().count() * 2 < long.text.lines().count(), "{}", rolled.text);
    let given: Vec<(String, Tensor)> = (graph.entries[0].inputs.iter())
        .map(|input| {
            let ty = graph.ty(input.value);
            let shape: Vec<usize> = ty.dims.iter().map(|dim| dim.as_constant().unwrap_or(extent) as usize).collect();
            let number = |i: usize| match ty.dtype.is_float() {
                true => Scalar::F32(((i * 7 + 3) % 11) as f32 * 0.2 - 1.0),
                false => Scalar::I64((i % 2) as i64),
            };
            (input.name.clone(), Tensor::from_fn(ty.dtype, shape, number).expect("an input"))
        })
        .collect();
    let one = answers(rolled.text.clone(), rolled.tensors, &given).expect("it runs");
    let other = answers(long.text, long.constants, &given).expect("it runs");
    assert!(one.iter().any(|(_, tensor)| tensor.to_f64_vec().iter().any(|v| *v != 0.0 && v.is_finite())));
    assert_eq!(one.len(), other.len());
    for ((name, one), (same, other)) in one.iter().zip(&other) {
        assert_eq!((name, one.shape()), (same, other.shape()));
        for (a, b) in one.to_f64_vec().into_iter().zip(other.to_f64_vec()) {
            // What is fused may differ, and with it the order of a sum.
            assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0), "{name}: {a} and {b}");
        }
    }
    rolled.text
}

#[test]
fn layers_that_differ_by_their_weights_become_a_loop() {
    for batch in [1, 3] {
        let text = same_rolled_as_written_out("encoder.txt", batch);
        assert!(text.contains("repeat i in 0..6 carry") && text.contains("at \"encoder.layer.{i}\""), "{text}");
        assert_eq!(text.matches("\nblock ").count(), 1, "{text}");
        assert!(text.lines().count() < 120, "{text}");
    }
}

#[test]
fn layers_with_states_of_their_own_are_called_one_by_one() {
    let text = same_rolled_as_written_out("decoder.txt", 5);
    assert!((0..4).all(|layer| text.contains(&format!("at \"h.{layer}\""))), "{text}");
    assert!(!text.contains("repeat"), "{text}");
}
