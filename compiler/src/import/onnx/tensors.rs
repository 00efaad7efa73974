//! Tensors of a file as tensors of the runtime: numbers in fields, in raw bytes, or in files beside the model.
//!
//! Invariant: external data is read from regular files inside the model's folder only, and a length is compared with what
//! is there before memory is taken for it.

use super::error::ImportError;
use crate::formats::onnx::{SparseTensor, TensorProto, dtype};
use half::{bf16, f16};
use mlc_codegen::base::{DType, Scalar};
use mlc_runtime::tensor::Tensor;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path};

/// The format's name of an element type.
pub(super) fn type_name(code: i64) -> String {
    const NAMES: [&str; 24] = [
        "undefined",
        "float",
        "uint8",
        "int8",
        "uint16",
        "int16",
        "int32",
        "int64",
        "string",
        "bool",
        "float16",
        "double",
        "uint32",
        "uint64",
        "complex64",
        "complex128",
        "bfloat16",
        "float8e4m3fn",
        "float8e4m3fnuz",
        "float8e5m2",
        "float8e5m2fnuz",
        "uint4",
        "int4",
        "float4e2m1",
    ];
    usize::try_from(code).ok().and_then(|code| NAMES.get(code)).map_or_else(|| code.to_string(), |n| (*n).into())
}

/// What was found for a tensor.
pub(super) enum Read {
    /// Its numbers.
    Tensor(Tensor),
    /// An element type that mlc lacks, by name.
    Foreign(String),
}

/// The numbers of a tensor; `folder` is the model's.
pub(super) fn read(proto: &TensorProto, folder: Option<&Path>) -> Result<Read, ImportError> {
    let Some(dtype) = dtype(i64::from(proto.data_type)) else {
        return Ok(Read::Foreign(type_name(i64::from(proto.data_type))));
    };
    let name = &proto.name;
    let damaged = |why: String| ImportError::Damaged(format!("tensor `{name}` {why}"));
    let shape: Option<Vec<usize>> = proto.dims.iter().map(|dim| usize::try_from(*dim).ok()).collect();
    let shape = shape.ok_or_else(|| damaged("has a negative dim".into()))?;
    let count = mlc_runtime::tensor::element_count(&shape).ok_or_else(|| damaged("has too many elements".into()))?;
    let bytes = dtype.bytes_for(count as i64).ok_or_else(|| damaged("has too many elements".into()))? as usize;
    let whole = |result: Result<Tensor, mlc_runtime::tensor::TensorError>| result.map_err(|e| damaged(e.to_string()));
    if proto.data_location == 1 {
        return Ok(Read::Tensor(whole(Tensor::new(dtype, shape, &external(proto, bytes, folder)?))?));
    }
    if !proto.raw_data.is_empty() || count == 0 {
        if proto.raw_data.len() != bytes {
            return Err(damaged(format!("has {} bytes and its shape takes {bytes}", proto.raw_data.len())));
        }
        return Ok(Read::Tensor(whole(Tensor::new(dtype, shape, &proto.raw_data))?));
    }
    let fields = match dtype {
        DType::F32 => proto.float_data.len(),
        DType::F64 => proto.double_data.len(),
        DType::I64 => proto.int64_data.len(),
        DType::I4 | DType::U4 => proto.int32_data.len() * 2,
        _ => proto.int32_data.len(),
    };
    if fields != count && !(matches!(dtype, DType::I4 | DType::U4) && fields == count + 1) {
        return Err(damaged(format!("has {fields} numbers and its shape takes {count}")));
    }
    let element = |i: usize| match dtype {
        DType::F32 => Scalar::F32(proto.float_data[i]),
        DType::F64 => Scalar::F64(proto.double_data[i]),
        DType::I64 => Scalar::I64(proto.int64_data[i]),
        DType::F16 => Scalar::F32(f16::from_bits(proto.int32_data[i] as u16).to_f32()),
        DType::BF16 => Scalar::F32(bf16::from_bits(proto.int32_data[i] as u16).to_f32()),
        DType::Bool => Scalar::Bool(proto.int32_data[i] != 0),
        DType::U4 => Scalar::I64(i64::from(proto.int32_data[i / 2] >> (4 * (i % 2)) & 15)),
        DType::I4 => Scalar::I64(i64::from((proto.int32_data[i / 2] >> (4 * (i % 2)) & 15) << 28 >> 28)),
        _ => Scalar::I64(i64::from(proto.int32_data[i])),
    };
    Ok(Read::Tensor(whole(Tensor::from_fn(dtype, shape, element))?))
}

/// A tensor of zeros with the numbers that the file lists.
pub(super) fn sparse(proto: &SparseTensor, folder: Option<&Path>) -> Result<(String, Read), ImportError> {
    let damaged = |why: &str| ImportError::Damaged(format!("a sparse tensor {why}"));
    let (Some(values), Some(indices)) = (&proto.values, &proto.indices) else {
        return Err(damaged("lacks its values or indices"));
    };
    let (name, values, indices) = (values.name.clone(), read(values, folder)?, read(indices, folder)?);
    let (values, indices) = match (values, indices) {
        (Read::Tensor(values), Read::Tensor(indices)) => (values, indices),
        (Read::Foreign(ty), _) | (_, Read::Foreign(ty)) => return Ok((name, Read::Foreign(ty))),
    };
    let shape: Option<Vec<usize>> = proto.dims.iter().map(|dim| usize::try_from(*dim).ok()).collect();
    let shape = shape.ok_or_else(|| damaged("has a negative dim"))?;
    if mlc_runtime::tensor::element_count(&shape).is_none_or(|count| count > 1 << 32) {
        return Err(ImportError::Limit(format!("the sparse tensor `{name}` has more than 2^32 elements")));
    }
    let mut tensor = Tensor::zeros(values.dtype(), &shape).map_err(|_| damaged("does not fit in memory"))?;
    let rank = if indices.shape().len() == 2 { indices.shape()[1] } else { 1 };
    if indices.len() != values.len() * rank || (rank != shape.len() && rank != 1) {
        return Err(damaged("has indices that do not fit its values"));
    }
    for at in 0..values.len() {
        let row = (0..rank).map(|k| indices.get(at * rank + k).as_i64());
        let place = if rank == shape.len() && rank != 1 {
            row.zip(&shape).try_fold(0usize, |place, (index, extent)| {
                usize::try_from(index).ok().filter(|i| i < extent).map(|i| place * extent + i)
            })
        } else {
            usize::try_from(indices.get(at).as_i64()).ok()
        };
        let place = place.filter(|place| *place < tensor.len()).ok_or_else(|| damaged("has an index outside of it"))?;
        tensor.set(place, values.get(at));
    }
    Ok((name, Read::Tensor(tensor)))
}

/// Bytes of a file beside the model.
fn external(proto: &TensorProto, bytes: usize, folder: Option<&Path>) -> Result<Vec<u8>, ImportError> {
    let find = |key: &str| proto.external_data.iter().find(|pair| pair.key == key).map(|pair| pair.value.as_str());
    let location = find("location").unwrap_or("");
    let wrong = |why: String| ImportError::External { tensor: proto.name.clone(), path: location.into(), why };
    if location.is_empty() {
        return Err(wrong("it names no file".into()));
    }
    let path = Path::new(location);
    let plain = |part: Component| matches!(part, Component::Normal(_) | Component::CurDir);
    let inside = path.components().all(plain);
    let folder = folder.filter(|_| inside).ok_or_else(|| wrong("this leaves the model's folder".into()))?;
    let mut walked = folder.to_owned();
    for part in path.components() {
        walked.push(part);
        let meta = std::fs::symlink_metadata(&walked).map_err(|error| wrong(error.to_string()))?;
        if meta.is_symlink() {
            return Err(wrong("a link may leave the model's folder".into()));
        }
    }
    let file = File::open(&walked).map_err(|error| wrong(error.to_string()))?;
    let meta = file.metadata().map_err(|error| wrong(error.to_string()))?;
    if !meta.is_file() || std::os::unix::fs::MetadataExt::nlink(&meta) > 1 {
        return Err(wrong("this is no regular file of one name".into()));
    }
    let number = |key: &str, default: u64| match find(key) {
        Some(text) => text.parse().map_err(|_| wrong(format!("its {key} `{text}` is no number"))),
        None => Ok(default),
    };
    let (start, len) = (number("offset", 0)?, number("length", bytes as u64)?);
    if len != bytes as u64 {
        return Err(wrong(format!("it says {len} bytes, and the shape takes {bytes}")));
    }
    if start.checked_add(len).is_none_or(|end| end > meta.len()) {
        return Err(wrong(format!("bytes {start} and {len} more lie beyond its end at {}", meta.len())));
    }
    let mut data = vec![0; bytes];
    file.read_exact_at(&mut data, start).map_err(|error| wrong(error.to_string()))?;
    Ok(data)
}
