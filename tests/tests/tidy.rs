//! What the code promises of itself: the import law, a purpose at the top of each file, no file that has outgrown itself.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &str) -> Vec<(String, String)> {
    let (root, mut found, mut waiting) = (root(), Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).expect("a source folder").flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                waiting.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(&root).expect("inside the repository").display().to_string();
                found.push((name, std::fs::read_to_string(&path).expect("a source file")));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{folder:?} holds sources");
    found
}

fn everything() -> Vec<(String, String)> {
    ["grammar", "compiler", "runtime", "examples", "tests"].into_iter().flat_map(sources).collect()
}

#[test]
fn every_file_says_its_purpose_first() {
    for (name, text) in everything() {
        assert!(text.starts_with("//! "), "{name} does not open with `//!`");
    }
}

#[test]
fn no_file_has_outgrown_itself() {
    for (name, text) in everything() {
        let lines = text.lines().count();
        assert!(lines <= 600, "{name} has {lines} lines: find its seam");
    }
}

#[test]
fn unsafe_stands_only_where_it_is_allowed() {
    let allowed = ["jit", "cuda", "mmap", "ffi", "pool"].map(|folder| format!("runtime/src/{folder}/"));
    for (name, text) in everything() {
        let inside = allowed.iter().any(|folder| name.starts_with(folder.as_str()))
            || name.starts_with("tests/tests/tidy")
            || name == "compiler/codegen/tests/support/machine.rs";
        let found = text.lines().any(|line| {
            let code = line.split("//").next().unwrap_or("");
            code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe")
        });
        assert!(inside || !found, "{name} uses `unsafe`");
    }
}

/// The table of ops declares their files in a macro, which `cargo fmt` does not look into.
#[test]
fn ops_are_formatted() {
    let files = sources("compiler/src/ops").into_iter().map(|(name, _)| root().join(name));
    let run = Command::new("rustfmt").args(["--edition", "2024", "--check", "--files-with-diff"]).args(files).output();
    let Ok(output) = run else {
        println!("there is no rustfmt: skipped");
        return;
    };
    let files = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "run `rustfmt --edition 2024 compiler/src/ops/*.rs`, for\n{files}");
}

/// The book adds `tril` in one file and one line of the table.
#[test]
fn an_op_stands_in_its_file_and_in_the_table() {
    let crates = ["grammar", "compiler/src", "compiler/codegen", "runtime"];
    let words = |line: &str| line.split(|c: char| !c.is_alphanumeric()).any(|word| word.eq_ignore_ascii_case("tril"));
    let lines =
        crates.into_iter().flat_map(sources).map(|(name, text)| (name, text.lines().filter(|l| words(l)).count()));
    let found = lines.filter(|(name, count)| *count > 0 && name != "compiler/src/ops/tril.rs");
    // Importers and exporters name ops as other formats do.
    let foreign =
        |name: &str| ["import", "export"].iter().any(|room| name.starts_with(&format!("compiler/src/{room}/")));
    let found: Vec<(String, usize)> = found.filter(|(name, _)| !foreign(name)).collect();
    assert_eq!(found, [("compiler/src/ops/mod.rs".to_owned(), 1)]);
}

/// Folders of the compiler from bottom to top; none imports one that stands later, nor a sibling of its own line.
const LAW: &[&[&str]] = &[
    &["types", "diag", "formats"],
    &["ops"],
    &["graph"],
    &["report"],
    &["frontend", "import", "export", "passes", "schedule", "reference"],
    &["pipeline", "conversion"],
    &["compile", "isolate", "runner"],
    &["tune"],
    &["cli"],
];

#[test]
fn imports_go_down() {
    let level = |module: &str| LAW.iter().position(|line| line.contains(&module));
    for (name, text) in sources("compiler/src") {
        let path = name.strip_prefix("compiler/src/").expect("a file of the compiler");
        let own = path.split(['/', '.']).next().unwrap_or("");
        let Some(here) = level(own) else {
            assert!(["lib", "main"].contains(&own), "{name} is in no room of the import law");
            continue;
        };
        for used in text.lines().filter_map(|line| line.trim().strip_prefix("use crate::")) {
            let used = used.split([':', ';', '{']).next().unwrap_or("");
            let Some(there) = level(used) else { continue };
            let diag_of_types = own == "diag" && used == "types";
            assert!(
                there < here || used == own || diag_of_types,
                "{name} imports {used}, which stands above or beside it"
            );
        }
    }
    for (name, text) in sources("compiler/codegen/src/base") {
        assert!(!text.contains("use crate::kernel") && !text.contains("use crate::cpu"), "{name} imports upwards");
    }
    for (name, text) in sources("compiler/codegen/src/kernel") {
        assert!(!text.contains("use crate::cpu"), "{name} imports upwards");
    }
    for (name, text) in sources("compiler/src/ops") {
        assert!(!text.contains("mlc_codegen::cpu"), "{name} knows a backend");
    }
}
