//! Dim expressions: polynomials with integer coefficients over slots.
//! A polynomial has one normal form, so `==` is equality of meaning and layouts can be compared symbolically.
//! Quotients, maxima and the like are slots of their own, defined in the `Slots` table: polynomials stay polynomials.

use super::Interval;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Mul, Neg, Sub};

/// A named number: a dynamic dim, a `size` argument, a counted dim, a loop counter, or one derived from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub u32);

/// More monomials poison a polynomial: forty factors `(d + 1)` would have 2^40.
const MOST_TERMS: usize = 1 << 10;
/// More factors poison a monomial: were each of them 2 or more, it would leave 64 bits.
const MOST_FACTORS: usize = 1 << 6;

/// A sum of `coefficient * slot * slot * …`, sorted by slots, without zero coefficients.
/// A coefficient that leaves 64 bits poisons the polynomial: it has no value from then on. (Were it to wrap, two places
/// that multiply in another order could disagree about a size, and a packing buffer would be too small.) So do more than
/// 1024 monomials, and a monomial of more than 64 factors.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dim {
    terms: Vec<(Vec<Slot>, i64)>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    overflowed: bool,
}

impl Dim {
    /// The polynomial of one slot.
    pub fn slot(slot: Slot) -> Self {
        Dim { terms: vec![(vec![slot], 1)], overflowed: false }
    }

    /// The monomials `coefficient * product of slots`, in normal order.
    pub fn terms(&self) -> &[(Vec<Slot>, i64)] {
        &self.terms
    }

    /// The value, when no slot occurs.
    pub fn as_constant(&self) -> Option<i64> {
        match self.terms.as_slice() {
            _ if self.overflowed => None,
            [] => Some(0),
            [(slots, c)] if slots.is_empty() => Some(*c),
            _ => None,
        }
    }

    /// The slot, when the polynomial is just that.
    pub fn as_slot(&self) -> Option<Slot> {
        match self.terms.as_slice() {
            [(slots, 1)] if slots.len() == 1 && !self.overflowed => Some(slots[0]),
            _ => None,
        }
    }

    /// Whether a coefficient left 64 bits, or it grew out of bounds.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Every slot that occurs, in order, with repetitions.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.terms.iter().flat_map(|(slots, _)| slots.iter().copied())
    }

    /// The highest slot that occurs, so that a verifier can compare it with the size block's length.
    pub fn highest_slot(&self) -> Option<Slot> {
        self.slots().max()
    }

    /// The value for one size block; `None` on overflow.
    pub fn eval(&self, sizes: &[i64]) -> Option<i64> {
        let start = (!self.overflowed).then_some(0i64)?;
        self.terms.iter().try_fold(start, |sum, (slots, c)| {
            let product = slots.iter().try_fold(*c, |p, s| p.checked_mul(*sizes.get(s.0 as usize)?))?;
            sum.checked_add(product)
        })
    }

    /// The range over a size block of intervals; `None` on overflow.
    pub fn range(&self, sizes: &[Interval]) -> Option<Interval> {
        let start = (!self.overflowed).then_some(Interval::point(0))?;
        self.terms.iter().try_fold(start, |sum, (slots, c)| {
            let product = slots.iter().try_fold(Interval::point(*c), |p, s| p.product(*sizes.get(s.0 as usize)?))?;
            sum.sum(product)
        })
    }

    /// The polynomial with each slot replaced by what `with` gives.
    pub fn substitute(&self, with: &mut dyn FnMut(Slot) -> Dim) -> Dim {
        let mut sum = Dim { terms: vec![], overflowed: self.overflowed };
        for (slots, c) in &self.terms {
            let product = slots.iter().fold(Dim::from(*c), |p, s| p * with(*s));
            sum = sum + product;
        }
        sum
    }

    /// The quotient when `divisor` divides every monomial: a constant, or a single monomial.
    pub fn exact_quotient(&self, divisor: &Dim) -> Option<Dim> {
        let [(slots, c)] = divisor.terms.as_slice() else { return None };
        if self.overflowed || divisor.overflowed {
            return None;
        }
        let mut terms = Vec::new();
        for (own, coefficient) in &self.terms {
            let mut rest = own.clone();
            for slot in slots {
                rest.remove(rest.iter().position(|s| s == slot)?);
            }
            if coefficient % c != 0 {
                return None;
            }
            terms.push((rest, coefficient / c));
        }
        Some(Dim::from_terms(terms, false))
    }

    /// From monomials in any order.
    pub fn from_terms(mut raw: Vec<(Vec<Slot>, i64)>, mut overflowed: bool) -> Self {
        raw.sort();
        let mut terms: Vec<(Vec<Slot>, i64)> = Vec::new();
        for (slots, c) in raw {
            match terms.last_mut() {
                Some((last, sum)) if *last == slots => match sum.checked_add(c) {
                    Some(total) => *sum = total,
                    None => overflowed = true,
                },
                _ => terms.push((slots, c)),
            }
        }
        terms.retain(|(_, c)| *c != 0);
        if terms.len() > MOST_TERMS || terms.iter().any(|(slots, _)| slots.len() > MOST_FACTORS) {
            return Dim { terms: vec![], overflowed: true };
        }
        Dim { terms, overflowed }
    }

    /// The text with each slot named by `name`, highest degree first: `2*h + 1`.
    pub fn display_with(&self, name: &dyn Fn(Slot) -> String) -> String {
        if self.overflowed {
            return "overflow".into();
        }
        if self.terms.is_empty() {
            return "0".into();
        }
        let mut text = String::new();
        let (constant, rest): (Vec<_>, Vec<_>) = self.terms.iter().partition(|(slots, _)| slots.is_empty());
        for (slots, c) in rest.into_iter().chain(constant) {
            text += match (text.is_empty(), *c < 0) {
                (true, true) => "-",
                (true, false) => "",
                (false, true) => " - ",
                (false, false) => " + ",
            };
            let mut factors: Vec<String> = slots.iter().map(|s| name(*s)).collect();
            if c.unsigned_abs() != 1 || factors.is_empty() {
                factors.insert(0, c.unsigned_abs().to_string());
            }
            if factors.len() > 1 {
                factors
                    .iter_mut()
                    .filter(|factor| factor.contains(" / "))
                    .for_each(|factor| *factor = format!("({factor})"));
            }
            text += &factors.join(" * ");
        }
        text
    }
}

impl From<i64> for Dim {
    fn from(value: i64) -> Self {
        Dim::from_terms(vec![(vec![], value)], false)
    }
}

impl From<&Dim> for Dim {
    fn from(value: &Dim) -> Self {
        value.clone()
    }
}

impl From<Slot> for Dim {
    fn from(slot: Slot) -> Self {
        Dim::slot(slot)
    }
}

impl<T: Into<Dim>> Add<T> for Dim {
    type Output = Dim;
    fn add(mut self, other: T) -> Dim {
        let other = other.into();
        self.terms.extend(other.terms);
        Dim::from_terms(self.terms, self.overflowed || other.overflowed)
    }
}

impl Neg for Dim {
    type Output = Dim;
    fn neg(self) -> Dim {
        self * -1
    }
}

impl<T: Into<Dim>> Sub<T> for Dim {
    type Output = Dim;
    fn sub(self, other: T) -> Dim {
        self + -other.into()
    }
}

impl<T: Into<Dim>> Mul<T> for Dim {
    type Output = Dim;
    fn mul(self, other: T) -> Dim {
        let other = other.into();
        let mut overflowed = self.overflowed || other.overflowed;
        let mut terms = Vec::new();
        for (a, x) in &self.terms {
            for (b, y) in &other.terms {
                let mut slots = [&a[..], b].concat();
                slots.sort();
                let product = x.checked_mul(*y);
                overflowed |= product.is_none();
                terms.push((slots, product.unwrap_or(0)));
            }
        }
        Dim::from_terms(terms, overflowed)
    }
}

impl std::iter::Product for Dim {
    fn product<I: Iterator<Item = Dim>>(iter: I) -> Dim {
        iter.fold(Dim::from(1), |product, dim| product * dim)
    }
}

impl std::iter::Sum for Dim {
    fn sum<I: Iterator<Item = Dim>>(iter: I) -> Dim {
        iter.fold(Dim::from(0), |sum, dim| sum + dim)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.display_with(&|slot| format!("s{}", slot.0)))
    }
}
