//! ONNX's own node cases, as far as they are present, and the page that tells of them.

use mlc_tests::onnx_suite::{folders, line, page, recorded, run};
use std::path::Path;

/// Where `onnx/backend/test/data` of the onnx package was put.
const DATA: &str = "ONNX_TEST_DATA";

/// Every sixteenth case is run.
const EVERY: usize = 16;

#[test]
fn the_page_on_coverage_tells_what_is_recorded() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/coverage.md");
    let written = std::fs::read_to_string(path).expect("the page");
    let made = page(&recorded().expect("a record"));
    assert!(
        written == made,
        "docs/src/coverage.md is not what `onnx-suite --markdown` writes of tests/data/onnx/cases.txt"
    );
}

#[test]
fn node_cases_end_as_recorded() {
    let Ok(data) = std::env::var(DATA) else {
        println!("{DATA} does not name the onnx package's test data: skipped");
        return;
    };
    let all = folders(&Path::new(&data).join("node")).expect("a folder of cases");
    let recorded = recorded().expect("a record");
    assert_eq!(all.len(), recorded.len());
    let outcome = |line: &str| line.split_once(": ").map_or(line.to_owned(), |(facts, _)| facts.to_owned());
    let wrong: Vec<String> = (all.iter().zip(&recorded).step_by(EVERY))
        .map(|(folder, recorded)| (line(&run(folder)), outcome(&line(recorded))))
        .filter(|(found, recorded)| outcome(found) != *recorded)
        .map(|(found, recorded)| format!("{found}\n  recorded: {recorded}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
