//! Accesses: from a point of the iteration space to one element of a buffer.
//!
//! An access is a sum of *coordinates*. Each coordinate has a stride and may have a guard, the extent it must lie in.
//! Padding, tails, gathers and capacity limits are all guards: outside `0..guard` a read gives `fill` and a write does
//! nothing. Because a guard stands on one coordinate, it also bounds that coordinate in the safety proof, and nothing
//! else can.

use super::{ExprId, ids};
use crate::base::{Dim, Scalar};
use serde::{Deserialize, Serialize};

ids! {
    /// An axis of the kernel's iteration space.
    AxisId;
    /// A buffer parameter of the kernel.
    BufferId;
}

/// `floor((Σ coefficient·axis + plus) / div) mod modulus`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Index {
    /// Coefficients of axes; each axis at most once.
    pub terms: Vec<(AxisId, i64)>,
    /// Added before the division: `-pad`, or `past`.
    pub plus: Dim,
    /// Positive; 1 for none.
    pub div: i64,
    /// Positive when present.
    pub modulus: Option<i64>,
}

/// Where a coordinate comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A quasi-affine function of the axes.
    Index(Index),
    /// An integer expression, such as an index read from another buffer. Must carry a guard, since its value is data.
    /// The expression stands before every `Operand` node that reads through it.
    Value(ExprId),
}

/// One summand of an access.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Coord {
    /// The position.
    pub source: Source,
    /// Elements between neighbours.
    pub stride: Dim,
    /// The position must lie in `0..guard`.
    pub guard: Option<Dim>,
}

/// Element `base + Σ stride·coordinate` of a buffer, through its storage format.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Access {
    /// Which buffer.
    pub buffer: BufferId,
    /// The element at which all coordinates are 0.
    pub base: Dim,
    /// The summands.
    pub coords: Vec<Coord>,
    /// What a read outside a guard gives, in the buffer's compute type.
    pub fill: Scalar,
}

impl Index {
    /// `Σ coefficient·axis + plus`, without division.
    pub fn affine(terms: Vec<(AxisId, i64)>, plus: impl Into<Dim>) -> Self {
        Index { terms, plus: plus.into(), div: 1, modulus: None }
    }

    /// The axis itself.
    pub fn axis(axis: AxisId) -> Self {
        Index::affine(vec![(axis, 1)], 0)
    }

    /// A position that no axis moves.
    pub fn constant(plus: impl Into<Dim>) -> Self {
        Index::affine(vec![], plus)
    }

    /// Whether it has neither division nor modulus.
    pub fn is_affine(&self) -> bool {
        self.div == 1 && self.modulus.is_none()
    }

    /// `self * factor + plus`; `None` where a division stands in the way.
    pub fn scaled(&self, factor: i64, plus: impl Into<Dim>) -> Option<Index> {
        let plus = plus.into();
        if !self.is_affine() {
            return (factor == 1 && plus == Dim::from(0)).then(|| self.clone());
        }
        let terms = self.terms.iter().map(|(a, c)| Some((*a, c.checked_mul(factor)?))).collect::<Option<Vec<_>>>()?;
        Some(Index::affine(terms.into_iter().filter(|(_, c)| *c != 0).collect(), self.plus.clone() * factor + plus))
    }

    /// The sum of two affine indices; `None` where one has a division.
    pub fn plus(&self, other: &Index) -> Option<Index> {
        if !self.is_affine() || !other.is_affine() {
            return None;
        }
        let mut terms = self.terms.clone();
        for (axis, c) in &other.terms {
            match terms.iter_mut().find(|(a, _)| a == axis) {
                Some((_, sum)) => *sum = sum.checked_add(*c)?,
                None => terms.push((*axis, *c)),
            }
        }
        terms.retain(|(_, c)| *c != 0);
        Some(Index::affine(terms, self.plus.clone() + &other.plus))
    }

    /// `floor(self / div)`; `None` where a modulus stands in the way.
    pub fn divided(&self, div: i64) -> Option<Index> {
        let quotient = Index { div: self.div.checked_mul(div)?, ..self.clone() };
        self.modulus.is_none().then_some(quotient)
    }

    /// `self mod modulus`; `None` where a modulus stands already.
    pub fn modulo(&self, modulus: i64) -> Option<Index> {
        self.modulus.is_none().then(|| Index { modulus: Some(modulus), ..self.clone() })
    }

    /// Whether the axis occurs.
    pub fn mentions(&self, axis: AxisId) -> bool {
        self.terms.iter().any(|(a, _)| *a == axis)
    }
}

impl Coord {
    /// An unguarded quasi-affine coordinate.
    pub fn new(index: Index, stride: impl Into<Dim>) -> Self {
        Coord { source: Source::Index(index), stride: stride.into(), guard: None }
    }

    /// A computed coordinate, checked against `guard`.
    pub fn value(value: ExprId, stride: impl Into<Dim>, guard: impl Into<Dim>) -> Self {
        Coord { source: Source::Value(value), stride: stride.into(), guard: Some(guard.into()) }
    }

    /// The same coordinate, bounded to `0..guard`.
    pub fn guarded(mut self, guard: impl Into<Dim>) -> Self {
        self.guard = Some(guard.into());
        self
    }
}

impl Access {
    /// The access with base 0 and fill `fill`.
    pub fn new(buffer: BufferId, coords: Vec<Coord>, fill: Scalar) -> Self {
        Access { buffer, base: Dim::from(0), coords, fill }
    }

    /// The same access from another element on.
    pub fn at(mut self, base: impl Into<Dim>) -> Self {
        self.base = base.into();
        self
    }
}
