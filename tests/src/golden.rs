//! Golden files: a command, its input files, and what it must print, in one file.
//!
//! The first line is `$ mlc …`, or `$ NAME=VALUE mlc …`, run in an empty folder. `--- file NAME` starts an input file,
//! `--- tensors NAME` and `--- onnx NAME` one that `made` writes, `--- bytes NAME` one in hexadecimal; `--- stdout`,
//! `--- stderr` and `--- changed NAME` (an input file as the command left it) say what is expected, `--- exit N` ends the file.

use crate::made;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A golden file in parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Golden {
    /// What stands after `$ `.
    pub command: String,
    /// Input files: kind, name and text.
    pub files: Vec<(String, String, String)>,
    /// What the command printed, by stream, and files that it changed.
    pub outcome: Outcome,
}

/// What a command did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Data.
    pub stdout: String,
    /// Messages.
    pub stderr: String,
    /// Input files that are different afterwards.
    pub changed: BTreeMap<String, String>,
    /// The exit code.
    pub exit: i32,
}

/// Every golden file below `tests/golden`, sorted.
pub fn all() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => waiting.push(path),
                path => found.push(path),
            }
        }
    }
    found.sort();
    found
}

impl Golden {
    /// Reads a golden file.
    pub fn read(path: &Path) -> Result<Golden> {
        let text = std::fs::read_to_string(path)?;
        let (first, rest) = text.split_once('\n').context("a golden file has a first line")?;
        let command = first.strip_prefix("$ ").context("the first line is `$ mlc …`")?.to_owned();
        let mut golden = Golden { command, files: vec![], outcome: Outcome::default() };
        let mut section: Option<(String, String)> = None;
        for line in rest.lines() {
            if let Some(header) = line.strip_prefix("--- ") {
                golden.take(section.replace((header.to_owned(), String::new())))?;
            } else if let Some((_, body)) = &mut section {
                body.push_str(line);
                body.push('\n');
            }
        }
        golden.take(section)?;
        Ok(golden)
    }

    fn take(&mut self, section: Option<(String, String)>) -> Result<()> {
        let Some((header, body)) = section else { return Ok(()) };
        match header.split_once(' ').unwrap_or((&header, "")) {
            (kind @ ("file" | "tensors" | "bytes" | "onnx"), name) => self.files.push((kind.into(), name.into(), body)),
            ("stdout", _) => self.outcome.stdout = body,
            ("stderr", _) => self.outcome.stderr = body,
            ("changed", name) => drop(self.outcome.changed.insert(name.to_owned(), body)),
            ("exit", code) => self.outcome.exit = code.parse().context("an exit code is a number")?,
            _ => anyhow::bail!("`--- {header}` is no section of a golden file"),
        }
        Ok(())
    }

    /// Runs the command with the program `mlc`.
    pub fn run(&self, mlc: &Path) -> Result<Outcome> {
        let folder = tempfile::tempdir()?;
        for (kind, name, text) in &self.files {
            made::write(kind, &folder.path().join(name), text)?;
        }
        let output = command(&self.command, mlc, folder.path())?.output()?;
        let mut changed = BTreeMap::new();
        for (_, name, before) in self.files.iter().filter(|(kind, ..)| kind == "file") {
            let after = std::fs::read_to_string(folder.path().join(name))?;
            if after != *before {
                changed.insert(name.clone(), after);
            }
        }
        let (stdout, stderr) = (lines(&output.stdout), lines(&output.stderr));
        Ok(Outcome { stdout, stderr, changed, exit: output.status.code().context("the command was killed")? })
    }

    /// The text of the golden file with another outcome.
    pub fn with(&self, outcome: &Outcome) -> String {
        let mut text = format!("$ {}\n", self.command);
        for (kind, name, body) in &self.files {
            text += &format!("--- {kind} {name}\n{body}");
        }
        for (header, body) in [("stdout", &outcome.stdout), ("stderr", &outcome.stderr)] {
            if !body.is_empty() {
                text += &format!("--- {header}\n{body}");
            }
        }
        for (name, body) in &outcome.changed {
            text += &format!("--- changed {name}\n{body}");
        }
        text + &format!("--- exit {}\n", outcome.exit)
    }
}

/// `NAME=VALUE mlc ARGUMENT…` in a folder; nothing of the environment says how messages look.
pub fn command(line: &str, mlc: &Path, folder: &Path) -> Result<Command> {
    let mut words = line.split_whitespace().peekable();
    let mut command = Command::new(mlc);
    command.current_dir(folder);
    for name in ["NO_COLOR", "CLICOLOR_FORCE", "COLUMNS"] {
        command.env_remove(name);
    }
    while let Some((name, value)) = words.next_if(|word| *word != "mlc").and_then(|word| word.split_once('=')) {
        command.env(name, value);
    }
    anyhow::ensure!(words.next() == Some("mlc"), "`{line}` is not a command of mlc");
    command.args(words);
    Ok(command)
}

/// Text of a stream, without spaces at the ends of lines.
pub fn lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// The `mlc` program of this tree, built first: cargo builds a program for the tests of its own package only. It is built
/// as a member of the workspace, so that what it stands on has the features it has in `cargo test --workspace` and is not
/// compiled twice.
pub fn program() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--workspace", "--bin", "mlc"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .context("cargo builds mlc")?;
    anyhow::ensure!(built.success(), "mlc does not build");
    let own = std::env::current_exe()?;
    let mut folder = own.parent().context("a program lies in a folder")?;
    if folder.ends_with("deps") {
        folder = folder.parent().context("deps lies in a folder")?;
    }
    Ok(folder.join(format!("mlc{}", std::env::consts::EXE_SUFFIX)))
}
