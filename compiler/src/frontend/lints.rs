//! Warnings: names that nothing uses, dims without a bound, names one letter apart, weights that are left over.

use super::bodies::promised_types;
use super::elaborate::Elaborator;
use crate::diag::{Applicability, Diagnostic, Edit};
use crate::types::Loc;
use mlc_grammar::ast::{self, DimKind, Expr, ExprKind, Func, TypeDimKind, TypeKind};
use std::collections::HashMap;

impl Elaborator<'_> {
    /// MDL0901: what was bound and never used, in no call of its block.
    pub(super) fn lint_names(&mut self) {
        let unused: Vec<(Loc, String, &'static str)> = self
            .uses
            .iter()
            .filter(|(_, usage)| !usage.used && !usage.name.starts_with('_'))
            .map(|(loc, usage)| (*loc, usage.name.clone(), usage.what))
            .collect();
        for (loc, name, what) in unused {
            let shown = if what == "value" { format!("`{name}`") } else { format!("{what} `{name}`") };
            let diagnostic = Diagnostic::warning("MDL0901", format!("{shown} is never used"), loc, "bound here");
            let edits = vec![Edit { loc, text: format!("_{name}") }];
            let diagnostic = match what {
                "argument" => diagnostic.help("remove it, or use it"),
                _ => diagnostic.help(format!("remove it, or name it `_{name}`")).fix(
                    format!("name it `_{name}`"),
                    edits,
                    Applicability::Maybe,
                ),
            };
            self.diagnostics.push(diagnostic);
        }
    }

    /// MDL0903: memory cannot be planned for a dim without an upper bound.
    pub(super) fn lint_unbounded(&mut self, dim: &ast::Dim, loc: Loc) {
        let pinned = self.options.dims.iter().any(|(name, _)| **name == *dim.name.name);
        if !matches!(dim.kind, DimKind::Free) || pinned {
            return;
        }
        let name = &dim.name.name;
        let message = format!("symbolic `{name}` has no upper bound; memory cannot be planned ahead");
        let diagnostic = Diagnostic::warning("MDL0903", message, loc, "any size");
        self.diagnostics.push(diagnostic.help(format!("dim {name} in 1..=64")));
    }

    /// MDL0904: a dim that a parameter introduces, that is used once and is one edit from another.
    pub(super) fn lint_introduced(&mut self, module: usize, func: &Func) {
        let mut counts: HashMap<&str, (usize, ast::Span)> = HashMap::new();
        for expr in sizes(func) {
            for (name, span) in names(expr) {
                counts.entry(name).or_insert((0, span)).0 += 1;
            }
        }
        let statics: Vec<&str> = func.statics.iter().map(|param| &*param.name.name).collect();
        let body = self.text(self.loc_in(module, func.body.span));
        let lonely = |name: &str| !statics.contains(&name) && name.len() > 2 && !word_in(body, name);
        let mut once: Vec<(&str, ast::Span)> = counts
            .iter()
            .filter(|(name, (count, _))| *count == 1 && lonely(name))
            .map(|(n, (_, s))| (*n, *s))
            .collect();
        once.sort_by_key(|(name, _)| *name);
        for (name, span) in once {
            let others = counts.keys().copied().chain(statics.iter().copied()).filter(|other| *other != name);
            let mut near: Vec<&str> = others.filter(|other| strsim::damerau_levenshtein(name, other) == 1).collect();
            near.sort_unstable();
            if let Some(near) = near.first() {
                let loc = self.loc_in(module, span);
                let message = format!("`{name}` introduces a dim that is used nowhere else");
                let diagnostic = Diagnostic::warning("MDL0904", message, loc, "any size fits here");
                self.diagnostics.push(diagnostic.help(format!("did you mean `{near}`?")).fix(
                    format!("{name} → {near}"),
                    vec![Edit { loc, text: (*near).to_owned() }],
                    Applicability::Maybe,
                ));
            }
        }
    }
}

/// The sizes in the types of a function's parameters and results.
fn sizes(func: &Func) -> impl Iterator<Item = &Expr> {
    let types = func.params.iter().map(|param| &param.ty).chain(promised_types(func));
    let dims = types.flat_map(|ty| match &ty.kind {
        TypeKind::Tensor(_, dims) => dims.as_slice(),
        TypeKind::Error => &[],
    });
    dims.filter_map(|dim| match &dim.kind {
        TypeDimKind::Size(expr) => Some(expr),
        _ => None,
    })
}

/// Every name in an expression of dims.
pub(super) fn names(expr: &Expr) -> Vec<(&str, ast::Span)> {
    match &expr.kind {
        ExprKind::Name(name) => vec![(name, expr.span)],
        ExprKind::Unary(_, inner) => names(inner),
        ExprKind::Chain(first, links) => {
            let rest = links.iter().flat_map(|link| names(&link.operand));
            names(first).into_iter().chain(rest).collect()
        }
        ExprKind::Call(_, args) => args.iter().flat_map(|arg| names(&arg.value)).collect(),
        ExprKind::Index(base, _) => names(base),
        _ => vec![],
    }
}

fn word_in(text: &str, word: &str) -> bool {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|own| own == word)
}
