//! The command line: one file for each verb.
//!
//! Invariant: stdout carries data, stderr messages. Exit codes: 0 ok, 1 the input said no, 2 usage, 3 a budget that is not met, 101 a bug of mlc, 130
//! interrupted.

mod bench;
mod build;
mod check;
mod compare;
mod completions;
mod crash;
mod device;
mod diff;
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
mod later;
mod load;
mod markdown;
mod measure;
mod new;
mod ops;
mod output;
mod passes;
mod phases;
mod profile;
mod progress;
mod roofline;
mod run;
mod source;
mod targets;
mod verify;
mod version;

pub use crash::install as report_bugs;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use later::Later;
use std::process::ExitCode;

/// What the exit code of a command says.
const EXIT_CODES: [(u8, &str); 6] = [
    (0, "done"),
    (1, "the model, a file, the data, a comparison or the device said no"),
    (2, "the command line is not one"),
    (3, "a budget was not met, or could not be decided"),
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
    Bench(Later<bench::Args>),
    /// Compiles a model to a `.mlc` file.
    Build(Later<build::Args>),
    /// Reports every mistake in model files.
    Check(Later<check::Args>),
    /// Compares machine code with the reference, op by op.
    Compare(Later<compare::Args>),
    /// Prints a completion script for a shell.
    Completions(Later<completions::Args>),
    /// Says what tells two compiled models apart.
    Diff(Later<diff::Args>),
    /// Measures a model on data.
    Eval(Later<eval::Args>),
    /// Explains a code of a message, or which kernels a model becomes.
    Explain(Later<explain::Args>),
    /// Writes a model in another format: ONNX.
    Export(Later<export::Args>),
    /// Applies the fixes that need no person.
    Fix(Later<fix::Args>),
    /// Formats model files.
    Fmt(Later<fmt::Args>),
    /// Makes a `.mdl` file and its weights of an ONNX model.
    Import(Later<import::Args>),
    /// Says what a `.mlc` or a weight file holds.
    Inspect(Later<inspect::Args>),
    /// Makes a folder with a small model that checks and runs.
    New(Later<new::Args>),
    /// Lists the operators.
    Ops(Later<ops::Args>),
    /// Lists the passes.
    Passes(Later<passes::Args>),
    /// Says where the time of a call goes, kernel by kernel.
    Profile(Later<profile::Args>),
    /// Runs a model once.
    Run(Later<run::Args>),
    /// Says what code can be made for, and what runs here.
    Targets(Later<targets::Args>),
    /// Checks a `.mlc` file whole, and what it computes.
    Verify(Later<verify::Args>),
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
        Verb::Bench(Later(args)) => bench::run(&args, format),
        Verb::Build(Later(args)) => build::run(&args, format),
        Verb::Compare(Later(args)) => compare::run(&args, format),
        Verb::Completions(Later(args)) => completions::run(&args),
        Verb::Diff(Later(args)) => diff::run(&args),
        Verb::Eval(Later(args)) => eval::run(&args, format),
        Verb::Explain(Later(args)) => explain::run(&args, format),
        Verb::Export(Later(args)) => export::run(&args, format),
        Verb::New(Later(args)) => new::run(&args),
        Verb::Ops(Later(args)) => ops::run(&args),
        Verb::Passes(Later(args)) => passes::run(&args),
        Verb::Profile(Later(args)) => profile::run(&args, format),
        Verb::Run(Later(mut args)) => run::run(&mut args, format),
        Verb::Check(Later(args)) => check::run(&args, format),
        Verb::Fix(Later(args)) => fix::run(&args, format),
        Verb::Fmt(Later(args)) => fmt::run(&args, format),
        Verb::Import(Later(args)) => import::run(&args),
        Verb::Inspect(Later(args)) => inspect::run(&args),
        Verb::Targets(Later(args)) => targets::run(&args),
        Verb::Verify(Later(args)) => verify::run(&args),
    };
    match result.and_then(|fine| output::require_written().map(|()| fine)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            failure::show(&error, format);
            ExitCode::from(failure::exit(&error))
        }
    }
}
