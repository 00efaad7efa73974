//! Leaves as finished bytes for x86-64: vectors of 256 bits (AVX2, FMA) and of 512 (AVX-512), which Cranelift lacks.
//!
//! A leaf is position independent, keeps the registers that its caller owns, uses no stack but to keep them (dots of packed
//! rows also keep scales and masks below it), and leaves the upper halves of vectors clean. `Wide` records straight lines
//! of operations and gives them registers without spilling; where they do not fit it says `OutOfRegisters`.

mod arrange;
mod assembler;
mod bytes;
mod interleaved;
mod machine;
mod packed;
mod probe;
mod region;
mod rows;
mod runs;
mod sparse;
mod wide;

pub(super) use arrange::{arrange, arranged};
pub(super) use bytes::{bytes, words};
pub(super) use interleaved::{ARRANGED, STREAMS, arrange_side_by_side, dots_side_by_side, panel_side_by_side};
pub(super) use machine::Width;
pub(super) use packed::dots;
pub(super) use probe::{multiply_adds, multiply_adds_of_turn, reads};
pub(super) use region::OutOfRegisters;
pub(super) use rows::{Kept, copy, dot, scores, strip, sums, transpose, widen};
pub(super) use runs::{clear_run, copy_run};
pub(super) use sparse::{LIST, gather, lanes, permute};
pub(super) use wide::Wide;
