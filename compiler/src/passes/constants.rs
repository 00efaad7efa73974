//! Constants as passes see them: families of tensors, read and made.
//! Invariant: a family is selected by one loop at most, and has a member for each of its trips.

use super::rewrite::Rewriter;
use crate::graph::{Constant, ConstantData, ConstantId, Entry, Graph, NodeKind, ValueId};
use crate::types::{Loc, TensorType};
use mlc_codegen::base::{DType, Scalar, Slot, Storage};
use mlc_runtime::tensor::Tensor;
use std::collections::{HashMap, HashSet};

/// What a constant node makes: one tensor, or one for each trip of a loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Family {
    pub(super) members: Vec<ConstantId>,
    pub(super) counter: Option<Slot>,
}

/// Constants that a pass made, each once.
#[derive(Debug, Default)]
pub(super) struct Made {
    by_content: HashMap<(TensorType, blake3::Hash), ConstantId>,
    names: Option<HashSet<String>>,
}

impl Family {
    /// The family that a node makes.
    pub(super) fn of(kind: &NodeKind) -> Option<Family> {
        let NodeKind::Constant { members, counter } = kind else { return None };
        Some(Family { members: members.clone(), counter: *counter })
    }

    /// The member of a trip.
    pub(super) fn at(&self, trip: usize) -> ConstantId {
        self.members[if self.counter.is_some() { trip } else { 0 }]
    }

    /// Bytes of all members, as the graph's types say.
    pub(super) fn bytes(&self, graph: &Graph) -> i64 {
        let bytes = |member: &ConstantId| {
            let ty = &graph.constants[*member].ty;
            ty.elements().as_constant().and_then(|n| ty.dtype.bytes_for(n)).unwrap_or(i64::MAX)
        };
        self.members.iter().map(bytes).fold(0, i64::saturating_add)
    }

    /// Whether every member is kept element by element in its own type, in the file too.
    pub(super) fn is_plain(&self, graph: &Graph) -> bool {
        let plain = |member: &ConstantId| {
            let constant = &graph.constants[*member];
            let own = Storage::Plain(constant.ty.dtype);
            let in_file = match &constant.data {
                ConstantData::Tensor(_) => own,
                ConstantData::Weight(key) => match graph.weights.find(key) {
                    Ok(Some(found)) => found.entry.storage,
                    _ => return false,
                },
            };
            constant.storage == own && in_file == own
        };
        self.members.iter().all(plain)
    }
}

/// The loop that selects among several families, and how many members that makes; `None` when two loops do.
pub(super) fn common(families: &[&Family]) -> Option<(Option<Slot>, usize)> {
    families.iter().try_fold((None, 1), |(counter, count), family| match (counter, family.counter) {
        (known, None) => Some((known, count)),
        (None, own) => Some((own, family.members.len())),
        (known, own) => (known == own).then_some((known, count)),
    })
}

/// A member's numbers in the element type of the model; `None` when they cannot be read, which building will report.
pub(super) fn numbers(graph: &Graph, member: ConstantId) -> Option<Tensor> {
    graph.numbers(member).ok()?.cast(graph.constants[member].ty.dtype).ok()
}

/// How often each entry uses each constant.
pub(super) fn uses(graph: &Graph) -> Vec<HashMap<ConstantId, u32>> {
    let count = |entry: &Entry| {
        let mut values: HashMap<ValueId, u32> = HashMap::new();
        graph.uses_within(&entry.body).into_iter().for_each(|value| *values.entry(value).or_default() += 1);
        let mut constants: HashMap<ConstantId, u32> = HashMap::new();
        for node in graph.nodes_within(&entry.body) {
            let data = &graph.nodes[node];
            let members = Family::of(&data.kind).map_or(vec![], |family| family.members);
            for member in members {
                *constants.entry(member).or_default() += values.get(&data.outputs[0]).copied().unwrap_or(0);
            }
        }
        constants
    };
    graph.entries.iter().map(count).collect()
}

impl Rewriter<'_> {
    /// The constants that a value stands for.
    pub(super) fn family(&self, value: ValueId) -> Option<Family> {
        Family::of(&self.definition(value)?.kind)
    }

    /// The one number that all elements of a small constant are.
    pub(super) fn splat(&self, value: ValueId) -> Option<Scalar> {
        const MOST: i64 = 4096;
        let family = self.family(value).filter(|family| family.bytes(self.graph) <= MOST)?;
        let mut all = None;
        for member in family.members {
            for number in numbers(self.graph, member)?.iter() {
                if *all.get_or_insert(number) != number {
                    return None;
                }
            }
        }
        all
    }

    /// A new constant node before the present one. Members are named after those of `like` and the pass.
    pub(super) fn constant(
        &mut self,
        tensors: Vec<Tensor>,
        counter: Option<Slot>,
        like: &Family,
        pass: &str,
    ) -> Option<ValueId> {
        let ty = type_of(tensors.first()?);
        let source = |trip| like.members[if like.members.len() == 1 { 0 } else { trip }];
        let members = tensors.into_iter().enumerate().map(|(trip, tensor)| {
            let like = &self.graph.constants[source(trip)];
            let (name, loc) = (format!("{}.{pass}", like.name), like.loc);
            self.made.constant(self.graph, tensor, name, loc)
        });
        let members = members.collect();
        let value = self.value(ty);
        self.push(NodeKind::Constant { members, counter }, vec![], vec![value]);
        Some(value)
    }
}

impl Made {
    /// The constant of these numbers, made if there is none; a name that is taken gets a number.
    pub(super) fn constant(&mut self, graph: &mut Graph, tensor: Tensor, name: String, loc: Loc) -> ConstantId {
        let ty = type_of(&tensor);
        let key = (ty.clone(), blake3::hash(tensor.bytes()));
        if let Some(known) = self.by_content.get(&key) {
            return *known;
        }
        let names = self.names.get_or_insert_with(|| graph.constants.values().map(|c| c.name.clone()).collect());
        let mut free = name.clone();
        for i in 2.. {
            if names.insert(free.clone()) {
                break;
            }
            free = format!("{name}.{i}");
        }
        let (storage, data) = (Storage::Plain(ty.dtype), ConstantData::Tensor(tensor));
        let made = graph.constants.push(Constant { ty, storage, name: free, data, loc });
        self.by_content.insert(key, made);
        made
    }
}

/// The static type of a tensor.
pub(super) fn type_of(tensor: &Tensor) -> TensorType {
    TensorType::fixed(tensor.dtype(), &tensor.shape().iter().map(|d| *d as i64).collect::<Vec<_>>())
}

/// A float tensor whose element `i` is `value(i)`, rounded; `None` when one of them is not finite.
pub(super) fn finite(dtype: DType, shape: &[usize], value: impl Fn(usize) -> f64) -> Option<Tensor> {
    let tensor = Tensor::from_fn(dtype, shape, |i| Scalar::F64(value(i))).ok()?;
    let finite = tensor.iter().all(|number| number.as_f64().is_finite());
    finite.then_some(tensor)
}
