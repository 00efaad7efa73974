//! `cargo bless [FILTER]`: accepts what the commands of golden files print now.

use anyhow::Result;
use mlc_tests::golden::{Golden, all, program};

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
    Ok(())
}
