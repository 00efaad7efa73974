//! `mlc ops`: every operator, from the table.

use super::output;
use crate::ops::OpKind;
use anyhow::Result;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only this operator, with its documentation.
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Prints signatures, or one operator's page.
pub(super) fn run(args: &Args) -> Result<bool> {
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
