//! The state of a check in progress, and how mistakes are reported from anywhere in it.

use super::check::Options;
use super::modules::Loaded;
use super::origin::Whence;
use super::profiles::Override;
use super::scope::{Frame, Module};
use super::term::{Checks, Poison};
use super::weights::Weights;
use crate::diag::{Applicability, Diagnostic, Edit, Severity, SourceMap};
use crate::graph::{Block, Graph, GuardNode, Node, NodeKind, Value, ValueId};
use crate::types::{Loc, TensorType};
use cranelift_entity::PrimaryMap;
use indexmap::IndexMap;
use mlc_codegen::base::{Dim, Slot, Slots};
use mlc_grammar::ast::Span;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// No model has more nodes, counting those of loops that were unrolled.
pub(super) const MOST_NODES: usize = 1 << 19;
/// No check evaluates more expressions.
const MOST_STEPS: u64 = 1 << 23;

/// A loop around the present place that stays rolled.
#[derive(Clone, Debug)]
pub(super) struct Loop {
    /// The counter in the size block.
    pub(super) counter: Slot,
    /// The index of the first iteration.
    pub(super) start: Dim,
    /// How often it runs, where that is known.
    pub(super) trips: Option<i64>,
    /// The word for the index.
    pub(super) name: String,
    /// The `repeat` statement's index.
    pub(super) loc: Loc,
}

/// A call around the present place.
#[derive(Clone, Debug)]
pub(super) struct CallSite {
    /// The function.
    pub(super) name: String,
    /// Its file.
    pub(super) module: usize,
    /// Where it is called.
    pub(super) loc: Loc,
}

/// A name that may never be used.
#[derive(Clone, Debug)]
pub(super) struct Usage {
    /// The name.
    pub(super) name: String,
    /// What it is: `` `x` ``, ``weight `w` ``.
    pub(super) what: &'static str,
    /// Whether anything used it.
    pub(super) used: bool,
}

/// A check in progress.
pub(super) struct Elaborator<'t> {
    pub(super) sources: &'t SourceMap,
    pub(super) files: &'t [Loaded],
    pub(super) options: &'t Options,
    pub(super) modules: Vec<Module<'t>>,
    /// The model was found, and its graph is wanted.
    pub(super) chosen: bool,
    pub(super) graph: Graph,
    pub(super) weights: Weights,
    /// Where nodes go.
    pub(super) block: Block,
    /// Of the present entry.
    pub(super) guards: Vec<GuardNode>,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Calls around the present place, innermost last.
    pub(super) calls: Vec<CallSite>,
    /// Loops around the present place, innermost last.
    pub(super) loops: Vec<Loop>,
    /// A loop, by its place in `loops`, whose body depends on the number of the iteration.
    pub(super) unroll: Option<usize>,
    /// What symbolic dims say of themselves.
    pub(super) slot_origins: HashMap<Slot, Whence>,
    /// Names by where they are bound.
    pub(super) uses: IndexMap<Loc, Usage>,
    /// Functions that were elaborated: file and name.
    pub(super) called: HashSet<(usize, &'t str)>,
    /// The block is not called by anything: its dims are fresh symbols, and what cannot be told stays silent.
    pub(super) standalone: bool,
    /// Regions of states that the present iteration has written.
    pub(super) writes: Vec<super::state::Write>,
    /// What attributes ask of profiles.
    pub(super) overrides: Vec<Override>,
    /// Attributes of the statements around, innermost last.
    pub(super) attributes: Vec<Vec<super::profiles::Directive>>,
    /// Overridden dims that were met.
    pub(super) pinned: HashSet<String>,
    pub(super) steps: u64,
    /// Facts about the chosen model.
    pub(super) notes: Vec<String>,
}

/// A graph without anything in it.
pub(super) fn empty_graph() -> Graph {
    Graph {
        name: String::new(),
        slots: Slots::default(),
        facts: vec![],
        weights: Arc::default(),
        constants: PrimaryMap::new(),
        states: PrimaryMap::new(),
        values: PrimaryMap::new(),
        nodes: PrimaryMap::new(),
        entries: vec![],
    }
}

impl<'t> Elaborator<'t> {
    pub(super) fn new(sources: &'t SourceMap, files: &'t [Loaded], options: &'t Options) -> Self {
        Elaborator {
            sources,
            files,
            options,
            modules: vec![],
            chosen: false,
            graph: empty_graph(),
            weights: Weights::default(),
            block: Block::default(),
            guards: vec![],
            diagnostics: vec![],
            calls: vec![],
            loops: vec![],
            unroll: None,
            slot_origins: HashMap::new(),
            uses: IndexMap::new(),
            called: HashSet::new(),
            standalone: false,
            writes: vec![],
            overrides: vec![],
            attributes: vec![],
            pinned: HashSet::new(),
            steps: 0,
            notes: vec![],
        }
    }

    /// A place of the file that a frame's text is in.
    pub(super) fn loc(&self, frame: &Frame, span: Span) -> Loc {
        self.loc_in(frame.module, span)
    }

    /// A place of a file, by its number among those that are checked.
    pub(super) fn loc_in(&self, module: usize, span: Span) -> Loc {
        Loc::new(self.files[module].file, span.start, span.end)
    }

    /// The text at a place.
    pub(super) fn text(&self, loc: Loc) -> &'t str {
        self.sources.text(loc.file).get(loc.start as usize..loc.end as usize).unwrap_or("")
    }

    /// A dim with the names of the source.
    pub(super) fn show_dim(&self, dim: &Dim) -> String {
        self.graph.slots.show(dim)
    }

    /// A type with the names of the source.
    pub(super) fn show(&self, ty: &TensorType) -> String {
        ty.show(&self.graph.slots)
    }

    /// Reports a mistake.
    pub(super) fn error<T>(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        loc: Loc,
        label: impl Into<String>,
    ) -> Checks<T> {
        self.report(Diagnostic::error(code, message, loc, label))
    }

    /// Reports a mistake that was put together by hand: adds the call and the loop it stands in.
    pub(super) fn report<T>(&mut self, mut diagnostic: Diagnostic) -> Checks<T> {
        if self.unroll.is_some() {
            return Err(Poison);
        }
        if let Some(call) = self.calls.last() {
            let within = diagnostic.labels.first().is_some_and(|l| l.loc.file != call.loc.file || l.loc != call.loc);
            if within && diagnostic.severity == Severity::Error && diagnostic.labels.iter().all(|l| l.loc != call.loc) {
                diagnostic = diagnostic.label(call.loc, format!("in this call of `{}`", call.name));
            }
        }
        if let Some(around) = self.loops.last()
            && let (Some(trips), Some(start)) = (around.trips, around.start.as_constant())
            && trips > 1
        {
            let last = start.saturating_add(trips - 1);
            diagnostic = diagnostic.note(format!("in every iteration ({} = {start}..{last})", around.name));
        }
        self.diagnostics.push(diagnostic);
        Err(Poison)
    }

    /// Reports a word that is not known, with the nearest known one as an exact fix.
    pub(super) fn unknown<T>(
        &mut self,
        code: &'static str,
        message: String,
        loc: Loc,
        near: Option<&str>,
        note: Option<&str>,
    ) -> Checks<T> {
        let mut diagnostic = Diagnostic::error(code, message, loc, "not found");
        if let Some(near) = near {
            diagnostic = rename(diagnostic.help(format!("did you mean `{near}`?")), self.text(loc), near, loc);
        }
        if let Some(note) = note {
            diagnostic = diagnostic.note(note);
        }
        self.report(diagnostic)
    }

    /// Counts work; refuses a model that would take forever.
    pub(super) fn step(&mut self, loc: Loc) -> Checks<()> {
        self.steps += 1;
        if self.steps <= MOST_STEPS && self.graph.nodes.len() <= MOST_NODES {
            return Ok(());
        }
        if self.steps == MOST_STEPS + 1 || !self.diagnostics.iter().any(|d| d.code == "MDL0217") {
            let message =
                format!("the model is too large: more than {MOST_NODES} operations once its blocks are in place");
            let diagnostic = Diagnostic::error("MDL0217", message, loc, "the limit is passed here");
            self.diagnostics.push(diagnostic.help("write repeated layers with `repeat`, which stays rolled"));
        }
        self.steps = self.steps.max(MOST_STEPS + 2);
        Err(Poison)
    }

    /// Adds a value.
    pub(super) fn value(&mut self, ty: TensorType, name: Option<String>, loc: Loc) -> ValueId {
        self.graph.values.push(Value { ty, name, loc })
    }

    /// Adds a node to the present block.
    pub(super) fn push(
        &mut self,
        frame: &Frame,
        kind: NodeKind,
        inputs: Vec<ValueId>,
        outputs: Vec<ValueId>,
        loc: Loc,
    ) {
        let path = frame.path.show();
        let node = self.graph.nodes.push(Node { kind, inputs, outputs, loc, path });
        self.block.nodes.push(node);
    }

    /// Notes that a name is bound, so that it can be told when nothing uses it.
    pub(super) fn introduces(&mut self, name: &str, what: &'static str, loc: Loc) {
        let usage = || Usage { name: name.to_owned(), what, used: false };
        self.uses.entry(loc).or_insert_with(usage);
    }
}

/// Adds the replacement of a word as an exact fix.
pub(super) fn rename(diagnostic: Diagnostic, old: &str, new: &str, loc: Loc) -> Diagnostic {
    let edits = vec![Edit { loc, text: new.into() }];
    diagnostic.fix(format!("{old} → {new}"), edits, Applicability::Exact)
}
