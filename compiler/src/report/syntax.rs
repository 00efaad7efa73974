//! Syntax errors as diagnostics.

use crate::diag::{Applicability, Diagnostic, Edit};
use crate::types::Loc;
use mlc_grammar::{SyntaxError, ast::Span};

/// The diagnostic of a syntax error in a file.
pub fn syntax(error: &SyntaxError, file: u32) -> Diagnostic {
    let parts = error.parts();
    let place = |span: Span| Loc::new(file, span.start, span.end);
    let mut labels = parts.labels.into_iter();
    let (span, text) = labels.next().unwrap_or((error.span, String::new()));
    let mut diagnostic = Diagnostic::error(error.code(), parts.message, place(span), text);
    for (span, text) in labels {
        diagnostic = diagnostic.label(place(span), text);
    }
    for fix in parts.fixes {
        let applicability = match fix.applicability {
            mlc_grammar::Applicability::Exact => Applicability::Exact,
            mlc_grammar::Applicability::Maybe => Applicability::Maybe,
        };
        let edits = fix.edits.into_iter().map(|(span, text)| Edit { loc: place(span), text }).collect();
        diagnostic = diagnostic.fix(fix.title, edits, applicability);
    }
    diagnostic.notes.extend(parts.notes);
    diagnostic.helps.extend(parts.helps);
    diagnostic
}
