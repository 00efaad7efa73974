//! `contract` in f32: panels of the right side, register tiles, and the epilogue on each finished tile.
//!
//! The right side is taken in panels of `panel_width` columns: in place where it lies so (`packed_panels`), transposed where
//! its rows lie along k, as weights do, else evaluated column by column. With few rows on the left, rows that lie along k
//! are dotted as they are. The left side is read in place where its rows lie along k, else evaluated into scratch once.
//! A tile sums in the order of k and a dot product in sixteen sums, whatever the number of parts.

use super::address::{Motion, motion};
use super::chain;
use super::driver::{Accumulator, Driver};
use super::leaves;
use super::nest::Lanes;
use super::pack::{self, Right};
use super::select::{self, DOT_ROWS, Isa, is_unit, lanes_along, panel_width};
use crate::base::{DType, Dim, Storage};
use crate::kernel::{Access, AxisId, Body, Contract, ExprId, Kernel, Node, Store};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};

/// How a contraction runs.
pub(super) struct ContractPlan<'k> {
    pub(super) kernel: &'k Kernel,
    /// With m and n exchanged where n has one position.
    pub(super) c: Contract,
    pub(super) right: Right,
    /// Whether rows of the left side are read in place.
    pub(super) left_in_place: bool,
    /// The innermost axis of n, where the epilogue and packing may take a panel's columns together.
    columns: Option<AxisId>,
    pub(super) width: i64,
    /// Heights of tiles, the tallest first.
    heights: &'static [i64],
}

/// Columns that the epilogue and packing take together.
pub(super) const LANES: usize = 8;

/// Bytes between evaluated rows of the left side.
pub(super) const ROW_GAP: i64 = 64;

/// What a lowering in progress keeps at hand.
pub(super) struct Frame {
    pub(super) depth: Value,
    /// Scratch of this part: evaluated left rows, a panel, fetched rows of the right side.
    left: Value,
    pub(super) panel: Value,
    pub(super) rows: Value,
    /// Pointers to the right side's rows of a panel and to the left side's rows of a tile, and a finished tile; on the
    /// stack.
    pub(super) pointers: Value,
    left_rows: Value,
    tile: Value,
    /// The first row that was evaluated into scratch.
    first_row: Value,
    height: Value,
    pub(super) width: Value,
}

impl<'k> ContractPlan<'k> {
    /// `None` when the loops do as well: other types, or one row against columns that lie side by side.
    pub(super) fn new(kernel: &'k Kernel, isa: Isa) -> Option<Self> {
        let Body::Contract(contract) = &kernel.body else { return None };
        if contract.accumulator != DType::F32 {
            return None;
        }
        let mut c = contract.clone();
        if is_unit(kernel, &c.n) && !is_unit(kernel, &c.m) {
            (c.m, c.n, c.a, c.b) = (c.n, c.m, c.b, c.a);
        }
        let mut width = panel_width(isa);
        let mut right = right_side(kernel, &c, width);
        if is_unit(kernel, &c.m) && matches!(right, Right::Columns) {
            if isa.wide().is_none() || c.n.len() != 1 || column_rows(kernel, &c).is_none() {
                return None;
            }
            (right, width) = (Right::Strips, leaves::STRIP[0].0);
        }
        let left_in_place = row_access(kernel, c.a, &c.k)
            .is_some_and(|access| kernel.buffer(access.buffer).storage == Storage::Plain(DType::F32))
            && !(isa.wide().is_some() && rows_collide(kernel, &c));
        let columns = c.n.last().copied().filter(|axis| {
            c.stores.iter().all(|store| motion(kernel, &store.access, *axis) == Motion::Step(Dim::from(1)))
        });
        let heights = isa.tile_heights();
        Some(ContractPlan { kernel, c, right, left_in_place, columns, width, heights })
    }

    fn tallest(&self) -> i64 {
        self.heights[0]
    }

    fn extent(&self, axes: &[AxisId]) -> Dim {
        axes.iter().map(|axis| self.kernel.axis(*axis).extent.clone()).product()
    }

    /// Bytes of scratch for each part.
    pub(super) fn scratch(&self) -> Dim {
        let [left, panel, rows] = self.regions();
        left + panel + rows
    }

    /// Bytes of the left rows, the panel and the fetched rows.
    fn regions(&self) -> [Dim; 3] {
        let depth = self.extent(&self.c.k) * 4;
        let left = if self.left_in_place { Dim::from(0) } else { self.extent(&self.c.m) * (depth.clone() + ROW_GAP) };
        let panel = if matches!(self.right, Right::Panels(_) | Right::Strips) {
            Dim::from(0)
        } else {
            depth.clone() * self.width
        };
        let rows = match self.right {
            Right::Rows(storage) if storage != Storage::Plain(DType::F32) => depth * self.width,
            _ => Dim::from(0),
        };
        [left, panel, rows]
    }

    /// Lanes of a panel's columns for an expression.
    pub(super) fn column_lanes(&self, root: ExprId) -> Option<Lanes> {
        lanes_along(self.kernel, &[root], *self.c.n.last()?, LANES)
    }

    /// The right side and the bytes between its rows, where `column_rows` finds them.
    pub(super) fn column_rows(&self) -> Option<(&'k Access, Dim)> {
        column_rows(self.kernel, &self.c)
    }
}

/// A right side that is a plain read of f32 with its columns side by side, and the bytes between its rows.
fn column_rows<'k>(kernel: &'k Kernel, c: &Contract) -> Option<(&'k Access, Dim)> {
    let Node::Operand(operand) = &kernel.expr.nodes[c.b.0 as usize] else { return None };
    let access = kernel.operand(*operand);
    let plain = kernel.buffer(access.buffer).storage == Storage::Plain(DType::F32);
    let columns = motion(kernel, access, *c.n.last()?) == Motion::Step(Dim::from(1));
    if !plain || !columns || access.coords.iter().any(|coord| coord.guard.is_some()) {
        return None;
    }
    let (inner, outer) = c.k.split_last()?;
    let Motion::Step(step) = motion(kernel, access, *inner) else { return None };
    let mut dense = step.clone() * &kernel.axis(*inner).extent;
    for axis in outer.iter().rev() {
        if motion(kernel, access, *axis) != Motion::Step(dense.clone()) {
            return None;
        }
        dense = dense * &kernel.axis(*axis).extent;
    }
    Some((access, step * 4))
}

/// Whether many rows of the left side would lie whole pages apart, so that those of a tile share the few places that a
/// first-level cache has for them. Evaluated rows lie `ROW_GAP` further apart.
fn rows_collide(kernel: &Kernel, c: &Contract) -> bool {
    let extent = |axes: &[AxisId]| axes.iter().map(|axis| kernel.axis(*axis).extent.clone()).product::<Dim>();
    let many = extent(&c.m).as_constant().is_none_or(|rows| rows > 8);
    many && extent(&c.k).as_constant().is_some_and(|depth| depth > 0 && depth % 1024 == 0)
}

/// The access of a side that is a plain read whose rows lie along k, element after element, without guards.
pub(super) fn row_access<'k>(kernel: &'k Kernel, side: ExprId, k: &[AxisId]) -> Option<&'k Access> {
    let Node::Operand(operand) = &kernel.expr.nodes[side.0 as usize] else { return None };
    let access = kernel.operand(*operand);
    if access.coords.iter().any(|coord| coord.guard.is_some()) {
        return None;
    }
    let mut dense = Dim::from(1);
    for axis in k.iter().rev() {
        if motion(kernel, access, *axis) != Motion::Step(dense.clone()) {
            return None;
        }
        dense = dense * &kernel.axis(*axis).extent;
    }
    Some(access)
}

fn right_side(kernel: &Kernel, c: &Contract, width: i64) -> Right {
    if let (Node::Operand(operand), [n], [k]) = (&kernel.expr.nodes[c.b.0 as usize], &c.n[..], &c.k[..]) {
        let access = kernel.operand(*operand);
        let panels = select::packed_panels(access.buffer, *n, *k, &kernel.axis(*k).extent, width);
        let same = access.base == panels.base && access.coords == panels.coords;
        if same && kernel.buffer(access.buffer).storage == Storage::Plain(DType::F32) {
            return Right::Panels(access.buffer);
        }
    }
    let Some(access) = row_access(kernel, c.b, &c.k) else { return Right::Columns };
    let storage = kernel.buffer(access.buffer).storage;
    let whole = match storage {
        Storage::Plain(dtype) if dtype.bits() < 8 => None,
        Storage::Plain(_) => Some(1),
        Storage::Packed(packing) => Some(packing.elements()),
    };
    // Rows of groups begin with a group and end with one.
    let fits = |dim: &Dim, by: i64| dim.terms().iter().all(|(_, coefficient)| coefficient % by == 0);
    let depth: Dim = c.k.iter().map(|axis| kernel.axis(*axis).extent.clone()).product();
    match whole {
        Some(by) if by == 1 || (fits(&depth, by) && row_starts_fit(access, &c.k, by)) => Right::Rows(storage),
        _ => Right::Columns,
    }
}

/// Whether every row begins at a multiple of `by` elements: what does not move along k has such strides.
fn row_starts_fit(access: &Access, k: &[AxisId], by: i64) -> bool {
    let fits = |dim: &Dim| dim.terms().iter().all(|(_, coefficient)| coefficient % by == 0);
    fits(&access.base)
        && access.coords.iter().all(|coord| match &coord.source {
            crate::kernel::Source::Index(index) => {
                let along = index.terms.iter().any(|(axis, _)| k.contains(axis));
                let alone = index.terms.len() == 1 && index.is_affine() && fits(&index.plus);
                fits(&coord.stride) || (along && alone)
            }
            crate::kernel::Source::Value(_) => false,
        })
}

/// Emits the loops around the leaves.
pub(super) fn lower(d: &mut Driver, plan: &ContractPlan) {
    let c = &plan.c;
    d.find_unstable();
    let height = d.dim(&plan.extent(&c.m));
    let width = d.dim(&plan.extent(&c.n));
    let rounded = d.b.ins().iadd_imm_s(height, plan.tallest() - 1);
    let tiles = d.floor_divide(rounded, plan.tallest());
    let rounded = d.b.ins().iadd_imm_s(width, plan.width - 1);
    let panels = d.floor_divide(rounded, plan.width);
    let mut extents: Vec<Value> = c.batch.iter().map(|axis| d.extent(*axis)).collect();
    extents.extend([tiles, panels]);
    let ranges = d.shares(&extents);
    let (outer, inner) = ranges.split_at(c.batch.len());
    let [rows, panels] = [inner[0], inner[1]];
    let mut f = frame(d, plan, height, width);
    let [from, to] = [rows.0, rows.1].map(|tile| d.times(tile, plan.tallest()));
    let to = d.b.ins().smin(to, height);
    f.first_row = from;
    d.each_in(&c.batch, outer, &mut |d| {
        if !plan.left_in_place {
            pack::evaluate_left(d, plan, f.left, from, to, f.depth);
        }
        d.each(panels.0, panels.1, 1, &mut |d, panel| emit_panel(d, plan, &f, panel, (from, to)));
    });
}

fn frame(d: &mut Driver, plan: &ContractPlan, height: Value, width: Value) -> Frame {
    let depth = d.dim(&plan.extent(&plan.c.k));
    let bytes = d.dim(&plan.scratch());
    let mine = d.b.ins().imul(bytes, d.part);
    let left = d.offset(d.buffers[plan.kernel.buffers.len()], mine);
    let [left_bytes, panel_bytes, _] = plan.regions().map(|dim| d.dim(&dim));
    let panel = d.offset(left, left_bytes);
    let rows = d.offset(panel, panel_bytes);
    let (pointers, left_rows) = (d.stack(plan.width as usize * 8), d.stack(plan.tallest() as usize * 8));
    let tile = d.stack((plan.tallest() * plan.width) as usize * 4);
    Frame { depth, left, panel, rows, pointers, left_rows, tile, first_row: depth, height, width }
}

fn emit_panel(d: &mut Driver, plan: &ContractPlan, f: &Frame, panel: Value, (from, to): (Value, Value)) {
    let n = d.times(panel, plan.width);
    let tiles = |d: &mut Driver, right: Value| {
        each_tile(d, plan, from, to, &mut |d, m| {
            call_tile(d, plan, f, (m, to), right);
            epilogue(d, plan, f, m, to, n);
        });
    };
    match plan.right {
        Right::Panels(buffer) => {
            let bytes = d.times(f.depth, plan.width * 4);
            let skipped = d.b.ins().imul(bytes, panel);
            let right = d.offset(d.buffers[buffer.0 as usize], skipped);
            tiles(d, right);
        }
        Right::Columns => {
            pack::evaluate_columns(d, plan, f, n);
            tiles(d, f.panel);
        }
        Right::Strips => strips(d, plan, f, n, (from, to)),
        Right::Rows(storage) => {
            let few = d.b.ins().icmp_imm_s(IntCC::SignedLessThanOrEqual, f.height, DOT_ROWS);
            let (dots, whole, end) = (d.b.create_block(), d.b.create_block(), d.b.create_block());
            d.b.ins().brif(few, dots, &[], whole, &[]);
            d.b.switch_to_block(dots);
            let narrow = match storage {
                Storage::Plain(DType::F16) if d.isa.wide().is_some() => Some(leaves::DOT_F16),
                Storage::Plain(DType::BF16) if d.isa.wide().is_some() => Some(leaves::DOT_BF16),
                _ => None,
            };
            pack::fetch_rows(d, plan, f, storage, n, narrow.is_some());
            dot_rows(d, plan, f, n, (from, to), narrow.unwrap_or(leaves::DOT));
            d.b.ins().jump(end, &[]);
            d.b.switch_to_block(whole);
            pack::fetch_rows(d, plan, f, storage, n, false);
            pack::transpose_rows(d, plan, f);
            tiles(d, f.panel);
            d.b.ins().jump(end, &[]);
            d.b.switch_to_block(end);
        }
    }
}

/// Every row of the left side against every column of the panel.
fn dot_rows(d: &mut Driver, plan: &ContractPlan, f: &Frame, n: Value, (from, to): (Value, Value), leaf: usize) {
    let zero = d.integer(0);
    let left = d.b.ins().isub(f.width, n);
    let limit = d.integer(plan.width);
    let columns = d.b.ins().smin(left, limit);
    each_tile(d, plan, from, to, &mut |d, m| {
        let rest = d.b.ins().isub(to, m);
        let tallest = d.integer(plan.tallest());
        let rows = d.b.ins().smin(rest, tallest);
        d.each(zero, rows, 1, &mut |d, r| {
            let row = d.b.ins().iadd(m, r);
            let row = left_row(d, plan, f, row);
            let skipped = d.times(r, plan.width * 4);
            let results = d.offset(f.tile, skipped);
            d.each(zero, columns, 1, &mut |d, x| {
                let at = d.times(x, 8);
                let at = d.offset(f.pointers, at);
                let column = d.read(cranelift_codegen::ir::types::I64, at, 0);
                let at = d.times(x, 4);
                let result = d.offset(results, at);
                let leaf = d.leaves[leaf];
                d.b.ins().call(leaf, &[f.depth, row, column, result]);
            });
        });
        epilogue(d, plan, f, m, to, n);
    });
}

/// One row of the left side against the columns from `n` on, which are read where they lie.
fn strips(d: &mut Driver, plan: &ContractPlan, f: &Frame, n: Value, (from, to): (Value, Value)) {
    let (access, stride) = plan.column_rows().expect("the plan found it");
    let zero = d.integer(0);
    let left = d.b.ins().isub(f.width, n);
    let limit = d.integer(plan.width);
    let columns = d.b.ins().smin(left, limit);
    d.each(from, to, 1, &mut |d, m| {
        let row = left_row(d, plan, f, m);
        d.unflatten(&plan.c.n, n);
        pack::bind_first(d, &plan.c.k);
        d.forget();
        let (element, _) = d.element(access, None);
        let start = d.address(access, element);
        let stride = d.dim(&stride);
        let mut done = zero;
        for (count, leaf) in leaves::STRIP {
            done = d.each(done, columns, count, &mut |d, x| {
                let bytes = d.times(x, 4);
                let [from, to] = [start, f.tile].map(|at| d.offset(at, bytes));
                let leaf = d.leaves[leaf];
                d.b.ins().call(leaf, &[f.depth, from, to, row, stride]);
            });
        }
        let after = d.b.ins().iadd_imm_s(m, 1);
        epilogue(d, plan, f, m, after, n);
    });
}

/// The pointer to a row of the left side.
fn left_row(d: &mut Driver, plan: &ContractPlan, f: &Frame, row: Value) -> Value {
    if !plan.left_in_place {
        let number = d.b.ins().isub(row, f.first_row);
        let bytes = d.times(f.depth, 4);
        let bytes = d.b.ins().iadd_imm_s(bytes, ROW_GAP);
        let skipped = d.b.ins().imul(number, bytes);
        return d.offset(f.left, skipped);
    }
    let access = row_access(plan.kernel, plan.c.a, &plan.c.k).expect("the plan found it");
    d.unflatten(&plan.c.m, row);
    pack::bind_first(d, &plan.c.k);
    d.forget();
    let (element, _) = d.element(access, None);
    d.address(access, element)
}

/// Stores what a finished tile holds of rows `m..to` and columns from `n` on.
fn epilogue(d: &mut Driver, plan: &ContractPlan, f: &Frame, m: Value, to: Value, n: Value) {
    let zero = d.integer(0);
    let rest = d.b.ins().isub(to, m);
    let tallest = d.integer(plan.tallest());
    let rows = d.b.ins().smin(rest, tallest);
    let left = d.b.ins().isub(f.width, n);
    let limit = d.integer(plan.width);
    let columns = d.b.ins().smin(left, limit);
    let row = |d: &mut Driver, r: Value, store: &mut dyn FnMut(&mut Driver, Value)| {
        let flat = d.b.ins().iadd(m, r);
        d.unflatten(&plan.c.m, flat);
        let skipped = d.times(r, plan.width * 4);
        let at = d.offset(f.tile, skipped);
        store(d, at);
    };
    let single = |d: &mut Driver| {
        d.enter_lanes(None, false);
        d.each(zero, rows, 1, &mut |d, r| {
            row(d, r, &mut |d, at| {
                d.each(zero, columns, 1, &mut |d, x| {
                    let flat = d.b.ins().iadd(n, x);
                    d.unflatten(&plan.c.n, flat);
                    let bytes = d.times(x, 4);
                    let at = d.offset(at, bytes);
                    store_all(d, plan, at);
                });
            });
        });
    };
    let Some(axis) = plan.columns else { return single(d) };
    let together = pack::one_run(d, plan, n, f.width);
    let (fast, slow, end) = (d.b.create_block(), d.b.create_block(), d.b.create_block());
    d.b.ins().brif(together, fast, &[], slow, &[]);
    d.b.switch_to_block(slow);
    single(d);
    d.b.ins().jump(end, &[]);
    d.b.switch_to_block(fast);
    d.enter_lanes(Some(Lanes { axis, count: LANES }), false);
    d.each(zero, rows, 1, &mut |d, r| {
        row(d, r, &mut |d, at| {
            d.unflatten(&plan.c.n, n);
            let from = d.positions[axis.0 as usize].expect("just bound");
            let to = d.b.ins().iadd_imm_s(from, plan.width);
            d.accumulator = Accumulator::At(at);
            d.forget();
            let stores: Vec<&Store> = plan.c.stores.iter().collect();
            if chain::store_along(d, &stores, from, to).is_some() {
                return;
            }
            let (zero, width) = (d.integer(0), d.integer(plan.width));
            d.each(zero, width, LANES as i64, &mut |d, x| {
                let flat = d.b.ins().iadd(n, x);
                d.unflatten(&plan.c.n, flat);
                let bytes = d.times(x, 4);
                let at = d.offset(at, bytes);
                store_all(d, plan, at);
            });
        });
    });
    d.enter_lanes(None, false);
    d.b.ins().jump(end, &[]);
    d.b.switch_to_block(end);
}

fn store_all(d: &mut Driver, plan: &ContractPlan, accumulator: Value) {
    d.accumulator = Accumulator::At(accumulator);
    d.forget();
    plan.c.stores.iter().for_each(|store| d.store(store));
}

/// `for m in from..to` by tiles, the last perhaps not whole.
fn each_tile(d: &mut Driver, plan: &ContractPlan, from: Value, to: Value, body: &mut dyn FnMut(&mut Driver, Value)) {
    let end = d.b.ins().iadd_imm_s(to, plan.tallest() - 1);
    d.each(from, end, plan.tallest(), body);
}

/// Sums a tile of rows `m..to` with the lowest leaf that is tall enough. Rows past the last repeat it; nothing is stored
/// of them.
fn call_tile(d: &mut Driver, plan: &ContractPlan, f: &Frame, (m, to): (Value, Value), right: Value) {
    let (zero, tallest) = (d.integer(0), d.integer(plan.tallest()));
    let last = d.b.ins().iadd_imm_s(to, -1);
    d.each(zero, tallest, 1, &mut |d, r| {
        let row = d.b.ins().iadd(m, r);
        let row = d.b.ins().smin(row, last);
        let row = left_row(d, plan, f, row);
        let bytes = d.times(r, 8);
        let at = d.offset(f.left_rows, bytes);
        d.write(row, at, 0);
    });
    let rows = d.b.ins().isub(to, m);
    let end = d.b.create_block();
    for (i, height) in plan.heights.iter().enumerate().rev() {
        if i > 0 {
            let (fits, taller) = (d.b.create_block(), d.b.create_block());
            let enough = d.b.ins().icmp_imm_s(IntCC::SignedLessThanOrEqual, rows, *height);
            d.b.ins().brif(enough, fits, &[], taller, &[]);
            d.b.switch_to_block(fits);
            let leaf = d.leaves[leaves::tiles(d.isa) + i];
            d.b.ins().call(leaf, &[f.depth, right, f.tile, f.left_rows]);
            d.b.ins().jump(end, &[]);
            d.b.switch_to_block(taller);
        } else {
            let leaf = d.leaves[leaves::tiles(d.isa)];
            d.b.ins().call(leaf, &[f.depth, right, f.tile, f.left_rows]);
            d.b.ins().jump(end, &[]);
        }
    }
    d.b.switch_to_block(end);
}
