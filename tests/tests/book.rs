//! README and the book, held to the program: a page is one test, its blocks run in order.

use libtest_mimic::{Arguments, Failed, Trial};
use mlc_tests::book::{blocks, folder, pages};
use mlc_tests::golden::program;
use std::path::Path;
use std::process::Command;

/// The chapters that a command prints.
const PRINTED: [(&[&str], &str); 3] = [
    (&["--markdown"], "docs/src/command-line.md"),
    (&["ops", "--markdown"], "docs/src/ops.md"),
    (&["passes", "--markdown"], "docs/src/passes.md"),
];

fn main() {
    let mlc = program().expect("mlc is built");
    let mut trials: Vec<Trial> = Vec::new();
    for (name, path) in pages() {
        let mlc = mlc.clone();
        trials.push(Trial::test(name.clone(), move || page(&name, &path, &mlc)));
    }
    for (words, page) in PRINTED {
        let mlc = mlc.clone();
        trials.push(Trial::test(format!("{page} is what mlc prints"), move || printed(&mlc, words, page)));
    }
    trials.push(Trial::test("the summary names every page", summary));
    trials.push(Trial::test("links and inclusions lead to files", links));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn page(name: &str, path: &Path, mlc: &Path) -> Result<(), Failed> {
    let here = folder(path)?;
    let mut faults = String::new();
    for block in blocks(&std::fs::read_to_string(path)?) {
        if let Err(fault) = block.check(mlc, here.path()) {
            faults += &format!("{name}:{}: {fault:#}\n", block.line);
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.into()) }
}

/// A generated chapter is the output of a command.
fn printed(mlc: &Path, words: &[&str], page: &str) -> Result<(), Failed> {
    let output = Command::new(mlc).args(words).output()?;
    let kept = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page)).unwrap_or_default();
    match kept == String::from_utf8_lossy(&output.stdout) {
        true => Ok(()),
        false => Err(format!("{page} is stale; write it with: mlc {} > {page}", words.join(" ")).into()),
    }
}

/// Every page of the book can be reached, and every link of the summary leads to one.
fn summary() -> Result<(), Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src");
    let text = std::fs::read_to_string(folder.join("SUMMARY.md"))?;
    let links: Vec<&str> = text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    let dead = links.iter().find(|link| !folder.join(link).exists());
    if let Some(link) = dead {
        return Err(format!("SUMMARY.md names {link}, which is not there").into());
    }
    let missing = pages().into_iter().find(|(name, _)| {
        let page = name.strip_prefix("docs/src/").unwrap_or("SUMMARY.md");
        page.ends_with(".md") && page != "SUMMARY.md" && !links.contains(&page)
    });
    match missing {
        Some((name, _)) => Err(format!("SUMMARY.md does not name {name}").into()),
        None => Ok(()),
    }
}

/// Links inside of the repository, and what mdBook includes, are there.
fn links() -> Result<(), Failed> {
    let (mut dead, mut found) = (vec![], 0);
    for (name, path) in pages() {
        let text = std::fs::read_to_string(&path)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let after =
            |start: &'static str, end: char| text.split(start).skip(1).filter_map(move |rest| rest.split(end).next());
        let targets = after("](", ')').chain(after("{{#include ", '}'));
        let is_path = |target: &&str| target.contains('.') && !target.contains("://") && !target.contains(' ');
        for target in targets.filter(is_path) {
            found += 1;
            if !folder.join(target.split('#').next().unwrap_or(target)).exists() {
                dead.push(format!("{name}: {target}"));
            }
        }
    }
    match dead.is_empty() && found > 10 {
        true => Ok(()),
        false => Err(format!("{found} links; dead: {}", dead.join(", ")).into()),
    }
}
