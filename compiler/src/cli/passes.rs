//! `mlc passes`: every pass, from the table.

use super::output;
use crate::passes::{PASSES, Pass};
use anyhow::Result;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this pass, with all that is said of it.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// The chapter of the book: every pass, as Markdown.
    #[arg(long, conflicts_with = "name")]
    markdown: bool,
}

const INTRODUCTION: &str = "\
# Passes

This chapter is what `mlc passes --markdown` prints. A pass makes the graph of a model smaller or faster before kernels are
made of it, and keeps what it computes. `--passes LIST` chooses which run and in which order, `--passes none` runs none.
`--print-after PASS` and `--dump-phases DIR` show the graph between them, as a model that runs.

";

/// Prints names with their first sentences and the usual order, or one pass's page.
pub(super) fn run(args: &Args) -> Result<bool> {
    if args.markdown {
        output::data(&chapter());
        return Ok(true);
    }
    if let Some(name) = &args.name {
        let pass = named(name).map_err(anyhow::Error::msg)?;
        output::data(&format!("{}\n\n{}\n", pass.name, pass.doc));
        return Ok(true);
    }
    let first = |doc: &'static str| doc.split_inclusive(". ").next().unwrap_or(doc).trim_end();
    let lines: Vec<String> = PASSES.iter().map(|pass| format!("{:14} {}\n", pass.name, first(pass.doc))).collect();
    output::data(&format!("{}\nwithout --passes: {}\n", lines.concat(), crate::PIPELINE.join(",")));
    Ok(true)
}

/// Every pass in the book, in the usual order, then those that only run when they are named.
fn chapter() -> String {
    let usual = |pass: &Pass| crate::PIPELINE.iter().position(|name| *name == pass.name);
    let mut passes: Vec<&Pass> = PASSES.iter().collect();
    passes.sort_by_key(|pass| usual(pass).unwrap_or(usize::MAX));
    let mut page = format!("{INTRODUCTION}The usual order is `{}`.\n", crate::PIPELINE.join(","));
    for pass in passes {
        let unusual = if usual(pass).is_none() { "It runs only where `--passes` names it.\n\n" } else { "" };
        page += &format!("\n## {}\n\n{unusual}{}\n", pass.name, pass.doc);
    }
    page
}

/// The pass of a name, or what to say when there is none.
pub(super) fn named(name: &str) -> Result<&'static Pass, String> {
    const NEAR: usize = 3;
    Pass::by_name(name).ok_or_else(|| {
        let distance = |pass: &&Pass| strsim::damerau_levenshtein(pass.name, name);
        let near = PASSES.iter().min_by_key(distance).filter(|pass| distance(pass) <= NEAR);
        let near = near.map_or(String::new(), |pass| format!("did you mean `{}`? ", pass.name));
        format!("there is no pass `{name}`; {near}`mlc passes` lists all")
    })
}
