//! `resize2d`: a picture at another size.

use super::check::{bad_argument, require_rank};
use super::numbers::{from_scalars, result_shape};
use super::{At, Build};
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance, require_float};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim, Scalar};
use mlc_codegen::kernel::{Binary, ExprId};
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static RESIZE2D: Resize = Resize;

/// See `SIGNATURE`.
pub(super) struct Resize;

static SIGNATURE: Signature = Signature {
    name: "resize2d",
    params: &[
        Param::required("x", Kind::Tensor),
        Param::required("size", Kind::Dims),
        Param::optional("mode", Kind::Word(&["nearest", "bilinear"]), Default::Text("nearest")),
        Param::optional(
            "align",
            Kind::Word(&["half_pixel", "align_corners", "asymmetric"]),
            Default::Text("half_pixel"),
        ),
    ],
    result: "[n, c, size]",
    doc: "x [n, c, h, w] at size [h', w']. Pixel y of h' comes from (y + 0.5) * h / h' - 0.5 (half_pixel), \
          y * (h - 1) / (h' - 1) (align_corners) or y * h / h' (asymmetric), held inside the picture. \"bilinear\" mixes \
          the four pixels around it; \"nearest\" takes pixel floor((y + 0.5) * h / h'), the nearest with halves up, or \
          floor(y * h / h').",
    example: "let y = resize2d(x, size = [8, 8], mode = \"bilinear\")",
};

/// The source position as a fraction `(factor * y + plus) / divisor`, in whole numbers of extents `from` and `to`.
fn fraction(call: &Call, from: i64, to: i64) -> (i64, i64, i64) {
    match (call.text("align"), call.text("mode")) {
        (Some("align_corners"), _) if to == 1 => (0, 0, 1),
        (Some("align_corners"), Some("nearest")) => (2 * (from - 1), to - 1, 2 * (to - 1)),
        (Some("align_corners"), _) => (from - 1, 0, to - 1),
        (Some("asymmetric"), _) => (from, 0, to),
        (_, Some("nearest")) => (2 * from, from, 2 * to),
        _ => (2 * from, from - to, 2 * to),
    }
}

/// The same for extents that are known when the model runs: factor, plus and divisor as i64.
fn symbolic(k: &mut dyn Build, call: &Call, from: &Dim, to: &Dim) -> [ExprId; 3] {
    if let (Some(from), Some(to)) = (from.as_constant(), to.as_constant()) {
        let (factor, plus, divisor) = fraction(call, from, to);
        return [k.integer(factor), k.integer(plus), k.integer(divisor)];
    }
    let nearest = call.text("mode") == Some("nearest");
    let (from, to) = (from.clone(), to.clone());
    let [factor, plus, divisor] = match (call.text("align"), nearest) {
        (Some("align_corners"), true) => [(from - 1) * 2, to.clone() - 1, (to - 1) * 2],
        (Some("align_corners"), false) => [from - 1, Dim::from(0), to - 1],
        (Some("asymmetric"), _) => [from, Dim::from(0), to],
        (_, true) => [from.clone() * 2, from, to * 2],
        (_, false) => [from.clone() * 2, from - &to, to * 2],
    };
    let (one, divisor) = (k.integer(1), k.size(divisor));
    [k.size(factor), k.size(plus), k.binary(Binary::Max, divisor, one)]
}

/// The pixel before the source position, the one after, and how far it is to the latter.
fn around(k: &mut dyn Build, call: &Call, axis: usize, at: &At) -> ([At; 2], ExprId) {
    let (from, to) = (&call.input(0).dims[axis], &call.result(0).dims[axis]);
    let [factor, plus, divisor] = symbolic(k, call, from, to);
    let (zero, one) = (k.integer(0), k.integer(1));
    let position = k.coordinate(at);
    let scaled = k.mul(position, factor);
    let shifted = k.add(scaled, plus);
    let place = k.binary(Binary::Max, shifted, zero);
    let before = k.div(place, divisor);
    let next = k.add(before, one);
    let extent = k.size(from);
    let last = k.sub(extent, one);
    let after = k.binary(Binary::Min, next, last);
    let rest = k.binary(Binary::Mod, place, divisor);
    let compute = call.input(0).dtype.compute();
    let (rest, divisor) = (k.convert(compute, rest), k.convert(compute, divisor));
    let share = k.div(rest, divisor);
    ([At::value(before), At::value(after)], share)
}

/// `a * (1 - share) + b * share`.
fn mix(k: &mut dyn Build, a: ExprId, b: ExprId, share: ExprId, dtype: DType) -> ExprId {
    let one = k.number(dtype, 1.0);
    let rest = k.sub(one, share);
    let (x, y) = (k.mul(a, rest), k.mul(b, share));
    k.add(x, y)
}

impl Op for Resize {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_float(call, 0, cx)?;
        require_rank(call, 0, &["n", "c", "h", "w"], cx)?;
        let (x, size) = (call.input(0), call.dims("size").expect("required"));
        let [Some(h), Some(w)] = size.as_slice() else {
            return Err(bad_argument("size", "`size` is [height, width]".into(), format!("{} dims", size.len())));
        };
        if let Some(empty) = [&x.dims[2], &x.dims[3]].into_iter().find(|dim| dim.as_constant() == Some(0)) {
            let message = "an empty picture has no pixels to resize".to_string();
            return Err(OpError::new("MDL0301", message, super::Blame::Input(0), cx.show(x)).dim(empty));
        }
        Ok(vec![TensorType::new(x.dtype, [x.dims[0].clone(), x.dims[1].clone(), h.clone(), w.clone()])])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, shape) = (inputs[0], result_shape(call, 0, sizes)?);
        let positions: Vec<Vec<usize>> = super::positions(&shape).collect();
        let around = |axis: usize, at: usize| {
            let from = x.shape()[axis];
            let (factor, plus, divisor) = fraction(call, from as i64, shape[axis] as i64);
            let place = (at as i64 * factor + plus).max(0);
            let before = (place / divisor) as usize;
            (before, (before + 1).min(from - 1), (place % divisor) as f64 / divisor as f64)
        };
        let value = |i: usize| {
            let at = &positions[i];
            let ((y, below, down), (z, beside, right)) = (around(2, at[2]), around(3, at[3]));
            let pixel = |y: usize, z: usize| x.get(super::offset(x.shape(), &[at[0], at[1], y, z]));
            if call.text("mode") == Some("nearest") {
                return pixel(y, z);
            }
            let row = |y: usize| pixel(y, z).as_f64() * (1.0 - right) + pixel(y, beside).as_f64() * right;
            Scalar::F64(row(y) * (1.0 - down) + row(below) * down)
        };
        Ok(vec![from_scalars(x.dtype(), &shape, value)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let dtype = call.input(0).dtype;
            let ([y, below], down) = around(k, call, 2, &at[2]);
            let ([z, beside], right) = around(k, call, 3, &at[3]);
            let pixel =
                |k: &mut dyn Build, y: &At, z: &At| k.input(0, &[at[0].clone(), at[1].clone(), y.clone(), z.clone()]);
            if call.text("mode") == Some("nearest") {
                return pixel(k, &y, &z);
            }
            let [top, bottom] = [y, below].map(|y| {
                let (a, b) = (pixel(k, &y, &z), pixel(k, &y, &beside));
                mix(k, a, b, right, dtype)
            });
            mix(k, top, bottom, down, dtype)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance { absolute: 1e-5, relative: 1e-5 }
    }
}
