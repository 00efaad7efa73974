//! Where the numbers of constants are said: in the text, in an untouched weight file, in the file beside.

use super::families::{Part, pattern};
use super::literals;
use super::names::Names;
use crate::graph::{Constant, ConstantData, ConstantId, Graph, NodeId, NodeKind, ValueId};
use mlc_codegen::base::{Slot, Storage};
use mlc_grammar::ast::Expr;
use mlc_runtime::tensor::Tensor;
use std::collections::{BTreeMap, HashMap, HashSet};

/// How a constant of the graph, or a family of them, is written.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// A list.
    List(Expr),
    /// A weight under one key.
    Key(String),
    /// A weight whose key names the iteration of a loop.
    Family(Slot, Vec<Part>),
    /// Weights whose keys follow no pattern, by iteration.
    Stacked(Slot, Vec<String>),
}

/// All constants of a graph.
#[derive(Debug, Default)]
pub(super) struct Constants {
    forms: HashMap<NodeId, Form>,
    keys: HashMap<ConstantId, String>,
    taken: HashSet<String>,
    stems: Names,
    /// Those that are never lists.
    kept: HashSet<ConstantId>,
    /// For the file beside, in the order of the text.
    pub(super) made: Vec<(String, Tensor)>,
    /// Which of them are bytes of packed groups, and what of: `q4_0[64, 64]`.
    pub(super) packed: Vec<(String, String)>,
}

impl Constants {
    /// Decides for every constant that the entries use.
    pub(super) fn of(graph: &Graph, kept: &HashSet<ConstantId>) -> Constants {
        let mut all = Constants { kept: kept.clone(), ..Constants::default() };
        let nodes = || graph.entries.iter().flat_map(|entry| graph.nodes_within(&entry.body));
        let used = nodes().flat_map(|node| members(graph, node).0);
        all.taken = used.filter_map(|c| weight_key(&graph.constants[*c])).map(str::to_owned).collect();
        for node in nodes() {
            let (members, counter) = members(graph, node);
            if let Some(form) = all.form(graph, node, members, counter) {
                all.forms.insert(node, form);
            }
        }
        all
    }

    /// How a constant node is written.
    pub(super) fn get(&self, node: NodeId) -> &Form {
        &self.forms[&node]
    }

    /// The index that the families of a loop count from: the one that most of them share.
    pub(super) fn start(&self, counter: Slot) -> i64 {
        let mut votes: BTreeMap<i64, usize> = BTreeMap::new();
        for form in self.forms.values() {
            let Form::Family(slot, parts) = form else { continue };
            for part in parts.iter().filter(|_| *slot == counter) {
                if let Part::Number { first, step: 1 } = part {
                    *votes.entry(*first).or_default() += 1;
                }
            }
        }
        votes.into_iter().max_by_key(|(first, count)| (*count, -*first)).map_or(0, |(first, _)| first)
    }

    fn form(&mut self, graph: &Graph, node: NodeId, members: &[ConstantId], counter: Option<Slot>) -> Option<Form> {
        let first = *members.first()?;
        let value = graph.nodes[node].outputs[0];
        let data = |id: &ConstantId| &graph.constants[*id].data;
        let Some(counter) = counter.filter(|_| members.iter().any(|member| *member != first)) else {
            return Some(match data(&first) {
                ConstantData::Tensor(tensor) if is_plain(&graph.constants[first]) && !self.kept.contains(&first) => {
                    let list = literals::spelled(tensor);
                    list.map_or_else(|| Form::Key(self.key(graph, first, value)), Form::List)
                }
                _ => Form::Key(self.key(graph, first, value)),
            });
        };
        let names: Vec<&str> = members.iter().map(|id| key_of(&graph.constants[*id])).collect();
        let free = |id: &ConstantId| match (self.keys.get(id), data(id)) {
            (Some(key), _) => key == key_of(&graph.constants[*id]),
            (None, ConstantData::Weight(_)) => true,
            (None, ConstantData::Tensor(_)) => self.is_free(graph, key_of(&graph.constants[*id])),
        };
        let parts = pattern(&names).filter(|parts| parts.iter().any(|part| matches!(part, Part::Number { .. })));
        if let Some(parts) = parts.filter(|_| members.iter().all(free)) {
            members.iter().for_each(|id| drop(self.key(graph, *id, value)));
            return Some(Form::Family(counter, parts));
        }
        let fresh = |id: &ConstantId| !self.keys.contains_key(id) && matches!(data(id), ConstantData::Tensor(_));
        let distinct: HashSet<&ConstantId> = members.iter().collect();
        if distinct.len() == members.len() && members.iter().all(fresh) {
            let stem = self.free_stem(graph, value, members.len());
            for (i, id) in members.iter().enumerate() {
                self.make(graph, *id, format!("{stem}.{i}"));
            }
            let parts = vec![Part::Text(format!("{stem}.")), Part::Number { first: 0, step: 1 }];
            return Some(Form::Family(counter, parts));
        }
        Some(Form::Stacked(counter, members.iter().map(|id| self.key(graph, *id, value)).collect()))
    }

    /// The key of one constant; one that was made here is added to the file beside.
    fn key(&mut self, graph: &Graph, id: ConstantId, value: ValueId) -> String {
        if let Some(key) = self.keys.get(&id) {
            return key.clone();
        }
        let constant = &graph.constants[id];
        if let Some(key) = weight_key(constant) {
            self.keys.insert(id, key.to_owned());
            return key.to_owned();
        }
        let own = key_of(constant);
        let key = if self.is_free(graph, own) { own.to_owned() } else { self.free_stem(graph, value, 0) };
        self.make(graph, id, key.clone());
        key
    }

    fn make(&mut self, graph: &Graph, id: ConstantId, key: String) {
        let constant = &graph.constants[id];
        let ConstantData::Tensor(tensor) = &constant.data else { return };
        let kept = match constant.storage {
            Storage::Plain(dtype) => tensor.cast(dtype).unwrap_or_else(|_| tensor.clone()),
            Storage::Packed(_) | Storage::Interleaved(_) | Storage::Sparse(_) => tensor.clone(),
        };
        if let Storage::Packed(packing) = constant.storage {
            let shape = constant.ty.shape().expect("constants have static dims");
            self.packed.push((key.clone(), format!("{}{shape:?}", packing.name())));
        }
        self.taken.insert(key.clone());
        self.keys.insert(id, key.clone());
        self.made.push((key, kept));
    }

    /// Whether a key means nothing yet, and can be written as it is.
    fn is_free(&self, graph: &Graph, key: &str) -> bool {
        let written = !key.is_empty() && !key.starts_with('/') && !key.contains('{');
        written && !self.taken.contains(key) && matches!(graph.weights.find(key), Ok(None))
    }

    fn free_stem(&mut self, graph: &Graph, value: ValueId, members: usize) -> String {
        let base = graph.values[value].name.as_deref().unwrap_or("constant");
        loop {
            let stem = self.stems.fresh(base);
            let key = |i| if members == 0 { stem.clone() } else { format!("{stem}.{i}") };
            if (0..members.max(1)).all(|i| self.is_free(graph, &key(i))) {
                return stem;
            }
        }
    }
}

/// The constants of a node, and the loop that selects.
pub(super) fn members(graph: &Graph, node: NodeId) -> (&[ConstantId], Option<Slot>) {
    match &graph.nodes[node].kind {
        NodeKind::Constant { members, counter } => (members, *counter),
        _ => (&[], None),
    }
}

fn weight_key(constant: &Constant) -> Option<&str> {
    match &constant.data {
        ConstantData::Weight(key) => Some(key),
        ConstantData::Tensor(_) => None,
    }
}

fn key_of(constant: &Constant) -> &str {
    weight_key(constant).unwrap_or(&constant.name)
}

fn is_plain(constant: &Constant) -> bool {
    constant.storage == Storage::Plain(constant.ty.dtype)
}
