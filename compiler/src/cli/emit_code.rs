//! `--emit kernels|clif|asm|obj`: what a model's kernels are, and the code that they become.

use super::emit::{Emit, Kind};
use super::flags::CpuArgs;
use super::output::plain;
use anyhow::Result;
use mlc_runtime::artifact::Artifact;
use mlc_runtime::jit::{CodeTarget, FunctionListing, KernelListing, listing, object};
use std::path::Path;

/// What code is made for.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct TargetArgs {
    /// The machine that --emit clif, asm and obj are for, as `mlc targets` lists them; this one when left out.
    #[arg(long, value_name = "TRIPLE")]
    target: Option<String>,
    #[command(flatten)]
    cpu: CpuArgs,
}

impl TargetArgs {
    fn code(&self) -> CodeTarget {
        CodeTarget { triple: self.target.clone(), cpu: self.cpu.cpu }
    }
}

/// Shows the kernels of a model, or their code.
pub(super) fn code(emit: &Emit, artifact: &Artifact, file: &Path, target: &TargetArgs) -> Result<()> {
    let kernels = &artifact.plan.kernels;
    let listed = || listing(kernels, &target.code());
    let put = |text: String| emit.put(plain(&text).as_bytes());
    match emit.kind {
        Kind::Kernels => put(artifact.plan.to_string()),
        Kind::Clif => put(listed()?.iter().map(clif).collect()),
        Kind::Asm => put(listed()?.iter().map(asm).collect()),
        Kind::Obj => {
            let name = file.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy());
            emit.put(&object(kernels, &name, &target.code())?)
        }
        Kind::Ast | Kind::Graph | Kind::Dot => unreachable!("they are shown before there are kernels"),
    }
}

fn clif(kernel: &KernelListing) -> String {
    let function = |function: &FunctionListing| {
        let text = function.clif.as_deref().unwrap_or("; made without Cranelift: see --emit asm\n");
        format!("; {}\n{text}\n", function.symbol)
    };
    heading(kernel) + &kernel.functions.iter().map(function).collect::<String>()
}

fn asm(kernel: &KernelListing) -> String {
    let function = |function: &FunctionListing| {
        format!("{}:  ; {} bytes\n{}\n", function.symbol, function.code.len(), function.asm)
    };
    heading(kernel) + &kernel.functions.iter().map(function).collect::<String>()
}

fn heading(kernel: &KernelListing) -> String {
    format!("; kernel \"{}\", lowered as {}\n\n", kernel.name, kernel.path)
}
