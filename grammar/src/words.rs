//! The words of the language: keywords by place, the form of each statement, and near misses.

/// Words that begin an item.
pub(crate) const ITEMS: [&str; 7] = ["import", "const", "dim", "fn", "block", "model", "profile"];
/// Words that begin a member of a model.
pub(crate) const MEMBERS: [&str; 5] = ["const", "dim", "weights", "state", "entry"];
/// Words that begin a statement.
pub(crate) const STATEMENTS: [&str; 9] =
    ["let", "weight", "set", "repeat", "fused", "assert", "return", "const", "dim"];
/// Words that stand inside a statement.
pub(crate) const INNER: [&str; 8] = ["from", "at", "in", "carry", "while", "else", "and", "or"];

/// What people coming from elsewhere write, and the word for it here.
const SYNONYMS: [(&str, &str); 14] = [
    ("def", "fn"),
    ("func", "fn"),
    ("function", "fn"),
    ("layer", "block"),
    ("module", "block"),
    ("class", "block"),
    ("network", "model"),
    ("use", "import"),
    ("include", "import"),
    ("var", "let"),
    ("for", "repeat"),
    ("loop", "repeat"),
    ("main", "entry"),
    ("param", "weight"),
];

/// The word among `known` that `word` was most likely meant to be.
pub(crate) fn nearest(word: &str, known: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    let allowed = (word.chars().count() / 3).max(1);
    let synonym = SYNONYMS.iter().find(|(other, _)| *other == word).map(|(_, here)| *here);
    known
        .into_iter()
        .filter_map(|candidate| {
            if synonym == Some(candidate) {
                return Some((0, candidate));
            }
            if word.len() > 2 * candidate.len() + 2 {
                return None;
            }
            let distance = strsim::damerau_levenshtein(word, candidate);
            (distance <= allowed && distance < candidate.len()).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How the construct that begins with `keyword` is written: what it is, and its form.
pub(crate) fn form(keyword: &str) -> Option<(&'static str, &'static str)> {
    Some(match keyword {
        "import" => ("an import", "import { NAME, … } from \"FILE.mdl\""),
        "const" => ("a constant", "const NAME = VALUE"),
        "dim" => ("a dimension", "dim NAME = SIZE  or  dim NAME in LOW..=HIGH"),
        "fn" => ("a function", "fn NAME(PARAM: TYPE, …) -> TYPE { … }"),
        "block" => ("a block", "block NAME[DIM, …](PARAM: TYPE, …) -> TYPE { … }"),
        "model" => ("a model", "model NAME { … }"),
        "profile" => ("a profile", "profile NAME { DIRECTIVE(…) … }"),
        "weights" => ("a weight file", "weights from \"FILE\" at \"PREFIX\""),
        "state" => ("a state", "state NAME: TYPE"),
        "entry" => ("an entry", "entry NAME(PARAM: TYPE, …) -> TYPE { … }"),
        "let" => ("a binding", "let NAME = VALUE"),
        "weight" => ("a weight", "weight NAME: TYPE from \"KEY\""),
        "set" => ("a state write", "set STATE[…] = VALUE"),
        "repeat" => ("a loop", "repeat i in 0..N carry NAME { … }"),
        "fused" => ("a fused group", "fused \"NAME\" { … }"),
        "assert" => ("an assertion", "assert A <= B"),
        "return" => ("a result", "return VALUE"),
        _ => return None,
    })
}

/// A list for a sentence: `a`, `a or b`, `a, b or c`.
pub(crate) fn or_list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}
