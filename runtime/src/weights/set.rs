//! All weight files of a model, searched in order.

use super::error::LoadError;
use super::file::{Entry, WeightFile};
use std::path::Path;

/// The weight files of a model, each with the prefix that its `at` puts before every key.
#[derive(Debug, Default)]
pub struct WeightSet {
    files: Vec<(WeightFile, String)>,
}

/// A key that was found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The file.
    pub file: &'a WeightFile,
    /// The tensor's name in that file.
    pub name: &'a str,
    /// What its headers say.
    pub entry: &'a Entry,
}

/// A key that two files have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` is in `{}` and in `{}`", first.display(), second.display())]
pub struct Duplicate {
    /// The key, without prefixes.
    pub key: String,
    /// The file searched first.
    pub first: Box<Path>,
    /// The other.
    pub second: Box<Path>,
}

impl WeightSet {
    /// Adds a file to search after those before it. A key `k` is the tensor `prefix.k` of the file, or `k` where the
    /// prefix is empty.
    pub fn add(&mut self, file: WeightFile, prefix: impl Into<String>) {
        self.files.push((file, prefix.into()));
    }

    /// The files with their prefixes, in order.
    pub fn files(&self) -> impl ExactSizeIterator<Item = (&WeightFile, &str)> {
        self.files.iter().map(|(file, prefix)| (file, prefix.as_str()))
    }

    /// The tensor of a key; `None` when no file has it.
    ///
    /// # Errors
    /// Two files have it.
    pub fn find(&self, key: &str) -> Result<Option<Found<'_>>, Duplicate> {
        let mut found: Option<Found<'_>> = None;
        for (file, prefix) in &self.files {
            let Some((name, entry)) = file.get_key_value(&whole_name(prefix, key)) else { continue };
            if let Some(Found { file: first, .. }) = found {
                return Err(Duplicate { key: key.into(), first: first.path().into(), second: file.path().into() });
            }
            found = Some(Found { file, name, entry });
        }
        Ok(found)
    }

    /// Why the tensor of a key cannot be read although a file has it.
    pub fn unreadable(&self, key: &str) -> Option<LoadError> {
        self.files.iter().find_map(|(file, prefix)| file.unreadable(&whole_name(prefix, key)))
    }

    /// Every tensor of every file by the key that would find it, in order, for suggestions: tensors outside of a file's
    /// prefix keep their whole name behind a `/`.
    pub fn keys(&self) -> impl Iterator<Item = (String, Found<'_>)> {
        self.files.iter().flat_map(|(file, prefix)| {
            file.entries().map(move |(name, entry)| {
                let inside = if prefix.is_empty() { Some(name) } else { strip(name, prefix) };
                (inside.map_or_else(|| format!("/{name}"), String::from), Found { file, name, entry })
            })
        })
    }
}

fn whole_name(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

fn strip<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    name.strip_prefix(prefix)?.strip_prefix('.')
}
