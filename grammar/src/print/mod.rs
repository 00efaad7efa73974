//! From tree to text. One printer serves trees that were parsed, whose comments and blank lines it keeps, and trees
//! that were generated. What it prints parses to the same tree.

mod comments;
mod expr;
mod file;
mod layout;

use crate::ast::{Expr, File};
use crate::error::SyntaxError;
use crate::lexer::lex;
use crate::pieces::parse;
use comments::Comments;
use expr::Speller;
use file::Printer;

/// Formats a source file: two spaces of indentation, lines of at most 100 characters where the text allows it, comments
/// and single blank lines kept. A statement with a comment inside is left as it is written. Formatting twice is
/// formatting once.
///
/// # Errors
///
/// A file that does not parse is not formatted; its mistakes are returned.
pub fn format(source: &str) -> Result<String, Vec<SyntaxError>> {
    let parsed = parse(source);
    if !parsed.errors.is_empty() {
        return Err(parsed.errors);
    }
    let comments = Comments::new(source, lex(source).comments);
    Ok(Printer::new(Some(comments)).file(&parsed.file))
}

/// The text of a tree. Places that did not parse are left out, or stand as `_` inside an expression; spans are not
/// looked at.
pub fn print_file(file: &File) -> String {
    Printer::new(None).file(file)
}

/// The text of an expression, on more than one line where it is long.
pub fn print_expr(e: &Expr) -> String {
    let mut out = String::new();
    Speller { source: None }.expr(e).render(0, &mut out);
    out
}
