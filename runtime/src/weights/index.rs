//! `.index.json`: which safetensors file of the same folder holds which tensor.

use super::error::{Fault, LoadError, Name};
use super::file::{Headers, OpenOptions, Part};
use super::safetensors;
use super::source::Source;
use indexmap::IndexMap;
use serde::Deserialize;
use std::path::{Component, Path};

#[derive(Deserialize)]
struct Index {
    weight_map: IndexMap<String, String>,
}

/// Opens all shards; each must have the tensors that the index says, and lie beside it.
pub(super) fn open(path: &Path, options: OpenOptions) -> Result<(Vec<Part>, Headers), LoadError> {
    let index = read(path).map_err(|fault| fault.of(path))?;
    let mut shards: IndexMap<&str, Headers> = IndexMap::new();
    let mut parts = Vec::new();
    let mut all = Headers::default();
    for (name, shard) in &index.weight_map {
        if !shards.contains_key(shard.as_str()) {
            let file = beside(path, shard).map_err(|fault| fault.of(path))?;
            let opened = Source::open(&file, options.mmap).and_then(|source| {
                let headers = safetensors::headers(&source, parts.len())?;
                Ok((source, headers))
            });
            let (source, headers) = opened.map_err(|fault| fault.of(&file))?;
            parts.push(Part { source, archive: None });
            shards.insert(shard, headers);
        }
        take(&mut all, &mut shards[shard.as_str()], name, shard).map_err(|fault| fault.of(path))?;
    }
    Ok((parts, all))
}

fn read(path: &Path) -> Result<Index, Fault> {
    let source = Source::open(path, false)?;
    let text = source.range(0, source.len(), String::new)?;
    serde_json::from_slice(&text).map_err(|cause| Fault::damaged(0, format!("no index of shards ({cause})")))
}

fn beside(path: &Path, shard: &str) -> Result<std::path::PathBuf, Fault> {
    let plain = matches!(Path::new(shard).components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
    if !plain {
        let what = format!("the shard {} is not a file of the same folder", Name(shard.into()));
        return Err(Fault::Unsupported { what, help: "move it beside the index" });
    }
    Ok(path.with_file_name(shard))
}

fn take(all: &mut Headers, shard: &mut Headers, name: &str, file: &str) -> Result<(), Fault> {
    if let Some(entry) = shard.entries.swap_remove(name) {
        return all.add(name.into(), entry);
    }
    if let Some(dtype) = shard.foreign.swap_remove(name) {
        all.foreign.insert(name.into(), dtype);
        return Ok(());
    }
    Err(Fault::tensor(name, format!("the index says it is in {}, which has no such tensor", Name(file.into()))))
}
