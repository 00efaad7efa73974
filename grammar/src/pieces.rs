//! Cuts a file into pieces and parses each by itself: items, members, statements and directives all begin with a
//! word, and brackets are balanced by then, so where one piece is wrong the others are as good as if it were not there.

use crate::ast::{
    Body, Directive, Edition, File, Ident, Item, ItemKind, Member, MemberKind, Span, Stmt, StmtKind, Text,
};
use crate::brackets::{Balanced, balance};
use crate::build::{Context, Group, Piece, RawError};
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::expected;
use crate::grammar::PieceParser;
use crate::lexer::{Lexed, Tok, Token, lex};
use crate::print::{format, print_file};
use crate::words::{ITEMS, MEMBERS, STATEMENTS, nearest};

/// The editions of the language this reader knows.
const EDITIONS: [u64; 1] = [1];

/// A file as far as it parses, and all that is wrong with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// The tree; what did not parse is in it as `Error` nodes.
    pub file: File,
    /// The mistakes in the order of their places.
    pub errors: Vec<SyntaxError>,
    /// `///` lines that stand before nothing they could describe.
    pub stray_docs: Vec<Span>,
}

/// Parses a source file. It always returns; time is linear in the length of the text.
pub fn parse(source: &str) -> Parsed {
    if source.len() >= u32::MAX as usize {
        let error = SyntaxError { kind: SyntaxErrorKind::TooLong, span: Span::default() };
        return Parsed { errors: vec![error], ..Parsed::default() };
    }
    let lexed = lex(source);
    let balanced = balance(source, &lexed.tokens);
    let mut reader = Reader {
        source,
        docs: &lexed.docs,
        docs_used: vec![false; lexed.docs.len()],
        lexed: &lexed,
        tokens: &balanced,
        errors: Vec::new(),
        parser: PieceParser::new(),
    };
    let (edition, first) = reader.header();
    let items = reader.items(first);
    let mut errors = reader.errors;
    let unused = lexed.docs.iter().zip(&reader.docs_used).filter(|(_, used)| !**used);
    let stray_docs = unused.map(|((_, doc), _)| doc.span).collect();
    errors.extend(balanced.errors);
    errors.extend(lexed.errors);
    if errors.iter().any(|error| matches!(error.kind, SyntaxErrorKind::UnknownEdition(_))) {
        errors.retain(|error| matches!(error.kind, SyntaxErrorKind::UnknownEdition(_)));
    }
    errors.sort_by_key(|error| (error.span.start, error.span.end));
    Parsed { file: File { edition, docs: lexed.file_docs, items }, errors, stray_docs }
}

/// Parses bytes that may be no text at all, formats what parses, and parses that again: an entry for fuzzers, which
/// fails only by a panic.
pub fn fuzz_parse(bytes: &[u8]) {
    let source = String::from_utf8_lossy(bytes);
    let parsed = parse(&source);
    for error in &parsed.errors {
        error.parts();
    }
    if let Ok(text) = format(&source) {
        parse(&text);
    }
    print_file(&parsed.file);
}

/// Where a piece stands, and so which pieces may stand beside it.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    File,
    Model,
    Profile,
    Body,
}

/// The bounds of one piece in the token list.
struct Cut {
    start: usize,
    /// The first token after the attributes.
    lead: usize,
    end: usize,
    /// The braces whose inside is cut up in turn.
    group: Option<(usize, usize)>,
}

struct Reader<'a, 's> {
    source: &'s str,
    docs: &'a [(u32, Text)],
    docs_used: Vec<bool>,
    lexed: &'a Lexed<'s>,
    tokens: &'a Balanced<'s>,
    errors: Vec<SyntaxError>,
    parser: PieceParser,
}

impl<'s> Reader<'_, 's> {
    fn token(&self, i: usize) -> Token<'s> {
        self.tokens.tokens[i]
    }

    fn partner(&self, i: usize) -> usize {
        self.tokens.partner[i] as usize
    }

    fn text(&self, i: usize) -> &'s str {
        &self.source[self.token(i).span.range()]
    }

    fn report(&mut self, kind: SyntaxErrorKind, span: Span) {
        self.errors.push(SyntaxError { kind, span });
    }

    /// Reads `mdl 1`; returns the index of the first token after it.
    fn header(&mut self) -> (Option<Edition>, usize) {
        let tokens = &self.tokens.tokens;
        match (tokens.first().map(|token| token.tok), tokens.get(1).map(|token| token.tok)) {
            (Some(Tok::Mdl), Some(Tok::Int(text))) => {
                let span = tokens[0].span.to(tokens[1].span);
                let number = text.parse().unwrap_or(u64::MAX);
                if !EDITIONS.contains(&number) {
                    self.report(SyntaxErrorKind::UnknownEdition(number), span);
                }
                (Some(Edition { number, span }), 2)
            }
            (Some(Tok::Mdl), _) => {
                let span = tokens[0].span;
                self.report(
                    SyntaxErrorKind::Expected {
                        expected: vec!["an edition number".into()],
                        after: Some("`mdl`".into()),
                        found: None,
                        meant: None,
                        within: None,
                    },
                    span,
                );
                (None, 1)
            }
            _ => {
                self.report(SyntaxErrorKind::MissingEdition, Span::default());
                (None, 0)
            }
        }
    }

    fn items(&mut self, start: usize) -> Vec<Item> {
        let end = self.tokens.tokens.len();
        let mut items = Vec::new();
        for cut in self.cuts(start, end, Place::File) {
            let docs = self.docs_at(cut.start);
            let kind = ItemKind::Error(self.names(&cut));
            let lost = Item { docs: Vec::new(), attrs: Vec::new(), kind, span: self.span(cut.lead, cut.end) };
            let item = match self.piece(&cut, Place::File) {
                Some(Piece::Item(item)) => item,
                _ => lost,
            };
            items.push(Item { docs, ..item });
        }
        items
    }

    fn members(&mut self, start: usize, end: usize) -> Vec<Member> {
        let mut members = Vec::new();
        for cut in self.cuts(start, end, Place::Model) {
            let docs = self.docs_at(cut.start);
            let kind = MemberKind::Error(self.names(&cut));
            let lost = Member { docs: Vec::new(), attrs: Vec::new(), kind, span: self.span(cut.lead, cut.end) };
            let member = match self.piece(&cut, Place::Model) {
                Some(Piece::Member(member)) => member,
                _ => lost,
            };
            members.push(Member { docs, ..member });
        }
        members
    }

    fn directives(&mut self, start: usize, end: usize) -> Vec<Directive> {
        let cuts = self.cuts(start, end, Place::Profile);
        let pieces = cuts.iter().filter_map(|cut| match self.piece(cut, Place::Profile)? {
            Piece::Directive(directive) => Some(directive),
            _ => None,
        });
        pieces.collect()
    }

    fn stmts(&mut self, start: usize, end: usize) -> Vec<Stmt> {
        let mut stmts = Vec::new();
        for cut in self.cuts(start, end, Place::Body) {
            let kind = StmtKind::Error(self.names(&cut));
            let lost = Stmt { attrs: Vec::new(), kind, span: self.span(cut.lead, cut.end) };
            stmts.push(match self.piece(&cut, Place::Body) {
                Some(Piece::Stmt(stmt)) => stmt,
                _ => lost,
            });
        }
        stmts
    }

    /// Cuts the tokens from `start` to `end` into pieces.
    fn cuts(&self, start: usize, end: usize, place: Place) -> Vec<Cut> {
        let mut cuts = Vec::new();
        let mut at = start;
        while at < end {
            let cut = self.cut(at, end, place);
            at = cut.end;
            cuts.push(cut);
        }
        cuts
    }

    fn cut(&self, start: usize, limit: usize, place: Place) -> Cut {
        let mut lead = start;
        while lead < limit && self.token(lead).tok == Tok::HashBracket {
            lead = self.partner(lead) + 1;
        }
        if lead >= limit {
            return Cut { start, lead: start, end: limit, group: None };
        }
        let grouped = match self.token(lead).tok {
            Tok::Fn | Tok::Block | Tok::Entry | Tok::Repeat | Tok::Fused | Tok::Model | Tok::Profile => true,
            Tok::Ident(_) => place != Place::Body && place != Place::Profile,
            _ => false,
        };
        let (mut at, mut awaited) = (lead, 0);
        while at < limit {
            let tok = self.token(at).tok;
            if at > lead && self.begins(at, place) {
                return Cut { start, lead, end: at, group: None };
            }
            match tok {
                Tok::If => awaited += 2,
                Tok::LBrace if awaited > 0 => awaited -= 1,
                Tok::LBrace if grouped => {
                    let close = self.partner(at);
                    return Cut { start, lead, end: close + 1, group: Some((at, close)) };
                }
                _ => {}
            }
            at = self.partner(at) + 1;
        }
        Cut { start, lead, end: limit, group: None }
    }

    /// Whether a new piece begins at this token, which stands in no bracket of the current one.
    fn begins(&self, at: usize, place: Place) -> bool {
        use Tok::*;
        let token = self.token(at);
        match token.tok {
            Ident(_) | HashBracket if place == Place::Profile => true,
            _ if place == Place::Profile => false,
            Import | Const | Dim | Fn | Block | Model | Profile | Weights | State | Entry | Let | Weight | Set
            | Repeat | Fused | Assert | Return | Mdl | HashBracket => true,
            Ident(_) | Int(_) | Float(_) | Str(_) => token.first_on_line && self.token(at - 1).tok.ends_operand(),
            _ => false,
        }
    }

    fn span(&self, start: usize, end: usize) -> Span {
        self.token(start).span.to(self.token(end - 1).span)
    }

    /// Takes the documentation that stands before token `at`.
    fn docs_at(&mut self, at: usize) -> Vec<Text> {
        let offset = self.token(at).span.start;
        let first = self.docs.partition_point(|(next, _)| *next < offset);
        let count = self.docs[first..].iter().take_while(|(next, _)| *next == offset).count();
        self.docs_used[first..first + count].fill(true);
        self.docs[first..first + count].iter().map(|(_, doc)| doc.clone()).collect()
    }

    /// The names a piece would bring into scope.
    fn names(&self, cut: &Cut) -> Vec<Ident> {
        let ident = |at: usize| match self.token(at).tok {
            Tok::Ident(name) => Some(Ident { name: name.into(), span: self.token(at).span }),
            _ => None,
        };
        let after = cut.lead + 1;
        if after >= cut.end || matches!(self.token(cut.lead).tok, Tok::Set | Tok::Assert | Tok::Return | Tok::Repeat) {
            return Vec::new();
        }
        match self.token(after).tok {
            Tok::LParen | Tok::LBrace => (after + 1..self.partner(after)).filter_map(ident).collect(),
            Tok::Assign => ident(cut.lead).into_iter().collect(),
            _ => ident(after).into_iter().collect(),
        }
    }

    /// Parses one piece; none where its tree would be wrong, and then a mistake in it has been reported.
    fn piece(&mut self, cut: &Cut, place: Place) -> Option<Piece> {
        if within(&self.tokens.deep, cut.start, cut.group.map_or(cut.end, |(open, _)| open)) {
            return None;
        }
        let lead = self.token(cut.lead);
        let (instead, doubtful) = self.lead(cut, place)?;
        let group = cut.group.map(|(open, close)| self.group(instead, open, close));
        let head = cut.group.map_or(cut.end, |(open, _)| open);
        let mut stream = vec![Ok((lead.span.start, start_of(place), lead.span.start))];
        for i in cut.start..head {
            let Token { tok, span, .. } = self.token(i);
            match instead {
                Tok::Let if i == cut.lead && lead.tok != Tok::Let => {
                    stream.push(Ok((span.start, Tok::Let, span.start)));
                    stream.push(Ok((span.start, tok, span.end)));
                }
                _ if i == cut.lead => stream.push(Ok((span.start, instead, span.end))),
                _ => stream.push(Ok((span.start, tok, span.end))),
            }
        }
        if let Some((open, close)) = cut.group {
            stream.push(Ok((self.token(open).span.start, Tok::Group, self.token(close).span.end)));
        }
        let mut context = Context { source: self.source, group, errors: Vec::new(), recovered: Vec::new() };
        let parsed = self.parser.parse(&mut context, stream);
        let mut raw = context.recovered;
        let piece = parsed.map_err(|error| raw.push(error)).ok();
        if doubtful {
            return piece.filter(|_| raw.is_empty() && context.errors.is_empty());
        }
        self.reject(cut, head, context.errors, raw);
        piece
    }

    /// Checks the first word of a piece. Returns the token to parse in its place, and whether that is only a guess; or
    /// none where no guess would do.
    fn lead(&mut self, cut: &Cut, place: Place) -> Option<(Tok<'s>, bool)> {
        let (token, text) = (self.token(cut.lead), self.text(cut.lead));
        let home = match place {
            Place::File => ITEMS.contains(&text),
            Place::Model => MEMBERS.contains(&text),
            Place::Body => STATEMENTS.contains(&text),
            Place::Profile => matches!(token.tok, Tok::Ident(_)),
        };
        if home || cut.lead == cut.start && token.tok == Tok::HashBracket {
            return Some((token.tok, false));
        }
        let Tok::Ident(word) = token.tok else {
            self.misplaced(cut, place);
            return None;
        };
        let known: &[&'static str] = match place {
            Place::File => &ITEMS,
            Place::Model => &MEMBERS,
            _ => &STATEMENTS,
        };
        let assigned = cut.lead + 1 < cut.end && self.token(cut.lead + 1).tok == Tok::Assign;
        if place == Place::Body && assigned {
            self.report(SyntaxErrorKind::BareAssignment(word.into()), token.span);
            return Some((Tok::Let, false));
        }
        let meant = nearest(word, known.iter().copied());
        let kind = match place {
            Place::File => SyntaxErrorKind::UnknownItem { word: word.into(), meant },
            Place::Model => SyntaxErrorKind::UnknownMember { word: word.into(), meant },
            _ => SyntaxErrorKind::StrayExpression { word: word.into(), meant },
        };
        self.report(kind, token.span);
        let meant = lex(meant?).tokens[0].tok;
        (meant != Tok::Let).then_some((meant, true))
    }

    /// Reports a piece that cannot stand here.
    fn misplaced(&mut self, cut: &Cut, place: Place) {
        let (token, text) = (self.token(cut.lead), self.text(cut.lead));
        if self.mended(cut.start, cut.end) {
            return;
        }
        let (class, name) = match place {
            Place::File => ("an item", "a file"),
            Place::Model => ("a member of the model", "a model"),
            Place::Profile => ("a directive", "a profile"),
            Place::Body => ("a statement", "a body"),
        };
        let keyword = ITEMS.iter().chain(&MEMBERS).chain(&STATEMENTS).any(|known| *known == text);
        let kind = if keyword {
            SyntaxErrorKind::Misplaced { keyword: text.into(), place: name }
        } else {
            SyntaxErrorKind::Expected {
                expected: vec![class.into()],
                after: None,
                found: Some(text.into()),
                meant: None,
                within: None,
            }
        };
        self.report(kind, token.span);
    }

    fn group(&mut self, keyword: Tok<'s>, open: usize, close: usize) -> Group {
        match keyword {
            Tok::Model => Group::Members(self.members(open + 1, close)),
            Tok::Profile => Group::Directives(self.directives(open + 1, close)),
            _ => Group::Body(Body { stmts: self.stmts(open + 1, close), span: self.span(open, close + 1) }),
        }
    }

    /// Whether brackets were mended between two tokens.
    fn mended(&self, start: usize, end: usize) -> bool {
        within(&self.tokens.mended, start, end)
    }

    /// Reports what the parser found wrong in a piece, save where the cause is reported already.
    fn reject(&mut self, cut: &Cut, head: usize, errors: Vec<SyntaxError>, raw: Vec<RawError<'s>>) {
        let keyword = self.text(cut.lead);
        let known: Vec<Span> = errors.iter().map(|error| error.span).collect();
        for mut error in errors {
            if let SyntaxErrorKind::Expected { after, within, .. } = &mut error.kind {
                *within = Some(keyword.to_owned());
                *after = match self.names(cut).first() {
                    Some(name) if keyword == "weight" => Some(format!("the type of `{}`", name.name)),
                    _ if keyword == "weights" => Some("`weights`".into()),
                    _ => None,
                };
            }
            self.errors.push(error);
        }
        if self.mended(cut.start, head) {
            return;
        }
        let mut last_bad = None;
        for error in raw {
            let at = expected::position(&error);
            if known.iter().any(|span| span.range().contains(&(at as usize))) {
                continue;
            }
            let index = self.tokens.tokens[cut.start..head].partition_point(|token| token.span.start < at);
            let before = (index > 0).then(|| self.token(cut.start + index - 1));
            let gap = before.map_or(0, |token| token.span.end)..at;
            let bad = self.lexed.bad.partition_point(|bad| bad.start < gap.start);
            if self.lexed.bad.get(bad).is_some_and(|bad| bad.start < gap.end) || last_bad == Some(at) {
                continue;
            }
            last_bad = Some(at);
            self.errors.push(expected::explain(self.source, &error, before, keyword));
        }
    }
}

/// Whether one of the ordered `places` lies from `start` up to `end`.
fn within(places: &[u32], start: usize, end: usize) -> bool {
    let first = places.partition_point(|at| (*at as usize) < start);
    places.get(first).is_some_and(|at| (*at as usize) < end)
}

fn start_of(place: Place) -> Tok<'static> {
    match place {
        Place::File => Tok::StartItem,
        Place::Model => Tok::StartMember,
        Place::Profile => Tok::StartDirective,
        Place::Body => Tok::StartStmt,
    }
}
