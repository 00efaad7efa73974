//! The text of a rearrange: `b s (h d) -> b h s d`.
//! Invariant: every part keeps its bytes in the text, so that errors can point into the string.

use super::{Blame, OpError};
use std::ops::Range;

/// An axis by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// What it is called; `...` for all axes that have no name.
    pub(super) text: String,
    /// Its bytes in the text.
    pub(super) span: Range<usize>,
}

/// One axis of a tensor: a name, or several in parentheses, the last changing fastest; none for a 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    /// In order.
    pub(super) names: Vec<Name>,
    /// Its bytes in the text.
    pub(super) span: Range<usize>,
}

/// `left -> right`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// The axes of the operand.
    pub(super) left: Vec<Group>,
    /// The axes of the result.
    pub(super) right: Vec<Group>,
}

impl Name {
    /// Whether it stands for all axes without a name.
    pub(super) fn is_pack(&self) -> bool {
        self.text == "..."
    }
}

impl Group {
    /// Whether it is `...` outside parentheses: as many axes as the tensor has to spare.
    pub(super) fn is_pack(&self) -> bool {
        matches!(self.names.as_slice(), [only] if only.is_pack() && only.span == self.span)
    }
}

/// A malformed pattern, at its bytes.
pub(super) fn at(span: &Range<usize>, message: impl Into<String>, label: impl Into<String>) -> OpError {
    OpError::new("MDL0316", message, Blame::Text("pattern", span.clone()), label)
}

/// Reads a pattern and checks that both sides name the same axes, each once.
pub(super) fn parse(text: &str) -> Result<Pattern, OpError> {
    let Some(arrow) = text.find("->") else {
        let error = at(&(0..text.len()), "the rearrange pattern has no `->`", "the new order is not said");
        return Err(error.help(format!("write the axes of the result: \"{} -> …\"", text.trim())));
    };
    let (left, right) = (side(text, 0..arrow)?, side(text, arrow + 2..text.len())?);
    for (these, others, where_) in [(&left, &right, "right"), (&right, &left, "left")] {
        let all = |groups: &[Group]| groups.iter().flat_map(|g| g.names.clone()).collect::<Vec<Name>>();
        let (these, others) = (all(these), all(others));
        for (i, name) in these.iter().enumerate() {
            if these[..i].iter().any(|n| n.text == name.text) {
                return Err(at(
                    &name.span,
                    format!("axis `{}` is named twice on one side", name.text),
                    "named again here",
                ));
            }
            if !others.iter().any(|n| n.text == name.text) {
                let error = at(&name.span, format!("axis `{}` is missing on the {where_}", name.text), "only here");
                return Err(error
                    .note("rearrange keeps every element: sum(x, axis) drops an axis, expand(x, shape) repeats one"));
            }
        }
    }
    match left.iter().find(|g| !g.is_pack() && g.names.iter().any(Name::is_pack)) {
        Some(group) => Err(at(&group.span, "`...` cannot be taken apart on the left", "its extents are not said")),
        None => Ok(Pattern { left, right }),
    }
}

fn side(text: &str, within: Range<usize>) -> Result<Vec<Group>, OpError> {
    let (mut groups, mut open, mut next) = (Vec::new(), None::<Group>, within.start);
    while let Some(first) = text[next..within.end].chars().next() {
        let rest = &text[next..within.end];
        let length = match first {
            '.' if rest.starts_with("...") => 3,
            c if c.is_alphabetic() || c == '_' => {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            c => c.len_utf8(),
        };
        let span = next..next + length;
        next = span.end;
        let word = &text[span.clone()];
        match (word, &mut open) {
            (" ", _) => {}
            ("(", None) => open = Some(Group { names: vec![], span }),
            ("(", Some(_)) => return Err(at(&span, "parentheses do not nest", "inside another pair")),
            (")", Some(group)) => {
                groups.push(Group { names: std::mem::take(&mut group.names), span: group.span.start..span.end });
                open = None;
            }
            (")", None) => return Err(at(&span, "`)` without `(`", "nothing is open here")),
            ("1", None) => groups.push(Group { names: vec![], span }),
            ("1", Some(_)) => {}
            (word, open) if word == "..." || first.is_alphabetic() || first == '_' => {
                let name = Name { text: word.into(), span: span.clone() };
                match open {
                    Some(group) => group.names.push(name),
                    None => groups.push(Group { names: vec![name], span }),
                }
            }
            (word, _) => {
                let error = at(&span, format!("`{word}` has no meaning in a rearrange pattern"), "not an axis name");
                return Err(error.note("a rearrange pattern looks like  b s (h d) -> b h s d"));
            }
        }
    }
    match open {
        Some(group) => Err(at(&group.span, "unclosed `(` in the rearrange pattern", "opened here, never closed")),
        None => Ok(groups),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::ops::Blame;

    #[test]
    fn patterns_keep_their_bytes() {
        let pattern = parse("b s (h d)->b h s d").expect("well formed");
        assert_eq!(pattern.left[2].span, 4..9);
        assert_eq!(pattern.left[2].names[1].span, 7..8);
        assert_eq!(pattern.right.len(), 4);
        assert!(parse("... c -> c (...)").expect("well formed").left[0].is_pack());
        assert_eq!(parse("1 a -> a ()").expect("well formed").right[1].names, []);
    }

    #[test]
    fn faults_are_found_where_they_stand() {
        let span = |text: &str| match parse(text).expect_err("faulty").labels[0].0.clone() {
            Blame::Text(_, span) => span,
            other => panic!("{other:?}"),
        };
        assert_eq!(span("a b"), 0..3);
        assert_eq!(span("a (b -> a b"), 2..3);
        assert_eq!(span("a b) -> a b"), 3..4);
        assert_eq!(span("a b -> a"), 2..3);
        assert_eq!(span("a -> a b"), 7..8);
        assert_eq!(span("a a -> a"), 2..3);
        assert_eq!(span("a + b -> a b"), 2..3);
    }
}
