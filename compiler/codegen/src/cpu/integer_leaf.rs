//! The register tile of a contraction of bytes: `(groups of four steps, pointers)`.

use super::arithmetic::{Arithmetic, Cursor, LeafEmitter, Shift, Start};
use super::integers::{Finish, Form, IntegerPlan};
use super::panels::PANEL;
use super::x86::{OutOfRegisters, Wide};
use crate::base::DType;
use crate::kernel::Binary;

/// Groups of one turn of the loop.
const UNROLL: i64 = 2;

/// Tiles up to this height ask for the right side ahead, by so many bytes: memory is what they wait for.
const FEW_ROWS: i64 = 2;
const AHEAD: i32 = 2048;

/// Bytes of a group of a panel.
const GROUP: i64 = PANEL * 4;

/// Sums of columns, where the left side is moved by 128.
struct Columns {
    ones: u8,
    sums: Vec<u8>,
}

/// The bytes of the leaf for `rows` rows.
pub(super) fn emit(plan: &IntegerPlan, rows: i64, finish: Finish) -> Result<Vec<u8>, OutOfRegisters> {
    let form = plan.form;
    let lanes = form.width.lanes();
    let (vectors, others) = match (finish, &plan.epilogue) {
        (Finish::Vectors(vectors), Some(epilogue)) => (vectors, epilogue.moves().count()),
        _ => (PANEL / lanes, 1),
    };
    let moved = [form.group_bytes(), GROUP].into_iter().chain(std::iter::repeat_n(0, others));
    let cursors: Vec<Cursor> =
        moved.enumerate().map(|(place, bytes)| Cursor { start: Start::Listed { list: 1, place }, bytes }).collect();
    Wide::chain(form.width, |e| {
        let sums: Vec<Vec<u8>> = (0..rows).map(|_| (0..vectors).map(|_| e.variable()).collect()).collect();
        let columns = form.is_moved().then(|| {
            let sums = (0..vectors).map(|_| e.variable()).collect();
            Columns { ones: e.variable_of(0x0101_0101), sums }
        });
        e.each_step(0, &cursors, UNROLL, &mut |e, step| {
            let right = step as i32 * GROUP as i32;
            if rows <= FEW_ROWS {
                e.prefetch(1, right + AHEAD);
            }
            match form.dots {
                true => dots(e, plan, &sums, columns.as_ref(), step),
                false => words(e, plan, &sums, step),
            }
        });
        for (row, sums) in (0..).zip(&sums) {
            for (j, sum) in (0..).zip(sums) {
                let bytes = (j * lanes * 4) as i32;
                let sum = corrected(e, form, columns.as_ref().map(|c| c.sums[j as usize]), *sum);
                match (finish, &plan.epilogue) {
                    (Finish::Vectors(_), Some(epilogue)) => {
                        epilogue.store(e, (plan.kernel, &plan.types), 2, (row, bytes), e.lanes(), sum);
                    }
                    _ => e.store_at(2, (row * PANEL * 4) as i32 + bytes, sum),
                }
            }
        }
    })
}

/// A group as 16-bit integers: steps 0 and 2 of every column, then 1 and 3.
fn words(e: &mut Wide, plan: &IntegerPlan, sums: &[Vec<u8>], step: i64) {
    let vector = plan.form.width.lanes() * 4;
    for second in [false, true] {
        let right: Vec<_> = (0..sums[0].len() as i64)
            .map(|j| {
                let bytes = e.load(1, (step * GROUP + j * vector) as i32);
                e.bytes_of_pairs(bytes, second, plan.form.right_signed)
            })
            .collect();
        for (row, sums) in (0..).zip(sums) {
            let at = row * plan.row_bytes() + step * plan.form.group_bytes() + i64::from(second) * 4;
            let left = e.broadcast(0, at as i32);
            for (sum, right) in sums.iter().zip(&right) {
                let product = e.multiply_pairs(*right, left);
                e.increase(*sum, product);
            }
        }
    }
}

/// A group as bytes.
fn dots(e: &mut Wide, plan: &IntegerPlan, sums: &[Vec<u8>], columns: Option<&Columns>, step: i64) {
    let (form, vector) = (plan.form, plan.form.width.lanes() * 4);
    let dot = |e: &mut Wide, sum: u8, left, right| match form.right_signed {
        true => e.dot_bytes(sum, left, right),
        false => e.dot_bytes(sum, right, left),
    };
    let right: Vec<_> = (0..sums[0].len() as i64).map(|j| e.load(1, (step * GROUP + j * vector) as i32)).collect();
    if let Some(columns) = columns {
        let ones = e.read(columns.ones);
        columns.sums.iter().zip(&right).for_each(|(sum, right)| dot(e, *sum, ones, *right));
    }
    for (row, sums) in (0..).zip(sums) {
        let left = e.broadcast(0, (row * plan.row_bytes() + step * form.group_bytes()) as i32);
        sums.iter().zip(&right).for_each(|(sum, right)| dot(e, *sum, left, *right));
    }
}

/// A sum without what moving the left side by 128 added to it, or took.
fn corrected(e: &mut Wide, form: Form, column: Option<u8>, sum: u8) -> <Wide as Arithmetic>::Value {
    let sum = e.read(sum);
    let Some(column) = column else { return sum };
    let column = e.read(column);
    let column = e.shift(Shift::Left, DType::I32, column, 7);
    e.binary(if form.left_signed { Binary::Sub } else { Binary::Add }, DType::I32, sum, column)
}
