//! Elements by dtype: the Rust type that holds one, and the rules by which a number becomes one.
//! Invariant: the rules are those of `cast`: integers wrap, a float becomes the nearest value, ties to even; a float that
//! becomes an integer truncates and saturates, NaN to 0.

use bytemuck::Pod;
use half::{bf16, f16};
use mlc_codegen::base::{DType, Scalar};

/// A Rust type whose slices can view a tensor.
pub trait Element: Pod {
    /// The dtype that a tensor made of such elements has.
    const DTYPE: DType;

    /// Whether a tensor of `dtype` can be viewed as such elements.
    fn views(dtype: DType) -> bool {
        dtype == Self::DTYPE
    }
}

macro_rules! elements {
    ($($rust:ty => $dtype:ident),*) => {
        $(impl Element for $rust {
            const DTYPE: DType = DType::$dtype;
        })*
    };
}

elements!(f64 => F64, f32 => F32, f16 => F16, bf16 => BF16, i64 => I64, i32 => I32, i16 => I16, i8 => I8);

impl Element for u8 {
    const DTYPE: DType = DType::U8;

    /// Bytes of `u8`, and of `bool`, where each is 0 or 1.
    fn views(dtype: DType) -> bool {
        matches!(dtype, DType::U8 | DType::Bool)
    }
}

/// Element `i` of `bytes`, in the compute type of `dtype`.
pub(super) fn load(dtype: DType, bytes: &[u8], i: usize) -> Scalar {
    match dtype {
        DType::F64 => Scalar::F64(f64::from_le_bytes(word(bytes, i))),
        DType::F32 => Scalar::F32(f32::from_le_bytes(word(bytes, i))),
        DType::F16 => Scalar::F32(f16::from_le_bytes(word(bytes, i)).to_f32()),
        DType::BF16 => Scalar::F32(bf16::from_le_bytes(word(bytes, i)).to_f32()),
        DType::I64 => Scalar::I64(i64::from_le_bytes(word(bytes, i))),
        DType::I32 => Scalar::I32(i32::from_le_bytes(word(bytes, i))),
        DType::I16 => Scalar::I32(i16::from_le_bytes(word(bytes, i)).into()),
        DType::I8 => Scalar::I32((bytes[i] as i8).into()),
        DType::U8 => Scalar::I32(bytes[i].into()),
        DType::I4 => Scalar::I32((((nibble(bytes, i) << 4) as i8) >> 4).into()),
        DType::U4 => Scalar::I32(nibble(bytes, i).into()),
        DType::Bool => Scalar::Bool(bytes[i] != 0),
    }
}

/// Writes element `i` of `bytes`; `value` becomes one of the compute type first, then of `dtype`.
pub(super) fn store(dtype: DType, bytes: &mut [u8], i: usize, value: Scalar) {
    match dtype {
        DType::F64 => put(bytes, i, value.as_f64().to_le_bytes()),
        DType::F32 => put(bytes, i, as_f32(value).to_le_bytes()),
        DType::F16 => put(bytes, i, f16::from_f32(as_f32(value)).to_le_bytes()),
        DType::BF16 => put(bytes, i, bf16::from_f32(as_f32(value)).to_le_bytes()),
        DType::Bool => bytes[i] = u8::from(as_bool(value)),
        _ => store_integer(dtype, bytes, i, as_integer(dtype, value)),
    }
}

fn store_integer(dtype: DType, bytes: &mut [u8], i: usize, value: i64) {
    match dtype.bits() {
        64 => put(bytes, i, value.to_le_bytes()),
        32 => put(bytes, i, (value as i32).to_le_bytes()),
        16 => put(bytes, i, (value as i16).to_le_bytes()),
        8 => bytes[i] = value as u8,
        _ => {
            let shift = 4 * (i % 2);
            bytes[i / 2] = bytes[i / 2] & !(0xf << shift) | (value as u8 & 0xf) << shift;
        }
    }
}

fn as_f32(value: Scalar) -> f32 {
    match value {
        Scalar::F32(v) => v,
        Scalar::I64(v) => v as f32,
        other => other.as_f64() as f32,
    }
}

fn as_bool(value: Scalar) -> bool {
    match value {
        Scalar::F64(v) => v != 0.0,
        Scalar::F32(v) => v != 0.0,
        other => other.as_i64() != 0,
    }
}

fn as_integer(dtype: DType, value: Scalar) -> i64 {
    match (value, dtype.integer_range()) {
        (Scalar::F64(_) | Scalar::F32(_), Some((lo, hi))) => value.as_i64().clamp(lo, hi),
        _ => value.as_i64(),
    }
}

fn word<const N: usize>(bytes: &[u8], i: usize) -> [u8; N] {
    bytes.as_chunks::<N>().0[i]
}

fn put<const N: usize>(bytes: &mut [u8], i: usize, word: [u8; N]) {
    bytes.as_chunks_mut::<N>().0[i] = word;
}

fn nibble(bytes: &[u8], i: usize) -> u8 {
    bytes[i / 2] >> (4 * (i % 2)) & 0xf
}
