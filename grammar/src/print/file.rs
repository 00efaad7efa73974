//! Items, members and statements: one line each, or a line, an indented body and a closing brace.

use crate::ast::{
    Attr, Body, Const, Dim, DimKind, Directive, File, Func, Ident, ImportNames, Item, ItemKind, Member, MemberKind,
    Param, Pattern, Ret, Span, StaticParam, Stmt, StmtKind, Text,
};
use crate::lexer::escape;
use crate::print::comments::Comments;
use crate::print::expr::{Binding, Speller};
use crate::print::layout::Layout;

/// Spaces of one level.
const STEP: usize = 2;

pub(crate) struct Printer<'s> {
    out: String,
    indent: usize,
    /// Of a parsed tree: its source, of which comments, blank lines and spelling are kept.
    comments: Option<Comments<'s>>,
    spell: Speller<'s>,
    /// Whether nothing has been printed in this body yet.
    fresh: bool,
}

impl<'s> Printer<'s> {
    pub(crate) fn new(comments: Option<Comments<'s>>) -> Printer<'s> {
        let spell = Speller { source: comments.as_ref().map(|comments| comments.source) };
        Printer { out: String::new(), indent: 0, comments, spell, fresh: true }
    }

    pub(crate) fn file(mut self, file: &File) -> String {
        let (number, span) =
            file.edition.as_ref().map_or((1, Span::default()), |edition| (edition.number, edition.span));
        self.line(span, Layout::text(format!("mdl {number}")));
        if self.comments.is_none() {
            self.docs(&file.docs, "//!");
        }
        let mut last: Option<&Item> = None;
        for item in &file.items {
            if self.comments.is_none() && last.is_none_or(|last| !together(last, item)) {
                self.out.push('\n');
            }
            self.item(item);
            last = Some(item);
        }
        self.remaining(u32::MAX);
        self.out
    }

    fn item(&mut self, item: &Item) {
        self.above(&item.docs, &item.attrs);
        let span = item.span;
        match &item.kind {
            ItemKind::Import(import) => {
                let names = match &import.names {
                    ImportNames::File(name) => Layout::text(&*name.name),
                    ImportNames::Items(names) if names.is_empty() => Layout::text("{}"),
                    ImportNames::Items(names) => Layout::text(format!("{{ {} }}", idents(names))),
                };
                let from = Layout::text(format!(" from {}", escape(&import.from.value)));
                self.line(span, Layout::All(vec![Layout::text("import "), names, from]));
            }
            ItemKind::Const(constant) => self.line(span, self.constant(constant)),
            ItemKind::Dim(dim) => self.line(span, self.dim(dim)),
            ItemKind::Fn(func) => self.func("fn", func, span),
            ItemKind::Block(func) => self.func("block", func, span),
            ItemKind::Model(model) => {
                let mut head = vec![Layout::text(format!("model {}", model.name.name))];
                head.extend(self.statics(&model.statics));
                let body = self.brace_after(&model.statics, model.name.span, span);
                self.open(span, body, Layout::All(head));
                for (i, member) in model.members.iter().enumerate() {
                    let entry = matches!(member.kind, MemberKind::Entry(_));
                    if self.comments.is_none() && entry && i > 0 {
                        self.out.push('\n');
                    }
                    self.member(member);
                }
                self.close(span.end, !model.members.is_empty());
            }
            ItemKind::Profile(profile) => {
                let body = self.brace_after(&[], profile.name.span, span);
                self.open(span, body, Layout::text(format!("profile {}", profile.name.name)));
                for directive in &profile.directives {
                    self.line(directive.span, self.directive(directive));
                }
                self.close(span.end, !profile.directives.is_empty());
            }
            ItemKind::Error(_) => {}
        }
    }

    fn member(&mut self, member: &Member) {
        self.above(&member.docs, &member.attrs);
        let span = member.span;
        match &member.kind {
            MemberKind::Const(constant) => self.line(span, self.constant(constant)),
            MemberKind::Dim(dim) => self.line(span, self.dim(dim)),
            MemberKind::Weights { from, at } => {
                let at = at.as_ref().map_or(String::new(), |at| format!(" at {}", escape(&at.value)));
                self.line(span, Layout::text(format!("weights from {}{at}", escape(&from.value))));
            }
            MemberKind::State { name, ty } => {
                let name = Layout::text(format!("state {}: ", name.name));
                self.line(span, Layout::All(vec![name, self.spell.ty(ty)]));
            }
            MemberKind::Entry(func) => self.func("entry", func, span),
            MemberKind::Error(_) => {}
        }
    }

    fn func(&mut self, keyword: &str, func: &Func, span: Span) {
        let mut head = vec![Layout::text(format!("{keyword} {}", func.name.name))];
        head.extend(self.statics(&func.statics));
        head.push(Layout::list("(", self.params(&func.params), ")"));
        let ret = match &func.ret {
            Ret::Type(ty) => self.spell.ty(ty),
            Ret::Named(fields) => Layout::list("(", self.params(fields), ")"),
        };
        head.push(Layout::group(vec![Layout::indent(2 * STEP, vec![Layout::Line, Layout::text("-> "), ret])]));
        self.body(span, Layout::All(head), &func.body);
    }

    fn stmt(&mut self, stmt: &Stmt) {
        self.above(&[], &stmt.attrs);
        let (span, spell) = (stmt.span, self.spell);
        let keyword = |word: &str, value| Layout::All(vec![Layout::text(word), spell.expr(value)]);
        match &stmt.kind {
            StmtKind::Let { pattern, ty, value } => {
                let pattern = match pattern {
                    Pattern::Name(name) => format!("let {}", name.name),
                    Pattern::Tuple(names) => format!("let ({})", idents(names)),
                };
                let mut parts = vec![Layout::text(pattern)];
                parts.extend(ty.iter().flat_map(|ty| [Layout::text(": "), spell.ty(ty)]));
                parts.extend([Layout::text(" = "), spell.expr(value)]);
                self.line(span, Layout::All(parts));
            }
            StmtKind::Weight { name, ty, from, default } => {
                let mut parts = vec![Layout::text(format!("weight {}: ", name.name)), spell.ty(ty)];
                parts.push(Layout::text(format!(" from {}", escape(&from.value))));
                parts.extend(default.iter().flat_map(|value| [Layout::text(" else "), spell.expr(value)]));
                self.line(span, Layout::All(parts));
            }
            StmtKind::Set { target, value } => {
                let target = spell.at_least(target, Binding::Postfix);
                let parts = vec![Layout::text("set "), target, Layout::text(" = "), spell.expr(value)];
                self.line(span, Layout::All(parts));
            }
            StmtKind::Repeat { index, start, end, cond, carry, body } => {
                let mut parts = vec![Layout::text(format!("repeat {} in ", index.name)), spell.expr(start)];
                parts.extend([Layout::text(".."), spell.expr(end)]);
                parts.extend(cond.iter().flat_map(|cond| [Layout::text(" while "), spell.expr(cond)]));
                if !carry.is_empty() {
                    parts.push(Layout::text(format!(" carry {}", idents(carry))));
                }
                self.body(span, Layout::All(parts), body);
            }
            StmtKind::Fused { name, body } => {
                self.body(span, Layout::text(format!("fused {}", escape(&name.value))), body);
            }
            StmtKind::Assert(value) => self.line(span, keyword("assert ", value)),
            StmtKind::Return(value) => self.line(span, keyword("return ", value)),
            StmtKind::Const(constant) => self.line(span, self.constant(constant)),
            StmtKind::Dim(dim) => self.line(span, self.dim(dim)),
            StmtKind::Error(_) => {}
        }
    }

    fn constant(&self, constant: &Const) -> Layout {
        let mut parts = vec![Layout::text(format!("const {}", constant.name.name))];
        parts.extend(constant.ty.iter().flat_map(|ty| [Layout::text(": "), self.spell.ty(ty)]));
        parts.extend([Layout::text(" = "), self.spell.expr(&constant.value)]);
        Layout::All(parts)
    }

    fn dim(&self, dim: &Dim) -> Layout {
        let mut parts = vec![Layout::text(format!("dim {}", dim.name.name))];
        match &dim.kind {
            DimKind::Free => {}
            DimKind::Is(size) => parts.extend([Layout::text(" = "), self.spell.expr(size)]),
            DimKind::Range(low, high) => {
                parts.extend([Layout::text(" in "), self.spell.expr(low), Layout::text("..="), self.spell.expr(high)]);
            }
        }
        Layout::All(parts)
    }

    fn directive(&self, directive: &Directive) -> Layout {
        let args = directive.args.iter().map(|arg| self.spell.arg(arg)).collect();
        Layout::All(vec![Layout::text(&*directive.name.name), Layout::list("(", args, ")")])
    }

    fn statics(&self, statics: &[StaticParam]) -> Option<Layout> {
        let spell = self.spell;
        let param = |param: &StaticParam| {
            let mut parts = vec![Layout::text(&*param.name.name)];
            parts.extend(param.ty.iter().flat_map(|ty| [Layout::text(": "), spell.ty(ty)]));
            parts.extend(param.default.iter().flat_map(|value| [Layout::text(" = "), spell.expr(value)]));
            Layout::All(parts)
        };
        (!statics.is_empty()).then(|| Layout::list("[", statics.iter().map(param).collect(), "]"))
    }

    fn params(&self, params: &[Param]) -> Vec<Layout> {
        let param = |p: &Param| Layout::All(vec![Layout::text(format!("{}: ", p.name.name)), self.spell.ty(&p.ty)]);
        params.iter().map(param).collect()
    }

    /// Prints what stands above a construct: its documentation and its attributes.
    fn above(&mut self, docs: &[Text], attrs: &[Attr]) {
        if self.comments.is_none() {
            self.docs(docs, "///");
        }
        for attr in attrs {
            let entries = attr.entries.iter().map(|e| self.spell.at_least(e, Binding::Postfix)).collect();
            self.line(attr.span, Layout::list("#[", entries, "]"));
        }
    }

    fn docs(&mut self, docs: &[Text], slashes: &str) {
        for doc in docs {
            let space = if doc.value.is_empty() { "" } else { " " };
            self.line(doc.span, Layout::text(format!("{slashes}{space}{}", doc.value)));
        }
    }

    fn body(&mut self, span: Span, head: Layout, body: &Body) {
        self.open(span, body.span.start, head);
        for stmt in &body.stmts {
            self.stmt(stmt);
        }
        self.close(body.span.end, !body.stmts.is_empty());
    }

    /// Prints a construct that takes no braces.
    fn line(&mut self, span: Span, layout: Layout) {
        self.remaining(span.start);
        let blank = self.comments.as_ref().is_some_and(|comments| comments.blank_before(span.start));
        self.start_line(blank);
        match self.comments.as_mut().and_then(|comments| comments.commented(span)) {
            Some(written) => self.out.push_str(&written),
            None => layout.render(self.indent, &mut self.out),
        }
        self.end_line(span.end);
    }

    /// Prints the head of a construct up to its brace, which stands at byte `brace`.
    fn open(&mut self, span: Span, brace: u32, head: Layout) {
        let head = Layout::All(vec![head, Layout::text(" {")]);
        let end = if self.comments.is_some() { brace + 1 } else { brace };
        self.line(Span { start: span.start, end }, head);
        self.indent += STEP;
        self.fresh = true;
    }

    /// Prints the brace that ends at byte `end`, on the line of its opener where nothing stands between them.
    fn close(&mut self, end: u32, filled: bool) {
        let before = self.out.len();
        self.remaining(end);
        self.indent -= STEP;
        if !filled && self.out.len() == before && self.out.ends_with("{\n") {
            self.out.pop();
        } else {
            self.start_line(false);
        }
        self.out.push('}');
        self.end_line(end);
    }

    /// Prints the comments before byte `limit` on lines of their own.
    fn remaining(&mut self, limit: u32) {
        while let Some((blank, text)) = self.comments.as_mut().and_then(|comments| comments.before(limit)) {
            self.start_line(blank);
            self.out.push_str(text);
            self.out.push('\n');
        }
    }

    fn start_line(&mut self, blank: bool) {
        if blank && !self.fresh {
            self.out.push('\n');
        }
        self.fresh = false;
        self.out.extend(std::iter::repeat_n(' ', self.indent));
    }

    fn end_line(&mut self, end: u32) {
        if let Some(comment) = self.comments.as_mut().and_then(|comments| comments.trailing(end)) {
            self.out.push_str("  ");
            self.out.push_str(comment);
        }
        self.out.push('\n');
    }

    /// Where the brace of a model or profile stands: the first after its name and static parameters.
    fn brace_after(&self, statics: &[StaticParam], name: Span, whole: Span) -> u32 {
        let from = statics.last().map_or(name.end, |last| last.span.end);
        let comments = self.comments.as_ref();
        comments.map_or(whole.start, |comments| comments.brace_from(from).unwrap_or(whole.end))
    }
}

fn idents(names: &[Ident]) -> String {
    names.iter().map(|ident| &*ident.name).collect::<Vec<_>>().join(", ")
}

/// Whether two neighbours are printed without a blank line between them.
fn together(a: &Item, b: &Item) -> bool {
    let short = |item: &Item| matches!(item.kind, ItemKind::Import(_) | ItemKind::Const(_) | ItemKind::Dim(_));
    short(a) && short(b) && b.docs.is_empty()
}
