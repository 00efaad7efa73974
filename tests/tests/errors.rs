//! The pages of all codes: which there are, and that their examples do what they say.

use mlc::diag::{Diagnostic, Severity, SourceMap};
use mlc::frontend::{Options, check};
use mlc::report::{PAGES, Page, near, page};
use mlc_tests::book::blocks;
use mlc_tests::golden::program;
use mlc_tests::pages::console;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Codes whose pages have no example that runs here, and why.
const NOT_SHOWN: [(&str, &str); 3] = [
    ("MDL0603", "takes a processor that Cranelift does not know, or a system that forbids executable memory"),
    ("MDL0706", "takes two calls of one session; the runtime's tests make them"),
    ("MDL0709", "takes a file that mlc does not write; the runtime's tests make one"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).expect("a source folder").flatten() {
        let path = entry.path();
        let test = path.ends_with("tests") || path.file_stem().is_some_and(|name| name == "tests");
        if path.is_dir() && !test {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") && !test {
            found.push((path.clone(), std::fs::read_to_string(&path).expect("a source file")));
        }
    }
}

/// Every `"MDL0123"` of a text: codes are written whole, in quotes.
fn codes(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("\"MDL").filter_map(|(at, _)| text.get(at + 1..at + 8)).filter(|code| {
        let whole = code.bytes().skip(3).all(|b| b.is_ascii_digit());
        whole && text.contains(&format!("\"{code}\""))
    })
}

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let mut files = vec![];
    for folder in ["grammar/src", "compiler/src", "compiler/codegen/src", "runtime/src"] {
        sources(&root().join(folder), &mut files);
    }
    files.retain(|(path, _)| !path.ends_with("report/codes.rs"));
    let written: BTreeSet<&str> = files.iter().flat_map(|(_, text)| codes(text)).collect();
    let explained: BTreeSet<&str> = PAGES.iter().map(|page| page.code).collect();
    assert_eq!(written.difference(&explained).collect::<Vec<_>>(), Vec::<&&str>::new(), "codes without a page");
    assert_eq!(explained.difference(&written).collect::<Vec<_>>(), Vec::<&&str>::new(), "pages without a code");
    let built = files.iter().filter(|(_, text)| text.contains("format!(\"MDL"));
    assert_eq!(built.count(), 0, "a code is written whole where it is given, so that it can be found");
}

#[test]
fn pages_are_in_order_titled_and_short() {
    assert!(PAGES.windows(2).all(|pair| pair[0].code < pair[1].code));
    for Page { code, text } in PAGES {
        assert!(text.starts_with(&format!("# {code}: ")), "{code}");
        let prose = text.split("```").step_by(2).collect::<String>();
        let sentences = prose.matches(". ").count() + prose.matches(".\n").count();
        assert!((1..=7).contains(&sentences), "{code} says {sentences} sentences");
        assert!(text.lines().all(|line| !line.ends_with(' ')), "{code}");
    }
}

#[test]
fn the_book_lists_every_page() {
    let read = |name: &str| std::fs::read_to_string(root().join("docs/src").join(name)).expect("a chapter");
    let index: String = PAGES.iter().map(|page| format!("- [{0}]({0}.md): {1}\n", page.code, page.title())).collect();
    assert!(read("errors/README.md").ends_with(&index), "errors/README.md should end with\n{index}");
    let summary: String = PAGES.iter().map(|page| format!("  - [{0}](errors/{0}.md)\n", page.code)).collect();
    assert!(read("SUMMARY.md").contains(&summary), "SUMMARY.md should hold\n{summary}");
}

fn compiled(text: &str) -> Vec<Diagnostic> {
    let mut sources = SourceMap::default();
    let file = sources.add("m.mdl", text);
    let options = Options { random_weights: Some(1), without_weights: true, ..Options::default() };
    check(&mut sources, file, &options).diagnostics
}

#[test]
fn examples_fail_with_their_code_and_their_repairs_are_sound() {
    for Page { code, text } in PAGES {
        let all = blocks(text);
        let of = |role: &'static str| all.iter().filter(move |b| b.kind == "mdl" && b.role() == role);
        for block in of("fails") {
            let said = compiled(&block.text);
            let errors: Vec<&str> = said.iter().filter(|d| d.severity == Severity::Error).map(|d| d.code).collect();
            let warns = code.starts_with("MDL09") || *code == "MDL0303";
            let wanted: &[&str] = if warns { &[] } else { &[code] };
            assert_eq!(errors, wanted, "{code}: {said:#?}");
            assert!(said.iter().any(|d| d.code == *code), "{code}: {said:#?}");
        }
        of("fixed").for_each(|block| assert_eq!(compiled(&block.text), vec![], "{code}"));
        assert_eq!(of("fails").count(), of("fixed").count(), "{code}");
    }
}

#[test]
fn commands_print_what_pages_say() {
    let mlc = program().expect("mlc is built");
    let mut failed = vec![];
    for Page { code, text } in PAGES {
        let all = blocks(text);
        for block in all.iter().filter(|block| block.kind == "console") {
            let (found, exit) = console(&all, block, &mlc).expect("the commands can be run");
            let others = |text: &str| text.match_indices("[MDL").any(|(at, _)| !text[at + 1..].starts_with(code));
            let right = match block.role() {
                "fails" => found.contains(&format!("[{code}]")) && !others(&found),
                _ => exit == 0 && !found.contains("error"),
            };
            if found != block.text || !right {
                failed.push(format!("{code}: exit code {exit}, found\n{found}"));
            }
        }
    }
    assert!(failed.is_empty(), "accept with: cargo bless MDL\n{}", failed.join("\n"));
}

#[test]
fn every_page_shows_its_code() {
    let shows = |page: &Page| blocks(page.text).iter().any(|block| block.role() == "fails");
    let hidden: Vec<&str> = PAGES.iter().filter(|page| !shows(page)).map(|page| page.code).collect();
    assert_eq!(hidden, NOT_SHOWN.map(|(code, _)| code));
}

#[test]
fn codes_are_found_however_they_are_written() {
    for word in ["MDL0301", "mdl0301", "0301", "301"] {
        assert_eq!(page(word).expect("a code").code, "MDL0301", "{word}");
    }
    assert!(page("MDL").is_none() && page("").is_none() && page("301x").is_none() && page("é301").is_none());
    assert!(near("MDL0330").contains(&"MDL0303"));
}

/// Situations that only a compression can make, which comes later.
const OF_COMPRESSION: std::ops::RangeInclusive<u32> = 22..=24;

#[test]
fn every_situation_has_a_golden_file() {
    let files = std::fs::read_dir(root().join("tests/golden/ui/situations")).expect("golden files").flatten();
    let names: Vec<String> = files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    for number in (1..=25).filter(|number| !OF_COMPRESSION.contains(number)) {
        assert!(names.iter().any(|name| name.starts_with(&format!("{number:02}_"))), "situation {number}");
    }
}
