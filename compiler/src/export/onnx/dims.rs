//! Sizes as values of a model: read off shapes, and computed as the polynomials that they are.

use super::super::walk::{Typed, Why};
use super::node;
use super::writer::{Source, Writer};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim, Slot, SlotDef};

impl Writer<'_> {
    /// A dim as a scalar of i64.
    pub(super) fn dim(&mut self, dim: &Dim) -> Result<String, Why> {
        if dim.overflowed() {
            return Err("a size does not fit in 64 bits".into());
        }
        let mut sum: Option<String> = None;
        for (slots, coefficient) in dim.terms() {
            let mut product: Option<String> = (*coefficient != 1 || slots.is_empty())
                .then(|| self.number(*coefficient as f64, DType::I64))
                .filter(|_| *coefficient as f64 as i64 == *coefficient);
            for slot in slots {
                let factor = self.slot(*slot)?;
                product = Some(self.joined("Mul", product, factor));
            }
            let product = product.ok_or("a size does not fit in 53 bits")?;
            sum = Some(self.joined("Add", sum, product));
        }
        Ok(sum.unwrap_or_else(|| self.number(0.0, DType::I64)))
    }

    fn joined(&mut self, op: &str, left: Option<String>, right: String) -> String {
        match left {
            Some(left) => self.node(op, &[&left, &right], vec![]),
            None => right,
        }
    }

    fn slot(&mut self, slot: Slot) -> Result<String, Why> {
        let name = match self.sizes.get(&slot).cloned() {
            Some(Source::Scalar(name)) => return Ok(name),
            Some(Source::Axis(tensor, axis)) => {
                let axis = axis as i64;
                let around = vec![node::int("start", axis), node::int("end", axis + 1)];
                let one = self.node("Shape", &[&tensor], around);
                let first = self.ints(&[0]);
                self.node("Squeeze", &[&one, &first], vec![])
            }
            None => self.derived(slot)?,
        };
        self.bind(slot, &name);
        Ok(name)
    }

    fn derived(&mut self, slot: Slot) -> Result<String, Why> {
        match self.graph.slots.def(slot).clone() {
            SlotDef::Floor(a, k) => self.floored(&a, &Dim::from(k)),
            SlotDef::Quotient(a, b) => self.floored(&a, &b),
            SlotDef::Max(a, b) => self.both("Max", &a, &b),
            SlotDef::Min(a, b) => self.both("Min", &a, &b),
            SlotDef::Given { .. } | SlotDef::Counted { .. } | SlotDef::Counter { .. } => {
                Err(format!("the size `{}` cannot be read off an input", self.graph.slots.show(&slot.into())))
            }
        }
    }

    fn both(&mut self, op: &str, a: &Dim, b: &Dim) -> Result<String, Why> {
        let (a, b) = (self.dim(a)?, self.dim(b)?);
        Ok(self.node(op, &[&a, &b], vec![]))
    }

    /// `floor(a / b)`: the format's division truncates, its remainder has the sign of the divisor.
    fn floored(&mut self, a: &Dim, b: &Dim) -> Result<String, Why> {
        let never = |range: Option<mlc_codegen::base::Interval>| range.is_some_and(|range| range.lo >= 0);
        let plain = never(self.graph.slots.range(a));
        let (a, b) = (self.dim(a)?, self.dim(b)?);
        let whole = if plain {
            a
        } else {
            let rest = self.node("Mod", &[&a, &b], vec![]);
            self.node("Sub", &[&a, &rest], vec![])
        };
        Ok(self.node("Div", &[&whole, &b], vec![]))
    }

    /// Dims as a list of i64.
    pub(super) fn dims(&mut self, dims: &[Dim]) -> Result<String, Why> {
        if let Some(values) = dims.iter().map(Dim::as_constant).collect::<Option<Vec<i64>>>() {
            return Ok(self.ints(&values));
        }
        let first = self.ints(&[0]);
        let mut parts = vec![];
        for dim in dims {
            parts.push(match dim.as_constant() {
                Some(value) => self.ints(&[value]),
                None => {
                    let scalar = self.dim(dim)?;
                    self.node("Unsqueeze", &[&scalar, &first], vec![])
                }
            });
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            [only] => Ok((*only).to_owned()),
            several => Ok(self.node("Concat", several, vec![node::int("axis", 0)])),
        }
    }

    /// `x` in other dims; one that is symbolic is left to the format, which finds it from the rest.
    pub(super) fn reshaped(&mut self, x: &str, dims: &[Dim]) -> Result<String, Why> {
        let open: Vec<bool> = dims.iter().map(|dim| dim.as_constant().is_none()).collect();
        let zero = dims.iter().any(|dim| dim.as_constant() == Some(0));
        let shape = match open.iter().filter(|open| **open).count() {
            1 if !zero => {
                let values: Vec<i64> = dims.iter().map(|dim| dim.as_constant().unwrap_or(-1)).collect();
                self.ints(&values)
            }
            _ => self.dims(dims)?,
        };
        let literal = zero || open.iter().filter(|open| **open).count() > 1;
        let attributes = if literal { vec![node::int("allowzero", 1)] } else { vec![] };
        Ok(self.node("Reshape", &[x, &shape], attributes))
    }

    /// `whole` with `part` written at `starts`, axes before `axis` being written in full.
    pub(super) fn written(
        &mut self,
        whole: Typed<String>,
        starts: &[Dim],
        part: Typed<String>,
        axis: usize,
    ) -> Result<String, Why> {
        let ((whole, outer), (part, inner)) = (whole, part);
        let Some(axis) = (axis..outer.rank()).find(|axis| outer.dims[*axis] != inner.dims[*axis]) else {
            return Ok(part.clone());
        };
        let start = &starts[axis];
        let stop = start.clone() + &inner.dims[axis];
        let cut = |w: &mut Self, from: &Dim, to: &Dim| -> Result<String, Why> {
            let (from, to) = (w.dims(std::slice::from_ref(from))?, w.dims(std::slice::from_ref(to))?);
            let axes = w.ints(&[axis as i64]);
            Ok(w.node("Slice", &[whole, &from, &to, &axes], vec![]))
        };
        let around = outer.dims[axis].clone();
        let before = cut(self, &Dim::from(0), start)?;
        let middle = cut(self, start, &stop)?;
        let after = cut(self, &stop, &around)?;
        let mut dims = outer.dims.clone();
        dims[axis] = inner.dims[axis].clone();
        let narrowed = TensorType::new(outer.dtype, dims);
        let inside = self.written((&middle, &narrowed), starts, (part, inner), axis + 1)?;
        Ok(self.node("Concat", &[&before, &inside, &after], vec![node::int("axis", axis as i64)]))
    }
}
