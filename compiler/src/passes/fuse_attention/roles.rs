//! What the axes of the two contractions are to an attention.
//! Invariant: axes are those of the shares, by number, and two more: the depth that scores sum over, and the width of values.

use super::super::rewrite::{Rewriter, Use};
use super::operands::Operand;
use super::scores::{Scores, Shares};
use crate::ops::Contraction;
use mlc_codegen::base::Dim;

/// The roles of axes.
pub(super) struct Roles {
    /// Axes before queries and keys, in the order of the scores.
    leading: Vec<usize>,
    rows: Option<usize>,
    pub(super) keys: usize,
    depth: usize,
    width: usize,
    /// The extent of each axis of the scores.
    extents: Vec<Dim>,
    /// Which axes keys and values have too.
    shared: Vec<bool>,
    /// Which input of the product is the queries.
    queries: usize,
    /// Axes of the inputs of both contractions.
    product: Vec<Vec<Option<usize>>>,
    values: Vec<Option<usize>>,
    pub(super) result: Vec<Option<usize>>,
}

impl Roles {
    /// `None` where the contractions are not those of an attention.
    pub(super) fn of(cx: &Rewriter, found: &Use, side: usize, shares: &Shares, scores: &Scores) -> Option<Roles> {
        let (first, second) = (contraction(&scores.product)?, contraction(found)?);
        let rank = shares.order.len();
        let (depth, width, keys) = (rank, rank + 1, shares.keys);
        let own = second.operands[side].iter().copied().collect::<Option<Vec<usize>>>()?;
        let named = |axis: usize| own.iter().position(|a| *a == axis);
        let values = renamed(&second.operands[1 - side], &|axis| named(axis).or(Some(width)))?;
        let result: Vec<Option<usize>> = second.result.iter().map(|axis| named(*axis).or(Some(width))).collect();
        let summed = (0..rank).all(|axis| result.contains(&Some(axis)) == (axis != keys));
        let of_scores = |axis: usize| first.result.iter().position(|a| *a == axis).map(|place| scores.order[place]);
        let product: Option<Vec<_>> =
            first.operands.iter().map(|axes| renamed(axes, &|axis| of_scores(axis).or(Some(depth)))).collect();
        let product = product?;
        let has = |input: usize, axis: usize| product[input].contains(&Some(axis));
        let queries = (0..2).find(|input| !has(*input, keys))?;
        let shared: Vec<bool> = (0..rank).map(|axis| has(1 - queries, axis)).collect();
        let sound = summed
            && distinct(&own)
            && shared[keys]
            && has(0, depth)
            && has(1, depth)
            && values.contains(&Some(keys))
            && values.contains(&Some(width))
            && first.extents.len() == rank + 1
            && second.extents.len() == rank + 1
            && (0..rank)
                .all(|axis| values.contains(&Some(axis)) == shared[axis] && (shared[axis] || has(queries, axis)));
        let mut extents = vec![Dim::from(1); rank];
        let dims = &cx.graph.ty(shares.of).dims;
        shares.order.iter().zip(dims).for_each(|(axis, dim)| extents[*axis] = dim.clone());
        let mut leading: Vec<usize> = scores.order.iter().copied().filter(|axis| *axis != keys).collect();
        let rows = leading.iter().rposition(|axis| !shared[*axis]).map(|place| leading.remove(place));
        sound.then_some(Roles { leading, rows, keys, depth, width, extents, shared, queries, product, values, result })
    }

    /// The axis that is the queries of a causal mask takes the place of rows.
    pub(super) fn rows_are(&mut self, row: Option<usize>) {
        let (Some(row), Some(old)) = (row, self.rows) else { return };
        if let Some(place) = self.leading.iter().position(|axis| *axis == row) {
            self.leading[place] = old;
            self.rows = Some(row);
        }
    }

    /// Whether an axis of a causal mask, of the extent of its queries, may be the rows: it is one of queries alone.
    pub(super) fn may_be_rows(&self, row: Option<usize>, queries: &Dim) -> bool {
        match row {
            Some(row) => !self.shared[row] && self.extents[row] == *queries,
            None => {
                let one = Dim::from(1);
                *queries == one && self.rows.is_none_or(|rows| self.extents[rows] == one)
            }
        }
    }

    /// Whether an axis of a causal mask, of the extent of its keys, is the keys.
    pub(super) fn may_be_keys(&self, column: Option<usize>, keys: &Dim) -> bool {
        self.extents[self.keys] == *keys && column.is_none_or(|column| column == self.keys)
    }

    /// Queries, keys and values as they are read.
    pub(super) fn operands(&self, found: &Use, side: usize, scores: &Scores) -> [Operand; 3] {
        let inputs = &scores.product.inputs;
        let of = |input: usize| Operand { value: inputs[input], axes: self.product[input].clone() };
        let values = Operand { value: found.inputs[1 - side], axes: self.values.clone() };
        [of(self.queries), of(1 - self.queries), values]
    }

    /// The last leading axis that keys and values have.
    pub(super) fn heads(&self) -> impl Iterator<Item = usize> + '_ {
        self.leading.iter().copied().filter(|axis| self.shared[*axis])
    }

    fn led(&self, last: [Option<usize>; 2], has: impl Fn(usize) -> bool) -> Vec<Option<usize>> {
        self.leading.iter().map(|axis| has(*axis).then_some(*axis)).chain(last).collect()
    }

    /// `[.., s, d]`.
    pub(super) fn of_queries(&self) -> Vec<Option<usize>> {
        self.led([self.rows, Some(self.depth)], |axis| self.product[self.queries].contains(&Some(axis)))
    }

    /// The leading dims of queries, and rows; what queries lack is expanded to them.
    pub(super) fn query_dims(&self) -> Vec<Dim> {
        let rows = self.rows.map_or(Dim::from(1), |rows| self.extents[rows].clone());
        self.leading.iter().map(|axis| self.extents[*axis].clone()).chain([rows]).collect()
    }

    /// `[.., t, d]`.
    pub(super) fn of_keys(&self) -> Vec<Option<usize>> {
        self.led([Some(self.keys), Some(self.depth)], |axis| self.shared[axis])
    }

    /// `[.., t, e]`.
    pub(super) fn of_values(&self) -> Vec<Option<usize>> {
        self.led([Some(self.keys), Some(self.width)], |axis| self.shared[axis])
    }

    /// `[.., s, t]`.
    pub(super) fn of_scores(&self) -> Vec<Option<usize>> {
        self.led([self.rows, Some(self.keys)], |_| true)
    }

    /// `[.., s, e]`.
    pub(super) fn of_result(&self) -> Vec<Option<usize>> {
        self.led([self.rows, Some(self.width)], |_| true)
    }
}

fn contraction(found: &Use) -> Option<Contraction> {
    found.op.op().contraction(&found.call())
}

fn distinct<T: PartialEq>(axes: &[T]) -> bool {
    axes.iter().enumerate().all(|(i, axis)| !axes[..i].contains(axis))
}

/// Axes by their new names; `None` where one stands twice.
fn renamed(axes: &[Option<usize>], name: &dyn Fn(usize) -> Option<usize>) -> Option<Vec<Option<usize>>> {
    let new: Vec<Option<usize>> = axes.iter().map(|axis| axis.and_then(name)).collect();
    let named: Vec<usize> = new.iter().flatten().copied().collect();
    distinct(&named).then_some(new)
}
