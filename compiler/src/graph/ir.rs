//! The data of the graph.

use crate::ops::{Arguments, OpKind};
use crate::types::{Loc, TensorType};
use cranelift_entity::{PrimaryMap, entity_impl};
use mlc_codegen::base::{Dim, Slot, Slots, Storage};
use mlc_runtime::tensor::Tensor;
use mlc_runtime::weights::WeightSet;
use std::sync::Arc;

/// A value: the result of a node, an input of an entry, or a carried value of a repeat.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(u32);
entity_impl!(ValueId, "v");

/// A node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);
entity_impl!(NodeId, "n");

/// A weight, or a tensor that a pass made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConstantId(u32);
entity_impl!(ConstantId, "c");

/// A state of the model.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateId(u32);
entity_impl!(StateId, "s");

/// What a name stands for.
#[derive(Clone, Debug)]
pub struct Value {
    /// Its type.
    pub ty: TensorType,
    /// The name in the source, if it had one.
    pub name: Option<String>,
    /// Where it was made.
    pub loc: Loc,
}

/// Where a constant's numbers are.
#[derive(Clone, Debug)]
pub enum ConstantData {
    /// In a weight file of the graph's set, under this key.
    Weight(String),
    /// Here: in the element type of the storage, or u8, the bytes of packed groups.
    Tensor(Tensor),
}

/// A tensor that is known at build. Its dims are static.
#[derive(Clone, Debug)]
pub struct Constant {
    /// Element type and dims, as the model reads it.
    pub ty: TensorType,
    /// How it is kept; `Storage::Plain(ty.dtype)` unless the file or a pass packed it.
    pub storage: Storage,
    /// Its key or, for a folded one, the name of the value it replaced.
    pub name: String,
    /// The numbers.
    pub data: ConstantData,
    /// The declaration.
    pub loc: Loc,
}

/// A state: zero after a reset, written by `Set`, kept between calls.
#[derive(Clone, Debug)]
pub struct State {
    /// The name in the source.
    pub name: String,
    /// Element type and dims.
    pub ty: TensorType,
    /// The declaration.
    pub loc: Loc,
}

/// Nodes in order.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// Each uses values that are defined before it.
    pub nodes: Vec<NodeId>,
}

/// A rolled loop. The node's inputs are the initial values of `params`, its outputs the values after the last iteration.
#[derive(Clone, Debug)]
pub struct Repeat {
    /// The counter, a dim in the body.
    pub counter: Slot,
    /// How often.
    pub trips: Dim,
    /// Read before each iteration, computed by `condition_block` from `params`; the loop ends when it is false.
    pub condition: Option<(Block, ValueId)>,
    /// The carried values at the start of an iteration.
    pub params: Vec<ValueId>,
    /// What runs.
    pub body: Block,
    /// The carried values at its end, in the order of `params`.
    pub results: Vec<ValueId>,
}

/// What a node does.
#[derive(Clone, Debug)]
pub enum NodeKind {
    /// An op of the table.
    Op {
        /// Which.
        op: OpKind,
        /// Its compile-time part.
        arguments: Arguments,
    },
    /// A constant, or inside a repeat a family of them, one for each iteration of `counter`. One output.
    Constant {
        /// One, or as many as the loop has trips. All have the type of the output.
        members: Vec<ConstantId>,
        /// The loop that selects; `None` with one member.
        counter: Option<Slot>,
    },
    /// The present version of a state. One output, of the state's type.
    Read(StateId),
    /// Writes the input into a rectangle of a state: `starts` has an entry for each axis of the state, the input has the
    /// state's rank, and reaches from there. No output; later `Read`s see it.
    Set {
        /// Which.
        state: StateId,
        /// The first position on each axis.
        starts: Vec<Dim>,
    },
    /// A rolled loop.
    Repeat(Box<Repeat>),
    /// A run-time choice. The input is a bool scalar; outputs are the results of the block that ran.
    If {
        /// When true, and its results.
        then: (Block, Vec<ValueId>),
        /// When false, and its results.
        otherwise: (Block, Vec<ValueId>),
    },
    /// A group that becomes one kernel. It is transparent: its values are visible after it; it has no inputs or outputs
    /// of its own, `results` names what is used outside.
    Fused {
        /// Its name.
        name: String,
        /// The nodes.
        body: Block,
        /// The values that are used after the group.
        results: Vec<ValueId>,
    },
}

/// One node.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it does.
    pub kind: NodeKind,
    /// What it uses, in order.
    pub inputs: Vec<ValueId>,
    /// What it defines, in order.
    pub outputs: Vec<ValueId>,
    /// The place in the source; merged when nodes merge.
    pub loc: Loc,
    /// The source path: the `at` scopes and the name around it, such as `encoder.layer.{i}.attention`.
    pub path: String,
}

/// A named tensor argument.
#[derive(Clone, Debug)]
pub struct Input {
    /// As in the source, or as `#[name("…")]` says.
    pub name: String,
    /// What it defines.
    pub value: ValueId,
}

/// What must hold for the sizes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardNode {
    /// Must not be negative.
    pub at_least_zero: Dim,
    /// Must be zero rather than only not negative.
    pub exactly_zero: bool,
    /// What an error says.
    pub message: String,
    /// The place in the source.
    pub loc: Loc,
}

/// A callable.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As in the source.
    pub name: String,
    /// The item's documentation.
    pub doc: String,
    /// Tensor arguments in order.
    pub inputs: Vec<Input>,
    /// `size` arguments: name and slot.
    pub sizes: Vec<(String, Slot)>,
    /// Checked at call entry: asserts, and what could not be decided.
    pub guards: Vec<GuardNode>,
    /// What runs.
    pub body: Block,
    /// Named results in order; a bare result is named `out`.
    pub outputs: Vec<(String, ValueId)>,
    /// The declaration.
    pub loc: Loc,
}

/// A model.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// The model's name.
    pub name: String,
    /// All slots.
    pub slots: Slots,
    /// Polynomials that asserts promise are not negative.
    pub facts: Vec<Dim>,
    /// Where weights are read from.
    pub weights: Arc<WeightSet>,
    /// All constants.
    pub constants: PrimaryMap<ConstantId, Constant>,
    /// All states.
    pub states: PrimaryMap<StateId, State>,
    /// All values.
    pub values: PrimaryMap<ValueId, Value>,
    /// All nodes.
    pub nodes: PrimaryMap<NodeId, Node>,
    /// The callables.
    pub entries: Vec<Entry>,
}

impl Graph {
    /// The type of a value.
    pub fn ty(&self, value: ValueId) -> &TensorType {
        &self.values[value].ty
    }
}
