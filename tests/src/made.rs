//! Small binary files that tests describe in text.

pub mod onnx;

use anyhow::{Context, Result, bail};
use mlc_codegen::base::{DType, Scalar};
use mlc_runtime::npz::{write_npy, write_npz};
use mlc_runtime::tensor::Tensor;
use mlc_runtime::weights::write_safetensors;
use std::path::Path;

/// Writes an input file. `file`: the text itself. `bytes`: hexadecimal, in any number of lines. `tensors`: a weight file
/// of the kind that its name says, a tensor a line, `NAME dtype[2, 3]` or `NAME dtype[2] = 0.5 1`, the values repeated.
/// `onnx`: a model of that format, as [`onnx`] reads it.
pub fn write(kind: &str, path: &Path, text: &str) -> Result<()> {
    match kind {
        "file" => Ok(std::fs::write(path, text)?),
        "bytes" => {
            let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
            let byte = |pair: &[u8]| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?);
            Ok(std::fs::write(path, digits.chunks(2).map(byte).collect::<Result<Vec<u8>>>()?)?)
        }
        "tensors" => {
            let tensors: Vec<(String, Tensor)> = text.lines().map(tensor).collect::<Result<_>>()?;
            match path.extension().and_then(|e| e.to_str()) {
                Some("npy") => Ok(write_npy(path, &tensors.first().context("an array")?.1)?),
                Some("npz") => Ok(write_npz(path, &tensors, true)?),
                Some("safetensors") => Ok(write_safetensors(path, &tensors)?),
                _ => bail!("no tensors can be written to `{}`", path.display()),
            }
        }
        "onnx" => Ok(std::fs::write(path, onnx::model(text)?)?),
        kind => bail!("`{kind}` is no kind of file"),
    }
}

fn tensor(line: &str) -> Result<(String, Tensor)> {
    let (declared, values) = line.split_once(" = ").unwrap_or((line, "0"));
    let (name, ty) = declared.split_once(' ').context("NAME dtype[dims]")?;
    let (dtype, dims) = ty.trim().strip_suffix(']').and_then(|ty| ty.split_once('[')).context("dtype[dims]")?;
    let dtype: DType = dtype.parse().ok().context("a dtype")?;
    let dims = dims.split(',').map(str::trim).filter(|dim| !dim.is_empty());
    let shape: Vec<usize> = dims.map(|dim| Ok(dim.parse()?)).collect::<Result<_>>()?;
    let values: Vec<f64> = values.split_whitespace().map(|value| Ok(value.parse()?)).collect::<Result<_>>()?;
    let tensor = Tensor::from_fn(dtype, shape, |i| match values[i % values.len()] {
        value if dtype.is_float() => Scalar::F64(value),
        value => Scalar::I64(value as i64),
    })?;
    Ok((name.to_owned(), tensor))
}
