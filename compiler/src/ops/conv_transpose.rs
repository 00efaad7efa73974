//! `conv_transpose2d`: the adjoint of `conv2d`, which makes pictures larger.

use super::check::{bad_argument, positive, require_rank, require_static, require_type};
use super::contraction::product_dtype;
use super::numbers::{from_floats, result_shape};
use super::window::{Padding, paddings, per_axis};
use super::{At, Build, Target, input_as};
use super::{
    Blame, Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance, require_float,
};
use crate::types::TensorType;
use mlc_codegen::base::{Dim, Scalar};
use mlc_codegen::kernel::{AxisId, Binary, Body, Compare, Contract, ExprId, Index};
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static CONV_TRANSPOSE2D: ConvTranspose = ConvTranspose;

/// See `SIGNATURE`.
pub(super) struct ConvTranspose;

static SIGNATURE: Signature = Signature {
    name: "conv_transpose2d",
    params: &[
        Param::required("x", Kind::Tensor),
        Param::required("w", Kind::Tensor),
        Param::optional("bias", Kind::Tensor, Default::None),
        Param::optional("stride", Kind::Ints, Default::Int(1)),
        Param::optional("pad", Kind::Pad, Default::Int(0)),
        Param::optional("output_pad", Kind::Ints, Default::Int(0)),
        Param::optional("dilation", Kind::Ints, Default::Int(1)),
        Param::optional("groups", Kind::Int, Default::Int(1)),
    ],
    result: "[n, out, (h - 1) * stride - pads + dilation * (kh - 1) + output_pad + 1, …]",
    doc: "Adds each element of x [n, c, h, w], times filters w [c, out / groups, kh, kw], to a window of the result. \
          `stride` spreads the windows, `pad` cuts the edges off, `output_pad` adds rows and columns at the end.",
    example: "let y = conv_transpose2d(x, w, stride = 2)",
};

/// The numbers of one axis.
struct Spread {
    stride: i64,
    dilation: i64,
    before: i64,
    after: i64,
    extra: i64,
}

fn spreads(call: &Call) -> Result<Vec<Spread>, OpError> {
    let [strides, dilations] = [per_axis(call, "stride", 2, 1)?, per_axis(call, "dilation", 2, 1)?];
    let extras = per_axis(call, "output_pad", 2, 0)?;
    let spread = |(axis, padding): (usize, Padding)| {
        let Padding::Fixed(before, after) = padding else {
            return Err(bad_argument("pad", "`conv_transpose2d` takes `pad` as numbers".into(), "\"same\""));
        };
        let (stride, dilation, extra) = (strides[axis], dilations[axis], extras[axis]);
        match extra < stride.max(dilation) {
            true => Ok(Spread { stride, dilation, before, after, extra }),
            false => Err(bad_argument("output_pad", "`output_pad` must be less than the stride".into(), extra)),
        }
    };
    paddings(call, 2)?.into_iter().enumerate().map(spread).collect()
}

fn groups(call: &Call) -> i64 {
    call.int("groups").expect("it has a default")
}

impl Spread {
    fn extent(&self, from: &Dim, kernel: &Dim) -> Dim {
        let reach = (kernel.clone() - 1) * self.dilation + 1;
        (from.clone() - 1) * self.stride + reach + (self.extra - self.before - self.after)
    }

    /// Where position `to` of the result reads x through position `tap` of the kernel, and whether it does at all.
    fn source(&self, k: &mut dyn Build, to: AxisId, tap: AxisId) -> (At, Option<ExprId>) {
        let (terms, plus) = (vec![(to, 1), (tap, -self.dilation)], Dim::from(self.before));
        let spread = At::index(Index::affine(terms.clone(), plus.clone()));
        let at = At::index(Index { terms, plus, div: self.stride, modulus: None }).guarded();
        if self.stride == 1 {
            return (at, None);
        }
        let (place, stride, zero) = (k.coordinate(&spread), k.integer(self.stride), k.integer(0));
        let rest = k.binary(Binary::Mod, place, stride);
        (at, Some(k.compare(Compare::Eq, rest, zero)))
    }
}

impl Op for ConvTranspose {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_float(call, 0, cx)?;
        require_rank(call, 0, &["n", "c", "h", "w"], cx)?;
        require_rank(call, 1, &["c", "out / groups", "kh", "kw"], cx)?;
        let (x, w, groups) = (call.input(0), call.input(1), positive(call, "groups")?);
        let dtype = product_dtype(call, x.dtype, 1)?;
        super::check::require_equal(call, cx, "a filter for each channel", (0, &x.dims[1]), (1, &w.dims[0]))?;
        if groups > 1 {
            let channels = require_static(call, 1, 0, cx)?;
            require_static(call, 1, 1, cx)?;
            if channels % groups != 0 {
                let message = format!("{channels} channels do not divide into {groups} groups");
                return Err(bad_argument("groups", message, groups));
            }
        }
        let out = w.dims[1].clone() * groups;
        let mut dims = vec![x.dims[0].clone(), out.clone()];
        for (axis, spread) in spreads(call)?.iter().enumerate() {
            let extent = spread.extent(&x.dims[2 + axis], &w.dims[2 + axis]);
            if !cx.at_most(&Dim::from(0), &extent, Blame::Argument("pad")) {
                let found = cx.slots.show(&extent);
                return Err(bad_argument("pad", format!("`pad` leaves `{found}` rows or columns"), "too large"));
            }
            dims.push(extent);
        }
        if let Some(bias) = call.tensor("bias") {
            require_type(call, bias, &TensorType::new(dtype, [out]), 1, cx)?;
        }
        Ok(vec![TensorType::new(dtype, dims)])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let shape = result_shape(call, 0, sizes)?;
        let spreads = spreads(call).expect("infer accepted the windows");
        let [x, w] = [0, 1].map(|i: usize| inputs[i].to_f64_vec());
        let bias = call.tensor("bias").map(|i| inputs[i].to_f64_vec());
        let (from, filter) = (inputs[0].shape(), inputs[1].shape());
        let (per_group, out) = (from[1] / groups(call) as usize, filter[1]);
        let source = |axis: usize, to: usize, tap: usize| {
            let s = &spreads[axis];
            let place = to as i64 + s.before - tap as i64 * s.dilation;
            let at = usize::try_from(place.div_euclid(s.stride)).ok().filter(|at| *at < from[2 + axis]);
            if place.rem_euclid(s.stride) == 0 { at } else { None }
        };
        let value = |to: Vec<usize>| {
            let mut sum = bias.as_ref().map_or(0.0, |b| b[to[1]]);
            for c in 0..per_group {
                let channel = to[1] / out * per_group + c;
                for tap in super::positions(&filter[2..]) {
                    let weight = w[super::offset(filter, &[channel, to[1] % out, tap[0], tap[1]])];
                    let place = source(0, to[2], tap[0]).zip(source(1, to[3], tap[1]));
                    let element = place.map_or(0.0, |(y, z)| x[super::offset(from, &[to[0], channel, y, z])]);
                    sum += weight * element;
                }
            }
            sum
        };
        let y: Vec<f64> = super::positions(&shape).map(value).collect();
        Ok(vec![from_floats(call.result(0).dtype, &shape, &y)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::single(move |k| {
            let spreads = spreads(call).expect("infer accepted the windows");
            let (x, w, y, groups) = (call.input(0), call.input(1), call.result(0), groups(call));
            let accumulator = y.dtype.compute();
            let n = k.axis("n", &x.dims[0]);
            let group = (groups > 1).then(|| k.axis("g", groups));
            let out = k.axis("o", &w.dims[1]);
            let channels = if groups > 1 { x.dims[1].as_constant().map(|c| Dim::from(c / groups)) } else { None };
            let channels = channels.unwrap_or(x.dims[1].clone());
            let c = k.axis("c", &channels);
            let to = [k.axis("y", &y.dims[2]), k.axis("x", &y.dims[3])];
            let taps = [k.axis("dy", &w.dims[2]), k.axis("dx", &w.dims[3])];
            let in_group = |axis: AxisId, size: &Dim| {
                let terms = group.map(|g| (g, size.as_constant().expect("infer required it")));
                At::index(Index::affine(terms.into_iter().chain([(axis, 1)]).collect(), 0))
            };
            let (channel, filter) = (in_group(c, &channels), in_group(out, &w.dims[1]));
            let [(y_at, y_on), (x_at, x_on)] = [0, 1].map(|i: usize| spreads[i].source(k, to[i], taps[i]));
            let w_at = [channel.clone(), At::axis(out), At::axis(taps[0]), At::axis(taps[1])];
            let a = input_as(k, 1, &w_at, accumulator);
            let zero = Scalar::zero(x.dtype);
            let mut b = k.input_or(0, &[At::axis(n), channel, y_at, x_at], Some(zero));
            for on in [y_on, x_on].into_iter().flatten() {
                let nothing = k.constant(zero);
                b = k.select(on, b, nothing);
            }
            let mut value = k.accumulator();
            if let Some(input) = call.tensor("bias") {
                let bias = k.input(input, std::slice::from_ref(&filter));
                value = k.add(value, bias);
            }
            let stores = k.store(Target::Result(0), &[At::axis(n), filter, At::axis(to[0]), At::axis(to[1])], value);
            let (batch, summed) = ([n].into_iter().chain(group).collect(), vec![c, taps[0], taps[1]]);
            Body::Contract(Contract { batch, m: vec![out], n: to.to_vec(), k: summed, a, b, accumulator, stores })
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::SUMMATION
    }
}
