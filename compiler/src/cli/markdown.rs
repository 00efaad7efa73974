//! `mlc --markdown`: the chapter of the book about the command line, from what clap knows of it.
//!
//! Invariant: verbs, arguments, values and defaults are clap's; only what clap does not know is said here.

use super::EXIT_CODES;
use clap::{Arg, Command};
use std::fmt::Write;

const INTRODUCTION: &str = "\
# The command line

This chapter is what `mlc --markdown` prints, from the same declarations that `--help` and the completion scripts are made
of.

Results go to standard output, also diagnostics as JSON; all messages go to standard error. Colours and progress bars are
for terminals.

| environment | does |
|---|---|
| `NO_COLOR` | no colours, unless it is empty or `0` |
| `CLICOLOR_FORCE` | colours also where messages do not go to a terminal |
| `COLUMNS` | how wide diagnostics may be |
";

/// The chapter.
pub(super) fn chapter(mut program: Command) -> String {
    program.build();
    let mut page = INTRODUCTION.to_owned();
    page += "\n| exit code | says |\n|---|---|\n";
    EXIT_CODES.iter().for_each(|(code, says)| page += &format!("| {code} | {says} |\n"));
    let own = program.get_arguments().filter(|arg| !arg.is_global_set() && shown(arg));
    let _ = writeln!(page, "\n## mlc\n\n```text\nmlc [OPTIONS] COMMAND\n```\n\nWithout a command:\n");
    own.for_each(|arg| page += &line(arg));
    let _ = writeln!(page, "\nWith every command:\n");
    program.get_arguments().filter(|arg| arg.is_global_set()).for_each(|arg| page += &line(arg));
    for verb in program.get_subcommands_mut().filter(|verb| verb.get_name() != "help") {
        let usage = verb.render_usage().to_string();
        let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage);
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(page, "\n## mlc {}\n\n{}\n\n```text\n{usage}\n```", verb.get_name(), sentence(&about));
        let (places, flags): (Vec<&Arg>, Vec<&Arg>) =
            verb.get_arguments().filter(|arg| !arg.is_global_set() && shown(arg)).partition(|arg| arg.is_positional());
        if !places.is_empty() || !flags.is_empty() {
            page.push('\n');
        }
        places.into_iter().chain(flags).for_each(|arg| page += &line(arg));
    }
    page
}

fn shown(arg: &Arg) -> bool {
    !arg.is_hide_set() && arg.get_id() != "help"
}

/// ``- `-o`, `--output <FILE>`: where to write.``
fn line(arg: &Arg) -> String {
    let values: String = match arg.get_action().takes_values() {
        true => {
            let names = arg.get_value_names().unwrap_or_default().iter();
            names.map(|name| format!("<{name}>")).collect::<Vec<_>>().join(" ")
        }
        false => String::new(),
    };
    let words = [arg.get_short().map(|short| format!("-{short}")), arg.get_long().map(|long| format!("--{long}"))];
    let mut words: Vec<String> = words.into_iter().flatten().collect();
    match words.last_mut() {
        Some(last) if !values.is_empty() => *last += &format!(" {values}"),
        Some(_) => {}
        None => words.push(values),
    }
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let mut text = format!("- {}: {}", words.join(", "), sentence(&help));
    if arg.get_action().takes_values() && !arg.is_hide_default_value_set() {
        let defaults = arg.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy()));
        let defaults: Vec<String> = defaults.collect();
        if !defaults.is_empty() {
            text += &format!(" Default: {}.", defaults.join(", "));
        }
    }
    text.push('\n');
    if arg.get_action().takes_values() {
        for value in arg.get_possible_values().iter().filter(|value| !value.is_hide_set()) {
            let told = value.get_help().map(|help| format!(": {}", sentence(&help.to_string()))).unwrap_or_default();
            text += &format!("  - `{}`{told}\n", value.get_name());
        }
    }
    text
}

/// As a sentence: clap takes the last stop away.
fn sentence(text: &str) -> String {
    let text = text.trim().replace('<', "\\<");
    if text.is_empty() || text.ends_with(['.', '?', '!', ':']) { text } else { text + "." }
}
