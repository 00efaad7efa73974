//! The text of graphs: what is printed is in the one layout, checks, prints to itself again, and runs to the same bits.

mod drawn;
mod files;
mod ops;
mod round;

use libtest_mimic::{Arguments, Failed, Trial};
use mlc::frontend::Options;
use std::path::{Path, PathBuf};

/// Dims of the larger programs that shrink, so that drawn weights stay small.
const SMALLER: [(&str, &[(&str, i64)]); 2] =
    [("gpt2", &[("D", 48), ("V", 101), ("L", 3), ("ctx", 32), ("s", 5)]), ("minilm", &[("D", 48)])];

fn main() {
    let language = folder("compiler/tests/data");
    let programs = ["gpt2", "minilm", "mlp", "mobilenet_block"].map(|name| (language.join(name), true));
    let small = stems("tests/data/graph").into_iter().map(|path| (path, true));
    let examples = stems("examples").into_iter().map(|path| (path, false));
    let trials = programs.into_iter().chain(small).chain(examples).map(|(stem, drawn)| {
        let name = stem.strip_prefix(folder("")).unwrap_or(&stem).display().to_string();
        let absent = !drawn && !has_weights(&stem);
        if absent {
            println!("{name}: skipped; examples/fetch all brings its weights");
        }
        Trial::test(name, move || round(&stem, drawn)).with_ignored_flag(absent)
    });
    let written = [
        Trial::test("weights in several files", files::several_files),
        Trial::test("a pinned size", files::pinned_size),
        Trial::test("made constants", files::made_constants),
        Trial::test("drawn programs", drawn::drawn_programs),
        Trial::test("every op", ops::every_op),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials.chain(written).collect()).exit();
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder of the repository").join(name)
}

/// The model files of a folder, without their extension.
fn stems(name: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder(name)).expect("a folder of models").flatten().map(|entry| entry.path());
    let mut stems: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|e| e == "mdl")).map(|path| path.with_extension("")).collect();
    stems.sort();
    assert!(!stems.is_empty(), "{name} has models");
    stems
}

fn has_weights(stem: &Path) -> bool {
    let text = std::fs::read_to_string(stem.with_extension("mdl")).expect("a model");
    let paths = text.lines().filter_map(|line| line.trim().strip_prefix("weights from \"")?.split('"').next());
    paths.into_iter().all(|path| stem.with_file_name(path).exists())
}

fn round(stem: &Path, drawn: bool) -> Result<(), Failed> {
    let name = stem.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let smaller = SMALLER.iter().find(|(own, _)| drawn && *own == name).map_or(&[][..], |(_, dims)| dims);
    let dims = smaller.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let options = Options { random_weights: drawn.then_some(7), dims, ..Options::default() };
    round::reread(stem, &options)?;
    Ok(())
}
