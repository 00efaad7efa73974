//! What follows a sum in registers: the expressions of stores over rows along the lanes and over numbers that do not vary.

use super::address::{Motion, motion};
use super::arithmetic::{Arithmetic, LeafEmitter};
use super::chain::{byte_of, computed, computes, flat_step, is_row, is_row_of_bytes, is_word, store_value};
use super::x86::Wide;
use crate::base::{DType, Storage};
use crate::kernel::{Access, AxisId, ExprId, Kernel, Node, OperandId, Store, Types};

type Vector = <Wide as Arithmetic>::Value;

/// The stores of a tile: some neighbours, each a row of lanes.
pub(super) struct Epilogue<'k> {
    stores: &'k [Store],
    nodes: Vec<ExprId>,
    /// Rows that are read, and elements from one neighbour to the next.
    pub(super) rows: Vec<(ExprId, OperandId, i64)>,
    /// What is the same for a whole tile.
    pub(super) fixed: Vec<ExprId>,
    /// Elements between neighbours of each store.
    stored: Vec<i64>,
}

impl<'k> Epilogue<'k> {
    /// `None` where it needs more than vectors of 32-bit numbers give. Neighbours lie along `tile`, taken as one axis;
    /// nothing here may move along `summed`.
    pub(super) fn new(
        kernel: &'k Kernel,
        types: &Types,
        stores: &'k [Store],
        lanes: AxisId,
        tile: &[AxisId],
        summed: &[AxisId],
    ) -> Option<Self> {
        let along = |store| lies_along(kernel, types, store, lanes, summed);
        let all = stores.iter().all(along);
        Self::over(kernel, types, stores, lanes, tile, summed, &is_row).filter(|_| all)
    }

    /// The same where rows and stores may also be of bytes.
    pub(super) fn of_bytes(
        kernel: &'k Kernel,
        types: &Types,
        stores: &'k [Store],
        lanes: AxisId,
        tile: &[AxisId],
        summed: &[AxisId],
    ) -> Option<Self> {
        let all = stores.iter().all(|store| lies_along_of_bytes(kernel, types, store, lanes, summed));
        Self::over(kernel, types, stores, lanes, tile, summed, &is_row_of_bytes).filter(|_| all)
    }

    fn over(
        kernel: &'k Kernel,
        types: &Types,
        stores: &'k [Store],
        lanes: AxisId,
        tile: &[AxisId],
        summed: &[AxisId],
        is_row: &dyn Fn(&Kernel, &Access, AxisId) -> bool,
    ) -> Option<Self> {
        if stores.is_empty() {
            return None;
        }
        let all = &kernel.expr.nodes;
        let roots: Vec<ExprId> = stores.iter().map(|store| store.value).collect();
        let mut varies = vec![false; all.len()];
        let (mut nodes, mut rows) = (kernel.reachable(&roots), vec![]);
        for id in &nodes {
            let node = &all[id.0 as usize];
            varies[id.0 as usize] = is_sum(node)
                || tile.iter().chain([&lanes]).any(|axis| kernel.value_mentions(*id, *axis))
                || node.inputs().any(|input| varies[input.0 as usize]);
            match node {
                Node::Constant(_) => {}
                _ if !varies[id.0 as usize] => {
                    if summed.iter().any(|axis| kernel.value_mentions(*id, *axis)) {
                        return None;
                    }
                }
                _ if !is_word(types.of(*id)) => return None,
                node if is_sum(node) => {}
                Node::Operand(operand) => {
                    let access = kernel.operand(*operand);
                    let still = summed.iter().all(|axis| !kernel.access_mentions(access, *axis));
                    if !still || !is_row(kernel, access, lanes) || access.values().next().is_some() {
                        return None;
                    }
                    rows.push((*id, *operand, step_of(kernel, access, tile)?));
                }
                node if computes(node, types) => {}
                _ => return None,
            }
        }
        let used = |id: &ExprId| {
            let user = |other: &ExprId| varies[other.0 as usize] && all[other.0 as usize].inputs().any(|i| i == *id);
            nodes.iter().any(user) || roots.contains(id)
        };
        let still =
            |id: &&ExprId| !varies[id.0 as usize] && !matches!(all[id.0 as usize], Node::Constant(_)) && used(id);
        let fixed: Vec<ExprId> = nodes.iter().filter(still).copied().collect();
        let kept = nodes.iter().copied().filter(|id| varies[id.0 as usize] || used(id)).collect();
        nodes = kept;
        let stored = stores.iter().map(|store| step_of(kernel, &store.access, tile)).collect::<Option<_>>()?;
        let words = fixed.iter().all(|id| is_word(types.of(*id)) && types.of(*id) != DType::Bool);
        words.then_some(Epilogue { stores, nodes, rows, fixed, stored })
    }

    /// Pointers to rows, to the block of what is fixed, and to results, and whether each moves with the lanes.
    pub(super) fn moves(&self) -> impl Iterator<Item = bool> + '_ {
        let fixed = (!self.fixed.is_empty()).then_some(false);
        self.rows.iter().map(|_| true).chain(fixed).chain(self.stored.iter().map(|_| true))
    }

    /// For each of the same pointers, the bytes of a number that it moves by, or 0.
    pub(super) fn sizes(&self, kernel: &'k Kernel) -> impl Iterator<Item = i64> + '_ {
        let size = |access: &Access| if byte_of(kernel, access).is_some() { 1 } else { 4 };
        let rows = self.rows.iter().map(move |(_, operand, _)| size(kernel.operand(*operand)));
        let fixed = (!self.fixed.is_empty()).then_some(0);
        rows.chain(fixed).chain(self.stores.iter().map(move |store| size(&store.access)))
    }

    /// Elements between neighbours of each store.
    pub(super) fn stored(&self) -> &[i64] {
        &self.stored
    }

    /// Stores one vector of a neighbour, `bytes` into its rows, of which the first `there` lanes exist; `first` is the
    /// number of the first pointer.
    pub(super) fn store(
        &self,
        e: &mut Wide,
        (kernel, types): (&Kernel, &Types),
        first: usize,
        (neighbour, bytes): (i64, i32),
        there: i64,
        sum: Vector,
    ) {
        let at = |next: i64, size: i64| ((neighbour * next + i64::from(bytes / 4)) * size) as i32;
        let block = first + self.rows.len();
        let mut read = |e: &mut Wide, id: ExprId| {
            if is_sum(&kernel.expr.nodes[id.0 as usize]) {
                return Some(sum);
            }
            if let Some(row) = self.rows.iter().position(|(node, ..)| *node == id) {
                let (_, operand, next) = self.rows[row];
                return Some(match byte_of(kernel, kernel.operand(operand)) {
                    None => e.load_some(first + row, at(next, 4), there),
                    Some(dtype) => e.load_bytes(first + row, at(next, 1), dtype == DType::I8),
                });
            }
            let place = self.fixed.iter().position(|fixed| *fixed == id)?;
            Some(e.broadcast(block, place as i32 * 4))
        };
        let values = computed(e, kernel, types, &self.nodes, &mut read);
        for ((cursor, next), store) in
            (block + usize::from(!self.fixed.is_empty())..).zip(&self.stored).zip(self.stores)
        {
            let value = values[store.value.0 as usize].expect("roots are nodes");
            match byte_of(kernel, &store.access) {
                None => e.store_some(cursor, at(*next, 4), there, value),
                Some(_) => store_value(e, kernel, store, (cursor, at(*next, 1)), value),
            }
        }
    }
}

/// What stands for the sum, in one form of a kernel or the other.
fn is_sum(node: &Node) -> bool {
    matches!(node, Node::Cell(0) | Node::Accumulator)
}

/// Elements from one position to the next of axes that are taken as one, the last innermost, whatever the outer extents.
pub(super) fn step_of(kernel: &Kernel, access: &Access, axes: &[AxisId]) -> Option<i64> {
    let step = flat_step(kernel, access, axes)?;
    step.as_constant().filter(|step| step.abs() < 1 << 24)
}

/// Elements between neighbours along an axis, where that is a number and not a large one.
pub(super) fn constant_step(kernel: &Kernel, access: &Access, axis: AxisId) -> Option<i64> {
    match motion(kernel, access, axis) {
        Motion::Fixed => Some(0),
        Motion::Step(step) => step.as_constant().filter(|step| step.abs() < 1 << 24),
        Motion::Free => None,
    }
}

/// Whether a store writes f32 numbers side by side along an axis, once for each sum.
pub(super) fn lies_along(kernel: &Kernel, types: &Types, store: &Store, axis: AxisId, summed: &[AxisId]) -> bool {
    let still = summed.iter().all(|over| !kernel.access_mentions(&store.access, *over));
    let single = kernel.buffer(store.access.buffer).storage == Storage::Plain(DType::F32);
    still && single && types.of(store.value) == DType::F32 && is_row(kernel, &store.access, axis)
}

/// The same of 32-bit numbers or bytes, in the type that they are computed in.
pub(super) fn lies_along_of_bytes(
    kernel: &Kernel,
    types: &Types,
    store: &Store,
    axis: AxisId,
    summed: &[AxisId],
) -> bool {
    let still = summed.iter().all(|over| !kernel.access_mentions(&store.access, *over));
    let stored = kernel.buffer(store.access.buffer).storage;
    still && stored.compute() == types.of(store.value) && is_row_of_bytes(kernel, &store.access, axis)
}
