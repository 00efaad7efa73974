//! Buffers: making room, saying where a value shall be made, and copying.

use super::*;

impl Walk<'_, '_> {
    /// The number of a buffer. Each tensor of the arena has its own, so that its layout can be chosen by itself.
    pub(super) fn buffer(&mut self, def: BufferDef, dims: &[Dim]) -> PlanBuffer {
        let own = matches!(def.place, Place::Arena { .. });
        let found = self.buffers.iter().position(|b| *b == def).filter(|_| !own);
        let index = found.unwrap_or_else(|| {
            self.buffers.push(def);
            self.shapes.push(own.then(|| dims.to_vec()));
            self.buffers.len() - 1
        });
        PlanBuffer(index as u32)
    }

    pub(super) fn placed(&mut self, place: Place, ty: &TensorType) -> Home {
        let storage = Storage::Plain(ty.dtype);
        let buffer = self.buffer(BufferDef { place, storage, elements: ty.elements() }, &ty.dims);
        Home::Memory { argument: Argument::Buffer(buffer), storage }
    }

    pub(super) fn memory(&self, argument: Argument, ty: &TensorType) -> Home {
        Home::Memory { argument, storage: Storage::Plain(ty.dtype) }
    }

    /// A fresh buffer of the arena.
    pub(super) fn room(&mut self, ty: &TensorType) -> (Argument, Lease) {
        let (storage, elements) = (Storage::Plain(ty.dtype), ty.elements());
        let region = self.arena.take(&mut self.shared.slots, storage, &elements);
        let place = Place::Arena { offset: self.arena.offset(region) };
        let buffer = self.buffer(BufferDef { place, storage, elements }, &ty.dims);
        (Argument::Buffer(buffer), Lease { region })
    }

    /// Where a value that is about to be made will lie: where it is wanted, else a fresh buffer.
    pub(super) fn make_room(&mut self, value: ValueId) {
        let ty = self.shared.graph.ty(value);
        let argument = match self.wanted.get(&value) {
            Some(argument) => argument.clone(),
            None => {
                let (argument, lease) = self.room(ty);
                self.leases.insert(value, lease);
                argument
            }
        };
        let home = self.memory(argument, ty);
        self.homes.insert(value, home);
    }

    /// Asks that a value be made in a place. `false` when it is not made by a kernel of this block, or is wanted elsewhere.
    pub(super) fn want(&mut self, value: ValueId, block: &Block, place: Argument) -> bool {
        let graph = self.shared.graph;
        let mut root = value;
        loop {
            let Some(node) = self.groups.defined_by.get(&root).copied() else { return false };
            let here = block.nodes.iter().any(|n| match &graph.nodes[*n].kind {
                NodeKind::Fused { body, results, .. } => body.nodes.contains(&node) && results.contains(&root),
                NodeKind::Op { .. } => *n == node,
                _ => false,
            });
            if !here || self.wanted.contains_key(&root) || self.groups.looked_through.contains(&node) {
                return false;
            }
            match self.groups.traits.get(&node) {
                Some(traits) if traits.alias => root = graph.nodes[node].inputs[0],
                _ => break,
            }
        }
        self.wanted.insert(root, place);
        true
    }

    /// The value's memory; a literal or a view is written out first.
    pub(super) fn solid(&mut self, value: ValueId, steps: &mut Vec<Step>) -> Home {
        let graph = self.shared.graph;
        if let home @ Home::Memory { .. } = &self.homes[&value] {
            return home.clone();
        }
        let (argument, lease) = self.room(graph.ty(value));
        self.copy(value, argument.clone(), steps);
        let home = self.memory(argument, graph.ty(value));
        self.homes.insert(value, home.clone());
        self.leases.insert(value, lease);
        home
    }

    /// Writes a value to another place.
    pub(super) fn copy(&mut self, value: ValueId, to: Argument, steps: &mut Vec<Step>) {
        let graph = self.shared.graph;
        let ty = graph.ty(value);
        let plain = Storage::Plain(ty.dtype);
        if let Home::Memory { argument, storage } = &self.homes[&value]
            && *storage == plain
            && ty.dtype.bits().is_multiple_of(8)
        {
            let bytes = ty.elements() * i64::from(ty.dtype.bits() / 8);
            steps.push(Step::Copy { from: argument.clone(), to, bytes });
            return;
        }
        let starts = vec![Dim::from(0); ty.rank()];
        let elements = Elements::new(graph, &self.homes, &[], vec![], &[]);
        let made = elements.write("copy".into(), value, (&to, ty), &starts);
        self.call(Purpose::Copy(value), made, steps);
    }

    /// The value is dead: its region may be taken again.
    pub(super) fn release(&mut self, value: ValueId) {
        if let Some(lease) = self.leases.remove(&value) {
            self.arena.give(lease.region);
        }
    }

    /// The result of a block has been copied. One that the block only passes on belongs to whoever made it.
    pub(super) fn release_made(&mut self, value: ValueId, block: &Block) {
        let graph = self.shared.graph;
        let makes = |node: &NodeId| {
            let inner = match &graph.nodes[*node].kind {
                NodeKind::Fused { body, .. } => body.nodes.as_slice(),
                _ => &[],
            };
            inner.iter().chain([node]).any(|n| graph.nodes[*n].outputs.contains(&value))
        };
        if block.nodes.iter().any(makes) {
            self.release(value);
        }
    }
}
