//! The graph as `.mdl` text: what is printed parses, checks and runs to the same answer.
//!
//! One node is one statement: blocks are inlined, `repeat` stays rolled, numbers stand where they are used. A branch of a
//! run-time `if` is an expression of the language, so one that needs statements becomes a block of its own. Names of the
//! source are kept and made unique in the order of the text, so that printing what was read back gives the same text.
//!
//! A constant with a key of a weight file is a `weight` under that key. One that a pass made is a list up to 64 elements;
//! beyond, or where text has no way to write its bits, it goes to a safetensors file beside. A family over a `repeat` is
//! one `weight` with `{i}` in its key; where the keys of untouched files follow no pattern, the members are stacked and
//! indexed, which is sound, and costs a copy.
//!
//! Invariant: the text is built as the grammar's tree and laid out by its one printer.

mod asserts;
mod body;
mod branches;
mod calls;
mod constants;
mod dims;
mod families;
mod literals;
mod loops;
mod names;
mod print;
mod roll;
mod tree;
mod uses;
mod write;

pub use print::{Links, Printed, print, print_linked, print_rolled};
pub use write::{WriteError, write};
