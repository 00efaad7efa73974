//! mlc's kernels as data, and the code generators that read them.
//!
//! Import law: `base` → `kernel` → `cpu`. Nothing here executes anything: machine code is data that the runtime maps.
#![forbid(unsafe_code)]

/// What this generator is: machine code of two builds that say the same here is the same for the same kernel.
pub const GENERATOR: &str = env!("MLC_GENERATOR");

pub mod base;
pub mod cpu;
pub mod kernel;
