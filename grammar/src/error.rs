//! What can be wrong with a text, as data. Wording is in `message`.

use crate::ast::Span;

/// One mistake in the source text.
#[derive(Clone, Debug, PartialEq)]
pub struct SyntaxError {
    /// What is wrong.
    pub kind: SyntaxErrorKind,
    /// Where.
    pub span: Span,
}

/// The kinds of mistake, with what their messages need.
#[derive(Clone, Debug, PartialEq)]
pub enum SyntaxErrorKind {
    /// The header names an edition this reader does not know.
    UnknownEdition(u64),
    /// The file does not begin with `mdl 1`.
    MissingEdition,
    /// Something else was expected.
    Expected {
        /// At most three classes, worded: `a name`, `` `,` ``.
        expected: Vec<String>,
        /// What it should follow, worded: `` `+` ``, ``the type of `w` ``.
        after: Option<String>,
        /// The token that stands there; none where the statement just ends.
        found: Option<String>,
        /// The keyword it was likely meant to be.
        meant: Option<&'static str>,
        /// The keyword of the statement.
        within: Option<String>,
    },
    /// `image f32[n]`: a name and its type without the colon.
    MissingColon {
        /// The name.
        name: Box<str>,
        /// Just after the name.
        after: Span,
    },
    /// `at fc1`: a path without quotes.
    UnquotedPath(Box<str>),
    /// A bracket that is never closed.
    Unclosed {
        /// The bracket.
        opener: &'static str,
        /// What was found instead of its partner, and how to call it.
        next: Option<(Span, &'static str)>,
        /// The brackets to insert.
        insert: String,
        /// Where to insert them.
        at: Span,
        /// The token before that place.
        after: String,
    },
    /// A word that begins no item.
    UnknownItem {
        /// The word.
        word: Box<str>,
        /// What it was likely meant to be.
        meant: Option<&'static str>,
    },
    /// A word that begins no member of a model.
    UnknownMember {
        /// The word.
        word: Box<str>,
        /// What it was likely meant to be.
        meant: Option<&'static str>,
    },
    /// A closing bracket that closes nothing.
    Unmatched(&'static str),
    /// `x = 3` without `let`.
    BareAssignment(Box<str>),
    /// A statement that does not begin with a keyword.
    StrayExpression {
        /// Its first word.
        word: Box<str>,
        /// What it was likely meant to be.
        meant: Option<&'static str>,
    },
    /// A construct in a place where it cannot stand.
    Misplaced {
        /// Its keyword.
        keyword: Box<str>,
        /// The place it stands in.
        place: &'static str,
    },
    /// A character that is not part of the language.
    BadCharacter(Box<str>),
    /// A character that cannot be seen.
    ControlCharacter(char),
    /// Brackets, prefixes and calls nested deeper than the limit.
    TooDeep,
    /// More text than a span can address.
    TooLong,
    /// A string without its closing quote.
    UnterminatedString,
    /// A backslash before a character that needs none.
    UnknownEscape,
    /// A number with letters in it.
    MalformedNumber(Box<str>),
    /// A number too large for its type.
    NumberTooLarge(Box<str>),
}

impl SyntaxError {
    /// The stable code of the mistake, such as `MDL0101`.
    pub fn code(&self) -> &'static str {
        use SyntaxErrorKind::*;
        match self.kind {
            UnknownEdition(_) => "MDL0001",
            MissingEdition => "MDL0002",
            Expected { .. } | MissingColon { .. } | UnquotedPath(_) => "MDL0101",
            Unclosed { .. } => "MDL0102",
            UnknownItem { .. } | UnknownMember { .. } => "MDL0103",
            Unmatched(_) => "MDL0104",
            BareAssignment(_) | StrayExpression { .. } | Misplaced { .. } => "MDL0105",
            BadCharacter(_) | ControlCharacter(_) => "MDL0106",
            TooDeep | TooLong => "MDL0107",
            UnterminatedString | UnknownEscape | MalformedNumber(_) | NumberTooLarge(_) => "MDL0108",
        }
    }
}
