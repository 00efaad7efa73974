//! From the parser's state to what a person would call it: at most three classes of what could stand here.

use crate::ast::Span;
use crate::build::RawError;
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::lexer::{Tok, Token};
use crate::words::{INNER, nearest};
use lalrpop_util::ParseError;

/// How many classes a message names.
const SHOWN: usize = 3;

/// Operators, which may follow any operand and so say nothing.
const OPERATORS: [&str; 19] =
    ["+", "-", "*", "/", "@", "==", "!=", "<", "<=", ">", ">=", "and", "or", "|>", "(", "[", ".", "at", "{"];

/// Tokens that name the end of a list or the next part of a statement, the most telling first.
const TELLING: [&str; 18] = [
    ")",
    "]",
    "}",
    ",",
    ":",
    "=",
    "from",
    "in",
    "..",
    "..=",
    "->",
    "else",
    "carry",
    "while",
    "(",
    "[",
    "{",
    "directive!",
];

/// Where the parser found the mistake.
pub(crate) fn position(error: &RawError) -> u32 {
    match error {
        ParseError::InvalidToken { location } | ParseError::UnrecognizedEof { location, .. } => *location,
        ParseError::UnrecognizedToken { token, .. } | ParseError::ExtraToken { token } => token.0,
        ParseError::User { error: () } => 0,
    }
}

/// Words the parser's mistake. `before` is the token it follows, `keyword` the first word of its piece.
pub(crate) fn explain(source: &str, error: &RawError, before: Option<Token>, keyword: &str) -> SyntaxError {
    let none = Vec::new();
    let (token, expected) = match error {
        ParseError::UnrecognizedToken { token, expected } => (Some(token), expected),
        ParseError::ExtraToken { token } => (Some(token), &none),
        ParseError::UnrecognizedEof { expected, .. } => (None, expected),
        ParseError::InvalidToken { .. } | ParseError::User { .. } => (None, &none),
    };
    let names: Vec<&str> = expected.iter().map(|name| name.trim_matches('"')).collect();
    let (span, found) = match token {
        Some((start, tok, end)) => {
            let text = if *tok == Tok::Group { "{" } else { &source[*start as usize..*end as usize] };
            (Span { start: *start, end: *start + text.len() as u32 }, Some(text))
        }
        None => (before.map_or(Span::default(), |token| token.span), None),
    };
    let meant = match token {
        Some((_, Tok::Ident(word), _)) => nearest(word, INNER.into_iter().filter(|known| names.contains(known))),
        _ => None,
    };
    let kind = SyntaxErrorKind::Expected {
        expected: meant.map_or_else(|| classes(&names), |word| vec![format!("`{word}`")]),
        after: before.map(|token| quote(&source[token.span.range()])),
        found: found.map(str::to_owned),
        meant,
        within: Some(keyword.to_owned()),
    };
    SyntaxError { kind, span }
}

fn quote(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    if line.chars().count() > 24 {
        format!("`{}…`", line.chars().take(24).collect::<String>())
    } else {
        format!("`{line}`")
    }
}

/// At most three classes that cover what the parser would accept.
fn classes(names: &[&str]) -> Vec<String> {
    let mut classes: Vec<String> = Vec::new();
    let operand = names.contains(&"INT") && names.contains(&"STR");
    if operand {
        classes.push("a value".into());
    } else {
        let kinds = [("IDENT", "a name"), ("STR", "a string"), ("INT", "a number")];
        classes.extend(kinds.iter().filter(|(name, _)| names.contains(name)).map(|(_, class)| (*class).into()));
    }
    let after_operand = names.contains(&"+");
    let telling = TELLING.iter().filter(|name| names.contains(name));
    for name in telling.filter(|name| !((operand || after_operand) && OPERATORS.contains(name))) {
        if !(operand && matches!(*name, ":" | "..")) {
            classes.push(format!("`{name}`"));
        }
    }
    if names.contains(&"GROUP") && !after_operand {
        classes.push("`{`".into());
    }
    let starts = [("model", "an item"), ("let", "a statement"), ("entry", "a state or an entry")];
    classes.extend(starts.iter().find(|(name, _)| names.contains(name)).map(|(_, class)| (*class).into()));
    if classes.is_empty() {
        classes.push(if after_operand { "an operator or the next statement".into() } else { "the end of it".into() });
    }
    classes.truncate(SHOWN);
    classes
}
