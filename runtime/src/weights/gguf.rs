//! GGUF versions 2 and 3: key-value metadata, tensor infos, then aligned tensor data (ggml, docs/gguf.md).
//! Invariant: nothing is allocated by a count of the file; lists grow as their members are really there. Arrays of the
//! metadata stay in the file until they are asked for.

use super::error::{Fault, Name};
use super::file::{Entry, Headers, Place};
use super::safetensors::whole_groups;
use super::source::Source;
use crate::tensor::element_count;
use indexmap::IndexMap;
use mlc_codegen::base::{DType, Packing, Storage};

/// A value of a file's metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum MetaValue {
    /// Text; invalid UTF-8 becomes U+FFFD.
    Str(String),
    /// A number without sign.
    Unsigned(u64),
    /// A number with sign.
    Signed(i64),
    /// A float of 32 or 64 bits.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Many values, to be read by `WeightFile::strings` or `WeightFile::numbers`.
    Array(MetaArray),
}

/// An array of a file's metadata, by place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaArray {
    kind: u32,
    /// How many values.
    pub count: u64,
    start: u64,
    len: u64,
}

impl MetaValue {
    /// The text.
    pub fn as_str(&self) -> Option<&str> {
        if let MetaValue::Str(text) = self { Some(text) } else { None }
    }

    /// The number, when it is an integer that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            MetaValue::Unsigned(v) => Some(*v),
            MetaValue::Signed(v) => u64::try_from(*v).ok(),
            _ => None,
        }
    }

    /// The number, whatever its kind.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            MetaValue::Unsigned(v) => Some(*v as f64),
            MetaValue::Signed(v) => Some(*v as f64),
            MetaValue::Float(v) => Some(*v),
            _ => None,
        }
    }

    /// The array.
    pub fn as_array(&self) -> Option<&MetaArray> {
        if let MetaValue::Array(array) = self { Some(array) } else { None }
    }
}

const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// A name, dims fastest first, GGUF's number of the type, offset in the data.
struct Info<'a> {
    name: &'a [u8],
    dims: Vec<u64>,
    kind: u32,
    offset: u64,
}

pub(super) fn headers(source: &Source) -> Result<Headers, Fault> {
    let mut look = source.first_look();
    loop {
        let head = source.prefix(look)?;
        match parse(&head, source.len()) {
            Err(Fault::Truncated { .. }) if look < source.len() => look = look.saturating_mul(4).min(source.len()),
            result => return result,
        }
    }
}

fn parse(head: &[u8], len: u64) -> Result<Headers, Fault> {
    let mut cursor = Cursor { bytes: head, at: 0, len };
    cursor.take(4, "the magic")?;
    match cursor.u32("the version")? {
        2 | 3 => {}
        version if version.swap_bytes() < 16 => {
            let what = "this GGUF file is big-endian".to_string();
            return Err(Fault::Unsupported { what, help: "convert it to little-endian" });
        }
        version => {
            let what = format!("this GGUF file has version {version}");
            return Err(Fault::Unsupported { what, help: "versions 2 and 3 are read: convert it with llama.cpp" });
        }
    }
    let tensors = cursor.u64("the number of tensors")?;
    let pairs = cursor.u64("the number of metadata pairs")?;
    let mut meta = IndexMap::new();
    for _ in 0..pairs {
        let at = cursor.at as u64;
        let key = text(cursor.string("a metadata key")?);
        let value = cursor.value()?;
        if meta.insert(key.clone(), value).is_some() {
            return Err(Fault::damaged(at, format!("the metadata key {} occurs twice", Name(key))));
        }
    }
    let mut infos = Vec::new();
    for _ in 0..tensors {
        infos.push(cursor.info()?);
    }
    let alignment = alignment(&meta)?;
    let start = (cursor.at as u64).next_multiple_of(alignment);
    let mut headers = layout(infos, start, alignment, len)?;
    headers.meta = meta;
    Ok(headers)
}

fn alignment(meta: &IndexMap<String, MetaValue>) -> Result<u64, Fault> {
    match meta.get("general.alignment").map(MetaValue::as_u64) {
        None => Ok(32),
        Some(Some(alignment)) if alignment.is_power_of_two() && alignment <= 1 << 20 => Ok(alignment),
        Some(_) => Err(Fault::damaged(0, "`general.alignment` is not a power of two up to 1048576")),
    }
}

/// Checks that the tensors lie in the file one behind the other, and gives them in the order of their infos.
fn layout(infos: Vec<Info<'_>>, start: u64, alignment: u64, len: u64) -> Result<Headers, Fault> {
    let mut headers = Headers::default();
    let mut extents = Vec::new();
    for info in infos {
        let name = text(info.name);
        let begin = start.checked_add(info.offset).filter(|_| info.offset.is_multiple_of(alignment));
        let begin = begin.ok_or_else(|| Fault::tensor(&name, format!("offset {} is not aligned", info.offset)))?;
        let Some(storage) = storage(info.kind) else {
            if headers.entries.contains_key(&name) || headers.foreign.insert(name.clone(), word(info.kind)).is_some() {
                return Err(Fault::tensor(&name, "the name occurs twice"));
            }
            extents.push((begin, None, name));
            continue;
        };
        let shape: Option<Vec<usize>> = info.dims.iter().rev().map(|dim| usize::try_from(*dim).ok()).collect();
        let sized = shape.and_then(|shape| {
            let count = i64::try_from(element_count(&shape)?).ok()?;
            let bytes = u64::try_from(storage.bytes_for(count)?).ok()?;
            whole_groups(storage, &shape).then_some((shape, bytes))
        });
        let Some((shape, bytes)) = sized else {
            return Err(Fault::tensor(&name, format!("{:?} is no shape of {storage}", info.dims)));
        };
        let end = begin.saturating_add(bytes);
        if end > len {
            let what = format!("tensor {}", Name(name));
            return Err(Fault::Truncated { what, start: begin, end, len });
        }
        extents.push((begin, Some(end), name.clone()));
        let place = Place { part: 0, member: None, start: begin, len: bytes };
        headers.add(name, Entry { storage, shape, place, conversion: None, strides: None })?;
    }
    contiguous(extents, start, alignment, len)?;
    Ok(headers)
}

/// No tensor overlaps another, none leaves a gap, nothing follows the last: `(begin, end where known, name)`.
fn contiguous(mut extents: Vec<(u64, Option<u64>, String)>, start: u64, alignment: u64, len: u64) -> Result<(), Fault> {
    extents.sort();
    let mut behind = Some(start.min(len));
    for (begin, end, name) in extents {
        if behind.is_some_and(|at| begin < at) {
            return Err(Fault::tensor(&name, "it overlaps the one before"));
        }
        if behind.is_some_and(|at| begin != at.next_multiple_of(alignment)) {
            return Err(Fault::tensor(&name, format!("bytes before {begin} belong to no tensor")));
        }
        behind = end;
    }
    match behind {
        Some(at) if len != at && len != at.next_multiple_of(alignment) => {
            Err(Fault::damaged(at, format!("{} bytes follow the last tensor", len.saturating_sub(at))))
        }
        _ => Ok(()),
    }
}

fn storage(kind: u32) -> Option<Storage> {
    Some(match kind {
        0 => Storage::Plain(DType::F32),
        1 => Storage::Plain(DType::F16),
        2 => Storage::Packed(Packing::Q4_0),
        3 => Storage::Packed(Packing::Q4_1),
        8 => Storage::Packed(Packing::Q8_0),
        12 => Storage::Packed(Packing::Q4K),
        14 => Storage::Packed(Packing::Q6K),
        24 => Storage::Plain(DType::I8),
        25 => Storage::Plain(DType::I16),
        26 => Storage::Plain(DType::I32),
        27 => Storage::Plain(DType::I64),
        28 => Storage::Plain(DType::F64),
        30 => Storage::Plain(DType::BF16),
        _ => return None,
    })
}

/// GGUF's word for a type that is not read.
fn word(kind: u32) -> String {
    let known = match kind {
        6 => "Q5_0",
        7 => "Q5_1",
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        13 => "Q5_K",
        15 => "Q8_K",
        16..=23 | 29 => "one of the IQ types",
        34 | 35 => "one of the ternary types",
        39 => "MXFP4",
        _ => return format!("of the unknown type {kind}"),
    };
    known.into()
}

pub(super) fn strings(source: &Source, array: &MetaArray) -> Result<Vec<String>, Fault> {
    if array.kind != STRING {
        return Err(Fault::damaged(array.start, "the metadata array does not hold text"));
    }
    let bytes = source.range(array.start, array.len, || "a metadata array".into())?;
    let mut cursor = Cursor { bytes: &bytes, at: 0, len: array.len };
    (0..array.count).map(|_| cursor.string("a text").map(text)).collect()
}

pub(super) fn numbers(source: &Source, array: &MetaArray) -> Result<Vec<f64>, Fault> {
    let wrong = || Fault::damaged(array.start, "the metadata array does not hold numbers");
    let bytes = source.range(array.start, array.len, || "a metadata array".into())?;
    let mut cursor = Cursor { bytes: &bytes, at: 0, len: array.len };
    (0..array.count).map(|_| cursor.scalar(array.kind)?.and_then(|v| v.as_f64()).ok_or_else(wrong)).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A position in the first bytes of a file that is `len` long.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    len: u64,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: u64, what: &str) -> Result<&'a [u8], Fault> {
        let start = self.at;
        let end = usize::try_from(count).ok().and_then(|count| start.checked_add(count));
        match end.and_then(|end| self.bytes.get(start..end)) {
            Some(bytes) => {
                self.at += bytes.len();
                Ok(bytes)
            }
            None => {
                let (start, what) = (start as u64, what.into());
                Err(Fault::Truncated { what, start, end: start.saturating_add(count), len: self.len })
            }
        }
    }

    fn word<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Fault> {
        Ok(self.take(N as u64, what)?.try_into().expect("as many as asked for"))
    }

    fn u32(&mut self, what: &str) -> Result<u32, Fault> {
        self.word(what).map(u32::from_le_bytes)
    }

    fn u64(&mut self, what: &str) -> Result<u64, Fault> {
        self.word(what).map(u64::from_le_bytes)
    }

    fn string(&mut self, what: &str) -> Result<&'a [u8], Fault> {
        let count = self.u64(what)?;
        self.take(count, what)
    }

    fn value(&mut self) -> Result<MetaValue, Fault> {
        let kind = self.u32("a metadata type")?;
        let at = self.at as u64;
        match kind {
            STRING => Ok(MetaValue::Str(text(self.string("a metadata text")?))),
            ARRAY => self.array(0).map(MetaValue::Array),
            _ => self.scalar(kind)?.ok_or_else(|| Fault::damaged(at, format!("{kind} is no metadata type"))),
        }
    }

    /// A value of fixed width; `None` for another kind.
    fn scalar(&mut self, kind: u32) -> Result<Option<MetaValue>, Fault> {
        let what = "a metadata value";
        Ok(Some(match kind {
            0 => MetaValue::Unsigned(self.word::<1>(what)?[0].into()),
            1 => MetaValue::Signed(i8::from_le_bytes(self.word(what)?).into()),
            2 => MetaValue::Unsigned(u16::from_le_bytes(self.word(what)?).into()),
            3 => MetaValue::Signed(i16::from_le_bytes(self.word(what)?).into()),
            4 => MetaValue::Unsigned(self.u32(what)?.into()),
            5 => MetaValue::Signed(i32::from_le_bytes(self.word(what)?).into()),
            6 => MetaValue::Float(f32::from_le_bytes(self.word(what)?).into()),
            BOOL => MetaValue::Bool(self.word::<1>(what)?[0] != 0),
            10 => MetaValue::Unsigned(self.u64(what)?),
            11 => MetaValue::Signed(i64::from_le_bytes(self.word(what)?)),
            12 => MetaValue::Float(f64::from_le_bytes(self.word(what)?)),
            _ => return Ok(None),
        }))
    }

    /// Steps over an array.
    fn array(&mut self, depth: usize) -> Result<MetaArray, Fault> {
        let kind = self.u32("a metadata array")?;
        let count = self.u64("a metadata array")?;
        let start = self.at as u64;
        match width(kind) {
            Some(width) => {
                self.take(count.saturating_mul(width), "a metadata array")?;
            }
            None if kind == STRING => {
                for _ in 0..count {
                    self.string("a metadata array")?;
                }
            }
            None if kind == ARRAY && depth < 4 => {
                for _ in 0..count {
                    self.array(depth + 1)?;
                }
            }
            None => return Err(Fault::damaged(start, format!("{kind} is no type of a metadata array"))),
        }
        Ok(MetaArray { kind, count, start, len: self.at as u64 - start })
    }

    fn info(&mut self) -> Result<Info<'a>, Fault> {
        let name = self.string("a tensor's name")?;
        let at = self.at as u64;
        let axes = self.u32("a tensor's axes")?;
        if axes > 8 {
            return Err(Fault::damaged(at, format!("tensor {} claims {axes} axes", Name(text(name)))));
        }
        let dims = (0..axes).map(|_| self.u64("a tensor's dims")).collect::<Result<_, _>>()?;
        let kind = self.u32("a tensor's type")?;
        let offset = self.u64("a tensor's offset")?;
        Ok(Info { name, dims, kind, offset })
    }
}

/// Bytes of a metadata value of fixed width.
fn width(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | BOOL => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}
