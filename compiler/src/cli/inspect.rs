//! `mlc inspect`: what a weight file holds, from its headers.

use super::output;
use anyhow::Result;
use mlc_runtime::weights::{Name, WeightFile};
use serde_json::json;
use std::path::PathBuf;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A .safetensors, .index.json, .npz, .npy, .gguf or .pth file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// Prints name, storage and shape of each tensor.
pub(super) fn run(args: &Args) -> Result<bool> {
    let file = WeightFile::open(&args.file)?;
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
