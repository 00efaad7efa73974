//! The fenced blocks of README and the book, and how each is held to the program.
//!
//! A fence says what its block is: ` ```mdl ` is a file, or items of one, and must check; ` ```mdl,line ` stands in a
//! function; ` ```mdl,wrong=CODE ` must give that error; ` ```console ` holds commands, `$ mlc …`, that run in `examples/`
//! and the output of each, where `…` stands for any text and a line of it for any lines. `file=NAME` also writes a block to
//! the page's own folder, and `here` runs commands there.

use anyhow::{Context, Result, bail, ensure};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A fenced block.
#[derive(Clone, Debug)]
pub struct Block {
    /// The first line of its text, from 1.
    pub line: usize,
    /// Where its text is in the page.
    pub range: Range<usize>,
    /// The first word of the fence.
    pub kind: String,
    /// Its other words.
    pub tags: Vec<String>,
    /// What stands in it.
    pub text: String,
}

/// README and every page of the book but those of codes, by path from the root of the repository.
pub fn pages() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = vec![("README.md".to_owned(), root.join("README.md"))];
    let mut waiting = vec![root.join("docs/src")];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.ends_with("errors") => {}
                path if path.is_dir() => waiting.push(path),
                path => found.push((path.strip_prefix(&root).unwrap_or(&path).display().to_string(), path)),
            }
        }
    }
    found.sort();
    found
}

/// The blocks of a page.
pub fn blocks(text: &str) -> Vec<Block> {
    let (mut found, mut open, mut at) = (Vec::new(), None::<Block>, 0);
    for (i, line) in text.split_inclusive('\n').enumerate() {
        at += line.len();
        match (line.strip_prefix("```"), &mut open) {
            (Some(fence), None) => {
                let mut words = fence.trim_end().split(',').map(str::to_owned);
                let kind = words.next().unwrap_or_default();
                open = Some(Block { line: i + 2, range: at..at, kind, tags: words.collect(), text: String::new() });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some(block)) => {
                block.text += line;
                block.range.end = at;
            }
            (None, None) => {}
        }
    }
    found
}

impl Block {
    /// The first tag; empty where there is none.
    pub fn role(&self) -> &str {
        self.tags.first().map_or("", String::as_str)
    }

    /// The value of `key=VALUE` among the tags.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.iter().find_map(|tag| tag.strip_prefix(key)?.strip_prefix('='))
    }

    /// Holds the block to the program. `here` is the page's own folder.
    ///
    /// # Errors
    /// What the block says is not so.
    pub fn check(&self, mlc: &Path, here: &Path) -> Result<()> {
        if let Some(name) = self.tag("file") {
            std::fs::write(here.join(name), &self.text)?;
        }
        match self.kind.as_str() {
            "mdl" => self.model(mlc),
            "console" => commands(&self.text)?.iter().try_for_each(|command| self.run(command, mlc, here)),
            _ => Ok(()),
        }
    }

    fn model(&self, mlc: &Path) -> Result<()> {
        let line = self.tags.iter().any(|tag| tag == "line");
        let text = match (self.text.starts_with("mdl ") || self.text.contains("\nmdl "), line) {
            (true, _) => self.text.clone(),
            (false, false) => format!("mdl 1\n{}", self.text),
            (false, true) => format!("mdl 1\n{}", crate::lines::function(&self.text)),
        };
        let mut child = Command::new(mlc)
            .args(["check", "--message-format", "short", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        std::io::Write::write_all(&mut child.stdin.take().context("it was piped")?, text.as_bytes())?;
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        match self.tag("wrong") {
            None => ensure!(output.status.success(), "it does not check:\n{said}\n{text}"),
            Some(code) => {
                let errors: Vec<&str> = said.lines().filter(|line| line.contains("error[")).collect();
                let right = !errors.is_empty() && errors.iter().all(|line| line.contains(code));
                ensure!(right, "it should give {code}, and gives\n{said}\n{text}");
            }
        }
        Ok(())
    }

    fn run(&self, command: &Shown, mlc: &Path, here: &Path) -> Result<()> {
        let folder = match self.tags.iter().any(|tag| tag == "here") {
            true => here.to_owned(),
            false => Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples"),
        };
        let output = match command.words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["mlc", ..] => {
                Command::new(mlc).args(&command.words[1..]).current_dir(folder).env("NO_COLOR", "1").output()?
            }
            ["python3", script] => return python(script, here),
            ["cargo", ..] => return Ok(()),
            _ => bail!("`{}` is no command that the book may use", command.words.join(" ")),
        };
        let [out, said] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let found: Vec<String> = (out + &said).lines().map(|line| line.trim_end().to_owned()).collect();
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        let expected: Vec<&str> = command.output.iter().map(String::as_str).collect();
        let trimmed = trim(&found);
        ensure!(
            matches(&expected, trimmed),
            "$ {}\nshould print\n{}\nand prints\n{}",
            command.words.join(" "),
            expected.join("\n"),
            trimmed.join("\n")
        );
        Ok(())
    }
}

/// A command and what it prints.
struct Shown {
    words: Vec<String>,
    output: Vec<String>,
}

fn commands(text: &str) -> Result<Vec<Shown>> {
    let mut found: Vec<Shown> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), found.last_mut()) {
            (Some(command), _) => found.push(Shown { words: words(command), output: vec![] }),
            (None, Some(shown)) => shown.output.push(line.trim_end().to_owned()),
            (None, None) => bail!("a console block begins with `$ `"),
        }
    }
    for shown in &mut found {
        while shown.output.last().is_some_and(String::is_empty) {
            shown.output.pop();
        }
    }
    Ok(found)
}

/// Words apart at spaces, but for those in double quotes.
fn words(command: &str) -> Vec<String> {
    let (mut found, mut quoted) = (vec![String::new()], false);
    for c in command.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => found.push(String::new()),
            c => found.last_mut().expect("there is a first word").push(c),
        }
    }
    found.retain(|word| !word.is_empty());
    found
}

fn trim<'l, 's>(lines: &'l [&'s str]) -> &'l [&'s str] {
    let end = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
    &lines[..end]
}

/// Whether lines are as expected, where a line `…` stands for any number of lines.
fn matches(expected: &[&str], found: &[&str]) -> bool {
    match (expected, found) {
        ([], []) => true,
        (["…", rest @ ..], _) => (0..=found.len()).any(|skipped| matches(rest, &found[skipped..])),
        ([line, rest @ ..], [first, others @ ..]) => fits(line, first) && matches(rest, others),
        _ => false,
    }
}

/// Whether a line is as expected, where `…` stands for any text.
fn fits(expected: &str, found: &str) -> bool {
    match expected.split_once('…') {
        None => expected == found,
        Some((start, rest)) => found.strip_prefix(start).is_some_and(|left| {
            let ends = left.char_indices().map(|(i, _)| i).chain([left.len()]);
            ends.into_iter().any(|i| fits(rest, &left[i..]))
        }),
    }
}

/// A numpy script of the page; where there is no numpy, the files that it wrote when the page was made stand for it.
fn python(script: &str, here: &Path) -> Result<()> {
    let python = std::env::var("MLC_PYTHON").unwrap_or_else(|_| "python3".into());
    let run = |words: &[&str]| Command::new(&python).args(words).current_dir(here).output();
    if run(&["-c", "import numpy"]).is_ok_and(|output| output.status.success()) {
        let output = run(&[script])?;
        ensure!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// The page's own folder, with the files that the page has in `tests/data/book`.
///
/// # Errors
/// The system refuses.
pub fn folder(page: &Path) -> Result<tempfile::TempDir> {
    let here = tempfile::tempdir()?;
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/book").join(page.file_stem().unwrap_or_default());
    for entry in std::fs::read_dir(kept).into_iter().flatten() {
        let entry = entry?;
        std::fs::copy(entry.path(), here.path().join(entry.file_name()))?;
    }
    Ok(here)
}

#[cfg(test)]
mod tests {
    use super::{blocks, fits, matches, words};

    #[test]
    fn blocks_say_what_they_are() {
        let found = blocks("a\n```mdl,file=x.mdl\nmdl 1\n```\n```console\n$ mlc ops\n```\n");
        let shown: Vec<_> = found.iter().map(|b| (b.line, b.kind.as_str(), b.tag("file"), b.text.as_str())).collect();
        assert_eq!(shown, [(3, "mdl", Some("x.mdl"), "mdl 1\n"), (6, "console", None, "$ mlc ops\n")]);
    }

    #[test]
    fn wildcards_stand_for_text_and_for_lines() {
        assert!(fits("a … c", "a b c") && fits("…", "") && !fits("a …", "b a"));
        assert!(matches(&["a", "…", "d"], &["a", "b", "c", "d"]) && matches(&["…"], &[]));
        assert!(!matches(&["a", "…", "d"], &["a", "b"]) && !matches(&["a"], &["a", "b"]));
        assert_eq!(words("mlc run \"a b\" c"), ["mlc", "run", "a b", "c"]);
    }
}
