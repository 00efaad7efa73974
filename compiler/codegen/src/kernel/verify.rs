//! The verifier: with `check`, it makes an untrusted kernel harmless.
//!
//! `verify` runs once at load and needs no sizes: ids are in range, nodes stand after what they use, every node has a
//! type, divisors are positive, computed coordinates are guarded, writes go to plain buffers that may be written, only
//! `loops` reads what it writes, and each skeleton's expressions use only what the skeleton defines.
//! In place: a call may pass one buffer of the plan for a `Write` and a `Read` parameter only when all accesses to both
//! are the same map (`in_place`), so that every element is read before it is overwritten, by the point that overwrites it.

use super::{Access, AxisId, Body, BufferId, ExprId, Kernel, Node, Role, Source, Statement, sparse};
use crate::base::{DType, Dim, Interval, Storage};

/// What is wrong with a kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// No such axis, or no loop binds it here.
    #[error("axis {0:?} is not defined here")]
    UnknownAxis(AxisId),
    /// No such buffer parameter.
    #[error("buffer {0:?} does not exist")]
    UnknownBuffer(BufferId),
    /// A slot outside the size block.
    #[error("slot {0} does not exist")]
    UnknownSlot(u32),
    /// A divisor or modulus below 1.
    #[error("a divisor is not positive")]
    BadDivisor,
    /// A computed coordinate without a guard.
    #[error("a computed coordinate has no guard")]
    UnguardedValue,
    /// A write to a buffer that is only read.
    #[error("buffer {0:?} is only read")]
    WriteToRead(BufferId),
    /// A read of a buffer that is only written.
    #[error("buffer {0:?} is only written")]
    ReadOfWrite(BufferId),
    /// A buffer that is read and written outside `loops`.
    #[error("buffer {0:?} is read and written, which only loops may")]
    ReadWrite(BufferId),
    /// A store to a packed or 4-bit buffer.
    #[error("buffer {0:?} is packed and cannot be written")]
    PackedWrite(BufferId),
    /// Rows side by side that are not whole groups.
    #[error("buffer {0:?} has rows side by side that cannot be")]
    UnsoundRows(BufferId),
    /// A sparse buffer that is read otherwise than as the right side of a contraction in f32, row by row along k.
    #[error("buffer {0:?} is sparse and is read otherwise than its form allows")]
    SparseRead(BufferId),
    /// A node that the skeleton does not define at this place.
    #[error("node {0:?} means nothing here")]
    Misplaced(ExprId),
    /// A node that uses itself or a later node.
    #[error("node {0:?} does not stand after what it uses")]
    NodeOrder(ExprId),
    /// Operands of different types, or a type that the operation has not.
    #[error("node {0:?} mixes types")]
    TypeMismatch(ExprId),
    /// A type that this place does not allow.
    #[error("{what} cannot be {found}")]
    BadType {
        /// The place.
        what: &'static str,
        /// The type.
        found: DType,
    },
    /// The skeleton's roles do not take every axis once.
    #[error("the roles do not hold every axis once")]
    AxisRoles,
    /// Arithmetic on sizes left 64 bits, an extent is negative, or an extent or a product of extents is too long.
    #[error("a size is negative or too large")]
    Size,
    /// An access reaches elements `reach` of a buffer of `bytes` bytes.
    #[error("an access to buffer {buffer:?} reaches elements {}..={} of {bytes} bytes", reach.lo, reach.hi)]
    OutOfBounds {
        /// Which.
        buffer: BufferId,
        /// The least and greatest element.
        reach: Interval,
        /// What there is.
        bytes: i64,
    },
}

/// Checks everything that needs no sizes. `slots` is the length of the size block.
pub fn verify(kernel: &Kernel, slots: u32) -> Result<(), VerifyError> {
    kernel.axes.iter().try_for_each(|axis| known_slots(&axis.extent, slots))?;
    kernel.operands.iter().try_for_each(|access| verify_access(kernel, access, Role::Read, slots))?;
    kernel.stores().iter().try_for_each(|store| verify_access(kernel, &store.access, Role::Write, slots))?;
    verify_nodes(kernel, slots)?;
    sparse::verify(kernel)?;
    let roots = kernel.roots();
    if let Some(id) = roots.iter().find(|id| id.0 as usize >= kernel.expr.nodes.len()) {
        return Err(VerifyError::Misplaced(*id));
    }
    let loops = matches!(kernel.body, Body::Loops(_));
    if let Some(i) = kernel.buffers.iter().position(|buffer| buffer.role == Role::ReadWrite && !loops) {
        return Err(VerifyError::ReadWrite(BufferId(i as u32)));
    }
    verify_axes(kernel)?;
    kernel.types()?;
    verify_body(kernel)
}

/// Whether a call may pass one buffer for the parameters `a` and `b`: every access to either is the same map.
pub fn in_place(kernel: &Kernel, a: BufferId, b: BufferId) -> bool {
    let stores = kernel.stores();
    let all = kernel.operands.iter().chain(stores.iter().map(|store| &store.access));
    let mut touching = all.filter(|access| access.buffer == a || access.buffer == b);
    let Some(first) = touching.next() else { return true };
    touching.all(|access| access.base == first.base && access.coords == first.coords)
}

fn known_slots(dim: &Dim, slots: u32) -> Result<(), VerifyError> {
    match dim.highest_slot() {
        Some(slot) if slot.0 >= slots => Err(VerifyError::UnknownSlot(slot.0)),
        _ if dim.overflowed() => Err(VerifyError::Size),
        _ => Ok(()),
    }
}

fn verify_nodes(kernel: &Kernel, slots: u32) -> Result<(), VerifyError> {
    for (i, node) in kernel.expr.nodes.iter().enumerate() {
        let id = ExprId(i as u32);
        if node.inputs().any(|input| input >= id) {
            return Err(VerifyError::NodeOrder(id));
        }
        match node {
            Node::Size(dim) => known_slots(dim, slots)?,
            Node::Position(axis) if axis.0 as usize >= kernel.axes.len() => {
                return Err(VerifyError::UnknownAxis(*axis));
            }
            Node::Operand(operand) => match kernel.operands.get(operand.0 as usize) {
                None => return Err(VerifyError::Misplaced(id)),
                Some(access) if access.values().any(|value| value >= id) => return Err(VerifyError::NodeOrder(id)),
                Some(_) => {}
            },
            _ => {}
        }
    }
    Ok(())
}

fn verify_access(kernel: &Kernel, access: &Access, role: Role, slots: u32) -> Result<(), VerifyError> {
    let buffer = kernel.buffers.get(access.buffer.0 as usize).ok_or(VerifyError::UnknownBuffer(access.buffer))?;
    match (role, buffer.role, buffer.storage) {
        (Role::Write, Role::Read, _) => return Err(VerifyError::WriteToRead(access.buffer)),
        (Role::Read, Role::Write, _) => return Err(VerifyError::ReadOfWrite(access.buffer)),
        (_, _, Storage::Interleaved(rows)) if !rows.is_sound() => return Err(VerifyError::UnsoundRows(access.buffer)),
        (
            Role::Write,
            _,
            Storage::Packed(_) | Storage::Interleaved(_) | Storage::Sparse(_) | Storage::Plain(DType::I4 | DType::U4),
        ) => {
            return Err(VerifyError::PackedWrite(access.buffer));
        }
        _ => {}
    }
    known_slots(&access.base, slots)?;
    for coord in &access.coords {
        known_slots(&coord.stride, slots)?;
        coord.guard.iter().try_for_each(|guard| known_slots(guard, slots))?;
        match &coord.source {
            Source::Index(index) => {
                known_slots(&index.plus, slots)?;
                if index.div < 1 || index.modulus.is_some_and(|m| m < 1) {
                    return Err(VerifyError::BadDivisor);
                }
                if let Some((axis, _)) = index.terms.iter().find(|(a, _)| a.0 as usize >= kernel.axes.len()) {
                    return Err(VerifyError::UnknownAxis(*axis));
                }
            }
            Source::Value(value) => {
                if coord.guard.is_none() {
                    return Err(VerifyError::UnguardedValue);
                }
                if value.0 as usize >= kernel.expr.nodes.len() {
                    return Err(VerifyError::Misplaced(*value));
                }
            }
        }
    }
    Ok(())
}

/// The axes that bodies name exist, and roles take each axis once.
fn verify_axes(kernel: &Kernel) -> Result<(), VerifyError> {
    let each_once = |roles: &[AxisId]| {
        let all = (0..kernel.axes.len() as u32).all(|a| roles.iter().filter(|role| role.0 == a).count() == 1);
        if all && roles.len() == kernel.axes.len() { Ok(()) } else { Err(VerifyError::AxisRoles) }
    };
    match &kernel.body {
        Body::Map(_) => Ok(()),
        Body::Reduce(reduce) => {
            for (i, axis) in reduce.over.iter().enumerate() {
                if axis.0 as usize >= kernel.axes.len() {
                    return Err(VerifyError::UnknownAxis(*axis));
                }
                if reduce.over[..i].contains(axis) {
                    return Err(VerifyError::AxisRoles);
                }
            }
            Ok(())
        }
        Body::Contract(c) => each_once(&[&c.batch[..], &c.m, &c.n, &c.k].concat()),
        Body::Attention(a) => each_once(&[&a.batch[..], &a.m, &[a.n, a.d, a.e]].concat()),
        Body::Loops(loops) => loops.statements.iter().try_for_each(|statement| bound_axes(kernel, statement, &[])),
    }
}

/// A loop binds an axis of the kernel that no loop around it binds.
fn bound_axes(kernel: &Kernel, statement: &Statement, outer: &[AxisId]) -> Result<(), VerifyError> {
    match statement {
        Statement::For { axis, body, .. } => {
            if axis.0 as usize >= kernel.axes.len() || outer.contains(axis) {
                return Err(VerifyError::UnknownAxis(*axis));
            }
            let inside = [outer, &[*axis]].concat();
            body.iter().try_for_each(|s| bound_axes(kernel, s, &inside))
        }
        Statement::If { body, .. } => body.iter().try_for_each(|s| bound_axes(kernel, s, outer)),
        Statement::SetCell { .. } | Statement::Store(_) => Ok(()),
    }
}

/// What expressions of a place may use.
struct Scope<'a> {
    kernel: &'a Kernel,
    cells: u32,
    accumulator: bool,
    hidden: Vec<AxisId>,
}

impl Scope<'_> {
    fn value(&self, root: ExprId) -> Result<(), VerifyError> {
        for id in self.kernel.reachable(&[root]) {
            let fine = match &self.kernel.expr.nodes[id.0 as usize] {
                Node::Cell(cell) => *cell < self.cells,
                Node::Accumulator => self.accumulator,
                Node::Position(axis) => !self.hidden.contains(axis),
                Node::Operand(operand) => self.access(self.kernel.operand(*operand)).is_ok(),
                _ => true,
            };
            if !fine {
                return Err(VerifyError::Misplaced(id));
            }
        }
        Ok(())
    }

    /// The axes of an access, not those of the values it computes.
    fn access(&self, access: &Access) -> Result<(), VerifyError> {
        let mentioned = |axis: &&AxisId| {
            access.coords.iter().any(|c| matches!(&c.source, Source::Index(index) if index.mentions(**axis)))
        };
        self.hidden.iter().find(mentioned).map_or(Ok(()), |axis| Err(VerifyError::UnknownAxis(*axis)))
    }

    fn store(&self, store: &super::Store) -> Result<(), VerifyError> {
        self.access(&store.access)?;
        store.access.values().try_for_each(|value| self.value(value))?;
        self.value(store.value)
    }
}

fn verify_body(kernel: &Kernel) -> Result<(), VerifyError> {
    let scope = |cells: usize, accumulator, hidden: &[AxisId]| Scope {
        kernel,
        cells: cells as u32,
        accumulator,
        hidden: hidden.to_vec(),
    };
    match &kernel.body {
        Body::Map(stores) => stores.iter().try_for_each(|s| scope(0, false, &[]).store(s)),
        Body::Reduce(reduce) => {
            for (i, fold) in reduce.folds.iter().enumerate() {
                scope(i, false, &[]).value(fold.value)?;
            }
            reduce.stores.iter().try_for_each(|s| {
                let per_row = !reduce.over.iter().any(|axis| kernel.access_mentions(&s.access, *axis));
                scope(reduce.folds.len(), false, if per_row { &reduce.over } else { &[] }).store(s)
            })
        }
        Body::Contract(c) => {
            scope(0, false, &c.n).value(c.a)?;
            scope(0, false, &c.m).value(c.b)?;
            c.stores.iter().try_for_each(|s| scope(0, true, &c.k).store(s))
        }
        Body::Attention(a) => {
            let coordinates: Vec<ExprId> = kernel.operands.iter().flat_map(Access::values).collect();
            let is_accumulator = |id: &ExprId| kernel.expr.nodes[id.0 as usize] == Node::Accumulator;
            if let Some(id) = kernel.reachable(&coordinates).into_iter().find(is_accumulator) {
                return Err(VerifyError::Misplaced(id));
            }
            scope(0, false, &[a.n, a.e]).value(a.q)?;
            let hidden: Vec<AxisId> = [&a.m[..], &[a.e]].concat();
            scope(0, false, &hidden).value(a.k)?;
            let hidden: Vec<AxisId> = [&a.m[..], &[a.d]].concat();
            scope(0, false, &hidden).value(a.v)?;
            scope(0, true, &[a.d, a.e]).value(a.score)?;
            for index in a.visible.iter().flat_map(|(from, to)| [from, to]) {
                let known = |axis: &AxisId| a.m.contains(axis) || a.batch.contains(axis);
                match index.terms.iter().find(|(axis, _)| !known(axis)) {
                    Some((axis, _)) => return Err(VerifyError::UnknownAxis(*axis)),
                    None if !index.is_affine() => return Err(VerifyError::BadDivisor),
                    None => {}
                }
            }
            a.stores.iter().try_for_each(|s| scope(0, true, &[a.n, a.d]).store(s))
        }
        Body::Loops(loops) => {
            let unbound: Vec<AxisId> = (0..kernel.axes.len() as u32).map(AxisId).collect();
            loops.statements.iter().try_for_each(|s| verify_statement(kernel, s, &unbound, loops.cells.len()))
        }
    }
}

/// Every axis that a statement uses is bound by a loop around it.
fn verify_statement(
    kernel: &Kernel,
    statement: &Statement,
    unbound: &[AxisId],
    cells: usize,
) -> Result<(), VerifyError> {
    let scope = Scope { kernel, cells: cells as u32, accumulator: false, hidden: unbound.to_vec() };
    match statement {
        Statement::For { axis, body, .. } => {
            let inside: Vec<AxisId> = unbound.iter().copied().filter(|a| a != axis).collect();
            body.iter().try_for_each(|s| verify_statement(kernel, s, &inside, cells))
        }
        Statement::If { condition, body } => {
            scope.value(*condition)?;
            body.iter().try_for_each(|s| verify_statement(kernel, s, unbound, cells))
        }
        Statement::SetCell { value, .. } => scope.value(*value),
        Statement::Store(store) => scope.store(store),
    }
}
