//! One element of a buffer, through its storage format. Packed groups are those of GGUF (ggml-quants.c).

use super::convert;
use crate::base::{DType, Packing, Scalar, Storage};
use half::{bf16, f16};

/// Element `element` in the compute type.
pub fn read_element(storage: Storage, bytes: &[u8], element: i64) -> Scalar {
    let element = usize::try_from(element).expect("elements are not negative");
    match storage {
        Storage::Packed(packing) => {
            let (count, size) = (packing.elements() as usize, packing.bytes() as usize);
            let group = &bytes[element / count * size..][..size];
            Scalar::F32(decode(packing, group, element % count))
        }
        Storage::Interleaved(rows) => {
            let (group, i) = rows.group(bytes, element);
            Scalar::F32(decode(rows.packing, &group, i))
        }
        Storage::Sparse(sparse) => Scalar::F32(sparse.element(bytes, element)),
        Storage::Plain(dtype) => read_plain(dtype, bytes, element),
    }
}

fn read_plain(dtype: DType, bytes: &[u8], element: usize) -> Scalar {
    let width = dtype.bits() as usize / 8;
    let at = |n: usize| &bytes[element * n..][..n];
    let nibble = || (bytes[element / 2] >> (4 * (element % 2))) & 15;
    let whole = || <[u8; 8]>::try_from(at(8)).expect("8 bytes");
    let word = || <[u8; 4]>::try_from(at(width)).expect("4 bytes");
    let pair = || <[u8; 2]>::try_from(at(width)).expect("2 bytes");
    match dtype {
        DType::F64 => Scalar::F64(f64::from_le_bytes(whole())),
        DType::I64 => Scalar::I64(i64::from_le_bytes(whole())),
        DType::F32 => Scalar::F32(f32::from_le_bytes(word())),
        DType::I32 => Scalar::I32(i32::from_le_bytes(word())),
        DType::F16 => Scalar::F32(f16::from_le_bytes(pair()).to_f32()),
        DType::BF16 => Scalar::F32(bf16::from_le_bytes(pair()).to_f32()),
        DType::I16 => Scalar::I32(i32::from(i16::from_le_bytes(pair()))),
        DType::I8 => Scalar::I32(i32::from(at(1)[0] as i8)),
        DType::U8 => Scalar::I32(i32::from(at(1)[0])),
        DType::I4 => Scalar::I32(i32::from((nibble() << 4) as i8 >> 4)),
        DType::U4 => Scalar::I32(i32::from(nibble())),
        DType::Bool => Scalar::Bool(at(1)[0] != 0),
    }
}

/// Writes `value`, converted to the buffer's type.
pub fn write_element(storage: Storage, bytes: &mut [u8], element: i64, value: Scalar) {
    let Storage::Plain(dtype) = storage else { panic!("packed buffers are never written") };
    let width = dtype.bits() as usize / 8;
    let at = usize::try_from(element).expect("elements are not negative") * width;
    let place = &mut bytes[at..at + width];
    match (dtype, convert(dtype, value)) {
        (DType::F16, Scalar::F32(v)) => place.copy_from_slice(&f16::from_f32(v).to_le_bytes()),
        (DType::BF16, Scalar::F32(v)) => place.copy_from_slice(&bf16::from_f32(v).to_le_bytes()),
        (_, Scalar::F64(v)) => place.copy_from_slice(&v.to_le_bytes()),
        (_, Scalar::F32(v)) => place.copy_from_slice(&v.to_le_bytes()),
        (_, Scalar::I64(v)) => place.copy_from_slice(&v.to_le_bytes()),
        (_, Scalar::I32(v)) => place.copy_from_slice(&v.to_le_bytes()[..width]),
        (_, Scalar::Bool(v)) => place[0] = u8::from(v),
    }
}

fn decode(packing: Packing, group: &[u8], i: usize) -> f32 {
    let half = |at: usize| f16::from_le_bytes([group[at], group[at + 1]]).to_f32();
    let nibble = |from: usize| f32::from((group[from + i % 16] >> (4 * (i / 16))) & 15);
    match packing {
        Packing::Q8_0 => half(0) * f32::from(group[2 + i] as i8),
        Packing::Q4_0 => half(0) * (nibble(2) - 8.0),
        Packing::Q4_1 => half(0) * nibble(4) + half(2),
        Packing::Q4K => {
            let j = i / 32;
            let packed = &group[4..16];
            let (scale, minimum) = match j {
                0..4 => (packed[j] & 63, packed[j + 4] & 63),
                _ => {
                    ((packed[j + 4] & 15) | ((packed[j - 4] >> 6) << 4), (packed[j + 4] >> 4) | ((packed[j] >> 6) << 4))
                }
            };
            let code = (group[16 + 32 * (j / 2) + i % 32] >> (4 * (j % 2))) & 15;
            half(0) * f32::from(scale) * f32::from(code) - half(2) * f32::from(minimum)
        }
        Packing::Q6K => {
            let (part, quarter, lane) = (i / 128, i / 32 % 4, i % 32);
            let low = (group[64 * part + 32 * (quarter % 2) + lane] >> (4 * (quarter / 2))) & 15;
            let high = (group[128 + 32 * part + lane] >> (2 * quarter)) & 3;
            half(208) * f32::from(group[192 + i / 16] as i8) * (f32::from(low | (high << 4)) - 32.0)
        }
    }
}
