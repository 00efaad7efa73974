//! Leaves of attention by wide tiles. The scores of a tile lie by panels of keys, `[n / columns][row][columns]`; their
//! weights take the same places, so that one pointer and constant offsets reach those of all rows.

use super::arithmetic::{Arithmetic, Cursor, LeafEmitter, Start};
use super::attention::AttentionPlan;
use super::chain::{Chain, POINTERS, size_of_row};
use super::driver::Driver;
use super::leaves::UNROLL;
use super::math;
use super::select::{Isa, TILE_VECTORS};
use super::x86::{Wide, Width};
use crate::base::DType;
use crate::kernel::{Binary, Compare, Node};
use cranelift_codegen::ir::FuncRef;

/// What leaves are made for.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    width: Width,
    /// Rows of a tile.
    pub(super) rows: i64,
    /// Numbers of a key.
    depth: i64,
}

/// Each row of a finished tile has a pointer, beside three others.
const MOST_ROWS: i64 = POINTERS as i64 - 3;

const FITS: &str = "a tile is as tall as the registers allow";

impl Shape {
    /// `None` without wide vectors.
    pub(super) fn new(isa: Isa, depth: i64) -> Option<Shape> {
        let rows = isa.tile_heights()[0].min(MOST_ROWS);
        Some(Shape { width: isa.wide()?, rows, depth })
    }

    pub(super) fn lanes(&self) -> i64 {
        self.width.lanes()
    }

    fn vector(&self) -> i64 {
        self.lanes() * 4
    }

    /// Keys, or columns of values, of a panel.
    pub(super) fn columns(&self) -> i64 {
        TILE_VECTORS * self.lanes()
    }

    /// Bytes of a panel's row.
    pub(super) fn row_bytes(&self) -> i64 {
        self.columns() * 4
    }

    /// Bytes of a tile's scores of a panel of keys.
    pub(super) fn tile_bytes(&self) -> i64 {
        self.rows * self.row_bytes()
    }

    fn sums(&self, e: &mut Wide) -> Vec<Vec<u8>> {
        (0..self.rows).map(|_| (0..TILE_VECTORS).map(|_| e.variable()).collect()).collect()
    }

    /// Adds the product of a panel's row, so many bytes past a cursor, with a number of each row of the tile.
    fn step(&self, e: &mut Wide, sums: &[Vec<u8>], panel: (usize, i64), left: usize, at: impl Fn(i64) -> i64) {
        let right: Vec<_> = (0..TILE_VECTORS).map(|j| e.load(panel.0, (panel.1 + j * self.vector()) as i32)).collect();
        for (row, sums) in (0..).zip(sums) {
            let left = e.broadcast(left, at(row) as i32);
            sums.iter().zip(&right).for_each(|(sum, right)| e.accumulate(*sum, *right, left));
        }
    }
}

/// Pointers of a list that move so many bytes a turn.
fn listed(bytes: impl IntoIterator<Item = i64>) -> Vec<Cursor> {
    bytes
        .into_iter()
        .enumerate()
        .map(|(place, bytes)| Cursor { start: Start::Listed { list: 1, place }, bytes })
        .collect()
}

/// `PRODUCTS (panels, [keys, queries, scores])`: queries `[row][depth]` times panels of keys.
pub(super) fn products(shape: &Shape) -> Vec<u8> {
    const KEYS: usize = 0;
    const QUERIES: usize = 1;
    const SCORES: usize = 2;
    let (turns, rest) = (shape.depth / UNROLL, shape.depth % UNROLL);
    let cursors = listed([0, 0, shape.tile_bytes()]);
    let leaf = Wide::leaf(shape.width, |e| {
        e.start(&cursors);
        let sums = shape.sums(e);
        let step = |e: &mut Wide, k: i64| {
            shape.step(e, &sums, (KEYS, k * shape.row_bytes()), QUERIES, |row| (row * shape.depth + k) * 4);
        };
        e.steps(0, &cursors, 1, &mut |e, _| {
            sums.iter().flatten().for_each(|sum| e.clear(*sum));
            e.times(turns, &mut |e| {
                (0..UNROLL).for_each(|k| step(e, k));
                e.advance(KEYS, UNROLL * shape.row_bytes());
                e.advance(QUERIES, UNROLL * 4);
            });
            (0..rest).for_each(|k| step(e, k));
            for (row, sums) in (0..).zip(&sums) {
                for (j, sum) in (0..).zip(sums) {
                    let sum = e.read(*sum);
                    e.store_at(SCORES, (row * shape.row_bytes() + j * shape.vector()) as i32, sum);
                }
            }
            e.advance(KEYS, rest * shape.row_bytes());
            e.advance(QUERIES, -turns * UNROLL * 4);
        });
    });
    leaf.expect(FITS)
}

/// Sums of a row times its factor, and 0 where that is 0: the weights of a row that sees nothing are 0, which an infinite
/// value would make NaN.
pub(super) fn scaled<E: Arithmetic>(e: &mut E, sums: E::Value, [factor, zero]: [E::Value; 2]) -> E::Value {
    let blind = e.compare(Compare::Eq, DType::F32, factor, zero);
    let product = e.binary(Binary::Mul, DType::F32, sums, factor);
    e.select(DType::F32, blind, zero, product)
}

/// `VALUES (panels, list, rest)`: weights times a panel of values, of whole panels of keys and of those that are left. The
/// list has the values, the weights, and where sums are stored; or, where they are `finished`, a factor for each row and a
/// zero behind them, and where each row is stored.
pub(super) fn values(shape: &Shape, finished: bool) -> Vec<u8> {
    const VALUES: usize = 0;
    const WEIGHTS: usize = 1;
    const TO: usize = 2;
    let others = if finished { 1 + shape.rows } else { 1 };
    let moving = |first: [i64; 2]| listed(first.into_iter().chain((0..others).map(|_| 0)));
    let by_panel = moving([shape.columns() * shape.row_bytes(), shape.tile_bytes()]);
    let by_key = moving([shape.row_bytes(), 4]);
    let leaf = Wide::leaf(shape.width, |e| {
        e.start(&by_panel);
        let sums = shape.sums(e);
        let step = |e: &mut Wide, n: i64| {
            shape.step(e, &sums, (VALUES, n * shape.row_bytes()), WEIGHTS, |row| row * shape.row_bytes() + n * 4);
        };
        e.steps(0, &by_panel, 1, &mut |e, _| (0..shape.columns()).for_each(|n| step(e, n)));
        e.steps(2, &by_key, 1, &mut |e, _| step(e, 0));
        for (row, sums) in (0..).zip(&sums) {
            let factor = finished.then(|| [row, shape.rows as i32].map(|place| e.broadcast(TO, place * 4)));
            for (j, sum) in (0..).zip(sums) {
                let (sum, at) = (e.read(*sum), (j * shape.vector()) as i32);
                match factor {
                    None => e.store_at(TO, row * shape.row_bytes() as i32 + at, sum),
                    Some(factor) => {
                        let result = scaled(e, sum, factor);
                        e.store_at(TO + 1 + row as usize, at, result);
                    }
                }
            }
        }
    });
    leaf.expect(FITS)
}

/// `SCORES (panels, list, _, vectors)`: products of one row, in their places, to scores, of whole panels and of whole vectors
/// that are left. The list has what the chain reads, the first product, and where the greatest of each lane is stored. `None`
/// where the expression needs more than such a chain; the driver's lanes lie along n.
pub(super) fn scores(d: &mut Driver, plan: &AttentionPlan, shape: &Shape) -> Option<(Chain, FuncRef)> {
    let (kernel, score) = (plan.kernel, plan.a.score);
    let chain = Chain::new(d, plan.a.n, &[score]).filter(|chain| chain.pointers() + 2 < POINTERS)?;
    let (products, greatest) = (chain.pointers(), chain.pointers() + 1);
    let moving = |lanes: i64, product: i64| {
        let rows = chain.rows.iter().map(|row| match kernel.expr.nodes[row.0 as usize] {
            Node::Accumulator => product,
            _ => lanes * size_of_row(kernel, *row),
        });
        let fixed = (!chain.fixed.is_empty()).then_some(0);
        listed(rows.chain(fixed).chain([product, 0]))
    };
    let (by_panel, by_vector) = (moving(shape.columns(), shape.tile_bytes()), moving(shape.lanes(), shape.vector()));
    let leaf = Wide::chain(shape.width, |e| {
        let most: Vec<u8> = (0..TILE_VECTORS).map(|_| e.variable_from(f32::NEG_INFINITY)).collect();
        e.start(&by_panel);
        let vector = |e: &mut Wide, j: i64| {
            let at = (j * shape.vector()) as i32;
            let values = chain.emit(e, kernel, &d.types, at);
            let value = values[score.0 as usize].expect("the root is a node");
            e.store_at(products, at, value);
            greater(e, most[j as usize], value);
        };
        e.steps(0, &by_panel, 1, &mut |e, _| (0..TILE_VECTORS).for_each(|j| vector(e, j)));
        e.steps(3, &by_vector, 1, &mut |e, _| vector(e, 0));
        most[1..].iter().for_each(|other| {
            let other = e.read(*other);
            greater(e, most[0], other);
        });
        let most = e.read(most[0]);
        e.store_at(greatest, 0, most);
    });
    let leaf = d.leaf(leaf.ok()?, 4);
    Some((chain, leaf))
}

/// `most = most < value ? value : most`.
fn greater(e: &mut Wide, most: u8, value: <Wide as Arithmetic>::Value) {
    let old = e.read(most);
    let less = e.compare(Compare::Lt, DType::F32, old, value);
    let new = e.select(DType::F32, less, value, old);
    e.set(most, new);
}

/// `WEIGHTS (panels, [scores, shift, sums], _, vectors)`: scores of one row, in their places, to exponentials of their
/// distance from the shift, and the sums of each lane.
pub(super) fn weights(shape: &Shape) -> Vec<u8> {
    let (by_panel, by_vector) = (listed([shape.tile_bytes(), 0, 0]), listed([shape.vector(), 0, 0]));
    let leaf = Wide::chain(shape.width, |e| {
        let sums: Vec<u8> = (0..TILE_VECTORS).map(|_| e.variable_from(0.0)).collect();
        e.start(&by_panel);
        let vector = |e: &mut Wide, j: i64| {
            let at = (j * shape.vector()) as i32;
            let (score, shift) = (e.load(0, at), e.broadcast(1, 0));
            let distance = e.binary(Binary::Sub, DType::F32, score, shift);
            let weight = math::exp_of_distance(e, distance);
            e.store_at(0, at, weight);
            let old = e.read(sums[j as usize]);
            let new = e.binary(Binary::Add, DType::F32, old, weight);
            e.set(sums[j as usize], new);
        };
        e.steps(0, &by_panel, 1, &mut |e, _| (0..TILE_VECTORS).for_each(|j| vector(e, j)));
        e.steps(3, &by_vector, 1, &mut |e, _| vector(e, 0));
        sums[1..].iter().for_each(|other| e.merge(sums[0], *other));
        let sum = e.read(sums[0]);
        e.store_at(2, 0, sum);
    });
    leaf.expect("an exponential needs few registers")
}
