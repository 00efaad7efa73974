//! The text of an einsum: `b h q d, b h k d -> b h q k`.
//! Invariant: every part keeps its bytes in the text, so that errors can point into the string.

use super::{Blame, OpError};
use std::ops::Range;

/// One axis of an operand or of the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    /// Its name; `...` for the leading axes that have none.
    pub(super) name: String,
    /// Its bytes in the text.
    pub(super) span: Range<usize>,
}

/// The axes of one operand, or of the result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Term {
    /// In order.
    pub(super) axes: Vec<Axis>,
    /// The bytes from the first axis to the last.
    pub(super) span: Range<usize>,
}

/// `operand, operand -> result`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// One for each tensor.
    pub(super) operands: Vec<Term>,
    /// What is left of the axes.
    pub(super) result: Term,
}

impl Axis {
    /// Whether it stands for all leading axes without a name.
    pub(super) fn is_pack(&self) -> bool {
        self.name == "..."
    }
}

impl Term {
    /// Whether leading axes without names are allowed.
    pub(super) fn has_pack(&self) -> bool {
        self.axes.first().is_some_and(Axis::is_pack)
    }

    /// How many axes have names.
    pub(super) fn named(&self) -> usize {
        self.axes.len() - usize::from(self.has_pack())
    }

    fn push(&mut self, axis: Axis) {
        self.span = if self.axes.is_empty() { axis.span.clone() } else { self.span.start..axis.span.end };
        self.axes.push(axis);
    }
}

/// A malformed pattern, at its bytes.
pub(super) fn at(span: &Range<usize>, message: impl Into<String>, label: impl Into<String>) -> OpError {
    OpError::new("MDL0316", message, Blame::Text("pattern", span.clone()), label)
}

/// Reads a pattern.
pub(super) fn parse(text: &str) -> Result<Pattern, OpError> {
    let (mut operands, mut term, mut arrow) = (vec![], Term::default(), None);
    let mut rest = 0;
    while let Some(first) = text[rest..].chars().next() {
        let length = match first {
            ' ' | ',' => 1,
            '-' if text[rest..].starts_with("->") => 2,
            '.' if text[rest..].starts_with("...") => 3,
            c if c.is_alphabetic() || c == '_' => name_length(&text[rest..]),
            c => {
                let message = format!("`{c}` has no meaning in an einsum pattern");
                let error = at(&(rest..rest + c.len_utf8()), message, "not an axis name, `...`, `,` or `->`");
                return Err(error.note("an einsum pattern looks like  ... i, o i -> ... o"));
            }
        };
        let span = rest..rest + length;
        rest = span.end;
        match &text[span.clone()] {
            " " => {}
            "," | "->" if arrow.is_some() => {
                return Err(at(&span, "an einsum has one result", "nothing but axes may follow the arrow"));
            }
            "," => operands.push(std::mem::replace(&mut term, Term { axes: vec![], span: rest..rest })),
            "->" => {
                operands.push(std::mem::replace(&mut term, Term { axes: vec![], span: rest..rest }));
                arrow = Some(span);
            }
            "..." if !term.axes.is_empty() => {
                return Err(at(&span, "`...` stands for leading axes", "it must come first"));
            }
            name => term.push(Axis { name: name.into(), span }),
        }
    }
    match arrow {
        Some(_) => Ok(Pattern { operands, result: term }),
        None => Err(at(&(0..text.len()), "the einsum pattern has no `->`", "which axes are left is not said")
            .help(format!("write the axes of the result: \"{} -> …\"", text.trim()))),
    }
}

/// The pattern with a letter for each axis, as numpy writes it: `...i,oi->...o`; `None` for more axes than letters.
pub fn equation(text: &str) -> Option<String> {
    let pattern = parse(text).ok()?;
    let mut names: Vec<String> = vec![];
    let mut letters = |term: &Term| -> Option<String> {
        let mut letters = String::new();
        for axis in &term.axes {
            if axis.is_pack() {
                letters += "...";
                continue;
            }
            let place = names.iter().position(|name| *name == axis.name).unwrap_or(names.len());
            if place == names.len() {
                names.push(axis.name.clone());
            }
            letters.push(('a'..='z').chain('A'..='Z').nth(place)?);
        }
        Some(letters)
    };
    let operands = pattern.operands.iter().map(&mut letters).collect::<Option<Vec<String>>>()?;
    Some(format!("{}->{}", operands.join(","), letters(&pattern.result)?))
}

fn name_length(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn patterns_keep_their_bytes() {
        let pattern = parse("... i,o i->... o").expect("well formed");
        assert_eq!(pattern.operands.len(), 2);
        assert_eq!(pattern.operands[1].span, 6..9);
        assert_eq!(pattern.result.axes[1].name, "o");
        assert!(pattern.result.has_pack() && pattern.operands[0].named() == 1);
        assert_eq!(parse("-> ").expect("a scalar").operands.len(), 1);
    }

    #[test]
    fn faults_are_found_where_they_stand() {
        let span = |text: &str| match parse(text).expect_err("faulty").labels[0].0.clone() {
            crate::ops::Blame::Text(_, span) => span,
            other => panic!("{other:?}"),
        };
        assert_eq!(span("a b, b c"), 0..8);
        assert_eq!(span("a -> b -> c"), 7..9);
        assert_eq!(span("a + b -> b"), 2..3);
        assert_eq!(span("a ... -> a"), 2..5);
    }
}
