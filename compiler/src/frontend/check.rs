//! The whole check: what it is asked, what it gives, and its steps in order.

use super::elaborate::Elaborator;
use super::modules;
use super::profiles::{Override, Profile};
use crate::diag::{Diagnostic, Severity, SourceMap};
use crate::graph::Graph;
use mlc_runtime::tensor::Tensor;
use mlc_runtime::weights::OpenOptions;
use std::path::PathBuf;

/// What a check is asked to do.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The folder of the file, that imports and weight paths are relative to; `None` for text that has none.
    pub folder: Option<PathBuf>,
    /// A weight file that stands for those of the model.
    pub weights: Option<PathBuf>,
    /// Weights that are in memory, and stand for the files of the model.
    pub given: Option<Vec<(String, Tensor)>>,
    /// Weights that are drawn from this seed instead of read.
    pub random_weights: Option<u64>,
    /// A model of several in the file.
    pub model: Option<String>,
    /// The profile that must be there.
    pub profile: Option<String>,
    /// Dims that take another value than the file gives.
    pub dims: Vec<(String, i64)>,
    /// Whether a weight file may be missing.
    pub without_weights: bool,
    /// Whether what cannot be decided is an error.
    pub deny_guards: bool,
    /// How weight files are opened.
    pub open: OpenOptions,
    /// Bytes that drawn weights and defaults may take together; no limit but that of each when left out.
    pub max_memory: Option<u64>,
}

/// The outcome of a check.
#[derive(Debug)]
pub struct Checked {
    /// The typed graph of the model, when there is one and no error.
    pub graph: Option<Graph>,
    /// The profiles of the file.
    pub profiles: Vec<Profile>,
    /// What attributes in the model ask of the active profile.
    pub overrides: Vec<Override>,
    /// Mistakes and warnings in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// Facts about a sound model that are neither.
    pub notes: Vec<String>,
}

/// Deep nesting in a chain of blocks must not end the process: pages of a stack cost nothing until they are touched.
const STACK: usize = 512 << 20;

/// Checks a file that is in the source map; files that it imports are added there.
pub fn check(sources: &mut SourceMap, file: u32, options: &Options) -> Checked {
    std::thread::scope(|scope| {
        let run = || whole(sources, file, options);
        match std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, run) {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => {
                let loc = crate::types::Loc::new(file, 0, 0);
                let message = format!("the system gives no thread to check in: {error}");
                let diagnostics = vec![Diagnostic::error("MDL0217", message, loc, "")];
                Checked { graph: None, profiles: vec![], overrides: vec![], diagnostics, notes: vec![] }
            }
        }
    })
}

fn whole(sources: &mut SourceMap, file: u32, options: &Options) -> Checked {
    let loaded = modules::load(sources, file, options.folder.as_deref());
    let mut diagnostics = loaded.diagnostics;
    let refused = diagnostics.iter().any(|d| d.code == "MDL0001");
    if refused {
        return Checked { graph: None, profiles: vec![], overrides: vec![], diagnostics, notes: vec![] };
    }
    let unparsed = diagnostics.iter().any(|d| d.severity == Severity::Error);
    let mut elaborator = Elaborator::new(sources, &loaded.files, options);
    let profiles = elaborator.run(unparsed);
    diagnostics.append(&mut elaborator.diagnostics);
    in_order(&mut diagnostics);
    let failed = diagnostics.iter().any(|d| d.severity == Severity::Error);
    if failed {
        let lint = |d: &Diagnostic| d.code.starts_with("MDL09") || unparsed && d.code == "MDL0403";
        diagnostics.retain(|d| d.severity == Severity::Error || !lint(d));
    }
    let graph = (!failed && elaborator.chosen).then_some(elaborator.graph);
    let notes = if graph.is_some() { elaborator.notes } else { vec![] };
    Checked { graph, profiles, overrides: elaborator.overrides, diagnostics, notes }
}

/// Sorts by place and keeps one of those with equal code and place, the first that was found. One `weight` statement may
/// look for several keys, and each of them is a fault of its own.
fn in_order(diagnostics: &mut Vec<Diagnostic>) {
    let first = |d: &Diagnostic| d.labels.first().map(|label| label.loc);
    diagnostics.sort_by_key(|d| (first(d), d.code));
    diagnostics.dedup_by(|later, kept| {
        let keyed = kept.code.starts_with("MDL04") && later.message != kept.message;
        later.code == kept.code && first(later) == first(kept) && !keyed
    });
}
