//! Runs folders in the layout of ONNX's own test data and says what passed, by operator: as text, as `--json`, as lines of
//! the `--record`, or as the book's page, `--markdown`.

use anyhow::{Result, bail};
use mlc_tests::onnx_suite::{Case, Outcome, by_operator, folders, line, page, run, totals};
use std::path::PathBuf;

fn main() -> Result<()> {
    let (flags, paths): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|arg| arg.starts_with("--"));
    let print: fn(&[Case]) -> String = match &flags.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => text,
        ["--json"] => json,
        ["--markdown"] => page,
        ["--record"] => |cases| cases.iter().map(|case| line(case) + "\n").collect(),
        _ => bail!("usage: onnx-suite DIR… [--json | --markdown | --record]"),
    };
    if paths.is_empty() {
        bail!("name a folder such as onnx/backend/test/data/node of the onnx package");
    }
    let mut all = vec![];
    for path in &paths {
        all.extend(folders(&PathBuf::from(path))?);
    }
    // A case that panics is a failure with a line of its own.
    std::panic::set_hook(Box::new(|_| {}));
    let cases: Vec<Case> = all.iter().map(|folder| run(folder)).collect();
    print!("{}", print(&cases));
    Ok(())
}

fn text(cases: &[Case]) -> String {
    let mut text = String::new();
    for case in cases.iter().filter(|case| case.outcome != Outcome::Passed) {
        text += &format!("{}\n", line(case));
    }
    text += &format!("{:<30} passed failed unsupported\n", "operator");
    for (operator, (passed, failed, unsupported)) in by_operator(cases) {
        text += &format!("{operator:<30} {passed:>6} {failed:>6} {unsupported:>11}\n");
    }
    let (passed, failed, unsupported) = totals(cases);
    text + &format!("{passed} of {} cases passed, {failed} failed, {unsupported} are unsupported\n", cases.len())
}

fn json(cases: &[Case]) -> String {
    let list: Vec<serde_json::Value> = (cases.iter())
        .map(|case| {
            let (outcome, why) = match &case.outcome {
                Outcome::Passed => ("passed", ""),
                Outcome::Failed(why) => ("failed", why.as_str()),
                Outcome::Unsupported(why) => ("unsupported", why.as_str()),
            };
            let (name, group) = (&case.name, case.group.word());
            serde_json::json!({
                "name": name, "group": group, "operators": case.operators, "outcome": outcome, "why": why
            })
        })
        .collect();
    format!("{:#}\n", serde_json::Value::from(list))
}
