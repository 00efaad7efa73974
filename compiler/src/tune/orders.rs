//! What a profile asks for, directive by directive: which weights each selects, and its words as plain data.
//! Invariant: without a profile there is nothing here, and a model's numbers stay what they are.

use super::error::TuneError;
use crate::frontend::{Argument, Directive, Override, Profile, selects};
use crate::types::Loc;

/// The directives of the active profile, those in the model behind them.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// The profile's name.
    pub profile: String,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    directive: Directive,
    /// The one weight that it holds for, where it stands in the model.
    key: Option<String>,
}

/// One directive of an active profile.
#[derive(Clone, Copy, Debug)]
pub struct Order<'o> {
    row: &'o Row,
}

impl Orders {
    /// The orders of a profile by its name, and of attributes in the model.
    pub fn new(name: &str, profiles: &[Profile], overrides: &[Override]) -> Orders {
        let own = profiles.iter().filter(|profile| profile.name == name).flat_map(|profile| &profile.directives);
        let own = own.map(|directive| Row { directive: directive.clone(), key: None });
        let others =
            overrides.iter().map(|other| Row { directive: other.directive.clone(), key: Some(other.key.clone()) });
        Orders { profile: name.into(), rows: own.chain(others).collect() }
    }

    /// The directives of a name, in order.
    pub fn named<'o>(&'o self, word: &'o str) -> impl Iterator<Item = Order<'o>> + 'o {
        self.rows.iter().filter(move |row| row.directive.name == word).map(|row| Order { row })
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl<'o> Order<'o> {
    /// Where it stands.
    pub fn loc(self) -> Loc {
        self.row.directive.loc
    }

    /// Whether it holds for the weight of a key.
    pub fn holds_for(self, key: &str) -> bool {
        let within = self
            .row
            .key
            .as_deref()
            .is_none_or(|own| own == key || key.strip_prefix(own).is_some_and(|rest| rest.starts_with('.')));
        let selected = self.patterns("select").is_none_or(|patterns| patterns.iter().any(|own| selects(own, key)));
        let skipped = self.patterns("skip").is_some_and(|patterns| patterns.iter().any(|own| selects(own, key)));
        within && selected && !skipped
    }

    /// The patterns of `select` or `skip`; `None` where it is not given.
    pub fn patterns(self, word: &str) -> Option<Vec<&'o str>> {
        let text = |value: &'o Argument| if let Argument::Text(text) = value { Some(text.as_str()) } else { None };
        Some(match self.row.directive.get(word)? {
            Argument::List(items) => items.iter().filter_map(text).collect(),
            one => text(one).into_iter().collect(),
        })
    }

    /// A word or text.
    pub fn text(self, word: &str) -> Option<&'o str> {
        match self.row.directive.get(word)? {
            Argument::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number of any unit.
    pub fn number(self, word: &str) -> Option<f64> {
        match self.row.directive.get(word)? {
            Argument::Int(value) => Some(*value as f64),
            Argument::Number(value) | Argument::Share(value) | Argument::Seconds(value) | Argument::Bytes(value) => {
                Some(*value)
            }
            Argument::Text(_) | Argument::Bool(_) | Argument::List(_) => None,
        }
    }

    /// `true` or `false`.
    pub fn flag(self, word: &str) -> Option<bool> {
        match self.row.directive.get(word)? {
            Argument::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// An argument as it is written.
    pub(super) fn argument(self, word: &str) -> Option<&'o Argument> {
        self.row.directive.get(word)
    }

    /// Whether an argument is given.
    pub fn has(self, word: &str) -> bool {
        self.row.directive.get(word).is_some()
    }

    /// What it cannot be carried out for.
    pub fn refuse(self, code: &'static str, message: impl Into<String>) -> TuneError {
        TuneError::refused(code, message, self.loc())
    }
}
