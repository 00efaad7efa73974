//! Weight files: safetensors (also sharded), npz and npy, GGUF, PyTorch `.pth`.
//!
//! Invariant: a file is opened by its headers only; every size in them is checked against the file's real length before
//! it is used; nothing in a file is executed; memory stays within a small multiple of the file, except where a
//! compressed member says how far it expands and `OpenOptions` allows that. Knows no model: names are just keys.

mod archive;
mod arrays;
mod aside;
mod dequant;
mod error;
mod file;
mod fuzz;
mod gguf;
mod index;
mod npy;
mod pickle;
mod pth;
mod pth_legacy;
mod safetensors;
#[cfg(test)]
mod samples;
mod set;
mod source;
#[cfg(test)]
mod tests;

pub(crate) use aside::{Aside, write_private};
pub use aside::{WriteSeek, remove_unfinished, write_aside};
pub use dequant::{dequantize, dequantize_group};
pub use error::{Fault, LoadError, Name};
pub use file::{Entry, Format, OpenOptions, WeightFile};
pub use fuzz::{fuzz_gguf, fuzz_npz, fuzz_pth, fuzz_safetensors};
pub use gguf::{MetaArray, MetaValue};
pub(crate) use npy::header as npy_header;
pub use safetensors::{write_packed, write_safetensors};
pub use set::{Duplicate, Found, WeightSet};
