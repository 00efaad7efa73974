//! Profiles as plain data: directives with their arguments checked, selectors matched against the model's paths.

use super::elaborate::{Elaborator, rename};
use super::profile_table::{Row, Takes, find, names};
use super::term::Checks;
use super::words;
use crate::diag::Diagnostic;
use crate::types::Loc;
use mlc_grammar::ast::{Arg, Expr, ExprKind, Ident, ItemKind, Span, UnaryOp, Unit};

/// `profile NAME { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// In order; for one weight the last match wins.
    pub directives: Vec<Directive>,
    /// The declaration.
    pub loc: Loc,
}

/// One line of a profile, or an attribute that refines it.
#[derive(Clone, Debug, PartialEq)]
pub struct Directive {
    /// `quantize`, `prune`, …
    pub name: String,
    /// Arguments by name, in source order; those without a name have an empty one.
    pub args: Vec<(String, Argument)>,
    /// Where it stands.
    pub loc: Loc,
}

/// The value of an argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// A word or quoted text.
    Text(String),
    /// An integer.
    Int(i64),
    /// A number.
    Number(f64),
    /// A share of 1.
    Share(f64),
    /// A time in seconds.
    Seconds(f64),
    /// A size in bytes.
    Bytes(f64),
    /// `true` or `false`.
    Bool(bool),
    /// Several of them.
    List(Vec<Argument>),
}

/// What an attribute in the model asks of the active profile.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// The key of a weight in what it applies to.
    pub key: String,
    /// What it asks.
    pub directive: Directive,
}

impl Directive {
    /// An argument by its name.
    pub fn get(&self, name: &str) -> Option<&Argument> {
        self.args.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }
}

impl Elaborator<'_> {
    /// The profiles of the file that is checked. `keys` are the model's paths, where it is sound.
    pub(super) fn profiles(&mut self, root: usize, keys: Option<&[String]>) -> Vec<Profile> {
        let mut all: Vec<Profile> = vec![];
        for item in &self.files[root].parsed.file.items {
            let ItemKind::Profile(profile) = &item.kind else { continue };
            let name = profile.name.name.to_string();
            let loc = self.loc_in(root, profile.name.span);
            let mut directives = vec![];
            for directive in &profile.directives {
                directives.extend(self.directive(root, &directive.name, &directive.args, directive.span));
                if let Some(keys) = keys {
                    directive.args.iter().for_each(|arg| self.selectors(root, &directive.name.name, arg, keys));
                }
            }
            all.push(Profile { name, directives, loc });
        }
        if let Some(wanted) = &self.options.profile
            && !all.iter().any(|profile| profile.name == *wanted)
        {
            let message = format!("there is no profile `{wanted}` in this file");
            let diagnostic = Diagnostic::error("MDL0209", message, self.loc_in(root, Span::default()), "");
            let _: Checks<()> = self.report(match all.is_empty() {
                true => diagnostic.note("the file has no profile"),
                false => diagnostic.note(format!("it has {}", words::listed(all.iter().map(|p| &p.name)))),
            });
        }
        all
    }

    /// A directive with its arguments checked; `None` when its name is not known.
    pub(super) fn directive(&mut self, module: usize, name: &Ident, args: &[Arg], span: Span) -> Option<Directive> {
        let Some(row) = find(&name.name) else {
            let loc = self.loc_in(module, name.span);
            let near = words::nearest(&name.name, names());
            let all: Vec<&str> = names().collect();
            let note = format!("directives are {}", all.join(", "));
            let message = format!("unknown directive `{}`", name.name);
            let _: Checks<()> = self.unknown("MDL0506", message, loc, near, Some(&note));
            return None;
        };
        let mut values = vec![];
        for arg in args {
            let takes = match &arg.name {
                None => row.positional,
                Some(word) => match row.args.iter().find(|(own, _)| *own == &*word.name) {
                    Some((_, takes)) => Some(*takes),
                    None => {
                        self.no_directive_argument(module, row, word);
                        continue;
                    }
                },
            };
            let loc = self.loc_in(module, arg.value.span);
            let Some(takes) = takes else {
                let message = format!("the arguments of `{}` have names", row.name);
                let all: Vec<&str> = row.args.iter().map(|(own, _)| *own).collect();
                let diagnostic = Diagnostic::error("MDL0507", message, loc, "this has none");
                let _: Checks<()> = self.report(diagnostic.note(format!("they are {}", all.join(", "))));
                continue;
            };
            if matches!(arg.value.kind, ExprKind::Error) {
                continue;
            }
            match value(&arg.value).filter(|value| fits(takes, value)) {
                Some(value) => {
                    values.push((arg.name.as_ref().map_or(String::new(), |word| word.name.to_string()), value));
                }
                None => self.wrong_argument(row, arg, takes, loc),
            }
        }
        Some(Directive { name: row.name.into(), args: values, loc: self.loc_in(module, span) })
    }

    fn no_directive_argument(&mut self, module: usize, row: &Row, word: &Ident) {
        let loc = self.loc_in(module, word.span);
        let all: Vec<&str> = row.args.iter().map(|(own, _)| *own).collect();
        let message = format!("`{}` has no argument `{}`", row.name, word.name);
        let mut diagnostic = Diagnostic::error("MDL0507", message, loc, "not known");
        if let Some(near) = words::nearest(&word.name, all.iter().copied()) {
            diagnostic = rename(diagnostic.help(format!("did you mean `{near}`?")), &word.name, near, loc);
        }
        let _: Checks<()> = self.report(diagnostic.note(format!("its arguments are {}", all.join(", "))));
    }

    fn wrong_argument(&mut self, row: &Row, arg: &Arg, takes: Takes, loc: Loc) {
        let name = arg.name.as_ref().map_or_else(|| "the argument".to_owned(), |word| format!("`{}`", word.name));
        let message = format!("{name} of `{}` takes {}", row.name, takes.describe());
        let diagnostic = Diagnostic::error("MDL0507", message, loc, "this is something else");
        let word = match &arg.value.kind {
            ExprKind::Str(text) | ExprKind::Name(text) => Some(&**text),
            _ => None,
        };
        let near = match (takes, word) {
            (Takes::Word(known) | Takes::Flag(known), Some(word)) => words::nearest(word, known.iter().copied()),
            _ => None,
        };
        let _: Checks<()> = self.report(match near {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => diagnostic,
        });
    }

    /// Path patterns that match nothing of the model.
    fn selectors(&mut self, module: usize, directive: &str, arg: &Arg, keys: &[String]) {
        let row = find(directive);
        let is_paths = |name: &str| row.is_some_and(|row| row.args.contains(&(name, Takes::Paths)));
        if !arg.name.as_ref().is_some_and(|name| is_paths(&name.name)) {
            return;
        }
        let items = match &arg.value.kind {
            ExprKind::List(items) => items.as_slice(),
            _ => std::slice::from_ref(&arg.value),
        };
        for item in items {
            let ExprKind::Str(pattern) = &item.kind else { continue };
            let prefixes = || keys.iter().flat_map(|key| prefixes(key));
            if prefixes().any(|path| glob(pattern, path)) {
                continue;
            }
            let loc = self.loc_in(module, item.span);
            let message = format!("no weight of the model matches `{pattern}`");
            let mut diagnostic = Diagnostic::error("MDL0505", message, loc, "selects nothing");
            match words::nearest(pattern, prefixes()) {
                Some(near) => diagnostic = diagnostic.help(format!("did you mean `{near}`?")),
                None => {
                    let mut heads: Vec<&str> = keys.iter().filter_map(|key| key.split('.').next()).collect();
                    heads.dedup();
                    heads.truncate(6);
                    diagnostic = diagnostic.note(format!("paths of the model begin with {}", words::listed(heads)));
                }
            }
            let _: Checks<()> = self.report(diagnostic.note("`*` stands for any part of a path, dots too"));
        }
    }
}

/// Whether a pattern selects a weight: it matches the whole path of it, or of something around it.
pub fn selects(pattern: &str, key: &str) -> bool {
    prefixes(key).any(|path| glob(pattern, path))
}

/// `a`, `a.b`, `a.b.c` of `a.b.c`.
fn prefixes(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices('.').map(|(i, _)| &key[..i]).chain([key])
}

/// Whether a pattern, in which `*` stands for any characters, matches a path.
fn glob(pattern: &str, path: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = path.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

fn value(expr: &Expr) -> Option<Argument> {
    Some(match &expr.kind {
        ExprKind::Name(text) | ExprKind::Str(text) => Argument::Text(text.to_string()),
        ExprKind::Int(value) => Argument::Int(i64::try_from(*value).ok()?),
        ExprKind::Float(value) => Argument::Number(*value),
        ExprKind::Bool(value) => Argument::Bool(*value),
        ExprKind::Unary(UnaryOp::Neg, inner) => match value(inner)? {
            Argument::Int(value) => Argument::Int(-value),
            Argument::Number(value) => Argument::Number(-value),
            _ => return None,
        },
        ExprKind::Quantity(value, unit) => match unit {
            Unit::Percent => Argument::Share(value / 100.0),
            Unit::Ms => Argument::Seconds(value / 1e3),
            Unit::Us => Argument::Seconds(value / 1e6),
            Unit::KiB => Argument::Bytes(value * 1024.0),
            Unit::MiB => Argument::Bytes(value * 1024.0 * 1024.0),
            Unit::GiB => Argument::Bytes(value * 1024.0 * 1024.0 * 1024.0),
        },
        ExprKind::List(items) => Argument::List(items.iter().map(value).collect::<Option<_>>()?),
        _ => return None,
    })
}

fn fits(takes: Takes, value: &Argument) -> bool {
    use Argument::{Bool, Bytes, Int, List, Number, Seconds, Share, Text};
    match (takes, value) {
        (Takes::Paths, List(items)) => items.iter().all(|item| matches!(item, Text(_))),
        (Takes::Word(words) | Takes::Flag(words), Text(word)) => words.contains(&word.as_str()),
        (Takes::Int, Int(value)) => *value >= 0,
        (Takes::Share, Share(share)) => (0.0..=1.0).contains(share),
        (Takes::Share, Number(share)) => (0.0..=1.0).contains(share),
        (Takes::Paths | Takes::Text, Text(_))
        | (Takes::Number | Takes::Drop, Int(_) | Number(_))
        | (Takes::Drop, Share(_))
        | (Takes::Time, Seconds(_))
        | (Takes::Bytes, Bytes(_))
        | (Takes::Flag(_), Bool(_)) => true,
        _ => false,
    }
}
