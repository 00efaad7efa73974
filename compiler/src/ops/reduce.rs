//! Sums and their like: many elements along axes become one. One row for each op.

use super::elementwise::Takes;
use super::fragments::wrapped;
use super::numbers::{result_shape, slices};
use super::{At, Build, Target};
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim, Scalar};
use mlc_codegen::kernel::{AxisId, Body, Compare, ExprId, Fold, FoldKind, Reduce, Unary};
use mlc_runtime::tensor::Tensor;

/// A row.
pub(super) struct Reduction {
    signature: &'static Signature,
    takes: Takes,
    kind: Combine,
}

/// How elements combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Combine {
    Sum,
    Mean,
    Product,
    Any,
    All,
    LogSumExp,
    L2Norm,
}

macro_rules! reduction_table {
    ($($name:ident = $word:literal: $takes:expr, $kind:ident, $result:literal, $doc:literal, $example:literal;)*) => {$(
        #[doc = $doc]
        pub(super) static $name: Reduction = Reduction {
            signature: &Signature {
                name: $word,
                params: &[
                    Param::required("x", Kind::Tensor),
                    Param::optional("axis", Kind::Axes, Default::None),
                    Param::optional("keep", Kind::Bool, Default::Bool(false)),
                ],
                result: $result,
                doc: concat!($doc, " Over all axes where `axis` is left out; `keep` leaves them as 1."),
                example: $example,
            },
            takes: $takes,
            kind: Combine::$kind,
        };
    )*};
}

reduction_table! {
    SUM = "sum": Takes::Numbers, Sum, "the type of x without the axes",
        "The sum along `axis`, an axis or a list; 0 of nothing. Integers wrap; f16 and bf16 are summed in f32.",
        "let y = sum(x, axis = -1, keep = true)";
    MEAN = "mean": Takes::Floats, Mean, "the type of x without the axes",
        "The mean along `axis`; NaN of nothing.", "let y = mean(x, axis = [0, 1])";
    PROD = "prod": Takes::Numbers, Product, "the type of x without the axes",
        "The product along `axis`; 1 of nothing. Integers wrap.", "let y = prod(x, axis = 0)";
    ANY = "any": Takes::Bits, Any, "bool, the dims of x without the axes",
        "Whether one element along `axis` is true or not 0.", "let y = any(x > 0.0, axis = 1)";
    ALL = "all": Takes::Bits, All, "bool, the dims of x without the axes",
        "Whether every element along `axis` is true or not 0.", "let y = all(x > 0.0, axis = 1)";
    LOGSUMEXP = "logsumexp": Takes::Floats, LogSumExp, "the type of x without the axes",
        "log(sum(exp(x))) along `axis`, without overflow; -inf of nothing.", "let y = logsumexp(x, axis = -1)";
    L2_NORM = "l2_norm": Takes::Floats, L2Norm, "the type of x without the axes",
        "sqrt(sum(x * x)) along `axis`.", "let y = l2_norm(x, axis = -1)";
}

/// The axes that an op of arguments `axis` and `keep` reduces, ascending.
pub(super) fn reduced(call: &Call) -> Vec<usize> {
    let all = || (0..call.input(0).rank() as i64).collect();
    let mut axes: Vec<usize> = call.ints("axis").unwrap_or_else(all).into_iter().map(|axis| axis as usize).collect();
    axes.sort_unstable();
    axes.dedup();
    axes
}

/// The dims that are left.
pub(super) fn left(call: &Call) -> Vec<Dim> {
    let (axes, keep) = (reduced(call), call.bool("keep"));
    let dims = call.input(0).dims.iter().enumerate();
    let left = dims.filter_map(|(axis, dim)| match axes.contains(&axis) {
        true => keep.then(|| Dim::from(1)),
        false => Some(dim.clone()),
    });
    left.collect()
}

/// Where the result of the row through `at` goes.
pub(super) fn row_place(call: &Call, at: &[At]) -> Vec<At> {
    let (axes, keep) = (reduced(call), call.bool("keep"));
    let places = at.iter().enumerate().filter_map(|(axis, at)| match axes.contains(&axis) {
        true => keep.then(At::zero),
        false => Some(at.clone()),
    });
    places.collect()
}

/// The axes of `x` and the places of its elements.
pub(super) fn iterate(k: &mut dyn Build, call: &Call) -> (Vec<AxisId>, Vec<At>) {
    let axes = k.axes(&call.input(0).dims);
    let at = At::axes(&axes);
    (axes, at)
}

/// A reduce over the axes of the call, with one result for each row.
pub(super) fn rows(
    k: &mut dyn Build,
    call: &Call,
    (axes, at): (&[AxisId], &[At]),
    folds: Vec<Fold>,
    value: ExprId,
) -> Body {
    let over = reduced(call).into_iter().map(|axis| axes[axis]).collect();
    let stores = k.store(Target::Result(0), &row_place(call, at), value);
    Body::Reduce(Reduce { over, folds, stores })
}

impl Reduction {
    fn gives(&self, x: DType) -> DType {
        if matches!(self.kind, Combine::Any | Combine::All) { DType::Bool } else { x }
    }

    fn floats(&self, row: &[f64]) -> f64 {
        let sum: f64 = row.iter().sum();
        match self.kind {
            Combine::Sum => sum,
            Combine::Mean => sum / row.len() as f64,
            Combine::Product => row.iter().product(),
            Combine::L2Norm => row.iter().map(|x| x * x).sum::<f64>().sqrt(),
            Combine::LogSumExp => {
                let max = row.iter().copied().fold(f64::NEG_INFINITY, super::nan_max);
                let shift = if max.is_finite() { max } else { 0.0 };
                row.iter().map(|x| (x - shift).exp()).sum::<f64>().ln() + shift
            }
            Combine::Any | Combine::All => unreachable!("floats were refused"),
        }
    }

    fn integers(&self, row: &[i64]) -> i64 {
        match self.kind {
            Combine::Product => row.iter().fold(1, |product, x| product.wrapping_mul(*x)),
            Combine::Any => i64::from(row.iter().any(|x| *x != 0)),
            Combine::All => i64::from(row.iter().all(|x| *x != 0)),
            _ => row.iter().fold(0, |sum, x| sum.wrapping_add(*x)),
        }
    }

    /// What is folded, and the result from the folds.
    fn code(&self, k: &mut dyn Build, call: &Call, x: ExprId) -> (Vec<Fold>, ExprId) {
        let dtype = call.input(0).dtype;
        match self.kind {
            Combine::Sum | Combine::Product => {
                let kind = if self.kind == Combine::Sum { FoldKind::Sum } else { FoldKind::Product };
                let (folds, total) = (vec![k.fold(kind, x)], k.cell(0));
                (folds, wrapped(k, dtype, total))
            }
            Combine::Mean => {
                let count = k.size(reduced(call).into_iter().map(|a| call.input(0).dims[a].clone()).product::<Dim>());
                let count = k.convert(dtype.compute(), count);
                let (folds, total) = (vec![k.fold(FoldKind::Sum, x)], k.cell(0));
                (folds, k.div(total, count))
            }
            Combine::L2Norm => {
                let square = k.mul(x, x);
                let (folds, total) = (vec![k.fold(FoldKind::Sum, square)], k.cell(0));
                (folds, k.unary(Unary::Sqrt, total))
            }
            Combine::LogSumExp => {
                let (max, infinity, zero) = (k.cell(0), k.number(dtype, f64::INFINITY), k.number(dtype, 0.0));
                let size = k.unary(Unary::Abs, max);
                let finite = k.compare(Compare::Lt, size, infinity);
                let shift = k.select(finite, max, zero);
                let shifted = k.sub(x, shift);
                let exp = k.unary(Unary::Exp, shifted);
                let folds = vec![k.fold(FoldKind::Max, x), k.fold(FoldKind::Sum, exp)];
                let sum = k.cell(1);
                let log = k.unary(Unary::Log, sum);
                (folds, k.add(log, shift))
            }
            Combine::Any | Combine::All => {
                let zero = k.constant(Scalar::zero(dtype));
                let holds = k.compare(Compare::Ne, x, zero);
                let [yes, no] = [1, 0].map(|v| k.constant(Scalar::I32(v)));
                let number = k.select(holds, yes, no);
                let kind = if self.kind == Combine::Any { FoldKind::Max } else { FoldKind::Min };
                let (folds, found) = (vec![k.fold(kind, number)], k.cell(0));
                (folds, k.compare(Compare::Lt, no, found))
            }
        }
    }
}

impl Op for Reduction {
    fn signature(&self) -> &'static Signature {
        self.signature
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        self.takes.check(call, 0, cx)?;
        Ok(vec![TensorType::new(self.gives(call.input(0).dtype), left(call))])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, shape) = (inputs[0], result_shape(call, 0, sizes)?);
        let rows = slices(x.shape(), &reduced(call));
        let value = |i: usize| {
            let row = rows[i].iter().map(|at| x.get(*at));
            match x.dtype().is_float() {
                true => Scalar::F64(self.floats(&row.map(Scalar::as_f64).collect::<Vec<_>>())),
                false => Scalar::I64(self.integers(&row.map(Scalar::as_i64).collect::<Vec<_>>())),
            }
        };
        Ok(vec![super::from_scalars(self.gives(x.dtype()), &shape, value)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::single(move |k| {
            let (axes, at) = iterate(k, call);
            let x = k.input(0, &at);
            let (folds, value) = self.code(k, call, x);
            rows(k, call, (&axes, &at), folds, value)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::SUMMATION
    }
}
