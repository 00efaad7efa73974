//! Loops, the form that every kernel has, with one axis computed in lanes where that pays.
//!
//! The axis is parallel, so that each lane does what a single point would do, in the same order; or it is the innermost
//! loop of a fold, whose lanes are combined at its end, or of stores. What remains past the last whole row of lanes runs
//! point by point. Neither depends on the number of parts.

use super::chain;
use super::clif::{Clif, Parts, wide as wide_type};
use super::driver::Driver;
use super::{expr, lanes};
use crate::base::{DType, Scalar};
use crate::kernel::{AxisId, Binary, Body, ExprId, FoldKind, Node, Role, Statement, Store};
use cranelift_codegen::ir::{InstBuilder, Value};

/// Neighbours along an axis that are computed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lanes {
    pub(super) axis: AxisId,
    /// 8 or 16.
    pub(super) count: usize,
}

/// The loops around a kernel's body whose iterations are independent, and what stands in them.
pub(super) fn parallel_nest(statements: &[Statement]) -> (Vec<AxisId>, &[Statement]) {
    let mut axes = Vec::new();
    let mut body = statements;
    while let [Statement::For { axis, parallel: true, body: inner }] = body {
        axes.push(*axis);
        body = inner;
    }
    (axes, body)
}

/// A fold's step: `cell = cell op value`.
pub(super) fn fold_step(nodes: &[Node], statement: &Statement) -> Option<(u32, Binary, ExprId)> {
    let Statement::SetCell { cell, value } = statement else { return None };
    match &nodes[value.0 as usize] {
        Node::Binary(op, old, value) if nodes[old.0 as usize] == Node::Cell(*cell) && old != value => {
            Some((*cell, *op, *value))
        }
        _ => None,
    }
}

/// Emits a kernel whose body is `Loops`, `lanes` chosen by `select`.
pub(super) fn lower(d: &mut Driver, lanes: Option<Lanes>) {
    let Body::Loops(loops) = &d.kernel.body else { unreachable!("the caller desugared") };
    d.find_unstable();
    let (mut axes, body) = parallel_nest(&loops.statements);
    let parallel = lanes.filter(|l| axes.contains(&l.axis));
    if axes.is_empty() {
        let first = d.b.ins().icmp_imm_s(cranelift_codegen::ir::condcodes::IntCC::Equal, d.part, 0);
        return d.when(first, &mut |d| {
            declare_cells(d, &loops.cells, 1);
            d.enter_lanes(None, false);
            run(d, body, lanes);
        });
    }
    if let Some(l) = parallel {
        axes.retain(|axis| *axis != l.axis);
        axes.push(l.axis);
    }
    let extents: Vec<Value> = axes.iter().map(|axis| d.extent(*axis)).collect();
    let ranges = d.shares(&extents);
    let Some(l) = parallel else {
        declare_cells(d, &loops.cells, 1);
        d.enter_lanes(None, false);
        return d.each_in(&axes, &ranges, &mut |d| {
            d.forget();
            run(d, body, lanes);
        });
    };
    let outer = axes.len() - 1;
    let (from, to) = ranges[outer];
    d.each_in(&axes[..outer], &ranges[..outer], &mut |d| {
        let along = |d: &mut Driver, from, step: usize, lanes: Option<Lanes>| {
            declare_cells(d, &loops.cells, step);
            d.enter_lanes(lanes, true);
            d.each(from, to, step as i64, &mut |d, i| {
                d.forget();
                d.positions[l.axis.0 as usize] = Some(i);
                run(d, body, None);
            })
        };
        let rest = match only_stores(body) {
            Some(stores) => {
                d.enter_lanes(Some(l), true);
                d.forget();
                chain::store_along(d, &stores, from, to)
            }
            None => None,
        };
        let rest = rest.unwrap_or_else(|| along(d, from, l.count, Some(l)));
        along(d, rest, 1, None);
    });
}

/// The stores that a body consists of.
fn only_stores(body: &[Statement]) -> Option<Vec<&Store>> {
    let stores = body.iter().map(|statement| match statement {
        Statement::Store(store) => Some(store),
        _ => None,
    });
    stores.collect()
}

fn declare_cells(d: &mut Driver, cells: &[DType], count: usize) {
    d.cells.clear();
    for dtype in cells {
        let variables = d.new_variables(count, Scalar::zero(*dtype));
        d.cells.push(variables);
    }
}

fn run(d: &mut Driver, statements: &[Statement], along: Option<Lanes>) {
    statements.iter().for_each(|statement| emit(d, statement, along));
}

fn emit(d: &mut Driver, statement: &Statement, along: Option<Lanes>) {
    match statement {
        Statement::For { axis, body, .. } => {
            d.forget_unstable();
            let saved = d.values.clone();
            match along.filter(|l| l.axis == *axis) {
                Some(l) => emit_along(d, l, body),
                None => {
                    let (from, to) = (d.integer(0), d.extent(*axis));
                    d.each(from, to, 1, &mut |d, i| {
                        d.values.clone_from(&saved);
                        d.positions[axis.0 as usize] = Some(i);
                        run(d, body, along);
                    });
                }
            }
            d.values = saved;
        }
        Statement::If { condition, body } => {
            let condition = d.uniform(*condition);
            let saved = d.values.clone();
            d.when(condition, &mut |d| run(d, body, along));
            d.values = saved;
            d.forget_unstable();
        }
        Statement::SetCell { cell, value } => {
            let value = d.value(*value);
            d.set_cell(*cell, value);
            d.forget_unstable();
        }
        Statement::Store(store) => {
            d.store(store);
            if d.kernel.buffer(store.access.buffer).role == Role::ReadWrite {
                d.forget_unstable();
            }
        }
    }
}

/// A loop over the vector axis inside a point: a fold or stores.
fn emit_along(d: &mut Driver, l: Lanes, body: &[Statement]) {
    let (from, to) = (d.integer(0), d.extent(l.axis));
    let kept = d.values.clone();
    let point = |d: &mut Driver, i| {
        d.positions[l.axis.0 as usize] = Some(i);
    };
    let rest = match fold_step(&d.kernel.expr.nodes, &body[0]) {
        Some(fold) => fold_along(d, l, fold, from, to),
        None => {
            // Values of the row stay known: they do not vary along the axis.
            d.enter_lanes(Some(l), false);
            d.values.clone_from(&kept);
            let wide = only_stores(body).and_then(|stores| chain::store_along(d, &stores, from, to));
            let rest = wide.unwrap_or_else(|| {
                d.each(from, to, l.count as i64, &mut |d, i| {
                    d.values.clone_from(&kept);
                    point(d, i);
                    body.iter().for_each(|statement| emit(d, statement, None));
                })
            });
            d.enter_lanes(None, false);
            rest
        }
    };
    d.each(rest, to, 1, &mut |d, i| {
        d.values.clone_from(&kept);
        point(d, i);
        body.iter().for_each(|statement| emit(d, statement, None));
    });
}

fn fold_along(d: &mut Driver, l: Lanes, (cell, op, value): (u32, Binary, ExprId), from: Value, to: Value) -> Value {
    let dtype = d.types.of(value);
    let kept = d.values.clone();
    let start = neutral(op, dtype);
    d.enter_lanes(Some(l), false);
    d.values.clone_from(&kept);
    let wide = match start {
        Scalar::F32(start) => chain::fold_along(d, (op, value, start), from, to),
        _ => None,
    };
    let (lanes_total, rest) = wide.unwrap_or_else(|| {
        let variables = d.new_variables(l.count, start);
        let rest = d.each(from, to, l.count as i64, &mut |d, i| {
            d.values.clone_from(&kept);
            d.positions[l.axis.0 as usize] = Some(i);
            let value = d.value(value);
            let old = d.read_variables(&variables);
            let sum = expr::binary(&mut d.vector(l.count), op, dtype, old, value);
            d.set_variables(&variables, &sum);
        });
        (d.read_variables(&variables), rest)
    });
    d.enter_lanes(None, false);
    d.values = kept;
    let count = lanes_total.all().len() * if wide_type(dtype) { 2 } else { 4 };
    let mut combine = |e: &mut Clif, a: Parts, b: Parts| expr::binary(e, op, dtype, a, b);
    let total = lanes::across(&mut d.vector(count), dtype, lanes_total, &mut combine);
    let old = d.read_cell(cell);
    let sum = expr::binary(&mut d.single(), op, dtype, old, Parts::one(total));
    d.set_cell(cell, sum);
    rest
}

/// What a fold's lanes start from.
fn neutral(op: Binary, dtype: DType) -> Scalar {
    let kind = match op {
        Binary::Mul => FoldKind::Product,
        Binary::Max => FoldKind::Max,
        Binary::Min | Binary::And => FoldKind::Min,
        _ => FoldKind::Sum,
    };
    kind.start(dtype)
}

/// Whether lanes of a fold may be combined in any order, with a neutral element to start from.
pub(super) fn is_fold(op: Binary, dtype: DType) -> bool {
    match op {
        Binary::Add | Binary::Mul | Binary::Max | Binary::Min => dtype != DType::Bool,
        Binary::Or | Binary::And => dtype == DType::Bool,
        _ => false,
    }
}
