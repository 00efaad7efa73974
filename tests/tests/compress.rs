//! Profiles through the program: what becomes of weights and activations, what that costs, and what is refused.

use mlc_codegen::base::{DType, Scalar};
use mlc_runtime::npz::{read_npz, write_npz};
use mlc_runtime::tensor::Tensor;
use mlc_runtime::weights::write_safetensors;
use mlc_tests::golden::program;
use std::path::Path;
use std::process::{Command, Output};

/// Four layers, each of its own size of numbers, with relu between them.
const LAYERS: &str = "mdl 1
block Dense[Out, In](x: f32[..B, In]) -> f32[..B, Out] {
  weight w: f32[Out, In] from \"weight\"
  weight b: f32[Out] from \"bias\"
  return einsum(\"... i, o i -> ... o\", x, w) + b
}
model Layers {
  dim n in 1..=32
  weights from \"w.safetensors\"
  entry main(x: f32[n, 64]) -> (y: f32[n, 64], h: f32[n, 64]) {
    let h = Dense[64](x) at \"first\"
    repeat i in 0..3 carry h {
      let h = relu(Dense[64](h) at \"layer.{i}\")
    }
    return (h, Dense[64](h) at \"last\")
  }
}
profile dynamic { quantize(i8) }
profile fixed { quantize(i8, calibrate = \"d.npz\") }
profile symmetric { quantize(i8, calibrate = \"d.npz\", symmetric = true, method = minmax, bias_correction = false) }
profile weights_only { quantize(i8, activations = none) }
profile per { quantize(i8, per = tensor) }
profile layered { prune(sparsity = 50%, per_layer = true) }
profile half { quantize(f16) }
profile brain { quantize(bf16, skip = \"last\") }
profile four { quantize(i4) }
profile offset { quantize(weights = i4, symmetric = false) }
profile eight { quantize(weights = q8_0) }
profile mixed { quantize(i8) quantize(weights = f16, select = \"first\") }
profile split { quantize(i8, select = \"layer.1\") }
profile pruned { prune(sparsity = 75%) }
profile wanda { prune(sparsity = 75%, method = wanda, calibrate = \"d.npz\") }
profile rebuilt { prune(sparsity = 75%, method = sparsegpt, calibrate = \"d.npz\") }
profile groups { prune(pattern = \"2:4\") }
profile both { prune(sparsity = 50%) quantize(i8, calibrate = \"d.npz\") }
profile misfit { quantize(i8, calibrate = \"bad.npz\") }
profile infinite { quantize(i8, calibrate = \"nan.npz\") }
profile nowhere { quantize(i8, calibrate = \"absent.npz\") }
profile held { quantize(i8, calibrate = \"d.npz\") budget(max_drop = 10%, metric = \"top1\", data = \"d.npz\") }
profile tight { prune(sparsity = 90%) quantize(i8) budget(max_drop = 10%, metric = \"agreement\", data = \"d.npz\") }
profile few { quantize(f16) budget(max_drop = 0.1%, metric = \"agreement\", data = \"d.npz\") }
profile large { quantize(f16) budget(max_drop = 10%, metric = \"agreement\", data = \"d.npz\", size = 1KiB) }
profile slow { quantize(f16) budget(max_drop = 10%, metric = \"top1\", data = \"d.npz\", latency = 2ms) }
profile gone { prune(sparsity = 100%) }
";

struct Draw(u64);

impl Draw {
    /// About normal, of size 1.
    fn normal(&mut self) -> f64 {
        let mut unit = || {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 40) as f64 / f64::from(1 << 24) - 0.5
        };
        (0..12).map(|_| unit()).sum()
    }

    fn tensor(&mut self, shape: &[usize], size: f64) -> Tensor {
        Tensor::from_fn(DType::F32, shape, |_| Scalar::F64(self.normal() * size)).expect("a small tensor")
    }
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().expect("a temporary folder"));
        std::fs::write(folder.path("m.mdl"), LAYERS).expect("a file in a new folder");
        let mut draw = Draw(5);
        let mut weights = vec![];
        for (name, size) in [("first", 1.0), ("layer.0", 0.2), ("layer.1", 0.6), ("layer.2", 0.1), ("last", 0.3)] {
            weights.push((format!("{name}.weight"), draw.tensor(&[64, 64], size / 4.0)));
            weights.push((format!("{name}.bias"), draw.tensor(&[64], 0.1)));
        }
        write_safetensors(&folder.path("w.safetensors"), &weights).expect("a file in a new folder");
        // Some inputs are much larger than others: what a method makes of that is what tells them apart.
        let mut scale = |i: usize| if i.is_multiple_of(8) { 3.0 } else { 0.3 } * draw.normal();
        let x = Tensor::from_fn(DType::F32, [256, 64], |i| Scalar::F64(scale(i))).expect("a small tensor");
        let labels: Vec<i64> = (0..256).map(|i| i % 64).collect();
        let labels = Tensor::from_i64([256], &labels).expect("a small tensor");
        folder.data("d.npz", &[("x", x), ("labels", labels)]);
        folder.data("bad.npz", &[("x", draw.tensor(&[16, 63], 1.0))]);
        let mut nan = draw.tensor(&[16, 64], 1.0);
        nan.set_f64(70, f64::NAN);
        folder.data("nan.npz", &[("x", nan)]);
        folder
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn data(&self, name: &str, arrays: &[(&str, Tensor)]) {
        let arrays: Vec<(String, Tensor)> = arrays.iter().map(|(key, x)| ((*key).to_owned(), x.clone())).collect();
        write_npz(self.path(name), &arrays, false).expect("a file in a new folder");
    }

    fn mlc(&self, words: &str) -> Output {
        run(self.0.path(), words)
    }

    /// The outputs of a model on `d.npz`, by batches of one size.
    fn outputs(&self, words: &str) -> Vec<(String, Tensor)> {
        let x = &read_npz(self.path("d.npz")).expect("data was written")[0].1;
        let rows = Tensor::new(DType::F32, [32, 64], &x.bytes()[..32 * 64 * 4]).expect("32 rows");
        self.data("x.npz", &[("x", rows)]);
        let ran = self.mlc(&format!("run {words} -i x=@x.npz:x -o out.npz"));
        assert!(ran.status.success(), "{words}: {}", told(&ran));
        read_npz(self.path("out.npz")).expect("results were written")
    }

    /// The root mean square difference of the last output from that of the model as it is, in parts of its size.
    fn lost(&self, profile: &str) -> f64 {
        let (whole, made) = (self.outputs("m.mdl"), self.outputs(&format!("m.mdl --profile {profile}")));
        let (a, b) = (whole[1].1.to_f64_vec(), made[1].1.to_f64_vec());
        let error: f64 = a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum();
        (error / a.iter().map(|a| a * a).sum::<f64>()).sqrt()
    }

    /// Bytes of the constants of a built model.
    fn constants(&self, words: &str) -> i64 {
        assert!(self.mlc(&format!("build {words} -o m.mlc")).status.success());
        let told = self.mlc("inspect m.mlc --json");
        let json: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
        json["sections"]["constants"].as_i64().expect("a section of constants")
    }

    /// A built model's certificate.
    fn certificate(&self, words: &str) -> serde_json::Value {
        let built = self.mlc(&format!("build {words}"));
        assert!(built.status.success(), "{words}: {}", told(&built));
        let told = self.mlc("inspect m.mlc --json");
        let json: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
        json["certificate"].clone()
    }

    fn refuses(&self, profile: &str, expected: &str) {
        let ran = self.mlc(&format!("build m.mdl --profile {profile}"));
        assert!(ran.status.code() == Some(1) && told(&ran).contains(expected), "{}", told(&ran));
    }
}

fn run(folder: &Path, words: &str) -> Output {
    let program = program().expect("mlc is built");
    Command::new(program).args(words.split(' ')).current_dir(folder).output().expect("mlc starts")
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn examples() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

#[test]
fn each_form_loses_as_much_as_its_bits() {
    let folder = Folder::new();
    for (profile, most) in [
        ("half", 1e-3),
        ("brain", 1e-2),
        ("eight", 0.02),
        ("weights_only", 0.02),
        ("dynamic", 0.03),
        ("fixed", 0.03),
        ("symmetric", 0.04),
        ("mixed", 0.03),
        ("four", 0.25),
        ("offset", 0.25),
    ] {
        let lost = folder.lost(profile);
        assert!(lost > 1e-6 && lost < most, "{profile}: {lost}");
    }
}

#[test]
fn what_a_profile_makes_is_text_that_runs_to_the_same_bits() {
    let folder = Folder::new();
    for profile in ["dynamic", "fixed", "weights_only", "half", "brain", "four", "offset", "eight", "rebuilt", "both"] {
        let written = folder.mlc(&format!("build m.mdl --profile {profile} --passes none --emit graph=g.mdl"));
        assert!(written.status.success(), "{profile}: {}", told(&written));
        let (made, read) = (folder.outputs(&format!("m.mdl --profile {profile}")), folder.outputs("g.mdl"));
        assert!(made == read, "{profile}: the text computes something else");
        let reference = folder.outputs("g.mdl --device reference");
        let far = made[1].1.to_f64_vec().into_iter().zip(reference[1].1.to_f64_vec());
        // A number that lies between two codes may be rounded to either.
        let most = far.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(most < 0.05, "{profile}: {most} from the reference");
    }
}

#[test]
fn layers_of_a_loop_have_scales_of_their_own() {
    let folder = Folder::new();
    let text = folder.mlc("build m.mdl --profile fixed --passes none --emit graph");
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("repeat i in 0..3") && text.contains("i8[64, 64] from \"layer.{i}.weight.codes\""), "{text}");
    assert!(text.matches("quantize(").count() >= 6 && text.contains("dtype = u8"), "{text}");
}

#[test]
fn bytes_shrink_as_far_as_the_bits_do() {
    let folder = Folder::new();
    let whole = folder.constants("m.mdl");
    for (profile, most) in [("dynamic", 0.30), ("fixed", 0.32), ("half", 0.54), ("eight", 0.32), ("four", 0.18)] {
        let made = folder.constants(&format!("m.mdl --profile {profile}"));
        assert!((made as f64) < most * whole as f64, "{profile}: {made} of {whole} bytes");
    }
    let told = folder.mlc("inspect m.mlc");
    assert!(String::from_utf8_lossy(&told.stdout).contains("profile    four"));
}

#[test]
fn the_last_directive_holds_and_a_family_takes_one_form() {
    let folder = Folder::new();
    let ran = folder.mlc("build m.mdl -v --profile mixed --emit graph=g.mdl");
    assert!(told(&ran).contains("first.weight (einsum) f16\n"), "{}", told(&ran));
    let ran = folder.mlc("build m.mdl -v --profile split --emit graph=g.mdl");
    let why = "layer.0.weight and 2 more (einsum) stays: the profile wants its layers in several forms";
    assert!(told(&ran).contains(why) && told(&ran).contains("profile split: 0 of 3 weights changed"), "{}", told(&ran));
}

#[test]
fn methods_that_know_the_inputs_prune_better() {
    let folder = Folder::new();
    let [magnitude, wanda, rebuilt] = ["pruned", "wanda", "rebuilt"].map(|profile| folder.lost(profile));
    assert!(rebuilt < wanda * 0.9 && wanda < magnitude * 0.9, "{magnitude} {wanda} {rebuilt}");
    for (profile, share) in [("pruned", 0.75), ("wanda", 0.75), ("rebuilt", 0.75), ("groups", 0.5)] {
        assert!(
            folder.mlc(&format!("build m.mdl --profile {profile} --passes none --emit graph=g.mdl")).status.success()
        );
        let made = read_npz(folder.path("g.safetensors")).expect("weights were written");
        for (name, weight) in made.iter().filter(|(_, weight)| weight.shape().len() == 2) {
            let numbers = weight.to_f32_vec();
            let zeros = numbers.iter().filter(|number| **number == 0.0).count();
            assert!((zeros as f64 / numbers.len() as f64 - share).abs() < 0.01, "{profile} {name}: {zeros}");
            let four = |group: &[f32]| group.iter().filter(|number| **number == 0.0).count() == 2;
            assert!(profile != "groups" || numbers.chunks(4).all(four));
        }
    }
}

#[test]
fn data_that_calibrates_nothing_is_refused_at_the_directive() {
    let folder = Folder::new();
    folder.refuses("misfit", "error[MDL0705]: `bad.npz` does not fit: input `x` has shape [16, 63]");
    let nan = "error[MDL0705]: `x` of `nan.npz` holds NaN in sample 1";
    folder.refuses("infinite", nan);
    folder.refuses("infinite", "profile infinite { quantize(i8, calibrate = \"nan.npz\") }");
    folder.refuses("nowhere", "absent.npz");
    folder.refuses("gone", "error[MDL0501]: no number of these weights would be left");
}

#[test]
fn samples_calibrate_an_entry_of_one_batch_size() {
    let folder = Folder::new();
    let ran = folder.mlc("build m.mdl -v --profile fixed -D n=32");
    assert!(ran.status.success() && told(&ran).contains("weights changed"), "{}", told(&ran));
}

#[test]
fn without_a_profile_nothing_changes() {
    let folder = Folder::new();
    assert!(folder.outputs("m.mdl") == folder.outputs("m.mdl --sparse off"));
    let text = folder.mlc("build m.mdl --passes none --emit graph");
    assert!(!String::from_utf8_lossy(&text.stdout).contains("quantize"));
}

#[test]
fn the_vendored_classifiers_keep_their_answers_in_bytes() {
    for (model, expected) in [("fashion_mlp.mdl", 0.98), ("fashion_cnn.mdl", 0.95)] {
        let words = format!("build {model} --profile int8 --passes none --emit graph={{}}/int8.mdl");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ran = run(&examples(), &words.replace("{}", &folder.path().display().to_string()));
        assert!(ran.status.success(), "{}", told(&ran));
        let text = std::fs::read_to_string(folder.path().join("int8.mdl")).expect("it was written");
        assert!(text.contains("dequantize("));
        let words =
            format!("eval {model} --profile int8 --data fashion_test_256.npz --metric agreement --json --against");
        let program = program().expect("mlc is built");
        let words: Vec<&str> = words.split(' ').collect();
        let whole = Path::new(model).with_extension("mlc");
        let whole = folder.path().join(whole);
        assert!(run(&examples(), &format!("build {model} -o {}", whole.display())).status.success());
        let ran = Command::new(program).args(words).arg(&whole).current_dir(examples()).output().expect("mlc starts");
        let json: serde_json::Value = serde_json::from_slice(&ran.stdout).expect("JSON");
        assert!(json["value"].as_f64().expect("a share") >= expected, "{model}: {json} {}", told(&ran));
    }
}

#[test]
fn a_budget_is_held_certified_and_verified() {
    let folder = Folder::new();
    let certificate = folder.certificate("m.mdl --profile held -o m.mlc");
    assert_eq!((&certificate["metric"], &certificate["samples"]), (&"top1".into(), &256.into()));
    let number = |key: &str| certificate[key].as_f64().expect("a number");
    assert!(number("drop") <= number("upper") && number("upper") <= 0.1, "{certificate}");
    assert!((number("before") - number("value") - number("drop")).abs() < 1e-12, "{certificate}");
    assert_eq!(certificate["decisions"].as_array().map(Vec::len), Some(3));
    let verified = folder.mlc("verify m.mlc --data d.npz");
    assert!(verified.status.success(), "{}", told(&verified));
    assert!(String::from_utf8_lossy(&verified.stdout).contains("as the certificate says"));
    let arrays = read_npz(folder.path("d.npz")).expect("data was written");
    let other: Vec<(&str, Tensor)> = arrays.iter().rev().map(|(key, x)| (key.as_str(), x.clone())).collect();
    folder.data("other.npz", &other);
    let refused = folder.mlc("verify m.mlc --data other.npz");
    assert!(refused.status.code() == Some(1) && told(&refused).contains("error[MDL0705]"), "{}", told(&refused));
    assert!(folder.mlc("build m.mdl -o whole.mlc").status.success());
    let differ = folder.mlc("diff whole.mlc m.mlc");
    let said = String::from_utf8_lossy(&differ.stdout).into_owned();
    assert_eq!(differ.status.code(), Some(1));
    assert!(
        said.contains("profile    none -> held\n") && said.contains("weight     first.weight: none -> i8 by channel\n")
    );
    let same = folder.mlc("diff m.mlc m.mlc");
    assert!(same.status.success() && same.stdout.is_empty());
}

#[test]
fn a_missed_budget_says_what_would_meet_it_and_a_search_does_that() {
    let folder = Folder::new();
    let missed = folder.mlc("build m.mdl --profile tight -o m.mlc");
    let said = told(&missed);
    assert!(missed.status.code() == Some(3) && said.contains("error[MDL0503]"), "{said}");
    assert!(said.contains("prune(skip = [") && said.contains("--search") && said.contains("dB"), "{said}");
    assert!(!folder.path("m.mlc").exists(), "nothing is built that misses its budget");
    let found = folder.certificate("m.mdl --profile tight --search -o m.mlc");
    assert!(found["upper"].as_f64().expect("a bound") <= 0.1, "{found}");
    // Before, whole, and halvings of six steps.
    assert!(found["evaluations"].as_u64().expect("a count") <= 2 + 3, "{found}");
    let forms = found["decisions"].as_array().expect("decisions");
    assert!(forms.iter().any(|made| made["form"] == "i8 by channel"), "{found}");
    assert!(forms.iter().any(|made| made["why"] == "the budget has no room for it"), "{found}");
    let text = |words: &str| folder.mlc(words).stdout;
    let again = text("inspect m.mlc --json");
    folder.certificate("m.mdl --profile tight --search -o m.mlc");
    assert!(again == text("inspect m.mlc --json"), "the same model, profile and data give the same");
}

#[test]
fn what_the_data_cannot_tell_is_no_pass() {
    let folder = Folder::new();
    let few = folder.mlc("build m.mdl --profile few -o m.mlc");
    let said = told(&few);
    assert!(few.status.code() == Some(3) && said.contains("error[MDL0504]"), "{said}");
    assert!(said.contains("samples would decide it") && said.contains("--accept-undecided"), "{said}");
    let certificate = folder.certificate("m.mdl --profile few --accept-undecided -o m.mlc");
    assert_eq!(certificate["undecided"], true);
    let large = folder.mlc("build m.mdl --profile large -o m.mlc");
    assert!(large.status.code() == Some(3) && told(&large).contains("allowed 1.0 KiB"), "{}", told(&large));
    folder.refuses("per", "error[MDL0508]: these weights have no scale for each tensor");
    folder.refuses("layered", "error[MDL0508]: `per_layer` of `prune` is not carried out yet");
    folder.refuses("slow", "error[MDL0508]: `latency` of `budget` is not held to yet");
}

#[test]
fn an_attribute_holds_for_its_statement_and_beats_the_profile() {
    let folder = Folder::new();
    let text = LAYERS.replace("let h = Dense[64](x) at", "#[quantize(f16)]\n    let h = Dense[64](x) at");
    std::fs::write(folder.path("m.mdl"), text).expect("a file in the folder");
    let ran = told(&folder.mlc("build m.mdl -v --profile dynamic --emit graph=g.mdl"));
    assert!(ran.contains("first.weight (einsum) f16\n") && ran.contains("last.weight (einsum) i8 by channel"), "{ran}");
    let whole = told(&folder.mlc("build m.mdl -v --emit graph=g.mdl"));
    assert!(!whole.contains("f16"), "without a profile an attribute changes nothing");
}
