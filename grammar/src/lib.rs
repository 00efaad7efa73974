//! The `.mdl` language: text to syntax tree and back. It knows words, not meanings.

#![forbid(unsafe_code)]

pub mod ast;
