//! What the grammar's actions do: nodes from tokens, and notes of what went wrong. Nothing here fails.

use crate::ast::{Body, Directive, Expr, ExprKind, Ident, Item, Member, Param, Span, Stmt, Text, Type, TypeKind, Unit};
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::lexer::{Tok, digits, unescape};
use crate::words::nearest;
use lalrpop_util::{ErrorRecovery, ParseError};

/// How the generated parser reports a mistake.
pub(crate) type RawError<'s> = ParseError<u32, Tok<'s>, ()>;

/// What the parser makes of one piece.
pub(crate) enum Piece {
    Item(Item),
    Member(Member),
    Stmt(Stmt),
    Directive(Directive),
}

/// The inside of a piece's braces, parsed before the piece.
pub(crate) enum Group {
    Body(Body),
    Members(Vec<Member>),
    Directives(Vec<Directive>),
}

/// What one run of the parser reads and writes besides tokens.
pub(crate) struct Context<'s> {
    pub(crate) source: &'s str,
    pub(crate) group: Option<Group>,
    /// Mistakes the grammar understands.
    pub(crate) errors: Vec<SyntaxError>,
    /// Mistakes the parser recovered from.
    pub(crate) recovered: Vec<RawError<'s>>,
}

impl<'s> Context<'s> {
    pub(crate) fn body(&mut self) -> Body {
        match self.group.take() {
            Some(Group::Body(body)) => body,
            _ => Body::default(),
        }
    }

    pub(crate) fn members(&mut self) -> Vec<Member> {
        match self.group.take() {
            Some(Group::Members(members)) => members,
            _ => Vec::new(),
        }
    }

    pub(crate) fn directives(&mut self) -> Vec<Directive> {
        match self.group.take() {
            Some(Group::Directives(directives)) => directives,
            _ => Vec::new(),
        }
    }

    pub(crate) fn recover(&mut self, lost: ErrorRecovery<u32, Tok<'s>, ()>) {
        self.recovered.push(lost.error);
    }

    /// A parameter that did not parse keeps its name, so that its uses are not reported.
    pub(crate) fn lost_param(&mut self, lost: ErrorRecovery<u32, Tok<'s>, ()>, at: Span) -> Option<Param> {
        self.recover(lost);
        let text = &self.source[at.range()];
        let name = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
        let span = Span { start: at.start, end: at.start + name.len() as u32 };
        let ty = Type { kind: TypeKind::Error, span: at };
        (!name.is_empty()).then(|| Param { name: Ident { name: name.into(), span }, ty, span: at })
    }

    pub(crate) fn missing_colon(&mut self, ty: Type) -> Type {
        let before = self.source[..ty.span.start as usize].trim_end();
        let name = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or("");
        let after = Span::new(before.len(), before.len());
        let kind = SyntaxErrorKind::MissingColon { name: name.into(), after };
        self.errors.push(SyntaxError { kind, span: ty.span });
        ty
    }

    pub(crate) fn expected_from(&mut self, at: Span) {
        let found = &self.source[at.range()];
        let kind = SyntaxErrorKind::Expected {
            expected: vec!["`from`".into()],
            after: None,
            found: Some(found.into()),
            meant: if found == "=" { Some("from") } else { nearest(found, ["from"]) },
            within: None,
        };
        self.errors.push(SyntaxError { kind, span: at });
    }

    /// A path without quotes, taken as far as it looks like one.
    pub(crate) fn unquoted_path(&mut self, first: Ident) {
        let rest = &self.source[first.span.start as usize..];
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"_.{}".contains(c)).unwrap_or(rest.len());
        let path = rest[..length].trim_end_matches(['.', '}', '{']);
        let span = Span { start: first.span.start, end: first.span.start + path.len() as u32 };
        self.errors.push(SyntaxError { kind: SyntaxErrorKind::UnquotedPath(path.into()), span });
    }

    pub(crate) fn text(&mut self, literal: &str, span: Span) -> Text {
        let (value, unknown) = unescape(literal);
        for at in unknown {
            let start = span.start as usize + at;
            let escaped = self.source[start + 1..].chars().next().map_or(0, char::len_utf8);
            let span = Span::new(start, start + 1 + escaped);
            self.errors.push(SyntaxError { kind: SyntaxErrorKind::UnknownEscape, span });
        }
        Text { value: value.into(), span }
    }
}

pub(crate) fn span(start: u32, end: u32) -> Span {
    Span { start, end: end.max(start) }
}

/// `span` stretched over what follows, if anything does.
pub(crate) fn to_end(span: Span, last: &Option<Expr>) -> Span {
    last.as_ref().map_or(span, |last| span.to(last.span))
}

pub(crate) fn param(name: Ident, ty: Type) -> Param {
    Param { span: name.span.to(ty.span), name, ty }
}

pub(crate) fn error_type(start: u32, end: u32) -> Type {
    Type { kind: TypeKind::Error, span: span(start, end) }
}

pub(crate) fn expr(kind: ExprKind, start: u32, end: u32) -> Expr {
    Expr { kind, span: span(start, end) }
}

pub(crate) fn tuple(first: Expr, rest: Vec<Expr>, start: u32, end: u32) -> Expr {
    let mut values = vec![first];
    values.extend(rest);
    expr(ExprKind::Tuple(values), start, end)
}

pub(crate) fn int(text: &str) -> ExprKind {
    ExprKind::Int(digits(text).parse().unwrap_or(u64::MAX))
}

pub(crate) fn float(text: &str) -> ExprKind {
    ExprKind::Float(digits(text).parse().unwrap_or(f64::MAX))
}

pub(crate) fn quantity(text: &str) -> ExprKind {
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '_' && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit = match unit {
        "ms" => Unit::Ms,
        "us" => Unit::Us,
        "KiB" => Unit::KiB,
        "MiB" => Unit::MiB,
        "GiB" => Unit::GiB,
        _ => Unit::Percent,
    };
    ExprKind::Quantity(digits(number).parse().unwrap_or(f64::MAX), unit)
}
