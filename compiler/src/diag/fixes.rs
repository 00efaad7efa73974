//! Applying the fixes that need no person.

use super::{Applicability, Diagnostic};

/// The text of a file after every exact fix that touches only it. Overlapping fixes: the first wins. Gives the new text and
/// how many fixes were applied.
pub fn apply(file: u32, text: &str, diagnostics: &[Diagnostic]) -> (String, usize) {
    let mut chosen: Vec<(usize, usize, &str)> = Vec::new();
    let mut applied = 0;
    let exact = diagnostics.iter().flat_map(|d| &d.fixes).filter(|f| f.applicability == Applicability::Exact);
    for fix in exact {
        let edits: Vec<(usize, usize, &str)> =
            fix.edits.iter().map(|e| (e.loc.start as usize, e.loc.end as usize, e.text.as_str())).collect();
        let here = fix.edits.iter().all(|e| e.loc.file == file);
        let free = |(start, end, _): &(usize, usize, &str)| {
            chosen.iter().all(|(s, e, _)| end < s || e < start || (start == end && s == e && start != s))
        };
        if here && edits.iter().all(free) {
            chosen.extend(edits);
            applied += 1;
        }
    }
    chosen.sort_by_key(|(start, ..)| *start);
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for (start, end, with) in chosen {
        out += &text[at..start];
        out += with;
        at = end;
    }
    out += &text[at..];
    (out, applied)
}
