//! One JSON object to a line, for tools.

use super::{Applicability, Diagnostic, Severity, SourceMap, Style, human};
use crate::types::Loc;
use serde_json::{Value, json};

/// The line of a diagnostic.
pub fn to_line(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let spans: Vec<Value> = diagnostic
        .labels
        .iter()
        .map(|label| {
            let mut span = place(label.loc, sources);
            span["primary"] = json!(label.primary);
            span["label"] = json!(label.text);
            span
        })
        .collect();
    let fixes: Vec<Value> = diagnostic
        .fixes
        .iter()
        .map(|fix| {
            let edit = |e: &super::Edit| {
                json!({"file": sources.name(e.loc.file), "byte": [e.loc.start, e.loc.end], "text": e.text})
            };
            let edits: Vec<Value> = fix.edits.iter().map(edit).collect();
            json!({"title": fix.title, "applicability": applicability(fix.applicability), "edits": edits})
        })
        .collect();
    json!({
        "code": diagnostic.code,
        "level": level(diagnostic.severity),
        "message": diagnostic.message,
        "spans": spans,
        "notes": diagnostic.notes,
        "helps": diagnostic.helps,
        "fixes": fixes,
        "rendered": human(diagnostic, sources, Style::default()),
    })
    .to_string()
}

/// The last line of a run.
pub fn summary_line(diagnostics: &[Diagnostic]) -> String {
    let count = |severity| diagnostics.iter().filter(|d| d.severity == severity).count();
    json!({"summary": {"errors": count(Severity::Error), "warnings": count(Severity::Warning)}}).to_string()
}

fn place(loc: Loc, sources: &SourceMap) -> Value {
    let (line, col) = sources.position(loc);
    json!({"file": sources.name(loc.file), "byte": [loc.start, loc.end], "line": line, "col": col})
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn applicability(applicability: Applicability) -> &'static str {
    match applicability {
        Applicability::Exact => "exact",
        Applicability::Maybe => "maybe",
    }
}
