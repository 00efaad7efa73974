//! A weight file, opened by its headers only.
//! Invariant: an entry's place was checked against the file when it was opened; a read allocates what the entry says.

use super::archive::Archive;
use super::dequant::dequantize_group;
use super::error::{Fault, LoadError, Name};
use super::gguf::{MetaArray, MetaValue};
use super::source::Source;
use super::{arrays, gguf, index, pth, pth_legacy, safetensors};
use crate::tensor::{Tensor, element_count};
use indexmap::IndexMap;
use mlc_codegen::base::{DType, Packing, Storage};
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// The format of a weight file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.safetensors`.
    Safetensors,
    /// `.index.json`: several safetensors files.
    Index,
    /// `.npz`: a zip archive of `.npy` arrays.
    Npz,
    /// `.npy`: one array, named as the file without its extension.
    Npy,
    /// `.gguf`, versions 2 and 3.
    Gguf,
    /// PyTorch's `.pth`, as a zip archive or as before 1.6; only tensors are read.
    Pth,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// Map the file instead of reading it.
    pub mmap: bool,
    /// Bytes up to which a compressed member may expand by more than 256 times.
    pub expand_limit: u64,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions { mmap: true, expand_limit: 64 << 20 }
    }
}

/// What the headers say of one tensor.
#[derive(Clone, Debug)]
pub struct Entry {
    /// How its elements are kept.
    pub storage: Storage,
    /// Its dims, outermost first.
    pub shape: Vec<usize>,
    pub(super) place: Place,
    /// What must be done to each element first, where the file has other widths or byte order.
    pub(super) conversion: Option<Conversion>,
    /// Steps in elements, where the elements do not lie row-major.
    pub(super) strides: Option<Vec<usize>>,
}

/// Where a tensor's bytes lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Which file of a sharded one.
    pub(super) part: usize,
    /// Which member of an archive.
    pub(super) member: Option<usize>,
    /// The first byte in the file, or in the expanded member.
    pub(super) start: u64,
    pub(super) len: u64,
}

/// Elements of `width` bytes that become wider or swap their bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Conversion {
    pub(super) width: u8,
    pub(super) swapped: bool,
    pub(super) widened: bool,
}

impl Conversion {
    pub(super) fn needed(self) -> Option<Conversion> {
        (self.widened || (self.swapped && self.width > 1)).then_some(self)
    }
}

/// What a format's reader finds in the headers.
#[derive(Debug, Default)]
pub(super) struct Headers {
    pub(super) entries: IndexMap<String, Entry>,
    /// Tensors of types that are not read: name and type in the file's words.
    pub(super) foreign: IndexMap<String, String>,
    pub(super) meta: IndexMap<String, MetaValue>,
}

impl Headers {
    /// Adds one tensor; a name that is there already is a fault.
    pub(super) fn add(&mut self, name: String, entry: Entry) -> Result<(), Fault> {
        if self.entries.contains_key(&name) || self.foreign.contains_key(&name) {
            return Err(Fault::tensor(&name, "the name occurs twice"));
        }
        self.entries.insert(name, entry);
        Ok(())
    }
}

/// One file of a weight file: itself, or a shard.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) source: Source,
    pub(super) archive: Option<Archive>,
}

/// A weight file whose headers were read and checked. Tensors are read one by one, by any number of threads.
#[derive(Debug)]
pub struct WeightFile {
    path: PathBuf,
    format: Format,
    parts: Vec<Part>,
    headers: Headers,
}

impl WeightFile {
    /// Opens a file, mapped.
    ///
    /// # Errors
    /// It cannot be opened, has no known format, or its headers contradict it.
    pub fn open(path: impl AsRef<Path>) -> Result<WeightFile, LoadError> {
        WeightFile::open_with(path, OpenOptions::default())
    }

    /// Opens a file as `options` say.
    ///
    /// # Errors
    /// As [`WeightFile::open`].
    pub fn open_with(path: impl AsRef<Path>, options: OpenOptions) -> Result<WeightFile, LoadError> {
        let path = path.as_ref();
        if path.to_string_lossy().ends_with(".index.json") {
            let (parts, headers) = index::open(path, options)?;
            return Ok(WeightFile { path: path.into(), format: Format::Index, parts, headers });
        }
        let source = Source::open(path, options.mmap).map_err(|fault| fault.of(path))?;
        WeightFile::from_source(path, source, options).map_err(|fault| fault.of(path))
    }

    /// A file that is in memory already; `name` stands for its path in messages.
    ///
    /// # Errors
    /// It has no known format, or its headers contradict it.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<WeightFile, LoadError> {
        let path = Path::new(name);
        WeightFile::from_source(path, Source::memory(bytes), OpenOptions::default()).map_err(|fault| fault.of(path))
    }

    /// Tensors that are in memory already, without a copy; `name` stands for a path in messages. Of two with one name the
    /// last holds.
    pub fn from_tensors(name: &str, tensors: impl IntoIterator<Item = (String, Tensor)>) -> WeightFile {
        let (mut parts, mut headers) = (vec![], Headers::default());
        for (key, tensor) in tensors {
            let place = Place { part: parts.len(), member: None, start: 0, len: tensor.bytes().len() as u64 };
            let (storage, shape) = (Storage::Plain(tensor.dtype()), tensor.shape().to_vec());
            headers.entries.insert(key, Entry { storage, shape, place, conversion: None, strides: None });
            parts.push(Part { source: Source::tensor(tensor), archive: None });
        }
        WeightFile { path: name.into(), format: Format::Safetensors, parts, headers }
    }

    fn from_source(path: &Path, source: Source, options: OpenOptions) -> Result<WeightFile, Fault> {
        let head = source.prefix(16)?.into_owned();
        if head.starts_with(b"PK") {
            return WeightFile::from_archive(path, source, options);
        }
        let stem = || path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let (format, headers) = match &head[..] {
            head if head.starts_with(b"GGUF") => (Format::Gguf, gguf::headers(&source)?),
            head if head.starts_with(b"\x93NUMPY") => (Format::Npy, arrays::npy_headers(&source, stem())?),
            [0x80, 2..=5, ..] => (Format::Pth, pth_legacy::headers(&source)?),
            [_, _, _, _, _, _, _, _, b'{', ..] => (Format::Safetensors, safetensors::headers(&source, 0)?),
            _ if path.extension().is_some_and(|ext| ext == "safetensors") => {
                (Format::Safetensors, safetensors::headers(&source, 0)?)
            }
            _ => return Err(Fault::UnknownFormat),
        };
        Ok(WeightFile { path: path.into(), format, parts: vec![Part { source, archive: None }], headers })
    }

    fn from_archive(path: &Path, source: Source, options: OpenOptions) -> Result<WeightFile, Fault> {
        let archive = Archive::open(&source, options)?;
        let (format, headers) = match pth::root(&archive) {
            Some(root) => (Format::Pth, pth::headers(&archive, &root)?),
            None => (Format::Npz, arrays::npz_headers(&archive)?),
        };
        let parts = vec![Part { source, archive: Some(archive) }];
        Ok(WeightFile { path: path.into(), format, parts, headers })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Bytes of the file, or of all its shards.
    pub fn size(&self) -> u64 {
        self.parts.iter().map(|part| part.source.len()).sum()
    }

    /// Every readable tensor in the file's order, from the headers.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&str, &Entry)> {
        self.headers.entries.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// What the headers say of one tensor.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.headers.entries.get(name)
    }

    /// The tensor of that name, with the name as the file keeps it.
    pub fn get_key_value(&self, name: &str) -> Option<(&str, &Entry)> {
        self.headers.entries.get_key_value(name).map(|(name, entry)| (name.as_str(), entry))
    }

    /// Tensors whose type is not read: name and type in the file's words.
    pub fn foreign(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.headers.foreign.iter().map(|(name, dtype)| (name.as_str(), dtype.as_str()))
    }

    /// The file's own metadata: GGUF's key-value pairs, safetensors' `__metadata__`.
    pub fn metadata(&self) -> &IndexMap<String, MetaValue> {
        &self.headers.meta
    }

    /// The strings of a metadata array of this file, a tokenizer's words for instance; invalid UTF-8 becomes U+FFFD.
    ///
    /// # Errors
    /// The array holds something else.
    pub fn strings(&self, array: &MetaArray) -> Result<Vec<String>, LoadError> {
        gguf::strings(&self.parts[0].source, array).map_err(|fault| fault.of(&self.path))
    }

    /// The numbers of a metadata array of this file.
    ///
    /// # Errors
    /// The array holds something else.
    pub fn numbers(&self, array: &MetaArray) -> Result<Vec<f64>, LoadError> {
        gguf::numbers(&self.parts[0].source, array).map_err(|fault| fault.of(&self.path))
    }

    /// One tensor; packed groups are dequantised to f32.
    ///
    /// # Errors
    /// There is no such tensor, or its bytes cannot be read.
    pub fn read(&self, name: &str) -> Result<Tensor, LoadError> {
        let (entry, bytes) = self.fetch(name)?;
        let tensor = match entry.storage {
            Storage::Plain(dtype) => Tensor::new(dtype, entry.shape.as_slice(), &bytes),
            Storage::Packed(packing) => unpacked(packing, &entry.shape, &bytes),
            Storage::Interleaved(_) | Storage::Sparse(_) => {
                unreachable!("no file of weights is sparse or has rows side by side")
            }
        };
        tensor.map_err(|cause| Fault::Memory { name: Name(name.into()), cause }.of(&self.path))
    }

    /// One tensor's bytes as they are stored, row-major: plain elements, or packed groups. Borrowed from the mapping
    /// where the file has them so.
    ///
    /// # Errors
    /// There is no such tensor, or its bytes cannot be read.
    pub fn read_raw(&self, name: &str) -> Result<(Storage, Cow<'_, [u8]>), LoadError> {
        self.fetch(name).map(|(entry, bytes)| (entry.storage, bytes))
    }

    fn fetch(&self, name: &str) -> Result<(&Entry, Cow<'_, [u8]>), LoadError> {
        let Some(entry) = self.get(name) else {
            return Err(self.absent(name).of(&self.path));
        };
        let bytes = self.bytes(name, entry).map_err(|fault| fault.of(&self.path))?;
        Ok((entry, bytes))
    }

    fn absent(&self, name: &str) -> Fault {
        let count = self.headers.entries.len();
        match self.headers.foreign.get(name) {
            Some(dtype) => Fault::Foreign { name: Name(name.into()), dtype: dtype.clone(), help: self.foreign_help() },
            None => Fault::Missing { name: Name(name.into()), count },
        }
    }

    fn too_wide(&self, name: &str) -> Fault {
        let dtype = "u64 with values that i64 cannot hold".into();
        Fault::Foreign { name: Name(name.into()), dtype, help: self.foreign_help() }
    }

    /// Why a tensor that the file has cannot be read; `None` for one that it lacks or that can.
    pub(super) fn unreadable(&self, name: &str) -> Option<LoadError> {
        let dtype = self.headers.foreign.get(name)?.clone();
        Some(Fault::Foreign { name: Name(name.into()), dtype, help: self.foreign_help() }.of(&self.path))
    }

    fn foreign_help(&self) -> &'static str {
        match self.format {
            Format::Gguf => "requantize the file to one of Q8_0, Q4_0, Q4_1, Q4_K, Q6_K, F16, BF16 or F32",
            _ => "store it as one of f64, f32, f16, bf16, i64, i32, i16, i8, u8 or bool",
        }
    }

    fn bytes(&self, name: &str, entry: &Entry) -> Result<Cow<'_, [u8]>, Fault> {
        let Place { part, member, start, len } = entry.place;
        let Part { source, archive } = &self.parts[part];
        let mut bytes = match (member, archive) {
            (Some(member), Some(archive)) => Cow::Owned(archive.read(member, start, len)?),
            _ => source.range(start, len, || format!("tensor {}", Name(name.into())))?,
        };
        if let Some(conversion) = entry.conversion {
            bytes = Cow::Owned(converted(&bytes, conversion).ok_or_else(|| self.too_wide(name))?);
        }
        match (&entry.strides, entry.storage) {
            (Some(strides), Storage::Plain(dtype)) => Ok(Cow::Owned(gathered(&bytes, dtype, &entry.shape, strides))),
            _ => Ok(bytes),
        }
    }
}

fn unpacked(packing: Packing, shape: &[usize], bytes: &[u8]) -> Result<Tensor, crate::tensor::TensorError> {
    let mut tensor = Tensor::zeros(DType::F32, shape)?;
    let (size, elements) = (packing.bytes() as usize, packing.elements() as usize);
    let out = tensor.as_mut_slice::<f32>().expect("made as f32");
    for (group, values) in bytes.chunks_exact(size).zip(out.chunks_exact_mut(elements)) {
        dequantize_group(packing, group, values);
    }
    Ok(tensor)
}

/// The elements with their bytes swapped where they are big-endian, and widened where they are unsigned.
/// `None` where a number does not fit in i64.
fn converted(bytes: &[u8], conversion: Conversion) -> Option<Vec<u8>> {
    let width = usize::from(conversion.width);
    let mut little = bytes.to_vec();
    if conversion.swapped {
        little.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    }
    if !conversion.widened {
        return Some(little);
    }
    let out = if width == 2 { 4 } else { 8 };
    let mut wide = Vec::with_capacity(little.len() / width * out);
    for element in little.chunks_exact(width) {
        if width == 8 && element[7] >= 0x80 {
            return None;
        }
        wide.extend(element);
        wide.resize(wide.len() + out - width, 0);
    }
    Some(wide)
}

/// The elements of a strided view, row-major. The caller has checked that the last one lies in `bytes`.
fn gathered(bytes: &[u8], dtype: DType, shape: &[usize], strides: &[usize]) -> Vec<u8> {
    let width = (dtype.bits() / 8) as usize;
    let count = element_count(shape).expect("checked when opened");
    let mut out = Vec::with_capacity(count * width);
    let mut index = vec![0; shape.len()];
    let mut at = 0;
    for _ in 0..count {
        out.extend(&bytes[at * width..][..width]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    out
}
