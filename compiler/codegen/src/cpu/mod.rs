//! Kernels to machine code for CPUs, as data. Knows skeletons and expressions, never tensor ops, and runs nothing.
//!
//! `lower` is the way in. Expressions are written over `Arithmetic` (`expr`, `math`, `rounding`), the portable emitter
//! (`clif`, `lanes`, `lanewise`) makes Cranelift IR of them, `x86` finished bytes for wide vectors; `driver`, `address`, `memory`, `decode` and `value` build a
//! kernel's entry; `nest` lowers loops, the form that every kernel has, and `select` chooses.

mod address;
mod arithmetic;
mod attention;
mod attention_leaf;
mod attention_panels;
mod attention_rows;
mod attention_tiles;
mod attention_wide;
mod block_leaf;
mod blocks;
mod chain;
mod clif;
mod contract;
pub mod cost;
mod decode;
mod driver;
pub mod duration;
mod epilogue;
mod expr;
mod fetch;
mod integer_leaf;
mod integers;
pub mod interleaved;
mod lanes;
mod lanewise;
mod leaves;
mod left;
mod lower;
mod math;
mod measure;
mod memory;
mod nest;
mod pack;
mod packed;
pub mod panels;
mod probe;
mod rounding;
pub mod select;
mod sparse;
mod sparse_portable;
mod tiles;
mod value;
mod window_leaf;
mod windows;
mod x86;

pub use lower::{Code, Lowered, lower, signature};
pub use measure::measure;
pub use probe::Probe;
pub use select::Isa;
