//! From kernels to running machine code: a program is made once, its entries are walked again and again.
//!
//! # Safety
//!
//! What must hold when machine code runs: its kernel passed `verify`; `check_plan` accepted the entry for the size block,
//! every counter as an interval, and for the bytes of every buffer; the buffers of the call have at least those bytes, those
//! that a kernel writes are borrowed exclusively; the scratch holds what lowering asked for, for each part; the code is mapped.
//!
//! Who upholds it: `Program::new` verifies the plan, compiles its kernels, and is the only way to a `Program`. `Program::check` is the only way to a `Checked`, which keeps the sizes and bytes that were
//! proved. `Program::walk` compares the regions with them, takes sizes from the proof alone, calls nothing but the calls of
//! the plan, and compares scratch before each of them. A `Region` borrows its bytes for as long as it lives. Entry pointers
//! do not leave `Code`, which frees its memory when it is dropped: writable while code is copied in, executable afterwards,
//! never both.
//!
//! Code may come from a `CodeCache`: only what was written under the same kernels' hash and the secret of a folder that
//! belongs to this user alone (`cache`).
//!
//! Which tests check it: `runtime/tests/plans.rs` and `sessions.rs` (refused plans, short buffers, threads), `memory.rs`
//! (freed code), and `compiler/codegen/tests/safety.rs` (random and hostile kernels on buffers that end at guard pages), `runtime/tests/code_cache.rs` (damaged and foreign entries).

mod cache;
mod code;
mod compile;
mod cpu;
mod disassembly;
mod listing;
mod object;
mod probe;
mod profile;
mod program;
mod region;
mod target;
mod walk;

pub use cache::{CacheError, CodeCache};
pub use compile::JitError;
pub use cpu::{Cpu, UnknownCpu};
pub use listing::{FunctionListing, KernelListing, listing};
pub use object::object;
pub use probe::Machine;
pub use profile::{Event, KernelTime, Profile};
pub(crate) use program::{Checked, Program};
pub(crate) use region::Region;
pub use target::CodeTarget;
pub(crate) use walk::{Stop, Workspace};
