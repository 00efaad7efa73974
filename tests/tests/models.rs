//! Example models end to end, through the program, against numbers that numpy computed.

use mlc_runtime::npz::read_npz;
use mlc_tests::golden::program;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn mlc(words: &[&str]) -> Output {
    Command::new(program().expect("mlc is built")).args(words).current_dir(root()).output().expect("mlc starts")
}

/// Rows 0, 4 and 255 of the probabilities, from a float64 forward pass in numpy.
const ROWS: [(usize, [f64; 10]); 3] = [
    (
        0,
        [
            8.406742e-06,
            3.985562e-08,
            2.105309e-05,
            1.516903e-06,
            8.870085e-06,
            0.01176275,
            2.046076e-05,
            0.03995778,
            0.0001539638,
            0.9480652,
        ],
    ),
    (
        4,
        [
            0.3397034,
            2.405789e-06,
            0.01751536,
            0.001315885,
            0.004831125,
            4.643288e-08,
            0.6363334,
            1.725636e-08,
            0.0002983375,
            3.882067e-09,
        ],
    ),
    (
        255,
        [
            8.751456e-06,
            9.996689e-08,
            0.2753273,
            1.247167e-07,
            0.6352813,
            1.012988e-12,
            0.08938131,
            2.60807e-13,
            1.175395e-06,
            1.66721e-13,
        ],
    ),
];

#[test]
fn fashion_mlp_gives_numpys_probabilities() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut bytes: Option<Vec<u8>> = None;
    for threads in ["1", "2"] {
        let out = folder.path().join(format!("out{threads}.npz"));
        let path = out.to_str().expect("temporary paths are text");
        let image = "image=@examples/fashion_test_256.npz:image";
        let ran = mlc(&["run", "examples/fashion_mlp.mdl", "-i", image, "-o", path, "--threads", threads]);
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        let outputs = read_npz(&out).expect("it was just written");
        let (name, tensor) = &outputs[0];
        assert_eq!((name.as_str(), tensor.shape()), ("out", &[256, 10][..]));
        let values = tensor.to_f64_vec();
        for (row, expected) in ROWS {
            for (found, expected) in values[row * 10..].iter().zip(expected) {
                assert!((found - expected).abs() <= 1e-6, "row {row}: {found} is not {expected}");
            }
        }
        let same = bytes.get_or_insert_with(|| tensor.bytes().to_vec());
        assert_eq!(same.as_slice(), tensor.bytes(), "the same bits for every number of threads");
    }
}

#[test]
fn an_artifact_answers_as_its_model_does() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let built = folder.path().join("fashion.mlc");
    let built = built.to_str().expect("temporary paths are text");
    assert!(mlc(&["build", "examples/fashion_mlp.mdl", "-o", built]).status.success());
    for model in ["examples/fashion_mlp.mdl", built] {
        let ran = mlc(&["eval", model, "--data", "examples/fashion_test_256.npz", "--metric", "top1"]);
        assert_eq!(String::from_utf8_lossy(&ran.stdout), "top1 87.89 % (225 of 256; 95 %: 83.25 % to 91.62 %)\n");
    }
    let first = std::fs::read(built).expect("it was just written");
    assert!(mlc(&["build", "examples/fashion_mlp.mdl", "-o", built]).status.success());
    assert_eq!(first, std::fs::read(built).expect("it was just written"), "same input, same bytes");
}

#[test]
fn fashion_cnn_classifies_as_numpy_does() {
    let words = ["--data", "examples/fashion_test_256.npz", "--metric", "top1"];
    let ran = mlc(&[&["eval", "examples/fashion_cnn.mdl"], &words[..]].concat());
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "top1 92.97 % (238 of 256; 95 %: 89.12 % to 95.78 %)\n");
}

#[test]
fn the_graph_of_a_model_runs_in_its_place() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder"));
    let listed = |folder: usize| {
        let files = std::fs::read_dir(folders[folder].path()).expect("a folder").flatten();
        let mut names: Vec<_> = files.map(|entry| entry.file_name().display().to_string()).collect();
        names.sort();
        names
    };
    for name in ["fashion_mlp.mdl", "fashion_mlp.safetensors"] {
        std::fs::copy(root().join("examples").join(name), folders[0].path().join(name)).expect("a copy");
    }
    let model = folders[0].path().join("fashion_mlp.mdl").display().to_string();
    let path = |name: &str| folders[1].path().join(name).display().to_string();
    let [graph, tree, drawing] = ["g.mdl", "tree.json", "g.dot"].map(path);
    let emits = [format!("--emit=graph={graph}"), format!("--emit=ast={tree}"), format!("--emit=dot={drawing}")];
    let words = ["build", &model].into_iter().chain(emits.iter().map(String::as_str));
    let built = mlc(&words.collect::<Vec<_>>());
    assert!(built.status.success() && built.stdout.is_empty(), "{}", String::from_utf8_lossy(&built.stderr));
    assert_eq!(listed(0), ["fashion_mlp.mdl", "fashion_mlp.safetensors"], "--emit without -o writes no artifact");
    assert_eq!(listed(1), ["g.dot", "g.mdl", "g.weights", "tree.json"], "and a link to the weights");
    let answers = [&model, &graph].map(|model| {
        let out = path("out.npz");
        let ran = mlc(&["run", model, "-i", "image=@examples/fashion_test_256.npz:image", "-o", &out]);
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        read_npz(&out).expect("it was just written")
    });
    assert_eq!(answers[0], answers[1]);
    let text = std::fs::read_to_string(&drawing).expect("it was just written");
    assert!(text.starts_with("digraph") && text.contains("f32[batch, 128]"), "{text}");
}

#[test]
fn wrong_inputs_are_refused_with_the_place_in_the_model() {
    let labels = "image=@examples/fashion_test_256.npz:labels";
    let ran = mlc(&["run", "examples/fashion_mlp.mdl", "-i", labels]);
    let message = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(1));
    let expected = "error[MDL0701]: input `image` is i64 of shape [256]; `classify` takes f32[batch, 784]";
    assert!(message.contains(expected), "{message}");
    assert!(message.contains("examples/fashion_mlp.mdl:16:18"), "{message}");
}

#[test]
fn every_example_is_in_the_one_layout() {
    let files = std::fs::read_dir(root().join("examples")).expect("the examples are there");
    let mut words = vec!["fmt".to_owned(), "--check".to_owned()];
    let models = files.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "mdl"));
    words.extend(models.map(|path| path.display().to_string()));
    assert!(words.len() > 6, "there are examples");
    let ran = mlc(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}
