//! Norms over axes: `layer_norm`, `rms_norm`, `l2_normalize`.

use super::check::{bad_argument, require_type};
use super::numbers::{from_floats, slices};
use super::{At, Build, Target};
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance, require_float};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim};
use mlc_codegen::kernel::{Binary, Body, ExprId, FoldKind, Reduce, Unary};
use mlc_runtime::tensor::Tensor;

/// How a slice is centred and scaled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `(x - mean) / sqrt(var + eps)`
    Layer,
    /// `x / sqrt(mean(x²) + eps)`
    Rms,
    /// `x / max(sqrt(Σ x²), eps)`
    L2,
}

/// A norm over axes, with an optional scale and shift of the normalised axes' dims.
pub(super) struct Norm {
    form: Form,
    signature: &'static Signature,
}

/// `layer_norm`.
pub(super) static LAYER_NORM: Norm = Norm {
    form: Form::Layer,
    signature: &Signature {
        name: "layer_norm",
        params: &[
            Param::required("x", Kind::Tensor),
            Param::optional("gamma", Kind::Tensor, Default::None),
            Param::optional("beta", Kind::Tensor, Default::None),
            Param::optional("axis", Kind::Axes, Default::Int(-1)),
            Param::optional("eps", Kind::Float, Default::Float(1e-5)),
        ],
        result: "the type of x",
        doc: "(x - mean) / sqrt(var + eps) * gamma + beta over `axis`, one axis or several; the variance divides by the \
              count. `gamma` and `beta` have the dims of those axes. Computed in f32, or f64 for f64, in two passes.",
        example: "let y = layer_norm(x, axis = -1)",
    },
};

/// `rms_norm`.
pub(super) static RMS_NORM: Norm = Norm {
    form: Form::Rms,
    signature: &Signature {
        name: "rms_norm",
        params: &[
            Param::required("x", Kind::Tensor),
            Param::optional("gamma", Kind::Tensor, Default::None),
            Param::optional("axis", Kind::Axes, Default::Int(-1)),
            Param::optional("eps", Kind::Float, Default::Float(1e-5)),
        ],
        result: "the type of x",
        doc: "x / sqrt(mean(x * x) + eps) * gamma over `axis`, one axis or several; `gamma` has the dims of those axes. \
              Computed in f32, or f64 for f64.",
        example: "let y = rms_norm(x, axis = -1)",
    },
};

/// `l2_normalize`.
pub(super) static L2_NORMALIZE: Norm = Norm {
    form: Form::L2,
    signature: &Signature {
        name: "l2_normalize",
        params: &[
            Param::required("x", Kind::Tensor),
            Param::optional("axis", Kind::Axes, Default::Int(-1)),
            Param::optional("eps", Kind::Float, Default::Float(1e-12)),
        ],
        result: "the type of x",
        doc: "x / max(sqrt(sum(x * x)), eps) over `axis`: vectors of length 1.",
        example: "let y = l2_normalize(x, axis = -1)",
    },
};

impl Norm {
    fn axes(call: &Call) -> Vec<usize> {
        call.ints("axis").expect("it has a default").into_iter().map(|axis| axis as usize).collect()
    }

    /// The input positions of scale and shift.
    fn affine(&self, call: &Call) -> [Option<usize>; 2] {
        match self.form {
            Form::Layer => [call.tensor("gamma"), call.tensor("beta")],
            Form::Rms => [call.tensor("gamma"), None],
            Form::L2 => [None, None],
        }
    }

    fn normalised(&self, values: &[f64], eps: f64) -> Vec<f64> {
        let n = values.len() as f64;
        let mean = if self.form == Form::Layer { values.iter().sum::<f64>() / n } else { 0.0 };
        let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
        let scale = match self.form {
            Form::L2 if squares.sqrt() < eps => eps,
            Form::L2 => squares.sqrt(),
            _ => (squares / n + eps).sqrt(),
        };
        values.iter().map(|v| (v - mean) / scale).collect()
    }

    /// The folds over a slice and the normalised element.
    fn element(&self, k: &mut dyn Build, x: ExprId, count: &Dim, eps: f64, dtype: DType) -> (Vec<ExprId>, ExprId) {
        let count = k.size(count);
        let count = k.convert(dtype.compute(), count);
        let eps = k.number(dtype, eps);
        let (mut folds, mut centred) = (vec![], x);
        if self.form == Form::Layer {
            folds.push(x);
            let sum = k.cell(0);
            let mean = k.div(sum, count);
            centred = k.sub(x, mean);
        }
        folds.push(k.mul(centred, centred));
        let squares = k.cell(folds.len() as u32 - 1);
        let scale = match self.form {
            Form::L2 => {
                let length = k.unary(Unary::Sqrt, squares);
                k.binary(Binary::Max, length, eps)
            }
            _ => {
                let variance = k.div(squares, count);
                let padded = k.add(variance, eps);
                k.unary(Unary::Sqrt, padded)
            }
        };
        let y = k.div(centred, scale);
        (folds, y)
    }
}

impl Op for Norm {
    fn signature(&self) -> &'static Signature {
        self.signature
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_float(call, 0, cx)?;
        let (x, axes) = (call.input(0), Self::axes(call));
        let mut distinct = axes.clone();
        distinct.dedup();
        if axes.is_empty() || distinct.len() != axes.len() || !axes.is_sorted() {
            let message = "`axis` must name axes once each, in ascending order".into();
            return Err(bad_argument("axis", message, format!("{axes:?}")));
        }
        let wanted = TensorType::new(x.dtype, axes.iter().map(|axis| x.dims[*axis].clone()));
        for input in self.affine(call).into_iter().flatten() {
            require_type(call, input, &wanted, 0, cx)?;
        }
        Ok(vec![x.clone()])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], _sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, eps) = (inputs[0].to_f64_vec(), call.float("eps").expect("it has a default"));
        let [gamma, beta] = self.affine(call).map(|input| input.map(|i| inputs[i].to_f64_vec()));
        let mut y = vec![0.0; x.len()];
        for slice in slices(inputs[0].shape(), &Self::axes(call)) {
            let values: Vec<f64> = slice.iter().map(|i| x[*i]).collect();
            for (j, value) in self.normalised(&values, eps).into_iter().enumerate() {
                y[slice[j]] = value * gamma.as_ref().map_or(1.0, |g| g[j]) + beta.as_ref().map_or(0.0, |b| b[j]);
            }
        }
        Ok(vec![from_floats(inputs[0].dtype(), inputs[0].shape(), &y)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::single(move |k| {
            let (x, chosen) = (call.input(0), Self::axes(call));
            let axes = k.axes(&x.dims);
            let at = At::axes(&axes);
            let count: Dim = chosen.iter().map(|axis| x.dims[*axis].clone()).product();
            let element = k.input(0, &at);
            let eps = call.float("eps").expect("it has a default");
            let (folds, mut y) = self.element(k, element, &count, eps, x.dtype);
            let folds = folds.into_iter().map(|value| k.fold(FoldKind::Sum, value)).collect();
            let inner: Vec<At> = chosen.iter().map(|axis| At::axis(axes[*axis])).collect();
            let [gamma, beta] = self.affine(call);
            if let Some(input) = gamma {
                let gamma = k.input(input, &inner);
                y = k.mul(y, gamma);
            }
            if let Some(input) = beta {
                let beta = k.input(input, &inner);
                y = k.add(y, beta);
            }
            let over = chosen.iter().map(|axis| axes[*axis]).collect();
            Body::Reduce(Reduce { over, folds, stores: k.store(Target::Result(0), &at, y) })
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::SUMMATION
    }
}
