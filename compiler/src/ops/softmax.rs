//! `softmax`, exponentials that sum to one along an axis, and `log_softmax`, their logarithms.

use super::{At, Target};
use super::{Call, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::Scalar;
use mlc_codegen::kernel::{Body, FoldKind, Reduce, Unary};
use mlc_runtime::tensor::Tensor;

/// Shares of a sum of exponentials.
pub(super) struct Softmax {
    log: bool,
    signature: &'static Signature,
}

const PARAMS: &[Param] = &[Param::required("x", Kind::Tensor), Param::required("axis", Kind::Axis)];

/// `softmax`.
pub(super) static SOFTMAX: Softmax = Softmax {
    log: false,
    signature: &Signature {
        name: "softmax",
        params: PARAMS,
        result: "the type of x",
        doc: "exp(x - max) / sum(exp(x - max)) along `axis`. Floats; computed in f32, or f64 for f64.",
        example: "let y = softmax(x, axis = -1)",
    },
};

/// `log_softmax`.
pub(super) static LOG_SOFTMAX: Softmax = Softmax {
    log: true,
    signature: &Signature {
        name: "log_softmax",
        params: PARAMS,
        result: "the type of x",
        doc: "x - max - log(sum(exp(x - max))) along `axis`: the logarithm of `softmax`, exact where that is near 0. \
              Floats; computed in f32, or f64 for f64.",
        example: "let y = log_softmax(x, axis = -1)",
    },
};

impl Op for Softmax {
    fn signature(&self) -> &'static Signature {
        self.signature
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        super::require_float(call, 0, cx)?;
        Ok(vec![call.input(0).clone()])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], _sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, axis) = (inputs[0], call.axis("axis"));
        let mut y = Tensor::zeros(x.dtype(), x.shape()).expect("as large as x");
        for row in super::rows(x.shape(), axis) {
            let values: Vec<f64> = row.iter().map(|i| x.get(*i).as_f64()).collect();
            let max = values.iter().copied().fold(f64::NEG_INFINITY, super::nan_max);
            let exps: Vec<f64> = values.iter().map(|v| (v - max).exp()).collect();
            let sum: f64 = exps.iter().sum();
            for (j, i) in row.into_iter().enumerate() {
                let share = if self.log { values[j] - max - sum.ln() } else { exps[j] / sum };
                y.set(i, Scalar::from_f64(x.dtype(), share));
            }
        }
        Ok(vec![y])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::single(move |k| {
            let axes = k.axes(&call.input(0).dims);
            let at = At::axes(&axes);
            let x = k.input(0, &at);
            let max = k.cell(0);
            let shifted = k.sub(x, max);
            let exp = k.unary(Unary::Exp, shifted);
            let sum = k.cell(1);
            let y = match self.log {
                true => {
                    let log = k.unary(Unary::Log, sum);
                    k.sub(shifted, log)
                }
                false => k.div(exp, sum),
            };
            let folds = vec![k.fold(FoldKind::Max, x), k.fold(FoldKind::Sum, exp)];
            let stores = k.store(Target::Result(0), &at, y);
            Body::Reduce(Reduce { over: vec![axes[call.axis("axis")]], folds, stores })
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::SUMMATION
    }
}
