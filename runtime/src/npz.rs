//! Arrays as numpy keeps them: `.npy` and `.npz` in, for inputs and data sets, and out, for results.

use crate::tensor::Tensor;
use crate::weights::{Fault, Format, LoadError, Name, WeightFile, WriteSeek, npy_header, write_aside};
use mlc_codegen::base::DType;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Results that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A dtype that numpy lacks.
    #[error("`{name}` is {dtype}, which numpy has no type for; cast it to {instead}, or write safetensors", name = name.0)]
    DType {
        /// The tensor.
        name: Name,
        /// Its dtype.
        dtype: DType,
        /// A dtype that holds all its values.
        instead: DType,
    },
    /// Two tensors of one name.
    #[error("two results are named {0}")]
    Twice(Name),
    /// The system refuses.
    #[error("cannot write `{}`: {why}", file.display(), why = crate::system::why(cause))]
    Io {
        /// The file to write.
        file: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

impl WriteError {
    /// Its `MDL0xxx` code.
    pub fn code(&self) -> &'static str {
        match self {
            WriteError::DType { .. } | WriteError::Twice(_) => "MDL0708",
            WriteError::Io { .. } => "MDL0007",
        }
    }
}

/// The array of a `.npy` file, or the tensor of any weight file that holds just one.
///
/// # Errors
/// The file cannot be read, or holds several tensors.
pub fn read_npy(path: impl AsRef<Path>) -> Result<Tensor, LoadError> {
    let file = WeightFile::open(path)?;
    let names: Vec<String> = file.entries().map(|(name, _)| name.to_owned()).collect();
    if let ([name], 0) = (&names[..], file.foreign().len()) {
        return file.read(name);
    }
    if let (Format::Npy, Some((name, _))) = (file.format(), file.foreign().next()) {
        return file.read(name);
    }
    let what = format!("this file holds {} tensors", names.len() + file.foreign().len());
    Err(Fault::Unsupported { what, help: "say which one: FILE:KEY" }.of(file.path()))
}

/// Every array of a `.npz` file, in the file's order; any other weight file is read alike.
///
/// # Errors
/// The file or one of its arrays cannot be read.
pub fn read_npz(path: impl AsRef<Path>) -> Result<Vec<(String, Tensor)>, LoadError> {
    let file = WeightFile::open(path)?;
    if let Some((name, _)) = file.foreign().next() {
        file.read(name)?;
    }
    file.entries().map(|(name, _)| Ok((name.to_owned(), file.read(name)?))).collect()
}

/// Writes one array, aside, then renamed.
///
/// # Errors
/// numpy lacks the dtype, or the system refuses.
pub fn write_npy(path: impl AsRef<Path>, tensor: &Tensor) -> Result<(), WriteError> {
    let header = header("array", tensor)?;
    finish(path.as_ref(), |out| {
        out.write_all(&header)?;
        out.write_all(tensor.bytes())
    })
}

/// Writes arrays in the order given, aside, then renamed; `compressed` deflates them.
///
/// # Errors
/// numpy lacks a dtype, a name comes twice, or the system refuses.
pub fn write_npz(path: impl AsRef<Path>, tensors: &[(String, Tensor)], compressed: bool) -> Result<(), WriteError> {
    let mut headers = Vec::new();
    for (i, (name, tensor)) in tensors.iter().enumerate() {
        if tensors[..i].iter().any(|(other, _)| other == name) {
            return Err(WriteError::Twice(Name(name.clone())));
        }
        headers.push(header(name, tensor)?);
    }
    let method = if compressed { CompressionMethod::Deflated } else { CompressionMethod::Stored };
    finish(path.as_ref(), |out| {
        let mut zip = ZipWriter::new(out);
        for ((name, tensor), header) in tensors.iter().zip(&headers) {
            let large = tensor.bytes().len() as u64 >= u64::from(u32::MAX) - (1 << 16);
            let options = SimpleFileOptions::default().compression_method(method).large_file(large);
            zip.start_file(format!("{name}.npy"), options)?;
            zip.write_all(header)?;
            zip.write_all(tensor.bytes())?;
        }
        zip.finish()?;
        Ok(())
    })
}

fn header(name: &str, tensor: &Tensor) -> Result<Vec<u8>, WriteError> {
    let dtype = tensor.dtype();
    let instead = if dtype == DType::BF16 { DType::F32 } else { DType::I8 };
    let missing = || WriteError::DType { name: Name(name.into()), dtype, instead };
    npy_header(tensor).ok_or_else(missing)
}

fn finish(path: &Path, write: impl FnOnce(&mut dyn WriteSeek) -> io::Result<()>) -> Result<(), WriteError> {
    write_aside(path, write).map_err(|cause| WriteError::Io { file: path.into(), cause })
}
