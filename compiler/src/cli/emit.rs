//! `--emit KIND[=PATH]`: the forms that a model passes through. Those after the graph are in `emit_code`.

use super::failure::Failure;
use super::output::{self, MessageFormat};
use super::source;
use crate::diag::SourceMap;
use crate::export::{dot, mdl};
use crate::graph::Graph;
use anyhow::Result;
use clap::builder::{EnumValueParser, PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Command, Error, ValueEnum};
use mlc_runtime::weights::write_aside;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// The syntax tree, as JSON.
    Ast,
    /// The typed graph, as a `.mdl` file that runs to the same answer, and the constants that it needs.
    Graph,
    /// The typed graph, for Graphviz.
    Dot,
    /// The kernels, and the plan that calls them.
    Kernels,
    /// What Cranelift compiles.
    Clif,
    /// Machine code, disassembled.
    Asm,
    /// An object file for a linker; only to a file.
    Obj,
}

impl Kind {
    /// Whether it is shown of the kernels, not of the model.
    pub(super) fn is_of_kernels(self) -> bool {
        matches!(self, Kind::Kernels | Kind::Clif | Kind::Asm | Kind::Obj)
    }
}

/// One `--emit`.
#[derive(Clone, Debug)]
pub(super) struct Emit {
    /// What.
    pub(super) kind: Kind,
    /// Where to; standard output where it is not said.
    path: Option<PathBuf>,
}

/// Reads `KIND` or `KIND=PATH`.
#[derive(Clone, Debug)]
pub(super) struct Parser;

impl TypedValueParser for Parser {
    type Value = Emit;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<Emit, Error> {
        let text = value.to_string_lossy();
        let (word, path) = text.split_once('=').map_or((&*text, None), |(word, path)| (word, Some(path.into())));
        let kind = EnumValueParser::<Kind>::new().parse_ref(command, arg, OsStr::new(word))?;
        if let (Kind::Obj, None) = (kind, &path) {
            let message = "an object file is not for standard output: write --emit obj=FILE.o\n";
            return Err(Error::raw(ErrorKind::ValueValidation, message).with_cmd(command));
        }
        Ok(Emit { kind, path })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Kind::value_variants().iter().filter_map(Kind::to_possible_value)))
    }
}

/// Shows the syntax tree of a file; false when it has none, which has been said.
pub(super) fn ast(emit: &Emit, file: &Path, format: MessageFormat) -> Result<bool> {
    let mut sources = SourceMap::default();
    let (number, diagnostics) = source::parse(file, &mut sources)?;
    if !diagnostics.is_empty() {
        output::show(&diagnostics, &sources, format);
        return Ok(false);
    }
    let tree = mlc_grammar::parse(sources.text(number)).file;
    emit.put(format!("{}\n", mlc_grammar::to_json(&tree)).as_bytes())?;
    Ok(true)
}

/// Shows the graph of a model file.
pub(super) fn graph(emit: &Emit, graph: &Graph, file: &Path) -> Result<()> {
    match (emit.kind, &emit.path) {
        (Kind::Dot, _) => emit.put(dot::print(graph).as_bytes()),
        (_, Some(path)) => Ok(mdl::write(graph, path)?),
        (_, None) => {
            let (text, constants) = printed(graph, file);
            emit.put(text.as_bytes())?;
            if constants > 0 {
                let what = if constants == 1 { "constant is" } else { "constants are" };
                output::note(&format!(
                    "{constants} {what} not in the text; --emit graph=FILE.mdl writes them beside it"
                ));
            }
            Ok(())
        }
    }
}

/// The text of the graph of a model file, and how many constants are not in it.
pub(super) fn printed(graph: &Graph, file: &Path) -> (String, usize) {
    let folder = file.parent().unwrap_or(Path::new(""));
    let name = |weights: &Path| weights.strip_prefix(folder).unwrap_or(weights).to_string_lossy().into_owned();
    let constants = file.with_extension("graph.safetensors");
    let constants = constants.file_name().unwrap_or_default().to_string_lossy();
    let printed = mdl::print_linked(graph, &mdl::Links { constants: &constants, weights: &name });
    (printed.text, printed.constants.len())
}

impl Emit {
    /// Writes it where it was asked for, whole or not at all.
    pub(super) fn put(&self, bytes: &[u8]) -> Result<()> {
        match &self.path {
            None => output::data(&String::from_utf8_lossy(bytes)),
            Some(path) => write_aside(path, |out| std::io::Write::write_all(out, bytes))
                .map_err(|error| Failure::unwritten(path, &error))?,
        }
        Ok(())
    }
}
