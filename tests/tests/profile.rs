//! `mlc profile` and `mlc bench`, from outside: what they count is what the model is made of.

use mlc_tests::golden::program;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

const BATCH: u64 = 32;

fn mlc(words: &[&str]) -> Output {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    Command::new(program().expect("mlc is built")).args(words).current_dir(examples).output().expect("mlc starts")
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

#[test]
fn a_profile_counts_the_work_of_each_kernel() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace.json").display().to_string();
    let at = format!("batch={BATCH}");
    let words = ["profile", "fashion_mlp.mdl", "--at", &at, "--threads", "2", "--rounds", "5"];
    let profile = json(&mlc(&[&words[..], &["--trace", &trace, "--message-format", "json"]].concat()));
    let kernels = profile["kernels"].as_array().expect("kernels");
    let first = kernels.iter().find(|kernel| kernel["kernel"].as_str().is_some_and(|name| name.starts_with("fc1")));
    let first = first.expect("the first layer");
    // A product, a bias and a relu, which is a comparison and a choice; the picture, the weights, the bias and what comes out, in f32.
    assert_eq!(number(&first["flops"]), (BATCH * (2 * 784 * 128 + 3 * 128)) as f64);
    assert_eq!(number(&first["bytes"]), (4 * (BATCH * 784 + 784 * 128 + 128 + BATCH * 128)) as f64);
    let sum = |key: &str| kernels.iter().map(|kernel| number(&kernel[key])).sum::<f64>();
    for key in ["calls", "flops", "bytes"] {
        assert_eq!(sum(key), number(&profile["total"][key]), "{key}");
    }
    assert!(sum("ms") <= 1.5 * number(&profile["call_ms"]), "kernels take no longer than the call: {profile}");
    for kernel in kernels {
        assert!(number(&kernel["limit_ms"]) > 0.0 && number(&kernel["ms"]) > 0.0, "{kernel}");
    }
    let trace: Value = serde_json::from_slice(&std::fs::read(&trace).expect("the trace")).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    let threads = events.iter().filter(|event| event["name"] == "thread_name").count();
    assert_eq!(threads, 2, "a track for each thread");
    let shown = |kernel: &Value| events.iter().any(|event| event["ph"] == "X" && event["name"] == kernel["kernel"]);
    assert!(kernels.iter().all(shown), "every kernel is in the trace");
    let shared = events.iter().filter(|event| event["name"] == first["kernel"]);
    let mut threads: Vec<Option<u64>> = shared.map(|event| event["tid"].as_u64()).collect();
    threads.sort_unstable();
    assert_eq!(threads, [Some(0), Some(1)], "both threads share the first layer");
}

/// A block of MobileNetV2, small: filters for points around a window that moves by two.
const CONVOLUTIONS: &str = r#"mdl 1

model Convolutions {
  weights from "none.safetensors"

  entry filter(x: f32[1, 8, 14, 14]) -> (y: f32[1, 20, 7, 7]) {
    weight expand: f32[48, 8, 1, 1] from "expand"
    weight depthwise: f32[48, 1, 3, 3] from "depthwise"
    weight project: f32[20, 48, 1, 1] from "project"
    let y = relu(conv2d(x, expand))
    let y = relu(conv2d(y, depthwise, stride = [2, 2], pad = [1, 1, 0, 0], groups = 48))
    return conv2d(y, project)
  }
}
"#;

#[test]
fn a_profile_counts_convolutions_as_they_are_defined() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("convolutions.mdl");
    std::fs::write(&file, CONVOLUTIONS).expect("written");
    let file = file.display().to_string();
    let profile = json(&mlc(&["profile", &file, "--weights", "random:1", "--rounds", "5", "--message-format", "json"]));
    let kernels = profile["kernels"].as_array().expect("kernels");
    let mut found: Vec<[f64; 2]> = kernels.iter().map(|k| ["flops", "bytes"].map(|key| number(&k[key]))).collect();
    found.sort_by(|a, b| b[0].total_cmp(&a[0]));
    // Products and sums, and the two operations of a relu; what is read, the filters, and what is written.
    let (expand, window, project) = (48 * 196 * (2 * 8 + 2), 48 * 49 * (2 * 9 + 2), 20 * 49 * (2 * 48));
    let bytes = [[8 * 196, 48 * 8, 48 * 196], [48 * 49, 20 * 48, 20 * 49], [48 * 196, 48 * 9, 48 * 49]];
    let bytes = bytes.map(|elements| f64::from(4 * elements.iter().sum::<i32>()));
    let flops = [expand, project, window].map(f64::from);
    assert_eq!(found, [0, 1, 2].map(|i| [flops[i], bytes[i]]), "{profile}");
}

#[test]
fn a_bench_says_what_a_model_takes_and_draws_its_kernels() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("roofline.svg").display().to_string();
    let at = format!("batch={BATCH}");
    let words = ["bench", "fashion_mlp.mdl", "--at", &at, "--threads", "1", "--rounds", "7", "--json"];
    let bench = json(&mlc(&[&words[..], &["--roofline", &picture]].concat()));
    assert_eq!(number(&bench["calls"]), 7.0);
    // As they are stored: columns of products in panels of 16, the last of them filled up.
    assert_eq!(number(&bench["weights"]), f64::from(4 * (784 * 128 + 128 + 128 * 16 + 10)));
    let order = ["p10_ms", "p50_ms", "p90_ms", "p99_ms"].map(|key| number(&bench[key]));
    assert!(order.is_sorted(), "{order:?}");
    let interval = bench["p50_interval_ms"].as_array().expect("two numbers");
    assert!(number(&interval[0]) <= order[1] && order[1] <= number(&interval[1]), "{bench}");
    let arena = number(&bench["arena"]);
    assert!(arena >= (4 * BATCH * 128) as f64 && arena < 1e6, "the hidden layer lies in the arena: {arena}");
    let svg = std::fs::read_to_string(&picture).expect("the picture");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    for kernel in ["fc1", "fc2", "softmax"] {
        assert!(svg.contains(kernel), "{kernel} is drawn");
    }
}
