//! The table of slots: what each number of the size block is, and the one place where dims are divided and compared.
//!
//! Derived slots are interned: `floor(p / k)` made twice is one slot, so equality of polynomials stays equality of
//! meaning. A slot is defined by earlier slots only, so that one pass in order fills a size block.

use super::{Dim, Interval, Slot};
use serde::{Deserialize, Serialize};
use std::cell::Cell;

/// Where a slot's number comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotDef {
    /// A symbolic dim or a `size` argument, given by the caller within `lo..=hi`.
    Given {
        /// Its name in the source.
        name: String,
        /// Least value.
        lo: i64,
        /// Greatest value; `i64::MAX` when unbounded.
        hi: i64,
        /// Whether it was declared as a `size` argument, not a dim.
        size: bool,
    },
    /// Known once an op has run, at most `most`.
    Counted {
        /// Its name in the source.
        name: String,
        /// The upper bound that memory is planned for.
        most: Dim,
    },
    /// A loop counter: `0..trips`.
    Counter {
        /// Its name in the source.
        name: String,
        /// How often the loop runs.
        trips: Dim,
    },
    /// `floor(dim / divisor)`, divisor positive.
    Floor(Dim, i64),
    /// `floor(a / b)` of two dims; 0 where b is 0.
    Quotient(Dim, Dim),
    /// The greater of two.
    Max(Dim, Dim),
    /// The lesser of two.
    Min(Dim, Dim),
}

/// The answer to a question about dims that may stay open until sizes are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// For all sizes in range.
    Yes,
    /// For none, or by name: two different symbols are different dims.
    No,
    /// Some sizes may, others may not: becomes a guard at run time.
    Unknown,
}

/// A size block that cannot be filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// A given number outside its range.
    #[error("{name} = {value} is outside {lo}..={hi}")]
    OutOfRange {
        /// The slot's name.
        name: String,
        /// What was given.
        value: i64,
        /// Least allowed.
        lo: i64,
        /// Greatest allowed.
        hi: i64,
    },
    /// Arithmetic left 64 bits.
    #[error("a size does not fit in 64 bits")]
    Overflow,
}

/// All slots of one model, in order of definition: what a slot is derived from comes before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<SlotDef>", into = "Vec<SlotDef>")]
pub struct Slots {
    defs: Vec<SlotDef>,
    /// Of each slot; `None` on overflow. Kept, for a slot may be reached from another in exponentially many ways.
    ranges: Vec<Option<Interval>>,
}

impl From<Vec<SlotDef>> for Slots {
    fn from(defs: Vec<SlotDef>) -> Self {
        defs.into_iter().fold(Slots::default(), |mut slots, def| {
            slots.add(def);
            slots
        })
    }
}

impl From<Slots> for Vec<SlotDef> {
    fn from(slots: Slots) -> Self {
        slots.defs
    }
}

impl Slots {
    /// How many there are: the length of a size block.
    pub fn len(&self) -> usize {
        self.defs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.defs.is_empty()
    }

    /// The definition of a slot of this table.
    pub fn def(&self, slot: Slot) -> &SlotDef {
        &self.defs[slot.0 as usize]
    }

    /// Every slot with its definition, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &SlotDef)> {
        self.defs.iter().enumerate().map(|(i, def)| (Slot(i as u32), def))
    }

    /// Adds a slot that is no other's equal: a given dim, a counted dim, a counter.
    pub fn add(&mut self, def: SlotDef) -> Slot {
        let range = match &def {
            SlotDef::Given { lo, hi, .. } => Some(Interval { lo: *lo, hi: *hi }),
            SlotDef::Counted { most, .. } => self.range(most).map(|most| Interval { lo: 0, hi: most.hi.max(0) }),
            SlotDef::Counter { trips, .. } => {
                self.range(trips).map(|trips| Interval { lo: 0, hi: trips.hi.saturating_sub(1).max(0) })
            }
            derived => derived_range(derived, &|dim| self.range(dim)),
        };
        self.ranges.push(range);
        self.defs.push(def);
        Slot(self.defs.len() as u32 - 1)
    }

    /// The slot with this definition, made if there is none.
    fn intern(&mut self, def: SlotDef) -> Dim {
        let found = self.defs.iter().position(|d| *d == def);
        Dim::slot(found.map_or_else(|| self.add(def), |i| Slot(i as u32)))
    }

    /// `floor(a / b)`: multiples of `b` are pulled out, exact quotients cancel, what remains becomes a slot.
    /// Division by the constant 0 gives 0.
    pub fn floor_div(&mut self, a: &Dim, b: &Dim) -> Dim {
        if b.as_constant() == Some(0) {
            return Dim::from(0);
        }
        if let Some(quotient) = a.exact_quotient(b) {
            return quotient;
        }
        match b.as_constant() {
            Some(k) if k > 0 => self.floor_div_constant(a, k),
            _ => self.intern(SlotDef::Quotient(a.clone(), b.clone())),
        }
    }

    fn floor_div_constant(&mut self, a: &Dim, k: i64) -> Dim {
        if let Some(value) = a.as_constant() {
            return Dim::from(value.div_euclid(k));
        }
        let (mut whole, mut rest) = (Vec::new(), Vec::new());
        for (slots, c) in a.terms() {
            let inside = if slots.is_empty() || c % k == 0 { c.rem_euclid(k) } else { *c };
            whole.push((slots.clone(), (c - inside) / k));
            rest.push((slots.clone(), inside));
        }
        let (whole, rest) = (Dim::from_terms(whole, a.overflowed()), Dim::from_terms(rest, false));
        match self.range(&rest) {
            Some(r) if r.lo >= 0 && r.hi < k => whole,
            _ => self.intern(SlotDef::Floor(rest, k)) + whole,
        }
    }

    /// `ceil(a / b)` for a positive constant `b`.
    pub fn ceil_div(&mut self, a: &Dim, b: i64) -> Dim {
        self.floor_div(&(a.clone() + (b - 1)), &Dim::from(b))
    }

    /// The greater of two dims.
    pub fn max(&mut self, a: &Dim, b: &Dim) -> Dim {
        match self.at_most(a, b) {
            Truth::Yes => b.clone(),
            _ if self.at_most(b, a) == Truth::Yes => a.clone(),
            _ => self.intern(SlotDef::Max(a.min(b).clone(), a.max(b).clone())),
        }
    }

    /// The lesser of two dims.
    pub fn min(&mut self, a: &Dim, b: &Dim) -> Dim {
        match self.at_most(a, b) {
            Truth::Yes => a.clone(),
            _ if self.at_most(b, a) == Truth::Yes => b.clone(),
            _ => self.intern(SlotDef::Min(a.min(b).clone(), a.max(b).clone())),
        }
    }

    /// Whether `divisor` divides `dim` for all sizes.
    pub fn divides(&mut self, divisor: &Dim, dim: &Dim) -> Truth {
        let quotient = self.floor_div(dim, divisor);
        match quotient * divisor == *dim {
            true => Truth::Yes,
            false if dim.as_constant().is_some() && divisor.as_constant().is_some() => Truth::No,
            false => Truth::Unknown,
        }
    }

    /// Whether two dims are equal. Different symbols are different (`No`) even where their ranges meet; only quotients,
    /// maxima, sizes and counts are left open.
    pub fn equal(&self, a: &Dim, b: &Dim) -> Truth {
        if a == b && !a.overflowed() {
            return Truth::Yes;
        }
        let difference = a.clone() - b;
        let never = self.range(&difference).is_some_and(|r| r.lo > 0 || r.hi < 0);
        let open = difference.slots().any(|s| !matches!(self.def(s), SlotDef::Given { size: false, .. }));
        if never || !open { Truth::No } else { Truth::Unknown }
    }

    /// Whether `a <= b`, from the ranges alone.
    pub fn at_most(&self, a: &Dim, b: &Dim) -> Truth {
        match self.range(&(b.clone() - a)) {
            Some(r) if r.lo >= 0 => Truth::Yes,
            Some(r) if r.hi < 0 => Truth::No,
            _ => Truth::Unknown,
        }
    }

    /// The range of a dim over all sizes in range; `None` when it leaves 64 bits (an unbounded dim times two, say).
    pub fn range(&self, dim: &Dim) -> Option<Interval> {
        if dim.overflowed() {
            return None;
        }
        dim.terms().iter().try_fold(Interval::point(0), |sum, (slots, c)| {
            let start = Interval::point(*c);
            let product = slots.iter().try_fold(start, |p, s| p.product((*self.ranges.get(s.0 as usize)?)?))?;
            sum.sum(product)
        })
    }

    /// The ranges of the slots that are derived from others, anew after `slot` got another range; `None` on overflow.
    pub fn rederive(&self, slot: Slot, ranges: &mut [Interval]) -> Option<()> {
        for (later, def) in self.iter().skip(slot.0 as usize + 1) {
            if !matches!(def, SlotDef::Given { .. } | SlotDef::Counted { .. } | SlotDef::Counter { .. }) {
                ranges[later.0 as usize] = derived_range(def, &|dim| dim.range(ranges))?;
            }
        }
        Some(())
    }

    /// Fills the derived slots of a size block whose given slots are set; counted slots take their upper bound where
    /// `counted` has none yet, counters start at 0.
    pub fn fill(&self, sizes: &mut [i64]) -> Result<(), SizeError> {
        for (i, def) in self.defs.iter().enumerate() {
            if let SlotDef::Given { name, lo, hi, .. } = def {
                if sizes[i] < *lo || sizes[i] > *hi {
                    return Err(SizeError::OutOfRange { name: name.clone(), value: sizes[i], lo: *lo, hi: *hi });
                }
                continue;
            }
            sizes[i] = self.derive(def, sizes).ok_or(SizeError::Overflow)?;
        }
        Ok(())
    }

    /// Fills the slots that are derived from others anew, after `slot` got another number.
    pub fn refill(&self, slot: Slot, sizes: &mut [i64]) -> Result<(), SizeError> {
        for (later, def) in self.iter().skip(slot.0 as usize + 1) {
            if !matches!(def, SlotDef::Given { .. } | SlotDef::Counted { .. } | SlotDef::Counter { .. }) {
                sizes[later.0 as usize] = self.derive(def, sizes).ok_or(SizeError::Overflow)?;
            }
        }
        Ok(())
    }

    fn derive(&self, def: &SlotDef, sizes: &[i64]) -> Option<i64> {
        let at = |dim: &Dim| dim.eval(sizes);
        match def {
            SlotDef::Given { .. } => None,
            SlotDef::Counted { most, .. } => at(most),
            SlotDef::Counter { .. } => Some(0),
            SlotDef::Floor(a, k) => Some(at(a)?.div_euclid(*k)),
            SlotDef::Quotient(a, b) => Some(match at(b)? {
                0 => 0,
                b => at(a)?.checked_div_euclid(b)?,
            }),
            SlotDef::Max(a, b) => Some(at(a)?.max(at(b)?)),
            SlotDef::Min(a, b) => Some(at(a)?.min(at(b)?)),
        }
    }

    /// A dim as text with the names of the source: `floor((h - 1) / 2) + 1`. Slots that are made of others many times over
    /// are written as `s7` from some point on, so that no table makes a text without end.
    pub fn show(&self, dim: &Dim) -> String {
        const MOST: usize = 256;
        self.show_within(dim, &Cell::new(MOST))
    }

    fn show_within(&self, dim: &Dim, left: &Cell<usize>) -> String {
        let show = |dim: &Dim| self.show_within(dim, left);
        let operand = |dim: &Dim| match show(dim) {
            text if text.contains(' ') => format!("({text})"),
            text => text,
        };
        dim.display_with(&|slot| match self.def(slot) {
            SlotDef::Given { name, .. } | SlotDef::Counted { name, .. } | SlotDef::Counter { name, .. } => name.clone(),
            _ if left.replace(left.get().saturating_sub(1)) == 0 => format!("s{}", slot.0),
            SlotDef::Floor(a, k) => format!("{} / {k}", operand(a)),
            SlotDef::Quotient(a, b) => format!("{} / {}", operand(a), operand(b)),
            SlotDef::Max(a, b) => format!("max({}, {})", show(a), show(b)),
            SlotDef::Min(a, b) => format!("min({}, {})", show(a), show(b)),
        })
    }
}

/// The range of a quotient, maximum or minimum, from the ranges of what it is made of.
fn derived_range(def: &SlotDef, range: &dyn Fn(&Dim) -> Option<Interval>) -> Option<Interval> {
    let pair = |a: &Dim, b: &Dim| Some((range(a)?, range(b)?));
    Some(match def {
        // A table from a file is read before it is verified.
        SlotDef::Floor(_, ..=0) => return None,
        SlotDef::Floor(a, k) => range(a)?.floor_div_mod(*k, None),
        SlotDef::Quotient(a, b) => quotients(pair(a, b)?)?,
        SlotDef::Max(a, b) => {
            let (a, b) = pair(a, b)?;
            Interval { lo: a.lo.max(b.lo), hi: a.hi.max(b.hi) }
        }
        SlotDef::Min(a, b) => {
            let (a, b) = pair(a, b)?;
            Interval { lo: a.lo.min(b.lo), hi: a.hi.min(b.hi) }
        }
        SlotDef::Given { .. } | SlotDef::Counted { .. } | SlotDef::Counter { .. } => return None,
    })
}

/// All `floor(a / b)`, 0 where b is 0; the extremes lie at the ends and beside 0.
fn quotients((a, b): (Interval, Interval)) -> Option<Interval> {
    let inside = |divisor: &i64| (b.lo..=b.hi).contains(divisor);
    let mut all = Vec::new();
    for divisor in [b.lo, b.hi, -1, 1].into_iter().filter(inside).filter(|divisor| *divisor != 0) {
        for dividend in [a.lo, a.hi] {
            all.push(dividend.checked_div_euclid(divisor)?);
        }
    }
    all.extend(inside(&0).then_some(0));
    Some(Interval { lo: *all.iter().min()?, hi: *all.iter().max()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_long_derivations_are_found_at_once() {
        let mut slots = Slots::default();
        let mut dim = Dim::slot(slots.add(SlotDef::Given { name: "n".into(), lo: 0, hi: 3, size: false }));
        for _ in 0..200 {
            dim = slots.floor_div(&(dim.clone() * &dim), &Dim::from(3));
        }
        assert_eq!(slots.range(&dim), Some(Interval { lo: 0, hi: 3 }));
        assert_eq!(Slots::from(Vec::from(slots.clone())), slots);
        let hostile = vec![
            SlotDef::Floor(Dim::slot(Slot(0)), 0),
            SlotDef::Counted { name: "c".into(), most: Dim::slot(Slot(9)) },
        ];
        assert_eq!(Slots::from(hostile).ranges, [None, None]);
    }

    fn table() -> (Slots, Dim, Dim) {
        let mut slots = Slots::default();
        let given = |name: &str| SlotDef::Given { name: name.into(), lo: 1, hi: 512, size: false };
        let (h, n) = (slots.add(given("h")), slots.add(given("n")));
        (slots, Dim::slot(h), Dim::slot(n))
    }

    #[test]
    fn normal_forms_decide_equality() {
        let (mut slots, h, n) = table();
        let two = Dim::from(2);
        let halved = slots.floor_div(&(h.clone() - 1), &two) + 1;
        assert_eq!(halved, slots.floor_div(&(h.clone() + 1), &two), "(h-1)/2+1 = (h+1)/2");
        assert_eq!(slots.floor_div(&(h.clone() * 6), &h), Dim::from(6));
        assert_eq!(slots.floor_div(&(n.clone() * &h), &n), h);
        assert_eq!(slots.floor_div(&(h.clone() * 4 + 7), &Dim::from(4)), h.clone() + 1);
        assert_eq!(slots.equal(&h, &n), Truth::No);
        assert_eq!(slots.equal(&halved, &n), Truth::Unknown);
        assert_eq!(slots.equal(&(h.clone() + 1), &h), Truth::No);
    }

    #[test]
    fn a_table_of_doublings_has_a_short_text() {
        let mut slots = Slots::default();
        let given = SlotDef::Given { name: "n".into(), lo: 0, hi: 9, size: false };
        let mut last = Dim::slot(slots.add(given));
        for _ in 0..60 {
            let slot = slots.add(SlotDef::Max(last.clone() + 1, last.clone() * 2));
            last = Dim::slot(slot);
        }
        assert!(slots.show(&last).len() < 10_000);
    }

    #[test]
    fn a_size_block_is_filled_in_order() {
        let (mut slots, h, _) = table();
        let half = slots.floor_div(&h, &Dim::from(2));
        let most = slots.max(&half, &Dim::from(3));
        let mut sizes = vec![9, 1, 0, 0];
        slots.fill(&mut sizes).expect("in range");
        assert_eq!((half.eval(&sizes), most.eval(&sizes)), (Some(4), Some(4)));
        sizes[0] = 513;
        assert!(matches!(slots.fill(&mut sizes), Err(SizeError::OutOfRange { .. })));
    }
}
