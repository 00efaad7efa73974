//! What of the sources a message shows: the lines from the first label to the last, of long ones the part around the
//! labels, and nothing that a terminal would obey instead of show.

use super::{Label, SourceMap};
use codespan_reporting::files::{Error, Files};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

/// A line with no more bytes is shown whole.
const WHOLE: usize = 240;
/// Bytes that are shown before and behind the labels of a longer one.
const AROUND: usize = 60;
/// Stands for what is left out.
const ELLIPSIS: &str = "…";

/// The parts of sources that labels need, as they are shown.
pub(super) struct Excerpt<'a> {
    sources: &'a SourceMap,
    files: BTreeMap<u32, Part>,
}

/// Some lines of a file.
#[derive(Default)]
struct Part {
    /// The number, from 0, of the first line.
    first: usize,
    lines: Vec<Line>,
    /// What is shown, line after line.
    text: String,
}

/// One line of a part.
struct Line {
    /// Where it starts in what is shown.
    start: usize,
    /// The bytes of the source that are shown of it.
    shown: Range<usize>,
    /// Something is left out before them.
    cut: bool,
}

impl<'a> Excerpt<'a> {
    /// The sources as these labels need them.
    pub(super) fn new(sources: &'a SourceMap, labels: &[Label]) -> Self {
        let mut spans: BTreeMap<u32, Vec<Range<usize>>> = BTreeMap::new();
        for label in labels.iter().rev() {
            let span = label.loc.start as usize..label.loc.end.max(label.loc.start) as usize;
            spans.entry(label.loc.file).or_default().push(span);
        }
        let files = spans.into_iter().map(|(file, spans)| (file, Part::new(sources, file, &spans))).collect();
        Excerpt { sources, files }
    }

    /// Where a label stands in what is shown; `None` when that was left out.
    pub(super) fn place(&self, label: &Label) -> Option<Range<usize>> {
        let part = self.files.get(&label.loc.file)?;
        let at = |byte: u32| part.place(self.sources, label.loc.file, byte as usize);
        let start = at(label.loc.start)?;
        Some(start..at(label.loc.end).map_or(start, |end| end.max(start)))
    }

    fn part(&self, file: u32) -> Result<&Part, Error> {
        self.files.get(&file).ok_or(Error::FileMissing)
    }
}

impl Part {
    fn new(sources: &SourceMap, file: u32, spans: &[Range<usize>]) -> Part {
        let source = sources.text(file);
        let starts = spans.iter().map(|span| sources.line(file, span.start));
        let ends = spans.iter().map(|span| sources.line(file, span.end.min(source.len())));
        let (first, last) = (starts.clone().min().unwrap_or(0), ends.max().unwrap_or(0));
        // The renderer asks for the line behind the last one, too.
        let behind = (last + 1).min(sources.line(file, source.len()));
        let mut part = Part { first, ..Part::default() };
        for number in first..=behind {
            let whole = sources.line_range(file, number);
            let end = whole.start + source[whole.clone()].trim_end_matches(['\n', '\r']).len();
            let shown = shown(source, whole.start..end, spans);
            let cut = shown.start > whole.start;
            part.lines.push(Line { start: part.text.len(), shown: shown.clone(), cut });
            part.text += if cut { ELLIPSIS } else { "" };
            part.text += &visible(&source[shown.clone()]);
            part.text += if shown.end < end { ELLIPSIS } else { "" };
            part.text += if whole.end > end { "\n" } else { "" };
        }
        part
    }

    /// Where a byte of the source is in what is shown; the end of its line for one behind it.
    fn place(&self, sources: &SourceMap, file: u32, byte: usize) -> Option<usize> {
        let line = self.lines.get(sources.line(file, byte).checked_sub(self.first)?)?;
        let before = sources.text(file).get(line.shown.start..byte.min(line.shown.end))?;
        let ellipsis = if line.cut { ELLIPSIS.len() } else { 0 };
        Some(line.start + ellipsis + visible(before).len())
    }

    fn line(&self, number: usize) -> Option<&Line> {
        self.lines.get(number.checked_sub(self.first)?)
    }
}

/// The bytes of a line that are shown: all, or those around its labels, the first label's where they are far apart.
fn shown(source: &str, line: Range<usize>, spans: &[Range<usize>]) -> Range<usize> {
    if line.len() <= WHOLE {
        return line;
    }
    let mut kept: Option<Range<usize>> = None;
    for span in spans.iter().filter(|span| (line.start..=line.end).contains(&span.start)) {
        let end = span.end.min(span.start + WHOLE);
        let own = span.start.saturating_sub(AROUND).max(line.start)..(end + AROUND).min(line.end);
        let both = kept.map_or(own.clone(), |kept| kept.start.min(own.start)..kept.end.max(own.end));
        kept = Some(if both.len() <= 2 * WHOLE { both } else { own });
    }
    let kept = kept.unwrap_or(line.start..line.start + 2 * AROUND);
    let boundary = |at: usize| (at..line.end).find(|at| source.is_char_boundary(*at)).unwrap_or(line.end);
    boundary(kept.start)..boundary(kept.end)
}

/// A text with pictures for characters that cannot be seen, or that would move the cursor or turn the text around.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| {
        c.is_control() && !matches!(c, '\n' | '\t')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let picture = |c: char| match u32::from(c) {
        _ if !hidden(c) => c,
        code @ 0..0x20 => char::from_u32(0x2400 + code).expect("the block of control pictures"),
        0x7f => '\u{2421}',
        _ => char::REPLACEMENT_CHARACTER,
    };
    Cow::Owned(text.chars().map(picture).collect())
}

impl<'f> Files<'f> for Excerpt<'_> {
    type FileId = u32;
    type Name = Cow<'f, str>;
    type Source = &'f str;

    fn name(&'f self, file: u32) -> Result<Self::Name, Error> {
        Ok(visible(self.sources.name(file)))
    }

    fn source(&'f self, file: u32) -> Result<&'f str, Error> {
        Ok(&self.part(file)?.text)
    }

    fn line_index(&'f self, file: u32, byte: usize) -> Result<usize, Error> {
        let part = self.part(file)?;
        Ok(part.first + part.lines.partition_point(|line| line.start <= byte) - 1)
    }

    fn line_range(&'f self, file: u32, line: usize) -> Result<Range<usize>, Error> {
        let part = self.part(file)?;
        let bound = |line: usize| part.line(line).map_or(part.text.len(), |line| line.start);
        Ok(bound(line)..bound(line + 1))
    }

    fn column_number(&'f self, file: u32, line: usize, byte: usize) -> Result<usize, Error> {
        let range = self.line_range(file, line)?;
        let before = self.source(file)?.get(range.start..byte).map_or(0, |text| text.chars().count());
        let hidden = self.part(file)?.line(line).filter(|line| line.cut).map_or(0, |cut| {
            let start = self.sources.line_range(file, line).start;
            self.sources.text(file)[start..cut.shown.start].chars().count() - ELLIPSIS.chars().count()
        });
        Ok(before + hidden + 1)
    }
}

#[cfg(test)]
mod tests {
    use crate::diag::{Diagnostic, SourceMap, Style, human};
    use crate::types::Loc;

    fn shown(text: &str, at: usize) -> String {
        let mut sources = SourceMap::default();
        let file = sources.add("m.mdl", text);
        let loc = Loc::new(file, at as u32, at as u32 + 4);
        human(&Diagnostic::error("MDL0101", "wrong", loc, "here"), &sources, Style::default())
    }

    #[test]
    fn of_a_long_line_the_part_around_the_label_is_shown() {
        let text = format!("mdl 1\n{}wrong{}\n", "ä".repeat(5000), "ö".repeat(5000));
        let drawn = shown(&text, 6 + 10_000);
        assert!(drawn.contains("m.mdl:2:5001") && drawn.len() < 1000, "{drawn}");
        let line = drawn.lines().find(|line| line.contains("wrongö")).expect("the labelled line");
        assert!(line.contains("…ä") && line.ends_with('…'), "{line}");
        let caret = drawn.lines().find(|line| line.contains("^^^^ here")).expect("the label");
        let column = |line: &str, what: &str| line[..line.find(what).expect("it is there")].chars().count();
        assert_eq!(column(line, "wron"), column(caret, "^^^^"));
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        let drawn = shown("mdl 1\n\u{1b}[31m\u{202e}fine\r\u{8}\n", 6 + 5 + 3);
        assert!(drawn.contains("␛[31m\u{fffd}fine␍␈") && !drawn.contains('\u{1b}'), "{drawn}");
    }
}
