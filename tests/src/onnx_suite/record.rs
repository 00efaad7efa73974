//! What became of the cases of onnx 1.17.0, as it is recorded, and the page of the book that tells of it.
//!
//! A line is `OUTCOME GROUP NAME OPERATORS`, for a case that did not pass followed by `: WHY`.
//! Invariant: the page holds nothing that the record does not.

use super::{Case, Counts, Group, Outcome, add};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The record as it was last written.
pub fn recorded() -> Result<Vec<Case>> {
    include_str!("../../data/onnx/cases.txt").lines().map(read).collect()
}

fn read(line: &str) -> Result<Case> {
    let (facts, why) = line.split_once(": ").unwrap_or((line, ""));
    let [outcome, group, name, operators] = facts.split(' ').collect::<Vec<_>>()[..] else {
        bail!("`{line}` is no line of the record");
    };
    let outcome = match outcome {
        "passed" => Outcome::Passed,
        "failed" => Outcome::Failed(why.into()),
        "unsupported" => Outcome::Unsupported(why.into()),
        _ => bail!("`{outcome}` is no outcome"),
    };
    let group = Group::ALL.into_iter().find(|known| known.word() == group).context("a group")?;
    Ok(Case { name: name.into(), operators: operators.split(',').map(str::to_owned).collect(), group, outcome })
}

/// A case as a line of the record.
pub fn line(case: &Case) -> String {
    let (outcome, why) = match &case.outcome {
        Outcome::Passed => ("passed", String::new()),
        Outcome::Failed(why) => ("failed", format!(": {}", first(why))),
        Outcome::Unsupported(why) => ("unsupported", format!(": {}", first(why))),
    };
    format!("{outcome} {} {} {}{why}", case.group.word(), case.name, case.operators.join(","))
}

/// A reason on one line.
fn first(why: &str) -> String {
    let mut lines = why.lines();
    match (lines.next(), lines.next()) {
        (Some(head), Some(next)) if head.ends_with(':') => format!("{head} {}", next.trim()),
        (head, _) => head.unwrap_or_default().to_owned(),
    }
}

/// The page on coverage.
pub fn page(cases: &[Case]) -> String {
    let mut text = String::from(
        "# What is imported of ONNX\n
The node cases of onnx 1.17.0, run on the CPU. Written by the command that ends this page; a test holds the page to the
recorded outcomes, and another runs a selection of the cases anew. An output passes if its type and shape are those of the
data, integers are equal, and floats `got` are near `want`: |got − want| ≤ 1e-7 + 1e-3 · |want|, as in ONNX's own runner;
for floats of fewer than 32 bits ten times that.\n
| cases | passed | failed | unsupported | of |\n|---|---:|---:|---:|---:|\n",
    );
    let mut row = |says: &str, groups: &[Group]| {
        let (passed, failed, unsupported) = count(cases.iter().filter(|case| groups.contains(&case.group)));
        let all = passed + failed + unsupported;
        let _ = writeln!(text, "| {says} | {passed} | {failed} | {unsupported} | {all} |");
    };
    row("the 105 operators that trained models are made of, on bool, i8, u8, i32, i64, f16 and f32", &[Group::Core]);
    row("each operator by itself", &[Group::Core, Group::Other]);
    row("all, with those that write an operator out as others", &Group::ALL);
    text += "\n## By operator\n\nA case counts for each operator of its model.\n\n";
    text += "| operator | passed | failed | unsupported |\n|---|---:|---:|---:|\n";
    for (operator, (passed, failed, unsupported)) in super::by_operator(cases) {
        let _ = writeln!(text, "| {operator} | {passed} | {failed} | {unsupported} |");
    }
    text += "\n## Cases of the 105 operators that do not pass\n\n";
    for case in cases.iter().filter(|case| case.group == Group::Core) {
        if let Outcome::Failed(why) | Outcome::Unsupported(why) = &case.outcome {
            let _ = writeln!(text, "- `{}`: {}", case.name, first(why).replace('|', "\\|"));
        }
    }
    text += "\n## Why other cases do not pass\n\n| cases | reason |\n|---:|---|\n";
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for case in cases.iter().filter(|case| case.group == Group::Other) {
        if let Outcome::Failed(why) | Outcome::Unsupported(why) = &case.outcome {
            *reasons.entry(reason(&first(why)).to_owned()).or_default() += 1;
        }
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by(|(a, m), (b, n)| n.cmp(m).then(a.cmp(b)));
    for (reason, count) in reasons {
        let _ = writeln!(text, "| {count} | {} |", reason.replace('|', "\\|"));
    }
    text + "\n```text\ncargo run -p mlc-tests --bin onnx-suite -- onnx/backend/test/data/node --markdown\n```\n"
}

/// What a reason says, without the place.
fn reason(why: &str) -> &str {
    match why.rsplit_once("`: ") {
        Some((_, rest)) => rest,
        None => why
            .strip_prefix("the model uses an operator that mlc does not import: ")
            .map_or(why, |operator| operator.split_once(':').map_or(operator, |(name, _)| name)),
    }
}

fn count<'c>(cases: impl Iterator<Item = &'c Case>) -> Counts {
    let mut counts = Counts::default();
    cases.for_each(|case| add(&mut counts, &case.outcome));
    counts
}
