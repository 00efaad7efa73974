//! The products of a model by its weights: what compression changes, and what it needs to know of each.
//! Invariant: a weight here is a family of constants alone, or turned once by `transpose`; everything else is no product.

use super::constants::Family;
use crate::graph::{ConstantId, Graph, Node, NodeId, NodeKind, ValueId};
use crate::ops::OpKind;
use crate::types::TensorType;
use mlc_codegen::base::Slot;
use std::collections::HashMap;

/// One product, or one table that rows are gathered from.
#[derive(Clone, Debug)]
pub struct Product {
    /// The node.
    pub node: NodeId,
    /// Its entry.
    pub entry: usize,
    /// Which op.
    pub op: OpKind,
    /// Which input is the weight.
    pub place: usize,
    /// The other operand; for a table the indices.
    pub data: ValueId,
    /// The weight's members, one for each trip of `counter`.
    pub members: Vec<ConstantId>,
    /// The loop that selects among them.
    pub counter: Option<Slot>,
    /// How the weight's axes are permuted before the product reads them.
    pub turned: Option<Vec<usize>>,
    /// The axis of the constant that walks with channels of the result, and that axis of the result.
    pub channels: Option<(usize, usize)>,
    /// The axes of the constant that are summed.
    pub summed: Vec<usize>,
    /// The axis of `data` that is summed, where it is one, and all of it walks with the weight.
    pub inner: Option<usize>,
    /// Whether it is `data [.., k]` by a matrix, so that each row may have a scale of its own.
    pub rows: bool,
}

impl Product {
    /// Whether it gathers rows and multiplies nothing.
    pub fn is_table(&self) -> bool {
        self.op == OpKind::Gather
    }

    /// The weight's key, of the first trip.
    pub fn name<'g>(&self, graph: &'g Graph) -> &'g str {
        &graph.constants[self.members[0]].name
    }

    /// Numbers of one member.
    pub fn elements(&self, graph: &Graph) -> usize {
        graph.constants[self.members[0]].ty.elements().as_constant().map_or(0, |n| n as usize)
    }
}

/// Every product of every entry, in the order of the text. Groups that are `Fused` are left alone.
pub fn products(graph: &Graph) -> Vec<Product> {
    let mut found = vec![];
    for (number, entry) in graph.entries.iter().enumerate() {
        let nodes = outside_groups(graph, &entry.body.nodes);
        let definitions: HashMap<ValueId, NodeId> =
            nodes.iter().flat_map(|node| graph.nodes[*node].outputs.iter().map(|out| (*out, *node))).collect();
        let look = Look { graph, definitions, entry: number };
        found.extend(nodes.iter().filter_map(|node| look.product(*node)));
    }
    found
}

/// The nodes of a block and of loops and branches in it, in order.
fn outside_groups(graph: &Graph, nodes: &[NodeId]) -> Vec<NodeId> {
    let mut found = vec![];
    let mut waiting: Vec<NodeId> = nodes.iter().rev().copied().collect();
    while let Some(node) = waiting.pop() {
        found.push(node);
        let kind = &graph.nodes[node].kind;
        if !matches!(kind, NodeKind::Fused { .. }) {
            let inner: Vec<NodeId> = kind.blocks().into_iter().flat_map(|block| &block.nodes).copied().collect();
            waiting.extend(inner.into_iter().rev());
        }
    }
    found
}

struct Look<'g> {
    graph: &'g Graph,
    definitions: HashMap<ValueId, NodeId>,
    entry: usize,
}

impl Look<'_> {
    fn node(&self, value: ValueId) -> Option<&Node> {
        self.definitions.get(&value).map(|node| &self.graph.nodes[*node])
    }

    /// The constants that an operand is, and how it is turned.
    fn weight(&self, value: ValueId) -> Option<(Family, Option<Vec<usize>>)> {
        let node = self.node(value)?;
        if let Some(family) = Family::of(&node.kind) {
            return Some((family, None));
        }
        let NodeKind::Op { op: OpKind::Transpose, .. } = &node.kind else { return None };
        let family = Family::of(&self.node(node.inputs[0])?.kind)?;
        let rank = self.graph.ty(value).rank();
        let perm = self.graph.with_call(self.definitions[&value], |_, call| call.ints("perm"));
        let perm =
            perm.map_or_else(|| (0..rank).rev().collect(), |axes| axes.iter().map(|axis| *axis as usize).collect());
        Some((family, Some(perm)))
    }

    fn product(&self, id: NodeId) -> Option<Product> {
        let node = &self.graph.nodes[id];
        let NodeKind::Op { op, .. } = &node.kind else { return None };
        let (op, inputs) = (*op, &node.inputs);
        let (place, data) = match op {
            OpKind::Conv1d | OpKind::Conv2d => (1, inputs[0]),
            OpKind::Gather => (0, *inputs.get(1)?),
            OpKind::Einsum | OpKind::Matmul if inputs.len() == 2 => {
                let place = [1, 0].into_iter().find(|place| self.weight(inputs[*place]).is_some())?;
                (place, inputs[1 - place])
            }
            _ => return None,
        };
        let (family, turned) = self.weight(inputs[place])?;
        let constant = |axis: usize| turned.as_ref().map_or(axis, |perm| perm[axis]);
        let ty = self.graph.ty(inputs[place]);
        let shape = self.walk(id, op, place, ty)?;
        Some(Product {
            node: id,
            entry: self.entry,
            op,
            place,
            data,
            members: family.members,
            counter: family.counter,
            channels: shape.channels.map(|(own, result)| (constant(own), result)),
            summed: shape.summed.into_iter().map(constant).collect(),
            turned,
            inner: shape.inner,
            rows: shape.rows,
        })
    }

    /// How the axes of a weight of this type walk.
    fn walk(&self, id: NodeId, op: OpKind, place: usize, ty: &TensorType) -> Option<Shape> {
        match op {
            OpKind::Conv1d | OpKind::Conv2d => {
                Some(Shape { channels: Some((0, 1)), summed: (1..ty.rank()).collect(), inner: Some(1), rows: false })
            }
            OpKind::Gather => {
                let axis = self.graph.with_call(id, |_, call| call.int("axis")).unwrap_or(0);
                let matrix = axis == 0 && ty.rank() == 2;
                matrix.then(|| Shape { channels: Some((0, 0)), summed: vec![1], inner: None, rows: false })
            }
            _ => self.contraction(id, place, ty),
        }
    }

    fn contraction(&self, id: NodeId, place: usize, ty: &TensorType) -> Option<Shape> {
        let whole = self.graph.with_call(id, |op, call| op.op().contraction(call))?;
        let (own, other) = (&whole.operands[place], &whole.operands[1 - place]);
        let in_other = |axis: &Option<usize>| axis.is_some_and(|axis| other.contains(&Some(axis)));
        let place_in_result = |axis: usize| whole.result.iter().position(|kept| *kept == axis);
        let once = |axis: usize| own.iter().filter(|other| **other == Some(axis)).count() == 1;
        let channels = own.iter().enumerate().filter_map(|(dim, axis)| {
            let axis = axis.filter(|axis| once(*axis) && !other.contains(&Some(*axis)))?;
            Some((dim, place_in_result(axis)?))
        });
        let extent = |dim: usize| ty.dims[dim].as_constant().unwrap_or(0);
        let channels = channels.max_by_key(|(dim, _)| (extent(*dim), std::cmp::Reverse(*dim)));
        let is_summed = |axis: &Option<usize>| axis.is_some_and(|axis| place_in_result(axis).is_none());
        let summed: Vec<usize> = (0..own.len()).filter(|dim| is_summed(&own[*dim])).collect();
        if summed.is_empty() || !summed.iter().all(|dim| in_other(&own[*dim])) {
            return None;
        }
        let theirs: Vec<usize> = (0..other.len()).filter(|dim| is_summed(&other[*dim])).collect();
        let inner = match (&theirs[..], &summed[..]) {
            ([inner], [own_inner]) if other[*inner] == own[*own_inner] => Some(*inner),
            _ => None,
        };
        let leading = other.len().saturating_sub(1);
        let in_order = (0..leading).all(|dim| other[dim].is_some() && whole.result.get(dim).copied() == other[dim]);
        let rows = place == 1 && ty.rank() == 2 && leading > 0 && in_order && inner == Some(leading);
        let rows = rows && whole.result.len() == other.len() && channels.is_some();
        Some(Shape { channels, summed, inner, rows })
    }
}

struct Shape {
    channels: Option<(usize, usize)>,
    summed: Vec<usize>,
    inner: Option<usize>,
    rows: bool,
}
