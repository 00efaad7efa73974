//! `mlc eval`: how good a model is on data.

use super::device::Device;
use super::load::{self, RunArgs};
use super::output::{self, MessageFormat};
use super::progress;
use super::source::ModelArgs;
use crate::runner::{Interface, Runner};
use crate::tune::{DataSet, Metric, measured};
use anyhow::Result;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A `.mdl` or `.mlc` file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// An npz or safetensors file: keys named as the entry's inputs hold samples along axis 0; --print-schema says more.
    #[arg(long, value_name = "FILE.npz", required_unless_present = "print_schema")]
    data: Option<PathBuf>,
    /// What is measured.
    #[arg(long, value_enum)]
    metric: Metric,
    /// What agreement is measured with: the reference, or another model.
    #[arg(long, value_name = "reference|FILE", default_value = "reference")]
    against: PathBuf,
    /// Prints what the data set must hold, as JSON, and measures nothing.
    #[arg(long)]
    print_schema: bool,
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
    let interface = runner.interface(args.run.entry.as_deref())?;
    let Some(data) = args.data.as_ref().filter(|_| !args.print_schema) else {
        output::data(&format!("{:#}\n", schema(&interface, args.metric)));
        return Ok(true);
    };
    let mut other = match args.metric {
        Metric::Agreement => match other(args, format)? {
            None => return Ok(false),
            other => other,
        },
        _ => None,
    };
    let data = DataSet::open(data)?;
    let mut bar = progress::samples();
    let tally = measured(&mut runner, &interface, &data, args.metric, other.as_mut(), &mut bar)?;
    drop(bar);
    output::data(&if args.json { format!("{}\n", tally.json()) } else { format!("{}\n", tally.line()) });
    Ok(true)
}

/// What agreement is measured with.
fn other(args: &Args, format: MessageFormat) -> Result<Option<Runner>> {
    let (file, device) = match args.against == Path::new("reference") {
        true => (&args.file, Device::Reference),
        false => (&args.against, Device::Cpu),
    };
    let run = RunArgs { device, ..args.run.clone() };
    load::runner(file, &args.model, &run, format)
}

/// What a data set for this entry and metric holds: element types and dims by key.
fn schema(interface: &Interface, metric: Metric) -> Value {
    let mut keys = Map::new();
    let sides: &[&str] = if metric == Metric::Spearman { &[".a", ".b"] } else { &[""] };
    for port in &interface.inputs {
        sides
            .iter()
            .for_each(|side| drop(keys.insert(format!("{}{side}", port.name), json!(port.show(&interface.slots)))));
    }
    let sizes = interface.sizes.iter().filter(|_| metric != Metric::Perplexity);
    sizes.for_each(|(name, _)| drop(keys.insert(name.clone(), json!("i64"))));
    let output = interface.outputs.first().map_or_else(|| "none".into(), |port| port.show(&interface.slots));
    let target = match metric {
        Metric::Top1 | Metric::Top5 => Some(("labels", json!("i64[n]"))),
        Metric::Mse | Metric::Cosine => Some(("target", json!(output))),
        Metric::Spearman => Some(("score", json!("f32[n]"))),
        Metric::Perplexity | Metric::Agreement => None,
    };
    keys.extend(target.map(|(name, shape)| (name.to_owned(), shape)));
    json!({"entry": interface.entry, "samples": "axis 0", "keys": keys})
}
