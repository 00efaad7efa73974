//! `mlc export`: a model in another format.

use super::failure::{self, Failure};
use super::load;
use super::output::{self, MessageFormat};
use super::passes;
use super::source::ModelArgs;
use crate::export::ExportError;
use crate::export::onnx::{self, OPSETS};
use crate::graph::{Entry, Graph};
use anyhow::Result;
use mlc_runtime::session::human;
use std::path::PathBuf;

/// What tidies a model before it is written; the others are for mlc's own kernels.
const PASSES: [&str; 4] = ["fold", "canonicalize", "cse", "dce"];

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A model file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where to write; the ending says the format: `.onnx`.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Which entry of a model with several; the first when left out.
    #[arg(long, value_name = "NAME")]
    entry: Option<String>,
    /// The operator set of an ONNX model: 17 or 21.
    #[arg(long, value_name = "NUMBER", default_value_t = OPSETS[0], value_parser = opset)]
    opset: i64,
    #[command(flatten)]
    model: ModelArgs,
}

fn opset(text: &str) -> Result<i64, String> {
    let known = OPSETS.iter().find(|opset| opset.to_string() == text);
    known.copied().ok_or_else(|| format!("`{text}` is not one of the operator sets that mlc writes: 17, 21"))
}

/// `Ok(true)` when the file is written.
pub(super) fn run(args: &Args, format: MessageFormat) -> Result<bool> {
    if !args.output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx")) {
        let message = format!("`{}` names no format that mlc writes: .onnx", args.output.display());
        return Err(Failure::new("MDL0807", message).into());
    }
    load::require_text(&args.file)?;
    let Some(mut loaded) = load::graph(&args.file, &args.model, format)? else { return Ok(false) };
    if !args.model.names_passes() {
        loaded.pipeline.passes =
            PASSES.iter().map(|name| passes::named(name)).collect::<Result<_, _>>().map_err(anyhow::Error::msg)?;
    }
    let mut graph = Graph::clone(&loaded.graph);
    loaded.passed(&mut graph, &mut |_, _| Ok(()))?;
    let entry = entry(&graph, args.entry.as_deref())?;
    match onnx::write(&graph, entry, args.opset, &args.output) {
        Err(ExportError::Uses(uses)) => return Err(failure::unwritable(&uses, &loaded.sources).into()),
        written => written?,
    }
    let bytes = std::fs::metadata(&args.output)?.len();
    let (path, name) = (args.output.display(), &entry.name);
    output::message(&format!("wrote `{path}`: entry `{name}`, operator set {}, {}", args.opset, human(bytes)));
    Ok(true)
}

/// The entry of a name; `None` stands for the first.
fn entry<'g>(graph: &'g Graph, name: Option<&str>) -> Result<&'g Entry, Failure> {
    let found = graph.entries.iter().find(|entry| name.is_none_or(|name| entry.name == name));
    found.ok_or_else(|| {
        let names: Vec<String> = graph.entries.iter().map(|entry| format!("`{}`", entry.name)).collect();
        let message = format!("there is no entry `{}`; entries are {}", name.unwrap_or(""), names.join(", "));
        Failure::new("MDL0707", message)
    })
}
