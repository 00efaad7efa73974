//! Names of the text: those of the source where they are free, numbered where they are not.
//!
//! Invariant: what a set has given it gives to nobody else, and names that are unique already stay as they are.

use super::dims::Scope;
use mlc_codegen::base::DType;
use mlc_grammar::is_name;
use std::collections::{HashMap, HashSet};

/// Names that are taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    taken: HashSet<String>,
    /// By stem, the number to try next.
    next: HashMap<String, usize>,
    /// Names of loop indices, which end with their loops.
    indices: HashSet<String>,
}

impl Names {
    /// `stem`, or the first of `stem_2`, `stem_3`, … that is free.
    pub(super) fn fresh(&mut self, stem: &str) -> String {
        let stem = identifier(stem);
        if self.taken.insert(stem.clone()) { stem } else { self.counted(&stem, 2) }
    }

    /// The first of `stem_1`, `stem_2`, … that is free, for what has no name of its own.
    pub(super) fn numbered(&mut self, stem: &str) -> String {
        self.counted(stem, 1)
    }

    /// A name for the index of a loop: that of a loop which has ended is free again.
    pub(super) fn index(&mut self, stem: &str, scope: &Scope) -> String {
        if self.indices.contains(stem) && !scope.has(stem) {
            return stem.to_owned();
        }
        let name = self.fresh(stem);
        self.indices.insert(name.clone());
        name
    }

    fn counted(&mut self, stem: &str, first: usize) -> String {
        let next = self.next.entry(stem.to_owned()).or_insert(first);
        loop {
            let name = format!("{stem}_{next}");
            *next += 1;
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }

    /// Takes a name out of circulation.
    pub(super) fn reserve(&mut self, name: &str) {
        self.taken.insert(name.to_owned());
    }

    /// Whether a name is given already.
    pub(super) fn has(&self, name: &str) -> bool {
        self.taken.contains(name)
    }
}

/// Whether a text can stand as a name of a value.
pub(super) fn is_identifier(text: &str) -> bool {
    is_name(text) && !matches!(text, "none" | "size" | "int") && text.parse::<DType>().is_err()
}

/// The nearest name: other characters become `_`, and a word of the language is written with one behind.
pub(super) fn identifier(text: &str) -> String {
    if is_identifier(text) {
        return text.to_owned();
    }
    let mut name: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name.insert(0, 'v');
    }
    if is_identifier(&name) { name } else { format!("{name}_") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_of_the_text_and_stay_when_they_are() {
        let taken = ["x", "x", "x_2", "input.1", "1", "at", "f32", "größe"].map({
            let mut names = Names::default();
            move |stem| names.fresh(stem)
        });
        assert_eq!(taken, ["x", "x_2", "x_2_2", "input_1", "v1", "at_", "f32_", "gr__e"]);
        let mut names = Names::default();
        assert_eq!(taken.clone().map(|name| names.fresh(&name)), taken);
    }
}
