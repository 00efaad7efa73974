//! The register tile of a block: `(depth, pointers)`, sums and what follows them without a step through memory.
//!
//! Where what follows needs more registers than the sums leave, they are laid aside first.

use super::arithmetic::{Cursor, LeafEmitter, Start};
use super::blocks::BlockPlan;
use super::leaves::{AHEAD_BYTES, FEW_ROWS, LEFT_AHEAD, RIGHT_AHEAD, UNROLL, sums_of};
use super::panels::PANEL;
use super::x86::{OutOfRegisters, Wide};

/// Rows and columns of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) rows: i64,
    pub(super) columns: i64,
}

/// Which steps of k a tile takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// All of them.
    Whole,
    /// Some: sums come from where they are laid aside and go there again.
    Part,
    /// The last: the same sums, finished.
    Last,
}

/// Pointers of every tile: the left side's first row, what is asked for ahead, and where sums are laid aside. Those to
/// panels follow, then those of the epilogue.
pub(super) const LEFT: usize = 0;
pub(super) const AHEAD: usize = 1;
pub(super) const ASIDE: usize = 2;
pub(super) const RIGHT: usize = 3;

/// The bytes of the leaf for a shape.
pub(super) fn emit(plan: &BlockPlan, shape: Shape, piece: Piece) -> Result<Vec<u8>, OutOfRegisters> {
    emit_with(plan, shape, piece, false).or_else(|OutOfRegisters| emit_with(plan, shape, piece, true))
}

fn emit_with(plan: &BlockPlan, shape: Shape, piece: Piece, aside: bool) -> Result<Vec<u8>, OutOfRegisters> {
    let lanes = plan.width.lanes();
    let (rows, vectors, vector) = (shape.rows, (shape.columns + lanes - 1) / lanes, lanes as i32 * 4);
    let (panel_step, size) = (PANEL * i64::from(plan.kept.bytes()), plan.kept.bytes());
    let moved = [4, AHEAD_BYTES * plan.lines, 0].into_iter().chain((0..plan.panels_together()).map(|_| panel_step));
    let moved = moved.chain(plan.epilogue.moves().map(|_| 0));
    let cursors: Vec<Cursor> =
        moved.enumerate().map(|(place, bytes)| Cursor { start: Start::Listed { list: 1, place }, bytes }).collect();
    Wide::chain(plan.width, |e| {
        e.start(&cursors);
        let place = |row: i64, j: i64| (row * vectors + j) as i32 * vector;
        let set = |e: &mut Wide, begun: bool| -> Vec<Vec<u8>> {
            let variable =
                |e: &mut Wide, row, j| if begun { e.variable_at(ASIDE, place(row, j)) } else { e.variable() };
            (0..rows).map(|row| (0..vectors).map(|j| variable(e, row, j)).collect()).collect()
        };
        let sets: Vec<_> =
            (0..sums_of(rows, vectors)).map(|number| set(e, number == 0 && piece != Piece::Whole)).collect();
        e.steps(0, &cursors, UNROLL, &mut |e, step| {
            let sums = &sets[step as usize % sets.len()];
            let step = step as i32;
            let right = |e: &mut Wide, j: i64| {
                let bytes = j as i32 * lanes as i32 * size;
                let (panel, inside) = (bytes / panel_step as i32, bytes % panel_step as i32);
                e.widen(RIGHT + panel as usize, step * panel_step as i32 + inside, plan.kept)
            };
            let left = |e: &mut Wide, row: i64| e.broadcast(LEFT, row as i32 * plan.left_step() as i32 + step * 4);
            if rows <= FEW_ROWS {
                let one = plan.panels_together() == 1;
                (0..usize::from(one)).for_each(|_| e.prefetch(RIGHT, step * panel_step as i32 + RIGHT_AHEAD));
                let left: Vec<_> = (0..rows).map(|row| left(e, row)).collect();
                for j in 0..vectors {
                    let right = right(e, j);
                    sums.iter().zip(&left).for_each(|(sums, left)| e.accumulate(sums[j as usize], right, *left));
                }
                return;
            }
            let right: Vec<_> = (0..vectors).map(|j| right(e, j)).collect();
            if step == 0 {
                (0..plan.lines).for_each(|line| e.prefetch_far(AHEAD, line as i32 * 64));
                (0..rows as i32).for_each(|row| e.prefetch(LEFT, row * plan.left_step() as i32 + LEFT_AHEAD));
            }
            for (row, sums) in (0..).zip(sums) {
                let left = left(e, row);
                sums.iter().zip(&right).for_each(|(sum, right)| e.accumulate(*sum, *right, left));
            }
        });
        let (sums, others) = sets.split_first().expect("there is a sum for each number");
        for other in others {
            sums.iter().flatten().zip(other.iter().flatten()).for_each(|(sum, other)| e.merge(*sum, *other));
        }
        if aside || piece == Piece::Part {
            for (row, sums) in (0..).zip(sums) {
                for (j, sum) in (0..).zip(sums) {
                    let sum = e.read(*sum);
                    e.store_at(ASIDE, place(row, j), sum);
                }
            }
            e.drop_variables();
        }
        if piece == Piece::Part {
            return;
        }
        for (row, sums) in (0..).zip(sums) {
            for (j, sum) in (0..).zip(sums) {
                let sum = if aside { e.load(ASIDE, place(row, j)) } else { e.read(*sum) };
                let there = (shape.columns - j * lanes).min(lanes);
                let first = RIGHT + plan.panels_together();
                plan.epilogue.store(e, (plan.kernel, &plan.types), first, (row, j as i32 * vector), there, sum);
            }
        }
    })
}
