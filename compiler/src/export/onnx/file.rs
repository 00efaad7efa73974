//! A model as a file, its weights inside or, where they are many bytes, in a second file beside it.

use super::super::ExportError;
use crate::formats::onnx::{GraphProto, ModelProto, Pair, TensorProto};
use mlc_runtime::weights::write_aside;
use prost::Message;
use std::io::Write;
use std::path::Path;

/// Messages of the format end at 2 GiB; with more bytes of weights than this they leave the file.
const INSIDE: usize = 1 << 30;

/// A tensor of fewer bytes stays in the file.
const SMALL: usize = 1 << 10;

/// Data begins at multiples of this, so that it can be mapped.
const ALIGNED: u64 = 4096;

pub(super) fn write(mut model: ModelProto, path: &Path) -> Result<(), ExportError> {
    let unwritten = |path: &Path, why| ExportError::Unwritten { path: path.to_owned(), why };
    let weights = model.graph.iter().flat_map(|graph| &graph.initializer);
    if weights.map(|tensor| tensor.raw_data.len()).sum::<usize>() > INSIDE {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".data");
        let beside = path.with_file_name(&name);
        let graph = model.graph.as_mut().expect("a model was made with a graph");
        let name = name.to_string_lossy();
        write_aside(&beside, |out| move_out(graph, &name, out)).map_err(|why| unwritten(&beside, why))?;
    }
    let bytes = model.encode_to_vec();
    write_aside(path, |out| out.write_all(&bytes)).map_err(|why| unwritten(path, why))
}

/// Writes the data of large tensors one after another; the model keeps their places.
fn move_out(graph: &mut GraphProto, file: &str, out: &mut (impl Write + ?Sized)) -> std::io::Result<()> {
    let mut at = 0u64;
    for tensor in graph.initializer.iter_mut().filter(|tensor| tensor.raw_data.len() >= SMALL) {
        let gap = at.next_multiple_of(ALIGNED) - at;
        out.write_all(&vec![0; gap as usize])?;
        out.write_all(&tensor.raw_data)?;
        at += gap;
        let pair = |key: &str, value: String| Pair { key: key.into(), value };
        let length = tensor.raw_data.len() as u64;
        let external_data =
            vec![pair("location", file.into()), pair("offset", at.to_string()), pair("length", length.to_string())];
        let raw_data = prost::bytes::Bytes::new();
        *tensor = TensorProto { raw_data, external_data, data_location: 1, ..std::mem::take(tensor) };
        at += length;
    }
    Ok(())
}
