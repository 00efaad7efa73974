//! What must hold of a graph, checked in one walk whose time is linear in its nodes.
//!
//! **Order.** A node stands in one block, once. A value is defined once: as an input of an entry, a carried value of a
//! repeat, or the output of a node. A use stands after the definition, in the same block or in one inside of it. The
//! values of a fused group are visible after it; those of a repeat's or an `if`'s blocks are not.
//! **Ops.** Arguments are as many as the signature says and of its kinds; results have the types that `infer` gives.
//! **Constants.** One member, or one for each trip of a loop that stands around; each of the output's type, which is
//! static, and kept in a storage that is read as that type.
//! **State.** A `Read` has the state's type. A `Set` has a start for each axis and a value of the state's rank and element
//! type; in one iteration no two of them write one place.
//! **Control.** Initial values, carried values, their next values and the outputs of a repeat are of equal types; so are
//! the results of both branches of an `if` and its outputs. Conditions are bool scalars. A group names values of its own.
//! Types are equal where dims are not known to differ: what stays open has become a guard of the entry.

mod control;
mod fault;
mod ops;

pub use fault::{Fault, VerifyError};

use super::{Block, Entry, Graph, NodeId, NodeKind, StateId, ValueId};
use crate::ops::{Blame, Infer};
use crate::types::TensorType;
use cranelift_entity::SecondaryMap;
use mlc_codegen::base::{Slot, Slots};
use std::collections::HashMap;

/// Checks every entry of a graph.
///
/// # Errors
/// The first thing that does not hold, in the order of the walk: a fault of mlc, never of the model.
pub fn verify(graph: &Graph) -> Result<(), VerifyError> {
    let mut walk = Walk::new(graph);
    graph.entries.iter().try_for_each(|entry| walk.entry(entry))
}

/// What the walk has seen.
struct Walk<'g> {
    graph: &'g Graph,
    /// A copy that `infer` may add to.
    slots: Slots,
    /// Values that may be used here.
    visible: SecondaryMap<ValueId, bool>,
    /// Those of them that the open blocks defined, in order.
    opened: Vec<ValueId>,
    /// Values that were defined anywhere.
    defined: SecondaryMap<ValueId, bool>,
    placed: SecondaryMap<NodeId, bool>,
    /// The counters of the loops around, outermost first.
    counters: Vec<Slot>,
    /// What this iteration has set, and where.
    writes: HashMap<StateId, Vec<NodeId>>,
    /// The node that is being checked.
    here: Option<NodeId>,
}

impl<'g> Walk<'g> {
    fn new(graph: &'g Graph) -> Self {
        Walk {
            graph,
            slots: graph.slots.clone(),
            visible: SecondaryMap::new(),
            opened: vec![],
            defined: SecondaryMap::new(),
            placed: SecondaryMap::new(),
            counters: vec![],
            writes: HashMap::new(),
            here: None,
        }
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), VerifyError> {
        self.here = None;
        self.writes.clear();
        let checked = entry.inputs.iter().try_for_each(|input| self.define(input.value));
        let checked = checked.and_then(|()| self.block(&entry.body));
        let checked = checked.and_then(|()| {
            self.here = None;
            entry.outputs.iter().try_for_each(|(_, value)| self.used(*value))
        });
        self.close(0);
        checked.map_err(|fault| VerifyError::new(self.graph, entry, self.here, fault))
    }

    fn block(&mut self, block: &Block) -> Result<(), Fault> {
        block.nodes.iter().try_for_each(|node| self.node(*node))
    }

    /// A block whose values end with it.
    fn inner(&mut self, block: &Block, results: &[ValueId]) -> Result<(), Fault> {
        let (mark, around) = (self.opened.len(), self.here);
        self.block(block)?;
        self.here = around;
        results.iter().try_for_each(|value| self.used(*value))?;
        self.close(mark);
        Ok(())
    }

    fn close(&mut self, mark: usize) {
        self.opened.drain(mark..).for_each(|value| self.visible[value] = false);
    }

    fn node(&mut self, id: NodeId) -> Result<(), Fault> {
        self.here = Some(id);
        let graph = self.graph;
        let node = graph.nodes.get(id).ok_or(Fault::Absent("node"))?;
        if std::mem::replace(&mut self.placed[id], true) {
            return Err(Fault::Placed);
        }
        node.inputs.iter().try_for_each(|value| self.used(*value))?;
        match &node.kind {
            NodeKind::Op { op, arguments } => self.op(node, *op, arguments)?,
            NodeKind::Constant { members, counter } => self.constant(node, members, *counter)?,
            NodeKind::Read(state) => self.read(node, *state)?,
            NodeKind::Set { state, starts } => self.set(id, node, *state, starts)?,
            NodeKind::Repeat(repeat) => self.repeat(node, repeat)?,
            NodeKind::If { then, otherwise } => self.choice(node, then, otherwise)?,
            NodeKind::Fused { body, results, .. } => self.fused(node, body, results)?,
        }
        self.here = Some(id);
        node.outputs.iter().try_for_each(|value| self.define(*value))
    }

    fn define(&mut self, value: ValueId) -> Result<(), Fault> {
        self.graph.values.get(value).ok_or(Fault::Absent("value"))?;
        if std::mem::replace(&mut self.defined[value], true) {
            return Err(Fault::Redefined(value));
        }
        self.visible[value] = true;
        self.opened.push(value);
        Ok(())
    }

    fn used(&self, value: ValueId) -> Result<(), Fault> {
        if self.visible[value] { Ok(()) } else { Err(Fault::Undefined(value)) }
    }

    /// Refuses another number of things than there must be.
    fn count(&self, what: &'static str, found: usize, expected: usize) -> Result<(), Fault> {
        if found == expected { Ok(()) } else { Err(Fault::Count { what, found, expected }) }
    }

    /// Refuses a value of another type.
    fn typed(&mut self, value: ValueId, expected: &TensorType) -> Result<(), Fault> {
        let found = &self.graph.values.get(value).ok_or(Fault::Absent("value"))?.ty;
        if self.equal(found, expected) {
            return Ok(());
        }
        let [found, expected] = [found, expected].map(|ty| ty.show(&self.slots));
        Err(Fault::Type { value, found, expected })
    }

    fn equal(&mut self, a: &TensorType, b: &TensorType) -> bool {
        let mut cx = Infer::new(&mut self.slots, &self.graph.facts);
        let mut dims = a.dims.iter().zip(&b.dims);
        a.dtype == b.dtype && a.rank() == b.rank() && dims.all(|(a, b)| cx.equal(a, b, Blame::Call))
    }
}
