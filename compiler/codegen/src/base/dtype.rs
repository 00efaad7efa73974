//! Element types. The name of each is the word that `.mdl` files use.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The type of one element of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    /// IEEE binary64.
    F64,
    /// IEEE binary32.
    F32,
    /// IEEE binary16.
    F16,
    /// bfloat16: the upper half of an f32.
    BF16,
    /// Signed 64-bit integer.
    I64,
    /// Signed 32-bit integer.
    I32,
    /// Signed 16-bit integer.
    I16,
    /// Signed 8-bit integer.
    I8,
    /// Unsigned 8-bit integer.
    U8,
    /// Signed 4-bit integer, two to a byte, low nibble first.
    I4,
    /// Unsigned 4-bit integer, two to a byte, low nibble first.
    U4,
    /// One byte, 0 or 1.
    Bool,
}

impl DType {
    /// Every element type, widest floats first.
    pub const ALL: [DType; 12] = [
        DType::F64,
        DType::F32,
        DType::F16,
        DType::BF16,
        DType::I64,
        DType::I32,
        DType::I16,
        DType::I8,
        DType::U8,
        DType::I4,
        DType::U4,
        DType::Bool,
    ];

    /// The word for it in `.mdl` text.
    pub fn name(self) -> &'static str {
        match self {
            DType::F64 => "f64",
            DType::F32 => "f32",
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::I64 => "i64",
            DType::I32 => "i32",
            DType::I16 => "i16",
            DType::I8 => "i8",
            DType::U8 => "u8",
            DType::I4 => "i4",
            DType::U4 => "u4",
            DType::Bool => "bool",
        }
    }

    /// Bits of one element in memory.
    pub fn bits(self) -> u32 {
        match self {
            DType::F64 | DType::I64 => 64,
            DType::F32 | DType::I32 => 32,
            DType::F16 | DType::BF16 | DType::I16 => 16,
            DType::I8 | DType::U8 | DType::Bool => 8,
            DType::I4 | DType::U4 => 4,
        }
    }

    /// Bytes that hold `count` elements; `None` on overflow.
    pub fn bytes_for(self, count: i64) -> Option<i64> {
        let bits = count.checked_mul(i64::from(self.bits()))?;
        Some(bits.checked_add(7)? / 8)
    }

    /// f64, f32, f16 or bf16.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F64 | DType::F32 | DType::F16 | DType::BF16)
    }

    /// Any of the integer types; not `bool`.
    pub fn is_integer(self) -> bool {
        !self.is_float() && self != DType::Bool
    }

    /// The type that arithmetic on it is done in: f16 and bf16 in f32, integers below 32 bits in i32.
    pub fn compute(self) -> DType {
        match self {
            DType::F64 => DType::F64,
            DType::F32 | DType::F16 | DType::BF16 => DType::F32,
            DType::I64 => DType::I64,
            DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::I4 | DType::U4 => DType::I32,
            DType::Bool => DType::Bool,
        }
    }

    /// The least and greatest value of an integer type.
    pub fn integer_range(self) -> Option<(i64, i64)> {
        match self {
            DType::I64 => Some((i64::MIN, i64::MAX)),
            DType::I32 => Some((i64::from(i32::MIN), i64::from(i32::MAX))),
            DType::I16 => Some((i64::from(i16::MIN), i64::from(i16::MAX))),
            DType::I8 => Some((-128, 127)),
            DType::U8 => Some((0, 255)),
            DType::I4 => Some((-8, 7)),
            DType::U4 => Some((0, 15)),
            _ => None,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DType {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        DType::ALL.into_iter().find(|dtype| dtype.name() == word).ok_or(())
    }
}
