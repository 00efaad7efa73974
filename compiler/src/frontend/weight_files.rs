//! Opening weight files by their headers, where `weights from` says they are.

use super::elaborate::Elaborator;
use super::scope::Frame;
use crate::diag::Diagnostic;
use crate::types::Loc;
use mlc_grammar::ast::Text;
use mlc_runtime::weights::{Fault, LoadError, WeightFile};
use std::path::{Component, Path, PathBuf};

/// A `weights` statement of the model.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    /// The path's string.
    pub(super) from: Loc,
    /// The prefix's string.
    pub(super) at: Option<Loc>,
    /// The file in the set, when it was opened.
    pub(super) file: Option<usize>,
}

impl Elaborator<'_> {
    /// `weights from "file" at "prefix"`.
    pub(super) fn open_weights(&mut self, frame: &Frame, from: &Text, at: Option<&Text>) {
        let loc = self.loc(frame, from.span);
        let statement = Statement { from: loc, at: at.map(|text| self.loc(frame, text.span)), file: None };
        self.weights.statements.push(statement);
        let prefix = at.map_or("", |text| &text.value);
        if self.options.random_weights.is_some() {
            return;
        }
        if let Some(given) = &self.options.given {
            if self.weights.set.files().len() == 0 {
                self.weights.set.add(WeightFile::from_tensors(&from.value, given.iter().cloned()), prefix);
                self.weights.statements.last_mut().expect("pushed above").file = Some(0);
            }
            return;
        }
        let path = match &self.options.weights {
            Some(_) if self.weights.set.files().len() > 0 => return,
            Some(path) => path.clone(),
            None => match self.beside(frame, from) {
                Some(path) => path,
                None => {
                    self.weights.unread = true;
                    let message = format!("the weights path `{}` leaves the model's folder", from.value);
                    let help = "keep weights beside the model, or name the file on the command line: --weights PATH";
                    self.diagnostics.push(Diagnostic::error("MDL0405", message, loc, "not opened").help(help));
                    return;
                }
            },
        };
        match WeightFile::open_with(&path, self.options.open) {
            Ok(file) => {
                self.weights.set.add(file, prefix);
                let last = self.weights.set.files().len() - 1;
                self.weights.statements.last_mut().expect("pushed above").file = Some(last);
            }
            Err(error) => self.unopened(error, loc),
        }
    }

    fn beside(&self, frame: &Frame, from: &Text) -> Option<PathBuf> {
        let path = Path::new(&*from.value);
        let inside = path.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        let folder = self.files[frame.module].folder.as_ref()?;
        (inside && path.components().next().is_some()).then(|| folder.join(path))
    }

    fn unopened(&mut self, error: LoadError, loc: Loc) {
        self.weights.unread = true;
        let absent = matches!(&error.fault, Fault::Io(why) if why.kind() == std::io::ErrorKind::NotFound);
        let (code, message) = (error.code(), error.message());
        self.diagnostics.push(match (error.fault.help(), absent && self.options.without_weights) {
            (Some(help), _) => Diagnostic::error(code, message, loc, "read from here").help(help),
            (None, true) => Diagnostic::warning(code, message, loc, "weights were not checked"),
            (None, false) => Diagnostic::error(code, message, loc, "needed to build")
                .help("name another file with --weights PATH, or try the model with --weights random:1"),
        });
    }

    /// A weight file of the command line where the model names none.
    pub(super) fn open_given_weights(&mut self, loc: Loc) {
        let Some(path) = &self.options.weights else { return };
        if self.weights.set.files().len() > 0 || self.weights.unread {
            return;
        }
        match WeightFile::open_with(path, self.options.open) {
            Ok(file) => self.weights.set.add(file, ""),
            Err(error) => self.unopened(error, loc),
        }
    }
}
