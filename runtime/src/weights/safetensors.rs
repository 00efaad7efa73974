//! safetensors: a JSON header, then the tensors without gaps (huggingface/safetensors, "Format").
//! What the format has no type for (4-bit integers, packed groups) is stored as U8; `__metadata__` then says
//! `"mlc.dtype:NAME" = "q4_k[576, 1536]"`.

use super::aside::write_aside;
use super::error::{Fault, LoadError};
use super::file::{Entry, Headers, Place};
use super::gguf::MetaValue;
use super::source::Source;
use crate::tensor::{Tensor, element_count};
use mlc_codegen::base::{DType, Packing, Storage};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The longest header that the format allows.
const HEADER_LIMIT: u64 = 100_000_000;

/// What the metadata key of a tensor begins with, whose elements the format has no type for.
const DTYPE_KEY: &str = "mlc.dtype:";

pub(super) fn headers(source: &Source, part: usize) -> Result<Headers, Fault> {
    let length = source.range(0, 8, || "the header's length".into())?;
    let length = u64::from_le_bytes(length[..].try_into().expect("eight bytes"));
    if length > HEADER_LIMIT {
        return Err(Fault::damaged(0, format!("the header claims {length} bytes, the format allows {HEADER_LIMIT}")));
    }
    let text = source.range(8, length, || "the header".into())?;
    let metadata: Metadata = serde_json::from_slice(&text)
        .map_err(|cause| Fault::damaged(8, format!("the header is no list of tensors without gaps ({cause})")))?;
    let start = 8 + length;
    let data = metadata.data_len() as u64;
    match start.saturating_add(data) {
        end if end > source.len() => {
            return Err(Fault::Truncated { what: "the tensors".into(), start, end, len: source.len() });
        }
        end if end < source.len() => {
            let more = source.len() - end;
            return Err(Fault::damaged(end, format!("{more} bytes follow the last tensor")));
        }
        _ => {}
    }
    collect(&metadata, start, part)
}

fn collect(metadata: &Metadata, start: u64, part: usize) -> Result<Headers, Fault> {
    let mut headers = Headers::default();
    let words = metadata.metadata().iter().flatten();
    headers.meta = words.map(|(key, word)| (key.clone(), MetaValue::Str(word.clone()))).collect();
    headers.meta.sort_keys();
    for name in metadata.offset_keys() {
        let info = metadata.info(&name).expect("a key of this table");
        let place = Place {
            part,
            member: None,
            start: start + info.data_offsets.0 as u64,
            len: (info.data_offsets.1 - info.data_offsets.0) as u64,
        };
        let declared = headers.meta.get(&format!("{DTYPE_KEY}{name}")).cloned();
        let (storage, shape) = match (declared, dtype(info.dtype)) {
            (Some(MetaValue::Str(word)), _) => packed(&name, &word, place.len)?,
            (_, Some(dtype)) => (Storage::Plain(dtype), info.shape.clone()),
            _ => {
                headers.foreign.insert(name, format!("{:?}", info.dtype));
                continue;
            }
        };
        if element_count(&shape).is_none() {
            return Err(Fault::tensor(&name, "the shape does not fit in 64 bits"));
        }
        headers.add(name, Entry { storage, shape, place, conversion: None, strides: None })?;
    }
    Ok(headers)
}

/// Storage and shape of `q4_k[576, 1536]`, checked against the bytes that are there.
fn packed(name: &str, word: &str, bytes: u64) -> Result<(Storage, Vec<usize>), Fault> {
    let parse = || {
        let (storage, dims) = word.strip_suffix(']')?.split_once('[')?;
        let plain = storage.parse::<DType>().map(Storage::Plain);
        let storage = plain.or_else(|()| storage.parse::<Packing>().map(Storage::Packed)).ok()?;
        let dims = dims.split(',').map(str::trim).filter(|dim| !dim.is_empty());
        let shape: Vec<usize> = dims.map(|dim| dim.parse().ok()).collect::<Option<_>>()?;
        let count = i64::try_from(element_count(&shape)?).ok()?;
        let fits = whole_groups(storage, &shape) && storage.bytes_for(count) == i64::try_from(bytes).ok();
        fits.then_some((storage, shape))
    };
    parse().ok_or_else(|| Fault::tensor(name, format!("its metadata says `{word}`, which its {bytes} bytes are not")))
}

/// Whether the last axis of a packed tensor is a whole number of groups.
pub(super) fn whole_groups(storage: Storage, shape: &[usize]) -> bool {
    match storage {
        Storage::Plain(_) => true,
        Storage::Packed(packing) => shape.last().is_some_and(|dim| dim.is_multiple_of(packing.elements() as usize)),
        Storage::Interleaved(_) | Storage::Sparse(_) => {
            unreachable!("no file of weights is sparse or has rows side by side")
        }
    }
}

fn dtype(theirs: Dtype) -> Option<DType> {
    Some(match theirs {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool,
        _ => return None,
    })
}

/// Type and dims in the header: 4-bit elements are U8 of half the last dim, or of one axis where that is odd.
fn info(tensor: &Tensor, start: usize) -> (TensorInfo, bool) {
    let all =
        [Dtype::F64, Dtype::F32, Dtype::F16, Dtype::BF16, Dtype::I64, Dtype::I32, Dtype::I16, Dtype::I8, Dtype::U8];
    let all = all.into_iter().chain([Dtype::BOOL]);
    let bytes = tensor.bytes().len();
    let data_offsets = (start, start + bytes);
    if let Some(dtype) = all.into_iter().find(|theirs| dtype(*theirs) == Some(tensor.dtype())) {
        return (TensorInfo { dtype, shape: tensor.shape().to_vec(), data_offsets }, false);
    }
    let mut shape = tensor.shape().to_vec();
    match shape.last_mut() {
        Some(last) if last.is_multiple_of(2) => *last /= 2,
        _ => shape = vec![bytes],
    }
    (TensorInfo { dtype: Dtype::U8, shape, data_offsets }, true)
}

/// Writes tensors, widest elements first so that each is aligned, else in the order given; the first one begins at a
/// multiple of 64. Written aside, then renamed.
///
/// # Errors
/// What the system says.
pub fn write_safetensors(path: &Path, tensors: &[(String, Tensor)]) -> Result<(), LoadError> {
    write_packed(path, tensors, &[])
}

/// The same, where some tensors of u8 are the bytes of packed groups: `packed` says which by key, and what of, as
/// `q4_0[64, 64]`.
///
/// # Errors
/// What the system says.
pub fn write_packed(path: &Path, tensors: &[(String, Tensor)], packed: &[(String, String)]) -> Result<(), LoadError> {
    let packed = packed.iter().map(|(name, word)| (format!("{DTYPE_KEY}{name}"), Value::from(word.clone())));
    let mut words: Map<String, Value> = packed.collect();
    let mut header = Map::new();
    let mut end = 0;
    let mut tensors: Vec<&(String, Tensor)> = tensors.iter().collect();
    tensors.sort_by_key(|(_, tensor)| std::cmp::Reverse(tensor.dtype().bits()));
    for (name, tensor) in &tensors {
        let (info, needs_word) = info(tensor, end);
        end = info.data_offsets.1;
        if needs_word {
            words.insert(format!("{DTYPE_KEY}{name}"), format!("{}{:?}", tensor.dtype(), tensor.shape()).into());
        }
        let TensorInfo { dtype, shape, data_offsets } = info;
        header.insert(name.clone(), json!({"dtype": dtype, "shape": shape, "data_offsets": data_offsets}));
    }
    if !words.is_empty() {
        header.shift_insert(0, "__metadata__".into(), Value::Object(words));
    }
    let mut text = Value::Object(header).to_string();
    text.extend(std::iter::repeat_n(' ', (8 + text.len()).next_multiple_of(64) - 8 - text.len()));
    let written = write_aside(path, |out| {
        out.write_all(&(text.len() as u64).to_le_bytes())?;
        out.write_all(text.as_bytes())?;
        tensors.iter().try_for_each(|(_, tensor)| out.write_all(tensor.bytes()))
    });
    written.map_err(|cause| Fault::Io(cause).of(path))
}
