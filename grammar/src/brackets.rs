//! Pairs brackets before anything is parsed. What comes out is balanced and no deeper than [`MAX_NESTING`]: missing
//! closers are inserted where the next statement or item shows that they are missing, stray ones are left out, and each
//! such place is reported once and marked so that nothing else is reported there.

use crate::ast::Span;
use crate::error::{SyntaxError, SyntaxErrorKind};
use crate::lexer::{Tok, Token};

/// How deep brackets, operators of different precedence, prefixes and calls of calls may nest, all counted together.
pub const MAX_NESTING: usize = 256;

/// How many times the pairing starts again because indentation shows a better place for a missing brace.
const RETRIES: usize = 16;

/// Tokens whose brackets pair.
#[derive(Default)]
pub(crate) struct Balanced<'s> {
    pub(crate) tokens: Vec<Token<'s>>,
    /// For each opening bracket the index of the closing one; for other tokens their own index.
    pub(crate) partner: Vec<u32>,
    /// Indices of tokens at which something was mended, in order.
    pub(crate) mended: Vec<u32>,
    /// Indices of brackets whose inside is too deep to be parsed, in order.
    pub(crate) deep: Vec<u32>,
    pub(crate) errors: Vec<SyntaxError>,
}

/// Pairs the brackets of `tokens`.
pub(crate) fn balance<'s>(source: &'s str, tokens: &[Token<'s>]) -> Balanced<'s> {
    let mut short = Vec::new();
    loop {
        let mut pairing = Pairing { source, short: &short, ..Pairing::new(source) };
        for (i, token) in tokens.iter().enumerate() {
            pairing.token(*token, tokens.get(i + 1).map(|next| next.tok));
        }
        pairing.finish();
        match pairing.retry {
            Some(opener) if short.len() < RETRIES && !short.contains(&opener) => short.push(opener),
            _ => return pairing.out,
        }
    }
}

#[derive(Clone, Copy)]
struct Open {
    index: usize,
    tok: &'static str,
    span: Span,
    indent: u32,
    /// Brace groups that `if`s at this level still await.
    awaited: u32,
    /// Prefix and postfix operators on the operand in which the bracket stands.
    outer_run: usize,
    outer_height: Height,
    /// Whether indentation, not the next closing brace, ends it.
    short: bool,
}

/// How high the trees inside one pair of brackets are, as far as they have been read.
#[derive(Clone, Copy, Default)]
struct Height {
    /// Of the items before the last comma.
    done: usize,
    /// Of the brackets in this item.
    inner: usize,
    /// The precedences of the operators in this item, one bit each.
    operators: u8,
    /// The longest run of prefixes or suffixes in this item.
    run: usize,
}

impl Height {
    fn total(self) -> usize {
        self.done.max(self.inner + self.operators.count_ones() as usize + self.run)
    }
}

struct Pairing<'a, 's> {
    source: &'s str,
    out: Balanced<'s>,
    open: Vec<Open>,
    /// Openers that end by indentation.
    short: &'a [u32],
    /// The first opener closed by a brace that stands further left than its own line.
    suspects: Vec<Open>,
    retry: Option<u32>,
    /// Sum of `outer_run` over the open brackets, and the current run.
    outer_runs: usize,
    run: usize,
    height: Height,
    /// Brackets open inside a group that is left out because it is too deep.
    skipping: usize,
    /// Whether the current statement is known to be too deep.
    deep_reported: bool,
}

impl<'a, 's> Pairing<'a, 's> {
    fn new(source: &'s str) -> Pairing<'a, 's> {
        Pairing {
            source,
            out: Balanced::default(),
            open: Vec::new(),
            short: &[],
            suspects: Vec::new(),
            retry: None,
            outer_runs: 0,
            run: 0,
            height: Height::default(),
            skipping: 0,
            deep_reported: false,
        }
    }

    fn token(&mut self, token: Token<'s>, next: Option<Tok<'s>>) {
        self.close_before(&token, next);
        if self.skipping > 0 {
            match opener(token.tok) {
                Some(_) => self.skipping += 1,
                None if closer(token.tok).is_some() => self.skipping -= 1,
                None => {}
            }
            return;
        }
        if self.too_deep(&token) {
            return;
        }
        if let Some(tok) = opener(token.tok) {
            if token.tok == Tok::LBrace
                && let Some(level) = self.open.last_mut()
            {
                level.awaited = level.awaited.saturating_sub(1);
            }
            let short = self.short.contains(&token.span.start);
            let (index, outer_run) = (self.out.tokens.len(), std::mem::take(&mut self.run));
            let outer_height = std::mem::take(&mut self.height);
            self.outer_runs += outer_run;
            let (span, indent) = (token.span, token.indent);
            self.open.push(Open { index, tok, span, indent, awaited: 0, outer_run, outer_height, short });
            self.push(token);
        } else if let Some(openers) = closer(token.tok) {
            self.close(token, openers);
        } else {
            if token.tok == Tok::If
                && let Some(level) = self.open.last_mut()
            {
                level.awaited += 2;
            }
            self.push(token);
        }
    }

    /// Closes what must be closed before `token` can stand.
    fn close_before(&mut self, token: &Token<'s>, next: Option<Tok<'s>>) {
        let named = next == Some(Tok::Assign);
        if token.first_on_line && token.indent == 0 && begins_item(token.tok) && !named {
            (self.skipping, self.deep_reported) = (0, false);
            self.close_down_to(0, token, "the next item starts here");
        } else if begins_statement(token.tok) && !named {
            (self.skipping, self.deep_reported) = (0, false);
            let depth = self.open.iter().rposition(|open| open.tok == "{").map_or(0, |brace| brace + 1);
            self.close_down_to(depth, token, "the next statement starts here");
        } else if self.skipping == 0 {
            match token.tok {
                Tok::Arrow => {
                    let depth = self.open.iter().rposition(|open| open.tok == "{").map_or(0, |brace| brace + 1);
                    self.close_down_to(depth, token, "the result type starts here");
                }
                Tok::LBrace if self.open.last().is_some_and(|open| open.tok != "{" && open.awaited == 0) => {
                    let depth = self.open.iter().rposition(|open| open.tok == "{" || open.awaited > 0);
                    self.close_down_to(depth.map_or(0, |kept| kept + 1), token, "the body starts here");
                }
                _ => {}
            }
        }
        while let Some(open) = self.open.last().copied()
            && open.short
            && token.first_on_line
            && (token.indent < open.indent || (token.indent == open.indent && token.tok != Tok::RBrace))
        {
            self.close_down_to(self.open.len() - 1, token, "indented as if it were closed before this");
        }
    }

    /// Closes the brackets above `depth`, of which the innermost is reported.
    fn close_down_to(&mut self, depth: usize, token: &Token<'s>, what: &'static str) {
        self.unclosed(depth, Some((token.span, what)));
    }

    fn unclosed(&mut self, depth: usize, next: Option<(Span, &'static str)>) {
        if self.open.len() <= depth {
            return;
        }
        let innermost = self.open[self.open.len() - 1];
        let suspect = self.suspects.iter().find(|suspect| suspect.span.start > innermost.span.start);
        if let Some(suspect) = suspect
            && innermost.tok == "{"
            && self.retry.is_none()
        {
            self.retry = Some(suspect.span.start);
        }
        let (at, after) = match self.out.tokens.last() {
            Some(last) => (last.span.after(), self.source[last.span.range()].to_owned()),
            None => (innermost.span.after(), innermost.tok.to_owned()),
        };
        let insert: String = self.open[depth..].iter().rev().map(|open| closing(open.tok).1).collect();
        let opener = innermost.tok;
        let kind = SyntaxErrorKind::Unclosed { opener, next, insert, at, after };
        self.out.errors.push(SyntaxError { kind, span: innermost.span });
        while self.open.len() > depth {
            self.mend();
            let tok = closing(self.open[self.open.len() - 1].tok).0;
            self.pop();
            self.push(Token { tok, span: at, first_on_line: false, indent: 0 });
        }
    }

    /// Handles a closing bracket that pairs with one of `openers`.
    fn close(&mut self, token: Token<'s>, openers: &[&str]) {
        let brace = token.tok == Tok::RBrace;
        let found = self
            .open
            .iter()
            .enumerate()
            .rev()
            .take_while(|(_, open)| brace || open.tok != "{")
            .find(|(_, open)| openers.contains(&open.tok));
        let Some((level, _)) = found else {
            let closer = closing_text(token.tok);
            self.out.errors.push(SyntaxError { kind: SyntaxErrorKind::Unmatched(closer), span: token.span });
            self.mend();
            return;
        };
        self.unclosed(level + 1, Some((token.span, "this closes an outer bracket")));
        let open = self.open[level];
        if brace && token.first_on_line && token.indent < open.indent {
            self.suspects.push(open);
        }
        self.pop();
        self.push(token);
    }

    fn pop(&mut self) {
        let open = self.open.pop().expect("only open brackets are closed");
        self.out.partner[open.index] = self.out.tokens.len() as u32;
        self.outer_runs -= open.outer_run;
        self.run = open.outer_run;
        let inner = 1 + self.height.total();
        self.height = open.outer_height;
        if inner > MAX_NESTING {
            self.out.deep.push(self.out.tokens.len() as u32);
            self.report_deep(open.span);
        } else {
            self.height.inner = self.height.inner.max(inner);
        }
    }

    fn push(&mut self, token: Token<'s>) {
        self.out.partner.push(self.out.tokens.len() as u32);
        self.out.tokens.push(token);
    }

    fn mend(&mut self) {
        self.out.mended.push(self.out.tokens.len().saturating_sub(1) as u32);
    }

    /// Counts nesting; true where `token` passes the limit and must be left out.
    fn too_deep(&mut self, token: &Token<'s>) -> bool {
        let operand = self.out.tokens.last().is_some_and(|last| last.tok.ends_operand());
        match token.tok {
            Tok::Minus | Tok::Not if !operand => self.run += 1,
            Tok::LParen | Tok::LBracket if operand => self.run += 1,
            Tok::Dot | Tok::At => self.run += 1,
            Tok::LParen | Tok::LBracket | Tok::LBrace | Tok::HashBracket => {}
            tok if tok.ends_operand() => return false,
            tok => {
                self.run = 0;
                match precedence(tok) {
                    Some(bit) => self.height.operators |= 1 << bit,
                    None if tok == Tok::Comma || begins_statement(tok) => {
                        self.height = Height { done: self.height.total(), ..Height::default() };
                    }
                    None => {}
                }
                return false;
            }
        }
        self.height.run = self.height.run.max(self.run);
        if self.open.len() + self.outer_runs + self.run < MAX_NESTING {
            return false;
        }
        self.mend();
        self.report_deep(token.span);
        if opener(token.tok).is_some() {
            self.skipping = 1;
        }
        self.run = self.run.saturating_sub(1);
        true
    }

    /// Reports that the limit is passed, once for each statement.
    fn report_deep(&mut self, span: Span) {
        if !std::mem::replace(&mut self.deep_reported, true) {
            self.out.errors.push(SyntaxError { kind: SyntaxErrorKind::TooDeep, span });
        }
    }

    fn finish(&mut self) {
        self.unclosed(0, None);
    }
}

fn opener(tok: Tok) -> Option<&'static str> {
    match tok {
        Tok::LParen => Some("("),
        Tok::LBracket => Some("["),
        Tok::HashBracket => Some("#["),
        Tok::LBrace => Some("{"),
        _ => None,
    }
}

fn closer(tok: Tok) -> Option<&'static [&'static str]> {
    match tok {
        Tok::RParen => Some(&["("]),
        Tok::RBracket => Some(&["[", "#["]),
        Tok::RBrace => Some(&["{"]),
        _ => None,
    }
}

fn closing(opener: &str) -> (Tok<'static>, &'static str) {
    match opener {
        "(" => (Tok::RParen, ")"),
        "{" => (Tok::RBrace, "}"),
        _ => (Tok::RBracket, "]"),
    }
}

fn closing_text(tok: Tok) -> &'static str {
    match tok {
        Tok::RParen => ")",
        Tok::RBrace => "}",
        _ => "]",
    }
}

/// The precedence of an operator between two operands.
fn precedence(tok: Tok) -> Option<u8> {
    use Tok::*;
    match tok {
        Pipe => Some(0),
        Or => Some(1),
        And => Some(2),
        Eq | Ne | Lt | Le | Gt | Ge => Some(3),
        Plus | Minus => Some(4),
        Star | Slash | MatMul => Some(5),
        _ => None,
    }
}

/// Words that stand in column one only where an item begins.
fn begins_item(tok: Tok) -> bool {
    matches!(tok, Tok::Import | Tok::Fn | Tok::Block | Tok::Model | Tok::Profile)
}

/// Words that never stand inside parentheses or square brackets, save as the name of an argument.
fn begins_statement(tok: Tok) -> bool {
    use Tok::*;
    matches!(tok, Let | Weight | Set | Repeat | Fused | Assert | Return | Const | Dim | State | Entry | Weights)
}
