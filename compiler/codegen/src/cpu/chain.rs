//! Expressions over rows of 32-bit numbers as leaves in wide vectors.
//!
//! What varies along an axis is read from rows that lie element after element, without guards, or is the accumulator;
//! what does not vary is computed once and read from memory by every step. Where an expression needs more, it is emitted
//! in 128-bit lanes instead. A lane computes what a single point does, bit by bit, so that tails agree.

use super::address::{Motion, motion};
use super::arithmetic::{Arithmetic, Cursor, LeafEmitter, Start};
use super::clif::Parts;
use super::driver::{Accumulator, Driver};
use super::expr;
use super::x86::{Wide, Width};
use crate::base::{DType, Dim, Storage};
use crate::kernel::{Access, AxisId, Binary, ExprId, Kernel, Node, Role, Store, Types, Unary};
use cranelift_codegen::ir::types::{F32X4, I32};
use cranelift_codegen::ir::{InstBuilder, Value};

/// What a leaf computes for each vector of an axis.
pub(super) struct Chain {
    /// All nodes that it needs, in order.
    nodes: Vec<ExprId>,
    /// Those that rows are read for.
    pub(super) rows: Vec<ExprId>,
    /// Those that do not vary.
    pub(super) fixed: Vec<ExprId>,
}

/// Pointers that a leaf has registers for.
pub(super) const POINTERS: usize = 11;

impl Chain {
    /// `None` where an expression needs what these leaves lack. The driver's lanes are along the axis.
    pub(super) fn new(d: &Driver, axis: AxisId, roots: &[ExprId]) -> Option<Chain> {
        let all = &d.kernel.expr.nodes;
        let mut needed = vec![false; all.len()];
        roots.iter().for_each(|root| needed[root.0 as usize] = true);
        for i in (0..all.len()).rev().filter(|i| d.varies[*i]) {
            if needed[i] {
                all[i].inputs().for_each(|input| needed[input.0 as usize] = true);
            }
        }
        let nodes: Vec<ExprId> = (0..all.len()).filter(|i| needed[*i]).map(|i| ExprId(i as u32)).collect();
        let mut chain = Chain { nodes, rows: vec![], fixed: vec![] };
        for id in chain.nodes.clone() {
            if !is_word(d.types.of(id)) {
                return None;
            }
            match &all[id.0 as usize] {
                Node::Constant(_) => {}
                _ if !d.varies[id.0 as usize] => chain.fixed.push(id),
                Node::Accumulator => chain.rows.push(id),
                Node::Operand(operand) if is_row_of_bytes(d.kernel, d.kernel.operand(*operand), axis) => {
                    chain.rows.push(id)
                }
                node if computes(node, &d.types) => {}
                _ => return None,
            }
        }
        Some(chain)
    }

    /// Pointers beside those to results.
    pub(super) fn pointers(&self) -> usize {
        self.rows.len() + usize::from(!self.fixed.is_empty())
    }

    /// Pointers to rows, which move by the lanes of a vector, to what does not vary, and to results, which move by `steps`.
    fn cursors(&self, width: Width, kernel: &Kernel, steps: &[i64]) -> Vec<Cursor> {
        let rows = self.rows.iter().map(|row| width.lanes() * size_of_row(kernel, *row));
        let bytes = rows.chain((!self.fixed.is_empty()).then_some(0)).chain(steps.iter().copied());
        bytes.enumerate().map(|(place, bytes)| Cursor { start: Start::Listed { list: 1, place }, bytes }).collect()
    }

    /// The values of all nodes `bytes` past the cursors of rows.
    pub(super) fn emit(
        &self,
        e: &mut Wide,
        kernel: &Kernel,
        types: &Types,
        bytes: i32,
    ) -> Vec<Option<<Wide as Arithmetic>::Value>> {
        computed(e, kernel, types, &self.nodes, &mut |e, id| {
            if let Some(row) = self.rows.iter().position(|row| *row == id) {
                let Node::Operand(operand) = kernel.expr.nodes[id.0 as usize] else { return Some(e.load(row, bytes)) };
                return Some(match byte_of(kernel, kernel.operand(operand)) {
                    None => e.load(row, bytes),
                    Some(dtype) => e.load_bytes(row, bytes / 4, dtype == DType::I8),
                });
            }
            let place = self.fixed.iter().position(|fixed| *fixed == id)?;
            Some(e.broadcast(self.rows.len(), place as i32 * 4))
        })
    }
}

/// The values of nodes, which stand after what they use: what `read` gives, and what is computed from it.
pub(super) fn computed(
    e: &mut Wide,
    kernel: &Kernel,
    types: &Types,
    nodes: &[ExprId],
    read: &mut dyn FnMut(&mut Wide, ExprId) -> Option<<Wide as Arithmetic>::Value>,
) -> Vec<Option<<Wide as Arithmetic>::Value>> {
    let mut values = vec![None; kernel.expr.nodes.len()];
    for id in nodes {
        let value = |id: &ExprId| values[id.0 as usize].expect("nodes stand after what they use");
        let dtype = types.of(*id);
        let result = match (read(e, *id), &kernel.expr.nodes[id.0 as usize]) {
            (Some(value), _) => value,
            (None, Node::Constant(scalar)) => e.constant(*scalar),
            (None, Node::Unary(op, a)) => {
                let a = value(a);
                expr::unary(e, *op, dtype, a)
            }
            (None, Node::Binary(op, a, b)) => expr::binary(e, *op, dtype, value(a), value(b)),
            (None, Node::Compare(op, a, b)) => e.compare(*op, types.of(*a), value(a), value(b)),
            (None, Node::Select(condition, yes, no)) => e.select(dtype, value(condition), value(yes), value(no)),
            (None, Node::Convert(to, a)) => expr::convert(e, types.of(*a), *to, value(a)),
            (None, node) => unreachable!("{node:?} is read or fixed"),
        };
        values[id.0 as usize] = Some(result);
    }
    values
}

pub(super) fn is_word(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::I32 | DType::Bool)
}

/// Whether neighbours along the axis are neighbours in memory, whatever the sizes, as 32-bit numbers.
pub(super) fn is_row(kernel: &Kernel, access: &Access, axis: AxisId) -> bool {
    let word = matches!(kernel.buffer(access.buffer).storage, Storage::Plain(DType::F32 | DType::I32));
    word && lies_side_by_side(kernel, access, axis)
}

/// The same of any numbers.
pub(super) fn lies_side_by_side(kernel: &Kernel, access: &Access, axis: AxisId) -> bool {
    let stable = kernel.buffer(access.buffer).role != Role::ReadWrite;
    stable
        && access.coords.iter().all(|coord| coord.guard.is_none())
        && motion(kernel, access, axis) == Motion::Step(Dim::from(1))
}

/// The type of an access to bytes.
pub(super) fn byte_of(kernel: &Kernel, access: &Access) -> Option<DType> {
    match kernel.buffer(access.buffer).storage {
        Storage::Plain(dtype @ (DType::I8 | DType::U8)) => Some(dtype),
        _ => None,
    }
}

/// Whether neighbours along the axis are neighbours in memory, as 32-bit numbers or as bytes.
pub(super) fn is_row_of_bytes(kernel: &Kernel, access: &Access, axis: AxisId) -> bool {
    is_row(kernel, access, axis) || (byte_of(kernel, access).is_some() && lies_side_by_side(kernel, access, axis))
}

/// Bytes of a number of the row that a node reads.
pub(super) fn size_of_row(kernel: &Kernel, row: ExprId) -> i64 {
    match kernel.expr.nodes[row.0 as usize] {
        Node::Operand(operand) if byte_of(kernel, kernel.operand(operand)).is_some() => 1,
        _ => 4,
    }
}

/// Whether a node whose inputs and result are words is computed in vectors.
pub(super) fn computes(node: &Node, types: &Types) -> bool {
    match node {
        Node::Unary(op, _) => !matches!(op, Unary::Sin | Unary::Cos),
        Node::Binary(op, a, _) => match op {
            Binary::Mod | Binary::Pow | Binary::Shl | Binary::Shr => false,
            Binary::Div => types.of(*a).is_float(),
            _ => true,
        },
        Node::Compare(..) | Node::Select(..) => true,
        Node::Convert(to, _) => is_word(to.compute()),
        _ => false,
    }
}

/// Does stores for whole vectors of `from..to` along the axis of the driver's lanes, and gives where they end; `None`
/// where 128-bit lanes are needed.
pub(super) fn store_along(d: &mut Driver, stores: &[&Store], from: Value, to: Value) -> Option<Value> {
    let (width, axis) = (d.isa.wide()?, d.lanes?.axis);
    let fits = |store: &&Store| is_target(d, store, axis) || is_target_of_bytes(d, store, axis);
    let roots: Vec<ExprId> = stores.iter().map(|store| store.value).collect();
    let chain = Chain::new(d, axis, &roots).filter(|_| stores.iter().all(fits))?;
    if chain.pointers() + stores.len() > POINTERS {
        return None;
    }
    let leaf = Wide::chain(width, |e| {
        let bytes = |store: &&Store| if byte_of(d.kernel, &store.access).is_some() { 1 } else { 4 };
        let steps: Vec<i64> = stores.iter().map(|store| width.lanes() * bytes(store)).collect();
        let cursors = chain.cursors(width, d.kernel, &steps);
        e.each_step(0, &cursors, 1, &mut |e, _| {
            let values = chain.emit(e, d.kernel, &d.types, 0);
            for (i, store) in stores.iter().enumerate() {
                let value = values[store.value.0 as usize].expect("roots are nodes");
                store_value(e, d.kernel, store, (chain.pointers() + i, 0), value);
            }
        });
    });
    let leaf = leaf.ok()?;
    d.positions[axis.0 as usize] = Some(from);
    let mut pointers = inputs(d, &chain);
    for store in stores {
        let (element, _) = d.element(&store.access, None);
        pointers.push(d.address(&store.access, element));
    }
    Some(call(d, width, leaf, &pointers, from, to))
}

/// Does stores for a whole tile: `rows` neighbours along `down`, flattened, from the current point on, `vectors` vectors of
/// each along the axis of the driver's lanes. Their accumulators lie row after row. `None` where rows must be stored one
/// by one: something moves along `down` by no steps, or needs 128-bit lanes.
pub(super) fn store_tile(d: &mut Driver, stores: &[&Store], down: &[AxisId], rows: Value, vectors: i64) -> Option<()> {
    let (width, axis) = (d.isa.wide()?, d.lanes?.axis);
    let roots: Vec<ExprId> = stores.iter().map(|store| store.value).collect();
    let chain = Chain::new(d, axis, &roots).filter(|_| stores.iter().all(|store| is_target(d, store, axis)))?;
    let count = chain.pointers() + stores.len();
    let moves = |id: &ExprId| down.iter().any(|axis| d.kernel.value_mentions(*id, *axis));
    if count > POINTERS || chain.fixed.iter().any(moves) {
        return None;
    }
    let tile_row = vectors * width.lanes() * 4;
    let step = |access: &Access| Some(flat_step(d.kernel, access, down)? * 4);
    let sources = chain.rows.iter().map(|row| match d.kernel.expr.nodes[row.0 as usize] {
        Node::Operand(operand) => {
            Some(flat_step(d.kernel, d.kernel.operand(operand), down)? * size_of_row(d.kernel, *row))
        }
        _ => Some(Dim::from(tile_row)),
    });
    let steps: Option<Vec<Dim>> = sources
        .chain((!chain.fixed.is_empty()).then(|| Some(Dim::from(0))))
        .chain(stores.iter().map(|store| step(&store.access)))
        .collect();
    let steps = steps?;
    let leaf = Wide::chain(width, |e| {
        let cursors = chain.cursors(width, d.kernel, &vec![0; stores.len()]);
        e.each_row(0, &cursors, 1, &mut |e| {
            for vector in 0..vectors as i32 {
                let bytes = vector * width.lanes() as i32 * 4;
                let values = chain.emit(e, d.kernel, &d.types, bytes);
                for (i, root) in roots.iter().enumerate() {
                    e.store_at(chain.pointers() + i, bytes, values[root.0 as usize].expect("roots are nodes"));
                }
            }
        });
    });
    let leaf = leaf.ok()?;
    let mut words = inputs(d, &chain);
    for store in stores {
        let (element, _) = d.element(&store.access, None);
        words.push(d.address(&store.access, element));
    }
    words.extend(steps.iter().map(|step| d.dim(step)).collect::<Vec<_>>());
    let list = d.stack(words.len() * 8);
    (0..).zip(&words).for_each(|(i, word)| d.write(*word, list, i * 8));
    let leaf = d.leaf(leaf, 2);
    d.b.ins().call(leaf, &[rows, list]);
    Some(())
}

/// Elements that an access moves by with each step of flattened axes; `None` where that is not always the same.
pub(super) fn flat_step(kernel: &Kernel, access: &Access, axes: &[AxisId]) -> Option<Dim> {
    let along = |axis: &AxisId| match motion(kernel, access, *axis) {
        Motion::Fixed => Some(Dim::from(0)),
        Motion::Step(step) => Some(step),
        Motion::Free => None,
    };
    let moving = |axis: &&AxisId| kernel.axis(**axis).extent.as_constant() != Some(1);
    let axes: Vec<&AxisId> = axes.iter().filter(moving).collect();
    let Some((inner, outer)) = axes.split_last() else { return Some(Dim::from(0)) };
    let step = along(inner)?;
    let mut dense = step.clone();
    for (axis, inner) in outer.iter().zip(&axes[1..]).rev() {
        dense = dense * &kernel.axis(**inner).extent;
        if along(axis)? != dense {
            return None;
        }
    }
    Some(step)
}

/// Whether a store writes f32 side by side along the axis.
fn is_target(d: &Driver, store: &Store, axis: AxisId) -> bool {
    let single = d.kernel.buffer(store.access.buffer).storage == Storage::Plain(DType::F32);
    single && d.types.of(store.value) == DType::F32 && is_row(d.kernel, &store.access, axis)
}

/// The same of bytes, in the type that they are computed in.
fn is_target_of_bytes(d: &Driver, store: &Store, axis: AxisId) -> bool {
    let bytes = byte_of(d.kernel, &store.access).is_some() && d.types.of(store.value) == DType::I32;
    bytes && lies_side_by_side(d.kernel, &store.access, axis)
}

/// Writes a vector of a store's value `bytes` past a cursor, as what the store's buffer holds.
pub(super) fn store_value(
    e: &mut Wide,
    kernel: &Kernel,
    store: &Store,
    (cursor, bytes): (usize, i32),
    value: <Wide as Arithmetic>::Value,
) {
    let Some(dtype) = byte_of(kernel, &store.access) else { return e.store_at(cursor, bytes, value) };
    let fits = matches!(kernel.expr.nodes[store.value.0 as usize], Node::Convert(to, _) if to == dtype);
    let value = if fits { value } else { expr::convert(e, DType::I32, dtype, value) };
    e.store_bytes(cursor, bytes, value, dtype == DType::I8);
}

/// Folds a value over whole vectors of `from..to`, from `start` in each lane; gives the lanes' results and where they end.
pub(super) fn fold_along(
    d: &mut Driver,
    (op, value, start): (Binary, ExprId, f32),
    from: Value,
    to: Value,
) -> Option<(Parts, Value)> {
    let (width, axis) = (d.isa.wide()?, d.lanes?.axis);
    if d.types.of(value) != DType::F32 {
        return None;
    }
    let chain = Chain::new(d, axis, &[value]).filter(|chain| chain.pointers() < POINTERS)?;
    let leaf = Wide::chain(width, |e| {
        let total = e.variable_from(start);
        e.each_step(0, &chain.cursors(width, d.kernel, &[0]), 1, &mut |e, _| {
            let values = chain.emit(e, d.kernel, &d.types, 0);
            let old = e.read(total);
            let value = values[value.0 as usize].expect("the root is a node");
            let new = expr::binary(e, op, DType::F32, old, value);
            e.set(total, new);
        });
        let total = e.read(total);
        e.store_at(chain.pointers(), 0, total);
    });
    let leaf = leaf.ok()?;
    d.positions[axis.0 as usize] = Some(from);
    let mut pointers = inputs(d, &chain);
    let result = d.stack(width.lanes() as usize * 4);
    pointers.push(result);
    let rest = call(d, width, leaf, &pointers, from, to);
    let parts = (0..width.lanes() as i32 / 4).map(|i| d.read(F32X4, result, i * 16));
    Some((Parts::new(parts.collect::<Vec<_>>()), rest))
}

/// Pointers to the rows at the current point, and to what does not vary.
pub(super) fn inputs(d: &mut Driver, chain: &Chain) -> Vec<Value> {
    let mut pointers = Vec::new();
    for row in &chain.rows {
        let pointer = match d.kernel.expr.nodes[row.0 as usize] {
            Node::Operand(operand) => {
                let access = d.kernel.operand(operand);
                let (element, _) = d.element(access, None);
                d.address(access, element)
            }
            _ => {
                let Accumulator::At(at) = d.accumulator else { unreachable!("loops have cells") };
                at
            }
        };
        pointers.push(pointer);
    }
    if !chain.fixed.is_empty() {
        let block = d.stack(chain.fixed.len() * 4);
        for (i, id) in (0..).zip(&chain.fixed) {
            let mut value = d.uniform(*id);
            if d.types.of(*id) == DType::Bool {
                let word = d.b.ins().uextend(I32, value);
                value = d.b.ins().ineg(word);
            }
            d.write(value, block, i * 4);
        }
        pointers.push(block);
    }
    pointers
}

/// Runs the leaf for the whole vectors of `from..to`; gives where they end.
fn call(d: &mut Driver, width: Width, leaf: Vec<u8>, pointers: &[Value], from: Value, to: Value) -> Value {
    let list = d.stack(pointers.len() * 8);
    for (i, pointer) in (0..).zip(pointers) {
        d.write(*pointer, list, i * 8);
    }
    let length = d.b.ins().isub(to, from);
    let vectors = d.floor_divide(length, width.lanes());
    let leaf = d.leaf(leaf, 2);
    d.b.ins().call(leaf, &[vectors, list]);
    let done = d.times(vectors, width.lanes());
    d.b.ins().iadd(from, done)
}
