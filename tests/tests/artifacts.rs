//! Built models from outside: what `inspect` says of them, what `verify` checks, and that damage is refused.

use mlc_runtime::artifact::{Artifact, OpenOptions};
use mlc_runtime::npz::write_npz;
use mlc_runtime::tensor::Tensor;
use mlc_tests::golden::program;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const MODEL: &str = "mdl 1
block Dense[Out, In](x: f32[n, In]) -> f32[n, Out] {
  weight w: f32[Out, In] from \"w\"
  return einsum(\"n i, o i -> n o\", x, w)
}
model Small {
  dim n in 1..=16
  state seen: f32[16, 4]
  entry main(x: f32[n, 8]) -> f32[n, 4] {
    let y = relu(x |> Dense[4] at \"fc\")
    set seen[0:n] = y
    return y
  }
  entry last(k: size) -> f32[1, 4] {
    assert k + 1 <= 16
    return seen[k:k+1]
  }
}";

struct Place(tempfile::TempDir);

impl Place {
    /// A folder with the model, built.
    fn new() -> Place {
        let place = Place(tempfile::tempdir().expect("a folder"));
        std::fs::write(place.path("m.mdl"), MODEL).expect("a file");
        let built = place.mlc(&["build", "m.mdl", "--weights", "random:3"]);
        assert!(built.status.success(), "{}", said(&built));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn mlc(&self, words: &[&str]) -> Output {
        static MLC: OnceLock<PathBuf> = OnceLock::new();
        let mlc = MLC.get_or_init(|| program().expect("mlc is built"));
        Command::new(mlc).args(words).current_dir(self.0.path()).output().expect("mlc starts")
    }

    fn data(&self, name: &str, arrays: &[(&str, Tensor)]) {
        let arrays: Vec<(String, Tensor)> =
            arrays.iter().map(|(key, tensor)| ((*key).into(), tensor.clone())).collect();
        write_npz(self.path(name), &arrays, false).expect("a data set");
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn inputs() -> Tensor {
    Tensor::from_f32([20, 8], (0..160).map(|i| (i % 13) as f32 - 6.0).collect::<Vec<_>>()).expect("160 numbers")
}

#[test]
fn inspect_tells_what_a_model_takes_and_who_wrote_it() {
    let place = Place::new();
    let text = printed(&place.mlc(&["inspect", "m.mlc"]));
    for line in [
        "model      Small",
        concat!("format     1, written by mlc ", env!("CARGO_PKG_VERSION")),
        "dim        n in 1..=16",
        "entry      main(x: f32[n, 8]) -> out: f32[n, 4]",
        "entry      last(k: size) -> out: f32[1, 4]",
        "state      seen: f32[16, 4]",
        "  c0        f32*32    fc.w, 128 bytes",
    ] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
    }
    let value: Value = serde_json::from_str(&printed(&place.mlc(&["inspect", "m.mlc", "--json"]))).expect("JSON");
    assert_eq!(value["entries"][0]["inputs"], json!([{"name": "x", "type": "f32[n, 8]"}]));
    assert_eq!(value["constants"][0], json!({"name": "fc.w", "storage": "f32", "elements": 32, "bytes": 128}));
    let dims = value["dims"].as_array().expect("a list");
    assert!(dims.contains(&json!({"name": "n", "lo": 1, "hi": 16, "size": false})), "{dims:?}");
    let bytes = std::fs::metadata(place.path("m.mlc")).expect("a file").len();
    assert_eq!(value["bytes"], json!(bytes));
    let kernels = Artifact::open(&place.path("m.mlc"), OpenOptions::default()).expect("opens").plan.kernels.len();
    assert_eq!(value["kernels"].as_array().map(Vec::len), Some(kernels));
}

#[test]
fn verify_prints_what_it_checked() {
    let place = Place::new();
    let text = printed(&place.mlc(&["verify", "m.mlc"]));
    for part in [
        "metadata ",
        "constants  128 bytes match their hash",
        "main: no access leaves its buffer at",
        "more are refused by the model",
        "compile for",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    let read = printed(&place.mlc(&["verify", "m.mlc", "--no-mmap", "--cpu", "generic", "--threads", "1"]));
    assert!(read.contains("compile for generic"), "{read}");
}

#[test]
fn every_flipped_byte_is_refused() {
    let place = Place::new();
    let whole = std::fs::read(place.path("m.mlc")).expect("a file");
    let step = whole.len() / 40;
    for at in (0..whole.len()).step_by(step).chain([whole.len() - 1]) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(place.path("bad.mlc"), &bytes).expect("a file");
        let output = place.mlc(&["verify", "bad.mlc"]);
        // The name of who wrote it is for people, and belongs to no hash.
        let writer = (8..32).contains(&at);
        assert_eq!(output.status.code(), Some(i32::from(!writer)), "byte {at}: {}", said(&output));
        assert!(writer || said(&output).starts_with("error"), "{}", said(&output));
    }
    for length in [0, 3, 255, 256, whole.len() - 1] {
        std::fs::write(place.path("bad.mlc"), &whole[..length]).expect("a file");
        assert_eq!(place.mlc(&["verify", "bad.mlc"]).status.code(), Some(1), "cut at {length}");
    }
}

#[test]
fn weights_are_hashed_when_asked_for() {
    let place = Place::new();
    let mut bytes = std::fs::read(place.path("m.mlc")).expect("a file");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(place.path("bad.mlc"), &bytes).expect("a file");
    let words = ["run", "bad.mlc", "--entry", "main", "-i", "x=random"];
    assert!(place.mlc(&words).status.success(), "mapping stays instant");
    for more in [&["--verify-weights"][..], &["--verify-weights", "--no-mmap"]] {
        let output = place.mlc(&[&words[..], more].concat());
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("its weights do not match their hash"), "{}", said(&output));
    }
}

#[test]
fn verify_compares_with_outputs_of_a_data_set() {
    let place = Place::new();
    place.data("in.npz", &[("x", inputs())]);
    let none = place.mlc(&["verify", "m.mlc", "--data", "in.npz"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(
        said(&none).contains("nothing to compare with: it holds none of `out`, `labels`, `target`"),
        "{}",
        said(&none)
    );
    let model = mlc_runtime::session::Model::load(
        Artifact::open(&place.path("m.mlc"), OpenOptions::default()).expect("opens"),
        Default::default(),
    )
    .expect("loads");
    let of = |rows: std::ops::Range<usize>| {
        let numbers = inputs().to_f32_vec()[rows.start * 8..rows.end * 8].to_vec();
        let x = Tensor::from_f32([rows.len(), 8], numbers).expect("rows");
        model.session().run(Some("main"), &[("x", &x)], &[]).expect("runs").remove(0).1.to_f32_vec()
    };
    let mut out = [of(0..16), of(16..20)].concat();
    place.data("good.npz", &[("x", inputs()), ("out", Tensor::from_f32([20, 4], out.clone()).expect("80 numbers"))]);
    let good = printed(&place.mlc(&["verify", "m.mlc", "--data", "good.npz"]));
    assert!(good.contains("data       out: max abs 0.0e0 from 20 samples of the set\n"), "{good}");
    out[79] += 1.0;
    place.data("bad.npz", &[("x", inputs()), ("out", Tensor::from_f32([20, 4], out).expect("80 numbers"))]);
    let bad = place.mlc(&["verify", "m.mlc", "--data", "bad.npz"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&bad.stdout).contains("max abs 1.0e0 from 20 samples of the set, which is too much")
    );
}

#[test]
fn verify_holds_a_model_to_its_certificate() {
    let place = Place::new();
    let labels = Tensor::from_elements([20], &[0i64; 20]).expect("20 numbers");
    place.data("set.npz", &[("x", inputs()), ("labels", labels)]);
    let measured = printed(&place.mlc(&["eval", "m.mlc", "--data", "set.npz", "--metric", "top1", "--json"]));
    let value = serde_json::from_str::<Value>(&measured).expect("JSON")["value"].as_f64().expect("a number");
    for (recorded, code) in [(value, 0), (value + 0.1, 1)] {
        let opened = Artifact::open(&place.path("m.mlc"), OpenOptions::default()).expect("opens");
        let mut meta = opened.meta.clone();
        meta.certificate = Some(json!({"metric": "top1", "value": recorded}));
        let made = Artifact::from_parts(meta, opened.plan.clone(), opened.constants().to_vec()).expect("fits");
        made.write(&place.path("measured.mlc")).expect("written");
        let output = place.mlc(&["verify", "measured.mlc", "--data", "set.npz"]);
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn forms_are_written_whole_or_not_at_all() {
    let place = Place::new();
    let output = place.mlc(&["build", "m.mdl", "--weights", "random:3", "--emit", "asm=no/such/a.s"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("cannot write `no/such/a.s`"), "{}", said(&output));
    let words = [
        "build",
        "m.mdl",
        "--weights",
        "random:3",
        "--emit",
        "asm=a.s",
        "--emit",
        "kernels=k.txt",
        "--emit",
        "obj=m.o",
    ];
    assert!(place.mlc(&words).status.success());
    let of_text = ["a.s", "k.txt", "m.o"].map(|name| std::fs::read(place.path(name)).expect("written"));
    let words = ["build", "m.mlc", "--emit", "asm=a.s", "--emit", "kernels=k.txt", "--emit", "obj=m.o"];
    assert!(place.mlc(&words).status.success());
    let of_artifact = ["a.s", "k.txt", "m.o"].map(|name| std::fs::read(place.path(name)).expect("written"));
    assert!(of_text == of_artifact, "a .mlc has the code of the model it was built from");
    let refused = place.mlc(&["build", "m.mlc", "--emit", "graph"]);
    assert!(refused.status.code() == Some(1) && said(&refused).contains("holds kernels only"), "{}", said(&refused));
    let names: Vec<String> = std::fs::read_dir(place.0.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert!(names.iter().all(|name| !name.starts_with(".mlc-")), "{names:?}");
}

#[test]
fn listings_name_what_objects_hold() {
    let place = Place::new();
    let asm = printed(&place.mlc(&["build", "m.mlc", "--emit", "asm"]));
    let clif = printed(&place.mlc(&["build", "m.mlc", "--emit", "clif"]));
    let object = {
        assert!(place.mlc(&["build", "m.mlc", "--emit", "obj=m.o"]).status.success());
        std::fs::read(place.path("m.o")).expect("written")
    };
    let has = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let symbols: Vec<&str> = asm.lines().filter_map(|line| line.strip_prefix("mlc_")?.split(':').next()).collect();
    let entries: Vec<&str> = symbols.into_iter().filter(|symbol| !symbol.contains('.')).collect();
    assert!(!entries.is_empty(), "{asm}");
    for entry in entries {
        assert!(has(&object, &format!("mlc_{entry}\0")), "{entry} is in the object");
        assert!(clif.contains(&format!("; mlc_{entry}\n")), "{entry} is in the CLIF");
    }
    assert!(asm.contains("  0000  ") && clif.contains("function u0:"));
}

#[test]
fn memory_is_refused_before_it_is_taken() {
    let place = Place::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/fashion_mlp.mdl");
    let output = place.mlc(&["build", example, "-o", "m2.mlc", "--max-memory", "300K"]);
    assert_eq!(output.status.code(), Some(1));
    let wanted = "the constants of this model need 400.5 KiB; 300.0 KiB are allowed; raise --max-memory";
    assert!(said(&output).contains("MDL0704") && said(&output).contains(wanted), "{}", said(&output));
    assert!(!place.path("m2.mlc").exists());
    let output = place.mlc(&["run", "m.mlc", "--entry", "main", "-i", "x=random", "--max-memory", "100"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("MDL0704") && said(&output).contains("100 bytes are allowed"), "{}", said(&output));
    let sparse = std::fs::File::create(place.path("huge.npy")).expect("a file");
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (524288, 524288), }";
    let mut head = b"\x93NUMPY\x01\x00".to_vec();
    head.extend(((header.len() + 7) as u16).to_le_bytes());
    head.extend(header.bytes().chain(*b"      \n"));
    std::io::Write::write_all(&mut &sparse, &head).expect("a header");
    sparse.set_len(head.len() as u64 + (1 << 40)).expect("a hole");
    let text = "mdl 1
model Huge {
  weights from \"huge.npy\"
  entry main(x: f32[524288]) -> f32[524288] {
    weight w: f32[524288, 524288] from \"huge\"
    return einsum(\"i, o i -> o\", x, w)
  }
}";
    std::fs::write(place.path("huge.mdl"), text).expect("a file");
    let output = place.mlc(&["build", "huge.mdl"]);
    assert!(output.status.code() == Some(1) && said(&output).contains("need 1.0 TiB"), "{}", said(&output));
}

#[test]
fn more_and_less_is_said() {
    let place = Place::new();
    let words = ["run", "m.mdl", "--weights", "random", "--entry", "main", "-i", "x=random", "--threads", "1"];
    let more = place.mlc(&[&words[..], &["-v"]].concat());
    for part in ["checked `m.mdl`", "pass fuse", "kernels scheduled", "machine code for", ", 1 threads"] {
        assert!(said(&more).contains(part), "no `{part}` in\n{}", said(&more));
    }
    let usual = place.mlc(&words);
    assert_eq!((said(&usual).as_str(), printed(&usual)), ("", printed(&more)));
    let text = MODEL.replace("let y =", "let unused = x + 1.0\n    let y =");
    std::fs::write(place.path("w.mdl"), text).expect("a file");
    let words = ["build", "w.mdl", "--weights", "random"];
    let warned = place.mlc(&words);
    assert!(said(&warned).contains("warning[") && said(&warned).contains("kernels"), "{}", said(&warned));
    let quiet = place.mlc(&[&words[..], &["-q"]].concat());
    assert_eq!((quiet.status.code(), said(&quiet).as_str()), (Some(0), ""));
    std::fs::write(place.path("bad.mdl"), "mdl 1\nmodel M { entry main(x: f32[2]) -> f32[3] { return x } }")
        .expect("a file");
    let quiet = place.mlc(&["build", "bad.mdl", "-q"]);
    assert!(quiet.status.code() == Some(1) && said(&quiet).contains("error["), "{}", said(&quiet));
}

#[test]
fn help_lists_the_exit_codes() {
    let place = Place::new();
    let help = printed(&place.mlc(&["--help"]));
    let codes: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Exit codes:")
        .skip(1)
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(codes, ["0", "1", "2", "3", "101", "130"], "{help}");
    assert!(Path::new(&place.path("m.mlc")).exists());
}
