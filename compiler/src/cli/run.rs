//! `mlc run`: one call of an entry.

use super::failure::Failure;
use super::inputs::{self, Draw, Given};
use super::load::{self, RunArgs};
use super::output::{self, MessageFormat};
use super::source::ModelArgs;
use anyhow::Result;
use mlc_codegen::base::{DType, Scalar};
use mlc_runtime::npz::write_npz;
use mlc_runtime::tensor::Tensor;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A `.mdl`, `.onnx` or `.mlc` file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// An input: NAME=@FILE.npy, NAME=@FILE.npz:KEY, NAME=f32[1,3]=[1,2,3], NAME=NUMBER for a size or a scalar,
    /// NAME=random or NAME=random:SEED.
    #[arg(short, long = "input", value_name = "NAME=VALUE", value_parser = inputs::given)]
    inputs: Vec<Given>,
    /// Writes the outputs here instead of printing them.
    #[arg(short, long, value_name = "FILE.npz")]
    output: Option<PathBuf>,
    /// Names of the positions of the last axis, one a line: prints the best for each row instead of numbers.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    labels: Option<PathBuf>,
    /// How many labels for each row.
    #[arg(long, value_name = "N", default_value_t = 1, requires = "labels")]
    top: usize,
    /// Refuses outputs that hold NaN or an infinity.
    #[arg(long)]
    check_finite: bool,
    /// Prints the outputs whole, as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// `Ok(true)` when the entry ran.
pub(super) fn run(args: &mut Args, format: MessageFormat) -> Result<bool> {
    args.model.offered = inputs::offered(&args.inputs);
    let Some(mut runner) = load::runner(&args.file, &args.model, &args.run, format)? else { return Ok(false) };
    let interface = runner.interface(args.run.entry.as_deref())?;
    let free = inputs::without(&args.inputs, &args.model.bound.borrow());
    let (given, _) = inputs::resolve(&free, &interface, args.model.dims(), &args.file, Draw::given(args.model.seed()))?;
    let outputs = runner.run(&interface.entry, &given)?;
    if args.check_finite {
        outputs.iter().try_for_each(|(name, tensor)| finite(name, tensor))?;
    }
    if let Some(path) = &args.output {
        write_npz(path, &outputs, false)?;
    }
    match &args.labels {
        Some(labels) => label(&outputs[0], labels, args.top)?,
        None if args.json => output::data(&format!("{}\n", whole(&outputs))),
        None if args.output.is_some() => {}
        None => outputs.iter().for_each(|(name, tensor)| print(name, tensor)),
    }
    Ok(true)
}

/// The first element that is no finite number.
fn finite(name: &str, tensor: &Tensor) -> Result<()> {
    let found = tensor.iter().position(|value| !value.as_f64().is_finite());
    let Some(at) = found else { return Ok(()) };
    let place = position(tensor.shape(), at);
    let message = format!("output `{name}` is {} at {place:?}, and --check-finite was asked for", tensor.get(at));
    Err(Failure::new("MDL0710", message).into())
}

/// The position of element `at` in row-major order.
pub(super) fn position(shape: &[usize], mut at: usize) -> Vec<usize> {
    let mut place = vec![0; shape.len()];
    for (place, extent) in place.iter_mut().zip(shape).rev() {
        *place = at % extent;
        at /= extent;
    }
    place
}

fn label((name, tensor): &(String, Tensor), path: &Path, top: usize) -> Result<()> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::unread(path, &error))?;
    let labels: Vec<&str> = text.lines().collect();
    let width = tensor.shape().last().copied().unwrap_or(1).max(1);
    if labels.len() < width {
        let (path, lines) = (path.display(), labels.len());
        let message = format!("`{path}` has {lines} lines, and the last axis of `{name}` has {width} positions");
        return Err(Failure::new("MDL0711", message).into());
    }
    let values = tensor.to_f64_vec();
    let mut out = String::new();
    for (row, scores) in values.chunks(width).enumerate() {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
        let named = order.iter().take(top).map(|i| format!("{} {:.3}", labels[*i], scores[*i]));
        out += &format!("{row}: {}\n", named.collect::<Vec<_>>().join(", "));
    }
    output::data(&out);
    Ok(())
}

/// `{"out": {"dtype": "f32", "shape": [2], "data": [0.5, "nan"]}}`: numbers that JSON lacks are words.
fn whole(outputs: &[(String, Tensor)]) -> Value {
    let element = |dtype: DType, value: Scalar| match value {
        Scalar::Bool(value) => json!(value),
        // A narrower float prints as the shortest number that reads back as it.
        Scalar::F32(value) if value.is_finite() => json!(value.to_string().parse::<f64>().unwrap_or(f64::from(value))),
        other if !dtype.is_float() => json!(other.as_i64()),
        other if other.as_f64().is_finite() => json!(other.as_f64()),
        other => json!(other.as_f64().to_string().to_lowercase()),
    };
    let all = outputs.iter().map(|(name, tensor)| {
        let data: Vec<Value> = tensor.iter().map(|value| element(tensor.dtype(), value)).collect();
        (name.clone(), json!({"dtype": tensor.dtype().name(), "shape": tensor.shape(), "data": data}))
    });
    Value::Object(all.collect())
}

/// The head of each output; `-o` keeps all of it.
fn print(name: &str, tensor: &Tensor) {
    const SHOWN: usize = 8;
    let shown: Vec<String> = tensor.iter().take(SHOWN).map(|value| value.to_string()).collect();
    let more = if tensor.len() > SHOWN { ", …" } else { "" };
    output::data(&format!("{name}: {}{:?} = [{}{more}]\n", tensor.dtype(), tensor.shape(), shown.join(", ")));
}
