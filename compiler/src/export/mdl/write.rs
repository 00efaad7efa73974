//! The text and the file of constants, on disk. Weight files stay where they are: one below the text's folder is named by
//! its path from there, and another through a link to its folder that is made beside the text.

use super::print::{Links, print_linked};
use crate::graph::Graph;
use mlc_runtime::weights::{LoadError, write_aside, write_packed};
use std::cell::RefCell;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why a graph could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The text, or a link to weights.
    #[error("cannot write `{}`: {cause}", path.display())]
    Io {
        /// What was being written.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The constants.
    #[error(transparent)]
    Constants(#[from] LoadError),
}

/// Writes `m.mdl`, and `m.safetensors` where constants need it; each is there whole or not at all, the constants first.
/// Where the graph still reads weights from a file of that name, it is `m.2.safetensors`.
///
/// # Errors
/// What the system says.
pub fn write(graph: &Graph, path: &Path) -> Result<(), WriteError> {
    let beside = beside(graph, path);
    let folders = Folders { text: path, folder: folder(path), links: RefCell::default() };
    let constants = beside.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let printed = print_linked(graph, &Links { constants: &constants, weights: &|file| folders.name(file) });
    for (target, link) in folders.links.into_inner() {
        make_link(&target, &link).map_err(|cause| WriteError::Io { path: link, cause })?;
    }
    if !printed.constants.is_empty() {
        write_packed(&beside, &printed.constants, &printed.packed)?;
    }
    write_aside(path, |out| Write::write_all(out, printed.text.as_bytes()))
        .map_err(|cause| WriteError::Io { path: path.into(), cause })
}

/// The file for constants: the first of the text's name that is no weight file of the graph.
fn beside(graph: &Graph, path: &Path) -> PathBuf {
    let read: Vec<PathBuf> = graph.weights.files().map(|(file, _)| real(file.path())).collect();
    let numbered = (2..).map(|n| path.with_extension(format!("{n}.safetensors")));
    let mut names = std::iter::once(path.with_extension("safetensors")).chain(numbered);
    names.find(|name| !read.contains(&real(name))).expect("one of endlessly many is not among them")
}

fn folder(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    real(parent)
}

fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

/// The folders that weights lie in, as the text may name them.
struct Folders<'a> {
    text: &'a Path,
    /// The text's own.
    folder: PathBuf,
    /// Folders outside of it, and the link to each.
    links: RefCell<Vec<(PathBuf, PathBuf)>>,
}

impl Folders<'_> {
    fn name(&self, file: &Path) -> String {
        let target = folder(file);
        let name = file.file_name().unwrap_or_default();
        if let Ok(inside) = target.strip_prefix(&self.folder) {
            return inside.join(name).to_string_lossy().into_owned();
        }
        let mut links = self.links.borrow_mut();
        let known = links.iter().find(|(own, _)| *own == target).map(|(_, link)| link.clone());
        let link = known.unwrap_or_else(|| {
            let extension = if links.is_empty() { "weights".to_owned() } else { format!("weights{}", links.len() + 1) };
            let link = self.text.with_extension(extension);
            links.push((target, link.clone()));
            link
        });
        Path::new(link.file_name().unwrap_or_default()).join(name).to_string_lossy().into_owned()
    }
}

/// Makes a link, or turns one that points elsewhere; anything else that is there is left alone.
fn make_link(target: &Path, link: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(link) {
        Ok(_) if std::fs::canonicalize(link).is_ok_and(|found| found == *target) => return Ok(()),
        Ok(found) if found.is_symlink() => std::fs::remove_file(link)?,
        _ => {}
    }
    std::os::unix::fs::symlink(target, link)
}
