//! What the keys of a family have in common: text, and numbers that grow evenly from one iteration to the next.

/// A piece of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The same in all.
    Text(String),
    /// `first + step * iteration`.
    Number {
        /// In iteration 0.
        first: i64,
        /// From one iteration to the next, not 0.
        step: i64,
    },
}

/// The keys of all iterations as one; `None` where they follow no pattern.
pub(super) fn pattern(keys: &[&str]) -> Option<Vec<Part>> {
    let cut: Vec<Vec<&str>> = keys.iter().map(|key| tokens(key)).collect();
    let first = cut.first()?;
    if cut.iter().any(|tokens| tokens.len() != first.len()) {
        return None;
    }
    let mut parts: Vec<Part> = vec![];
    for at in 0..first.len() {
        let column: Vec<&str> = cut.iter().map(|tokens| tokens[at]).collect();
        match (column_part(&column)?, parts.last_mut()) {
            (Part::Text(text), Some(Part::Text(before))) => before.push_str(&text),
            (part, _) => parts.push(part),
        }
    }
    Some(parts)
}

fn column_part(column: &[&str]) -> Option<Part> {
    if column.iter().all(|text| text == &column[0]) {
        return Some(Part::Text(column[0].to_owned()));
    }
    let number = |text: &&str| text.parse::<i64>().ok().filter(|n| n.to_string() == **text);
    let numbers: Vec<i64> = column.iter().map(number).collect::<Option<_>>()?;
    let (first, step) = (numbers[0], numbers[1].checked_sub(numbers[0])?);
    let even = numbers.windows(2).all(|pair| pair[1].checked_sub(pair[0]) == Some(step));
    even.then_some(Part::Number { first, step })
}

/// Runs of digits and what stands between them.
fn tokens(key: &str) -> Vec<&str> {
    let mut tokens = vec![];
    let mut rest = key;
    while let Some(head) = rest.chars().next() {
        let digits = head.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (token, after) = rest.split_at(end);
        tokens.push(token);
        rest = after;
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_grow_evenly_are_the_iteration() {
        let text = |text: &str| Part::Text(text.into());
        let found = pattern(&["h.6.a2", "h.7.a2", "h.8.a2"]);
        assert_eq!(found, Some(vec![text("h."), Part::Number { first: 6, step: 1 }, text(".a2")]));
        let found = pattern(&["l9", "l11", "l13"]);
        assert_eq!(found, Some(vec![text("l"), Part::Number { first: 9, step: 2 }]));
        assert_eq!(pattern(&["a.0", "a.1", "a.3"]), None);
        assert_eq!(pattern(&["a.00", "a.01"]), None);
        assert_eq!(pattern(&["a.0", "b.1"]), None);
        assert_eq!(pattern(&["same", "same"]), Some(vec![text("same")]));
    }
}
