//! `mlc run`: one call of an entry.

use super::load::{self, RunArgs};
use super::output::{self, MessageFormat};
use super::source::ModelArgs;
use anyhow::{Context, Result, bail};
use mlc_runtime::npz::{read_npy, read_npz, write_npz};
use mlc_runtime::tensor::Tensor;
use std::path::{Path, PathBuf};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A `.mdl` or `.mlc` file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// An input: NAME=@FILE.npy, NAME=@FILE.npz:KEY, or NAME=NUMBER for a size.
    #[arg(short, long = "input", value_name = "NAME=VALUE")]
    inputs: Vec<String>,
    /// Writes the outputs here instead of printing them.
    #[arg(short, long, value_name = "FILE.npz")]
    output: Option<PathBuf>,
    /// Names of the positions of the last axis, one a line: prints the best for each row instead of numbers.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// How many labels for each row.
    #[arg(long, value_name = "N", default_value_t = 1)]
    top: usize,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// `Ok(true)` when the entry ran.
pub(super) fn run(args: &Args, format: MessageFormat) -> Result<bool> {
    let (mut tensors, mut sizes) = (Vec::new(), Vec::new());
    for input in &args.inputs {
        let (name, value) = input.split_once('=').context("an input is written NAME=VALUE")?;
        match value.strip_prefix('@') {
            Some(place) => tensors.push((name, tensor(place)?)),
            None => {
                let number =
                    value.parse().with_context(|| format!("`{value}` is no number; files are written @FILE"))?;
                sizes.push((name, number));
            }
        }
    }
    let Some(mut runner) = load::runner(&args.file, &args.model, &args.run, format)? else { return Ok(false) };
    let entry = runner.interface(args.run.entry.as_deref())?.entry;
    let inputs: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
    let outputs = runner.run(&entry, &inputs, &sizes)?;
    match (&args.output, &args.labels) {
        (Some(path), _) => write_npz(path, &outputs, false)?,
        (None, Some(labels)) => label(&outputs[0].1, labels, args.top)?,
        (None, None) => outputs.iter().for_each(|(name, tensor)| print(name, tensor)),
    }
    Ok(true)
}

/// `FILE.npy` or `FILE.npz:KEY`.
fn tensor(place: &str) -> Result<Tensor> {
    if place.ends_with(".npy") {
        return Ok(read_npy(place)?);
    }
    let (file, key) = place.rsplit_once(':').context("a tensor of an archive is written @FILE.npz:KEY")?;
    let all = read_npz(file)?;
    let names: Vec<String> = all.iter().map(|(name, _)| format!("`{name}`")).collect();
    match all.into_iter().find(|(name, _)| name == key) {
        Some((_, tensor)) => Ok(tensor),
        None => bail!("`{file}` has no `{key}`; it has {}", names.join(", ")),
    }
}

fn label(tensor: &Tensor, path: &Path, top: usize) -> Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let labels: Vec<&str> = text.lines().collect();
    let width = tensor.shape().last().copied().unwrap_or(1).max(1);
    let values = tensor.to_f64_vec();
    let mut out = String::new();
    for (row, scores) in values.chunks(width).enumerate() {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
        let named = order.iter().take(top).map(|i| format!("{} {:.3}", labels.get(*i).unwrap_or(&"?"), scores[*i]));
        out += &format!("{row}: {}\n", named.collect::<Vec<_>>().join(", "));
    }
    output::data(&out);
    Ok(())
}

/// The head of each output; `-o` keeps all of it.
fn print(name: &str, tensor: &Tensor) {
    const SHOWN: usize = 8;
    let shown: Vec<String> = tensor.iter().take(SHOWN).map(|value| value.to_string()).collect();
    let more = if tensor.len() > SHOWN { ", …" } else { "" };
    output::data(&format!("{name}: {}{:?} = [{}{more}]\n", tensor.dtype(), tensor.shape(), shown.join(", ")));
}
