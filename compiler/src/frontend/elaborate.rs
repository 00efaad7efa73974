//! The state of a check, and its outermost steps.

use super::statics::Static;
use super::weights::WeightKeys;
use crate::diag::{Diagnostic, Severity, SourceMap};
use crate::graph::{Block, Graph, GuardNode, ValueId};
use crate::report;
use crate::types::Loc;
use cranelift_entity::PrimaryMap;
use mlc_codegen::base::{Dim, Slots};
use mlc_grammar::ast::{self, Ident, Item, ItemKind, MemberKind, Span};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What a check is asked to do.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The folder that weight paths are relative to; `None` for text that has none.
    pub folder: Option<PathBuf>,
    /// A weight file that stands for those of the model.
    pub weights: Option<PathBuf>,
    /// A model of several in the file.
    pub model: Option<String>,
    /// Whether a weight file may be missing.
    pub without_weights: bool,
}

/// The outcome of a check.
#[derive(Debug)]
pub struct Checked {
    /// The typed graph, when there is no error.
    pub graph: Option<Graph>,
    /// Mistakes and warnings in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// A mistake was reported; whoever depends on it stays silent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Poison;

/// The result of a step that reports its own mistakes.
pub(super) type Checks<T> = Result<T, Poison>;

/// What a name stands for inside a body.
#[derive(Clone, Debug)]
pub(super) enum Term {
    /// A tensor.
    Value(ValueId),
    /// Known at compile time.
    Static(Static),
    /// Several values.
    Tuple(Vec<Term>),
}

/// One call of a block, a function or an entry: its names and the path of its weights.
#[derive(Clone, Debug, Default)]
pub(super) struct Frame {
    pub(super) names: HashMap<String, Result<Term, Poison>>,
    pub(super) packs: HashMap<String, Vec<Dim>>,
    pub(super) path: Vec<String>,
    /// A function owns no weights.
    pub(super) pure: bool,
}

/// A check in progress.
pub(super) struct Elaborator<'t> {
    pub(super) file: u32,
    pub(super) options: &'t Options,
    pub(super) functions: HashMap<&'t str, (&'t ast::Func, bool)>,
    pub(super) globals: Frame,
    pub(super) graph: Graph,
    pub(super) keys: WeightKeys,
    pub(super) block: Block,
    pub(super) guards: Vec<GuardNode>,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Calls around the present one, innermost last, to find recursion.
    pub(super) running: Vec<&'t str>,
}

/// Checks a file that is in the source map.
pub fn check(sources: &SourceMap, file: u32, options: &Options) -> Checked {
    let parsed = mlc_grammar::parse(sources.text(file));
    let mut diagnostics: Vec<Diagnostic> = parsed.errors.iter().map(|error| report::syntax(error, file)).collect();
    let mut elaborator = Elaborator::new(file, options);
    elaborator.keys = WeightKeys::new(diagnostics.is_empty());
    elaborator.file(&parsed.file);
    diagnostics.append(&mut elaborator.diagnostics);
    let first = |d: &Diagnostic| d.labels.first().map(|label| label.loc);
    diagnostics.sort_by_key(first);
    diagnostics.dedup_by(|a, b| a.code == b.code && first(a) == first(b));
    let failed = diagnostics.iter().any(|d| d.severity == Severity::Error);
    Checked { graph: (!failed).then_some(elaborator.graph), diagnostics }
}

impl<'t> Elaborator<'t> {
    fn new(file: u32, options: &'t Options) -> Self {
        let graph = Graph {
            name: String::new(),
            slots: Slots::default(),
            facts: vec![],
            weights: Arc::default(),
            constants: PrimaryMap::new(),
            states: PrimaryMap::new(),
            values: PrimaryMap::new(),
            nodes: PrimaryMap::new(),
            entries: vec![],
        };
        Elaborator {
            file,
            options,
            functions: HashMap::new(),
            globals: Frame::default(),
            graph,
            keys: WeightKeys::default(),
            block: Block::default(),
            guards: vec![],
            diagnostics: vec![],
            running: vec![],
        }
    }

    pub(super) fn loc(&self, span: Span) -> Loc {
        Loc::new(self.file, span.start, span.end)
    }

    /// Reports a mistake.
    pub(super) fn error<T>(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        span: Span,
        label: impl Into<String>,
    ) -> Checks<T> {
        self.report(Diagnostic::error(code, message, self.loc(span), label))
    }

    pub(super) fn report<T>(&mut self, diagnostic: Diagnostic) -> Checks<T> {
        self.diagnostics.push(diagnostic);
        Err(Poison)
    }

    /// Refuses what the language has and this version does not compile.
    pub(super) fn unsupported<T>(&mut self, what: &str, span: Span) -> Checks<T> {
        self.error("MDL0601", format!("this version of mlc does not compile {what}"), span, "found here")
    }

    fn file(&mut self, file: &'t ast::File) {
        for item in &file.items {
            self.declare(item);
        }
        let models: Vec<&ast::Model> = file
            .items
            .iter()
            .filter_map(|item| match &item.kind {
                ItemKind::Model(model) => Some(model),
                _ => None,
            })
            .collect();
        let wanted = self.options.model.as_deref();
        let chosen = match wanted {
            Some(name) => models.iter().copied().find(|model| &*model.name.name == name),
            None => models.first().copied(),
        };
        match (chosen, models.len(), wanted) {
            (Some(second), 2.., None) => {
                let names: Vec<String> = models.iter().map(|m| format!("`{}`", m.name.name)).collect();
                let message = format!("the file has several models: {}", names.join(", "));
                let diagnostic = Diagnostic::error("MDL0209", message, self.loc(second.name.span), "the first of them");
                let _: Checks<()> = self.report(diagnostic.help("choose one with --model NAME"));
            }
            (Some(model), ..) => self.model(model),
            (None, _, Some(name)) => {
                let span = models.first().map_or(Span::default(), |m| m.name.span);
                let _: Checks<()> = self.error("MDL0209", format!("there is no model `{name}`"), span, "");
            }
            (None, ..) => {}
        }
    }

    fn declare(&mut self, item: &'t Item) {
        match &item.kind {
            ItemKind::Fn(function) => self.declare_function(function, true),
            ItemKind::Block(function) => self.declare_function(function, false),
            ItemKind::Const(constant) => {
                let mut frame = self.globals.clone();
                let value = self.expr(&mut frame, &constant.value);
                self.globals.names.insert(constant.name.name.to_string(), value);
            }
            ItemKind::Dim(dim) => {
                let mut frame = std::mem::take(&mut self.globals);
                self.declare_dim(&mut frame, dim);
                self.globals = frame;
            }
            ItemKind::Import(import) => drop(self.unsupported::<()>("imports", import.from.span)),
            ItemKind::Model(_) | ItemKind::Profile(_) | ItemKind::Error(_) => {}
        }
    }

    fn declare_function(&mut self, function: &'t ast::Func, pure: bool) {
        let name: &Ident = &function.name;
        if let Some((first, _)) = self.functions.get(&*name.name) {
            let message = format!("`{}` is defined twice", name.name);
            let diagnostic = Diagnostic::error("MDL0202", message, self.loc(name.span), "redefined here")
                .label(self.loc(first.name.span), "first defined here")
                .help("rename one");
            self.diagnostics.push(diagnostic);
            return;
        }
        self.functions.insert(&name.name, (function, pure));
    }

    fn model(&mut self, model: &'t ast::Model) {
        self.graph.name = model.name.name.to_string();
        let mut frame = self.globals.clone();
        for member in &model.members {
            match &member.kind {
                MemberKind::Const(constant) => {
                    let value = self.expr(&mut frame, &constant.value);
                    frame.names.insert(constant.name.name.to_string(), value);
                }
                MemberKind::Dim(dim) => self.declare_dim(&mut frame, dim),
                MemberKind::Weights { from, at } => self.open_weights(from, at.as_ref()),
                MemberKind::State { name, .. } => drop(self.unsupported::<()>("`state`", name.span)),
                MemberKind::Entry(_) | MemberKind::Error(_) => {}
            }
        }
        for member in &model.members {
            if let MemberKind::Entry(entry) = &member.kind {
                let docs: Vec<&str> = member.docs.iter().map(|line| line.value.trim()).collect();
                self.entry(&frame, entry, docs.join("\n"));
            }
        }
        self.graph.weights = Arc::new(std::mem::take(&mut self.keys.set));
    }
}
