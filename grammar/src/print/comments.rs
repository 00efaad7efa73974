//! The comments and blank lines of a source text, handed out in order as the printer passes their places.

use crate::ast::Span;
use crate::lexer::Comment;

pub(crate) struct Comments<'s> {
    pub(crate) source: &'s str,
    comments: Vec<Comment>,
    next: usize,
    /// The end of what was printed last.
    seen: usize,
}

impl<'s> Comments<'s> {
    pub(crate) fn new(source: &'s str, comments: Vec<Comment>) -> Comments<'s> {
        Comments { source, comments, next: 0, seen: 0 }
    }

    /// The next comment before byte `limit`: whether a blank line stands above it, and its text.
    pub(crate) fn before(&mut self, limit: u32) -> Option<(bool, &'s str)> {
        let span = self.comments.get(self.next)?.span;
        if span.start >= limit {
            return None;
        }
        self.next += 1;
        Some((self.blank_before(span.start), self.take(span)))
    }

    /// The comment on the line on which byte `end` stands, if nothing is between them.
    pub(crate) fn trailing(&mut self, end: u32) -> Option<&'s str> {
        self.seen = self.seen.max(end as usize);
        let comment = self.comments.get(self.next)?;
        let (span, own_line) = (comment.span, comment.own_line);
        let gap = self.source.get(end as usize..span.start as usize)?;
        if own_line || !gap.chars().all(|c| c == ' ' || c == '\t') {
            return None;
        }
        self.next += 1;
        Some(self.take(span))
    }

    /// Whether a blank line stands between what was printed last and byte `start`.
    pub(crate) fn blank_before(&self, start: u32) -> bool {
        let gap = self.source.get(self.seen..start as usize).unwrap_or("");
        gap.bytes().filter(|byte| *byte == b'\n').count() > 1
    }

    /// The source of `span` as it stands, if a comment is inside.
    pub(crate) fn commented(&mut self, span: Span) -> Option<String> {
        let inside = self.comments[self.next..].partition_point(|comment| comment.span.start < span.end);
        if inside == 0 {
            return None;
        }
        self.next += inside;
        let lines: Vec<&str> = self.source[span.range()].trim_end().lines().map(str::trim_end).collect();
        Some(lines.join("\n"))
    }

    /// The first `{` at or after byte `from` that no comment holds.
    pub(crate) fn brace_from(&self, from: u32) -> Option<u32> {
        let braces = self.source.get(from as usize..)?.match_indices('{');
        braces.map(|(at, _)| from + at as u32).find(|at| {
            let next = self.comments.partition_point(|comment| comment.span.end <= *at);
            self.comments.get(next).is_none_or(|comment| comment.span.start > *at)
        })
    }

    fn take(&mut self, span: Span) -> &'s str {
        self.seen = span.end as usize;
        self.source[span.range()].trim_end()
    }
}
