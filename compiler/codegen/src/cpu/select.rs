//! The one place that chooses: lanes, tiles and packings, from a kernel's accesses and the instruction set.
//!
//! The schedule asks it at build which panels a weight should be packed in, lowering asks it at load how to run a kernel;
//! both get the same answer.

use super::address::{Motion, motion};
use super::nest::{Lanes, fold_step, is_fold, parallel_nest};
use super::x86::Width;
use crate::base::Storage;
use crate::kernel::{Access, AxisId, Body, ExprId, Kernel, Node, Role, Statement, Types};

/// An instruction set that code may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// What every machine of the architecture has; 128-bit vectors.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// The same, and dots of bytes in VEX form (AVX-VNNI).
    Avx2Vnni,
    /// AVX-512.
    Avx512,
    /// The same, and dots of bytes (AVX512-VNNI).
    Avx512Vnni,
}

impl Isa {
    /// Whether multiplying and adding is one instruction.
    pub(super) fn is_fused(self) -> bool {
        self != Isa::Portable
    }

    /// The vectors of wide leaves; `None` where all leaves are Cranelift's.
    pub(super) fn wide(self) -> Option<Width> {
        match self {
            Isa::Portable => None,
            Isa::Avx2 | Isa::Avx2Vnni => Some(Width::Ymm),
            Isa::Avx512 | Isa::Avx512Vnni => Some(Width::Zmm),
        }
    }

    /// Whether four products of bytes are summed by one instruction.
    pub(super) fn has_dots(self) -> bool {
        matches!(self, Isa::Avx2Vnni | Isa::Avx512Vnni)
    }

    /// Heights of register tiles, the tallest first: what its sums, a row of the right side and a number of the left
    /// need is what the machine has registers for, and each row has a pointer.
    pub(super) fn tile_heights(self) -> &'static [i64] {
        match self {
            Isa::Portable => &[4],
            Isa::Avx2 | Isa::Avx2Vnni => &[6, 4, 2, 1],
            Isa::Avx512 | Isa::Avx512Vnni => &[12, 8, 4, 2, 1],
        }
    }
}

/// Vectors of a tile's row.
pub(super) const TILE_VECTORS: i64 = 2;

/// Rows of the tile that every set has.
pub(super) const TILE_ROWS: i64 = 4;

/// At most so many rows are dotted one by one along k where the right side lies so.
pub(super) const DOT_ROWS: i64 = 4;

/// Columns that a leaf takes of a right side that is brought into panels by each call.
pub(super) fn panel_width(isa: Isa) -> i64 {
    TILE_VECTORS * isa.wide().map_or(4, Width::lanes)
}

/// The axis of a kernel in loop form that is computed in lanes, if one pays.
pub(super) fn vector_axis(kernel: &Kernel, types: &Types) -> Option<Lanes> {
    let Body::Loops(loops) = &kernel.body else { unreachable!("the caller desugared") };
    let (parallel, body) = parallel_nest(&loops.statements);
    let mut candidates: Vec<(u32, AxisId, bool)> = Vec::new();
    for axis in (0..kernel.axes.len() as u32).map(AxisId).rev() {
        let long = kernel.axis(axis).extent.as_constant().is_none_or(|extent| extent >= 8);
        let is_parallel = parallel.contains(&axis);
        let fits = if is_parallel { fits_parallel(kernel, body, axis) } else { fits_along(kernel, types, body, axis) };
        if long
            && fits
            && let Some(cost) = cost(kernel, axis, is_parallel)
        {
            candidates.push((cost, axis, is_parallel));
        }
    }
    let (_, axis, is_parallel) = *candidates.iter().min_by_key(|(cost, _, _)| *cost)?;
    let small = kernel.expr.nodes.len() <= 24 && kernel.roots().iter().all(|root| types.of(*root).bits() <= 32);
    Some(Lanes { axis, count: if small && !is_parallel { 16 } else { 8 } })
}

/// What reading and writing in lanes along an axis costs; `None` where single points are as good.
fn cost(kernel: &Kernel, axis: AxisId, is_parallel: bool) -> Option<u32> {
    let stores = kernel.stores();
    let mut useful = false;
    let mut total = 0;
    for access in kernel.operands.iter().chain(stores.iter().map(|store| &store.access)) {
        let plain = matches!(kernel.buffer(access.buffer).storage, Storage::Plain(dtype) if dtype.bits() >= 8);
        total += match motion(kernel, access, axis) {
            Motion::Fixed => 1,
            Motion::Step(step) if plain && step.as_constant() == Some(1) => {
                useful = true;
                1
            }
            Motion::Step(_) if plain => {
                useful |= is_parallel;
                6
            }
            _ => 12,
        };
    }
    useful.then_some(total * 2 + u32::from(is_parallel))
}

/// Every point of a parallel axis writes places of its own, under uniform conditions.
fn fits_parallel(kernel: &Kernel, body: &[Statement], axis: AxisId) -> bool {
    let varies = |value| kernel.value_mentions(value, axis);
    let uniform = |statement: &Statement| conditions(statement).into_iter().all(|c| !varies(c) && !has_cell(kernel, c));
    let stores = kernel.stores();
    let coordinates: Vec<_> =
        kernel.operands.iter().chain(stores.iter().map(|s| &s.access)).flat_map(Access::values).collect();
    body.iter().all(uniform)
        && stores.iter().all(|store| kernel.access_mentions(&store.access, axis))
        && coordinates.into_iter().all(|value| !has_cell(kernel, value))
}

fn has_cell(kernel: &Kernel, value: ExprId) -> bool {
    let nodes = &kernel.expr.nodes;
    kernel.reachable(&[value]).into_iter().any(|id| matches!(nodes[id.0 as usize], Node::Cell(_)))
}

fn conditions(statement: &Statement) -> Vec<ExprId> {
    match statement {
        Statement::For { body, .. } => body.iter().flat_map(conditions).collect(),
        Statement::If { condition, body } => {
            std::iter::once(*condition).chain(body.iter().flat_map(conditions)).collect()
        }
        _ => vec![],
    }
}

/// Every loop over the axis is a fold, or stores to places of their own.
fn fits_along(kernel: &Kernel, types: &Types, body: &[Statement], axis: AxisId) -> bool {
    let mut found = false;
    let fits = body.iter().all(|statement| loop_fits(kernel, types, statement, axis, &mut found));
    fits && found
}

fn loop_fits(kernel: &Kernel, types: &Types, statement: &Statement, axis: AxisId, found: &mut bool) -> bool {
    match statement {
        Statement::For { axis: own, body, .. } if *own == axis => {
            *found = true;
            let nodes = &kernel.expr.nodes;
            if let [only] = &body[..]
                && let Some((cell, op, value)) = fold_step(nodes, only)
            {
                let own_cell = |id: &ExprId| nodes[id.0 as usize] == Node::Cell(cell);
                let reads_itself = kernel.reachable(&[value]).iter().any(own_cell);
                return !reads_itself && !reads_back(kernel, axis) && is_fold(op, types.of(value));
            }
            let is_store = |s: &Statement| match s {
                Statement::Store(store) => {
                    kernel.buffer(store.access.buffer).role == Role::Write
                        && kernel.access_mentions(&store.access, axis)
                }
                _ => false,
            };
            !body.is_empty() && body.iter().all(is_store) && !reads_back(kernel, axis)
        }
        Statement::For { body, .. } | Statement::If { body, .. } => {
            body.iter().all(|inner| loop_fits(kernel, types, inner, axis, found))
        }
        _ => true,
    }
}

/// Whether a buffer that is written too is read along the axis, so that lanes would reorder reads and writes.
fn reads_back(kernel: &Kernel, axis: AxisId) -> bool {
    kernel
        .operands
        .iter()
        .any(|access| kernel.buffer(access.buffer).role == Role::ReadWrite && kernel.access_mentions(access, axis))
}

/// Lanes along an axis for expressions alone, where reading along it pays.
pub(super) fn lanes_along(kernel: &Kernel, roots: &[ExprId], axis: AxisId, count: usize) -> Option<Lanes> {
    let mut useful = false;
    for id in kernel.reachable(roots) {
        let Node::Operand(operand) = &kernel.expr.nodes[id.0 as usize] else { continue };
        let access = kernel.operand(*operand);
        match motion(kernel, access, axis) {
            Motion::Fixed => {}
            Motion::Step(step) => useful |= step.as_constant() == Some(1),
            Motion::Free => return None,
        }
    }
    useful.then_some(Lanes { axis, count })
}

/// Whether a list of axes has one position, whatever the sizes.
pub(super) fn is_unit(kernel: &Kernel, axes: &[AxisId]) -> bool {
    axes.iter().all(|axis| kernel.axis(*axis).extent.as_constant() == Some(1))
}
