//! The verifier and the check of a call: together they make an untrusted kernel harmless.
//!
//! `verify` runs once at load and needs no sizes: ids are in range, expressions are typed and acyclic, divisors are
//! positive, computed coordinates are integers under guards, and what a skeleton reads is what it defines.
//! `check_call` runs whenever the size block changes: by interval arithmetic it finds the least and greatest element of
//! every access and compares them with the buffers. Loop counters are intervals, so one check covers all iterations.

use super::*;
use crate::base::{DType, Dim, Interval, Storage};

/// What is wrong, as data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// An axis that the kernel does not have, or that nothing binds at this place.
    #[error("axis {0:?} is not bound here")]
    UnknownAxis(AxisId),
    /// A buffer that the kernel does not have.
    #[error("there is no buffer {0:?}")]
    UnknownBuffer(BufferId),
    /// A slot beyond the size block.
    #[error("there is no slot {0}")]
    UnknownSlot(u32),
    /// A divisor or modulus that is not positive.
    #[error("a divisor is not positive")]
    BadDivisor,
    /// A computed coordinate without a guard.
    #[error("a computed coordinate has no guard")]
    UnguardedValue,
    /// A write to a buffer that is only read, a read of one that is only written, or both outside `loops`.
    #[error("buffer {0:?} is used against its role")]
    Role(BufferId),
    /// Packed groups, or elements below a byte: kernels read and write whole bytes.
    #[error("buffer {0:?} has no elements of whole bytes")]
    Packed(BufferId),
    /// A node that the skeleton does not define at this place.
    #[error("expression {0:?} stands where it has no meaning")]
    Misplaced(ExprId),
    /// A node that uses a later one, or whose operands do not fit.
    #[error("expression {0:?} has no type")]
    Untyped(ExprId),
    /// Axes that the skeleton needs once occur twice or never.
    #[error("the axes do not divide into the skeleton's roles")]
    AxisRoles,
    /// Arithmetic on sizes left 64 bits, or a size is beyond `LONGEST`.
    #[error("a size is too large")]
    Overflow,
    /// An access that leaves its buffer.
    #[error("an access reaches elements {}..={} of buffer {buffer:?}, which has {bytes} bytes", reach.lo, reach.hi)]
    OutOfBounds {
        /// Which buffer.
        buffer: BufferId,
        /// The elements it may touch.
        reach: Interval,
        /// The bytes there are.
        bytes: i64,
    },
}

/// No axis, and no product of the axes of a role, may be longer. Generated code multiplies extents by the number of parts
/// and adds tile heights without checks; below this bound neither leaves 64 bits.
pub const LONGEST: i64 = 1 << 47;

/// Checks everything that needs no sizes. `slots` is the length of the size block.
pub fn verify(kernel: &Kernel, slots: u32) -> Result<(), VerifyError> {
    kernel.axes.iter().try_for_each(|axis| known_slots(&axis.extent, slots))?;
    for (i, node) in kernel.expr.nodes.iter().enumerate() {
        let id = ExprId(i as u32);
        if node.inputs().any(|x| x >= id) {
            return Err(VerifyError::Untyped(id));
        }
        match node {
            Node::Size(dim) => known_slots(dim, slots)?,
            Node::Position(a) if a.0 as usize >= kernel.axes.len() => return Err(VerifyError::UnknownAxis(*a)),
            Node::Operand(o) => match kernel.operands.get(o.0 as usize) {
                Some(access) if access.values().all(|value| value < id) => {}
                _ => return Err(VerifyError::Misplaced(id)),
            },
            _ => {}
        }
    }
    kernel.operands.iter().try_for_each(|a| verify_access(kernel, a, false, slots))?;
    kernel.stores().iter().try_for_each(|s| verify_access(kernel, &s.access, true, slots))?;
    verify_roles(kernel)?;
    let types = kernel.node_types().map_err(VerifyError::Untyped)?;
    verify_values(kernel, &types)?;
    Scope { kernel }.body()
}

fn known_slots(dim: &Dim, slots: u32) -> Result<(), VerifyError> {
    match dim.highest_slot() {
        Some(slot) if slot.0 >= slots => Err(VerifyError::UnknownSlot(slot.0)),
        _ => Ok(()),
    }
}

fn verify_access(kernel: &Kernel, access: &Access, write: bool, slots: u32) -> Result<(), VerifyError> {
    let buffer = kernel.buffers.get(access.buffer.0 as usize).ok_or(VerifyError::UnknownBuffer(access.buffer))?;
    match (write, buffer.role) {
        (true, Role::Read) | (false, Role::Write) => return Err(VerifyError::Role(access.buffer)),
        _ => {}
    }
    if !matches!(buffer.storage, Storage::Plain(dtype) if dtype.bits() >= 8) {
        return Err(VerifyError::Packed(access.buffer));
    }
    known_slots(&access.base, slots)?;
    for coord in &access.coords {
        known_slots(&coord.stride, slots)?;
        coord.guard.iter().try_for_each(|guard| known_slots(guard, slots))?;
        match &coord.source {
            Source::Index(index) => verify_index(kernel, index, slots)?,
            Source::Value(value) if value.0 as usize >= kernel.expr.nodes.len() => {
                return Err(VerifyError::Misplaced(*value));
            }
            Source::Value(_) if coord.guard.is_none() => return Err(VerifyError::UnguardedValue),
            Source::Value(_) => {}
        }
    }
    Ok(())
}

fn verify_index(kernel: &Kernel, index: &Index, slots: u32) -> Result<(), VerifyError> {
    known_slots(&index.plus, slots)?;
    if index.div < 1 || index.modulus.is_some_and(|m| m < 1) {
        return Err(VerifyError::BadDivisor);
    }
    match index.terms.iter().find(|(a, _)| a.0 as usize >= kernel.axes.len()) {
        Some((axis, _)) => Err(VerifyError::UnknownAxis(*axis)),
        None => Ok(()),
    }
}

/// Only `loops` run in an order in which reading back what was written has a meaning.
fn verify_roles(kernel: &Kernel) -> Result<(), VerifyError> {
    let loops = matches!(kernel.body, Body::Loops(_));
    match kernel.buffers.iter().position(|b| b.role == Role::ReadWrite && !loops) {
        Some(i) => Err(VerifyError::Role(BufferId(i as u32))),
        None => Ok(()),
    }
}

/// Coordinates are integers, conditions bools, and operands of a skeleton have its types.
fn verify_values(kernel: &Kernel, types: &[DType]) -> Result<(), VerifyError> {
    let of = |id: ExprId| types.get(id.0 as usize).copied();
    let stores = kernel.stores();
    let accesses = kernel.operands.iter().chain(stores.iter().map(|s| &s.access));
    for value in accesses.flat_map(Access::values) {
        if !matches!(of(value), Some(DType::I64 | DType::I32)) {
            return Err(VerifyError::Untyped(value));
        }
    }
    for operand in &kernel.operands {
        let compute = kernel.buffer(operand.buffer).storage.compute();
        if operand.fill.dtype() != compute {
            return Err(VerifyError::Role(operand.buffer));
        }
    }
    match &kernel.body {
        Body::Reduce(reduce) => match reduce.folds.iter().find(|f| of(f.value) == Some(DType::Bool)) {
            Some(fold) => Err(VerifyError::Untyped(fold.value)),
            None => Ok(()),
        },
        Body::Contract(c) if !matches!(c.accumulator, DType::F64 | DType::F32 | DType::I64 | DType::I32) => {
            Err(VerifyError::Untyped(c.a))
        }
        Body::Loops(loops) => loops.statements.iter().try_for_each(|s| verify_statement_types(s, loops, &of)),
        _ => Ok(()),
    }
}

fn verify_statement_types(
    statement: &Statement,
    loops: &Loops,
    of: &dyn Fn(ExprId) -> Option<DType>,
) -> Result<(), VerifyError> {
    match statement {
        Statement::For { body, .. } => body.iter().try_for_each(|s| verify_statement_types(s, loops, of)),
        Statement::If { condition, body } => match of(*condition) {
            Some(DType::Bool) => body.iter().try_for_each(|s| verify_statement_types(s, loops, of)),
            _ => Err(VerifyError::Untyped(*condition)),
        },
        Statement::SetCell { cell, value } => match loops.cells.get(*cell as usize) {
            Some(dtype) if of(*value) == Some(*dtype) => Ok(()),
            _ => Err(VerifyError::Untyped(*value)),
        },
        Statement::Store(_) => Ok(()),
    }
}

/// Which nodes may occur below which roots.
struct Scope<'k> {
    kernel: &'k Kernel,
}

impl Scope<'_> {
    fn allow(&self, roots: &[ExprId], cells: u32, accumulator: bool, hidden: &[AxisId]) -> Result<(), VerifyError> {
        if let Some(root) = roots.iter().find(|r| r.0 as usize >= self.kernel.expr.nodes.len()) {
            return Err(VerifyError::Misplaced(*root));
        }
        for id in self.kernel.reachable(roots) {
            let fine = match &self.kernel.expr.nodes[id.0 as usize] {
                Node::Cell(f) => *f < cells,
                Node::Accumulator => accumulator,
                Node::Position(axis) => !hidden.contains(axis),
                Node::Operand(o) => !hidden.iter().any(|a| self.kernel.access_mentions(self.kernel.operand(*o), *a)),
                _ => true,
            };
            if !fine {
                return Err(VerifyError::Misplaced(id));
            }
        }
        Ok(())
    }

    /// A store's value and the coordinates it computes.
    fn store(&self, store: &Store, cells: u32, accumulator: bool, hidden: &[AxisId]) -> Result<(), VerifyError> {
        if let Some(axis) = hidden.iter().find(|axis| self.kernel.access_mentions(&store.access, **axis)) {
            return Err(VerifyError::UnknownAxis(*axis));
        }
        let roots: Vec<ExprId> = store.access.values().chain([store.value]).collect();
        self.allow(&roots, cells, accumulator, hidden)
    }

    fn body(&self) -> Result<(), VerifyError> {
        let kernel = self.kernel;
        match &kernel.body {
            Body::Map(stores) => stores.iter().try_for_each(|s| self.store(s, 0, false, &[])),
            Body::Reduce(r) => {
                if let Some(axis) = r.over.iter().find(|axis| axis.0 as usize >= kernel.axes.len()) {
                    return Err(VerifyError::UnknownAxis(*axis));
                }
                for (i, fold) in r.folds.iter().enumerate() {
                    self.allow(&[fold.value], i as u32, false, &[])?;
                }
                r.stores.iter().try_for_each(|s| {
                    let per_row = !r.over.iter().any(|axis| kernel.access_mentions(&s.access, *axis));
                    self.store(s, r.folds.len() as u32, false, if per_row { &r.over } else { &[] })
                })
            }
            Body::Contract(c) => {
                self.each_axis_once([&c.batch[..], &c.m, &c.n, &c.k].concat())?;
                self.allow(&[c.a], 0, false, &c.n)?;
                self.allow(&[c.b], 0, false, &c.m)?;
                c.stores.iter().try_for_each(|s| self.store(s, 0, true, &c.k))
            }
            Body::Loops(loops) => {
                let unbound: Vec<AxisId> = (0..kernel.axes.len() as u32).map(AxisId).collect();
                let cells = loops.cells.len() as u32;
                loops.statements.iter().try_for_each(|s| self.statement(s, &unbound, cells))
            }
        }
    }

    fn each_axis_once(&self, roles: Vec<AxisId>) -> Result<(), VerifyError> {
        let count = self.kernel.axes.len();
        let once = (0..count as u32).all(|a| roles.iter().filter(|r| r.0 == a).count() == 1);
        if once && roles.len() == count { Ok(()) } else { Err(VerifyError::AxisRoles) }
    }

    /// Every axis that a statement uses is bound by a loop around it.
    fn statement(&self, statement: &Statement, unbound: &[AxisId], cells: u32) -> Result<(), VerifyError> {
        match statement {
            Statement::For { axis, body, .. } => {
                if !unbound.contains(axis) {
                    return Err(VerifyError::UnknownAxis(*axis));
                }
                let inside: Vec<AxisId> = unbound.iter().copied().filter(|a| a != axis).collect();
                body.iter().try_for_each(|s| self.statement(s, &inside, cells))
            }
            Statement::If { condition, body } => {
                self.allow(&[*condition], cells, false, unbound)?;
                body.iter().try_for_each(|s| self.statement(s, unbound, cells))
            }
            Statement::SetCell { value, .. } => self.allow(&[*value], cells, false, unbound),
            Statement::Store(store) => self.store(store, cells, false, unbound),
        }
    }
}

/// Checks one call against the buffers it is given. `sizes` holds a point per dim and a range per loop counter, `bytes`
/// the size of each buffer parameter.
pub fn check_call(kernel: &Kernel, sizes: &[Interval], bytes: &[i64]) -> Result<(), VerifyError> {
    let mut axes = Vec::new();
    for axis in &kernel.axes {
        let extent = axis.extent.range(sizes).ok_or(VerifyError::Overflow)?;
        if extent.hi > LONGEST {
            return Err(VerifyError::Overflow);
        }
        axes.push(Interval::of_extent(extent.hi));
    }
    let all: Vec<AxisId> = (0..kernel.axes.len() as u32).map(AxisId).collect();
    let roles: Vec<&[AxisId]> = match &kernel.body {
        Body::Contract(c) => vec![&c.batch, &c.m, &c.n, &c.k],
        Body::Map(_) | Body::Reduce(_) => vec![&all],
        Body::Loops(_) => vec![],
    };
    roles.into_iter().try_for_each(|role| check_product(kernel, role, sizes))?;
    let stores = kernel.stores().into_iter().map(|s| &s.access);
    // An empty axis excuses only the accesses that mention it: a contract over no k still stores, a reduce over nothing too.
    let empty: Vec<AxisId> = (0..).zip(&axes).filter(|(_, a)| a.is_none()).map(|(i, _)| AxisId(i)).collect();
    let axes: Vec<Interval> = axes.into_iter().map(|a| a.unwrap_or(Interval::point(0))).collect();
    let happens = |access: &&Access| !empty.iter().any(|axis| kernel.access_mentions(access, *axis));
    let accesses = kernel.operands.iter().chain(stores).filter(happens);
    accesses.into_iter().try_for_each(|access| check_access(kernel, access, &axes, sizes, bytes))
}

fn check_product(kernel: &Kernel, role: &[AxisId], sizes: &[Interval]) -> Result<(), VerifyError> {
    let product: Dim = role.iter().map(|axis| kernel.axis(*axis).extent.clone()).product();
    match product.range(sizes) {
        Some(range) if range.hi <= LONGEST => Ok(()),
        _ => Err(VerifyError::Overflow),
    }
}

fn check_access(
    kernel: &Kernel,
    access: &Access,
    axes: &[Interval],
    sizes: &[Interval],
    bytes: &[i64],
) -> Result<(), VerifyError> {
    let Some(reach) = reach(access, axes, sizes)? else { return Ok(()) };
    let have = bytes[access.buffer.0 as usize];
    let storage = kernel.buffer(access.buffer).storage;
    let need = reach.hi.checked_add(1).and_then(|count| storage.bytes_for(count)).ok_or(VerifyError::Overflow)?;
    if reach.lo < 0 || need > have {
        return Err(VerifyError::OutOfBounds { buffer: access.buffer, reach, bytes: have });
    }
    Ok(())
}

/// The elements an access can touch; `None` when a guard leaves nothing.
fn reach(access: &Access, axes: &[Interval], sizes: &[Interval]) -> Result<Option<Interval>, VerifyError> {
    let overflow = || VerifyError::Overflow;
    let mut total = access.base.range(sizes).ok_or_else(overflow)?;
    for coord in &access.coords {
        let guard = match &coord.guard {
            None => None,
            Some(guard) => match Interval::of_extent(guard.range(sizes).ok_or_else(overflow)?.hi) {
                Some(allowed) => Some(allowed),
                None => return Ok(None),
            },
        };
        let free = match &coord.source {
            Source::Index(index) => Some(index_range(index, axes, sizes).ok_or_else(overflow)?),
            Source::Value(_) => None,
        };
        let range = match (free, guard) {
            (Some(free), Some(guard)) => match free.meet(guard) {
                Some(range) => range,
                None => return Ok(None),
            },
            (Some(range), None) | (None, Some(range)) => range,
            (None, None) => return Err(VerifyError::UnguardedValue),
        };
        let stride = coord.stride.range(sizes).ok_or_else(overflow)?;
        total = stride.product(range).and_then(|step| total.sum(step)).ok_or_else(overflow)?;
    }
    Ok(Some(total))
}

fn index_range(index: &Index, axes: &[Interval], sizes: &[Interval]) -> Option<Interval> {
    let sum = index.terms.iter().try_fold(index.plus.range(sizes)?, |sum, (axis, coefficient)| {
        sum.sum(axes[axis.0 as usize].product(Interval::point(*coefficient))?)
    })?;
    Some(sum.floor_div_mod(index.div, index.modulus))
}
