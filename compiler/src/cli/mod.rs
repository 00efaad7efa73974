//! The command line: one file for each verb.
//!
//! Invariant: stdout carries data, stderr messages. Exit codes: 0 ok, 1 the input said no, 2 usage, 101 a bug of mlc, 130
//! interrupted.

mod bench;
mod build;
mod check;
mod compare;
mod completions;
mod crash;
mod dataset;
mod emit;
mod emit_code;
mod eval;
mod explain;
mod explain_model;
mod export;
mod failure;
mod fix;
mod flags;
mod fmt;
mod host;
mod import;
mod inputs;
mod inspect;
mod inspect_model;
mod load;
mod markdown;
mod measure;
mod metric;
mod new;
mod ops;
mod output;
mod passes;
mod phases;
mod profile;
mod progress;
mod roofline;
mod run;
mod runner;
mod source;
mod targets;
mod verify;
mod version;

pub use crash::install as report_bugs;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// What the exit code of a command says.
const EXIT_CODES: [(u8, &str); 5] = [
    (0, "done"),
    (1, "the model, a file, the data, a comparison or the device said no"),
    (2, "the command line is not one"),
    (101, "a bug of mlc: the message names a file that holds what it takes to find it"),
    (130, "interrupted; what was not finished is gone"),
];

fn exit_codes() -> String {
    let lines: Vec<String> = EXIT_CODES.iter().map(|(code, says)| format!("  {code:<3}  {says}")).collect();
    format!("Exit codes:\n{}", lines.join("\n"))
}

/// A compiler for neural networks.
#[derive(Debug, Parser)]
#[command(name = "mlc", arg_required_else_help = true, after_help = exit_codes())]
struct Cli {
    /// How diagnostics are shown.
    #[arg(long, global = true, value_enum, default_value_t = output::MessageFormat::Human)]
    message_format: output::MessageFormat,
    /// Prints the version.
    #[arg(short = 'V', long)]
    version: bool,
    /// Prints the chapter of the book about the command line.
    #[arg(long)]
    markdown: bool,
    #[command(flatten)]
    talk: flags::TalkArgs,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Measures how fast a model starts and runs, and what it takes.
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
    /// Explains a code of a message, or which kernels a model becomes.
    Explain(explain::Args),
    /// Writes a model in another format: ONNX.
    Export(export::Args),
    /// Applies the fixes that need no person.
    Fix(fix::Args),
    /// Formats model files.
    Fmt(fmt::Args),
    /// Makes a `.mdl` file and its weights of an ONNX model.
    Import(import::Args),
    /// Says what a `.mlc` or a weight file holds.
    Inspect(inspect::Args),
    /// Makes a folder with a small model that checks and runs.
    New(new::Args),
    /// Lists the operators.
    Ops(ops::Args),
    /// Lists the passes.
    Passes(passes::Args),
    /// Says where the time of a call goes, kernel by kernel.
    Profile(profile::Args),
    /// Runs a model once.
    Run(run::Args),
    /// Says what code can be made for, and what runs here.
    Targets(targets::Args),
    /// Checks a `.mlc` file whole, and what it computes.
    Verify(verify::Args),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    crash::install();
    let cli = Cli::parse();
    cli.talk.apply();
    let Some(verb) = cli.verb else {
        if cli.markdown {
            output::data(&markdown::chapter(Cli::command()));
            return ExitCode::SUCCESS;
        }
        if cli.version {
            version::print(cli.talk.verbose);
            return ExitCode::SUCCESS;
        }
        Cli::command().error(ErrorKind::MissingSubcommand, "a command is missing; `mlc --help` lists them").exit();
    };
    let format = cli.message_format;
    let result = match verb {
        Verb::Bench(args) => bench::run(&args, format),
        Verb::Build(args) => build::run(&args, format),
        Verb::Compare(args) => compare::run(&args, format),
        Verb::Completions(args) => completions::run(&args),
        Verb::Eval(args) => eval::run(&args, format),
        Verb::Explain(args) => explain::run(&args, format),
        Verb::Export(args) => export::run(&args, format),
        Verb::New(args) => new::run(&args),
        Verb::Ops(args) => ops::run(&args),
        Verb::Passes(args) => passes::run(&args),
        Verb::Profile(args) => profile::run(&args, format),
        Verb::Run(mut args) => run::run(&mut args, format),
        Verb::Check(args) => check::run(&args, format),
        Verb::Fix(args) => fix::run(&args, format),
        Verb::Fmt(args) => fmt::run(&args, format),
        Verb::Import(args) => import::run(&args),
        Verb::Inspect(args) => inspect::run(&args),
        Verb::Targets(args) => targets::run(&args),
        Verb::Verify(args) => verify::run(&args),
    };
    match result.and_then(|fine| output::require_written().map(|()| fine)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            failure::show(&error, format);
            ExitCode::from(1)
        }
    }
}
