//! The biases behind merged products.

use super::super::constants::{Family, common, numbers};
use super::{Merge, Product, Site, joined};
use crate::graph::{Graph, NodeId, NodeKind, ValueId};
use crate::ops::{Arguments, OpKind};
use mlc_codegen::base::Dim;
use mlc_runtime::tensor::Tensor;
use std::collections::HashMap;

impl Merge {
    /// One sum for all, where each product is read by the addition of a constant bias alone; and the additions, by product.
    pub(super) fn biased(
        &mut self,
        graph: &mut Graph,
        group: &[Product],
        whole: ValueId,
        site: &mut Site,
    ) -> Option<(ValueId, HashMap<NodeId, NodeId>)> {
        let parts: Vec<(NodeId, Family, usize)> =
            group.iter().map(|product| self.bias(graph, product)).collect::<Option<_>>()?;
        let axis = parts[0].2;
        let families: Vec<&Family> = parts.iter().map(|(_, family, _)| family).collect();
        let rank = |family: &Family| graph.constants[family.at(0)].ty.rank();
        if families.iter().any(|family| rank(family) != rank(families[0])) {
            return None;
        }
        let (counter, trips) = common(&families)?;
        let tensors = (0..trips).map(|trip| {
            let all: Vec<Tensor> =
                families.iter().map(|family| numbers(graph, family.at(trip))).collect::<Option<_>>()?;
            joined(&all, axis)
        });
        let tensors = tensors.collect::<Option<_>>()?;
        let bias = self.constant(graph, tensors, families[0], counter, site);
        let kind = NodeKind::Op { op: OpKind::Add, arguments: Arguments { counts: vec![1, 1], attrs: vec![] } };
        let ty = graph.ty(whole).clone();
        let sum = site.push(graph, kind, vec![whole, bias], ty);
        let adds = group.iter().zip(parts).map(|(product, (add, ..))| (product.node, add));
        Some((sum, adds.collect()))
    }

    /// The addition behind a product, its constant, and the constant's axis that walks with the product's own.
    fn bias(&self, graph: &Graph, product: &Product) -> Option<(NodeId, Family, usize)> {
        let value = graph.nodes[product.node].outputs[0];
        let add = *self.users.get(&value).filter(|add| self.here.contains(add))?;
        let data = &graph.nodes[add];
        let NodeKind::Op { op: OpKind::Add, .. } = data.kind else { return None };
        let other = *data.inputs.iter().find(|input| **input != value)?;
        let family = self.families.get(&other)?.clone();
        let (ty, bias) = (graph.ty(value), graph.ty(other));
        let axis = (product.result_axis + bias.rank()).checked_sub(ty.rank())?;
        let mut wanted = vec![Dim::from(1); bias.rank()];
        wanted[axis] = ty.dims[product.result_axis].clone();
        let plain = bias.dims == wanted && graph.ty(data.outputs[0]) == ty;
        plain.then_some((add, family, axis))
    }
}
