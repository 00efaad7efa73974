//! `mlc inspect`: what a file of weights holds, from its headers; a `.mlc` is read in `inspect_model`.

use super::flags::{OpenArgs, ReadArgs};
use super::{inspect_model, load, output};
use anyhow::Result;
use mlc_runtime::weights::{Name, WeightFile};
use serde_json::json;
use std::path::PathBuf;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A .mlc, .safetensors, .index.json, .npz, .npy, .gguf or .pth file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    open: OpenArgs,
}

/// Prints name, storage and shape of each tensor.
pub(super) fn run(args: &Args) -> Result<bool> {
    if load::is_artifact(&args.file) {
        return inspect_model::run(&args.file, args.json, args.open.artifact(args.read));
    }
    let file = WeightFile::open_with(&args.file, args.read.weights())?;
    if args.json {
        let row = |(name, entry): (&str, &mlc_runtime::weights::Entry)| json!({"name": name, "storage": entry.storage.to_string(), "shape": entry.shape});
        let tensors: Vec<_> = file.entries().map(row).collect();
        output::data(&format!("{}\n", json!({"bytes": file.size(), "tensors": tensors})));
        return Ok(true);
    }
    let mut text = String::new();
    for (name, entry) in file.entries() {
        let shape: Vec<String> = entry.shape.iter().map(usize::to_string).collect();
        text += &format!("{:5} {:20} {}\n", entry.storage, format!("[{}]", shape.join(", ")), Name(name.into()));
    }
    text += &format!("{} tensors, {} bytes\n", file.entries().len(), file.size());
    output::data(&text);
    Ok(true)
}
