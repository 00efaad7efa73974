//! Bringing the sides of a contraction into the form that leaves read.

use super::arithmetic::Arithmetic;
use super::clif::Parts;
use super::contract::{ContractPlan, ROW_GAP};
use super::driver::Driver;
use super::nest::Lanes;
use super::select::lanes_along;
use super::tiles::Frame;
use super::{expr, lanes, leaves};
use crate::base::{DType, Dim, Scalar, Storage};
use crate::kernel::{Access, AxisId, BufferId, Contract, ExprId, Node};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F32X4, I64};
use cranelift_codegen::ir::{InstBuilder, Value};

/// How the right side lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// In panels, in this buffer.
    Panels(BufferId),
    /// Row by row along k, in this storage.
    Rows(Storage),
    /// Column beside column in f32, against one row of the left side.
    Strips,
    /// Otherwise: evaluated column by column.
    Columns,
}

/// Axes at their first position.
pub(super) fn bind_first(d: &mut Driver, axes: &[AxisId]) {
    let zero = d.integer(0);
    axes.iter().for_each(|axis| d.positions[axis.0 as usize] = Some(zero));
}

/// The value of an expression as f32, one number per lane.
fn single_precision(d: &mut Driver, root: ExprId) -> Parts {
    let value = d.value(root);
    let from = d.types.of(root);
    let count = d.lanes.map_or(1, |lanes| lanes.count);
    expr::convert(&mut d.vector(count), from, DType::F32, value)
}

fn write_parts(d: &mut Driver, value: Parts, at: Value) {
    for (i, part) in (0..).zip(value.all()) {
        d.write(*part, at, i * 16);
    }
}

/// Evaluates an expression over axes, the last innermost, to consecutive f32 numbers.
pub(super) fn evaluate(d: &mut Driver, root: ExprId, axes: &[AxisId], to: Value) {
    let Some((inner, outer)) = axes.split_last() else {
        d.enter_lanes(None, false);
        let value = single_precision(d, root);
        return d.write(value.scalar(), to, 0);
    };
    let (length, zero) = (d.extent(*inner), d.integer(0));
    let lanes = lanes_along(d.kernel, &[root], *inner, 8);
    d.each_position(outer, &mut |d| {
        let mut flat = d.integer(0);
        for axis in outer {
            let extent = d.extent(*axis);
            flat = d.b.ins().imul(flat, extent);
            flat = d.b.ins().iadd(flat, d.positions[axis.0 as usize].expect("bound by the loop"));
        }
        let skipped = d.b.ins().imul(flat, length);
        let bytes = d.times(skipped, 4);
        let row = d.offset(to, bytes);
        let along = |d: &mut Driver, from: Value, step: i64, lanes: Option<Lanes>| {
            d.enter_lanes(lanes, false);
            d.each(from, length, step, &mut |d, i| {
                d.positions[inner.0 as usize] = Some(i);
                d.forget();
                let value = single_precision(d, root);
                let bytes = d.times(i, 4);
                let at = d.offset(row, bytes);
                write_parts(d, value, at);
            })
        };
        let rest = match lanes {
            Some(lanes) => along(d, zero, lanes.count as i64, Some(lanes)),
            None => zero,
        };
        along(d, rest, 1, None);
    });
    d.enter_lanes(None, false);
}

/// Rows `from..to` of the left side, one after another.
pub(super) fn evaluate_left(d: &mut Driver, c: &Contract, left: Value, (from, to): (Value, Value), depth: Value) {
    d.each(from, to, 1, &mut |d, m| {
        d.unflatten(&c.m, m);
        let number = d.b.ins().isub(m, from);
        let bytes = d.times(depth, 4);
        let bytes = d.b.ins().iadd_imm_s(bytes, ROW_GAP);
        let skipped = d.b.ins().imul(number, bytes);
        let row = d.offset(left, skipped);
        evaluate(d, c.a, &c.k, row);
    });
}

/// Whether the columns of the panel at `n` are all there and neighbours along the innermost axis of n.
pub(super) fn one_run(d: &mut Driver, plan: &ContractPlan, n: Value, width: Value) -> Value {
    let end = d.b.ins().iadd_imm_s(n, plan.width);
    let [.., _, inner] = plan.c.n[..] else {
        return d.b.ins().icmp(IntCC::SignedLessThanOrEqual, end, width);
    };
    let extent = d.extent(inner);
    let position = d.b.ins().urem(n, extent);
    let end = d.b.ins().iadd_imm_s(position, plan.width);
    d.b.ins().icmp(IntCC::SignedLessThanOrEqual, end, extent)
}

/// The panel `[k][width]` at column `n`, evaluated; zeros past the last column.
pub(super) fn evaluate_columns(d: &mut Driver, plan: &ContractPlan, f: &Frame, n: Value) {
    let single = |d: &mut Driver| {
        let (zero, all) = (d.integer(0), d.integer(plan.width));
        d.enter_lanes(None, false);
        d.each(zero, all, 1, &mut |d, x| {
            let flat = d.b.ins().iadd(n, x);
            let inside = d.b.ins().icmp(IntCC::SignedLessThan, flat, f.width);
            let flat = d.b.ins().select(inside, flat, n);
            d.unflatten(&plan.c.n, flat);
            let bytes = d.times(x, 4);
            let column = d.offset(f.panel, bytes);
            each_depth(d, &plan.c.k, &mut |d, k| {
                d.forget();
                let value = single_precision(d, plan.c.b).scalar();
                let nothing = d.single().constant(Scalar::F32(0.0)).scalar();
                let value = d.b.ins().select(inside, value, nothing);
                let bytes = d.times(k, plan.width * 4);
                let at = d.offset(column, bytes);
                d.write(value, at, 0);
            });
        });
    };
    let rows = plan.column_rows().filter(|_| d.isa.wide().is_some());
    let Some(lanes) = plan.column_lanes(plan.c.b) else { return single(d) };
    let together = one_run(d, plan, n, f.width);
    let (fast, slow, end) = (d.b.create_block(), d.b.create_block(), d.b.create_block());
    d.b.ins().brif(together, fast, &[], slow, &[]);
    d.b.switch_to_block(slow);
    single(d);
    d.b.ins().jump(end, &[]);
    d.b.switch_to_block(fast);
    match rows {
        Some((access, stride)) => copy_columns(d, plan, f, (access, &stride), n),
        None => evaluate_lanes(d, plan, f, lanes, n),
    }
    d.b.ins().jump(end, &[]);
    d.b.switch_to_block(end);
}

fn copy_columns(d: &mut Driver, plan: &ContractPlan, f: &Frame, (access, stride): (&Access, &Dim), n: Value) {
    d.unflatten(&plan.c.n, n);
    bind_first(d, &plan.c.k);
    d.forget();
    let (element, _) = d.element(access, None);
    let from = d.address(access, element);
    let stride = d.dim(stride);
    let leaf = d.leaves[leaves::COPY];
    d.b.ins().call(leaf, &[f.depth, from, f.panel, stride]);
}

fn evaluate_lanes(d: &mut Driver, plan: &ContractPlan, f: &Frame, lanes: Lanes, n: Value) {
    let zero = d.integer(0);
    let width = d.integer(plan.width);
    d.enter_lanes(Some(lanes), false);
    d.each(zero, width, lanes.count as i64, &mut |d, x| {
        let flat = d.b.ins().iadd(n, x);
        d.unflatten(&plan.c.n, flat);
        let bytes = d.times(x, 4);
        let columns = d.offset(f.panel, bytes);
        each_depth(d, &plan.c.k, &mut |d, k| {
            d.forget();
            let value = single_precision(d, plan.c.b);
            let bytes = d.times(k, plan.width * 4);
            let at = d.offset(columns, bytes);
            write_parts(d, value, at);
        });
    });
    d.enter_lanes(None, false);
}

/// Loops over the k axes, giving the flat depth.
fn each_depth(d: &mut Driver, axes: &[AxisId], body: &mut dyn FnMut(&mut Driver, Value)) {
    d.each_position(axes, &mut |d| {
        let mut flat: Option<Value> = None;
        for axis in axes {
            let position = d.positions[axis.0 as usize].expect("bound by the loop");
            flat = Some(match flat {
                None => position,
                Some(flat) => {
                    let extent = d.extent(*axis);
                    let moved = d.b.ins().imul(flat, extent);
                    d.b.ins().iadd(moved, position)
                }
            });
        }
        let flat = flat.unwrap_or_else(|| d.integer(0));
        body(d, flat);
    });
}

/// Pointers to the rows of the panel at column `n`, decoded to f32 where they are not, unless they are to be read `as_is`. Columns past the last repeat it.
pub(super) fn fetch_rows(d: &mut Driver, plan: &ContractPlan, f: &Frame, storage: Storage, n: Value, as_is: bool) {
    let Node::Operand(operand) = plan.kernel.expr.nodes[plan.c.b.0 as usize] else { unreachable!("rows are read") };
    let access = plan.kernel.operand(operand);
    let (zero, all) = (d.integer(0), d.integer(plan.width));
    let last = d.b.ins().iadd_imm_s(f.width, -1);
    let row_bytes = d.times(f.depth, 4);
    d.enter_lanes(None, false);
    d.each(zero, all, 1, &mut |d, x| {
        let flat = d.b.ins().iadd(n, x);
        let flat = d.b.ins().smin(flat, last);
        d.unflatten(&plan.c.n, flat);
        bind_first(d, &plan.c.k);
        d.forget();
        let (element, _) = d.element(access, None);
        let pointer = if as_is || storage == Storage::Plain(DType::F32) {
            d.address(access, element)
        } else {
            let skipped = d.b.ins().imul(x, row_bytes);
            let row = d.offset(f.rows, skipped);
            d.fetch(storage, d.buffers[access.buffer.0 as usize], element, f.depth, row);
            row
        };
        let bytes = d.times(x, 8);
        let at = d.offset(f.pointers, bytes);
        d.write(pointer, at, 0);
    });
}

/// The panel `[k][width]` from the rows that `fetch_rows` found, by eights in wide vectors, then by fours.
pub(super) fn transpose_rows(d: &mut Driver, plan: &ContractPlan, f: &Frame) {
    let (zero, all) = (d.integer(0), d.integer(plan.width));
    let mut done = zero;
    if d.isa.wide().is_some() {
        d.each(zero, all, 8, &mut |d, column| {
            let (list, to) = (d.times(column, 8), d.times(column, 4));
            let (list, to) = (d.offset(f.pointers, list), d.offset(f.panel, to));
            let leaf = d.leaves[leaves::TRANSPOSE];
            d.b.ins().call(leaf, &[f.depth, list, to, zero]);
        });
        done = d.b.ins().band_imm_s(f.depth, !7);
    }
    d.each(zero, all, 4, &mut |d, column| {
        let at = d.times(column, 8);
        let at = d.offset(f.pointers, at);
        let sources: Vec<Value> = (0..4).map(|i| d.read(I64, at, i * 8)).collect();
        let skipped = d.times(column, 4);
        let target = d.offset(f.panel, skipped);
        transpose_four(d, plan, (done, f.depth), &sources, target);
    });
}

/// Elements `from..depth` of four rows.
fn transpose_four(
    d: &mut Driver,
    plan: &ContractPlan,
    (from, depth): (Value, Value),
    sources: &[Value],
    target: Value,
) {
    let place = |d: &mut Driver, k: Value| {
        let offset = d.times(k, 4);
        let row = d.times(k, plan.width * 4);
        (offset, d.offset(target, row))
    };
    let rest = d.each(from, depth, 4, &mut |d, k| {
        let (offset, to) = place(d, k);
        let rows: Vec<Value> = sources
            .iter()
            .map(|source| {
                let at = d.offset(*source, offset);
                d.read(F32X4, at, 0)
            })
            .collect();
        let columns = lanes::transpose(&mut d.b, [rows[0], rows[1], rows[2], rows[3]]);
        for (i, column) in (0..).zip(columns) {
            d.write(column, to, i * plan.width as i32 * 4);
        }
    });
    d.each(rest, depth, 1, &mut |d, k| {
        let (offset, to) = place(d, k);
        for (i, source) in (0..).zip(sources) {
            let at = d.offset(*source, offset);
            let number = d.read(F32, at, 0);
            d.write(number, to, i * 4);
        }
    });
}
