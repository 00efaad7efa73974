//! The examples on the pages of codes: fenced blocks, which are compiled or run.
//!
//! ```` ```mdl,fails ```` and ```` ```mdl,fixed ```` are whole models. ```` ```mdl,m.mdl ```` and
//! ```` ```tensors,w.npz ```` are files, and ```` ```console,fails ```` runs commands where they are.

use crate::book::{Block, blocks};
use crate::golden::{command, lines};
use crate::made;
use anyhow::Result;
use std::path::Path;

/// A console block as it reads when its commands run: each line `$ mlc …` and what it prints, stdout first. Also the last
/// exit code.
pub fn console(page: &[Block], block: &Block, mlc: &Path) -> Result<(String, i32)> {
    let folder = tempfile::tempdir()?;
    for file in page.iter().filter(|file| file.role().contains('.')) {
        let kind = if matches!(&*file.kind, "mdl" | "text") { "file" } else { &file.kind };
        made::write(kind, &folder.path().join(file.role()), &file.text)?;
    }
    let (mut text, mut exit) = (String::new(), 0);
    for line in block.text.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let output = command(line, mlc, folder.path())?.output()?;
        text += &format!("$ {line}\n{}{}", lines(&output.stdout), lines(&output.stderr));
        exit = output.status.code().unwrap_or(-1);
    }
    Ok((text, exit))
}

/// The page with its console blocks as they read when their commands run.
pub fn blessed(page: &str, mlc: &Path) -> Result<String> {
    let all = blocks(page);
    let mut text = page.to_owned();
    for block in all.iter().rev().filter(|block| block.kind == "console") {
        text.replace_range(block.range.clone(), &console(&all, block, mlc)?.0);
    }
    Ok(text)
}
