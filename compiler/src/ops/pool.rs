//! Pools: the greatest or mean of each window, or of each channel.

use super::check::{bad_argument, require_rank, require_rank_from};
use super::numbers::{from_scalars, result_shape, slices, strides};
use super::window::{Padding, Slide, paddings, per_axis};
use super::{At, Attr, Build, Target};
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use super::{nan_max, require_float};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim, Scalar};
use mlc_codegen::kernel::{AxisId, Binary, Body, ExprId, FoldKind, Reduce};
use mlc_runtime::tensor::Tensor;

/// Pooling by windows.
pub(super) struct Pool {
    signature: &'static Signature,
    axes: &'static [&'static str],
    mean: bool,
}

const KERNEL: Param = Param::required("kernel", Kind::Ints);
const STRIDE: Param = Param::optional("stride", Kind::Ints, Default::None);
const PAD: Param = Param::optional("pad", Kind::Pad, Default::Int(0));
const CEIL: Param = Param::optional("ceil_mode", Kind::Bool, Default::Bool(false));
const INCLUDE: Param = Param::optional("count_include_pad", Kind::Bool, Default::Bool(true));
const X: Param = Param::required("x", Kind::Tensor);

macro_rules! pool_table {
    ($($name:ident = $word:literal, $axes:expr, $mean:literal, $params:expr, $doc:literal;)*) => {$(
        #[doc = $doc]
        pub(super) static $name: Pool = Pool {
            signature: &Signature {
                name: $word,
                params: $params,
                result: "[n, c, (extent + pads - kernel) / stride + 1, …]",
                doc: $doc,
                example: concat!("let y = ", $word, "(x, kernel = 2, stride = 2)"),
            },
            axes: $axes,
            mean: $mean,
        };
    )*};
}

pool_table! {
    MAX_POOL1D = "max_pool1d", &["n", "c", "t"], false, &[X, KERNEL, STRIDE, PAD, CEIL],
        "The greatest element of each window of x [n, c, t]. `stride` is the kernel where it is not given; padding never \
         wins; `ceil_mode` keeps a last window that is partly outside. NaN wins.";
    MAX_POOL2D = "max_pool2d", &["n", "c", "h", "w"], false, &[X, KERNEL, STRIDE, PAD, CEIL],
        "The greatest element of each window of x [n, c, h, w]. `stride` is the kernel where it is not given; padding never \
         wins; `ceil_mode` keeps a last window that is partly outside. NaN wins.";
    AVG_POOL1D = "avg_pool1d", &["n", "c", "t"], true, &[X, KERNEL, STRIDE, PAD, INCLUDE, CEIL],
        "The mean of each window of x [n, c, t]. `count_include_pad = false` leaves padding out of the count.";
    AVG_POOL2D = "avg_pool2d", &["n", "c", "h", "w"], true, &[X, KERNEL, STRIDE, PAD, INCLUDE, CEIL],
        "The mean of each window of x [n, c, h, w]. `count_include_pad = false` leaves padding out of the count; what \
         `ceil_mode` adds behind the padding never counts.";
}

impl Pool {
    fn slides(&self, call: &Call) -> Result<Vec<Slide>, OpError> {
        let axes = self.axes.len() - 2;
        let kernels = per_axis(call, "kernel", axes, 1)?;
        let strides = match call.attr("stride") {
            Attr::None => kernels.clone(),
            _ => per_axis(call, "stride", axes, 1)?,
        };
        let parts = kernels.into_iter().zip(strides).zip(paddings(call, axes)?);
        parts
            .map(|((kernel, stride), padding)| match padding {
                Padding::Fixed(before, after) if before.max(after) >= kernel => {
                    Err(bad_argument("pad", "`pad` must be less than the kernel".into(), before.max(after)))
                }
                _ => Ok(Slide { kernel: Dim::from(kernel), stride, dilation: 1, padding }),
            })
            .collect()
    }

    /// How many positions of a window count along one axis, from its first to behind its last.
    fn counted(&self, call: &Call, slide: &Slide, extent: i64, first: i64) -> i64 {
        let kernel = slide.kernel.as_constant().expect("the kernel is a number");
        let (low, high) = match slide.padding {
            Padding::Fixed(before, after) if call.bool("count_include_pad") => (-before, extent + after),
            _ => (0, extent),
        };
        (first + kernel).min(high) - first.max(low)
    }

    /// The same as an expression, in the compute type of x.
    fn count(&self, k: &mut dyn Build, call: &Call, slide: &Slide, extent: &Dim, first: &At, dtype: DType) -> ExprId {
        let kernel = slide.kernel.as_constant().expect("the kernel is a number");
        let include = call.bool("count_include_pad");
        if let (Padding::Fixed(before, after), false) = (slide.padding, call.bool("ceil_mode"))
            && (include || (before, after) == (0, 0))
        {
            return k.number(dtype, kernel as f64);
        }
        let (low, high) = match slide.padding {
            Padding::Fixed(before, after) if include => (-before, extent.clone() + after),
            _ => (0, extent.clone()),
        };
        let first = k.coordinate(first);
        let (kernel, low, high) = (k.integer(kernel), k.integer(low), k.size(high));
        let end = k.add(first, kernel);
        let end = k.binary(Binary::Min, end, high);
        let start = k.binary(Binary::Max, first, low);
        let count = k.sub(end, start);
        k.convert(dtype.compute(), count)
    }

    fn body(&self, k: &mut dyn Build, call: &Call) -> Body {
        let slides = self.slides(call).expect("infer accepted the windows");
        let (x, y) = (call.input(0), call.result(0));
        let to = k.axes(&y.dims);
        let inside: Vec<AxisId> = slides.iter().map(|slide| k.axis("d", &slide.kernel)).collect();
        let places = slides.iter().enumerate().map(|(i, slide)| {
            let at = slide.at(to[2 + i], inside[i], &x.dims[2 + i], &y.dims[2 + i]);
            if call.bool("ceil_mode") { at.guarded() } else { at }
        });
        let from: Vec<At> = At::axes(&to[..2]).into_iter().chain(places).collect();
        let (kind, fill) = match self.mean {
            true => (FoldKind::Sum, Scalar::zero(x.dtype)),
            false => (FoldKind::Max, Scalar::from_f64(x.dtype, f64::NEG_INFINITY)),
        };
        let element = k.input_or(0, &from, Some(fill));
        let folds = vec![k.fold(kind, element)];
        let mut value = k.cell(0);
        if self.mean {
            let counts: Vec<ExprId> = (slides.iter().enumerate())
                .map(|(i, slide)| self.count(k, call, slide, &x.dims[2 + i], &first(&from[2 + i], inside[i]), x.dtype))
                .collect();
            let count = counts.into_iter().reduce(|a, b| k.mul(a, b)).expect("at least one axis");
            value = k.div(value, count);
        }
        let stores = k.store(Target::Result(0), &At::axes(&to), value);
        Body::Reduce(Reduce { over: inside, folds, stores })
    }
}

/// The coordinate at the first position of its window.
fn first(at: &At, inside: AxisId) -> At {
    let mut at = at.clone();
    if let mlc_codegen::kernel::Source::Index(index) = &mut at.source {
        index.terms.retain(|(axis, _)| *axis != inside);
    }
    at
}

impl Op for Pool {
    fn signature(&self) -> &'static Signature {
        self.signature
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_rank(call, 0, self.axes, cx)?;
        let x = call.input(0);
        if self.mean || !x.dtype.is_integer() {
            require_float(call, 0, cx)?;
        }
        let mut dims = x.dims[..2].to_vec();
        for (slide, extent) in self.slides(call)?.iter().zip(&x.dims[2..]) {
            dims.push(slide.windows(extent, call.bool("ceil_mode"), cx)?);
        }
        Ok(vec![TensorType::new(x.dtype, dims)])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, slides) = (inputs[0], self.slides(call).expect("infer accepted the windows"));
        let shape = result_shape(call, 0, sizes)?;
        let kernel: Vec<usize> =
            slides.iter().map(|s| s.kernel.as_constant().expect("the kernel is a number") as usize).collect();
        let inside: Vec<Vec<usize>> = super::positions(&kernel).collect();
        let (positions, steps): (Vec<_>, _) = (super::positions(&shape).collect(), strides(x.shape()));
        let first = |to: &[usize], axis: usize| {
            let (slide, extent) = (&slides[axis], x.shape()[2 + axis] as i64);
            to[2 + axis] as i64 * slide.stride - slide.before(extent, kernel[axis] as i64)
        };
        let value = |i: usize| {
            let to = &positions[i];
            let read = |tap: &Vec<usize>| -> Option<Scalar> {
                let start = to[0] * steps[0] + to[1] * steps[1];
                let place = (0..slides.len()).try_fold(start, |sum, axis| {
                    let at = usize::try_from(first(to, axis) + tap[axis] as i64).ok();
                    Some(sum + at.filter(|at| *at < x.shape()[2 + axis])? * steps[2 + axis])
                });
                place.map(|at| x.get(at))
            };
            let read = inside.iter().filter_map(read);
            if self.mean {
                let counts = (0..slides.len())
                    .map(|axis| self.counted(call, &slides[axis], x.shape()[2 + axis] as i64, first(to, axis)) as f64);
                return Scalar::F64(read.map(Scalar::as_f64).sum::<f64>() / counts.product::<f64>());
            }
            match x.dtype().is_float() {
                true => Scalar::F64(read.map(Scalar::as_f64).fold(f64::NEG_INFINITY, nan_max)),
                false => Scalar::I64(read.map(Scalar::as_i64).max().unwrap_or(i64::MIN)),
            }
        };
        Ok(vec![from_scalars(x.dtype(), &shape, value)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::single(move |k| self.body(k, call))
    }
}

/// Pooling of everything behind the channels.
pub(super) struct GlobalPool {
    signature: &'static Signature,
    mean: bool,
}

/// `global_avg_pool`.
pub(super) static GLOBAL_AVG_POOL: GlobalPool = GlobalPool {
    signature: &Signature {
        name: "global_avg_pool",
        params: &[X],
        result: "[n, c]",
        doc: "The mean of each channel of x [n, c, ..].",
        example: "let y = global_avg_pool(x)",
    },
    mean: true,
};

/// `global_max_pool`.
pub(super) static GLOBAL_MAX_POOL: GlobalPool = GlobalPool {
    signature: &Signature {
        name: "global_max_pool",
        params: &[X],
        result: "[n, c]",
        doc: "The greatest element of each channel of x [n, c, ..]; NaN wins.",
        example: "let y = global_max_pool(x)",
    },
    mean: false,
};

impl Op for GlobalPool {
    fn signature(&self) -> &'static Signature {
        self.signature
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_float(call, 0, cx)?;
        require_rank_from(call, 0, &["n", "c"], cx)?;
        Ok(vec![TensorType::new(call.input(0).dtype, call.input(0).dims[..2].iter().cloned())])
    }

    fn eval(&self, _call: &Call, inputs: &[&Tensor], _sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, shape) = (inputs[0].to_f64_vec(), inputs[0].shape());
        let channels = slices(shape, &(2..shape.len()).collect::<Vec<_>>());
        let value = |i: usize| {
            let values = channels[i].iter().map(|at| x[*at]);
            Scalar::F64(match self.mean {
                true => values.sum::<f64>() / channels[i].len() as f64,
                false => values.fold(f64::NEG_INFINITY, nan_max),
            })
        };
        Ok(vec![from_scalars(inputs[0].dtype(), &shape[..2], value)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::single(move |k| {
            let x = call.input(0);
            let axes = k.axes(&x.dims);
            let element = k.input(0, &At::axes(&axes));
            let kind = if self.mean { FoldKind::Sum } else { FoldKind::Max };
            let folds = vec![k.fold(kind, element)];
            let mut value = k.cell(0);
            if self.mean {
                let count = k.size(x.dims[2..].iter().cloned().product::<Dim>());
                let count = k.convert(x.dtype.compute(), count);
                value = k.div(value, count);
            }
            let stores = k.store(Target::Result(0), &At::axes(&axes[..2]), value);
            Body::Reduce(Reduce { over: axes[2..].to_vec(), folds, stores })
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::SUMMATION
    }
}
