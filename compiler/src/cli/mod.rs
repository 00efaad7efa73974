//! The command line: one file for each verb.
//!
//! Invariant: stdout carries data, stderr messages. Exit codes: 0 ok, 1 the input said no, 2 usage.

mod bench;
mod build;
mod check;
mod compare;
mod completions;
mod dataset;
mod emit;
mod eval;
mod failure;
mod fix;
mod fmt;
mod host;
mod inputs;
mod inspect;
mod load;
mod metric;
mod new;
mod ops;
mod output;
mod passes;
mod phases;
mod progress;
mod run;
mod runner;
mod source;
mod targets;
mod version;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// A compiler for neural networks.
#[derive(Debug, Parser)]
#[command(name = "mlc", arg_required_else_help = true)]
struct Cli {
    /// How diagnostics are shown.
    #[arg(long, global = true, value_enum, default_value_t = output::MessageFormat::Human)]
    message_format: output::MessageFormat,
    /// Prints the version.
    #[arg(short = 'V', long)]
    version: bool,
    /// With --version: also what this program was made for and what the machine offers.
    #[arg(long, requires = "version")]
    verbose: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Measures how fast a model starts and runs.
    Bench(bench::Args),
    /// Compiles a model to a `.mlc` file.
    Build(build::Args),
    /// Reports every mistake in model files.
    Check(check::Args),
    /// Compares machine code with the reference, op by op.
    Compare(compare::Args),
    /// Prints a completion script for a shell.
    Completions(completions::Args),
    /// Measures a model on data.
    Eval(eval::Args),
    /// Applies the fixes that need no person.
    Fix(fix::Args),
    /// Formats model files.
    Fmt(fmt::Args),
    /// Lists the tensors of a weight file from its headers.
    Inspect(inspect::Args),
    /// Makes a folder with a small model that checks and runs.
    New(new::Args),
    /// Lists the operators.
    Ops(ops::Args),
    /// Lists the passes.
    Passes(passes::Args),
    /// Runs a model once.
    Run(run::Args),
    /// Says what code can be made for, and what runs here.
    Targets(targets::Args),
}

/// An error and its causes, but for those that an error before them quotes.
fn causes(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |told, cause| match cause.to_string() {
        cause if told.contains(&cause) => told,
        cause if told.is_empty() => cause,
        cause => format!("{told}: {cause}"),
    })
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let Some(verb) = cli.verb else {
        if cli.version {
            version::print(cli.verbose);
            return ExitCode::SUCCESS;
        }
        Cli::command().error(ErrorKind::MissingSubcommand, "a command is missing; `mlc --help` lists them").exit();
    };
    let result = match verb {
        Verb::Bench(args) => bench::run(&args, cli.message_format),
        Verb::Build(args) => build::run(&args, cli.message_format),
        Verb::Compare(args) => compare::run(&args, cli.message_format),
        Verb::Completions(args) => completions::run(&args),
        Verb::Eval(args) => eval::run(&args, cli.message_format),
        Verb::New(args) => new::run(&args),
        Verb::Ops(args) => ops::run(&args),
        Verb::Passes(args) => passes::run(&args),
        Verb::Run(args) => run::run(&args, cli.message_format),
        Verb::Check(args) => check::run(&args, cli.message_format),
        Verb::Fix(args) => fix::run(&args, cli.message_format),
        Verb::Fmt(args) => fmt::run(&args, cli.message_format),
        Verb::Inspect(args) => inspect::run(&args),
        Verb::Targets(args) => targets::run(&args),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            output::message(&format!("error: {}", causes(&error)));
            ExitCode::from(1)
        }
    }
}
