//! `mlc new`: a folder with a small model that checks and runs.
//!
//! Invariant: writes into a folder that it made itself, never into one that was there.

use super::output;
use crate::diag::SourceMap;
use crate::frontend::{self, Options};
use crate::graph::ConstantData;
use anyhow::{Context, Result, ensure};
use mlc_runtime::npz::write_npy;
use mlc_runtime::tensor::Tensor;
use mlc_runtime::weights::write_safetensors;
use std::fs;
use std::path::PathBuf;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The folder to make; its last part names the model.
    #[arg(value_name = "NAME")]
    folder: PathBuf,
}

const MODEL: &str = include_str!("new/model.mdl");
const README: &str = include_str!("new/README.md");
/// Weights are drawn, not trained; always the same.
const SEED: u64 = 1;

/// Makes the folder.
pub(super) fn run(args: &Args) -> Result<bool> {
    let shown = args.folder.display();
    let name = args.folder.file_name().and_then(|name| name.to_str()).context("a model needs a name")?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let named = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(word);
    ensure!(named, "`{name}` names no model: it takes letters, digits, `_` and `-`, a letter first");
    ensure!(!args.folder.exists(), "`{shown}` is already there; nothing was changed");

    let text = filled(MODEL, name);
    let tensors = drawn(name, &text)?;
    let x = Tensor::from_f32([2, 4], [0.1, 0.2, 0.3, 0.4, 4.0, -3.0, 2.0, -1.0])?;
    fs::create_dir(&args.folder).with_context(|| format!("cannot make `{shown}`"))?;
    for (file, text) in [(format!("{name}.mdl"), text), ("README.md".into(), filled(README, name))] {
        fs::write(args.folder.join(&file), text).with_context(|| format!("cannot write `{file}`"))?;
    }
    write_safetensors(&args.folder.join(format!("{name}.safetensors")), &tensors)?;
    write_npy(args.folder.join("x.npy"), &x)?;
    output::note(&format!("{shown}: {name}.mdl, {name}.safetensors, x.npy, README.md"));
    output::note(&format!("next: cd {shown} && mlc run {name}.mdl -i x=@x.npy"));
    Ok(true)
}

fn filled(template: &str, name: &str) -> String {
    template.replace("NAME", name).replace("Model", &camel(name))
}

/// `my-net` as `MyNet`.
fn camel(name: &str) -> String {
    let parts = name.split(['-', '_']).filter(|part| !part.is_empty());
    parts.map(|part| part[..1].to_ascii_uppercase() + &part[1..]).collect()
}

/// The weights that the model asks for.
fn drawn(name: &str, text: &str) -> Result<Vec<(String, Tensor)>> {
    let mut sources = SourceMap::default();
    let file = sources.add(format!("{name}.mdl"), text);
    let options = Options { random_weights: Some(SEED), ..Options::default() };
    let graph = frontend::check(&mut sources, file, &options).graph.context("a bug in mlc: its model is wrong")?;
    let tensor = |constant: &crate::graph::Constant| match &constant.data {
        ConstantData::Tensor(tensor) => Some((constant.name.clone(), tensor.clone())),
        ConstantData::Weight(_) => None,
    };
    Ok(graph.constants.values().filter_map(tensor).collect())
}

#[cfg(test)]
mod tests {
    use super::{MODEL, camel, drawn, filled};

    #[test]
    fn names_become_words() {
        assert_eq!(["net", "my-net", "a_b2--c"].map(camel), ["Net", "MyNet", "AB2C"]);
    }

    #[test]
    fn the_weights_have_the_keys_of_the_model() {
        let tensors = drawn("net", &filled(MODEL, "net")).expect("the template is right");
        let shapes: Vec<_> = tensors.iter().map(|(key, tensor)| (key.as_str(), tensor.shape().to_vec())).collect();
        let expected =
            [("fc1.weight", vec![8, 4]), ("fc1.bias", vec![8]), ("fc2.weight", vec![3, 8]), ("fc2.bias", vec![3])];
        assert_eq!(shapes, expected);
    }
}
