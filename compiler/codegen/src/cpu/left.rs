//! Rows of the left side brought together: what a window sees, as runs of numbers that lie side by side.
//!
//! A run spans the innermost axes of k that the access moves along without a gap, and at most one guard, whose axis it
//! begins with: what lies outside of that is cleared, or filled, at the run's ends.

use super::address::{Motion, motion};
use super::contract::ROW_GAP;
use super::driver::Driver;
use super::panels::group_of;
use super::x86;
use crate::base::{Dim, Scalar};
use crate::kernel::{Access, AxisId, Coord, Index, Kernel, Source};
use cranelift_codegen::ir::{FuncRef, InstBuilder, Value};

/// How the rows of an access over axes of k are copied.
pub(super) struct Runs<'k> {
    access: &'k Access,
    /// The axes of k before a run's.
    outer: Vec<AxisId>,
    /// The axes of a run.
    inner: Vec<AxisId>,
    /// The guarded coordinate that a run clips, by number, and the extent of its axis.
    clipped: Option<(usize, i64)>,
    /// Numbers of a run, and of each position of its first axis.
    pub(super) length: i64,
    each: i64,
    /// Numbers from one run's place to the next's, and of a row: more than are copied where groups are filled up.
    place: i64,
    pub(super) depth: i64,
    /// Bytes of a number.
    bytes: i64,
    /// The byte that numbers outside are made of.
    fill: u8,
}

impl<'k> Runs<'k> {
    /// `None` where the access is not made of runs worth copying.
    pub(super) fn new(kernel: &'k Kernel, access: &'k Access, k: &[AxisId]) -> Option<Self> {
        let storage = kernel.buffer(access.buffer).storage;
        let (group, bytes) = (group_of(storage).unwrap_or(1), storage.bytes_for(1)?);
        let fills = bytes == 1 || access.fill == Scalar::zero(storage.compute());
        if !fills || access.values().next().is_some() {
            return None;
        }
        let fill = if bytes == 1 { access.fill.as_i64() as u8 } else { 0 };
        let extent = |axis: &AxisId| kernel.axis(*axis).extent.as_constant().filter(|extent| *extent > 0);
        let (last, others) = k.split_last()?;
        let place = (extent(last)? + group - 1) / group * group;
        let filled = place != extent(last)?;
        let depth = others.iter().map(extent).try_fold(place, |depth, extent| Some(depth * extent?))?;
        let (mut dense, mut clipped, mut each, mut first) = (1, None, 1, k.len());
        for (number, axis) in k.iter().enumerate().rev() {
            let guarded: Vec<usize> = guarded_along(access, *axis);
            let one =
                |coord: &usize| matches!(&access.coords[*coord].source, Source::Index(index) if plain(index, *axis));
            let fits = clipped.is_none() && guarded.len() <= 1 && guarded.iter().all(one);
            if !fits || (filled && first < k.len()) || motion(kernel, access, *axis) != Motion::Step(Dim::from(dense)) {
                break;
            }
            (first, each) = (number, dense);
            dense *= extent(axis)?;
            clipped = guarded.first().map(|coord| (*coord, dense / each));
        }
        let (outer, inner) = k.split_at(first);
        let (outer, inner) = (outer.to_vec(), inner.to_vec());
        let place = if filled { place } else { dense };
        let worth = if group > 1 { !inner.is_empty() } else { dense >= 8 };
        worth.then_some(Runs { access, outer, inner, clipped, length: dense, each, place, depth, bytes, fill })
    }

    /// Bytes from one copied row to the next.
    pub(super) fn row_bytes(&self) -> i64 {
        self.depth * self.bytes + ROW_GAP
    }
}

fn guarded_along(access: &Access, axis: AxisId) -> Vec<usize> {
    let mentions = |coord: &Coord| matches!(&coord.source, Source::Index(index) if index.mentions(axis));
    let coords = access.coords.iter().enumerate();
    coords.filter(|(_, coord)| coord.guard.is_some() && mentions(coord)).map(|(number, _)| number).collect()
}

/// Whether an index moves with the axis, one by one.
fn plain(index: &Index, axis: AxisId) -> bool {
    index.is_affine() && index.terms.contains(&(axis, 1))
}

/// Copies rows `from..to` of axes m to consecutive places of scratch.
pub(super) fn copy(d: &mut Driver, runs: &Runs, m: &[AxisId], from: Value, to: Value, scratch: Value) {
    let (copy, clear) = (d.leaf(x86::copy_run(runs.bytes), 3), d.leaf(x86::clear_run(runs.bytes, runs.fill), 3));
    d.each(from, to, 1, &mut |d, row| {
        d.unflatten(m, row);
        let number = d.b.ins().isub(row, from);
        let skipped = d.times(number, runs.row_bytes());
        let start = d.offset(scratch, skipped);
        let outer = runs.outer.clone();
        d.each_position(&outer, &mut |d| {
            let zero = d.integer(0);
            runs.inner.iter().for_each(|axis| d.positions[axis.0 as usize] = Some(zero));
            d.forget();
            let mut flat = zero;
            for axis in &outer {
                let extent = d.extent(*axis);
                flat = d.b.ins().imul(flat, extent);
                flat = d.b.ins().iadd(flat, d.positions[axis.0 as usize].expect("bound by the loop"));
            }
            let skipped = d.times(flat, runs.place * runs.bytes);
            let run = d.offset(start, skipped);
            copy_run(d, runs, run, (copy, clear));
        });
    });
}

/// One run at the current point.
fn copy_run(d: &mut Driver, runs: &Runs, to: Value, (copy, clear): (FuncRef, FuncRef)) {
    let access = runs.access;
    let (element, _) = d.element(access, None);
    let from = d.address(access, element);
    let all = d.integer(runs.length);
    let mut inside = None;
    for (number, coord) in access.coords.iter().enumerate() {
        let (Some(guard), Source::Index(index)) = (&coord.guard, &coord.source) else { continue };
        if runs.clipped.is_none_or(|(clipped, _)| clipped != number) {
            let (position, guard) = (d.index(index), d.dim(guard));
            let holds = d.b.ins().icmp(cranelift_codegen::ir::condcodes::IntCC::UnsignedLessThan, position, guard);
            d.and(&mut inside, holds);
        }
    }
    let mut whole = |d: &mut Driver| -> Vec<Value> {
        let Some((number, extent)) = runs.clipped else {
            d.b.ins().call(copy, &[all, from, to]);
            return vec![];
        };
        let coord = &access.coords[number];
        let Source::Index(index) = &coord.source else { unreachable!("clipped coordinates are indices") };
        let guard = coord.guard.as_ref().expect("clipped coordinates are guarded");
        let (position, guard, zero, extent) = (d.index(index), d.dim(guard), d.integer(0), d.integer(extent));
        let before = d.b.ins().ineg(position);
        let rest = d.b.ins().isub(guard, position);
        let [low, high] = [before, rest].map(|bound| {
            let bound = d.b.ins().smax(bound, zero);
            let bound = d.b.ins().smin(bound, extent);
            d.times(bound, runs.each)
        });
        let high = d.b.ins().smax(high, low);
        let [low_bytes, high_bytes] = [low, high].map(|numbers| d.times(numbers, runs.bytes));
        let some = d.b.ins().icmp_imm_s(cranelift_codegen::ir::condcodes::IntCC::NotEqual, low, 0);
        d.when(some, &mut |d| {
            d.b.ins().call(clear, &[low, from, to]);
        });
        let (count, from, middle) = (d.b.ins().isub(high, low), d.offset(from, low_bytes), d.offset(to, low_bytes));
        d.b.ins().call(copy, &[count, from, middle]);
        let (rest, end) = (d.b.ins().isub(all, high), d.offset(to, high_bytes));
        let some = d.b.ins().icmp_imm_s(cranelift_codegen::ir::condcodes::IntCC::NotEqual, rest, 0);
        d.when(some, &mut |d| {
            d.b.ins().call(clear, &[rest, from, end]);
        });
        vec![]
    };
    match inside {
        None => {
            whole(d);
        }
        Some(inside) => {
            d.either(inside, &[], &mut whole, &mut |d| {
                d.b.ins().call(clear, &[all, from, to]);
                vec![]
            });
        }
    }
}
