//! `mlc ops`: every operator, from the table.

use super::output;
use crate::ops::{OpKind, Signature};
use anyhow::Result;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this operator, with its documentation.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// The chapter of the book: every operator, as Markdown.
    #[arg(long, conflicts_with = "name")]
    markdown: bool,
}

const INTRODUCTION: &str = "\
# Operators

This chapter is what `mlc ops --markdown` prints. Arguments in front of the first default are required; `: dim` takes a
number, a dim or a size, `: int` a number that is known when the model is compiled. An axis may count from the end. Each
example stands where `x: f32[2, 3, 4]` and what else it names are declared.
";

/// Prints signatures, or one operator's page.
pub(super) fn run(args: &Args) -> Result<bool> {
    if args.markdown {
        let entries = OpKind::ALL.iter().map(|op| entry(op.op().signature()));
        output::data(&entries.fold(INTRODUCTION.to_owned(), |page, entry| page + "\n" + &entry));
        return Ok(true);
    }
    let Some(name) = &args.name else {
        let lines: Vec<String> = OpKind::ALL.iter().map(|op| format!("{}\n", op.op().signature().show())).collect();
        output::data(&lines.concat());
        return Ok(true);
    };
    let Some(op) = OpKind::by_name(name) else {
        anyhow::bail!("there is no operator `{name}`; `mlc ops` lists all");
    };
    let signature = op.op().signature();
    output::data(&format!(
        "{}\n  gives {}\n\n{}\n\n  {}\n",
        signature.show(),
        signature.result,
        signature.doc,
        signature.example
    ));
    Ok(true)
}

/// One operator in the book.
fn entry(signature: &Signature) -> String {
    let Signature { name, result, doc, example, .. } = signature;
    let shown = signature.show();
    format!("## {name}\n\n```text\n{shown}\n```\n\n{doc}\n\nGives {result}.\n\n```mdl,line\n{example}\n```\n")
}
