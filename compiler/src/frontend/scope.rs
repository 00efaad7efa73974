//! Names: what files declare, and what is in scope inside a body.

use super::keys::KeyPath;
use super::term::{Checks, Term};
use crate::types::Loc;
use mlc_codegen::base::Dim;
use mlc_grammar::ast::{Func, Model};
use std::collections::HashMap;
use std::rc::Rc;

/// A `fn` or a `block`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function<'t> {
    /// What is written.
    pub(super) func: &'t Func,
    /// Whether it is a `fn`, which owns no weights.
    pub(super) pure: bool,
    /// The file it is in.
    pub(super) module: usize,
}

/// What a name at the top level of a file stands for.
#[derive(Clone, Debug)]
pub(super) enum Entity<'t> {
    /// A function or a block.
    Function(Function<'t>),
    /// A `const` or a `dim`.
    Value(Checks<Term>),
    /// Another file.
    File(usize),
    /// A model.
    Model(&'t Model),
    /// A profile.
    Profile,
    /// It did not parse, or could not be imported.
    Lost,
}

/// The top level of a file.
#[derive(Debug, Default)]
pub(super) struct Module<'t> {
    /// Its number in the source map.
    pub(super) file: u32,
    /// By name.
    pub(super) names: HashMap<&'t str, (Entity<'t>, Loc)>,
    /// Some item did not parse: an unknown name may be one of it.
    pub(super) lost: bool,
}

/// What a name is bound to inside a body.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    /// What it stands for.
    pub(super) term: Checks<Term>,
    /// Where it was bound.
    pub(super) loc: Loc,
}

/// One call of a block, a function or an entry: its names, and the path of its weights.
#[derive(Clone, Debug, Default)]
pub(super) struct Frame {
    /// The file that its text is in.
    pub(super) module: usize,
    /// Innermost last.
    pub(super) scopes: Vec<HashMap<Rc<str>, Binding>>,
    /// The dim lists of packs.
    pub(super) packs: HashMap<Rc<str>, (Vec<Dim>, Vec<super::origin::Whence>)>,
    /// The `at`s of the call chain.
    pub(super) path: KeyPath,
    /// A function owns no weights.
    pub(super) pure: bool,
}

impl Frame {
    /// A frame with one empty scope.
    pub(super) fn new(module: usize) -> Frame {
        Frame { module, scopes: vec![HashMap::new()], ..Frame::default() }
    }

    /// The binding of a name, innermost first.
    pub(super) fn get(&self, name: &str) -> Option<&Binding> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name))
    }

    /// Binds a name in the innermost scope.
    pub(super) fn bind(&mut self, name: &str, term: Checks<Term>, loc: Loc) {
        let scope = self.scopes.last_mut().expect("a frame has a scope");
        scope.insert(name.into(), Binding { term, loc });
    }

    /// Every name in scope, for suggestions.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().flat_map(|scope| scope.keys().map(|name| &**name))
    }
}
