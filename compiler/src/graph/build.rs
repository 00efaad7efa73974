//! Growing a graph: values and nodes with inferred result types.

use super::{Block, Graph, Node, NodeId, NodeKind, Value, ValueId};
use crate::ops::{Arguments, Call, Guard, Infer, OpError, OpKind};
use crate::types::{Loc, TensorType};

/// Adds nodes at the end of a block.
pub struct GraphBuilder<'g> {
    /// The graph that grows.
    pub graph: &'g mut Graph,
    /// Where nodes go.
    pub block: &'g mut Block,
    /// The source path of new nodes.
    pub path: String,
}

/// The results of an op, and what its types left open.
#[derive(Debug)]
pub struct Applied {
    /// The results.
    pub outputs: Vec<ValueId>,
    /// What must hold at run time.
    pub guards: Vec<Guard>,
}

impl GraphBuilder<'_> {
    /// Infers the types of an op's results and adds its node.
    pub fn apply(
        &mut self,
        op: OpKind,
        arguments: Arguments,
        inputs: &[ValueId],
        loc: Loc,
    ) -> Result<Applied, OpError> {
        let types: Vec<TensorType> = inputs.iter().map(|v| self.graph.ty(*v).clone()).collect();
        let signature = op.op().signature();
        let call = Call { signature, arguments: &arguments, inputs: &types, results: &[] };
        let mut cx = Infer::new(&mut self.graph.slots, &self.graph.facts);
        let results = op.op().infer(&call, &mut cx)?;
        let guards = cx.guards;
        let outputs = results.into_iter().map(|ty| self.value(ty, None, loc)).collect::<Vec<_>>();
        self.node(NodeKind::Op { op, arguments }, inputs.to_vec(), outputs.clone(), loc);
        Ok(Applied { outputs, guards })
    }

    /// A new value.
    pub fn value(&mut self, ty: TensorType, name: Option<String>, loc: Loc) -> ValueId {
        self.graph.values.push(Value { ty, name, loc })
    }

    /// A new node at the end of the block.
    pub fn node(&mut self, kind: NodeKind, inputs: Vec<ValueId>, outputs: Vec<ValueId>, loc: Loc) -> NodeId {
        let node = self.graph.nodes.push(Node { kind, inputs, outputs, loc, path: self.path.clone() });
        self.block.nodes.push(node);
        node
    }
}
