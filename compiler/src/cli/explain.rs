//! `mlc explain`: the page of a code, or the kernels of a model.

use super::explain_model::{self, ModelArguments};
use super::output::{self, MessageFormat};
use crate::report::{PAGES, near, page};
use anyhow::Result;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A code as messages show it, such as MDL0301 or 301, or a model file; all codes are listed when left out.
    #[arg(value_name = "CODE|FILE")]
    subject: Option<String>,
    #[command(flatten)]
    model: ModelArguments,
}

/// Prints a page, or a line for each, or what the kernels of a model are.
pub(super) fn run(args: &Args, format: MessageFormat) -> Result<bool> {
    let Some(subject) = &args.subject else {
        let lines: Vec<String> = PAGES.iter().map(|page| format!("{}  {}\n", page.code, page.title())).collect();
        output::data(&lines.concat());
        return Ok(true);
    };
    if explain_model::is_model(subject) {
        return explain_model::run(subject.as_ref(), &args.model, format);
    }
    match page(subject) {
        Some(page) => {
            output::data(&page.plain());
            Ok(true)
        }
        None => {
            let meant = match near(subject).as_slice() {
                [] => String::new(),
                near => format!("; did you mean {}?", near.join(" or ")),
            };
            anyhow::bail!("there is no code `{subject}`{meant} (`mlc explain` lists all)");
        }
    }
}
