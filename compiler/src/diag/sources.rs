//! The sources that the places of diagnostics are in.

use crate::types::Loc;
use std::ops::Range;

/// One file.
#[derive(Clone, Debug)]
struct Source {
    name: String,
    text: String,
    /// The first byte of each line.
    lines: Vec<usize>,
}

/// The sources of one compilation, by file number.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<Source>,
}

impl SourceMap {
    /// Adds a file by the name that messages show; gives its number.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> u32 {
        let text = text.into();
        let lines = [0].into_iter().chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect();
        self.files.push(Source { name: name.into(), text, lines });
        self.files.len() as u32 - 1
    }

    /// The name of a file.
    pub fn name(&self, file: u32) -> &str {
        &self.files[file as usize].name
    }

    /// The text of a file.
    pub fn text(&self, file: u32) -> &str {
        &self.files[file as usize].text
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Line and column of a place's start, from 1; columns count characters.
    pub fn position(&self, loc: Loc) -> (usize, usize) {
        let line = self.line(loc.file, loc.start as usize);
        let before = &self.text(loc.file)[self.line_range(loc.file, line).start..loc.start as usize];
        (line + 1, before.chars().count() + 1)
    }

    /// The line that a place begins on, without its newline.
    pub fn line_of(&self, loc: Loc) -> &str {
        let line = self.line(loc.file, loc.start as usize);
        self.text(loc.file)[self.line_range(loc.file, line)].trim_end_matches(['\n', '\r'])
    }

    /// The line, from 0, that a byte is on.
    pub(super) fn line(&self, file: u32, byte: usize) -> usize {
        self.files[file as usize].lines.partition_point(|start| *start <= byte) - 1
    }

    /// The bytes of a line, from 0, with its newline; empty behind the last one.
    pub(super) fn line_range(&self, file: u32, line: usize) -> Range<usize> {
        let Source { text, lines, .. } = &self.files[file as usize];
        let bound = |line: usize| lines.get(line).copied().unwrap_or(text.len());
        bound(line)..bound(line + 1)
    }
}
