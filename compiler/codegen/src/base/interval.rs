//! Closed integer intervals with checked arithmetic: the whole of the bounds proof rests on these operations.
//! Every operation returns `None` on overflow, never a wrapped number.

/// The integers `lo..=hi`; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The least.
    pub lo: i64,
    /// The greatest.
    pub hi: i64,
}

impl Interval {
    /// The interval that holds one number.
    pub fn point(value: i64) -> Self {
        Interval { lo: value, hi: value }
    }

    /// The positions of an axis: `0..extent`. `None` when the axis is empty.
    pub fn of_extent(extent: i64) -> Option<Self> {
        (extent > 0).then(|| Interval { lo: 0, hi: extent - 1 })
    }

    /// All sums; `None` on overflow.
    pub fn sum(self, other: Self) -> Option<Self> {
        Some(Interval { lo: self.lo.checked_add(other.lo)?, hi: self.hi.checked_add(other.hi)? })
    }

    /// All products; `None` on overflow.
    pub fn product(self, other: Self) -> Option<Self> {
        let corners = [(self.lo, other.lo), (self.lo, other.hi), (self.hi, other.lo), (self.hi, other.hi)];
        let mut products = [0; 4];
        for (product, (a, b)) in products.iter_mut().zip(corners) {
            *product = a.checked_mul(b)?;
        }
        Some(Interval { lo: *products.iter().min()?, hi: *products.iter().max()? })
    }

    /// `floor(x / divisor) mod modulus`, the quasi-affine step. `divisor` and `modulus` are positive.
    /// A modulus counts in full, also where the axis is shorter: code that recognises a packed layout reads whole panels.
    pub fn floor_div_mod(self, divisor: i64, modulus: Option<i64>) -> Self {
        match modulus {
            Some(m) => Interval { lo: 0, hi: m - 1 },
            None => Interval { lo: self.lo.div_euclid(divisor), hi: self.hi.div_euclid(divisor) },
        }
    }

    /// The part inside `other`; `None` when they do not meet.
    pub fn meet(self, other: Self) -> Option<Self> {
        let (lo, hi) = (self.lo.max(other.lo), self.hi.min(other.hi));
        (lo <= hi).then_some(Interval { lo, hi })
    }
}
