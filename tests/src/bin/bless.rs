//! `cargo bless [FILTER]`: accepts what the commands of golden files, and of the pages of codes, print now.

use anyhow::Result;
use mlc_tests::golden::{Golden, all, program};
use mlc_tests::pages;
use std::path::Path;

fn main() -> Result<()> {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let mlc = program()?;
    for path in all().into_iter().filter(|path| path.to_string_lossy().contains(&filter)) {
        let golden = Golden::read(&path)?;
        let outcome = golden.run(&mlc)?;
        if outcome != golden.outcome {
            std::fs::write(&path, golden.with(&outcome))?;
            println!("{}", path.display());
        }
    }
    let errors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/errors");
    for page in mlc::report::PAGES.iter().filter(|page| page.code.contains(&filter)) {
        let path = errors.join(page.code).with_extension("md");
        let text = std::fs::read_to_string(&path)?;
        let blessed = pages::blessed(&text, &mlc)?;
        if blessed != text {
            std::fs::write(&path, blessed)?;
            println!("{}", path.display());
        }
    }
    Ok(())
}
