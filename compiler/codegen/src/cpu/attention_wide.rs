//! `attention` in f32 by tiles of rows in wide vectors: keys and values in panels, the scores of one tile in scratch, softmax
//! where they lie.
//!
//! A tile computes the panels of keys that one of its rows sees, and sums the values that all of them see together; each
//! row adds what it sees beyond that by itself, so that no row reads what is hidden from it. Tiles begin at multiples of
//! their height and are shared whole: a row's bits do not depend on the number of parts.

use super::arithmetic::Arithmetic;
use super::attention::{AttentionPlan, Frame, at_number, most_of, shares, shift_of, store_row, weigh};
use super::attention_leaf::{self as leaf, Shape};
use super::attention_panels::{Panels, Rows, with_rest};
use super::chain::{self, Chain, lies_side_by_side};
use super::clif::{Clif, Parts};
use super::driver::{Accumulator, Driver};
use super::nest::Lanes;
use super::{lanes, pack};
use crate::base::{DType, Dim, Scalar, Storage};
use crate::kernel::{Binary, Compare, Node};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32, F32X4, I64};
use cranelift_codegen::ir::{FuncRef, InstBuilder, Value};

/// Bytes of scratch: panels of keys and of values, queries, scores, results.
pub(super) fn regions(plan: &AttentionPlan, shape: &Shape) -> [Dim; 5] {
    let [n, d, e] = [plan.a.n, plan.a.d, plan.a.e].map(|axis| plan.extent(axis).clone());
    let rounded = |dim: &Dim| dim.clone() + shape.columns();
    [
        rounded(&n) * &d * 4,
        rounded(&e) * &n * 4,
        d * (4 * shape.rows),
        rounded(&n) * (4 * shape.rows),
        rounded(&e) * (4 * shape.rows),
    ]
}

/// Scratch of a part, and its leaves.
struct Tiles<'p, 'k> {
    plan: &'p AttentionPlan<'k>,
    f: &'p Frame,
    shape: Shape,
    panels: Panels<'p, 'k>,
    queries: Value,
    scores: Value,
    outs: Value,
    /// On the stack: how many keys each row sees, what its sums are multiplied by and a zero, a finished tile, and the words and lanes
    /// that leaves take and give.
    ends: Value,
    factors: Value,
    tile: Value,
    list: Value,
    number: Value,
    lanes: Value,
    keys: Value,
    /// Bytes from a row to the next of the results.
    out_bytes: Value,
    products: FuncRef,
    score: Option<(Chain, FuncRef)>,
    weights: FuncRef,
    values: FuncRef,
    /// Whether tiles are finished in registers.
    finished: bool,
}

/// Emits the loops over batches and tiles. `start` is this part's scratch behind that of rows.
pub(super) fn lower(d: &mut Driver, plan: &AttentionPlan, f: &Frame, shape: Shape, start: Value, rows: Value) {
    let t = tiles(d, plan, f, shape, start);
    let rounded = d.b.ins().iadd_imm_s(rows, shape.rows - 1);
    let count = d.floor_divide(rounded, shape.rows);
    let ranges = shares(d, plan, count);
    let (outer, tiles) = ranges.split_at(plan.a.batch.len());
    let (from, to) = tiles[0];
    let any = d.b.ins().icmp(IntCC::SignedLessThan, from, to);
    d.when(any, &mut |d| {
        d.each_in(&plan.a.batch, outer, &mut |d| {
            plan.evaluate(d, f, [false; 2]);
            t.panels.pack(d);
            d.each(from, to, 1, &mut |d, tile| {
                let first = d.times(tile, shape.rows);
                let left = d.b.ins().isub(rows, first);
                let all = d.integer(shape.rows);
                let count = d.b.ins().smin(left, all);
                t.emit(d, first, count);
            });
        });
    });
}

fn tiles<'p, 'k>(
    d: &mut Driver,
    plan: &'p AttentionPlan<'k>,
    f: &'p Frame,
    shape: Shape,
    start: Value,
) -> Tiles<'p, 'k> {
    let mut at = start;
    let starts = regions(plan, &shape).map(|region| {
        let start = at;
        let bytes = d.dim(&region);
        at = d.offset(at, bytes);
        start
    });
    let [keys, values, queries, scores, outs] = starts;
    let rounded = d.b.ins().iadd_imm_s(f.width, shape.columns());
    let finished = finishes(plan, &shape);
    let score = plan.score_lanes.then(|| {
        d.enter_lanes(Some(Lanes { axis: plan.a.n, count: shape.lanes() as usize }), false);
        leaf::scores(d, plan, &shape)
    });
    d.enter_lanes(None, false);
    Tiles {
        plan,
        f,
        shape,
        panels: Panels::new(d, plan, f, [keys, values]),
        queries,
        scores,
        outs,
        ends: d.stack(shape.rows as usize * 8),
        factors: d.stack((shape.rows as usize + 1) * 4),
        tile: d.stack(shape.tile_bytes() as usize),
        list: d.stack((3 + shape.rows as usize) * 8),
        number: d.stack(4),
        lanes: d.stack(shape.lanes() as usize * 4),
        keys: d.extent(plan.a.n),
        out_bytes: d.times(rounded, 4),
        products: d.leaf(leaf::products(&shape), 2),
        score: score.flatten(),
        weights: d.leaf(leaf::weights(&shape), 4),
        values: d.leaf(leaf::values(&shape, finished), 3),
        finished,
    }
}

/// Whether all rows of a tile see the same keys, and their weighted sums are what is stored, panel by panel.
fn finishes(plan: &AttentionPlan, shape: &Shape) -> bool {
    let [store] = &plan.a.stores[..] else { return false };
    let kernel = plan.kernel;
    let whole = plan.extent(plan.a.e).as_constant().is_some_and(|width| width % shape.columns() == 0);
    let plain = kernel.buffer(store.access.buffer).storage == Storage::Plain(DType::F32)
        && matches!(kernel.expr.nodes[store.value.0 as usize], Node::Accumulator);
    whole && plain && plan.a.visible.is_none() && lies_side_by_side(kernel, &store.access, plan.a.e)
}

impl Tiles<'_, '_> {
    /// The tile of `count` rows from `first` on.
    fn emit(&self, d: &mut Driver, first: Value, count: Value) {
        let (least, most) = self.queries(d, first, count);
        let panels = self.panels.of(d, most);
        self.call(d, self.products, [panels].as_slice(), &[self.panels.keys, self.queries, self.scores]);
        self.each_row(d, first, count, &mut |d, r| self.share(d, r));
        if self.finished {
            return self.finished_sums(d, first, count);
        }
        self.sums(d, count, least);
        self.each_row(d, first, count, &mut |d, r| {
            let out = self.out(d, r);
            store_row(d, self.plan, out, self.f.width);
        });
    }

    /// Calls a leaf with its first word, the list of these words, and the others.
    fn call(&self, d: &mut Driver, leaf: FuncRef, words: &[Value], list: &[Value]) {
        (0..).zip(list).for_each(|(i, word)| d.write(*word, self.list, i * 8));
        let (first, others) = words.split_first().expect("every leaf counts");
        let arguments: Vec<Value> = [*first, self.list].into_iter().chain(others.iter().copied()).collect();
        d.b.ins().call(leaf, &arguments);
    }

    fn each_row(&self, d: &mut Driver, first: Value, count: Value, body: &mut dyn FnMut(&mut Driver, Value)) {
        let zero = d.integer(0);
        d.each(zero, count, 1, &mut |d, r| {
            let m = d.b.ins().iadd(first, r);
            d.enter_lanes(None, false);
            d.unflatten(&self.plan.a.m, m);
            d.forget();
            body(d, r);
        });
    }

    fn out(&self, d: &mut Driver, r: Value) -> Value {
        let skipped = d.b.ins().imul(self.out_bytes, r);
        d.offset(self.outs, skipped)
    }

    fn end_of(&self, d: &mut Driver, r: Value) -> Value {
        let at = d.times(r, 8);
        let at = d.offset(self.ends, at);
        d.read(I64, at, 0)
    }

    /// Evaluates the queries and notes how many keys each sees; gives the least and the greatest of these numbers.
    fn queries(&self, d: &mut Driver, first: Value, count: Value) -> (Value, Value) {
        let zero = d.integer(0);
        let query_bytes = d.times(self.f.depth, 4);
        let (least, most) = (d.b.declare_var(I64), d.b.declare_var(I64));
        d.b.def_var(least, self.keys);
        d.b.def_var(most, zero);
        self.each_row(d, first, count, &mut |d, r| {
            let skipped = d.b.ins().imul(query_bytes, r);
            let to = d.offset(self.queries, skipped);
            pack::evaluate(d, self.plan.a.q, &[self.plan.a.d], to);
            let (_, end) = self.plan.visible(d, self.keys);
            let end = d.b.ins().smax(end, zero);
            let at = d.times(r, 8);
            let at = d.offset(self.ends, at);
            d.write(end, at, 0);
            let (below, above) = (d.b.use_var(least), d.b.use_var(most));
            let (below, above) = (d.b.ins().smin(below, end), d.b.ins().smax(above, end));
            d.b.def_var(least, below);
            d.b.def_var(most, above);
        });
        (d.b.use_var(least), d.b.use_var(most))
    }

    /// Where the score or weight of a row, whose first is at `own`, for a key lies.
    fn place(&self, d: &mut Driver, own: Value, n: Value) -> Value {
        let panel = d.floor_divide(n, self.shape.columns());
        let begin = d.times(panel, self.shape.columns());
        let column = d.b.ins().isub(n, begin);
        let skipped = d.times(panel, self.shape.tile_bytes());
        let at = d.offset(own, skipped);
        at_number(d, at, column)
    }

    fn own(&self, d: &mut Driver, r: Value) -> Value {
        let skipped = d.times(r, self.shape.row_bytes());
        d.offset(self.scores, skipped)
    }

    /// The exponentials of a row in the places of its products, and what its sums are multiplied by.
    fn share(&self, d: &mut Driver, r: Value) {
        let (plan, zero) = (self.plan, d.integer(0));
        let own = self.own(d, r);
        let place = |d: &mut Driver, n: Value| self.place(d, own, n);
        let end = self.end_of(d, r);
        let panels = d.floor_divide(end, self.shape.columns());
        let taken = d.times(panels, self.shape.columns());
        let left = d.b.ins().isub(end, taken);
        let vectors = d.floor_divide(left, self.shape.lanes());
        let more = d.times(vectors, self.shape.lanes());
        let done = d.b.ins().iadd(taken, more);
        let counts = [panels, zero, vectors];
        let most = match &self.score {
            None => most_of(d, plan, &place, (zero, end), plan.score_lanes),
            Some((chain, leaf)) => {
                d.enter_lanes(Some(Lanes { axis: plan.a.n, count: self.shape.lanes() as usize }), false);
                d.positions[plan.a.n.0 as usize] = Some(zero);
                d.accumulator = Accumulator::At(own);
                let mut list = chain::inputs(d, chain);
                list.extend([own, self.lanes]);
                self.call(d, *leaf, &counts, &list);
                d.enter_lanes(None, false);
                let greater = |e: &mut Clif, a: Parts, b: Parts| {
                    let less = e.compare(Compare::Lt, DType::F32, a, b);
                    e.select(DType::F32, less, b, a)
                };
                let most = self.across(d, &greater);
                let rest = most_of(d, plan, &place, (done, end), false);
                greater(&mut d.single(), Parts::one(most), Parts::one(rest)).scalar()
            }
        };
        let shift = shift_of(d, most);
        d.write(shift, self.number, 0);
        self.call(d, self.weights, &counts, &[own, self.number, self.lanes]);
        let plus = |e: &mut Clif, a: Parts, b: Parts| e.binary(Binary::Add, DType::F32, a, b);
        let sum = self.across(d, &plus);
        let rest = weigh(d, &place, &place, (done, end), shift, false);
        let mut e = d.single();
        let sum = plus(&mut e, Parts::one(sum), Parts::one(rest));
        let one = e.constant(Scalar::F32(1.0));
        let factor = e.binary(Binary::Div, DType::F32, one, sum);
        let factor = self.f.unless_blind(&mut e, factor, sum);
        let at = at_number(d, self.factors, r);
        d.write(factor.scalar(), at, 0);
    }

    /// The lanes that a leaf gave, as one.
    fn across(&self, d: &mut Driver, combine: &dyn Fn(&mut Clif, Parts, Parts) -> Parts) -> Value {
        let count = self.shape.lanes() as i32;
        let parts: Vec<Value> = (0..count / 4).map(|i| d.read(F32X4, self.lanes, i * 16)).collect();
        lanes::across(&mut d.vector(count as usize), DType::F32, Parts::new(parts), &mut |e, a, b| combine(e, a, b))
    }

    /// Whole panels of keys, and the keys that are left.
    fn steps(&self, d: &mut Driver, keys: Value) -> [Value; 2] {
        let panels = d.floor_divide(keys, self.shape.columns());
        let taken = d.times(panels, self.shape.columns());
        [panels, d.b.ins().isub(keys, taken)]
    }

    /// The panels of values, one by one, and the bytes of columns before them.
    fn each_panel(&self, d: &mut Driver, body: &mut dyn FnMut(&mut Driver, Value, Value)) {
        let panels = self.panels.of(d, self.f.width);
        let panel_bytes = d.times(self.keys, self.shape.row_bytes());
        let zero = d.integer(0);
        d.each(zero, panels, 1, &mut |d, panel| {
            let skipped = d.b.ins().imul(panel, panel_bytes);
            let right = d.offset(self.panels.values, skipped);
            let first = d.times(panel, self.shape.row_bytes());
            body(d, right, first);
        });
    }

    /// `out[r][e] = factor[r] Σ_n weight[r][n] · value[n][e]`, stored where it belongs. Rows past the last go to scratch.
    fn finished_sums(&self, d: &mut Driver, first: Value, count: Value) {
        let store = &self.plan.a.stores[0];
        let rows = d.stack(self.shape.rows as usize * 8);
        (0..self.shape.rows as i32).for_each(|r| d.write(self.outs, rows, r * 8));
        let zero = d.b.ins().f32const(0.0);
        d.write(zero, self.factors, self.shape.rows as i32 * 4);
        self.each_row(d, first, count, &mut |d, r| {
            pack::bind_first(d, &[self.plan.a.e]);
            let (element, _) = d.element(&store.access, None);
            let to = d.address(&store.access, element);
            let at = d.times(r, 8);
            let at = d.offset(rows, at);
            d.write(to, at, 0);
        });
        let [panels, rest] = self.steps(d, self.keys);
        self.each_panel(d, &mut |d, right, first| {
            let mut list = vec![right, self.scores, self.factors];
            for r in 0..self.shape.rows as i32 {
                let to = d.read(I64, rows, r * 8);
                list.push(d.offset(to, first));
            }
            self.call(d, self.values, &[panels, rest], &list);
        });
    }

    /// The same to scratch, where rows see different keys or something follows.
    fn sums(&self, d: &mut Driver, count: Value, least: Value) {
        let [panels, rest] = self.steps(d, least);
        let zero = d.integer(0);
        self.each_panel(d, &mut |d, right, first| {
            self.call(d, self.values, &[panels, rest], &[right, self.scores, self.tile]);
            d.each(zero, count, 1, &mut |d, r| {
                let skipped = d.times(r, self.shape.row_bytes());
                let tile = d.offset(self.tile, skipped);
                let out = self.out(d, r);
                let out = d.offset(out, first);
                self.finish(d, r, (tile, right, out), least);
            });
        });
    }

    /// Adds what a row sees beyond the others of its tile, and multiplies by its factor.
    fn finish(&self, d: &mut Driver, r: Value, (tile, right, out): (Value, Value, Value), least: Value) {
        let (own, end) = (self.own(d, r), self.end_of(d, r));
        let rows = Rows { right, row_bytes: self.shape.row_bytes() };
        let sums = with_rest(d, tile, &rows, [least, end], &|d, n| self.place(d, own, n));
        let at = at_number(d, self.factors, r);
        let factor = d.read(F32, at, 0);
        let factor = Parts::one(d.vector(4).splat(DType::F32, factor).all()[0]);
        for (i, total) in (0..).zip(sums) {
            let mut e = d.vector(4);
            let zero = e.constant(Scalar::F32(0.0));
            let result = leaf::scaled(&mut e, total, [factor, zero]);
            d.write(result.scalar(), out, i * 16);
        }
    }
}
