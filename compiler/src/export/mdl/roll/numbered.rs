//! Keys of a run as one text with the index of its loop.

use super::write::fresh;
use crate::export::mdl::families::{Part, pattern};
use crate::export::mdl::tree;
use mlc_grammar::ast::{BinaryOp, Dim, DimKind, Ident, Stmt, StmtKind};
use std::collections::{HashMap, HashSet};

/// Keys with the index of a loop in them.
pub(super) struct Numbered {
    /// The first index.
    pub(super) start: i64,
    /// Other numbers that have a name, by the first and the step.
    known: HashMap<(i64, i64), String>,
}

impl Numbered {
    /// For heads that follow a pattern, or for none.
    pub(super) fn of(heads: &[String]) -> Option<Numbered> {
        let all: Vec<&str> = heads.iter().map(String::as_str).collect();
        let parts = if all.is_empty() { vec![] } else { pattern(&all)? };
        let start = parts.iter().find_map(|part| match part {
            Part::Number { first, step: 1 } => Some(*first),
            _ => None,
        });
        Some(Numbered { start: start.unwrap_or(0), known: HashMap::new() })
    }

    /// Keys as one text; a number that is not the index becomes a `dim` in `body` first.
    pub(super) fn text(
        &mut self,
        keys: &[String],
        index: &str,
        taken: &mut HashSet<String>,
        body: &mut Vec<Stmt>,
    ) -> Option<String> {
        let mut text = String::new();
        for part in pattern(&keys.iter().map(String::as_str).collect::<Vec<_>>())? {
            let (first, step) = match part {
                Part::Text(words) if words.contains('{') => return None,
                Part::Text(words) => {
                    text += &words;
                    continue;
                }
                Part::Number { first, step } => (first, step),
            };
            if step == 1 && first == self.start {
                text += &format!("{{{index}}}");
                continue;
            }
            let known = self.known.entry((first, step)).or_insert_with(|| {
                let name = fresh("number", taken);
                let scaled = tree::chain(tree::int(step), vec![(BinaryOp::Mul, tree::name(index))]);
                let offset = tree::int(first - step * self.start);
                let value = tree::chain(scaled, vec![(BinaryOp::Add, offset)]);
                body.push(tree::stmt(StmtKind::Dim(Dim { name: Ident::new(&name), kind: DimKind::Is(value) })));
                name
            });
            text += &format!("{{{known}}}");
        }
        Some(text)
    }
}
