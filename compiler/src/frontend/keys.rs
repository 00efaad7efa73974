//! Weight keys: the `at`s of a call chain, the `from` leaf, and the iterations they are interpolated with.

use super::elaborate::Elaborator;
use super::scope::Frame;
use super::term::{Checks, Static, Term};
use crate::types::Loc;
use mlc_codegen::base::{Dim, Slot};
use mlc_grammar::ast::Text;
use std::rc::Rc;

/// A piece of a path between interpolations.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(Rc<str>),
    /// `{i}`, where `i` is the index of a loop that stays rolled.
    Index(Rc<str>, Dim),
}

/// What one `at` or `from` adds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Segment {
    parts: Vec<Part>,
    /// A leading `/` drops what stands before.
    absolute: bool,
    /// The string.
    pub(super) loc: Loc,
}

/// A path of segments, joined by dots.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct KeyPath {
    segments: Vec<Segment>,
}

impl Segment {
    fn show(&self) -> String {
        let show = |part: &Part| match part {
            Part::Text(text) => text.to_string(),
            Part::Index(name, _) => format!("{{{name}}}"),
        };
        self.parts.iter().map(show).collect()
    }

    fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

impl KeyPath {
    /// The path with one more segment.
    pub(super) fn join(&self, segment: Segment) -> KeyPath {
        let mut segments = if segment.absolute { vec![] } else { self.segments.clone() };
        segments.push(segment);
        KeyPath { segments }
    }

    /// The path as written, `encoder.layer.{i}.attention`.
    pub(super) fn show(&self) -> String {
        let shown: Vec<String> = self.segments.iter().filter(|s| !s.is_empty()).map(Segment::show).collect();
        shown.join(".")
    }

    /// The counters of rolled loops that occur, each once, in order of first use.
    pub(super) fn counters(&self) -> Vec<Slot> {
        let mut found = vec![];
        for part in self.segments.iter().flat_map(|segment| &segment.parts) {
            if let Part::Index(_, dim) = part {
                found.extend(dim.slots());
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The key where the counter of a loop has a value.
    pub(super) fn at(&self, counter: Slot, value: i64) -> String {
        let show = |part: &Part| match part {
            Part::Text(text) => text.to_string(),
            Part::Index(name, dim) => {
                let put = &mut |slot| if slot == counter { Dim::from(value) } else { Dim::slot(slot) };
                dim.substitute(put).as_constant().map_or_else(|| format!("{{{name}}}"), |v| v.to_string())
            }
        };
        let nonempty = self.segments.iter().filter(|s| !s.is_empty());
        nonempty.map(|s| s.parts.iter().map(show).collect::<String>()).collect::<Vec<_>>().join(".")
    }

    /// The places of the `at`s, innermost last, with what each adds.
    pub(super) fn sites(&self) -> impl DoubleEndedIterator<Item = (Loc, String)> + '_ {
        self.segments.iter().filter(|s| !s.is_empty()).map(|s| (s.loc, s.show()))
    }
}

impl Elaborator<'_> {
    /// Reads the text of an `at` or `from`: a leading `/`, and names in braces.
    pub(super) fn segment(&mut self, frame: &Frame, text: &Text) -> Checks<Segment> {
        let (absolute, content) = match text.value.strip_prefix('/') {
            Some(rest) => (true, rest),
            None => (false, &*text.value),
        };
        let offset = usize::from(absolute);
        let mut parts = vec![];
        let mut rest = content;
        while let Some(open) = rest.find('{') {
            let start = offset + content.len() - rest.len() + open;
            if open > 0 {
                parts.push(Part::Text(rest[..open].into()));
            }
            let Some(length) = rest[open..].find('}') else {
                let loc = self.loc(frame, text.inside(start, start + 1));
                return self.error("MDL0108", "unclosed `{` in a path", loc, "opened here, never closed");
            };
            let name = rest[open + 1..open + length].trim();
            let loc = self.loc(frame, text.inside(start + 1, start + length));
            parts.push(self.interpolate(frame, name, loc)?);
            rest = &rest[open + length + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        Ok(Segment { parts, absolute, loc: self.loc(frame, text.span) })
    }

    fn interpolate(&mut self, frame: &Frame, name: &str, loc: Loc) -> Checks<Part> {
        let term = self.lookup(frame, name, loc)?;
        let Term::Static(value) = &term else {
            let message = format!("`{{{name}}}` must be known at compile time");
            return self.error("MDL0205", message, loc, format!("this is {}", term.kind()));
        };
        match value.plain() {
            Static::Text(text) => Ok(Part::Text(text.clone())),
            Static::Unknown => Ok(Part::Text("?".into())),
            Static::Dim(dim, _) => match dim.as_constant() {
                Some(value) => Ok(Part::Text(value.to_string().into())),
                None if self.standalone || self.counted_by_loops(dim) => Ok(Part::Index(name.into(), dim.clone())),
                None => {
                    let message = format!("`{{{name}}}` must be known at compile time");
                    let label = "a weight's key cannot depend on a size of the call";
                    self.error("MDL0205", message, loc, label)
                }
            },
            other => {
                let message = format!("`{{{name}}}` must be an integer or a word");
                self.error("MDL0205", message, loc, format!("this is {}", other.kind()))
            }
        }
    }

    /// Whether a dim depends on nothing but indices of loops whose iterations are known.
    pub(super) fn counted_by_loops(&self, dim: &Dim) -> bool {
        dim.slots().all(|slot| self.loops.iter().any(|l| l.counter == slot && l.trips.is_some()))
    }
}
