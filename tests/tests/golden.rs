//! Every golden file, one test each.

use libtest_mimic::{Arguments, Failed, Trial};
use mlc_tests::golden::{Golden, all, program};
use std::path::Path;

fn main() {
    let arguments = Arguments::from_args();
    let mlc = program().expect("mlc is built");
    let trials = all().into_iter().map(|path| {
        let name =
            path.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/golden")).unwrap_or(&path).display().to_string();
        let mlc = mlc.clone();
        Trial::test(name, move || check(&path, &mlc))
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn check(path: &Path, mlc: &Path) -> Result<(), Failed> {
    let golden = Golden::read(path).map_err(|e| e.to_string())?;
    let outcome = golden.run(mlc).map_err(|e| e.to_string())?;
    if outcome == golden.outcome {
        return Ok(());
    }
    let (expected, found) = (golden.with(&golden.outcome), golden.with(&outcome));
    Err(format!("{}\nexpected:\n{expected}\nfound:\n{found}\naccept with: cargo bless", golden.command).into())
}
