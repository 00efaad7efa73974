//! Loads compiled models and runs them: tensors, weight files, the `.mlc` artifact, sessions, threads, JIT memory.
//!
//! Invariant: no size that a file or a caller gives reaches memory before it was checked; `unsafe` stands only in the
//! folders `jit`, `cuda`, `mmap`, `ffi` and `pool`, each of which opens with what must hold.

pub mod artifact;
pub mod jit;
mod mmap;
pub mod npz;
pub mod pool;
pub mod session;
pub mod system;
pub mod tensor;
pub mod weights;
