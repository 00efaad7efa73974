//! `mlc import`: a model of another format as a `.mdl` file and its weights.

use super::failure::Failure;
use super::inputs;
use super::output;
use crate::conversion::{self, Converted};
use anyhow::Result;
use mlc_runtime::tensor::Tensor;
use mlc_runtime::weights::{write_aside, write_safetensors};
use std::path::{Path, PathBuf};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An `.onnx` file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The folder for the model and its weights; that of the file when left out.
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// An input that becomes a number of the model, as shapes need: NAME=12, NAME=i64[2]=[3,4], NAME=@FILE.npy; may be
    /// repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = inputs::bound)]
    bind: Vec<(String, Tensor)>,
}

/// `Ok(true)` when both files are written.
pub(super) fn run(args: &Args) -> Result<bool> {
    if !conversion::is_foreign(&args.file) {
        let message = format!("`{}` is no .onnx file, and mlc imports no other", args.file.display());
        return Err(Failure::new("MDL0801", message).into());
    }
    let Converted { text, weights, tensors } = conversion::onnx(&args.file, &args.bind)?;
    let folder = args.output.as_deref().or(args.file.parent()).unwrap_or(Path::new(""));
    if !folder.as_os_str().is_empty() {
        std::fs::create_dir_all(folder).map_err(|error| Failure::unwritten(folder, &error))?;
    }
    let weights = folder.join(weights);
    if !tensors.is_empty() {
        write_safetensors(&weights, &tensors)?;
    }
    let model = weights.with_extension("mdl");
    write_aside(&model, |out| std::io::Write::write_all(out, text.as_bytes()))
        .map_err(|error| Failure::unwritten(&model, &error))?;
    let beside = if tensors.is_empty() { String::new() } else { format!(" and `{}`", weights.display()) };
    output::message(&format!("wrote `{}`{beside}", model.display()));
    Ok(true)
}
