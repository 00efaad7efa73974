//! The typed graph: SSA of tensor ops with symbolic dims, `repeat` kept rolled, state as versions of a value.
//!
//! All values, nodes, constants and states of a model stand in arenas here; a `Block` lists nodes in an order in which
//! every value is defined before it is used. Values of an enclosing block are visible in inner ones.
//! Invariant: knows no syntax, no kernel, no device. `verify` names what must hold; it runs after every pass.

mod build;
mod constants;
mod ir;
mod verify;
mod walk;

pub use build::{Applied, GraphBuilder};
pub use constants::ReadError;
pub use ir::{
    Block, Constant, ConstantData, ConstantId, Entry, Graph, GuardNode, Input, Node, NodeId, NodeKind, Repeat, State,
    StateId, Value, ValueId,
};
pub use verify::{Fault, VerifyError, verify};
