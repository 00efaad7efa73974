//! Which `fused` groups are one kernel. A person may write any group; one that no kernel can hold is run node by node.

use super::groups::Groups;
use crate::graph::{Block, Graph, NodeId, NodeKind, ValueId};
use std::collections::HashSet;

impl Groups {
    /// The ops of a group, when they make one kernel: points, before and after at most one op with a skeleton of its own,
    /// whose result is read at its own place only.
    pub(super) fn one_kernel(&self, graph: &Graph, body: &Block, results: &[ValueId]) -> Option<Vec<NodeId>> {
        let constant = |node: &&NodeId| matches!(graph.nodes[**node].kind, NodeKind::Constant { .. });
        let members: Vec<NodeId> = body.nodes.iter().filter(|node| !constant(node)).copied().collect();
        let own: HashSet<ValueId> = members.iter().flat_map(|node| &graph.nodes[*node].outputs).copied().collect();
        let (mut anchored, mut place) = (HashSet::new(), None);
        for node in &members {
            let (data, traits) = (&graph.nodes[*node], self.traits.get(node)?);
            let indices = graph.with_call(*node, |op, call| op.op().checked_indices(call));
            if traits.alias || indices.iter().any(|used| own.contains(&data.inputs[used.indices])) {
                return None;
            }
            for (input, reads) in data.inputs.iter().zip(&traits.reads) {
                if own.contains(input) && reads.guarded || anchored.contains(input) && !reads.elementwise {
                    return None;
                }
            }
            let follows = data.inputs.iter().any(|input| anchored.contains(input));
            if !traits.point {
                if place.is_some() || !traits.anchor || data.outputs.len() != 1 {
                    return None;
                }
                place = Some(&graph.ty(data.outputs[0]).dims);
            }
            if follows || !traits.point {
                anchored.extend(data.outputs.iter().copied());
            }
        }
        let place = place.or_else(|| Some(&graph.ty(*results.first()?).dims))?;
        results.iter().all(|value| graph.ty(*value).dims == *place).then_some(members)
    }
}
