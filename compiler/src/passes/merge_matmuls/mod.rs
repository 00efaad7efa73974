//! `merge-matmuls`: products of one tensor with several weights, as one product.
//! Invariant: each element of a result is the same sum in the same order as before.

mod biases;

use super::constants::{Family, Made, numbers, type_of, uses};
use crate::graph::{Block, ConstantId, Graph, Node, NodeId, NodeKind, Value, ValueId};
use crate::ops::{Arguments, Attr, Call, Infer, OpKind};
use crate::types::{Loc, TensorType};
use indexmap::IndexMap;
use mlc_codegen::base::{Dim, Slot};
use mlc_runtime::tensor::Tensor;
use std::collections::{HashMap, HashSet};

pub(super) const DOC: &str = "\
Merges products of one tensor with several weights. Such are the q, k and v of an attention, or the gate and the up of a \
feed-forward, written as matmuls or einsums with constant weights: the weights stand in one tensor, the results are slices of one result. In loops the weights of \
each trip are merged. Where a constant bias is added to each of the results, and nothing else reads them, the biases are \
merged too. Weights that stay packed, or that something else reads too, are left alone.";

/// Bytes of all members of a new weight.
const MOST: i64 = 256 << 20;

/// Merges within each block; gives how many products went.
pub(super) fn run(graph: &mut Graph) -> usize {
    let uses = uses(graph);
    let mut merge = Merge {
        families: HashMap::new(),
        users: HashMap::new(),
        here: HashSet::new(),
        made: Made::default(),
        merged: 0,
    };
    for (entry, uses) in uses.iter().enumerate() {
        for node in graph.nodes_within(&graph.entries[entry].body) {
            let data = &graph.nodes[node];
            merge.families.extend(Family::of(&data.kind).map(|family| (data.outputs[0], family)));
        }
        merge.users = users(graph, entry);
        let body = std::mem::take(&mut graph.entries[entry].body);
        graph.entries[entry].body = merge.block(graph, body, uses);
    }
    merge.merged
}

struct Merge {
    families: HashMap<ValueId, Family>,
    /// The one node that uses a value.
    users: HashMap<ValueId, NodeId>,
    /// The nodes of the block.
    here: HashSet<NodeId>,
    made: Made,
    merged: usize,
}

/// A product that can be merged.
struct Product {
    node: NodeId,
    /// Which input is the weight.
    place: usize,
    weight: Family,
    /// The axis of the weight that the others have not, and that of the result.
    axis: usize,
    result_axis: usize,
}

impl Merge {
    fn block(&mut self, graph: &mut Graph, block: Block, uses: &HashMap<ConstantId, u32>) -> Block {
        self.here = block.nodes.iter().copied().collect();
        let mut groups: IndexMap<String, Vec<Product>> = IndexMap::new();
        for node in &block.nodes {
            if let Some((key, product)) = self.product(graph, *node, uses) {
                groups.entry(key).or_default().push(product);
            }
        }
        let mut before: HashMap<NodeId, Vec<NodeId>> = HashMap::new();
        for group in groups.into_values().filter(|group| group.len() > 1) {
            if let Some(nodes) = self.merge(graph, &group) {
                before.insert(group[0].node, nodes);
                self.merged += group.len() - 1;
            }
        }
        let mut nodes = Vec::new();
        for node in block.nodes {
            nodes.extend(before.remove(&node).into_iter().flatten());
            nodes.push(node);
            if matches!(graph.nodes[node].kind, NodeKind::Fused { .. }) {
                continue;
            }
            for i in 0..graph.nodes[node].kind.blocks().len() {
                let inner = std::mem::take(graph.nodes[node].kind.blocks_mut()[i]);
                let inner = self.block(graph, inner, uses);
                *graph.nodes[node].kind.blocks_mut()[i] = inner;
            }
        }
        Block { nodes }
    }

    /// A product with a weight of its own, and what it must share with others.
    fn product(&self, graph: &Graph, node: NodeId, uses: &HashMap<ConstantId, u32>) -> Option<(String, Product)> {
        let data = &graph.nodes[node];
        let NodeKind::Op { op: op @ (OpKind::Matmul | OpKind::Einsum), arguments } = &data.kind else { return None };
        let [a, b] = data.inputs.as_slice() else { return None };
        let place = usize::from(self.families.contains_key(b));
        let weight = self.families.get(&data.inputs[place])?.clone();
        let other = if place == 1 { a } else { b };
        let used = |member: &ConstantId| uses.get(member).copied().unwrap_or(0);
        if weight.members.iter().any(|member| used(member) > 1) || !weight.is_plain(graph) {
            return None;
        }
        let types = [graph.ty(*a).clone(), graph.ty(*b).clone()];
        let call = Call { signature: op.op().signature(), arguments, inputs: &types, results: &[] };
        let whole = op.op().contraction(&call)?;
        let own = |axis: &usize| !whole.operands[1 - place].contains(&Some(*axis));
        let out = whole.result.iter().rev().find(|axis| own(axis) && whole.operands[place].contains(&Some(**axis)))?;
        let mut places = (0..whole.operands[place].len()).filter(|i| whole.operands[place][*i] == Some(*out));
        let axis = places.next().filter(|_| places.next().is_none())?;
        let result_axis = whole.result.iter().position(|a| a == out)?;
        if !types[place].dtype.bits().is_multiple_of(8) || whole.operands[place].iter().any(Option::is_none) {
            return None;
        }
        let mut rest = types[place].clone();
        rest.dims[axis] = Dim::from(0);
        let axes = (&whole.operands, &whole.result, axis);
        let key = format!("{op:?} {other:?} {place} {axes:?} {rest:?} {:?} {}", weight.counter, weight.members.len());
        Some((key, Product { node, place, weight, axis, result_axis }))
    }

    /// Makes the products slices of a new one; gives the nodes of that.
    fn merge(&mut self, graph: &mut Graph, group: &[Product]) -> Option<Vec<NodeId>> {
        let (first, place) = (&group[0], group[0].place);
        let bytes = group.iter().map(|product| product.weight.bytes(graph)).fold(0, i64::saturating_add);
        if bytes > MOST {
            return None;
        }
        let trips = 0..first.weight.members.len();
        let tensors = trips.map(|trip| {
            let parts: Vec<Tensor> =
                group.iter().map(|p| numbers(graph, p.weight.members[trip])).collect::<Option<_>>()?;
            joined(&parts, first.axis)
        });
        let tensors: Vec<Tensor> = tensors.collect::<Option<_>>()?;
        let ty = type_of(&tensors[0]);
        let data = graph.nodes[first.node].clone();
        let NodeKind::Op { op, arguments } = data.kind.clone() else { return None };
        let mut types: Vec<TensorType> = data.inputs.iter().map(|value| graph.ty(*value).clone()).collect();
        types[place] = ty;
        let call = Call { signature: op.op().signature(), arguments: &arguments, inputs: &types, results: &[] };
        let result = op.op().infer(&call, &mut Infer::new(&mut graph.slots, &graph.facts)).ok()?.pop()?;
        let loc = group.iter().fold(data.loc, |loc, product| loc.to(graph.nodes[product.node].loc));
        let path = common_path(group.iter().map(|product| graph.nodes[product.node].path.as_str()));
        let mut site = Site { loc, path, nodes: vec![] };
        let weight = self.constant(graph, tensors, &first.weight, first.weight.counter, &mut site);
        let mut inputs = data.inputs;
        inputs[place] = weight;
        let whole = site.push(graph, NodeKind::Op { op, arguments }, inputs, result);
        self.cut(graph, group, |part| part.node, whole);
        if let Some((sum, adds)) = self.biased(graph, group, whole, &mut site) {
            self.cut(graph, group, |part| adds[&part.node], sum);
        }
        Some(site.nodes)
    }

    /// A family of these tensors, named after another.
    fn constant(
        &mut self,
        graph: &mut Graph,
        tensors: Vec<Tensor>,
        like: &Family,
        counter: Option<Slot>,
        site: &mut Site,
    ) -> ValueId {
        let ty = type_of(&tensors[0]);
        let members = tensors.into_iter().enumerate().map(|(trip, tensor)| {
            let like = &graph.constants[like.at(trip)];
            let (name, loc) = (format!("{}.merged", like.name), like.loc);
            self.made.constant(graph, tensor, name, loc)
        });
        let members = members.collect();
        site.push(graph, NodeKind::Constant { members, counter }, vec![], ty)
    }

    /// Makes nodes slices of a value, each as long as its own output.
    fn cut(&self, graph: &mut Graph, group: &[Product], node: impl Fn(&Product) -> NodeId, whole: ValueId) {
        let mut start = Dim::from(0);
        for part in group {
            let node = node(part);
            let stop = start.clone() + &graph.ty(graph.nodes[node].outputs[0]).dims[part.result_axis];
            graph.nodes[node].kind = slice(part.result_axis, std::mem::replace(&mut start, stop.clone()), stop);
            graph.nodes[node].inputs = vec![whole];
        }
    }
}

/// Where the nodes of a merged product come from, and the nodes.
struct Site {
    loc: Loc,
    path: String,
    nodes: Vec<NodeId>,
}

impl Site {
    fn push(&mut self, graph: &mut Graph, kind: NodeKind, inputs: Vec<ValueId>, ty: TensorType) -> ValueId {
        let value = graph.values.push(Value { ty, name: None, loc: self.loc });
        let node = Node { kind, inputs, outputs: vec![value], loc: self.loc, path: self.path.clone() };
        self.nodes.push(graph.nodes.push(node));
        value
    }
}

/// The node that uses a value, where nothing else does. A node in a group is none.
fn users(graph: &Graph, entry: usize) -> HashMap<ValueId, NodeId> {
    let entry = &graph.entries[entry];
    let mut counts: HashMap<ValueId, u32> = HashMap::new();
    let outputs = entry.outputs.iter().map(|(_, value)| *value);
    graph.uses_within(&entry.body).into_iter().chain(outputs).for_each(|value| *counts.entry(value).or_default() += 1);
    let nodes = graph.nodes_within(&entry.body);
    let grouped: HashSet<NodeId> = nodes
        .iter()
        .filter(|node| matches!(graph.nodes[**node].kind, NodeKind::Fused { .. }))
        .flat_map(|node| graph.nodes[*node].kind.blocks())
        .flat_map(|block| graph.nodes_within(block))
        .collect();
    let free = nodes.into_iter().filter(|node| !grouped.contains(node));
    let pairs = free.flat_map(|node| graph.nodes[node].inputs.iter().map(move |value| (*value, node)));
    pairs.filter(|(value, _)| counts[value] == 1).collect()
}

fn slice(axis: usize, start: Dim, stop: Dim) -> NodeKind {
    let [starts, stops] = [start, stop].map(|dim| Attr::Dims(vec![Some(dim)]));
    let attrs = vec![starts, stops, Attr::None, Attr::Ints(vec![axis as i64])];
    NodeKind::Op { op: OpKind::Slice, arguments: Arguments { counts: vec![1], attrs } }
}

/// Tensors that differ along one axis, one after another along it.
fn joined(parts: &[Tensor], axis: usize) -> Option<Tensor> {
    let (dtype, mut shape) = (parts[0].dtype(), parts[0].shape().to_vec());
    let inner = shape[axis + 1..].iter().product::<usize>() * dtype.bits() as usize / 8;
    let outer: usize = shape[..axis].iter().product();
    shape[axis] = parts.iter().map(|part| part.shape()[axis]).sum();
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.bytes().len()).sum());
    for row in 0..outer {
        for part in parts {
            let length = part.shape()[axis] * inner;
            bytes.extend_from_slice(&part.bytes()[row * length..(row + 1) * length]);
        }
    }
    Tensor::new(dtype, shape, &bytes).ok()
}

/// The dotted path that all paths begin with.
fn common_path<'p>(mut paths: impl Iterator<Item = &'p str>) -> String {
    let first: Vec<&str> = paths.next().unwrap_or("").split('.').collect();
    let shared = paths.fold(first.len(), |shared, path| {
        shared.min(first.iter().zip(path.split('.')).take_while(|(a, b)| *a == b).count())
    });
    first[..shared].join(".")
}
