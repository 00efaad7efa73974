//! Weights that are mostly zeros: which become sparse, that nothing else changes, and that files that lie are refused.

use mlc_codegen::base::{Sparse, Storage};
use mlc_runtime::artifact::{Artifact, Constant, OpenOptions};
use mlc_runtime::tensor::Tensor;
use mlc_runtime::weights::write_safetensors;
use mlc_tests::golden::program;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

const MODEL: &str = r#"mdl 1
block Dense[Out, In](x: f32[..B, In]) -> f32[..B, Out] {
  weight w: f32[In, Out] from "w"
  weight b: f32[Out] from "b"
  return einsum("... i, i o -> ... o", x, w) + b
}
model M {
  dim batch in 1..=40
  weights from "w.safetensors"
  entry main(x: f32[batch, 96]) -> (d: f32[batch, 96], z: f32[batch, 130], t: f32[batch, 70]) {
    let y = x
    repeat i in 0..2 carry y {
      let y = relu(y |> Dense[96] at "layer.{i}")
    }
    weight table: f32[70, 96] from "table"
    weight turned: f32[130, 96] from "turned"
    weight full: f32[96, 96] from "full"
    let dense = einsum("m i, i o -> m o", y, full)
    return (dense, einsum("m i, o i -> m o", y, turned), einsum("m i, o i -> m o", x, table))
  }
  entry rows(ids: i64[3]) -> f32[3, 96] {
    weight table: f32[70, 96] from "table"
    return gather(table, ids)
  }
  entry picture(x: f32[1, 16, 9, 9]) -> f32[1, 32, 9, 9] {
    weight w: f32[32, 16, 3, 3] from "filters"
    return conv2d(x, w, pad = 1)
  }
}
"#;

struct Place(tempfile::TempDir);

impl Place {
    /// A folder with the model and weights of which one number in ten is not zero, but those of `full`.
    fn new() -> Place {
        let mut seed = 0x1234_5678_u32;
        let mut drawn = |shape: &[usize], of: u32| {
            let mut next = || {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                seed >> 8
            };
            let mut number = || if next() % of == 0 { next() as f32 / (1 << 23) as f32 - 1.0 } else { 0.0 };
            let numbers: Vec<f32> = (0..shape.iter().product()).map(|_| number()).collect();
            Tensor::from_f32(shape, numbers).expect("as many as the shape has")
        };
        let tensors = [
            ("layer.0.w", drawn(&[96, 96], 10)),
            ("layer.0.b", drawn(&[96], 1)),
            ("layer.1.w", drawn(&[96, 96], 12)),
            ("layer.1.b", drawn(&[96], 1)),
            ("turned", drawn(&[130, 96], 10)),
            ("full", drawn(&[96, 96], 2)),
            ("table", drawn(&[70, 96], 10)),
            ("filters", drawn(&[32, 16, 3, 3], 10)),
        ];
        let tensors = tensors.map(|(name, tensor)| (name.to_owned(), tensor));
        let place = Place(tempfile::tempdir().expect("a folder"));
        write_safetensors(&place.path("w.safetensors"), &tensors).expect("written");
        std::fs::write(place.path("m.mdl"), MODEL).expect("written");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn mlc(&self, words: &str) -> String {
        let mut command = Command::new(program().expect("mlc is built"));
        let output = command.args(words.split_whitespace()).current_dir(self.0.path()).output().expect("mlc runs");
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// The names of the constants of `m.mlc` that are sparse.
    fn sparse(&self) -> Vec<String> {
        let all: Value = serde_json::from_str(&self.mlc("inspect m.mlc --json")).expect("JSON");
        let constants = all["constants"].as_array().expect("a list").iter();
        let sparse = constants.filter(|c| c["storage"].as_str().is_some_and(|s| s.starts_with("sparse[")));
        let shown = sparse.map(|c| {
            let density = c["density"].as_f64().expect("its density");
            assert!((5.0..15.0).contains(&density), "{c}");
            c["name"].as_str().expect("a name").to_owned()
        });
        shown.collect()
    }
}

#[test]
fn weights_with_zeros_become_sparse_where_every_use_allows() {
    let place = Place::new();
    place.mlc("build m.mdl --verify");
    assert_eq!(place.sparse(), ["layer.0.w", "layer.1.w", "turned", "filters"]);
    place.mlc("verify m.mlc");
    let text = place.mlc("inspect m.mlc");
    assert!(text.contains("sparse[130, 96]*12480 turned, ") && text.contains(" % are not zero"), "{text}");
    let small = std::fs::metadata(place.path("m.mlc")).expect("a file").len();
    place.mlc("build m.mdl --sparse off");
    assert!(place.sparse().is_empty());
    assert!(place.mlc("inspect m.mlc").contains(" --sparse off\n"));
    assert!(small < std::fs::metadata(place.path("m.mlc")).expect("a file").len());
}

#[test]
fn sparse_models_mean_what_the_reference_says() {
    let place = Place::new();
    for batch in [1, 2, 9, 33] {
        let said = place.mlc(&format!("compare m.mdl --entry main -i x=random:1 -D batch={batch}"));
        assert!(said.contains(&format!("z: f32[{batch}, 130]")) && !said.contains("differs"), "{said}");
    }
    let said = place.mlc("compare m.mdl --entry picture -i x=random:1");
    assert!(!said.contains("differs"), "{said}");
}

/// Alike on one thread and on two, on every level, and in a loop's weights with fewer numbers than their neighbours.
#[test]
fn threads_change_no_bit() {
    let place = Place::new();
    place.mlc("build m.mdl");
    for cpu in ["native", "generic"] {
        let run = |threads: u32| {
            let file = format!("{cpu}{threads}.npz");
            let sizes = "--entry main -i x=random:7 -D batch=33";
            place.mlc(&format!("run m.mlc {sizes} --cpu {cpu} --threads {threads} -o {file}"));
            std::fs::read(place.path(&file)).expect("written")
        };
        assert!(run(1) == run(2), "{cpu}");
    }
}

#[test]
fn explain_says_what_is_sparse_and_why() {
    let place = Place::new();
    let text = place.mlc("explain m.mdl");
    for part in
        ["    layer.0.w: sparse, ", "    turned: sparse, ", " % for any number of rows\n", "    filters: sparse, "]
    {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    assert!(!text.contains("table: "), "a table that is gathered from cannot be sparse\n{text}");
    let rows: Value = serde_json::from_str(&place.mlc("explain m.mdl --json")).expect("JSON");
    let zeros: Vec<&Value> =
        rows.as_array().expect("a list").iter().flat_map(|row| row["zeros"].as_array().expect("a list")).collect();
    let full = zeros.iter().find(|zeros| zeros["constant"] == json!("full")).expect("it could be sparse");
    assert!(full["sparse"] == json!(false) && full["density"].as_f64().is_some_and(|d| d > 40.0), "{full}");
    let off: Value = serde_json::from_str(&place.mlc("explain m.mdl --json --sparse off")).expect("JSON");
    assert!(off.as_array().expect("a list").iter().all(|row| row["zeros"] == json!([])), "{off}");
}

/// An artifact whose sparse constant was changed.
fn changed(artifact: &Artifact, change: &dyn Fn(&mut Sparse, &mut Vec<u8>)) -> Result<Artifact, String> {
    let Artifact { meta, plan, .. } = artifact;
    let mut plan = plan.clone();
    let number = plan.constants.iter().position(|(storage, _)| matches!(storage, Storage::Sparse(_))).expect("one");
    let mut constants = artifact.constants().to_vec();
    let mut bytes = constants[number].bytes().to_vec();
    if let Storage::Sparse(sparse) = &mut plan.constants[number].0 {
        change(sparse, &mut bytes);
    }
    constants[number] = Constant::copied(&bytes).expect("memory");
    Artifact::from_parts(meta.clone(), plan, constants).map_err(|error| error.to_string())
}

#[test]
fn sparse_constants_that_lie_are_refused() {
    let place = Place::new();
    place.mlc("build m.mdl");
    let artifact = Artifact::open(&place.path("m.mlc"), OpenOptions::default()).expect("opens");
    changed(&artifact, &|_, _| {}).expect("nothing is wrong with it");
    let refused = |change: &dyn Fn(&mut Sparse, &mut Vec<u8>)| changed(&artifact, change).expect_err("it lies");
    assert!(refused(&|_, bytes| bytes[0] = 1).contains("sparse"));
    assert!(refused(&|sparse, bytes| bytes[sparse.indices()] = 96).contains("beyond its last"));
    assert!(refused(&|sparse, bytes| bytes[sparse.order()] = 200).contains("every row once"));
    assert!(refused(&|sparse, bytes| bytes[sparse.counts() + 1] = 255).contains("follow"));
    assert!(refused(&|sparse, _| sparse.rows = 97).contains("sizes"));
    assert!(refused(&|sparse, _| sparse.steps = u32::MAX).contains("length"));
    assert!(refused(&|_, bytes| bytes.truncate(100)).contains("length"));
    // In a file, whose constants are compared with no hash unless that is asked for.
    let mut file = std::fs::read(place.path("m.mlc")).expect("a file");
    let own = artifact.constants()[0].bytes();
    let Storage::Sparse(sparse) = artifact.plan.constants[0].0 else { panic!("the first constant is sparse") };
    let at = file.windows(own.len()).position(|window| window == own).expect("it is in the file");
    file[at + sparse.indices()] = 255;
    std::fs::write(place.path("bad.mlc"), file).expect("written");
    let error = Artifact::open(&place.path("bad.mlc"), OpenOptions::default()).expect_err("it lies");
    assert!(error.to_string().contains("damaged: a column of a sparse matrix is beyond its last"), "{error}");
}
