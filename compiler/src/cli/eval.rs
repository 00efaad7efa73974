//! `mlc eval`: how good a model is on data.

use super::load::{self, RunArgs};
use super::output::{self, MessageFormat};
use super::source::ModelArgs;
use anyhow::{Result, bail, ensure};
use clap::ValueEnum;
use mlc_runtime::npz::read_npz;
use mlc_runtime::tensor::Tensor;
use serde_json::json;
use std::path::PathBuf;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Metric {
    /// The share of rows whose greatest score is the label's.
    Top1,
    /// The share of rows whose five greatest scores hold the label's.
    Top5,
}

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A `.mdl` or `.mlc` file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// An npz file: keys named as the entry's inputs hold samples along axis 0, `labels` the right classes.
    #[arg(long, value_name = "FILE.npz")]
    data: PathBuf,
    /// What is measured.
    #[arg(long, value_enum)]
    metric: Metric,
    /// One JSON object instead of a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// `Ok(true)` when the data could be measured.
pub(super) fn run(args: &Args, format: MessageFormat) -> Result<bool> {
    let Some(mut runner) = load::runner(&args.file, &args.model, &args.run, format)? else { return Ok(false) };
    let data = read_npz(&args.data)?;
    let entry = runner.interface(args.run.entry.as_deref())?;
    let names: Vec<String> = data.iter().map(|(name, _)| format!("`{name}`")).collect();
    let find = |key: &str| match data.iter().find(|(name, _)| name == key) {
        Some((_, tensor)) => Ok(tensor),
        None => bail!("MDL0705: `{}` has no `{key}`; it has {}", args.data.display(), names.join(", ")),
    };
    let inputs: Vec<(&str, &Tensor)> =
        entry.inputs.iter().map(|port| Ok((port.name.as_str(), find(&port.name)?))).collect::<Result<_>>()?;
    let labels = find("labels")?;
    let outputs = runner.run(&entry.entry, &inputs, &[])?;
    let (right, all) = count(&outputs[0].1, labels, args.metric)?;
    let (word, share) = (format!("{:?}", args.metric).to_lowercase(), right as f64 / all.max(1) as f64);
    output::data(&match args.json {
        true => format!("{}\n", json!({"metric": word, "value": share, "right": right, "samples": all})),
        false => format!("{word} {:.2} % ({right} of {all})\n", share * 100.0),
    });
    Ok(true)
}

fn count(scores: &Tensor, labels: &Tensor, metric: Metric) -> Result<(usize, usize)> {
    let shape = scores.shape();
    ensure!(shape.len() == 2, "MDL0705: the metric needs scores [n, classes], the entry gives {shape:?}");
    ensure!(
        labels.shape() == [shape[0]] && labels.dtype().is_integer(),
        "MDL0705: `labels` must be integers of shape [{}], found {} of {:?}",
        shape[0],
        labels.dtype(),
        labels.shape()
    );
    let kept = if metric == Metric::Top1 { 1 } else { 5 };
    let values = scores.to_f64_vec();
    let right = (0..shape[0]).filter(|row| {
        let scores = &values[row * shape[1]..][..shape[1]];
        let label = labels.get(*row).as_i64();
        let better = |own: f64| scores.iter().filter(|s| **s > own).count();
        usize::try_from(label).ok().and_then(|i| scores.get(i)).is_some_and(|own| better(*own) < kept)
    });
    Ok((right.count(), shape[0]))
}
