//! The reader on bytes of a stranger.

use super::constants::Block;
use super::{OpenOptions, read};
use crate::tensor::Tensor;
use mlc_codegen::base::DType;
use std::path::Path;

/// Opens `bytes` as a `.mlc`; must end without a panic and without more memory than a small multiple of them.
/// Returns whether they were accepted.
pub fn fuzz_mlc(bytes: &[u8]) -> bool {
    let Ok(tensor) = Tensor::new(DType::U8, [bytes.len()], bytes) else { return false };
    let options = OpenOptions { mmap: false, verify_weights: true };
    read::parse(&Block::Owned(tensor), Path::new("fuzz.mlc"), options).is_ok()
}
