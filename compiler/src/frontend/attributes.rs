//! `#[…]`: names and storage of what follows, and what it asks of the active profile.

use super::elaborate::Elaborator;
use super::scope::Frame;
use super::term::Checks;
use super::words;
use crate::diag::Diagnostic;
use mlc_codegen::base::{DType, Packing};
use mlc_grammar::ast::{Attr, Expr, ExprKind, Func};
use std::collections::HashMap;

/// How a weight may be kept besides packings and element types.
const SPARSE: [&str; 3] = ["2:4", "blocks", "bitmask"];

impl Elaborator<'_> {
    /// Reads the attributes of a statement; they hold for what is elaborated until they are left.
    pub(super) fn enter_attributes(&mut self, frame: &Frame, attrs: &[Attr]) -> bool {
        if attrs.is_empty() {
            return false;
        }
        let mut directives = vec![];
        for entry in attrs.iter().flat_map(|attr| &attr.entries) {
            let Some((word, span)) = head(entry) else {
                let loc = self.loc(frame, entry.span);
                let _: Checks<()> = self.error("MDL0219", "an attribute is a name or a call", loc, "this is neither");
                continue;
            };
            match word {
                "name" => {}
                "storage" => drop(self.check_storage(frame, entry)),
                _ if super::profile_table::find(word).is_some() => {
                    let args = match &entry.kind {
                        ExprKind::Call(_, args) => args.as_slice(),
                        _ => &[],
                    };
                    let word = mlc_grammar::ast::Ident { name: word.into(), span };
                    directives.extend(self.directive(frame.module, &word, args, entry.span));
                }
                _ => {
                    let loc = self.loc(frame, span);
                    let known = super::profile_table::names().chain(["name", "storage"]);
                    let near = words::nearest(word, known).map(str::to_owned);
                    let message = format!("unknown attribute `{word}`");
                    let _: Checks<()> = self.unknown("MDL0219", message, loc, near.as_deref(), None);
                }
            }
        }
        self.attributes.push(directives);
        true
    }

    /// The statement is over.
    pub(super) fn leave_attributes(&mut self, pushed: bool) {
        if pushed {
            self.attributes.pop();
        }
    }

    fn check_storage(&mut self, frame: &Frame, entry: &Expr) -> Checks<()> {
        let arg = match &entry.kind {
            ExprKind::Call(_, args) => args.first(),
            _ => None,
        };
        let Some(arg) = arg else {
            let loc = self.loc(frame, entry.span);
            return self.error("MDL0219", "`storage` needs the name of a format", loc, "write storage(\"q4_k\")");
        };
        let loc = self.loc(frame, arg.value.span);
        let word = match &arg.value.kind {
            ExprKind::Str(text) | ExprKind::Name(text) => &**text,
            _ => return self.error("MDL0219", "a storage format is a word", loc, "this is none"),
        };
        let known = word.parse::<Packing>().is_ok() || word.parse::<DType>().is_ok() || SPARSE.contains(&word);
        if known {
            return Ok(());
        }
        let all: Vec<&str> =
            Packing::ALL.iter().map(|p| p.name()).chain(["f16", "bf16", "i8", "i4"]).chain(SPARSE).collect();
        let message = format!("unknown storage format `{word}`");
        let diagnostic = Diagnostic::error("MDL0219", message, loc, "not known");
        let diagnostic = match words::nearest(word, all.iter().copied()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic,
        };
        self.report(diagnostic.note(format!("formats are {}", all.join(" "))))
    }

    /// `#[name("in.1")]` names the entry, `#[name(x = "in.1")]` one of its arguments or results.
    pub(super) fn external_names(&mut self, frame: &Frame, func: &Func, attrs: &[Attr]) -> HashMap<String, String> {
        let mut names = HashMap::new();
        let entries = attrs.iter().flat_map(|attr| &attr.entries);
        for entry in entries.filter(|entry| head(entry).is_some_and(|(word, _)| word == "name")) {
            let ExprKind::Call(_, args) = &entry.kind else { continue };
            for arg in args {
                let loc = self.loc(frame, arg.span);
                let ExprKind::Str(text) = &arg.value.kind else {
                    let _: Checks<()> = self.error("MDL0219", "a name is quoted text", loc, "this is none");
                    continue;
                };
                let own = arg.name.as_ref().map_or("", |name| &name.name);
                let results = match &func.ret {
                    mlc_grammar::ast::Ret::Named(fields) => fields.as_slice(),
                    mlc_grammar::ast::Ret::Type(_) => &[],
                };
                let known = func.params.iter().chain(results).any(|param| &*param.name.name == own);
                if own.is_empty() || own == "out" || known {
                    names.insert(own.to_owned(), text.to_string());
                } else {
                    let message = format!("`{own}` is neither an argument nor a result of `{}`", func.name.name);
                    let _: Checks<()> = self.error("MDL0219", message, loc, "named here");
                }
            }
        }
        names
    }
}

fn head(entry: &Expr) -> Option<(&str, mlc_grammar::ast::Span)> {
    match &entry.kind {
        ExprKind::Name(name) => Some((name, entry.span)),
        ExprKind::Call(callee, _) => callee.as_name().map(|name| (name, callee.span)),
        _ => None,
    }
}
