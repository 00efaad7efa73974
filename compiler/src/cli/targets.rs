//! `mlc targets`: what code can be made for, and what runs here.

use super::output;
use anyhow::Result;
use mlc_runtime::jit::CodeTarget;
use mlc_runtime::session::Cpu;
use target_lexicon::Triple;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Prints devices, levels of the CPU, and triples.
pub(super) fn run(_args: &Args) -> Result<bool> {
    let mut text = String::from("devices\n  cpu         runs here\n  cuda        not in this build\n\ncpu levels\n");
    let native = Cpu::Native.resolved();
    for level in Cpu::ALL.into_iter().filter(|level| *level != Cpu::Native) {
        let here = match level {
            level if level == native => "runs here, native",
            level if level.runs_here() => "runs here",
            _ => "does not run here",
        };
        text += &format!("  {level:11} {:24} {here}\n", instructions(level));
    }
    text += "\nobject files\n";
    for triple in CodeTarget::TRIPLES {
        let here = if triple == Triple::host().to_string() { "this machine" } else { "" };
        text += format!("  {triple:36} {here}").trim_end();
        text += "\n";
    }
    output::data(&text);
    Ok(true)
}

/// What a level adds to the one below it.
fn instructions(level: Cpu) -> &'static str {
    match level {
        Cpu::Native => "all of this machine",
        Cpu::V2 => "SSE4.2",
        Cpu::V3 => "AVX2, FMA",
        Cpu::V4 => "AVX-512 F, BW, DQ, VL",
        Cpu::Generic => "the architecture's first",
    }
}
