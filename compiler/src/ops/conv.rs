//! `conv1d` and `conv2d`: windows of a signal or picture times filters.

use super::check::{bad_argument, positive, require_rank, require_static, require_type};
use super::contraction::product_dtype;
use super::numbers::{from_scalars, result_shape, strides};
use super::window::{Slide, paddings, per_axis};
use super::{At, Build, Target, input_as};
use super::{Blame, Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::{Dim, Scalar};
use mlc_codegen::kernel::{AxisId, Body, Contract, ExprId, FoldKind, Index, Reduce};
use mlc_runtime::tensor::Tensor;

/// A convolution over the last axes.
pub(super) struct Conv {
    signature: &'static Signature,
    x: &'static [&'static str],
    w: &'static [&'static str],
}

const fn params(x: &'static str) -> [Param; 8] {
    [
        Param::required(x, Kind::Tensor),
        Param::required("w", Kind::Tensor),
        Param::optional("bias", Kind::Tensor, Default::None),
        Param::optional("stride", Kind::Ints, Default::Int(1)),
        Param::optional("pad", Kind::Pad, Default::Int(0)),
        Param::optional("dilation", Kind::Ints, Default::Int(1)),
        Param::optional("groups", Kind::Int, Default::Int(1)),
        Param::optional("fill", Kind::Int, Default::Int(0)),
    ]
}

/// `conv1d`.
pub(super) static CONV1D: Conv = Conv {
    signature: &Signature {
        name: "conv1d",
        params: &params("x"),
        result: "[n, out, (t + pads - dilation * (k - 1) - 1) / stride + 1]",
        doc: "Slides filters w [out, c / groups, k] over x [n, c, t] and adds bias [out]; no flipping. `pad` is one number, \
              [begin, end], or \"same\": as many windows as t / stride, rounded up, the odd one at the end. `fill` is what is added, \
              such as the zero point of quantised numbers.",
        example: "let y = conv1d(x, w, stride = 2, pad = 1)",
    },
    x: &["n", "c", "t"],
    w: &["out", "c / groups", "k"],
};

/// `conv2d`.
pub(super) static CONV2D: Conv = Conv {
    signature: &Signature {
        name: "conv2d",
        params: &params("x"),
        result: "[n, out, (h + pads - dilation * (kh - 1) - 1) / stride + 1, (w + …) / stride + 1]",
        doc: "Slides filters w [out, c / groups, kh, kw] over x [n, c, h, w] and adds bias [out]; no flipping. \
              `groups = c` filters each channel by itself. `pad` is one number, [y, x], [top, left, bottom, right], or \
              \"same\": as many windows as h / stride, rounded up, the odd one at the bottom and right, as TensorFlow \
              does. `fill` is what is added, such as the zero point of quantised numbers. A float w may be narrower than x; f16 and bf16 add up in f32, 8-bit integers in i32.",
        example: "let y = conv2d(x, w, stride = 2, pad = [0, 0, 1, 1])",
    },
    x: &["n", "c", "h", "w"],
    w: &["out", "c / groups", "kh", "kw"],
};

impl Conv {
    fn slides(&self, call: &Call) -> Result<Vec<Slide>, OpError> {
        let axes = self.x.len() - 2;
        let (strides, dilations) = (per_axis(call, "stride", axes, 1)?, per_axis(call, "dilation", axes, 1)?);
        let kernels = &call.input(1).dims[2..];
        let parts = paddings(call, axes)?.into_iter().zip(kernels).zip(strides.into_iter().zip(dilations));
        let slide = |((padding, kernel), (stride, dilation)): ((_, &Dim), (i64, i64))| Slide {
            kernel: kernel.clone(),
            stride,
            dilation,
            padding,
        };
        Ok(parts.map(slide).collect())
    }

    fn accepted(&self, call: &Call) -> (Vec<Slide>, i64) {
        (self.slides(call).expect("infer accepted the windows"), call.int("groups").expect("it has a default"))
    }

    /// Channels in and out divide into groups, whose sizes are then known.
    fn check_groups(&self, call: &Call, cx: &mut Infer) -> Result<(), OpError> {
        let (groups, [x, w]) = (positive(call, "groups")?, [call.input(0), call.input(1)]);
        let wanted = w.dims[1].clone() * groups;
        if !cx.equal(&x.dims[1], &wanted, Blame::Input(1)) {
            let (c, own) = (cx.slots.show(&x.dims[1]), cx.slots.show(&w.dims[1]));
            let name = self.signature.name;
            let message = match groups {
                1 => format!("`{name}` filters read `{own}` channels, but the input has `{c}`"),
                _ => format!("`{name}` filters read `{own}` channels in each of {groups} groups; the input has `{c}`"),
            };
            let mut error = OpError::new("MDL0301", message, Blame::Input(1), format!("this is {}", cx.show(w)))
                .label(Blame::Input(0), format!("this is {}", cx.show(x)))
                .dim(&x.dims[1])
                .dim(&w.dims[1]);
            if x.dims.last() == Some(&w.dims[1]) {
                error = error.help(format!("x is [{}] here: channels come before the picture", self.x.join(", ")));
            }
            return Err(error);
        }
        if groups == 1 {
            return Ok(());
        }
        let out = require_static(call, 1, 0, cx)?;
        require_static(call, 1, 1, cx)?;
        match out % groups {
            0 => Ok(()),
            _ => Err(bad_argument("groups", format!("{out} filters do not divide into {groups} groups"), groups)),
        }
    }

    /// Filters of one input channel each, as many as channels: no sum over channels is left.
    fn is_depthwise(call: &Call, groups: i64) -> bool {
        let w = call.input(1);
        groups > 1 && w.dims[1] == Dim::from(1) && w.dims[0] == Dim::from(groups)
    }

    fn finish(&self, k: &mut dyn Build, call: &Call, sum: ExprId, to: &[At]) -> Vec<mlc_codegen::kernel::Store> {
        let value = match call.tensor("bias") {
            Some(input) => {
                let bias = k.input(input, &to[1..2]);
                k.add(sum, bias)
            }
            None => sum,
        };
        k.store(Target::Result(0), to, value)
    }

    fn body(&self, k: &mut dyn Build, call: &Call) -> Body {
        let (slides, groups) = self.accepted(call);
        let (x, w, y) = (call.input(0), call.input(1), call.result(0));
        let accumulator = y.dtype.compute();
        let depthwise = Self::is_depthwise(call, groups);
        let (grouped, share) = (groups > 1 && !depthwise, |dim: &Dim| dim.as_constant().map_or(0, |c| c / groups));
        let n = k.axis("n", &x.dims[0]);
        let group = grouped.then(|| k.axis("g", groups));
        let out = if grouped { k.axis("o", share(&w.dims[0])) } else { k.axis("o", &w.dims[0]) };
        let (mut at_y, mut inside): (Vec<AxisId>, Vec<AxisId>) = (vec![], vec![]);
        let channel = (!depthwise).then(|| k.axis("c", &w.dims[1]));
        for (slide, dim) in slides.iter().zip(&y.dims[2..]) {
            at_y.push(k.axis("y", dim));
            inside.push(k.axis("d", &slide.kernel));
        }
        let in_group = |axis: Option<AxisId>, size: i64| {
            let terms = group.map(|g| (g, size)).into_iter().chain(axis.map(|a| (a, 1))).collect();
            At::index(Index::affine(terms, 0))
        };
        let filter = in_group(Some(out), if grouped { share(&w.dims[0]) } else { 0 });
        let from = match depthwise {
            true => At::axis(out),
            false => in_group(channel, w.dims[1].as_constant().unwrap_or(0)),
        };
        let own = channel.map_or_else(At::zero, At::axis);
        let w_at: Vec<At> = [filter.clone(), own].into_iter().chain(At::axes(&inside)).collect();
        let places = slides.iter().zip(&x.dims[2..]).zip(&y.dims[2..]).enumerate();
        let windows = places.map(|(i, ((s, extent), count))| s.at(at_y[i], inside[i], extent, count));
        let x_at: Vec<At> = [At::axis(n), from].into_iter().chain(windows).collect();
        let a = input_as(k, 1, &w_at, accumulator);
        let b = k.input_or(0, &x_at, Some(fill(call)));
        let b = if x.dtype.compute() == accumulator { b } else { k.convert(accumulator, b) };
        let to: Vec<At> = [At::axis(n), filter].into_iter().chain(At::axes(&at_y)).collect();
        if depthwise {
            let product = k.mul(a, b);
            let folds = vec![k.fold(FoldKind::Sum, product)];
            let sum = k.cell(0);
            return Body::Reduce(Reduce { over: inside, folds, stores: self.finish(k, call, sum, &to) });
        }
        let sum = k.accumulator();
        let stores = self.finish(k, call, sum, &to);
        let (batch, summed) = ([n].into_iter().chain(group).collect(), channel.into_iter().chain(inside).collect());
        Body::Contract(Contract { batch, m: vec![out], n: at_y, k: summed, a, b, accumulator, stores })
    }
}

/// What lies outside of the input.
fn fill(call: &Call) -> Scalar {
    Scalar::from_f64(call.input(0).dtype, call.int("fill").expect("it has a default") as f64)
}

/// What one element of the result reads.
struct Reads {
    channels: usize,
    /// Elements between channels of the input.
    step: usize,
    taps: usize,
}

impl Reads {
    /// The sum over taps and channels; a tap outside of the input reads `fill`. `start` is the input's element at the first
    /// channel and tap, `filter` the output channel.
    fn sum<T: Copy + std::default::Default>(
        &self,
        (x, fill): (&[T], T),
        w: &[T],
        (start, filter): (usize, usize),
        places: &[Option<usize>],
        add: impl Fn(T, T, T) -> T,
    ) -> T {
        let mut sum = T::default();
        for (tap, place) in places.iter().enumerate() {
            for channel in 0..self.channels {
                let weight = w[(filter * self.channels + channel) * self.taps + tap];
                let element = place.map_or(fill, |at| x[start + channel * self.step + at]);
                sum = add(sum, weight, element);
            }
        }
        sum
    }
}

impl Op for Conv {
    fn signature(&self) -> &'static Signature {
        self.signature
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_rank(call, 0, self.x, cx)?;
        require_rank(call, 1, self.w, cx)?;
        let (x, w) = (call.input(0), call.input(1));
        let dtype = product_dtype(call, x.dtype, 1)?;
        self.check_groups(call, cx)?;
        let fill = call.int("fill").expect("it has a default");
        if x.dtype.integer_range().is_some_and(|(low, high)| !(low..=high).contains(&fill)) {
            return Err(bad_argument("fill", format!("`fill` must be a number of {}", x.dtype), fill));
        }
        let mut dims = vec![x.dims[0].clone(), w.dims[0].clone()];
        for (slide, extent) in self.slides(call)?.iter().zip(&x.dims[2..]) {
            dims.push(slide.windows(extent, false, cx)?);
        }
        if let Some(bias) = call.tensor("bias") {
            require_type(call, bias, &TensorType::new(dtype, [w.dims[0].clone()]), 1, cx)?;
        }
        Ok(vec![TensorType::new(dtype, dims)])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (slides, groups) = self.accepted(call);
        let (x, w) = (inputs[0], inputs[1]);
        let shape = result_shape(call, 0, sizes)?;
        let (dtype, share) = (call.result(0).dtype, shape[1] / groups as usize);
        let (x_strides, taps) = (strides(x.shape()), w.shape()[2..].iter().product::<usize>());
        let inside: Vec<Vec<usize>> = super::positions(&w.shape()[2..]).collect();
        let bias = call.tensor("bias").map(|input| inputs[input]);
        let positions: Vec<Vec<usize>> = super::positions(&shape).collect();
        let before: Vec<i64> = (slides.iter().zip(&x.shape()[2..]).zip(&w.shape()[2..]))
            .map(|((slide, extent), kernel)| slide.before(*extent as i64, *kernel as i64))
            .collect();
        let place = |to: &[usize], tap: &[usize]| -> Option<usize> {
            (0..slides.len()).try_fold(0, |sum, axis| {
                let at = to[2 + axis] as i64 * slides[axis].stride + tap[axis] as i64 * slides[axis].dilation;
                let at = usize::try_from(at - before[axis]).ok().filter(|at| *at < x.shape()[2 + axis])?;
                Some(sum + at * x_strides[2 + axis])
            })
        };
        let bias = |to: usize| bias.map_or(Scalar::I64(0), |b| b.get(to));
        let read = Reads { channels: w.shape()[1], step: x_strides[1], taps };
        let corner = |to: &[usize]| {
            let places: Vec<Option<usize>> = inside.iter().map(|tap| place(to, tap)).collect();
            (places, to[0] * x_strides[0] + to[1] / share.max(1) * read.channels * read.step)
        };
        if dtype.is_float() {
            let (x, w) = (x.to_f64_vec(), w.to_f64_vec());
            let fill = fill(call).as_f64();
            return Ok(vec![from_scalars(dtype, &shape, |i| {
                let (to, (places, start)) = (&positions[i], corner(&positions[i]));
                let sum = read.sum((&x, fill), &w, (start, to[1]), &places, |sum, a, b| sum + a * b);
                Scalar::F64(sum + bias(to[1]).as_f64())
            })?]);
        }
        let [x, w] = [x, w].map(|x| x.iter().map(Scalar::as_i64).collect::<Vec<_>>());
        let fill = fill(call).as_i64();
        let value = |i: usize| {
            let (to, (places, start)) = (&positions[i], corner(&positions[i]));
            let sum =
                read.sum((&x, fill), &w, (start, to[1]), &places, |sum, a, b| sum.wrapping_add(a.wrapping_mul(b)));
            Scalar::I64(sum.wrapping_add(bias(to[1]).as_i64()))
        };
        Ok(vec![from_scalars(dtype, &shape, value)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::single(move |k| self.body(k, call))
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::SUMMATION
    }
}
