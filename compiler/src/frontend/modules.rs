//! Files: the one that is checked and those it imports, each parsed once.

use super::text::{TextError, read_text};
use crate::diag::{Diagnostic, SourceMap};
use crate::report;
use crate::types::Loc;
use mlc_grammar::Parsed;
use mlc_grammar::ast::{Import, ImportNames, ItemKind, Text};
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

/// How many files may import each other in a chain.
const DEEPEST: usize = 64;

/// A parsed file.
#[derive(Debug)]
pub(super) struct Loaded {
    /// Its number in the source map.
    pub(super) file: u32,
    /// Its folder.
    pub(super) folder: Option<PathBuf>,
    /// Its tree.
    pub(super) parsed: Parsed,
    /// The file of each import, by the byte where its path stands; none where it failed.
    pub(super) imports: HashMap<u32, usize>,
}

/// All files, each after those it imports; the root is the last one.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) files: Vec<Loaded>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// Reads and parses what a file imports, and what that imports.
pub(super) fn load(sources: &mut SourceMap, root: u32, folder: Option<&Path>) -> Files {
    let name = Path::new(sources.name(root)).file_name().map(Path::new).map(Path::to_path_buf);
    let own = folder.zip(name).and_then(|(folder, name)| folder.join(name).canonicalize().ok());
    let mut loader = Loader { sources, root: own, found: HashMap::new(), stack: vec![], out: Files::default() };
    loader.file(root, folder.map(Path::to_path_buf));
    loader.out
}

struct Loader<'s> {
    sources: &'s mut SourceMap,
    /// The file that everything begins with.
    root: Option<PathBuf>,
    /// Files by path; none while a file is being loaded, or when it could not be.
    found: HashMap<PathBuf, Option<usize>>,
    /// The imports around the present file: path, place, name of the importing file and of the imported one.
    stack: Vec<(PathBuf, Loc, String, String)>,
    out: Files,
}

impl Loader<'_> {
    fn file(&mut self, file: u32, folder: Option<PathBuf>) -> usize {
        let parsed = mlc_grammar::parse(self.sources.text(file));
        let own = parsed.errors.iter().map(|error| report::syntax(error, file));
        self.out.diagnostics.extend(own);
        let mut imports = HashMap::new();
        for item in &parsed.file.items {
            if let ItemKind::Import(import) = &item.kind
                && let Some(found) = self.import(file, folder.as_deref(), import, item.span)
            {
                imports.insert(import.from.span.start, found);
            }
        }
        self.out.files.push(Loaded { file, folder, parsed, imports });
        self.out.files.len() - 1
    }

    fn import(
        &mut self,
        file: u32,
        folder: Option<&Path>,
        import: &Import,
        whole: mlc_grammar::ast::Span,
    ) -> Option<usize> {
        let loc = Loc::new(file, import.from.span.start, import.from.span.end);
        let Some(path) = folder.and_then(|folder| inside(folder, &import.from)) else {
            let message = format!("`{}` cannot be imported: name a file beside this one", import.from.value);
            self.report(Diagnostic::error("MDL0003", message, loc, "absolute paths are not read"));
            return None;
        };
        let around = self.stack.iter().position(|(around, ..)| *around == path).map(|at| at + 1);
        if let Some(first) = around.or_else(|| (self.root.as_ref() == Some(&path)).then_some(0)) {
            self.cycle(first, Loc::new(file, whole.start, whole.end), import);
            return None;
        }
        if let Some(known) = self.found.get(&path) {
            return *known;
        }
        self.found.insert(path.clone(), None);
        if self.stack.len() >= DEEPEST {
            let message = format!("imports are nested deeper than {DEEPEST} files");
            self.report(Diagnostic::error("MDL0217", message, loc, "the limit is passed here"));
            return None;
        }
        let text = match read(&path) {
            Ok(text) => text,
            Err(why) => {
                let message = format!("cannot import `{}`: {why}", import.from.value);
                self.report(Diagnostic::error(why.code(), message, loc, "imported here"));
                return None;
            }
        };
        let own = self.sources.name(file).to_owned();
        let other = Path::new(&own).with_file_name(&*import.from.value).display().to_string();
        let number = self.sources.add(other.clone(), text);
        self.stack.push((path.clone(), Loc::new(file, whole.start, whole.end), own, other));
        let index = self.file(number, path.parent().map(Path::to_path_buf));
        self.stack.pop();
        self.found.insert(path, Some(index));
        Some(index)
    }

    /// The files of a cycle import each other by the imports from `first` on; `loc` closes it.
    fn cycle(&mut self, first: usize, loc: Loc, import: &Import) {
        let closing = self.sources.name(loc.file).to_owned();
        let label = |from: &str, to: &str| format!("{} imports {}", base(from), base(to));
        let mut diagnostic = Diagnostic::error("MDL0203", "import cycle", loc, label(&closing, &import.from.value));
        for (_, place, from, to) in &self.stack[first..] {
            if *place != loc {
                diagnostic = diagnostic.label(*place, label(from, to));
            }
        }
        self.report(diagnostic.help("move what they share into a further file"));
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.out.diagnostics.push(diagnostic);
    }
}

fn base(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The path of an import, free of `..` where they cancel, so that one file has one name.
fn inside(folder: &Path, from: &Text) -> Option<PathBuf> {
    let path = Path::new(&*from.value);
    if path.is_absolute() || path.as_os_str().is_empty() {
        return None;
    }
    let joined = folder.join(path);
    if let Ok(real) = joined.canonicalize() {
        return Some(real);
    }
    let mut clean = PathBuf::new();
    for part in joined.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if clean.file_name().is_some() => drop(clean.pop()),
            other => clean.push(other),
        }
    }
    Some(clean)
}

fn read(path: &Path) -> Result<String, TextError> {
    let file = std::fs::File::open(path)?;
    match file.metadata()?.is_file() {
        true => read_text(file),
        false => Err(TextError::Unread("it is not a regular file".into())),
    }
}

/// The words that an import brings into scope.
pub(super) fn imported(names: &ImportNames) -> &[mlc_grammar::ast::Ident] {
    match names {
        ImportNames::File(name) => std::slice::from_ref(name),
        ImportNames::Items(names) => names,
    }
}
