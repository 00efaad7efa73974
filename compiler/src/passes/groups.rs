//! Which groups stay: to find the one that is at fault, all others are taken apart.

use crate::graph::{Block, Graph, NodeId, NodeKind};

/// Groups of nodes, each of which becomes one kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Those that the model and the passes make.
    #[default]
    All,
    /// None: every op that computes something is a kernel of its own.
    None,
    /// The one at this place of `Graph::groups`.
    Only(usize),
}

impl std::fmt::Display for Keep {
    /// As `--fuse` takes it; nothing for all.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Keep::All => Ok(()),
            Keep::None => write!(f, "off"),
            Keep::Only(number) => write!(f, "only={number}"),
        }
    }
}

impl Keep {
    /// Takes all other groups apart. A group is transparent, so that its nodes may stand where it stood.
    ///
    /// # Errors
    /// The group that was asked for is not there; how many there are.
    pub fn apply(self, graph: &mut Graph) -> Result<(), usize> {
        let all = graph.groups();
        let kept = match self {
            Keep::All => return Ok(()),
            Keep::None => None,
            Keep::Only(number) => Some(*all.get(number).ok_or(all.len())?),
        };
        for entry in 0..graph.entries.len() {
            let body = std::mem::take(&mut graph.entries[entry].body);
            graph.entries[entry].body = taken_apart(graph, body, kept);
        }
        Ok(())
    }
}

fn taken_apart(graph: &mut Graph, block: Block, kept: Option<NodeId>) -> Block {
    let mut nodes = Vec::with_capacity(block.nodes.len());
    for node in block.nodes {
        if let (NodeKind::Fused { body, .. }, true) = (&graph.nodes[node].kind, kept != Some(node)) {
            nodes.extend(body.nodes.iter().copied());
            continue;
        }
        if !matches!(graph.nodes[node].kind, NodeKind::Fused { .. }) {
            let count = graph.nodes[node].kind.blocks().len();
            for i in 0..count {
                let inner = std::mem::take(&mut *graph.nodes[node].kind.blocks_mut()[i]);
                let inner = taken_apart(graph, inner, kept);
                *graph.nodes[node].kind.blocks_mut()[i] = inner;
            }
        }
        nodes.push(node);
    }
    Block { nodes }
}
