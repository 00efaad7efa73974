//! One number of a compute type: a literal, a fill, the start of a fold.

use super::DType;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A number as expressions hold it. Equality and hashing are by bits, so that NaN constants can be shared.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(into = "Bits", from = "Bits")]
pub enum Scalar {
    /// f64.
    F64(f64),
    /// f32, f16 or bf16, widened.
    F32(f32),
    /// i64.
    I64(i64),
    /// An integer of at most 32 bits, widened.
    I32(i32),
    /// bool.
    Bool(bool),
}

impl Scalar {
    /// Zero (`false`) of the compute type of `dtype`.
    pub fn zero(dtype: DType) -> Scalar {
        Scalar::from_f64(dtype, 0.0)
    }

    /// `value` in the compute type of `dtype`; integers saturate and NaN becomes 0, as `cast` does.
    pub fn from_f64(dtype: DType, value: f64) -> Scalar {
        match dtype.compute() {
            DType::F64 => Scalar::F64(value),
            DType::F32 => Scalar::F32(value as f32),
            DType::I64 => Scalar::I64(value as i64),
            DType::Bool => Scalar::Bool(value != 0.0),
            _ => Scalar::I32(value as i32),
        }
    }

    /// `value` in the compute type of `dtype`; narrower integers wrap.
    pub fn from_i64(dtype: DType, value: i64) -> Scalar {
        match dtype.compute() {
            DType::F64 => Scalar::F64(value as f64),
            DType::F32 => Scalar::F32(value as f32),
            DType::I64 => Scalar::I64(value),
            DType::Bool => Scalar::Bool(value != 0),
            _ => Scalar::I32(value as i32),
        }
    }

    /// Its compute type.
    pub fn dtype(self) -> DType {
        match self {
            Scalar::F64(_) => DType::F64,
            Scalar::F32(_) => DType::F32,
            Scalar::I64(_) => DType::I64,
            Scalar::I32(_) => DType::I32,
            Scalar::Bool(_) => DType::Bool,
        }
    }

    /// The value as f64; exact except for large i64.
    pub fn as_f64(self) -> f64 {
        match self {
            Scalar::F64(v) => v,
            Scalar::F32(v) => f64::from(v),
            Scalar::I64(v) => v as f64,
            Scalar::I32(v) => f64::from(v),
            Scalar::Bool(v) => f64::from(u8::from(v)),
        }
    }

    /// The value as an integer; floats truncate and saturate.
    pub fn as_i64(self) -> i64 {
        match self {
            Scalar::F64(v) => v as i64,
            Scalar::F32(v) => v as i64,
            Scalar::I64(v) => v,
            Scalar::I32(v) => i64::from(v),
            Scalar::Bool(v) => i64::from(v),
        }
    }

    fn bits(self) -> Bits {
        match self {
            Scalar::F64(v) => Bits::F64(v.to_bits()),
            Scalar::F32(v) => Bits::F32(v.to_bits()),
            Scalar::I64(v) => Bits::I64(v),
            Scalar::I32(v) => Bits::I32(v),
            Scalar::Bool(v) => Bits::Bool(v),
        }
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.bits() == other.bits()
    }
}

impl Eq for Scalar {}

impl std::hash::Hash for Scalar {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.bits().hash(state);
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::F64(v) => write!(f, "{v:?}f64"),
            Scalar::F32(v) => write!(f, "{v:?}"),
            Scalar::I64(v) => write!(f, "{v}"),
            Scalar::I32(v) => write!(f, "{v}i32"),
            Scalar::Bool(v) => write!(f, "{v}"),
        }
    }
}

/// Floats by their bits: what equality compares, and what JSON, which has no NaN, stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Bits {
    F64(u64),
    F32(u32),
    I64(i64),
    I32(i32),
    Bool(bool),
}

impl From<Scalar> for Bits {
    fn from(scalar: Scalar) -> Bits {
        scalar.bits()
    }
}

impl From<Bits> for Scalar {
    fn from(bits: Bits) -> Scalar {
        match bits {
            Bits::F64(v) => Scalar::F64(f64::from_bits(v)),
            Bits::F32(v) => Scalar::F32(f32::from_bits(v)),
            Bits::I64(v) => Scalar::I64(v),
            Bits::I32(v) => Scalar::I32(v),
            Bits::Bool(v) => Scalar::Bool(v),
        }
    }
}
