//! Tensors of no operand: numbers, counts, masks, random numbers.

use super::super::node::{Op, int};
use super::{Made, Rows, one};
use crate::ops::OpKind;
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim};

pub(super) const ROWS: Rows = &[
    ("causal_mask", causal_mask),
    ("full", full),
    ("iota", iota),
    ("normal", drawn),
    ("scalar", scalar),
    ("tril", |o| triangle(o, 0)),
    ("triu", |o| triangle(o, 1)),
    ("uniform", drawn),
];

fn scalar(o: &mut Op) -> Made {
    let (value, dtype) = (o.call.dim("value").expect("the signature requires the value"), o.dtype());
    let value = o.w.dim(&value)?;
    one(o.cast(&value, DType::I64, dtype))
}

fn iota(o: &mut Op) -> Made {
    let (n, dtype) = (o.call.result(0).dims[0].clone(), o.dtype());
    let counted = o.counted(&n)?;
    one(o.cast(&counted, DType::I64, dtype))
}

fn full(o: &mut Op) -> Made {
    let value = o.number(o.call.float("value").expect("the signature requires the value"), o.dtype());
    let shape = o.w.dims(&o.call.result(0).dims)?;
    one(o.plain("Expand", &[&value, &shape]))
}

/// mlc's random numbers follow from their seed; they are written as the numbers that they are.
fn drawn(o: &mut Op) -> Made {
    let op = OpKind::by_name(o.call.signature.name).expect("the row is of an op");
    if o.call.result(0).shape().is_none() {
        return Err("its numbers are known only where its dims are".into());
    }
    let tensors = op.op().eval(&o.call, &[], &[]).map_err(|error| error.to_string())?;
    one(o.w.tensor(o.call.signature.name, &tensors[0]))
}

fn causal_mask(o: &mut Op) -> Made {
    let dims = o.call.result(0).dims.clone();
    let offset = o.call.dim("offset").unwrap_or(Dim::from(0));
    one(o.seen(&dims[0], &dims[1], &offset)?)
}

impl Op<'_, '_, '_> {
    /// `bool[queries, keys]`: key j is no later than query i and what came before it.
    pub(super) fn seen(&mut self, queries: &Dim, keys: &Dim, offset: &Dim) -> Result<String, String> {
        let rows = self.counted(queries)?;
        let rows = match offset.as_constant() {
            Some(0) => rows,
            _ => {
                let offset = self.w.dim(offset)?;
                self.plain("Add", &[&rows, &offset])
            }
        };
        let rows = self.unsqueezed(&rows, &[1]);
        let columns = self.counted(keys)?;
        Ok(self.plain("LessOrEqual", &[&columns, &rows]))
    }

    /// A tensor of one number in the dims of a type.
    pub(super) fn filled(&mut self, value: f64, ty: &TensorType) -> Result<String, String> {
        let value = self.number(value, ty.dtype);
        let shape = self.w.dims(&ty.dims)?;
        Ok(self.plain("Expand", &[&value, &shape]))
    }
}

fn triangle(o: &mut Op, upper: i64) -> Made {
    let (x, diagonal) = (o.x("x"), o.call.int("diagonal").unwrap_or(0));
    let diagonal = o.number(diagonal as f64, DType::I64);
    one(o.node("Trilu", &[x, &diagonal], vec![int("upper", upper)]))
}
