//! What `infer` works with: the slots, the guards it asks for, and the errors it gives.

use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim, SlotDef, Slots, Truth};

/// The place in a call that a label points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The whole call.
    Call,
    /// An input, by position.
    Input(usize),
    /// A compile-time argument, by name.
    Argument(&'static str),
    /// Bytes of a text argument, by name: an einsum axis.
    Text(&'static str, std::ops::Range<usize>),
}

/// Why an op does not apply, as data; the labels of inputs' sizes are added by the checker, who knows where they came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpError {
    /// `MDL03xx`, mostly.
    pub code: &'static str,
    /// One line that stands alone.
    pub message: String,
    /// The first is the primary one.
    pub labels: Vec<(Blame, String)>,
    /// Facts.
    pub notes: Vec<String>,
    /// What to do.
    pub helps: Vec<String>,
    /// Dims whose origin should be shown.
    pub dims: Vec<Dim>,
    /// An input that would fit, cast to another element type.
    pub cast: Option<(usize, DType)>,
}

impl OpError {
    /// An error about one place.
    pub fn new(code: &'static str, message: impl Into<String>, blame: Blame, label: impl Into<String>) -> Self {
        let labels = vec![(blame, label.into())];
        OpError { code, message: message.into(), labels, notes: vec![], helps: vec![], dims: vec![], cast: None }
    }

    /// A further label.
    pub fn label(mut self, blame: Blame, label: impl Into<String>) -> Self {
        self.labels.push((blame, label.into()));
        self
    }

    /// A fact.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Advice.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.helps.push(help.into());
        self
    }

    /// Advice to cast an input.
    pub fn cast(mut self, input: usize, dtype: DType) -> Self {
        self.cast = Some((input, dtype));
        self
    }

    /// A dim to show the origin of.
    pub fn dim(mut self, dim: &Dim) -> Self {
        self.dims.push(dim.clone());
        self
    }
}

/// What must hold at run time because it could not be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Must not be negative.
    pub at_least_zero: Dim,
    /// Must be zero rather than only not negative.
    pub exactly_zero: bool,
    /// What the question was: `whether `past + s` fits in `ctx``.
    pub question: String,
    /// The place of the question.
    pub blame: Blame,
}

/// The context of inference.
#[derive(Debug)]
pub struct Infer<'a> {
    /// All slots of the model; derived ones are added here.
    pub slots: &'a mut Slots,
    /// Polynomials that the model's asserts promise are not negative.
    pub facts: &'a [Dim],
    /// What could not be decided.
    pub guards: Vec<Guard>,
}

impl<'a> Infer<'a> {
    /// A context without guards yet.
    pub fn new(slots: &'a mut Slots, facts: &'a [Dim]) -> Self {
        Infer { slots, facts, guards: vec![] }
    }

    /// Whether two dims are equal; where it is open a guard is left and the answer is yes.
    pub fn equal(&mut self, a: &Dim, b: &Dim, blame: Blame) -> bool {
        let promised = |d: Dim| self.facts.contains(&d);
        if promised(a.clone() - b) && promised(b.clone() - a) {
            return true;
        }
        match self.slots.equal(a, b) {
            Truth::Yes => true,
            Truth::No => false,
            Truth::Unknown => {
                let question = format!("whether `{}` equals `{}`", self.slots.show(a), self.slots.show(b));
                self.guards.push(Guard { at_least_zero: a.clone() - b, exactly_zero: true, question, blame });
                true
            }
        }
    }

    /// Whether `a <= b`; where it is open a guard is left and the answer is yes.
    pub fn at_most(&mut self, a: &Dim, b: &Dim, blame: Blame) -> bool {
        let slack = b.clone() - a;
        match self.not_negative(&slack) {
            Truth::Yes => true,
            Truth::No => false,
            Truth::Unknown => {
                let question = format!("whether `{}` fits in `{}`", self.slots.show(a), self.slots.show(b));
                self.guards.push(Guard { at_least_zero: slack, exactly_zero: false, question, blame });
                true
            }
        }
    }

    /// Whether a polynomial is never negative, by its range or by a fact that it exceeds.
    pub fn not_negative(&self, dim: &Dim) -> Truth {
        let (least, most) = self.bounds(dim);
        if least >= 0 || self.facts.iter().any(|fact| self.bounds(&(dim.clone() - fact)).0 >= 0) {
            return Truth::Yes;
        }
        match most < 0 {
            true => Truth::No,
            false if self.least_without_floors(dim, 4) >= 0 => Truth::Yes,
            false => Truth::Unknown,
        }
    }

    /// A lower bound of a positive multiple of a polynomial: each `q = floor(p / k)`, of which only
    /// `p - k < k * q <= p` is used, is replaced by what makes it least.
    fn least_without_floors(&self, dim: &Dim, depth: usize) -> i128 {
        let linear = dim.terms().iter().find_map(|(slots, c)| match slots.as_slice() {
            [slot] => match self.slots.def(*slot) {
                SlotDef::Floor(p, k) => Some((*slot, *c, p.clone(), *k)),
                _ => None,
            },
            _ => None,
        });
        let Some((slot, c, p, k)) = linear.filter(|_| depth > 0) else { return self.bounds(dim).0 };
        let rest = (dim.clone() - Dim::slot(slot) * c) * k;
        let floor = if c < 0 { p } else { p - (k - 1) };
        self.least_without_floors(&(rest + floor * c), depth - 1)
    }

    /// The least and greatest value as plain numbers: what leaves 64 bits is refused where sizes are filled, so it
    /// need not make the other end unknown here.
    fn bounds(&self, dim: &Dim) -> (i128, i128) {
        if dim.overflowed() {
            return (i128::MIN, i128::MAX);
        }
        let of_slot = |slot| match self.slots.range(&Dim::slot(slot)) {
            Some(range) => (i128::from(range.lo), i128::from(range.hi)),
            None => (i128::MIN, i128::MAX),
        };
        let product = |(lo, hi): (i128, i128), slot| {
            let (a, b) = of_slot(slot);
            let corners = [lo.saturating_mul(a), lo.saturating_mul(b), hi.saturating_mul(a), hi.saturating_mul(b)];
            corners.into_iter().fold((i128::MAX, i128::MIN), |(lo, hi), c| (lo.min(c), hi.max(c)))
        };
        dim.terms().iter().fold((0, 0), |(lo, hi), (slots, c)| {
            let (a, b) = slots.iter().copied().fold((i128::from(*c), i128::from(*c)), product);
            (lo.saturating_add(a), hi.saturating_add(b))
        })
    }

    /// `f32[batch, 784]`, with the names of the source.
    pub fn show(&self, ty: &TensorType) -> String {
        ty.show(self.slots)
    }
}
