//! Reading and checking model files named on the command line.

use super::failure::Failure;
use super::flags::{MemoryArgs, ReadArgs, SeedArgs, Switch, groups};
use crate::conversion;
use crate::diag::{Diagnostic, SourceMap};
use crate::frontend::{self, Checked, TextError, read_text};
use crate::import::onnx::ImportError;
use crate::passes::{Keep, Pass};
use crate::{Pipeline, report};
use anyhow::Result;
use mlc_runtime::tensor::Tensor;
use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// The flags of every verb that compiles.
#[derive(Debug, clap::Args)]
pub(super) struct ModelArgs {
    /// A weight file that stands for those that the model names, or random or random:SEED to draw them.
    #[arg(long, value_name = "FILE|random:SEED", value_parser = weights)]
    weights: Option<Weights>,
    /// Which model of a file with several.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// The profile of the model that is carried out: what becomes narrower, sparser or smaller, and at what cost. Without
    /// one no number changes.
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Builds a model whose budget the data cannot decide all the same, and says so in its certificate.
    #[arg(long)]
    pub(super) accept_undecided: bool,
    /// Leaves weights as they are where a budget is met only so; without it, what would meet the budget is said.
    #[arg(long)]
    pub(super) search: bool,
    /// A dim that takes another value than the file gives; may be repeated.
    #[arg(short = 'D', value_name = "DIM=VALUE", value_parser = dim)]
    dims: Vec<(String, i64)>,
    /// Makes an error of what could only be checked when the model is called.
    #[arg(long)]
    deny_guards: bool,
    /// The passes to run, with commas between them, instead of the usual ones; none for none.
    #[arg(long, value_name = "LIST", value_parser = passes)]
    passes: Option<Passes>,
    /// Which groups of ops become one kernel: off for none, only=K for the one of that number in `mlc explain`.
    #[arg(long, value_name = "off|only=K", value_parser = groups)]
    fuse: Option<Keep>,
    /// Whether weights that are mostly zeros are stored and multiplied without them: auto where that pays, or off.
    #[arg(long, value_name = "off|auto", value_enum, default_value_t)]
    sparse: Switch,
    /// Verifies the graph before the first pass and after each.
    #[arg(long)]
    pub(super) verify: bool,
    /// An input of an ONNX model that becomes a number of it, as shapes need: NAME=12, NAME=i64[2]=[3,4], NAME=@FILE.npy;
    /// may be repeated. `mlc run` takes what it needs of the inputs that it is given.
    #[arg(long, value_name = "NAME=VALUE", value_parser = super::inputs::bound)]
    bind: Vec<(String, Tensor)>,
    /// Inputs of a call, which are bound where shapes need them.
    #[arg(skip)]
    pub(super) offered: Vec<(String, Tensor)>,
    /// Those of them that were.
    #[arg(skip)]
    pub(super) bound: RefCell<Vec<String>>,
    #[command(flatten)]
    seed: SeedArgs,
    #[command(flatten)]
    pub(super) memory: MemoryArgs,
    #[command(flatten)]
    pub(super) read: ReadArgs,
}

/// What `--passes` says.
#[derive(Clone, Debug)]
struct Passes(Vec<&'static Pass>);

impl ModelArgs {
    /// The passes to run.
    pub(super) fn pipeline(&self) -> Pipeline {
        let usual = Pipeline::default();
        let passes = self.passes.as_ref().map_or(usual.passes, |passes| passes.0.clone());
        Pipeline {
            passes,
            verify: usual.verify || self.verify,
            groups: self.fuse.unwrap_or_default(),
            sparse: self.sparse == Switch::Auto,
            max_memory: self.memory.limit(),
        }
    }

    /// Whether `--passes` was given.
    pub(super) fn names_passes(&self) -> bool {
        self.passes.is_some()
    }

    /// The profile to carry out.
    pub(super) fn profile(&self) -> Option<&str> {
        self.profile.as_deref()
    }

    /// What `-D` says.
    pub(super) fn dims(&self) -> &[(String, i64)] {
        &self.dims
    }

    /// The seed of what is drawn and names none of its own.
    pub(super) fn seed(&self) -> u64 {
        self.seed.seed
    }
}

/// What `--weights` says.
#[derive(Clone, Debug)]
enum Weights {
    File(PathBuf),
    /// From this seed, or from that of `--seed`.
    Random(Option<u64>),
}

fn weights(text: &str) -> Result<Weights, String> {
    match text.strip_prefix("random:") {
        Some(seed) => match seed.parse() {
            Ok(seed) => Ok(Weights::Random(Some(seed))),
            Err(_) => Err(format!("`{seed}` is no seed: a whole number")),
        },
        None if text == "random" => Ok(Weights::Random(None)),
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
    let text = match path == Path::new("-") {
        true => read_text(std::io::stdin()),
        false => std::fs::File::open(path).map_err(TextError::from).and_then(read_text),
    };
    let name = path.display();
    Ok(text.map_err(|error| match error {
        TextError::Unread(_) => Failure::new(error.code(), format!("cannot read `{name}`: {error}")),
        TextError::Unfit(_) => Failure::new(error.code(), format!("`{name}` is no model text: {error}")),
    })?)
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
    let (text, given) = match conversion::is_foreign(path) {
        true => {
            let made = converted(path, args)?;
            (made.text, Some(made.tensors))
        }
        false => (read(path)?, None),
    };
    let file = sources.add(path.display().to_string(), text);
    let (weights, random_weights) = match &args.weights {
        Some(Weights::File(path)) => (Some(path.clone()), None),
        Some(Weights::Random(seed)) => (None, Some(seed.unwrap_or(args.seed()))),
        None => (None, None),
    };
    let options = frontend::Options {
        folder: Some(path.parent().unwrap_or(Path::new("")).to_owned()),
        weights,
        random_weights,
        given: given.filter(|_| args.weights.is_none()),
        model: args.model.clone(),
        profile: args.profile.clone(),
        dims: args.dims.clone(),
        without_weights: lenient,
        deny_guards: args.deny_guards,
        open: args.read.weights(),
        max_memory: Some(args.memory.limit()),
    };
    let checked = frontend::check(sources, file, &options);
    Ok((file, checked))
}

/// A model of another format as text and tensors; what shapes need of the inputs that a call offers is bound.
fn converted(path: &Path, args: &ModelArgs) -> Result<conversion::Converted> {
    let mut bind = args.bind.clone();
    loop {
        let names = match conversion::onnx(path, &bind) {
            Err(ImportError::Unbound(names)) => names,
            made => return Ok(made?),
        };
        let offered = |name: &String| args.offered.iter().find(|(offered, _)| offered == name).cloned();
        let Some(found) = names.iter().map(offered).collect::<Option<Vec<_>>>() else {
            return Err(ImportError::Unbound(names).into());
        };
        args.bound.borrow_mut().extend(names);
        bind.extend(found);
    }
}
