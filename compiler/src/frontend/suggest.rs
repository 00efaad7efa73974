//! Weights that are not where the model looks: what is missing, why, and what would bind it.

use super::elaborate::Elaborator;
use super::term::Checks;
use super::typing::Typed;
use super::words;
use crate::diag::{Applicability, Diagnostic, Edit};
use crate::types::{Loc, TensorType};
use indexmap::IndexMap;
use std::collections::{HashMap, HashSet};

/// A key that no file has.
#[derive(Clone, Debug)]
pub(super) struct Missing {
    pub(super) key: String,
    pub(super) ty: TensorType,
    /// The `from` string.
    pub(super) loc: Loc,
    /// The `at`s before it, outermost first, and the leaf: places and what they add.
    pub(super) sites: Vec<(Loc, String)>,
}

/// A prefix under which missing keys would be found.
struct Prefix {
    prefix: String,
    found: HashSet<String>,
    example: (String, String),
}

impl Elaborator<'_> {
    /// Reports the missing weights of a model, each reason once, and what is left over in its files.
    pub(super) fn missing_weights(&mut self, model: Loc) {
        let missing = std::mem::take(&mut self.weights.missing);
        if missing.is_empty() {
            return self.unused_weights();
        }
        if self.weights.statements.is_empty() && self.weights.set.files().len() == 0 {
            let count = words::count(missing.len(), "weight", "weights");
            let message = format!("the model has {count} and names no file");
            let label = format!("looked for `{}`", missing[0].key);
            let diagnostic = Diagnostic::error("MDL0401", message, missing[0].loc, label).label(model, "the model");
            let diagnostic = diagnostic.help("name a file in the model: weights from \"FILE\"");
            let _: Checks<()> = self.report(diagnostic.help("or on the command line: --weights FILE"));
            return;
        }
        let shapes = self.shapes();
        let prefix = self.common_prefix(&missing, &shapes);
        let mut rest = missing;
        if let Some(prefix) = prefix {
            let (bound, open): (Vec<_>, Vec<_>) = rest.into_iter().partition(|m| prefix.found.contains(&m.key));
            self.prefixed(&bound, &prefix);
            rest = open;
        }
        let mut reasons: IndexMap<Vec<Loc>, Vec<Missing>> = IndexMap::new();
        for missing in rest {
            let chain = missing.sites.iter().map(|(loc, _)| *loc).collect();
            reasons.entry(chain).or_default().push(missing);
        }
        let mut unexplained: Vec<Missing> = vec![];
        for group in reasons.into_values() {
            match self.near(&group[0], &shapes) {
                Some(near) => self.absent(&group, Some(near)),
                None => unexplained.extend(group),
            }
        }
        if !unexplained.is_empty() {
            self.absent(&unexplained, None);
        }
    }

    /// The shapes in all files by whole name, in order.
    fn shapes(&self) -> IndexMap<String, Vec<i64>> {
        let files = self.weights.set.files().flat_map(|(file, _)| file.entries());
        files.map(|(name, entry)| (name.to_owned(), entry.shape.iter().map(|d| *d as i64).collect())).collect()
    }

    fn common_prefix(&self, missing: &[Missing], shapes: &IndexMap<String, Vec<i64>>) -> Option<Prefix> {
        let first = missing.iter().find(|m| shapes.keys().any(|name| name.ends_with(&format!(".{}", m.key))))?;
        let tail = format!(".{}", first.key);
        let candidates = shapes.keys().filter_map(|name| name.strip_suffix(&tail));
        let try_prefix = |prefix: &str| {
            let there = |m: &&Missing| {
                shapes.get(&format!("{prefix}.{}", m.key)).is_some_and(|dims| Some(dims) == m.ty.shape().as_ref())
            };
            let found: HashSet<String> = missing.iter().filter(there).map(|m| m.key.clone()).collect();
            let example = (format!("{prefix}.{}", first.key), first.key.clone());
            Prefix { prefix: prefix.to_owned(), found, example }
        };
        let best = candidates.take(64).map(try_prefix).max_by_key(|prefix| prefix.found.len())?;
        (!best.found.is_empty()).then_some(best)
    }

    /// One mistake for all keys that a prefix binds.
    fn prefixed(&mut self, bound: &[Missing], prefix: &Prefix) {
        let Some(first) = bound.iter().find(|m| m.key == prefix.example.1).or(bound.first()) else { return };
        let (name, wanted) = (format!("{}.{}", prefix.prefix, first.key), self.show(&first.ty));
        let statement = self.weights.statements.iter().find(|s| s.file.is_some()).cloned();
        let mut diagnostic = self.not_there(first);
        let help = format!("`{name}` {wanted} has the right name and shape under the prefix `{}`:", prefix.prefix);
        if let Some(statement) = statement {
            let text = match statement.at {
                Some(_) => format!("\"{}\"", prefix.prefix),
                None => format!(" at \"{}\"", prefix.prefix),
            };
            let after = Loc::new(statement.from.file, statement.from.end, statement.from.end);
            let edit = Edit { loc: statement.at.unwrap_or(after), text };
            let written = format!("weights from {} at \"{}\"", self.text(statement.from), prefix.prefix);
            diagnostic =
                diagnostic.help(format!("{help}\n  {written}")).fix("add the prefix", vec![edit], Applicability::Maybe);
        } else {
            diagnostic = diagnostic.help(help);
        }
        let count = words::count(bound.len(), "weight", "weights");
        let _: Checks<()> = self.report(diagnostic.note(format!("this one change binds {count} that are missing")));
    }

    fn not_there(&self, missing: &Missing) -> Diagnostic {
        let files: Vec<String> = self
            .weights
            .set
            .files()
            .map(|(file, _)| file.path().file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned()))
            .collect();
        let message = format!("no tensor named `{}` in {}", missing.key, words::listed(&files));
        let label = format!("looked for `{}`", missing.key);
        let mut diagnostic = Diagnostic::error("MDL0401", message, missing.loc, label);
        for statement in self.weights.statements.iter().filter(|s| s.file.is_some()).take(2) {
            let count =
                statement.file.and_then(|i| self.weights.set.files().nth(i)).map_or(0, |(f, _)| f.entries().len());
            diagnostic =
                diagnostic.label(statement.from, format!("{} in this file", words::count(count, "tensor", "tensors")));
        }
        for (loc, text) in missing.sites.iter().rev().skip(1).take(3) {
            diagnostic = diagnostic.label(*loc, format!("`{text}` prefix added here"));
        }
        diagnostic
    }

    /// What a missing key may have been meant to be, and the string that would say so.
    fn near(&self, missing: &Missing, shapes: &IndexMap<String, Vec<i64>>) -> Option<(String, Option<Edit>)> {
        let wanted = missing.ty.shape();
        let same: Vec<&str> =
            shapes.iter().filter(|(_, dims)| Some(*dims) == wanted.as_ref()).map(|(name, _)| name.as_str()).collect();
        let shown = self.show(&missing.ty);
        if let Some(near) =
            words::nearest(&missing.key, same.iter().copied()).or_else(|| same_parts(&missing.key, &same))
        {
            let edit = self.respelt(missing, near);
            return Some((format!("did you mean `{near}`? It has the same shape, {shown}"), edit));
        }
        if let Some(any) = words::nearest(&missing.key, shapes.keys().map(String::as_str)) {
            return Some((format!("did you mean `{any}`? Its shape is {:?}", shapes.get(any)?), None));
        }
        let unused: Vec<&str> = same.iter().copied().filter(|name| !self.weights.used.contains(*name)).collect();
        let help = match (unused.as_slice(), same.as_slice()) {
            ([one], _) => Some(format!("`{one}` has the same shape, {shown}, and nothing reads it")),
            (_, [one]) if wanted.is_some_and(|dims| dims.len() > 1) => Some(format!(
                "`{one}` has the same shape: where weights are tied, both names read one tensor:\n  from \"/{one}\""
            )),
            _ => None,
        };
        help.map(|help| (help, None))
    }

    /// The `at` or `from` whose one part, spelt otherwise, gives another key.
    fn respelt(&self, missing: &Missing, near: &str) -> Option<Edit> {
        let (own, other): (Vec<&str>, Vec<&str>) = (missing.key.split('.').collect(), near.split('.').collect());
        let mut differing = own.iter().zip(&other).filter(|(a, b)| a != b);
        let (Some((wrong, right)), None, true) = (differing.next(), differing.next(), own.len() == other.len()) else {
            return None;
        };
        let holds = |text: &str| text.trim_matches('"').split('.').filter(|part| part == wrong).count() == 1;
        let (loc, _) = missing.sites.iter().find(|(loc, _)| holds(self.text(*loc)))?;
        let parts: Vec<String> = self
            .text(*loc)
            .trim_matches('"')
            .split('.')
            .map(|part| if part == *wrong { (*right).to_owned() } else { part.to_owned() })
            .collect();
        Some(Edit { loc: *loc, text: format!("\"{}\"", parts.join(".")) })
    }

    /// Keys that are missing for one reason.
    fn absent(&mut self, group: &[Missing], near: Option<(String, Option<Edit>)>) {
        let first = &group[0];
        let mut diagnostic = self.not_there(first);
        if let Some((help, edit)) = near {
            diagnostic = diagnostic.help(help);
            diagnostic =
                edit.into_iter().fold(diagnostic, |d, edit| d.fix("rename it", vec![edit], Applicability::Maybe));
        }
        if group.len() > 1 {
            let more = words::count(group.len() - 1, "more weight is", "more weights are");
            diagnostic = diagnostic.note(format!("{more} missing for the same reason"));
        }
        let _: Checks<()> = self.report(diagnostic);
    }

    /// A tensor of another shape than the model says.
    pub(super) fn misshapen(&mut self, key: &str, found: &[i64], wanted: &Typed, loc: Loc) {
        let dims: Vec<String> = wanted.ty.dims.iter().map(|dim| self.show_dim(dim)).collect();
        let message = format!("`{key}` has shape {found:?}, the model says [{}]", dims.join(", "));
        let mut diagnostic = Diagnostic::error("MDL0402", message, loc, "read here");
        for (dim, from) in wanted.ty.dims.iter().zip(&wanted.from).take(4) {
            if let Some(from) = self.origin_of(dim, from)
                && diagnostic.labels.iter().all(|label| label.loc != from.loc)
            {
                diagnostic = diagnostic.label(from.loc, from.text.clone());
            }
        }
        let turned: Vec<i64> = found.iter().rev().copied().collect();
        let shape = wanted.ty.shape().unwrap_or_default();
        let mut sorted = (found.to_vec(), shape.clone());
        sorted.0.sort_unstable();
        sorted.1.sort_unstable();
        diagnostic = match () {
            () if found.len() == 2 && turned == shape => diagnostic
                .help("the file stores [in, out]; declare it so and use x @ w")
                .note("Keras and GPT-2 Conv1D store [in, out], PyTorch's Linear stores [out, in]"),
            () if found.len() == 4 && sorted.0 == sorted.1 => diagnostic
                .help("the axes stand in another order in the file: declare them so and transpose")
                .note("PyTorch stores convolutions [out, in, h, w], TensorFlow [h, w, in, out]"),
            () if found.iter().product::<i64>() == shape.iter().product::<i64>() => {
                diagnostic.help("it has as many elements: declare the file's shape and reshape")
            }
            () => diagnostic,
        };
        let _: Checks<()> = self.report(diagnostic);
    }

    /// MDL0902: tensors of the files that nothing reads.
    fn unused_weights(&mut self) {
        let mut found: Vec<(Loc, String, usize, i64)> = vec![];
        let used = &self.weights.used;
        for statement in &self.weights.statements {
            let Some((file, prefix)) = statement.file.and_then(|i| self.weights.set.files().nth(i)) else { continue };
            let key = |name: &str| match prefix {
                "" => Some(name.to_owned()),
                prefix => name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')).map(str::to_owned),
            };
            // A scalar is a counter of the training, such as `num_batches_tracked`: nobody misses it.
            let tensors = file.entries().filter(|(_, entry)| !entry.shape.is_empty());
            let unused = tensors.filter(|(name, _)| key(name).is_some_and(|key| !used.contains(&key)));
            let (mut first, mut count, mut bytes) = (None, 0, 0i64);
            for (name, entry) in unused {
                first.get_or_insert_with(|| name.to_owned());
                count += 1;
                let elements = entry.shape.iter().map(|d| *d as i64).product();
                bytes = bytes.saturating_add(entry.storage.bytes_for(elements).unwrap_or(0));
            }
            if let Some(first) = first {
                found.push((statement.from, first, count, bytes));
            }
        }
        for (loc, first, count, bytes) in found {
            let size = match bytes {
                0..1024 => format!("{bytes} bytes"),
                1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
                _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
            };
            let count = words::count(count, "tensor", "tensors");
            let message = format!("weight `{first}` in the file is not used by the model ({count}, {size})");
            let diagnostic = Diagnostic::warning("MDL0902", message, loc, "read from here");
            self.diagnostics.push(diagnostic);
        }
    }
}

/// The one name of these that shares the most dotted parts with a key.
fn same_parts<'a>(key: &str, names: &[&'a str]) -> Option<&'a str> {
    let parts: Vec<&str> = key.split('.').collect();
    let score = |name: &str| name.split('.').filter(|part| parts.contains(part)).count();
    let mut scores: HashMap<usize, Vec<&'a str>> = HashMap::new();
    for name in names {
        scores.entry(score(name)).or_default().push(name);
    }
    let best = scores.keys().copied().max().filter(|score| *score * 2 > parts.len())?;
    match scores[&best].as_slice() {
        [one] => Some(one),
        _ => None,
    }
}
