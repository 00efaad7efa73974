//! What a graph may violate, and where.

use super::super::{Entry, Graph, NodeId, ValueId};
use crate::types::Loc;
use mlc_codegen::base::Storage;

/// A graph that is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {fault}", self.place())]
pub struct VerifyError {
    /// The entry's name.
    pub entry: String,
    /// The node; `None` for the inputs and outputs of the entry.
    pub node: Option<NodeId>,
    /// The node's source path.
    pub path: String,
    /// Its place in the source, or the entry's.
    pub loc: Loc,
    /// What is wrong.
    pub fault: Fault,
}

impl VerifyError {
    pub(super) fn new(graph: &Graph, entry: &Entry, node: Option<NodeId>, fault: Fault) -> Self {
        let data = node.and_then(|node| graph.nodes.get(node));
        let path = data.map_or(String::new(), |data| data.path.clone());
        VerifyError { entry: entry.name.clone(), node, path, loc: data.map_or(entry.loc, |data| data.loc), fault }
    }

    fn place(&self) -> String {
        match self.node {
            Some(node) if !self.path.is_empty() => format!("entry `{}`, {node:?} of `{}`", self.entry, self.path),
            Some(node) => format!("entry `{}`, {node:?}", self.entry),
            None => format!("entry `{}`", self.entry),
        }
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// An id of nothing.
    #[error("it names a {0} that is not there")]
    Absent(&'static str),
    /// A node in two places.
    #[error("the node stands in two places")]
    Placed,
    /// A value that is used before its definition, or out of its block.
    #[error("{0:?} is not defined here")]
    Undefined(ValueId),
    /// A value with two definitions.
    #[error("{0:?} is defined twice")]
    Redefined(ValueId),
    /// Too many or too few of something.
    #[error("{found} {what}, expected {expected}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
    /// A compile-time argument of another kind than the signature's.
    #[error("`{0}` does not fit its kind")]
    Argument(&'static str),
    /// Inputs that `infer` refuses.
    #[error("`{op}` does not apply: {why}")]
    Refused {
        /// The op.
        op: &'static str,
        /// What `infer` says.
        why: String,
    },
    /// A value of the wrong type.
    #[error("{value:?} is {found}, expected {expected}")]
    Type {
        /// The value.
        value: ValueId,
        /// Its type.
        found: String,
        /// What it must be.
        expected: String,
    },
    /// A constant of another type than its value.
    #[error("constant `{name}` is {found}, expected {expected}")]
    ConstantType {
        /// Its name.
        name: String,
        /// Its type.
        found: String,
        /// The value's type.
        expected: String,
    },
    /// A constant with a dim that is not known.
    #[error("constant `{0}` has a dim that is not static")]
    Dynamic(String),
    /// A storage that is not read as the constant's type.
    #[error("constant `{name}` cannot be kept as {storage}")]
    Storage {
        /// Its name.
        name: String,
        /// The storage.
        storage: Storage,
    },
    /// Numbers of another shape or element type.
    #[error("the numbers of constant `{0}` do not have its shape and storage")]
    Numbers(String),
    /// A family whose members are kept in different ways.
    #[error("members of one family are kept as {0} and as {1}")]
    Mixed(Storage, Storage),
    /// A family that is selected by a loop that is not around it, or whose trips are not known.
    #[error("no loop of known trips around it selects the members")]
    Counter,
    /// Two writers of one place in one iteration.
    #[error("{first:?} sets the same place of state `{state}`")]
    Writers {
        /// The state's name.
        state: String,
        /// The other writer.
        first: NodeId,
    },
    /// A condition that is no bool scalar.
    #[error("the condition {0:?} is no bool scalar")]
    Condition(ValueId),
    /// A result of a group that the group does not define.
    #[error("{0:?} is no value of the group")]
    Foreign(ValueId),
}
