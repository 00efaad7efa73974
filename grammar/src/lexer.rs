//! Cuts source text into tokens. It never fails: what it cannot read is reported and left out, comments and
//! documentation go to side tables, so that neither can cause a syntax error.

use crate::ast::{Span, Text};
use crate::error::{SyntaxError, SyntaxErrorKind};
use logos::Logos;
use std::borrow::Cow;

/// A token, and the rules by which logos finds it.
#[derive(Logos, Clone, Copy, Debug, PartialEq)]
#[logos(skip r"[ \t\r\n\f]+")]
pub(crate) enum Tok<'s> {
    #[regex(r"//![^\n]*", allow_greedy = true)]
    FileDoc(&'s str),
    #[regex(r"///[^\n]*", allow_greedy = true, priority = 6)]
    Doc(&'s str),
    #[regex(r"//[^\n]*", allow_greedy = true, priority = 3)]
    Comment(&'s str),

    #[token("and")]
    And,
    #[token("assert")]
    Assert,
    #[token("at")]
    At,
    #[token("block")]
    Block,
    #[token("carry")]
    Carry,
    #[token("const")]
    Const,
    #[token("dim")]
    Dim,
    #[token("else")]
    Else,
    #[token("entry")]
    Entry,
    #[token("false")]
    False,
    #[token("fn")]
    Fn,
    #[token("from")]
    From,
    #[token("fused")]
    Fused,
    #[token("if")]
    If,
    #[token("import")]
    Import,
    #[token("in")]
    In,
    #[token("let")]
    Let,
    #[token("mdl")]
    Mdl,
    #[token("model")]
    Model,
    #[token("not")]
    Not,
    #[token("or")]
    Or,
    #[token("profile")]
    Profile,
    #[token("repeat")]
    Repeat,
    #[token("return")]
    Return,
    #[token("set")]
    Set,
    #[token("state")]
    State,
    #[token("true")]
    True,
    #[token("weight")]
    Weight,
    #[token("weights")]
    Weights,
    #[token("while")]
    While,

    #[regex(r"[A-Za-z_][A-Za-z0-9_]*")]
    Ident(&'s str),
    #[regex(r"[0-9][0-9_]*", priority = 4)]
    Int(&'s str),
    #[regex(r"[0-9][0-9_]*\.[0-9][0-9_]*([eE][+-]?[0-9]+)?", priority = 6)]
    #[regex(r"[0-9][0-9_]*[eE][+-]?[0-9]+", priority = 6)]
    Float(&'s str),
    #[regex(r"[0-9][0-9_]*(\.[0-9]+)?(%|ms|us|KiB|MiB|GiB)", priority = 8)]
    Quantity(&'s str),
    #[regex(r"[0-9][0-9_]*(\.[0-9][0-9_]*)?[A-Za-z][A-Za-z0-9_]*", priority = 1)]
    BadNumber(&'s str),
    #[regex(r#""([^"\\\n]|\\[^\n])*""#, allow_greedy = true)]
    Str(&'s str),
    #[regex(r#""([^"\\\n]|\\[^\n])*\\?"#, allow_greedy = true)]
    OpenStr(&'s str),

    #[token("#[")]
    HashBracket,
    #[token("(")]
    LParen,
    #[token(")")]
    RParen,
    #[token("[")]
    LBracket,
    #[token("]")]
    RBracket,
    #[token("{")]
    LBrace,
    #[token("}")]
    RBrace,
    #[token(",")]
    Comma,
    #[token(":")]
    Colon,
    #[token(".")]
    Dot,
    #[token("..")]
    DotDot,
    #[token("..=")]
    DotDotEq,
    #[token("->")]
    Arrow,
    #[token("|>")]
    Pipe,
    #[token("=")]
    Assign,
    #[token("+")]
    Plus,
    #[token("-")]
    Minus,
    #[token("*")]
    Star,
    #[token("/")]
    Slash,
    #[token("@")]
    MatMul,
    #[token("==")]
    Eq,
    #[token("!=")]
    Ne,
    #[token("<")]
    Lt,
    #[token("<=")]
    Le,
    #[token(">")]
    Gt,
    #[token(">=")]
    Ge,

    /// Stands before a piece and says what the piece is; never read from text.
    StartItem,
    /// See [`Tok::StartItem`].
    StartMember,
    /// See [`Tok::StartItem`].
    StartStmt,
    /// See [`Tok::StartItem`].
    StartDirective,
    /// Braces whose inside is parsed already.
    Group,
}

impl Tok<'_> {
    /// Whether an operand may end with this token, so that an operator or a new piece may follow.
    pub(crate) fn ends_operand(self) -> bool {
        use Tok::*;
        matches!(self, Ident(_) | Int(_) | Float(_) | Quantity(_) | Str(_) | True | False | RParen | RBracket | RBrace)
    }
}

/// A token and its place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'s> {
    pub(crate) tok: Tok<'s>,
    pub(crate) span: Span,
    /// Whether nothing but space stands before it on its line.
    pub(crate) first_on_line: bool,
    /// Spaces before the first token of its line.
    pub(crate) indent: u32,
}

/// A comment, `//` included, and its place.
#[derive(Clone, Debug)]
pub(crate) struct Comment {
    pub(crate) span: Span,
    /// Whether nothing but space stands before it on its line.
    pub(crate) own_line: bool,
}

/// A source text, cut up.
#[derive(Default)]
pub(crate) struct Lexed<'s> {
    pub(crate) tokens: Vec<Token<'s>>,
    /// `//` comments in order, and every doc line too.
    pub(crate) comments: Vec<Comment>,
    /// `//!` lines.
    pub(crate) file_docs: Vec<Text>,
    /// `///` lines, each with the offset of the token that follows it, in order.
    pub(crate) docs: Vec<(u32, Text)>,
    /// Where characters were left out.
    pub(crate) bad: Vec<Span>,
    pub(crate) errors: Vec<SyntaxError>,
}

/// Cuts `source` into tokens, comments and documentation.
pub(crate) fn lex(source: &str) -> Lexed<'_> {
    let mut lexed = Lexed::default();
    let mut lines = Lines { source, seen: 0, line_start: 0, indent: 0, fresh: true };
    let mut pending = Vec::new();
    for (tok, range) in Tok::lexer(source).spanned() {
        let span = Span::new(range.start, range.end);
        let first_on_line = lines.advance(&range);
        match tok {
            Ok(Tok::Comment(_)) => lexed.comments.push(Comment { span, own_line: first_on_line }),
            Ok(Tok::FileDoc(line)) => {
                lexed.comments.push(Comment { span, own_line: first_on_line });
                lexed.file_docs.push(Text { value: doc_text(line).into(), span });
            }
            Ok(Tok::Doc(line)) => {
                lexed.comments.push(Comment { span, own_line: first_on_line });
                pending.push(Text { value: doc_text(line).into(), span });
            }
            Ok(tok) => {
                lexed.docs.extend(pending.drain(..).map(|doc| (span.start, doc)));
                let tok = lexed.literal(tok, span);
                lexed.tokens.push(Token { tok, span, first_on_line, indent: lines.indent });
            }
            Err(()) if range.start == 0 && source.starts_with('\u{feff}') => {}
            Err(()) => lexed.bad_character(span),
        }
    }
    lexed.docs.extend(pending.drain(..).map(|doc| (source.len() as u32, doc)));
    lexed.characters(source);
    lexed
}

/// Whether a text is one name: a word that is no keyword.
pub fn is_name(text: &str) -> bool {
    let mut tokens = Tok::lexer(text);
    tokens.next() == Some(Ok(Tok::Ident(text))) && tokens.next().is_none()
}

fn doc_text(line: &str) -> &str {
    let text = line[3..].trim_end();
    text.strip_prefix(' ').unwrap_or(text)
}

/// Follows the lines of the source as tokens pass.
struct Lines<'s> {
    source: &'s str,
    seen: usize,
    line_start: usize,
    indent: u32,
    fresh: bool,
}

impl Lines<'_> {
    /// Moves past a token; true where it is the first of its line.
    fn advance(&mut self, token: &std::ops::Range<usize>) -> bool {
        if let Some(newline) = self.source[self.seen..token.start].rfind('\n') {
            self.line_start = self.seen + newline + 1;
            self.fresh = true;
        }
        self.seen = token.end;
        let first = std::mem::take(&mut self.fresh);
        if first {
            self.indent = (token.start - self.line_start) as u32;
        }
        first
    }
}

impl<'s> Lexed<'s> {
    /// Checks a literal; a malformed one is reported and stands for a sound one.
    fn literal(&mut self, tok: Tok<'s>, span: Span) -> Tok<'s> {
        let (kind, instead) = match tok {
            Tok::BadNumber(text) => (SyntaxErrorKind::MalformedNumber(text.into()), Tok::Int("1")),
            Tok::OpenStr(text) => (SyntaxErrorKind::UnterminatedString, Tok::Str(text)),
            Tok::Int(text) if digits(text).parse::<u64>().is_err() => {
                (SyntaxErrorKind::NumberTooLarge(text.into()), Tok::Int("1"))
            }
            Tok::Float(text) if !digits(text).parse::<f64>().is_ok_and(f64::is_finite) => {
                (SyntaxErrorKind::NumberTooLarge(text.into()), Tok::Float("1.0"))
            }
            _ => return tok,
        };
        self.errors.push(SyntaxError { kind, span });
        instead
    }

    /// Reports what is no token; neighbours are reported together.
    fn bad_character(&mut self, span: Span) {
        if let Some(last) = self.bad.last_mut()
            && last.end == span.start
        {
            last.end = span.end;
        } else {
            self.bad.push(span);
        }
    }

    /// Reports the characters left out and those that hide what a text says.
    fn characters(&mut self, source: &str) {
        for &span in &self.bad {
            let text = &source[span.range()];
            if !text.chars().all(hides) {
                self.errors.push(SyntaxError { kind: SyntaxErrorKind::BadCharacter(text.into()), span });
            }
        }
        for (at, c) in source.char_indices() {
            if hides(c) && at > 0 {
                let span = Span::new(at, at + c.len_utf8());
                self.errors.push(SyntaxError { kind: SyntaxErrorKind::ControlCharacter(c), span });
            }
        }
    }
}

/// Control characters, and the marks that reorder or hide text in an editor.
fn hides(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}'))
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A number without the underscores between its digits.
pub(crate) fn digits(text: &str) -> Cow<'_, str> {
    if text.contains('_') { text.replace('_', "").into() } else { text.into() }
}

/// The content of a string literal with its escapes resolved, and the offset of each unknown escape in the literal.
pub(crate) fn unescape(literal: &str) -> (String, Vec<usize>) {
    let inner = literal.strip_prefix('"').unwrap_or(literal);
    let inner = if literal.len() > 1 { inner.strip_suffix('"').unwrap_or(inner) } else { inner };
    let (mut value, mut unknown) = (String::with_capacity(inner.len()), Vec::new());
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        if c != '\\' {
            value.push(c);
            continue;
        }
        match chars.next() {
            Some((_, 'n')) => value.push('\n'),
            Some((_, 't')) => value.push('\t'),
            Some((_, quoted @ ('"' | '\\'))) => value.push(quoted),
            Some((_, other)) => {
                value.push(other);
                unknown.push(at + 1);
            }
            None => {}
        }
    }
    (value, unknown)
}

/// A string as a literal.
pub(crate) fn escape(value: &str) -> String {
    let mut literal = String::with_capacity(value.len() + 2);
    literal.push('"');
    for c in value.chars() {
        match c {
            '\n' => literal.push_str("\\n"),
            '\t' => literal.push_str("\\t"),
            '"' | '\\' => literal.extend(['\\', c]),
            _ => literal.push(c),
        }
    }
    literal.push('"');
    literal
}
