//! Keys of the weights of a run: what of them is the part, and what is the place in it.

use super::flow::{Flow, Given, Parts};
use mlc_grammar::ast::StmtKind;
use std::collections::BTreeMap;

/// Where the weights of a run lie.
pub(super) struct Keys {
    /// What the keys of each part begin with; empty where no weight lies in one.
    pub(super) heads: Vec<String>,
    /// For each column of weights, the rest of the key, or nothing where it does not begin with the part's.
    pub(super) rests: Vec<Option<String>>,
    /// How many do.
    pub(super) inside: usize,
    /// How many do not.
    pub(super) outside: usize,
}

/// The key of a weight.
pub(super) fn key<'a>(flow: &Flow<'a>, name: &str) -> &'a str {
    match flow.made.get(name).map(|(at, _)| &flow.stmts[*at].kind) {
        Some(StmtKind::Weight { from, .. }) => &from.value,
        _ => "",
    }
}

/// Finds what most keys of each part begin with.
pub(super) fn of(flow: &Flow, parts: &Parts) -> Keys {
    let cut = |(names, given): &(Vec<String>, Given)| {
        let keys: Vec<&str> = names.iter().map(|name| key(flow, name)).collect();
        (*given == Given::Weight).then(|| split(&keys)).flatten()
    };
    let cuts: Vec<Option<(Vec<String>, String)>> = parts.columns.iter().map(cut).collect();
    let mut votes: BTreeMap<&Vec<String>, usize> = BTreeMap::new();
    cuts.iter().flatten().for_each(|(heads, _)| *votes.entry(heads).or_default() += 1);
    let heads = votes.into_iter().max_by_key(|(_, count)| *count).map_or_else(Vec::new, |(heads, _)| heads.clone());
    let rests: Vec<Option<String>> =
        cuts.iter().map(|cut| cut.as_ref().filter(|(own, _)| *own == heads).map(|(_, rest)| rest.clone())).collect();
    let inside = rests.iter().flatten().count();
    let weights = parts.columns.iter().filter(|(_, given)| *given == Given::Weight).count();
    Keys { heads, rests, inside, outside: weights - inside }
}

/// `layer.0.w`, `layer.1.w` are heads `layer.0`, `layer.1` and the rest `w`.
fn split(keys: &[&str]) -> Option<(Vec<String>, String)> {
    let words: Vec<Vec<&str>> = keys.iter().map(|key| key.split('.').collect()).collect();
    let same = |back: usize| {
        let word = |words: &Vec<&str>| words.len().checked_sub(back).map(|at| words[at].to_owned());
        let first = word(&words[0])?;
        words.iter().all(|words| word(words).as_ref() == Some(&first)).then_some(())
    };
    let shared = (1..).take_while(|back| same(*back).is_some()).count();
    let head = |words: &Vec<&str>| words[..words.len().saturating_sub(shared)].join(".");
    let heads: Vec<String> = words.iter().map(head).collect();
    let rest = words[0][words[0].len() - shared.min(words[0].len())..].join(".");
    let plain = |head: &String| !head.is_empty() && !head.starts_with('/') && !head.contains('{');
    (shared > 0 && heads.iter().all(plain)).then_some((heads, rest))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_head_ends_with_what_differs() {
        let found = split(&["encoder.layer.0.query.weight", "encoder.layer.1.query.weight"]);
        let heads = vec!["encoder.layer.0".to_owned(), "encoder.layer.1".to_owned()];
        assert_eq!(found, Some((heads, "query.weight".to_owned())));
        assert_eq!(split(&["a", "b"]), None);
        assert_eq!(split(&["/a.w", "/b.w"]), None);
    }
}
