//! ONNX files that tests describe in text, a part a line.
//!
//! `operators 17` is the version of the set. `input x f32[2, n]` and `output y` are the model's; `weight w f32[2] = 1 2` is
//! an initializer, `external w f32[2] ../w.bin` one in another file. `node volume y z = Split(x, w) axis=1 mode="s"
//! axes=[1,2]` is a node `volume`, `-` for one without a name and for an input left out.
//! Invariant: whatever is written is written, sound or not.

use super::tensor;
use anyhow::{Context, Result, bail};
use mlc_codegen::base::DType;

/// A field of bytes: a text, or a message.
pub fn field(tag: u64, bytes: &[u8]) -> Vec<u8> {
    [number(tag << 3 | 2), number(bytes.len() as u64), bytes.to_vec()].concat()
}

/// A field of one integer.
pub fn integer(tag: u64, value: i64) -> Vec<u8> {
    [number(tag << 3), number(value as u64)].concat()
}

/// Seven bits a byte, the lowest first.
fn number(mut value: u64) -> Vec<u8> {
    let mut bytes = vec![];
    while value > 127 {
        bytes.push(value as u8 | 128);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// The file of a text.
pub fn model(text: &str) -> Result<Vec<u8>> {
    let (mut version, mut graph) = (17, field(2, b"g"));
    for line in text.lines() {
        let (word, rest) = line.split_once(' ').context("KIND …")?;
        match word {
            "operators" => version = rest.parse()?,
            "input" => graph.extend(field(11, &value(rest)?)),
            "output" => graph.extend(field(12, &field(1, rest.as_bytes()))),
            "weight" => graph.extend(field(5, &weight(rest)?)),
            "external" => graph.extend(field(5, &external(rest)?)),
            "node" => graph.extend(field(1, &node(rest)?)),
            _ => bail!("`{word}` is no part of an ONNX model"),
        }
    }
    Ok(file(version, &graph))
}

/// A file with a graph.
pub fn file(version: i64, graph: &[u8]) -> Vec<u8> {
    [integer(1, 8), field(7, graph), field(8, &integer(2, version))].concat()
}

fn code(dtype: &str) -> Result<i64> {
    let dtype: DType = dtype.parse().ok().context("a dtype")?;
    Ok(match dtype {
        DType::F32 => 1,
        DType::U8 => 2,
        DType::I8 => 3,
        DType::I32 => 6,
        DType::I64 => 7,
        DType::Bool => 9,
        _ => bail!("no test has needed {dtype}"),
    })
}

/// `NAME dtype[dims]` in parts.
fn declared(text: &str) -> Result<(&str, &str, Vec<&str>)> {
    let (name, ty) = text.split_once(' ').context("NAME dtype[dims]")?;
    let (dtype, dims) = ty.strip_suffix(']').and_then(|ty| ty.split_once('[')).context("dtype[dims]")?;
    Ok((name, dtype, dims.split(',').map(str::trim).filter(|dim| !dim.is_empty()).collect()))
}

fn value(text: &str) -> Result<Vec<u8>> {
    let (name, dtype, dims) = declared(text)?;
    let dim = |dim: &&str| match dim.parse() {
        Ok(number) => field(1, &integer(1, number)),
        Err(_) => field(1, &field(2, dim.as_bytes())),
    };
    let shape: Vec<u8> = dims.iter().flat_map(dim).collect();
    let ty = [integer(1, code(dtype)?), field(2, &shape)].concat();
    Ok([field(1, name.as_bytes()), field(2, &field(1, &ty))].concat())
}

fn weight(text: &str) -> Result<Vec<u8>> {
    let (name, tensor) = tensor(text)?;
    let dims: Vec<u8> = tensor.shape().iter().flat_map(|dim| integer(1, *dim as i64)).collect();
    let ty = integer(2, code(&tensor.dtype().to_string())?);
    Ok([dims, ty, field(8, name.as_bytes()), field(9, tensor.bytes())].concat())
}

fn external(text: &str) -> Result<Vec<u8>> {
    let (declaration, path) = text.rsplit_once(' ').context("NAME dtype[dims] PATH")?;
    let (name, dtype, dims) = declared(declaration)?;
    let mut bytes = vec![];
    for dim in dims {
        bytes.extend(integer(1, dim.parse()?));
    }
    let place = [field(1, b"location"), field(2, path.as_bytes())].concat();
    bytes.extend([integer(2, code(dtype)?), field(8, name.as_bytes()), field(13, &place), integer(14, 1)].concat());
    Ok(bytes)
}

fn node(text: &str) -> Result<Vec<u8>> {
    let (left, right) = text.split_once(" = ").context("NAME OUTPUTS = OPERATOR(INPUTS)")?;
    let (operator, rest) = right.split_once('(').context("OPERATOR(")?;
    let (inputs, attributes) = rest.split_once(')').context("INPUTS)")?;
    let mut words = left.split(' ');
    let name = words.next().filter(|name| *name != "-").unwrap_or("");
    let given = |input: &str| if input == "-" { field(1, b"") } else { field(1, input.as_bytes()) };
    let mut bytes: Vec<u8> = inputs.split(", ").filter(|input| !input.is_empty()).flat_map(given).collect();
    bytes.extend(words.flat_map(|output| field(2, output.as_bytes())));
    bytes.extend([field(3, name.as_bytes()), field(4, operator.as_bytes())].concat());
    for attribute in attributes.split_whitespace() {
        let (name, value) = attribute.split_once('=').context("NAME=VALUE")?;
        bytes.extend(field(5, &[field(1, name.as_bytes()), argument(value)?].concat()));
    }
    Ok(bytes)
}

/// An integer, a text in quotes, or integers in brackets, with its type.
fn argument(value: &str) -> Result<Vec<u8>> {
    if let Some(text) = value.strip_prefix('"') {
        return Ok([field(4, text.trim_end_matches('"').as_bytes()), integer(20, 3)].concat());
    }
    let Some(list) = value.strip_prefix('[') else { return Ok([integer(3, value.parse()?), integer(20, 2)].concat()) };
    let mut bytes = integer(20, 7);
    for number in list.trim_end_matches(']').split(',') {
        bytes.extend(integer(8, number.parse()?));
    }
    Ok(bytes)
}
