//! The wording of syntax errors: a message that stands alone, labels, notes, helps and fixes, as plain data.

use crate::ast::Span;
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::words::{form, or_list};

/// The parts of a message, for whoever renders it. The first label is the primary one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// One line, lower case, without a period.
    pub message: String,
    /// Places in the source and what to say at each.
    pub labels: Vec<(Span, String)>,
    /// Facts.
    pub notes: Vec<String>,
    /// Advice.
    pub helps: Vec<String>,
    /// Edits that mend it.
    pub fixes: Vec<Fix>,
}

/// An edit of the source that mends a mistake.
#[derive(Clone, Debug, PartialEq)]
pub struct Fix {
    /// What it does.
    pub title: String,
    /// The places and their new text.
    pub edits: Vec<(Span, String)>,
    /// How sure it is.
    pub applicability: Applicability,
}

/// How sure a fix is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applicability {
    /// It is what was meant; a tool may apply it unasked.
    Exact,
    /// A person should look.
    Maybe,
}

impl Parts {
    fn new(message: impl Into<String>, at: Span, label: impl Into<String>) -> Parts {
        Parts { message: message.into(), labels: vec![(at, label.into())], ..Parts::default() }
    }

    fn label(mut self, at: Span, label: impl Into<String>) -> Parts {
        self.labels.push((at, label.into()));
        self
    }

    fn note(mut self, note: impl Into<String>) -> Parts {
        self.notes.push(note.into());
        self
    }

    fn help(mut self, help: impl Into<String>) -> Parts {
        self.helps.push(help.into());
        self
    }

    fn fix(mut self, applicability: Applicability, at: Span, text: impl Into<String>, title: String) -> Parts {
        self.fixes.push(Fix { title, edits: vec![(at, text.into())], applicability });
        self
    }

    fn meant(self, meant: Option<&'static str>, at: Span) -> Parts {
        match meant {
            Some(word) => self.help(format!("did you mean `{word}`?")).fix(
                Applicability::Exact,
                at,
                word,
                format!("write `{word}`"),
            ),
            None => self,
        }
    }
}

impl SyntaxError {
    /// What to tell the person who wrote it.
    pub fn parts(&self) -> Parts {
        use Applicability::{Exact, Maybe};
        use SyntaxErrorKind::*;
        let at = self.span;
        match &self.kind {
            UnknownEdition(n) => Parts::new(
                format!("this file needs edition {n}; this mlc reads edition 1"),
                at,
                format!("edition {n} is not known here"),
            )
            .help(format!("update mlc to one that knows edition {n}")),
            MissingEdition => Parts::new("this file does not name its edition", at, "expected `mdl 1` here")
                .help("write `mdl 1` as the first line")
                .fix(Exact, Span { start: at.start, end: at.start }, "mdl 1\n", "add `mdl 1`".into()),
            Expected { .. } => self.expected(),
            MissingColon { name, after } => {
                Parts::new(format!("expected `:` between `{name}` and its type"), at, "this is its type")
                    .help(format!("add `:` after `{name}`"))
                    .fix(Exact, *after, ":", "add `:`".into())
                    .note("a parameter is written  NAME: TYPE")
            }
            UnquotedPath(path) => Parts::new("expected a quoted path after `at`", at, format!("found `{path}`"))
                .help(format!("write it as a string: at \"{path}\""))
                .fix(Exact, at, format!("\"{path}\""), "add the quotes".into()),
            Unclosed { opener, next, insert, at: place, after } => {
                let parts = Parts::new(format!("unclosed `{opener}`"), at, "opened here, never closed");
                let parts = match next {
                    Some((span, what)) => parts.label(*span, *what),
                    None => parts,
                };
                parts.help(format!("add `{insert}` after `{after}`")).fix(
                    Maybe,
                    *place,
                    insert.clone(),
                    format!("insert `{insert}`"),
                )
            }
            UnknownItem { word, meant } => Parts::new(format!("`{word}` is not an item"), at, "expected an item here")
                .meant(*meant, at)
                .note("items are import, const, dim, fn, block, model, profile"),
            UnknownMember { word, meant } => {
                Parts::new(format!("`{word}` is not a member of a model"), at, "expected a member here")
                    .meant(*meant, at)
                    .note("members are const, dim, weights, state, entry")
            }
            Unmatched(closer) => Parts::new(format!("unmatched `{closer}`"), at, "this closes nothing")
                .help("remove it, or open it where it should begin")
                .fix(Maybe, at, "", format!("remove `{closer}`")),
            BareAssignment(name) => {
                Parts::new(format!("`{name} = …` is not a statement"), at, "a statement starts with a keyword")
                    .help(format!("write `let {name} = …`"))
                    .fix(Exact, Span { start: at.start, end: at.start }, "let ", "add `let`".into())
                    .note("`let` may bind a name again; the later binding hides the earlier one")
            }
            StrayExpression { word, meant } => {
                Parts::new(format!("a statement cannot start with `{word}`"), at, "expected a keyword here")
                    .meant(*meant, at)
                    .note("statements start with let, weight, set, repeat, fused, assert, return, const or dim")
            }
            Misplaced { keyword, place } => misplaced(keyword, place, at),
            BadCharacter(text) => {
                let parts = Parts::new(format!("`{text}` is not part of the language"), at, "not expected anywhere");
                match &**text {
                    "%" => parts.note("the remainder is written  mod(a, b)"),
                    "&&" | "&" => parts.meant(Some("and"), at),
                    "||" | "|" => parts.meant(Some("or"), at),
                    "!" => parts.meant(Some("not"), at),
                    ";" => parts.note("statements need no `;`").fix(Exact, at, "", "remove `;`".into()),
                    _ => parts.fix(Maybe, at, "", format!("remove `{text}`")),
                }
            }
            ControlCharacter(c) => {
                Parts::new(format!("a character that cannot be seen: U+{:04X}", u32::from(*c)), at, "it stands here")
                    .help("remove it")
                    .fix(Exact, at, "", "remove it".into())
            }
            TooDeep => {
                Parts::new(format!("nested deeper than {} levels", crate::MAX_NESTING), at, "the limit is passed here")
                    .help("bind inner parts with `let`")
            }
            TooLong => Parts::new("a source file may hold at most 4 GiB", at, "the limit is passed here"),
            UnterminatedString => Parts::new("this string has no closing quote", at, "opened here")
                .help("strings end on the line where they begin; add `\"`")
                .fix(Maybe, at.after(), "\"", "add `\"`".into()),
            UnknownEscape => Parts::new("unknown escape in a string", at, "not an escape")
                .note("escapes are \\n, \\t, \\\" and \\\\"),
            MalformedNumber(text) => Parts::new(format!("`{text}` is not a number"), at, "digits, then something else")
                .note("numbers are written  12, 1_024, 0.5, 1e-5, and quantities  50%, 8ms, 120MiB"),
            NumberTooLarge(text) => Parts::new(format!("`{text}` is too large"), at, "does not fit in 64 bits"),
        }
    }

    fn expected(&self) -> Parts {
        let SyntaxErrorKind::Expected { expected, after, found, meant, within } = &self.kind else {
            return Parts::default();
        };
        let mut message = format!("expected {}", or_list(expected));
        if let Some(after) = after {
            message.push_str(&format!(" after {after}"));
        }
        let label = match found {
            Some(found) => format!("found `{found}`"),
            None => "nothing follows".into(),
        };
        let parts = Parts::new(message, self.span, label).meant(*meant, self.span);
        match within.as_deref().and_then(form) {
            Some((what, form)) => parts.note(format!("{what} is written  {form}")),
            None => parts,
        }
    }
}

fn misplaced(keyword: &str, place: &str, at: Span) -> Parts {
    let what = form(keyword).map_or("it", |(what, _)| what);
    let home = match keyword {
        "let" | "weight" | "set" | "repeat" | "fused" | "assert" | "return" => "the body of a fn, block or entry",
        "weights" | "state" | "entry" => "a model",
        _ => "the top level of a file",
    };
    Parts::new(format!("`{keyword}` cannot stand in {place}"), at, "not allowed here")
        .help(format!("{what} belongs in {home}"))
}
