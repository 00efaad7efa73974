//! The header of a `.npy` array, and how its elements become ours.
//! Invariant: knows no file; sizes are checked, the header is at most 64 KiB.

use super::error::Fault;
use super::file::Conversion;
use crate::tensor::{Tensor, element_count};
use mlc_codegen::base::DType;
use npyz::{Endianness, NpyHeader, Order, TypeChar};
use std::io::{Cursor, Read};

/// Longest header looked at.
const HEADER_LIMIT: u64 = 1 << 16;

/// What the header of an array says.
pub(super) struct Array {
    /// Where the elements begin.
    pub(super) start: u64,
    /// Bytes of all elements as they lie there.
    pub(super) bytes: u64,
    pub(super) shape: Vec<usize>,
    /// The dtype and how the bytes become it; else numpy's word for a dtype that is not read.
    pub(super) element: Result<(DType, Conversion), String>,
    /// Whether the first axis is the fastest.
    pub(super) fortran: bool,
}

/// Parses the header at the start of `reader`, which is at byte `at` of the file.
pub(super) fn parse(reader: impl Read, at: u64) -> Result<Array, Fault> {
    let mut text = Vec::new();
    let damaged = |what: &str| Fault::damaged(at, format!("the array header {what}"));
    reader.take(HEADER_LIMIT).read_to_end(&mut text).map_err(|cause| damaged(&format!("does not expand ({cause})")))?;
    let length = match text.get(6..12) {
        Some([1, _, low, high, ..]) => 10 + usize::from(u16::from_le_bytes([*low, *high])),
        Some([_, _, word @ ..]) => 12 + word.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
        _ => return Err(damaged("is cut short")),
    };
    if length > text.len() {
        return Err(damaged("is cut short, or longer than 64 KiB"));
    }
    text.truncate(length);
    if nesting(&text) > 32 {
        return Err(damaged("is nested too deep"));
    }
    let mut cursor = Cursor::new(text);
    let header = NpyHeader::from_reader(&mut cursor).map_err(|cause| damaged(&format!("does not parse ({cause})")))?;
    let shape: Option<Vec<usize>> = header.shape().iter().map(|dim| usize::try_from(*dim).ok()).collect();
    let shape = shape.filter(|shape| shape.len() <= 64).ok_or_else(|| damaged("has an impossible shape"))?;
    let count = element_count(&shape).ok_or_else(|| damaged("has a shape that does not fit in 64 bits"))?;
    let width = header.dtype().num_bytes().unwrap_or(0);
    let bytes = count.checked_mul(width).ok_or_else(|| damaged("has a size that does not fit in 64 bits"))?;
    let fortran = header.order() == Order::Fortran && shape.len() > 1;
    Ok(Array { start: cursor.position(), bytes: bytes as u64, shape, element: element(&header.dtype()), fortran })
}

/// The deepest bracket nesting in a header, bounded before a recursive parser sees it.
fn nesting(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for byte in text {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn element(dtype: &npyz::DType) -> Result<(DType, Conversion), String> {
    let npyz::DType::Plain(plain) = dtype else { return Err(dtype.descr()) };
    let width = plain.num_bytes().unwrap_or(0);
    let (ours, widened) = match (plain.type_char(), width) {
        (TypeChar::Float, 8) => (DType::F64, false),
        (TypeChar::Float, 4) => (DType::F32, false),
        (TypeChar::Float, 2) => (DType::F16, false),
        (TypeChar::Int, 8) => (DType::I64, false),
        (TypeChar::Int, 4) => (DType::I32, false),
        (TypeChar::Int, 2) => (DType::I16, false),
        (TypeChar::Int, 1) => (DType::I8, false),
        (TypeChar::Uint, 1) => (DType::U8, false),
        (TypeChar::Bool, 1) => (DType::Bool, false),
        (TypeChar::Uint, 2) => (DType::I32, true),
        (TypeChar::Uint, 4 | 8) => (DType::I64, true),
        _ => return Err(dtype.descr()),
    };
    let swapped = plain.endianness() == Endianness::Big;
    Ok((ours, Conversion { width: width as u8, swapped, widened }))
}

fn descr(dtype: DType) -> Option<&'static str> {
    Some(match dtype {
        DType::F64 => "<f8",
        DType::F32 => "<f4",
        DType::F16 => "<f2",
        DType::I64 => "<i8",
        DType::I32 => "<i4",
        DType::I16 => "<i2",
        DType::I8 => "|i1",
        DType::U8 => "|u1",
        DType::Bool => "|b1",
        DType::BF16 | DType::I4 | DType::U4 => return None,
    })
}

/// The header of a tensor whose dtype numpy has, padded so that the elements begin at a multiple of 64 (NEP 1, version 1.0).
pub(crate) fn header(tensor: &Tensor) -> Option<Vec<u8>> {
    let descr = descr(tensor.dtype())?;
    let dims: Vec<String> = tensor.shape().iter().map(usize::to_string).collect();
    let comma = if dims.len() == 1 { "," } else { "" };
    let shape = dims.join(", ") + comma;
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    let padded = (10 + text.len() + 1).next_multiple_of(64) - 10;
    text.extend(std::iter::repeat_n(' ', padded - 1 - text.len()));
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(padded).ok()?.to_le_bytes());
    bytes.extend(text.into_bytes());
    Some(bytes)
}
