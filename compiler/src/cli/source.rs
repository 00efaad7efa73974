//! Reading and checking model files named on the command line.

use crate::diag::{Diagnostic, SourceMap};
use crate::frontend::{self, Checked};
use crate::passes::Pass;
use crate::{Pipeline, report};
use anyhow::{Context, Result};
use std::io::Read;
use std::path::{Path, PathBuf};

/// A file no larger than this is read; a model is text that people write.
const LIMIT: u64 = 64 << 20;

/// The flags of every verb that compiles.
#[derive(Debug, clap::Args)]
pub(super) struct ModelArgs {
    /// A weight file that stands for those that the model names, or random:SEED to draw them.
    #[arg(long, value_name = "FILE|random:SEED", value_parser = weights)]
    weights: Option<Weights>,
    /// Which model of a file with several.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// A profile that the model must have.
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// A dim that takes another value than the file gives; may be repeated.
    #[arg(short = 'D', value_name = "DIM=VALUE", value_parser = dim)]
    dims: Vec<(String, i64)>,
    /// Makes an error of what could only be checked when the model is called.
    #[arg(long)]
    deny_guards: bool,
    /// The passes to run, with commas between them, instead of the usual ones; none for none.
    #[arg(long, value_name = "LIST", value_parser = passes)]
    passes: Option<Passes>,
    /// Verifies the graph before the first pass and after each.
    #[arg(long)]
    pub(super) verify: bool,
}

/// What `--passes` says.
#[derive(Clone, Debug)]
struct Passes(Vec<&'static Pass>);

impl ModelArgs {
    /// The passes to run.
    pub(super) fn pipeline(&self) -> Pipeline {
        let usual = Pipeline::default();
        let passes = self.passes.as_ref().map_or(usual.passes, |passes| passes.0.clone());
        Pipeline { passes, verify: usual.verify || self.verify }
    }
}

impl ModelArgs {
    /// What `-D` says.
    pub(super) fn dims(&self) -> &[(String, i64)] {
        &self.dims
    }
}

/// What `--weights` says.
#[derive(Clone, Debug)]
enum Weights {
    File(PathBuf),
    Random(u64),
}

fn weights(text: &str) -> Result<Weights, String> {
    match text.strip_prefix("random:") {
        Some(seed) => seed.parse().map(Weights::Random).map_err(|_| format!("`{seed}` is no seed: a whole number")),
        None => Ok(Weights::File(text.into())),
    }
}

fn passes(text: &str) -> Result<Passes, String> {
    if text == "none" {
        return Ok(Passes(vec![]));
    }
    let names = text.split(',').map(str::trim);
    names.map(super::passes::named).collect::<Result<_, _>>().map(Passes)
}

/// `NAME=NUMBER`.
pub(super) fn dim(text: &str) -> Result<(String, i64), String> {
    let pair = text.split_once('=').and_then(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
    pair.ok_or_else(|| format!("`{text}` is not written DIM=VALUE"))
}

/// The text of a file; `-` is standard input.
pub(super) fn read(path: &Path) -> Result<String> {
    let name = path.display();
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().take(LIMIT + 1).read_to_end(&mut bytes).context("cannot read standard input")?;
    } else {
        let file = std::fs::File::open(path).with_context(|| format!("cannot open `{name}`"))?;
        file.take(LIMIT + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read `{name}`"))?;
    }
    anyhow::ensure!(bytes.len() as u64 <= LIMIT, "`{name}` is larger than {} MiB", LIMIT >> 20);
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..valid].iter().filter(|b| **b == b'\n').count() + 1;
        anyhow::anyhow!("`{name}` is no UTF-8 text: line {line}, byte {valid} of the file")
    })
}

/// Parses a file into the source map; gives its number and what is wrong with its syntax.
pub(super) fn parse(path: &Path, sources: &mut SourceMap) -> Result<(u32, Vec<Diagnostic>)> {
    let text = read(path)?;
    let errors = mlc_grammar::parse(&text).errors;
    let file = sources.add(path.display().to_string(), text);
    Ok((file, errors.iter().map(|error| report::syntax(error, file)).collect()))
}

/// Checks a file that is added to the source map; `lenient` where a missing weight file is only a warning.
pub(super) fn check(path: &Path, args: &ModelArgs, lenient: bool, sources: &mut SourceMap) -> Result<(u32, Checked)> {
    let text = read(path)?;
    let file = sources.add(path.display().to_string(), text);
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (weights, random_weights) = match &args.weights {
        Some(Weights::File(path)) => (Some(path.clone()), None),
        Some(Weights::Random(seed)) => (None, Some(*seed)),
        None => (None, None),
    };
    let options = frontend::Options {
        folder: Some(parent.to_owned()),
        weights,
        random_weights,
        model: args.model.clone(),
        profile: args.profile.clone(),
        dims: args.dims.clone(),
        without_weights: lenient,
        deny_guards: args.deny_guards,
    };
    let checked = frontend::check(sources, file, &options);
    Ok((file, checked))
}
