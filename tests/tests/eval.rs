//! `mlc eval` through the program: every metric on data whose answer is known, and data that lacks something.

use mlc_runtime::npz::write_npz;
use mlc_runtime::tensor::Tensor;
use mlc_runtime::weights::write_safetensors;
use mlc_tests::golden::program;
use std::path::Path;
use std::process::{Command, Output};

const SAME: &str = "mdl 1
model M {
  dim n in 1..=2
  entry main(x: f32[n, 2]) -> f32[n, 2] {
    return x * 2.0
  }
}
";

const OPPOSITE: &str = "mdl 1
model M {
  dim n in 1..=64
  entry main(x: f32[n, 2]) -> f32[n, 2] {
    return 1.0 - x
  }
}
";

/// The token after t is likely t + 1.
const ALL_PLACES: &str = "mdl 1
model M {
  dim n in 1..=2
  dim s in 1..=16
  entry step(tokens: i64[n, s]) -> f32[n, s, 4] {
    return one_hot(mod(tokens + 1, 4), 4, dtype = f32) * 2.0
  }
}
";

/// The same from a state, for the last place only; it knows the first token of the samples from its own call.
const LAST_PLACE: &str = "mdl 1
model M {
  dim n in 1..=2
  dim s in 1..=16
  state seen: i64[n, 16]
  entry step(tokens: i64[n, s], past: size) -> f32[n, 4] {
    assert past + s <= 16
    set seen[:, past : past + s] = tokens
    let last = seen[:, past + s - 1]
    return one_hot(mod(last + 1, 4), 4, dtype = f32) * 2.0
  }
}
";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(model: &str) -> Folder {
        let folder = Folder(tempfile::tempdir().expect("a temporary folder"));
        folder.model("m.mdl", model);
        folder
    }

    fn model(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).expect("a file in a new folder");
    }

    fn data(&self, arrays: &[(&str, Tensor)]) {
        let arrays: Vec<(String, Tensor)> = arrays.iter().map(|(k, x)| ((*k).to_owned(), x.clone())).collect();
        write_npz(self.0.path().join("d.npz"), &arrays, false).expect("a file in a new folder");
        write_safetensors(&self.0.path().join("d.safetensors"), &arrays).expect("a file in a new folder");
    }

    fn eval(&self, words: &str) -> Output {
        let words: Vec<&str> = words.split(' ').collect();
        let program = program().expect("mlc is built");
        Command::new(program).arg("eval").args(words).current_dir(self.0.path()).output().expect("mlc starts")
    }

    fn says(&self, words: &str, expected: &str) {
        let ran = self.eval(words);
        let told = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(String::from_utf8_lossy(&ran.stdout), format!("{expected}\n"), "{told}");
    }

    fn refuses(&self, words: &str, expected: &str) {
        let ran = self.eval(words);
        let told = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.code() == Some(1) && told.contains(expected), "{told}");
    }
}

fn floats(shape: &[usize], x: &[f32]) -> Tensor {
    Tensor::from_f32(shape, x).expect("as many numbers as the shape says")
}

fn integers(shape: &[usize], x: &[i64]) -> Tensor {
    Tensor::from_i64(shape, x).expect("as many numbers as the shape says")
}

#[test]
fn errors_and_cosines_are_means_over_samples() {
    let folder = Folder::new(SAME);
    let x = floats(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    folder.data(&[("x", x), ("target", floats(&[3, 2], &[3.0, 4.0, 6.0, 8.0, 10.0, 14.0]))]);
    folder.says("m.mdl --data d.npz --metric mse", "mse 8.3333e-1 (3 samples)");
    folder.says("m.mdl --data d.safetensors --metric mse --device reference", "mse 8.3333e-1 (3 samples)");
    let x = floats(&[3, 2], &[1.0, 0.0, 1.0, 0.0, 2.0, 2.0]);
    folder.data(&[("x", x), ("target", floats(&[3, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]))]);
    folder.says("m.mdl --data d.npz --metric cosine", "cosine 0.6667 (3 samples)");
    let json = r#"{"metric":"mse","value":4.0,"samples":3,"interval":null}"#;
    folder.says("m.mdl --data d.npz --metric mse --json", json);
}

#[test]
fn ranks_of_cosines_are_compared_with_scores() {
    let folder = Folder::new(SAME);
    let a = floats(&[4, 2], &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    let b = floats(&[4, 2], &[1.0, 0.0, 1.0, 1.0, 0.0, 1.0, -1.0, 0.0]);
    folder.data(&[("x.a", a), ("x.b", b), ("score", floats(&[4], &[5.0, 3.0, 4.0, 1.0]))]);
    folder.says("m.mdl --data d.npz --metric spearman", "spearman 0.8000 (4 samples)");
}

#[test]
fn perplexity_is_the_same_from_one_call_and_from_many() {
    // Two of three tokens follow the rule: p = e² / (e² + 3) for those, 1 / (e² + 3) for the others.
    let tokens = integers(&[3, 4], &[0, 1, 2, 0, 3, 0, 1, 3, 2, 3, 0, 2]);
    let e2 = 2.0f64.exp();
    let expected = format!("perplexity {:.4} (9 tokens)", ((e2 + 3.0).ln() - 2.0 * 2.0 / 3.0).exp());
    for model in [ALL_PLACES, LAST_PLACE] {
        let folder = Folder::new(model);
        folder.data(&[("tokens", tokens.clone())]);
        folder.says("m.mdl --data d.npz --metric perplexity", &expected);
    }
}

#[test]
fn agreement_is_with_the_reference_or_with_another_model() {
    let folder = Folder::new(SAME);
    folder.model("other.mdl", OPPOSITE);
    folder.data(&[("x", floats(&[3, 2], &[0.0, 1.0, 1.0, 0.0, 0.5, 0.5]))]);
    folder.says("m.mdl --data d.npz --metric agreement", "agreement 100.00 % (3 of 3; 95 %: 29.24 % to 100.00 %)");
    folder.says(
        "m.mdl --data d.npz --metric agreement --against other.mdl",
        "agreement 33.33 % (1 of 3; 95 %: 0.84 % to 90.57 %)",
    );
}

#[test]
fn data_that_does_not_fit_is_named() {
    let folder = Folder::new(SAME);
    let x = || floats(&[3, 2], &[0.0; 6]);
    folder.data(&[("y", x())]);
    let none = "error[MDL0705]: `d.npz` has no `x`; it has `y` f32[3, 2]";
    folder.refuses("m.mdl --data d.npz --metric mse", none);
    folder.data(&[("x", x()), ("target", floats(&[2, 2], &[0.0; 4]))]);
    let target = "error[MDL0705]: `target` must be floats of shape [3, 2], found f32[2, 2]";
    folder.refuses("m.mdl --data d.npz --metric mse", target);
    folder.data(&[("x", x()), ("labels", floats(&[3], &[0.0; 3]))]);
    let labels = "error[MDL0705]: `labels` must be integers of shape [3], found f32[3]";
    folder.refuses("m.mdl --data d.npz --metric top1", labels);
    folder.data(&[("x", floats(&[], &[0.0]))]);
    folder.refuses("m.mdl --data d.npz --metric mse", "error[MDL0705]: `x` is f32, and the entry takes f32[n, 2]");
    folder.refuses(
        "m.mdl --data d.npz --metric perplexity",
        "error[MDL0705]: perplexity needs an entry that takes `tokens`",
    );
}

#[test]
fn the_vendored_images_are_classified() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let program = program().expect("mlc is built");
    let words = ["fashion_cnn.mdl", "--data", "fashion_test_256.npz", "--metric", "top5"];
    let ran = Command::new(program).arg("eval").args(words).current_dir(examples).output().expect("mlc starts");
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "top5 99.61 % (255 of 256; 95 %: 97.84 % to 99.99 %)\n");
}
