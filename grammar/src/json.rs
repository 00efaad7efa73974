//! The canonical JSON form of a syntax tree: the tree as it is, spans included, so that it reads back unchanged.

use crate::ast::File;
use serde::Deserialize;

/// How deep the JSON of a tree within the nesting limit can be.
const DEPTH: usize = 64 * crate::MAX_NESTING;

/// The JSON form of a tree.
pub fn to_json(file: &File) -> String {
    serde_json::to_string_pretty(file).expect("a tree has string keys and finite numbers")
}

/// Reads the JSON form of a tree.
///
/// # Errors
///
/// Text that is not the JSON form of a tree, or is nested deeper than any parsed file's.
pub fn from_json(text: &str) -> Result<File, serde_json::Error> {
    if depth(text) > DEPTH {
        return Err(serde::de::Error::custom("the tree is nested too deep"));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.disable_recursion_limit();
    let file = File::deserialize(&mut reader)?;
    reader.end()?;
    Ok(file)
}

/// The deepest nesting of brackets outside strings.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
