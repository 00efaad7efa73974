//! `max`, `min`: of two tensors element by element, or of one along axes.

use super::broadcast::{broadcast, place, require_same_dtype, source};
use super::elementwise::Takes;
use super::numbers::{result_shape, slices};
use super::reduce::{iterate, left, reduced, rows};
use super::{Blame, Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim, Scalar};
use mlc_codegen::kernel::{Binary, FoldKind};
use mlc_runtime::tensor::Tensor;

/// The greater.
pub(super) static MAX: Extremum = Extremum { signature: &GREATEST, greater: true };
/// The lesser.
pub(super) static MIN: Extremum = Extremum { signature: &LEAST, greater: false };

/// See the signatures.
pub(super) struct Extremum {
    signature: &'static Signature,
    greater: bool,
}

const PARAMS: &[Param] = &[
    Param::required("x", Kind::Tensor),
    Param::optional("y", Kind::Tensor, Default::None),
    Param::optional("axis", Kind::Axes, Default::None),
    Param::optional("keep", Kind::Bool, Default::Bool(false)),
];

static GREATEST: Signature = Signature {
    name: "max",
    params: PARAMS,
    result: "the broadcast type of both, or the type of x without the axes",
    doc: "With two tensors, the greater of each pair of elements. With one, the greatest element along `axis`, an axis or \
          a list, or of all where it is left out; `keep` leaves the axes as 1. NaN where there is a NaN.",
    example: "let y = max(x, axis = -1, keep = true)",
};

static LEAST: Signature = Signature {
    name: "min",
    params: PARAMS,
    result: "the broadcast type of both, or the type of x without the axes",
    doc: "With two tensors, the lesser of each pair of elements. With one, the least element along `axis`, an axis or a \
          list, or of all where it is left out; `keep` leaves the axes as 1. NaN where there is a NaN.",
    example: "let y = min(x, 6.0)",
};

/// Refuses an axis that may be empty, along which there is no such element.
pub(super) fn require_some(call: &Call, axes: &[usize], cx: &mut Infer) -> Result<(), OpError> {
    for axis in axes {
        let dim = &call.input(0).dims[*axis];
        if !cx.at_most(&Dim::from(1), dim, Blame::Input(0)) {
            let message = format!("`{}` of nothing: axis {axis} is empty", call.signature.name);
            let label = format!("this is {}", cx.show(call.input(0)));
            return Err(OpError::new("MDL0309", message, Blame::Input(0), label).dim(dim));
        }
    }
    Ok(())
}

impl Extremum {
    fn of(&self, a: Scalar, b: Scalar) -> Scalar {
        if let (Scalar::I64(_) | Scalar::I32(_), true) = (a, a.dtype() == b.dtype()) {
            return if (a.as_i64() < b.as_i64()) == self.greater { b } else { a };
        }
        let (x, y) = (a.as_f64(), b.as_f64());
        if x.is_nan() || (!y.is_nan() && (x > y) == self.greater) { a } else { b }
    }
}

impl Op for Extremum {
    fn signature(&self) -> &'static Signature {
        self.signature
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_same_dtype(call, cx)?;
        Takes::Numbers.check(call, 0, cx)?;
        let dtype = call.input(0).dtype;
        if call.tensor("y").is_none() {
            require_some(call, &reduced(call), cx)?;
            return Ok(vec![TensorType::new(dtype, left(call))]);
        }
        if call.ints("axis").is_some() || call.bool("keep") {
            let name = self.signature.name;
            let blame = Blame::Argument(if call.bool("keep") { "keep" } else { "axis" });
            let message = format!("`{name}` takes a second tensor or axes, not both");
            return Err(OpError::new("MDL0309", message, blame, "there is nothing to reduce")
                .help(format!("{name}({name}(x, y), axis = …)")));
        }
        Ok(vec![TensorType::new(dtype, broadcast(call, cx)?)])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, shape) = (inputs[0], result_shape(call, 0, sizes)?);
        if let Some(y) = inputs.get(1) {
            let positions: Vec<Vec<usize>> = super::positions(&shape).collect();
            let element = |t: &Tensor, i: usize| t.get(source(t.shape(), &positions[i]));
            let value = |i: usize| self.of(element(x, i), element(y, i));
            return Ok(vec![super::from_scalars(x.dtype(), &shape, value)?]);
        }
        let rows = slices(x.shape(), &reduced(call));
        let value = |i: usize| {
            let row = rows[i].iter().map(|at| x.get(*at));
            row.reduce(|a, b| self.of(a, b)).unwrap_or(Scalar::zero(DType::I32))
        };
        Ok(vec![super::from_scalars(x.dtype(), &shape, value)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        if call.tensor("y").is_some() {
            let op = if self.greater { Binary::Max } else { Binary::Min };
            return Lowering::point(move |k, at| {
                let [a, b] = [0, 1].map(|i| k.input(i, &place(call.input(i), call.result(0), at)));
                k.binary(op, a, b)
            });
        }
        Lowering::single(move |k| {
            let (axes, at) = iterate(k, call);
            let x = k.input(0, &at);
            let kind = if self.greater { FoldKind::Max } else { FoldKind::Min };
            let (folds, value) = (vec![k.fold(kind, x)], k.cell(0));
            rows(k, call, (&axes, &at), folds, value)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
