//! `group_norm` and `instance_norm`: norms over groups of channels, or each channel, of a picture.

use super::check::{bad_argument, positive, require_rank_from, require_static, require_type};
use super::numbers::from_floats;
use super::{At, Build, Target};
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance, require_float};
use crate::types::TensorType;
use mlc_codegen::base::Dim;
use mlc_codegen::kernel::{AxisId, Body, FoldKind, Index, Reduce, Unary};
use mlc_runtime::tensor::Tensor;

/// A norm over each group of channels and everything behind them.
pub(super) struct GroupNorm {
    signature: &'static Signature,
    grouped: bool,
}

const X: Param = Param::required("x", Kind::Tensor);
const GAMMA: Param = Param::optional("gamma", Kind::Tensor, Default::None);
const BETA: Param = Param::optional("beta", Kind::Tensor, Default::None);
const EPS: Param = Param::optional("eps", Kind::Float, Default::Float(1e-5));

/// `group_norm`.
pub(super) static GROUP_NORM: GroupNorm = GroupNorm {
    signature: &Signature {
        name: "group_norm",
        params: &[X, GAMMA, BETA, Param::required("groups", Kind::Int), EPS],
        result: "the type of x",
        doc: "(x - mean) / sqrt(var + eps) * gamma + beta for x [n, c, ..], with the statistics of each of `groups` runs of \
              channels; `gamma` and `beta` are [c].",
        example: "let y = group_norm(x, groups = 1)",
    },
    grouped: true,
};

/// `instance_norm`.
pub(super) static INSTANCE_NORM: GroupNorm = GroupNorm {
    signature: &Signature {
        name: "instance_norm",
        params: &[X, GAMMA, BETA, EPS],
        result: "the type of x",
        doc: "(x - mean) / sqrt(var + eps) * gamma + beta for x [n, c, ..], with the statistics of each channel; `gamma` and \
              `beta` are [c].",
        example: "let y = instance_norm(x)",
    },
    grouped: false,
};

impl GroupNorm {
    /// How many channels share statistics.
    fn share(&self, call: &Call) -> i64 {
        match (self.grouped, call.input(0).dims[1].as_constant()) {
            (true, Some(channels)) => channels / call.int("groups").expect("required"),
            _ => 1,
        }
    }

    fn body(&self, k: &mut dyn Build, call: &Call) -> Body {
        let (x, share) = (call.input(0), self.share(call));
        let n = k.axis("n", &x.dims[0]);
        let (group, inner) = match self.grouped {
            true => (k.axis("g", call.int("groups").expect("required")), Some(k.axis("c", share))),
            false => (k.axis("g", &x.dims[1]), None),
        };
        let behind = k.axes(&x.dims[2..]);
        let terms = [(group, share)].into_iter().chain(inner.map(|axis| (axis, 1))).collect();
        let channel = At::index(Index::affine(terms, 0));
        let at: Vec<At> = [At::axis(n), channel.clone()].into_iter().chain(At::axes(&behind)).collect();
        let element = k.input(0, &at);
        let count = k.size(x.dims[2..].iter().cloned().product::<Dim>() * share);
        let count = k.convert(x.dtype.compute(), count);
        let sum = k.cell(0);
        let mean = k.div(sum, count);
        let centred = k.sub(element, mean);
        let square = k.mul(centred, centred);
        let squares = k.cell(1);
        let variance = k.div(squares, count);
        let eps = k.number(x.dtype, call.float("eps").expect("it has a default"));
        let padded = k.add(variance, eps);
        let deviation = k.unary(Unary::Sqrt, padded);
        let mut value = k.div(centred, deviation);
        if let Some(input) = call.tensor("gamma") {
            let gamma = k.input(input, std::slice::from_ref(&channel));
            value = k.mul(value, gamma);
        }
        if let Some(input) = call.tensor("beta") {
            let beta = k.input(input, std::slice::from_ref(&channel));
            value = k.add(value, beta);
        }
        let folds = vec![k.fold(FoldKind::Sum, element), k.fold(FoldKind::Sum, square)];
        let over: Vec<AxisId> = inner.into_iter().chain(behind).collect();
        Body::Reduce(Reduce { over, folds, stores: k.store(Target::Result(0), &at, value) })
    }
}

impl Op for GroupNorm {
    fn signature(&self) -> &'static Signature {
        self.signature
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_float(call, 0, cx)?;
        require_rank_from(call, 0, if self.grouped { &["n", "c"] } else { &["n", "c", "w"] }, cx)?;
        let x = call.input(0);
        if self.grouped {
            let (channels, groups) = (require_static(call, 0, 1, cx)?, positive(call, "groups")?);
            if channels % groups != 0 {
                let message = format!("{channels} channels do not divide into {groups} groups");
                return Err(bad_argument("groups", message, groups));
            }
        }
        let wanted = TensorType::new(x.dtype, [x.dims[1].clone()]);
        for input in ["gamma", "beta"].into_iter().filter_map(|name| call.tensor(name)) {
            require_type(call, input, &wanted, 0, cx)?;
        }
        Ok(vec![x.clone()])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], _sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, shape) = (inputs[0].to_f64_vec(), inputs[0].shape());
        let [gamma, beta] = ["gamma", "beta"].map(|name| call.tensor(name).map(|i| inputs[i].to_f64_vec()));
        let eps = call.float("eps").expect("it has a default");
        let inner: usize = shape[2..].iter().product();
        let length = inner * self.share(call) as usize;
        let mut y = Vec::with_capacity(x.len());
        for group in x.chunks(length.max(1)) {
            let mean = group.iter().sum::<f64>() / length as f64;
            let variance = group.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / length as f64;
            for v in group {
                let c = y.len() / inner % shape[1];
                let (scale, shift) = (gamma.as_ref().map_or(1.0, |g| g[c]), beta.as_ref().map_or(0.0, |b| b[c]));
                y.push((v - mean) / (variance + eps).sqrt() * scale + shift);
            }
        }
        Ok(vec![from_floats(inputs[0].dtype(), shape, &y)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::single(move |k| self.body(k, call))
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::SUMMATION
    }
}
