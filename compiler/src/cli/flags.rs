//! Flags that several verbs share: one struct for each meaning.

use super::output;
use crate::passes::Keep;
use mlc_runtime::artifact;
use mlc_runtime::session::{CacheError, CodeCache, Cpu, Options, human};
use mlc_runtime::weights;
use std::path::{Path, PathBuf};

/// How much memory may be taken.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct MemoryArgs {
    /// Memory that the constants of a model, and a call of it, may take: 4096, 512M, 1.5G; all that this machine has when
    /// left out.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_memory: Option<u64>,
}

impl MemoryArgs {
    /// Bytes that may be taken.
    pub(super) fn limit(self) -> u64 {
        self.max_memory.unwrap_or_else(|| Options::default().max_memory)
    }
}

/// How files are read.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct ReadArgs {
    /// Reads files of weights and models instead of mapping them, so that they may change meanwhile.
    #[arg(long)]
    no_mmap: bool,
}

impl ReadArgs {
    /// How weight files are opened.
    pub(super) fn weights(self) -> weights::OpenOptions {
        weights::OpenOptions { mmap: !self.no_mmap, ..weights::OpenOptions::default() }
    }
}

/// How a `.mlc` is opened.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct OpenArgs {
    /// Compares the weights in a `.mlc` with their hash before anything runs; all else is compared always.
    #[arg(long)]
    verify_weights: bool,
}

impl OpenArgs {
    /// How a `.mlc` is opened.
    pub(super) fn artifact(self, read: ReadArgs) -> artifact::OpenOptions {
        artifact::OpenOptions { mmap: !read.no_mmap, verify_weights: self.verify_weights }
    }
}

/// What code may use.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct CpuArgs {
    /// The instructions that code may use: native, x86-64-v2, x86-64-v3, x86-64-v4 or generic.
    #[arg(long, value_name = "LEVEL", default_value_t = Cpu::Native)]
    pub(super) cpu: Cpu,
}

/// Where finished machine code is kept.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct CacheArgs {
    /// A folder that keeps finished machine code for later starts, which then need not make it. It must be yours, and nobody
    /// else may write to it; it is made when it is not there, and may be deleted at any time. Or off.
    #[arg(long, value_name = "DIR|off", default_value = "off")]
    code_cache: PathBuf,
}

impl CacheArgs {
    /// The cache, where one was asked for.
    pub(super) fn open(&self) -> Result<Option<CodeCache>, CacheError> {
        let asked = Some(&self.code_cache).filter(|path| *path != Path::new("off"));
        asked.map(|path| CodeCache::open(path)).transpose()
    }
}

/// Where what is drawn begins.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct SeedArgs {
    /// The seed of what is drawn and names none of its own: `--weights random`, `-i NAME=random`, inputs that nobody gave.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) seed: u64,
}

/// How much is said.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct TalkArgs {
    /// Says more: what each step did and how long it took. With --version: what this program was made for and what the
    /// machine offers.
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(super) verbose: bool,
    /// Says nothing but errors.
    #[arg(short, long, global = true)]
    quiet: bool,
}

impl TalkArgs {
    /// From here on so much is said.
    pub(super) fn apply(self) {
        output::talk(match (self.verbose, self.quiet) {
            (true, _) => output::Talk::More,
            (_, true) => output::Talk::Errors,
            _ => output::Talk::Usual,
        });
    }
}

/// Whether mlc decides about something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Switch {
    /// Where it pays.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// `off` or `only=K`.
pub(super) fn groups(text: &str) -> Result<Keep, String> {
    match text.split_once('=') {
        None if text == "off" => Ok(Keep::None),
        Some(("only", number)) => {
            number.parse().map(Keep::Only).map_err(|_| format!("`{number}` is no number of a group"))
        }
        _ => Err("it is written off, or only=K with the number of a group in `mlc explain`".into()),
    }
}

/// A number of bytes: a unit is a power of 1024 and stands behind it, with or without `B` or `iB`.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || "a size is a number of bytes, or with a unit as in 512K, 64M, 1.5G, 2T".to_owned();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim().to_ascii_uppercase();
    let unit = unit.strip_suffix("IB").filter(|unit| !unit.is_empty()).or(unit.strip_suffix('B')).unwrap_or(&unit);
    let shift = match unit {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err(wrong()),
    };
    let bytes = match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(1 << shift),
        Err(_) if shift > 0 => number.parse::<f64>().ok().map(|part| (part * (1u64 << shift) as f64) as u64),
        Err(_) => None,
    };
    let bytes = bytes.ok_or_else(wrong)?;
    match i64::try_from(bytes) {
        Ok(_) => Ok(bytes),
        Err(_) => Err(format!("{} is more than any machine has", human(bytes))),
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_units() {
        let given = ["0", "4096", "4096B", "1k", "64M", "64MB", "64MiB", "1.5G", "2 T"];
        let bytes = [0, 4096, 4096, 1 << 10, 64 << 20, 64 << 20, 64 << 20, 3 << 29, 2 << 40];
        assert_eq!(given.map(|text| size(text).expect("a size")), bytes);
        for wrong in ["", "G", "iB", "1.5", "-1", "1e9", "1,5G", "5X", "1..5G", "0x10", "9999999999999T"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
