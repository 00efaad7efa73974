//! Names the generator after its sources, so that code which an earlier one made is never taken for its own.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::path::{Path, PathBuf};

fn main() {
    let mut hasher = DefaultHasher::new();
    for path in sources(Path::new("src")) {
        hasher.write(path.display().to_string().as_bytes());
        hasher.write(&std::fs::read(&path).expect("a source file can be read"));
    }
    println!("cargo:rerun-if-changed=src");
    println!("cargo:rustc-env=MLC_GENERATOR={:016x}", hasher.finish());
}

/// The files of a folder and those below it, in the order of their paths.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a source folder can be read");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let all = paths.into_iter().flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    all.collect()
}
