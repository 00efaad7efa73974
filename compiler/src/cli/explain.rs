//! `mlc explain`: the page of a code.

use super::output;
use crate::report::{PAGES, near, page};
use anyhow::Result;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A code as messages show it, such as MDL0301 or 301; all codes are listed when left out.
    #[arg(value_name = "CODE")]
    subject: Option<String>,
}

/// Prints a page, or a line for each.
pub(super) fn run(args: &Args) -> Result<bool> {
    let Some(code) = &args.subject else {
        let lines: Vec<String> = PAGES.iter().map(|page| format!("{}  {}\n", page.code, page.title())).collect();
        output::data(&lines.concat());
        return Ok(true);
    };
    match page(code) {
        Some(page) => {
            output::data(&page.plain());
            Ok(true)
        }
        None => {
            let meant = match near(code).as_slice() {
                [] => String::new(),
                near => format!("; did you mean {}?", near.join(" or ")),
            };
            anyhow::bail!("there is no code `{code}`{meant} (`mlc explain` lists all)");
        }
    }
}
