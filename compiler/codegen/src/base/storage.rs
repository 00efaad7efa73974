//! How elements lie in memory: one after another, packed in groups that share scales, or only those that are not zero.
//!
//! The group formats are those of GGUF (ggml-common.h): a weight is read as f32, its bytes stay packed.

use super::{DType, Interleaved, Sparse};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A packed group format. `value = scale * code + offset`, computed in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// 32 elements in 34 bytes: f16 scale, 32 signed bytes.
    #[serde(rename = "q8_0")]
    Q8_0,
    /// 32 elements in 18 bytes: f16 scale, 16 bytes of nibbles minus 8; element i and i + 16 share a byte, low half first.
    #[serde(rename = "q4_0")]
    Q4_0,
    /// 32 elements in 20 bytes: f16 scale, f16 minimum, 16 bytes of nibbles as in q4_0.
    #[serde(rename = "q4_1")]
    Q4_1,
    /// 256 elements in 144 bytes: f16 scale and minimum scale, eight 6-bit scales and minimums in 12 bytes, 128 bytes of nibbles.
    #[serde(rename = "q4_k")]
    Q4K,
    /// 256 elements in 210 bytes: 128 bytes of low nibbles, 64 of high pairs, sixteen i8 scales, f16 scale.
    #[serde(rename = "q6_k")]
    Q6K,
}

/// How a buffer's elements are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// Element `i` at byte `i * bits / 8`.
    Plain(DType),
    /// Groups along the last axis, read as f32.
    Packed(Packing),
    /// The same groups, eight rows side by side.
    Interleaved(Interleaved),
    /// A matrix of f32 that leaves zeros out. Only the right side of a contraction reads it.
    Sparse(Sparse),
}

impl Packing {
    /// Every packing, by name.
    pub const ALL: [Packing; 5] = [Packing::Q8_0, Packing::Q4_0, Packing::Q4_1, Packing::Q4K, Packing::Q6K];

    /// The word for it in `#[storage("…")]`.
    pub fn name(self) -> &'static str {
        match self {
            Packing::Q8_0 => "q8_0",
            Packing::Q4_0 => "q4_0",
            Packing::Q4_1 => "q4_1",
            Packing::Q4K => "q4_k",
            Packing::Q6K => "q6_k",
        }
    }

    /// Elements in a group.
    pub fn elements(self) -> i64 {
        match self {
            Packing::Q8_0 | Packing::Q4_0 | Packing::Q4_1 => 32,
            Packing::Q4K | Packing::Q6K => 256,
        }
    }

    /// Bytes of a group.
    pub fn bytes(self) -> i64 {
        match self {
            Packing::Q8_0 => 34,
            Packing::Q4_0 => 18,
            Packing::Q4_1 => 20,
            Packing::Q4K => 144,
            Packing::Q6K => 210,
        }
    }
}

impl Storage {
    /// The type that a read of one element gives to an expression.
    pub fn compute(self) -> DType {
        match self {
            Storage::Plain(dtype) => dtype.compute(),
            Storage::Packed(_) | Storage::Interleaved(_) | Storage::Sparse(_) => DType::F32,
        }
    }

    /// Bytes that hold elements `0..count`; `None` on overflow, and where there are not as many.
    pub fn bytes_for(self, count: i64) -> Option<i64> {
        match self {
            Storage::Plain(dtype) => dtype.bytes_for(count),
            Storage::Packed(p) => count.checked_add(p.elements() - 1)?.div_euclid(p.elements()).checked_mul(p.bytes()),
            Storage::Interleaved(rows) => rows.bytes_for(count),
            Storage::Sparse(sparse) => (count <= sparse.elements()).then(|| sparse.bytes()),
        }
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Storage::Plain(dtype) => f.pad(dtype.name()),
            Storage::Packed(packing) | Storage::Interleaved(Interleaved { packing, .. }) => f.pad(packing.name()),
            Storage::Sparse(sparse) => f.pad(&format!("sparse[{}, {}]", sparse.rows, sparse.columns)),
        }
    }
}

impl FromStr for Packing {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Packing::ALL.into_iter().find(|packing| packing.name() == word).ok_or(())
    }
}
