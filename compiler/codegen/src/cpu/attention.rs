//! `attention` in f32: scores of the visible keys, their softmax, and the weighted sum of the values.
//!
//! The scores of a few rows lie in scratch, never the matrix. Keys and values are read in place where their rows lie along
//! d and e as f32, else they are evaluated once for each batch position. Few rows, as in decoding, run one by one; more
//! run by tiles (`attention_wide`, or `attention_tiles` in 128 bits). Rows are shared between parts; each is computed by one part, in one order.

use super::address::{Motion, motion};
use super::arithmetic::Arithmetic;
use super::attention_leaf::Shape;
use super::attention_rows::Rows;
use super::clif::{Clif, Parts};
use super::contract::row_access;
use super::driver::{Accumulator, Driver};
use super::nest::Lanes;
use super::select::{Isa, TILE_ROWS, panel_width};
use super::x86::{self, Kept};
use super::{attention_tiles, attention_wide, expr, lanes, leaves, math, pack};
use crate::base::{DType, Dim, Scalar, Storage};
use crate::kernel::{Access, Attention, AxisId, Binary, Body, Compare, ExprId, Index, Kernel, Node};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F32X4};
use cranelift_codegen::ir::{InstBuilder, Value};

/// How an attention runs.
pub(super) struct AttentionPlan<'k> {
    pub(super) kernel: &'k Kernel,
    pub(super) a: &'k Attention,
    /// Keys and values that are read in place.
    pub(super) keys: Option<&'k Access>,
    pub(super) values: Option<&'k Access>,
    /// Columns of a panel, where rows may run by tiles.
    pub(super) width: i64,
    tiled: bool,
    /// How tiles look in wide vectors.
    pub(super) wide: Option<Shape>,
    /// Whether scores, and results, are computed in lanes.
    pub(super) score_lanes: bool,
    store_lanes: bool,
}

/// Scratch of a part, and what a row needs at hand.
pub(super) struct Frame {
    pub(super) keys: Value,
    pub(super) values: Value,
    pub(super) query: Value,
    pub(super) scores: Value,
    pub(super) out: Value,
    pub(super) depth: Value,
    pub(super) width: Value,
    blind_is_zero: bool,
}

const LANES: usize = 8;

/// At most so many rows run one by one: packing keys and values would not pay.
const FEW_ROWS: i64 = TILE_ROWS;

impl<'k> AttentionPlan<'k> {
    /// `None` for types other than f32.
    pub(super) fn new(kernel: &'k Kernel, isa: Isa) -> Option<Self> {
        let Body::Attention(a) = &kernel.body else { return None };
        let types = kernel.types().expect("the kernel is verified");
        if types.of(a.q) != DType::F32 {
            return None;
        }
        let in_place = |side: ExprId, along: AxisId| {
            let access = row_access(kernel, side, &[along])?;
            let single = kernel.buffer(access.buffer).storage == Storage::Plain(DType::F32);
            (single && matches!(motion(kernel, access, a.n), Motion::Step(_))).then_some(access)
        };
        let moves = |access: &Access, axis: AxisId| motion(kernel, access, axis) != Motion::Free;
        let operands =
            kernel.reachable(&[a.score]).into_iter().filter_map(|id| match &kernel.expr.nodes[id.0 as usize] {
                Node::Operand(operand) => Some(kernel.operand(*operand)),
                _ => None,
            });
        Some(AttentionPlan {
            kernel,
            a,
            keys: in_place(a.k, a.d),
            values: in_place(a.v, a.e),
            width: panel_width(isa),
            wide: kernel.axis(a.d).extent.as_constant().and_then(|depth| Shape::new(isa, depth)),
            tiled: panel_width(isa) % LANES as i64 == 0
                && a.visible.as_ref().is_none_or(|(from, _)| *from == Index::constant(0))
                && (a.m.iter().map(|axis| &kernel.axis(*axis).extent))
                    .try_fold(1i64, |rows, extent| rows.checked_mul(extent.as_constant()?))
                    .is_none_or(|rows| rows > FEW_ROWS),
            score_lanes: operands.into_iter().all(|access| moves(access, a.n)),
            store_lanes: a.stores.iter().all(|s| motion(kernel, &s.access, a.e) == Motion::Step(Dim::from(1))),
        })
    }

    pub(super) fn extent(&self, axis: AxisId) -> &Dim {
        &self.kernel.axis(axis).extent
    }

    /// Bytes of evaluated keys and values, of a query, of a row of scores, and of a row of results.
    fn regions(&self) -> [Dim; 5] {
        let [n, d, e] = [self.a.n, self.a.d, self.a.e].map(|axis| self.extent(axis));
        let unless = |in_place: bool, dim: Dim| if in_place { Dim::from(0) } else { dim };
        [
            unless(self.keys.is_some(), n.clone() * d * 4),
            unless(self.values.is_some(), n.clone() * e * 4),
            d.clone() * 4,
            n.clone() * 4,
            e.clone() * 4,
        ]
    }

    /// Bytes of scratch for each part.
    pub(super) fn scratch(&self) -> Dim {
        let rows: Dim = self.regions().into_iter().sum();
        match (self.tiled, &self.wide) {
            (false, _) => rows,
            (true, Some(shape)) => rows + attention_wide::regions(self, shape).into_iter().sum::<Dim>(),
            (true, None) => rows + attention_tiles::regions(self).into_iter().sum::<Dim>(),
        }
    }

    /// Evaluates the keys and values of a batch position that are read neither in place nor, however they are kept,
    /// directly.
    pub(super) fn evaluate(&self, d: &mut Driver, f: &Frame, direct: [bool; 2]) {
        let sides = [(self.keys, self.a.k, self.a.d, f.keys), (self.values, self.a.v, self.a.e, f.values)];
        for ((in_place, side, along, to), direct) in sides.into_iter().zip(direct) {
            if !direct && in_place.is_none() && !self.widen(d, side, along, to) {
                pack::evaluate(d, side, &[self.a.n, along], to);
            }
        }
    }

    /// Keys or values that are kept as 16-bit floats, row after row, as f32; whether they are.
    fn widen(&self, d: &mut Driver, side: ExprId, along: AxisId, to: Value) -> bool {
        let mut side = side;
        while let Node::Convert(DType::F32, kept) = self.kernel.expr.nodes[side.0 as usize] {
            side = kept;
        }
        let Some(access) = row_access(self.kernel, side, &[self.a.n, along]) else { return false };
        let kept = match self.kernel.buffer(access.buffer).storage {
            Storage::Plain(DType::F16) => Kept::F16,
            Storage::Plain(DType::BF16) => Kept::BF16,
            _ => return false,
        };
        if d.isa.wide().is_none() {
            return false;
        }
        pack::bind_first(d, &[self.a.n, along]);
        d.enter_lanes(None, false);
        d.forget();
        let (element, _) = d.element(access, None);
        let from = d.address(access, element);
        let [rows, length] = [self.a.n, along].map(|axis| d.extent(axis));
        let count = d.b.ins().imul(rows, length);
        let leaf = d.leaf(x86::widen(kept), 3);
        d.b.ins().call(leaf, &[count, from, to]);
        true
    }

    /// The keys that a row sees, out of `keys`.
    pub(super) fn visible(&self, d: &mut Driver, keys: Value) -> (Value, Value) {
        let zero = d.integer(0);
        let Some((from, to)) = &self.a.visible else { return (zero, keys) };
        let (from, to) = (d.index(from), d.index(to));
        (d.b.ins().smax(from, zero), d.b.ins().smin(to, keys))
    }
}

impl Frame {
    /// The results of a row whose weights sum to `divisor`.
    pub(super) fn unless_blind(&self, e: &mut Clif, quotient: Parts, divisor: Parts) -> Parts {
        if !self.blind_is_zero {
            return quotient;
        }
        let zero = e.constant(Scalar::F32(0.0));
        let blind = e.compare(Compare::Eq, DType::F32, divisor, zero);
        e.select(DType::F32, blind, zero, quotient)
    }
}

/// Emits the loops over batches and rows.
pub(super) fn lower(d: &mut Driver, plan: &AttentionPlan) {
    d.find_unstable();
    let rows: Dim = plan.a.m.iter().map(|axis| plan.extent(*axis).clone()).product();
    let rows = d.dim(&rows);
    let (f, end) = frame(d, plan);
    if !plan.tiled {
        return lower_rows(d, plan, &f, rows);
    }
    let few = d.b.ins().icmp_imm_s(IntCC::SignedLessThanOrEqual, rows, FEW_ROWS);
    d.either(
        few,
        &[],
        &mut |d| {
            lower_rows(d, plan, &f, rows);
            vec![]
        },
        &mut |d| {
            d.enter_lanes(None, false);
            match plan.wide {
                Some(shape) => attention_wide::lower(d, plan, &f, shape, end, rows),
                None => attention_tiles::lower(d, plan, &f, end, rows),
            }
            vec![]
        },
    );
}

fn lower_rows(d: &mut Driver, plan: &AttentionPlan, f: &Frame, rows: Value) {
    let a = plan.a;
    let mut extents: Vec<Value> = a.batch.iter().map(|axis| d.extent(*axis)).collect();
    extents.push(rows);
    let ranges = d.shares(&extents);
    let (outer, rows) = ranges.split_at(a.batch.len());
    let sides = [Rows::new(plan, d, a.k, a.d), Rows::new(plan, d, a.v, a.e)];
    let direct = sides.map(|side| side.is_some_and(|side| !side.evaluated()));
    d.each_in(&a.batch, outer, &mut |d| {
        plan.evaluate(d, f, direct);
        d.each(rows[0].0, rows[0].1, 1, &mut |d, m| {
            d.unflatten(&a.m, m);
            emit_row(d, plan, f, sides);
        });
    });
}

/// This part's ranges of the batch axes and of so many tiles. A batch axis that parts divide evenly is shared, since what is
/// brought for a batch position is then brought once; else the longest.
pub(super) fn shares(d: &mut Driver, plan: &AttentionPlan, tiles: Value) -> Vec<(Value, Value)> {
    let mut extents: Vec<Value> = plan.a.batch.iter().map(|axis| d.extent(*axis)).collect();
    extents.push(tiles);
    let mut which = d.longest(&extents);
    for (i, extent) in extents.iter().enumerate().rev().skip(1) {
        let left = d.b.ins().urem(*extent, d.parts);
        let evenly = d.b.ins().icmp_imm_s(IntCC::Equal, left, 0);
        let number = d.integer(i as i64);
        which = d.b.ins().select(evenly, number, which);
    }
    d.share_one(&extents, which)
}

/// The scratch of this part, and where it ends.
fn frame(d: &mut Driver, plan: &AttentionPlan) -> (Frame, Value) {
    let bytes = d.dim(&plan.scratch());
    let mine = d.b.ins().imul(bytes, d.part);
    let mut at = d.offset(d.buffers[plan.kernel.buffers.len()], mine);
    let starts = plan.regions().map(|region| {
        let start = at;
        let bytes = d.dim(&region);
        at = d.offset(at, bytes);
        start
    });
    let [keys, values, query, scores, out] = starts;
    let (depth, width) = (d.extent(plan.a.d), d.extent(plan.a.e));
    (Frame { keys, values, query, scores, out, depth, width, blind_is_zero: plan.a.blind_is_zero }, at)
}

fn emit_row(d: &mut Driver, plan: &AttentionPlan, f: &Frame, [keys_as_rows, values_as_rows]: [Option<Rows>; 2]) {
    let a = plan.a;
    pack::evaluate(d, a.q, &[a.d], f.query);
    let keys = d.extent(a.n);
    let (from, to) = plan.visible(d, keys);
    match keys_as_rows {
        Some(rows) => rows.scores(d, plan, f, (from, to)),
        None => {
            let rows = rows_of(d, plan.keys, f.keys, f.depth, &[a.d], a.n);
            d.each(from, to, 1, &mut |d, n| {
                let key = at_row(d, rows, n);
                let result = at_number(d, f.scores, n);
                let leaf = d.leaves[leaves::DOT];
                d.b.ins().call(leaf, &[f.depth, f.query, key, result]);
            });
        }
    }
    let place = |d: &mut Driver, n: Value| at_number(d, f.scores, n);
    let most = most_of(d, plan, &place, (from, to), plan.score_lanes);
    let shift = shift_of(d, most);
    let sum = weigh(d, &place, &place, (from, to), shift, true);
    match values_as_rows {
        Some(rows) => rows.sum(d, plan, f, (from, to), sum),
        None => {
            let rows = rows_of(d, plan.values, f.values, f.width, &[a.e], a.n);
            let mut done = d.integer(0);
            for lanes in [16, 4, 1] {
                done = sum_values(d, f, rows, lanes, (done, f.width), (from, to), sum);
            }
        }
    }
    store_row(d, plan, f.out, f.width);
}

/// The first row of keys or values, and the bytes from one to the next.
pub(super) fn rows_of(
    d: &mut Driver,
    access: Option<&Access>,
    evaluated: Value,
    length: Value,
    along: &[AxisId],
    n: AxisId,
) -> (Value, Value) {
    let Some(access) = access else { return (evaluated, d.times(length, 4)) };
    pack::bind_first(d, along);
    pack::bind_first(d, &[n]);
    d.forget();
    let (element, _) = d.element(access, None);
    let Motion::Step(step) = motion(d.kernel, access, n) else { unreachable!("planned") };
    let start = d.address(access, element);
    (start, d.dim(&(step * 4)))
}

pub(super) fn at_row(d: &mut Driver, (start, bytes): (Value, Value), n: Value) -> Value {
    let skipped = d.b.ins().imul(n, bytes);
    d.offset(start, skipped)
}

pub(super) fn at_number(d: &mut Driver, start: Value, i: Value) -> Value {
    let bytes = d.times(i, 4);
    d.offset(start, bytes)
}

/// Where the number of a key lies; keys that are computed together lie side by side.
type Numbers<'a> = &'a dyn Fn(&mut Driver, Value) -> Value;

/// Turns products into scores, and gives the greatest; in lanes, or one by one.
pub(super) fn most_of(
    d: &mut Driver,
    plan: &AttentionPlan,
    scores: Numbers,
    range: (Value, Value),
    in_lanes: bool,
) -> Value {
    let n = plan.a.n;
    let along = in_lanes.then_some(Lanes { axis: n, count: LANES });
    let greatest = |e: &mut Clif, a: Parts, b: Parts| expr::binary(e, Binary::Max, DType::F32, a, b);
    fold(d, along, range, f32::NEG_INFINITY, &greatest, &mut |d, i| {
        let at = scores(d, i);
        d.positions[n.0 as usize] = Some(i);
        d.accumulator = Accumulator::At(at);
        d.forget();
        let score = d.value(plan.a.score);
        write(d, score, at);
        score
    })
}

/// What scores are taken from: the greatest, or 0 where all are -inf, so that all weights are 0.
pub(super) fn shift_of(d: &mut Driver, most: Value) -> Value {
    let mut e = d.single();
    let (nothing, zero) = (e.constant(Scalar::F32(f32::NEG_INFINITY)), e.constant(Scalar::F32(0.0)));
    let hidden = e.compare(Compare::Eq, DType::F32, Parts::one(most), nothing);
    e.select(DType::F32, hidden, zero, Parts::one(most)).scalar()
}

/// Turns scores into the exponentials of their distance from the shift, and gives their sum; in lanes, or one by one.
pub(super) fn weigh(
    d: &mut Driver,
    scores: Numbers,
    weights: Numbers,
    range: (Value, Value),
    shift: Value,
    in_lanes: bool,
) -> Value {
    let along = in_lanes.then_some(Lanes { axis: AxisId(0), count: LANES });
    let plus = |e: &mut Clif, a: Parts, b: Parts| e.binary(Binary::Add, DType::F32, a, b);
    fold(d, along, range, 0.0, &plus, &mut |d, i| {
        let at = scores(d, i);
        let count = d.lanes.map_or(1, |lanes| lanes.count);
        let score = match count {
            1 => Parts::one(d.read(F32, at, 0)),
            _ => Parts::new((0..count as i32 / 4).map(|i| d.read(F32X4, at, i * 16)).collect::<Vec<_>>()),
        };
        let mut e = d.vector(count);
        let shift = e.splat(DType::F32, shift);
        let distance = e.binary(Binary::Sub, DType::F32, score, shift);
        let weight = math::exp_of_distance(&mut e, distance);
        let at = weights(d, i);
        write(d, weight, at);
        weight
    })
}

fn write(d: &mut Driver, value: Parts, at: Value) {
    for (i, part) in (0..).zip(value.all()) {
        d.write(*part, at, i * 16);
    }
}

/// Folds what `each` gives for every position of a range, in lanes and then one by one.
fn fold(
    d: &mut Driver,
    along: Option<Lanes>,
    (from, to): (Value, Value),
    start: f32,
    combine: &dyn Fn(&mut Clif, Parts, Parts) -> Parts,
    each: &mut dyn FnMut(&mut Driver, Value) -> Parts,
) -> Value {
    let mut rest = from;
    let mut total = d.single().constant(Scalar::F32(start)).scalar();
    for lanes in along.map(Some).into_iter().chain([None]) {
        let count = lanes.map_or(1, |lanes| lanes.count);
        let variables = d.new_variables(count, Scalar::F32(start));
        d.enter_lanes(lanes, false);
        rest = d.each(rest, to, count as i64, &mut |d, i| {
            let value = each(d, i);
            let old = d.read_variables(&variables);
            let sum = combine(&mut d.vector(count), old, value);
            d.set_variables(&variables, &sum);
        });
        d.enter_lanes(None, false);
        let all = d.read_variables(&variables);
        let one = match count {
            1 => all.scalar(),
            _ => lanes::across(&mut d.vector(count), DType::F32, all, &mut |e, a, b| combine(e, a, b)),
        };
        total = combine(&mut d.single(), Parts::one(total), Parts::one(one)).scalar();
    }
    total
}

/// `out[e] = Σ_n weight[n] · value[n][e] / sum` for as many blocks of `count` columns as fit; gives where they end.
fn sum_values(
    d: &mut Driver,
    f: &Frame,
    rows: (Value, Value),
    count: usize,
    (first, width): (Value, Value),
    (from, to): (Value, Value),
    sum: Value,
) -> Value {
    let kind = if count == 1 { F32 } else { F32X4 };
    d.each(first, width, count as i64, &mut |d, column| {
        let sums = d.new_variables(count, Scalar::F32(0.0));
        let skipped = d.times(column, 4);
        d.each(from, to, 1, &mut |d, n| {
            let weight = at_number(d, f.scores, n);
            let weight = d.read(F32, weight, 0);
            let row = at_row(d, rows, n);
            let row = d.offset(row, skipped);
            let weight = d.vector(count.min(4)).splat(DType::F32, weight);
            for (i, variable) in (0..).zip(&sums) {
                let value = Parts::one(d.read(kind, row, i * 16));
                let old = Parts::one(d.b.use_var(*variable));
                let weight = Parts::one(weight.all()[0]);
                let new = d.vector(count.min(4)).multiply_add(DType::F32, value, weight, old);
                d.b.def_var(*variable, new.scalar());
            }
        });
        let sums = d.read_variables(&sums);
        let mut e = d.vector(count);
        let divisor = e.splat(DType::F32, sum);
        let quotient = e.binary(Binary::Div, DType::F32, sums, divisor);
        let result = f.unless_blind(&mut e, quotient, divisor);
        let at = at_number(d, f.out, column);
        write(d, result, at);
    })
}

/// Stores the results of a row, which lie side by side.
pub(super) fn store_row(d: &mut Driver, plan: &AttentionPlan, out: Value, width: Value) {
    let e = plan.a.e;
    let zero = d.integer(0);
    let along = |d: &mut Driver, from: Value, lanes: Option<Lanes>| {
        d.enter_lanes(lanes, false);
        d.each(from, width, lanes.map_or(1, |lanes| lanes.count as i64), &mut |d, i| {
            d.positions[e.0 as usize] = Some(i);
            d.accumulator = Accumulator::At(at_number(d, out, i));
            d.forget();
            plan.a.stores.iter().for_each(|store| d.store(store));
        })
    };
    let rest = match plan.store_lanes {
        true => along(d, zero, Some(Lanes { axis: e, count: LANES })),
        false => zero,
    };
    along(d, rest, None);
    d.enter_lanes(None, false);
}
