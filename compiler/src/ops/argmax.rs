//! `argmax`, `argmin`: where along an axis the greatest or least element stands.

use super::elementwise::Takes;
use super::extremum::require_some;
use super::numbers::{result_shape, slices};
use super::reduce::{iterate, left, reduced, rows};
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Scalar};
use mlc_codegen::kernel::{Binary, Compare, FoldKind};
use mlc_runtime::tensor::Tensor;

/// Of the greatest.
pub(super) static ARGMAX: Argument = Argument { signature: &GREATEST, greater: true };
/// Of the least.
pub(super) static ARGMIN: Argument = Argument { signature: &LEAST, greater: false };

/// See the signatures.
pub(super) struct Argument {
    signature: &'static Signature,
    greater: bool,
}

const PARAMS: &[Param] = &[
    Param::required("x", Kind::Tensor),
    Param::required("axis", Kind::Axis),
    Param::optional("keep", Kind::Bool, Default::Bool(false)),
];

static GREATEST: Signature = Signature {
    name: "argmax",
    params: PARAMS,
    result: "i64, the dims of x without the axis",
    doc: "The index of the greatest element along `axis`, the first of equals; a NaN counts as the greatest. `keep` leaves \
          the axis as 1.",
    example: "let y = argmax(x, axis = -1)",
};

static LEAST: Signature = Signature {
    name: "argmin",
    params: PARAMS,
    result: "i64, the dims of x without the axis",
    doc: "The index of the least element along `axis`, the first of equals; a NaN counts as the least. `keep` leaves the \
          axis as 1.",
    example: "let y = argmin(x, axis = -1)",
};

impl Argument {
    fn better(&self, new: Scalar, best: Scalar) -> bool {
        if let (Scalar::I64(new), Scalar::I64(best)) = (new, best) {
            return new != best && (new > best) == self.greater;
        }
        let (new, best) = (new.as_f64(), best.as_f64());
        !best.is_nan() && (new.is_nan() || (new != best && (new > best) == self.greater))
    }
}

impl Op for Argument {
    fn signature(&self) -> &'static Signature {
        self.signature
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        Takes::Numbers.check(call, 0, cx)?;
        require_some(call, &reduced(call), cx)?;
        Ok(vec![TensorType::new(DType::I64, left(call))])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, shape) = (inputs[0], result_shape(call, 0, sizes)?);
        let rows = slices(x.shape(), &reduced(call));
        let value = |i: usize| {
            let row = &rows[i];
            let best =
                (1..row.len()).fold(0, |best, j| if self.better(x.get(row[j]), x.get(row[best])) { j } else { best });
            Scalar::I64(best as i64)
        };
        Ok(vec![super::from_scalars(DType::I64, &shape, value)?])
    }

    /// Two passes: the extremum, then the least index at which it or a NaN stands.
    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::single(move |k| {
            let (axes, at) = iterate(k, call);
            let (x, best) = (k.input(0, &at), k.cell(0));
            let kind = if self.greater { FoldKind::Max } else { FoldKind::Min };
            let equal = k.compare(Compare::Eq, x, best);
            let found = match call.input(0).dtype.is_float() {
                true => {
                    let nan = k.compare(Compare::Ne, x, x);
                    k.binary(Binary::Or, equal, nan)
                }
                false => equal,
            };
            let (position, beyond) = (k.position(axes[call.axis("axis")]), k.integer(i64::MAX));
            let index = k.select(found, position, beyond);
            let folds = vec![k.fold(kind, x), k.fold(FoldKind::Min, index)];
            let first = k.cell(1);
            rows(k, call, (&axes, &at), folds, first)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
