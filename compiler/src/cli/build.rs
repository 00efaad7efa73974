//! `mlc build`: a model and its weights as one `.mlc` file, and the forms in between.

use super::emit::{self, Emit};
use super::emit_code::{self, TargetArgs};
use super::failure::Failure;
use super::flags::OpenArgs;
use super::load;
use super::output::{self, MessageFormat};
use super::phases::{self, Phases};
use super::source::ModelArgs;
use crate::graph::Graph;
use crate::report;
use anyhow::Result;
use mlc_codegen::base::Interval;
use mlc_codegen::kernel::Plan;
use mlc_runtime::session::{JitError, check_model, human};
use std::path::PathBuf;
use std::time::Instant;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A model file; for --emit kernels, clif, asm and obj also a `.mlc`.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where to write; the model's name with `.mlc` when left out.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Writes a form of the model to PATH, or to standard output; without -o nothing else is written. May be repeated.
    #[arg(long, value_name = "KIND[=PATH]", value_parser = emit::Parser)]
    emit: Vec<Emit>,
    /// Prints the graph as it is after a pass, or as it was checked: check. May be repeated.
    #[arg(long, value_name = "PASS", value_parser = phases::phase)]
    print_after: Vec<String>,
    /// Writes the graph as it was checked and after each pass, and the kernels, into a folder.
    #[arg(long, value_name = "DIR")]
    dump_phases: Option<PathBuf>,
    /// Writes what the profile did to the model as a page, and beside it the same as JSON.
    #[arg(long, value_name = "FILE.html", requires = "profile")]
    report: Option<PathBuf>,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    open: OpenArgs,
    #[command(flatten)]
    model: ModelArgs,
}

/// `Ok(true)` when everything was written.
pub(super) fn run(args: &Args, format: MessageFormat) -> Result<bool> {
    let start = Instant::now();
    let (trees, others): (Vec<&Emit>, Vec<&Emit>) = args.emit.iter().partition(|emit| emit.kind == emit::Kind::Ast);
    let (codes, graphs): (Vec<&Emit>, Vec<&Emit>) = others.into_iter().partition(|emit| emit.kind.is_of_kernels());
    if load::is_artifact(&args.file) {
        return of_artifact(args, &codes);
    }
    for tree in &trees {
        if !emit::ast(tree, &args.file, format)? {
            return Ok(false);
        }
    }
    let phases = Phases { printed: &args.print_after, folder: args.dump_phases.as_deref(), file: &args.file };
    let whole = args.emit.is_empty() && phases.is_empty() || args.output.is_some();
    if graphs.is_empty() && codes.is_empty() && phases.is_empty() && !whole {
        return Ok(true);
    }
    let Some(loaded) = load::graph(&args.file, &args.model, format)? else { return Ok(false) };
    if let (Some(path), Some(profile)) = (&args.report, &loaded.profile) {
        output::file(path, &report::compression::page(&profile.report))?;
        output::file(&path.with_extension("json"), &format!("{:#}\n", profile.report))?;
    }
    let mut graph = Graph::clone(&loaded.graph);
    phases.run(&loaded, &mut graph)?;
    for emit in graphs {
        emit::graph(emit, &graph, &args.file)?;
    }
    if !whole && codes.is_empty() && phases.folder.is_none() {
        return Ok(true);
    }
    let artifact = loaded.lowered(&graph)?;
    phases.kernels(&loaded.pipeline, &artifact)?;
    for emit in codes {
        emit_code::code(emit, &artifact, &args.file, &args.target)?;
    }
    if !whole {
        return Ok(true);
    }
    let output = args.output.clone().unwrap_or_else(|| args.file.with_extension("mlc"));
    artifact.write(&output)?;
    let bytes = std::fs::metadata(&output)?.len();
    let kernels = match artifact.plan.kernels.len() {
        1 => "1 kernel".to_owned(),
        count => format!("{count} kernels"),
    };
    let (size, arena, milliseconds) = (human(bytes), arena(&artifact.plan), start.elapsed().as_millis());
    output::note(&format!("{}: {size}, {kernels}, arena {arena}, {milliseconds} ms", output.display()));
    Ok(true)
}

/// Bytes for intermediate values, from the least that a call may need to the most.
fn arena(plan: &Plan) -> String {
    let ranges = plan.entries.iter().map(|entry| plan.slots.range(&entry.arena));
    let whole = ranges.reduce(|a, b| a.zip(b).map(|(a, b)| Interval { lo: a.lo.min(b.lo), hi: a.hi.max(b.hi) }));
    match whole.flatten() {
        Some(Interval { lo, hi }) if lo == hi => human(hi.max(0) as u64),
        Some(Interval { lo, hi }) => format!("{} to {}", human(lo.max(0) as u64), human(hi.max(0) as u64)),
        None => "of any size".to_owned(),
    }
}

/// The kernels of a model that was built before, and their code.
fn of_artifact(args: &Args, codes: &[&Emit]) -> Result<bool> {
    let others = codes.len() < args.emit.len() || args.output.is_some() || args.dump_phases.is_some();
    if others || codes.is_empty() || !args.print_after.is_empty() {
        let file = args.file.display();
        let message =
            format!("`{file}` holds kernels only: it has --emit kernels, clif, asm and obj; name the .mdl file");
        return Err(Failure::new("MDL0604", message).into());
    }
    let artifact = load::open_artifact(&args.file, args.open.artifact(args.model.read))?;
    check_model(&artifact).map_err(JitError::from)?;
    codes.iter().try_for_each(|emit| emit_code::code(emit, &artifact, &args.file, &args.target))?;
    Ok(true)
}
