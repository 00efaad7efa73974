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
mod inputs;
mod inspect;
mod load;
mod metric;
mod ops;
mod output;
mod passes;
mod phases;
mod progress;
mod run;
mod runner;
mod sample;
mod source;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A compiler for neural networks.
#[derive(Debug, Parser)]
#[command(name = "mlc", version, arg_required_else_help = true)]
struct Cli {
    /// How diagnostics are shown.
    #[arg(long, global = true, value_enum, default_value_t = output::MessageFormat::Human)]
    message_format: output::MessageFormat,
    #[command(subcommand)]
    verb: Verb,
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
    /// Lists the operators.
    Ops(ops::Args),
    /// Lists the passes.
    Passes(passes::Args),
    /// Runs a model once.
    Run(run::Args),
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
    let result = match cli.verb {
        Verb::Bench(args) => bench::run(&args, cli.message_format),
        Verb::Build(args) => build::run(&args, cli.message_format),
        Verb::Compare(args) => compare::run(&args, cli.message_format),
        Verb::Completions(args) => completions::run(&args),
        Verb::Eval(args) => eval::run(&args, cli.message_format),
        Verb::Ops(args) => ops::run(&args),
        Verb::Passes(args) => passes::run(&args),
        Verb::Run(args) => run::run(&args, cli.message_format),
        Verb::Check(args) => check::run(&args, cli.message_format),
        Verb::Fix(args) => fix::run(&args, cli.message_format),
        Verb::Fmt(args) => fmt::run(&args, cli.message_format),
        Verb::Inspect(args) => inspect::run(&args),
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
