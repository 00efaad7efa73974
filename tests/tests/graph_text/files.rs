//! Where constants lie: several files, prefixes, kept narrower, made by passes under names that say nothing.

use crate::round::{graph, reread, reread_graph};
use libtest_mimic::Failed;
use mlc::frontend::Options;
use mlc_codegen::base::{DType, Scalar};
use mlc_runtime::tensor::Tensor;
use mlc_runtime::weights::write_safetensors;

/// Weights under prefixes, kept narrower than they are read, and families whose keys follow no pattern.
pub(crate) fn several_files() -> Result<(), Failed> {
    let made = tempfile::tempdir().map_err(|e| e.to_string())?;
    let rows = |seed: usize| Tensor::from_fn(DType::F32, [16, 8], |i| Scalar::F64(((i * seed) % 7) as f64 - 3.0));
    let tensor = |seed| rows(seed).expect("128 numbers");
    let bent: Vec<(String, Tensor)> = [1, 4, 9].map(|i| (format!("model.bent.{i}"), tensor(i))).to_vec();
    let half = tensor(5).cast(DType::F16).map_err(|e| e.to_string())?;
    let written = [("a", bent), ("b", vec![("/odd".into(), tensor(2)), ("half".into(), half)])];
    for (name, tensors) in written {
        let path = made.path().join(name).with_extension("safetensors");
        write_safetensors(&path, &tensors).map_err(|e| e.to_string())?;
    }
    let text = r#"mdl 1

model Several {
  dim n in 1..=4
  weights from "a.safetensors" at "model"
  weights from "b.safetensors"

  entry main(x: f32[n, 16, 8]) -> f32[n, 16, 8] {
    weight half: f32[16, 8] from "half"
    weight odd: f32[16, 8] from "//odd"
    repeat i in 1..4 carry x {
      dim square = i * i
      weight bent: f32[16, 8] from "bent.{square}"
      let x = x * bent + half
    }
    return x + odd
  }
}
"#;
    std::fs::write(made.path().join("several.mdl"), text)?;
    let printed = reread(&made.path().join("several"), &Options::default())?;
    for line in [
        "#[storage(\"f16\")]",
        "weights from \"m.weights/a.safetensors\" at \"model\"",
        "stack([bent, bent_2, bent_3])",
    ] {
        if !printed.contains(line) {
            return Err(format!("no {line} in\n{printed}").into());
        }
    }
    Ok(())
}

pub(crate) fn pinned_size() -> Result<(), Failed> {
    let options = Options { dims: vec![("past".into(), 4)], random_weights: Some(1), ..Options::default() };
    let printed = reread(&crate::folder("tests/data/graph/state"), &options)?;
    if printed.contains("assert past == 4") { Ok(()) } else { Err(printed.into()) }
}

/// Names that passes gave do not mix up tensors: all the same, numbers in another order, marks of the language.
pub(crate) fn made_constants() -> Result<(), Failed> {
    let options = Options { random_weights: Some(7), ..Options::default() };
    let path = crate::folder("tests/data/graph/families.mdl");
    let names: [fn(usize) -> String; 4] =
        [|_| "w".into(), |i| format!("w.{}", 99 - i % 3), |i| format!("/{{i}}.{i}"), |i| format!("w.{i}")];
    for name in names {
        let (mut graph, sources) = graph(&path, &options)?;
        let all: Vec<_> = graph.constants.keys().collect();
        all.into_iter().enumerate().for_each(|(i, id)| graph.constants[id].name = name(i));
        reread_graph(&graph, &sources)?;
    }
    Ok(())
}
