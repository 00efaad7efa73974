//! The top level: what files declare, which model is built, its members in order.

use super::declare::Place;
use super::elaborate::Elaborator;
use super::modules::imported;
use super::profiles::Profile;
use super::scope::{Entity, Frame, Function, Module};
use super::term::{Checks, Poison, Static, Term};
use super::words;
use crate::diag::{Diagnostic, Severity};
use crate::graph::Graph;
use crate::types::Loc;
use mlc_grammar::ast::{Ident, Import, ImportNames, Item, ItemKind, MemberKind, Model, Span, StaticParam};
use std::collections::HashMap;
use std::sync::Arc;

impl<'t> Elaborator<'t> {
    /// Declares all files, elaborates the models, checks what nothing calls, and profiles; `unparsed` when there were
    /// syntax errors, so that lints would say what may not be true.
    pub(super) fn run(&mut self, unparsed: bool) -> Vec<Profile> {
        for index in 0..self.files.len() {
            self.declare_file(index);
        }
        let root = self.files.len() - 1;
        let base = self.graph.clone();
        let models = self.models(root);
        let chosen = self.choose_model(root, &models);
        let mut built: Option<Graph> = None;
        let mut keys = vec![];
        for model in models {
            self.graph = base.clone();
            self.weights = Default::default();
            self.model(root, model);
            let paths: Vec<String> = self.graph.nodes.values().map(|node| node.path.clone()).collect();
            keys.extend(self.weights.used.iter().cloned().chain(paths));
            if chosen.is_some_and(|own| std::ptr::eq(own, model)) {
                self.notes = self.weights.notes();
                self.graph.weights = Arc::new(std::mem::take(&mut self.weights.set));
                built = Some(std::mem::replace(&mut self.graph, base.clone()));
            }
        }
        self.graph = base;
        self.uncalled();
        self.chosen = built.is_some();
        self.graph = built.unwrap_or_else(super::elaborate::empty_graph);
        self.unknown_pins(root);
        keys.sort();
        keys.dedup();
        let sound = !unparsed && !self.diagnostics.iter().any(|d| d.severity == Severity::Error);
        let profiles = self.profiles(root, (sound && self.chosen).then_some(keys.as_slice()));
        if sound {
            self.lint_names();
        }
        profiles
    }

    fn declare_file(&mut self, index: usize) {
        let loaded = &self.files[index];
        self.modules.push(Module { file: loaded.file, ..Module::default() });
        let items = &self.files[index].parsed.file.items;
        for item in items {
            self.declare(index, item);
        }
        let mut frame = Frame::new(index);
        for item in items {
            self.evaluate(index, &mut frame, item);
        }
    }

    /// Functions, models and imports first: they may be used before they stand.
    fn declare(&mut self, index: usize, item: &'t Item) {
        match &item.kind {
            ItemKind::Import(import) => self.import(index, import),
            ItemKind::Fn(func) => {
                let function = Function { func, pure: true, module: index };
                self.declare_item(index, &func.name, Entity::Function(function));
                self.lint_introduced(index, func);
            }
            ItemKind::Block(func) => {
                let function = Function { func, pure: false, module: index };
                self.declare_item(index, &func.name, Entity::Function(function));
                self.lint_introduced(index, func);
            }
            ItemKind::Model(model) => self.declare_item(index, &model.name, Entity::Model(model)),
            ItemKind::Profile(profile) => self.declare_item(index, &profile.name, Entity::Profile),
            ItemKind::Const(constant) => self.declare_item(index, &constant.name, Entity::Lost),
            ItemKind::Dim(dim) => self.declare_item(index, &dim.name, Entity::Lost),
            ItemKind::Error(names) => {
                self.modules[index].lost = true;
                for name in names {
                    let loc = self.loc_in(index, name.span);
                    self.modules[index].names.entry(&name.name).or_insert((Entity::Lost, loc));
                }
            }
        }
    }

    fn declare_item(&mut self, index: usize, name: &'t Ident, entity: Entity<'t>) {
        let loc = self.loc_in(index, name.span);
        if matches!(&*name.name, "none" | "size" | "int") || name.name.parse::<mlc_codegen::base::DType>().is_ok() {
            let message = format!("`{}` is a word of the language", name.name);
            let _: Checks<()> = self.error("MDL0219", message, loc, "reserved: choose another name");
            self.modules[index].names.entry(&name.name).or_insert((Entity::Lost, loc));
            return;
        }
        if let Some((_, first)) = self.modules[index].names.get(&*name.name) {
            let first = *first;
            let message = format!("`{}` is defined twice", name.name);
            let diagnostic = Diagnostic::error("MDL0202", message, loc, "redefined here")
                .label(first, "first defined here")
                .help("rename one, or import the other file with a name: import nn from \"nn.mdl\"");
            let _: Checks<()> = self.report(diagnostic);
            return;
        }
        self.modules[index].names.insert(&name.name, (entity, loc));
    }

    fn import(&mut self, index: usize, import: &'t Import) {
        let found = self.files[index].imports.get(&import.from.span.start).copied();
        for name in imported(&import.names) {
            let entity = match (found, &import.names) {
                (None, _) => Entity::Lost,
                (Some(file), ImportNames::File(_)) => Entity::File(file),
                (Some(file), ImportNames::Items(_)) => match self.modules[file].names.get(&*name.name) {
                    Some((entity, _)) => entity.clone(),
                    None if self.modules[file].lost => Entity::Lost,
                    None => {
                        let loc = self.loc_in(index, name.span);
                        let _: Checks<()> = self.not_in_file(file, &name.name, loc);
                        Entity::Lost
                    }
                },
            };
            self.declare_item(index, name, entity);
        }
    }

    fn evaluate(&mut self, index: usize, frame: &mut Frame, item: &'t Item) {
        let place = if index + 1 == self.files.len() { Place::Model } else { Place::File };
        let (name, term) = match &item.kind {
            ItemKind::Const(constant) => (&constant.name, self.const_declaration(frame, constant)),
            ItemKind::Dim(dim) => (&dim.name, self.dim_declaration(frame, dim, item.span, place)),
            _ => return,
        };
        let loc = self.loc(frame, name.span);
        if let Some((entity, own)) = self.modules[index].names.get_mut(&*name.name)
            && *own == loc
        {
            *entity = Entity::Value(term);
        }
    }

    fn models(&self, root: usize) -> Vec<&'t Model> {
        let items = self.files[root].parsed.file.items.iter();
        let models = items.filter_map(|item| match &item.kind {
            ItemKind::Model(model) => Some(model),
            _ => None,
        });
        models.collect()
    }

    fn choose_model(&mut self, root: usize, models: &[&'t Model]) -> Option<&'t Model> {
        let top = self.loc_in(root, Span::default());
        let names = || words::listed(models.iter().map(|model| &model.name.name));
        match (&self.options.model, models) {
            (None, []) => None,
            (None, [one]) => Some(one),
            (None, [first, ..]) => {
                if !self.options.without_weights {
                    let message = format!("this file has several models: {}", names());
                    let diagnostic =
                        Diagnostic::error("MDL0209", message, self.loc_in(root, first.name.span), "the first of them");
                    let _: Checks<()> = self.report(diagnostic.help("choose one with --model NAME"));
                }
                None
            }
            (Some(wanted), models) => {
                let found = models.iter().copied().find(|model| *model.name.name == **wanted);
                if found.is_none() {
                    let place = models.first().map_or(top, |model| self.loc_in(root, model.name.span));
                    let diagnostic =
                        Diagnostic::error("MDL0209", format!("there is no model `{wanted}` in this file"), place, "");
                    let _: Checks<()> = self.report(match models.is_empty() {
                        true => diagnostic.note("the file has no model"),
                        false => diagnostic.note(format!("it has {}", names())),
                    });
                }
                found
            }
        }
    }

    fn model(&mut self, root: usize, model: &'t Model) {
        self.graph.name = model.name.name.to_string();
        let mut frame = Frame::new(root);
        for param in &model.statics {
            self.model_static(&mut frame, param);
        }
        let mut named: HashMap<&str, Loc> = HashMap::new();
        for member in &model.members {
            let name = match &member.kind {
                MemberKind::Const(constant) => Some(&constant.name),
                MemberKind::Dim(dim) => Some(&dim.name),
                MemberKind::State { name, .. } => Some(name),
                _ => None,
            };
            if let Some(name) = name {
                let loc = self.loc(&frame, name.span);
                if let Some(first) = named.insert(&name.name, loc) {
                    let message = format!("`{}` is defined twice", name.name);
                    let diagnostic = Diagnostic::error("MDL0202", message, loc, "redefined here");
                    let _: Checks<()> = self.report(diagnostic.label(first, "first defined here").help("rename one"));
                }
            }
            match &member.kind {
                MemberKind::Const(constant) => {
                    let (term, loc) = (self.const_declaration(&frame, constant), self.loc(&frame, constant.name.span));
                    frame.bind(&constant.name.name, term, loc);
                }
                MemberKind::Dim(dim) => {
                    let term = self.dim_declaration(&frame, dim, member.span, Place::Model);
                    let loc = self.loc(&frame, dim.name.span);
                    self.lint_unbounded(dim, loc);
                    frame.bind(&dim.name.name, term, loc);
                }
                MemberKind::Weights { from, at } => self.open_weights(&frame, from, at.as_ref()),
                MemberKind::State { name, ty } => self.declare_state(&mut frame, name, ty),
                MemberKind::Error(names) => self.lose(&mut frame, names),
                MemberKind::Entry(_) => {}
            }
        }
        let loc = self.loc(&frame, model.name.span);
        self.open_given_weights(loc);
        self.entries(&frame, model);
        self.missing_weights(loc);
        self.one_storage_each();
    }

    fn entries(&mut self, frame: &Frame, model: &'t Model) {
        let mut named: HashMap<&str, Loc> = HashMap::new();
        for member in &model.members {
            let MemberKind::Entry(func) = &member.kind else { continue };
            let loc = self.loc(frame, func.name.span);
            if let Some(first) = named.insert(&func.name.name, loc) {
                let diagnostic = Diagnostic::error(
                    "MDL0202",
                    format!("`{}` is defined twice", func.name.name),
                    loc,
                    "redefined here",
                );
                let _: Checks<()> = self.report(diagnostic.label(first, "first defined here").help("rename one"));
            }
            self.entry(frame, func, member);
        }
    }

    /// A static parameter of a model: its default, or what `-D` says.
    fn model_static(&mut self, frame: &mut Frame, param: &'t StaticParam) {
        let loc = self.loc(frame, param.name.span);
        let name = &*param.name.name;
        let pinned = self.options.dims.iter().rev().find(|(own, _)| own == name).map(|(_, value)| *value);
        let term = match (pinned, &param.default) {
            (Some(value), _) => {
                self.pinned.insert(name.to_owned());
                let from = super::origin::Origin::new(loc, format!("`{value}` comes from -D {name}={value}"));
                Ok(Term::Static(Static::Dim(value.into(), from)))
            }
            (None, Some(default)) => match self.expr(frame, default) {
                Ok(Term::Static(value)) => Ok(Term::Static(value)),
                Ok(other) => {
                    let at = self.loc(frame, default.span);
                    let message = format!("`{name}` must be known at compile time");
                    self.error("MDL0205", message, at, format!("this is {}", other.kind()))
                }
                Err(poison) => Err(poison),
            },
            (None, None) => {
                let message = format!("`{name}` of the model has no value");
                let diagnostic = Diagnostic::error("MDL0208", message, loc, "declared without a default");
                self.report::<Term>(diagnostic.help(format!("give it one here, or with -D {name}=…")))
            }
        };
        frame.bind(name, term.map_err(|_| Poison), loc);
    }

    /// `-D` of a name that the file does not have.
    fn unknown_pins(&mut self, root: usize) {
        for (name, value) in self.options.dims.clone() {
            if !self.pinned.contains(&name) {
                let message = format!("-D {name}={value}: the file has no dim `{name}`");
                let _: Checks<()> = self.error("MDL0207", message, self.loc_in(root, Span::default()), "checked here");
            }
        }
    }
}
