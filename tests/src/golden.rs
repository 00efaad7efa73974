//! Golden files: a command, its input files, and what it must print, in one file.
//!
//! The first line is `$ mlc …`, run in an empty folder. `--- file NAME` starts an input file, `--- stdout`, `--- stderr`
//! and `--- files` (files as the command left them) what is expected, `--- exit N` ends the file.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A golden file in parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Golden {
    /// The arguments after `mlc`.
    pub command: String,
    /// Input files, by name.
    pub files: Vec<(String, String)>,
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
        let command = first.strip_prefix("$ mlc ").context("the first line is `$ mlc …`")?.to_owned();
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
            ("file", name) => self.files.push((name.to_owned(), body)),
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
        for (name, text) in &self.files {
            std::fs::write(folder.path().join(name), text)?;
        }
        let words = self.command.split_whitespace();
        let output = Command::new(mlc).args(words).current_dir(folder.path()).env("NO_COLOR", "1").output()?;
        let mut changed = BTreeMap::new();
        for (name, before) in &self.files {
            let after = std::fs::read_to_string(folder.path().join(name))?;
            if after != *before {
                changed.insert(name.clone(), after);
            }
        }
        let lines = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            text.lines().map(|line| format!("{}\n", line.trim_end())).collect::<String>()
        };
        let (stdout, stderr) = (lines(&output.stdout), lines(&output.stderr));
        Ok(Outcome { stdout, stderr, changed, exit: output.status.code().context("the command was killed")? })
    }

    /// The text of the golden file with another outcome.
    pub fn with(&self, outcome: &Outcome) -> String {
        let mut text = format!("$ mlc {}\n", self.command);
        for (name, body) in &self.files {
            text += &format!("--- file {name}\n{body}");
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
