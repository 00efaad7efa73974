//! The `.mdl` language: text to syntax tree and back. It knows words, not meanings.
//!
//! [`parse`] always returns a tree, with every mistake beside it; [`format`] and [`print_file`] go back to text.
//! Any bytes may be given to any function here: none panics, and time and stack are bounded by the text's length and
//! by [`MAX_NESTING`].

#![forbid(unsafe_code)]

pub mod ast;
mod brackets;
mod build;
mod error;
mod expected;
mod json;
mod lexer;
mod message;
mod pieces;
mod print;
mod words;

lalrpop_util::lalrpop_mod!(
    #[allow(clippy::all, clippy::pedantic, unused, unreachable_pub, missing_docs)]
    grammar
);

pub use brackets::MAX_NESTING;
pub use error::{SyntaxError, SyntaxErrorKind};
pub use json::{from_json, to_json};
pub use lexer::is_name;
pub use message::{Applicability, Fix, Parts};
pub use pieces::{Parsed, fuzz_parse, parse};
pub use print::{format, print_expr, print_file};
