//! `mlc completions`: what a shell needs to complete this command line.

use super::output;
use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script.
pub(super) fn run(args: &Args) -> Result<bool> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "mlc", &mut script);
    output::data(&String::from_utf8_lossy(&script));
    Ok(true)
}
