//! The register tile of a convolution: `(depth, pointers)`, sums and what follows them without a step through memory.

use super::arithmetic::{Cursor, LeafEmitter, Start};
use super::convolve::ConvolvePlan;
use super::panels::PANEL;
use super::x86::{OutOfRegisters, Wide, Width};

/// Steps of k in one turn of a loop.
const UNROLL: i64 = 4;

/// The bytes of the leaf for `rows` rows and the first `vectors` vectors of a panel.
pub(super) fn emit(plan: &ConvolvePlan, width: Width, rows: i64, vectors: i64) -> Result<Vec<u8>, OutOfRegisters> {
    let vector = width.lanes() as i32 * 4;
    let moved = [4, PANEL * 4].into_iter().chain(plan.epilogue.moves().map(|_| 0));
    let cursors: Vec<Cursor> =
        moved.enumerate().map(|(place, bytes)| Cursor { start: Start::Listed { list: 1, place }, bytes }).collect();
    Wide::chain(width, |e| {
        let sums: Vec<Vec<u8>> = (0..rows).map(|_| (0..vectors).map(|_| e.variable()).collect()).collect();
        e.each_step(0, &cursors, UNROLL, &mut |e, step| {
            let step = step as i32;
            let right: Vec<_> = (0..vectors as i32).map(|j| e.load(1, step * PANEL as i32 * 4 + j * vector)).collect();
            for (row, sums) in (0..).zip(&sums) {
                let left = e.broadcast(0, row * plan.left_step() as i32 + step * 4);
                sums.iter().zip(&right).for_each(|(sum, right)| e.accumulate(*sum, *right, left));
            }
        });
        for (row, sums) in (0..).zip(&sums) {
            for (j, sum) in (0..).zip(sums) {
                let sum = e.read(*sum);
                plan.epilogue.store(e, (plan.kernel, &plan.types), 2, (row, j * vector), sum);
            }
        }
    })
}
