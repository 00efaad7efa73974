//! `batch_norm`: normalises each channel by frozen statistics.

use super::check::{require_rank_from, require_type};
use super::numbers::from_floats;
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance, require_float};
use crate::types::TensorType;
use mlc_codegen::kernel::Unary;
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static BATCH_NORM: BatchNorm = BatchNorm;

/// See `SIGNATURE`.
pub(super) struct BatchNorm;

static SIGNATURE: Signature = Signature {
    name: "batch_norm",
    params: &[
        Param::required("x", Kind::Tensor),
        Param::required("gamma", Kind::Tensor),
        Param::required("beta", Kind::Tensor),
        Param::required("mean", Kind::Tensor),
        Param::required("var", Kind::Tensor),
        Param::optional("eps", Kind::Float, Default::Float(1e-5)),
    ],
    result: "the type of x",
    doc: "(x - mean) / sqrt(var + eps) * gamma + beta for each channel, axis 1 of x. The statistics are those of \
          training, so it is an affine map that folds into a convolution before it.",
    example: "let y = batch_norm(x, gamma, beta, mean, var, eps = 1e-3)",
};

impl Op for BatchNorm {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_float(call, 0, cx)?;
        require_rank_from(call, 0, &["n", "c"], cx)?;
        let x = call.input(0);
        let channels = TensorType::new(x.dtype, [x.dims[1].clone()]);
        (1..5).try_for_each(|input| require_type(call, input, &channels, 0, cx))?;
        Ok(vec![x.clone()])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], _sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let eps = call.float("eps").expect("it has a default");
        let shape = inputs[0].shape();
        let inner: usize = shape[2..].iter().product();
        let [x, gamma, beta, mean, var] = [0, 1, 2, 3, 4].map(|i: usize| inputs[i].to_f64_vec());
        let value = |(i, x): (usize, &f64)| {
            let c = i / inner % shape[1];
            (x - mean[c]) / (var[c] + eps).sqrt() * gamma[c] + beta[c]
        };
        let y: Vec<f64> = x.iter().enumerate().map(value).collect();
        Ok(vec![from_floats(inputs[0].dtype(), shape, &y)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let channel = std::slice::from_ref(&at[1]);
            let x = k.input(0, at);
            let [gamma, beta, mean, var] = [1, 2, 3, 4].map(|input| k.input(input, channel));
            let eps = k.number(call.input(0).dtype, call.float("eps").expect("it has a default"));
            let padded = k.add(var, eps);
            let deviation = k.unary(Unary::Sqrt, padded);
            let centred = k.sub(x, mean);
            let scale = k.div(gamma, deviation);
            let scaled = k.mul(centred, scale);
            k.add(scaled, beta)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance { absolute: 1e-5, relative: 1e-5 }
    }
}
