//! The leaf of a tile of windows: `(vectors, pointers)`, the folds of all windows of the tile side by side in registers.

use super::arithmetic::{Arithmetic, Cursor, LeafEmitter, Start};
use super::chain::computed;
use super::expr;
use super::windows::{Inside, Read, WindowPlan};
use super::x86::{OutOfRegisters, Wide};
use crate::base::DType;
use crate::kernel::{Binary, ExprId, Fold, FoldKind, Node};
use std::collections::HashMap;

type Vector = <Wide as Arithmetic>::Value;

/// The bytes of the leaf for a run of rows and the neighbours of a tile, which say what of their windows lies inside.
pub(super) fn emit(plan: &WindowPlan, row: &Inside, places: &[Inside]) -> Result<Vec<u8>, OutOfRegisters> {
    let vector = plan.width.lanes() * 4;
    let cursor = |(place, size)| Cursor {
        start: Start::Listed { list: 1, place },
        bytes: size * plan.width.lanes() * plan.together,
    };
    let cursors: Vec<Cursor> = plan.sizes().enumerate().map(cursor).collect();
    Wide::chain(plan.width, |e| {
        e.each_step(0, &cursors, 1, &mut |e, _| {
            let sums = folded(e, plan, row, places);
            for (number, sum) in (0..).zip(sums) {
                let at = (number / plan.together, (number % plan.together * vector) as i32);
                plan.epilogue.store(e, (plan.kernel, &plan.types), plan.reads.len(), at, vector / 4, sum);
            }
        });
    })
}

/// The folds of the tile's windows, tap by tap: of each neighbour its vectors.
fn folded(e: &mut Wide, plan: &WindowPlan, row: &Inside, places: &[Inside]) -> Vec<Vector> {
    let (fold, vectors) = (&plan.reduce.folds[0], plan.together as usize);
    let mut sums: Vec<Option<Vector>> = vec![None; places.len() * vectors];
    // What differs between channels is kept for the next windows; one number for all is read again.
    let mut loaded = HashMap::new();
    for tap in 0..plan.reads[0].taps.len() {
        for (neighbour, (sums, place)) in (0..).zip(sums.chunks_exact_mut(vectors).zip(places)) {
            let inside = |read: usize| row[read][tap] && place[read][tap];
            if is_neutral(plan, fold, &inside) {
                continue;
            }
            let mut shared = HashMap::new();
            for (vector, sum) in (0i64..).zip(sums) {
                let mut read = |e: &mut Wide, id: ExprId| {
                    let number = plan.reads.iter().position(|read| read.node == id)?;
                    let read = &plan.reads[number];
                    if !inside(number) {
                        return Some(e.constant(plan.kernel.operand(read.operand).fill));
                    }
                    let bytes = offset(read, tap, neighbour);
                    if !read.varies {
                        return Some(*shared.entry(number).or_insert_with(|| match read.byte {
                            None => e.broadcast(number, bytes),
                            Some(dtype) => e.broadcast_byte(number, bytes, dtype == DType::I8),
                        }));
                    }
                    let bytes = bytes + (vector * plan.width.lanes() * read.size()) as i32;
                    Some(*loaded.entry((number, bytes)).or_insert_with(|| match read.byte {
                        None => e.load(number, bytes),
                        Some(dtype) => e.load_bytes(number, bytes, dtype == DType::I8),
                    }))
                };
                *sum = Some(step(e, plan, fold, *sum, &mut read));
            }
        }
    }
    let start = fold.kind.start(plan.dtype);
    sums.into_iter().map(|sum| sum.unwrap_or_else(|| e.constant(start))).collect()
}

fn offset(read: &Read, tap: usize, neighbour: i64) -> i32 {
    ((read.taps[tap] + neighbour * read.next) * read.size()) as i32
}

/// Whether what is read outside changes nothing.
fn is_neutral(plan: &WindowPlan, fold: &Fold, inside: &dyn Fn(usize) -> bool) -> bool {
    let outside = |read: &usize| !inside(*read);
    (0..plan.reads.len()).filter(outside).any(|read| {
        let read = &plan.reads[read];
        read.node == fold.value && plan.kernel.operand(read.operand).fill == fold.kind.start(plan.dtype)
    })
}

/// The fold with one more value.
fn step(
    e: &mut Wide,
    plan: &WindowPlan,
    fold: &Fold,
    sum: Option<Vector>,
    read: &mut dyn FnMut(&mut Wide, ExprId) -> Option<Vector>,
) -> Vector {
    let product = match plan.kernel.expr.nodes[fold.value.0 as usize] {
        Node::Binary(Binary::Mul, a, b) if fold.kind == FoldKind::Sum => Some((a, b)),
        _ => None,
    };
    let of = |values: &[Option<Vector>], id: ExprId| values[id.0 as usize].expect("nodes stand after what they use");
    if let (Some((a, b)), Some(sum)) = (product, sum) {
        let nodes: Vec<ExprId> = plan.value_nodes.iter().copied().filter(|id| *id != fold.value).collect();
        let values = computed(e, plan.kernel, &plan.types, &nodes, read);
        return e.multiply_add(plan.dtype, of(&values, a), of(&values, b), sum);
    }
    let values = computed(e, plan.kernel, &plan.types, &plan.value_nodes, read);
    let value = of(&values, fold.value);
    sum.map_or(value, |sum| expr::binary(e, fold.kind.combine(plan.dtype), plan.dtype, sum, value))
}
