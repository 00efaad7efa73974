//! mlc's kernels as data, and the code generators that read them.
//!
//! Import law: `base` → `kernel` → `cpu`. Nothing here executes anything: machine code is data that the runtime maps.
#![forbid(unsafe_code)]

pub mod base;
pub mod cpu;
pub mod kernel;
