//! `quantize` and `dequantize`: floats as integers of a scale, and back.

use super::check::bad_argument;
use super::numbers::from_scalars;
use super::{At, Blame, Build};
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim, Scalar};
use mlc_codegen::kernel::{ExprId, Unary};
use mlc_runtime::tensor::Tensor;

/// One of the two directions.
pub(super) struct Quantize {
    signature: &'static Signature,
    down: bool,
}

const X: Param = Param::required("x", Kind::Tensor);
const SCALE: Param = Param::required("scale", Kind::Tensor);
const ZERO: Param = Param::optional("zero", Kind::Tensor, Default::None);
const AXIS: Param = Param::optional("axis", Kind::Axis, Default::None);
const GROUP: Param = Param::optional("group", Kind::Int, Default::None);

/// `quantize`.
pub(super) static QUANTIZE: Quantize = Quantize {
    signature: &Signature {
        name: "quantize",
        params: &[X, SCALE, ZERO, AXIS, GROUP, Param::optional("dtype", Kind::DType, Default::None)],
        result: "the dims of x, of `dtype`, which is i8 where it is not given",
        doc: "round(x * (1 / scale)) + zero, ties to even, held to the range of `dtype` (i8, u8, i16, i32). `scale` and `zero` are \
              scalars, or have one element for each position of `axis`, or with `group` the dims of x with that axis \
              divided by it.",
        example: "let y = quantize(x, 0.05, dtype = i8)",
    },
    down: true,
};

/// `dequantize`.
pub(super) static DEQUANTIZE: Quantize = Quantize {
    signature: &Signature {
        name: "dequantize",
        params: &[X, SCALE, ZERO, AXIS, GROUP],
        result: "the dims of x, of the dtype of scale",
        doc: "(x - zero) * scale. `scale` and `zero` are scalars, or have one element for each position of `axis`, or with \
              `group` the dims of x with that axis divided by it.",
        example: "let y = dequantize(q, scale)",
    },
    down: false,
};

fn given_axis(call: &Call) -> Option<usize> {
    call.int("axis").map(|axis| axis as usize)
}

fn target(call: &Call) -> DType {
    call.dtype("dtype").unwrap_or(DType::I8)
}

/// The dims that scale and zero must have.
fn parameter_dims(call: &Call, cx: &mut Infer) -> Result<Vec<Dim>, OpError> {
    let x = call.input(0);
    match (given_axis(call), call.int("group")) {
        (None, None) => Ok(vec![]),
        (None, Some(group)) => Err(bad_argument("group", "`group` needs an `axis`".into(), group)),
        (Some(axis), None) => Ok(vec![x.dims[axis].clone()]),
        (Some(_), Some(group)) if group < 1 => Err(bad_argument("group", "`group` must be at least 1".into(), group)),
        (Some(axis), Some(group)) => {
            let mut dims = x.dims.clone();
            dims[axis] = cx.slots.floor_div(&x.dims[axis], &Dim::from(group));
            match cx.equal(&(dims[axis].clone() * group), &x.dims[axis], Blame::Argument("group")) {
                true => Ok(dims),
                false => {
                    let extent = cx.slots.show(&x.dims[axis]);
                    let message = format!("axis {axis} ({extent}) does not divide into groups of {group}");
                    Err(bad_argument("group", message, group).dim(&x.dims[axis]))
                }
            }
        }
    }
}

/// Where the scale of an element stands.
fn parameter_place(k: &mut dyn Build, call: &Call, at: &[At]) -> Vec<At> {
    let Some(axis) = given_axis(call) else { return vec![] };
    let Some(group) = call.int("group") else { return vec![at[axis].clone()] };
    let divided = match &at[axis].source {
        mlc_codegen::kernel::Source::Index(index) => index.divided(group),
        mlc_codegen::kernel::Source::Value(_) => None,
    };
    let mut place = at.to_vec();
    place[axis] = match divided {
        Some(index) => At { source: mlc_codegen::kernel::Source::Index(index), guarded: at[axis].guarded },
        None => {
            let position = k.coordinate(&at[axis]);
            At::value(k.floor_div(position, group))
        }
    };
    place
}

fn parameter_offset(call: &Call, shape: &[usize], position: &[usize]) -> usize {
    match (given_axis(call), call.int("group")) {
        (None, _) => 0,
        (Some(axis), None) => position[axis],
        (Some(axis), Some(group)) => {
            let (mut dims, mut place) = (shape.to_vec(), position.to_vec());
            (dims[axis], place[axis]) = (dims[axis] / group as usize, place[axis] / group as usize);
            super::offset(&dims, &place)
        }
    }
}

impl Quantize {
    fn check_dtypes(&self, call: &Call, cx: &Infer) -> Result<DType, OpError> {
        let (x, scale) = (call.input(0), call.input(1));
        let refuse = |input: usize, wanted: &str| {
            let ty = call.input(input);
            let message = format!("`{}` takes {wanted}, found {}", self.signature.name, ty.dtype);
            Err(OpError::new("MDL0306", message, Blame::Input(input), format!("this is {}", cx.show(ty))))
        };
        if !scale.dtype.is_float() {
            return refuse(1, "`scale` as a float");
        }
        if !self.down {
            return if x.dtype.is_integer() { Ok(scale.dtype) } else { refuse(0, "x as an integer") };
        }
        if x.dtype != scale.dtype {
            return refuse(1, &format!("x and `scale` of one type, {}", x.dtype));
        }
        match target(call) {
            dtype @ (DType::I8 | DType::U8 | DType::I16 | DType::I32) => Ok(dtype),
            other => Err(bad_argument("dtype", "`dtype` must be i8, u8, i16 or i32".into(), other)),
        }
    }

    fn down(&self, k: &mut dyn Build, call: &Call, x: ExprId, scale: ExprId, zero: Option<ExprId>) -> ExprId {
        let compute = call.input(0).dtype.compute();
        // One quotient for all elements of a scale; converting holds to the range.
        let one = k.number(compute, 1.0);
        let inverse = k.div(one, scale);
        let scaled = k.mul(x, inverse);
        let mut value = k.unary(Unary::Round, scaled);
        if let Some(zero) = zero {
            let zero = k.convert(compute, zero);
            value = k.add(value, zero);
        }
        k.convert(target(call), value)
    }

    fn up(&self, k: &mut dyn Build, call: &Call, x: ExprId, scale: ExprId, zero: Option<ExprId>) -> ExprId {
        let compute = call.input(1).dtype.compute();
        let centred = zero.map_or(x, |zero| k.sub(x, zero));
        let value = k.convert(compute, centred);
        k.mul(value, scale)
    }
}

impl Op for Quantize {
    fn signature(&self) -> &'static Signature {
        self.signature
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        let (dtype, dims) = (self.check_dtypes(call, cx)?, parameter_dims(call, cx)?);
        let scale = TensorType::new(call.input(1).dtype, dims.iter().cloned());
        super::check::require_type(call, 1, &scale, 0, cx)?;
        if let Some(zero) = call.tensor("zero") {
            let integers = if self.down { dtype } else { call.input(0).dtype };
            super::check::require_type(call, zero, &TensorType::new(integers, dims), 0, cx)?;
        }
        Ok(vec![TensorType::new(dtype, call.input(0).dims.iter().cloned())])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], _sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, shape) = (inputs[0], inputs[0].shape());
        let zeros = call.tensor("zero").map(|input| inputs[input]);
        let positions: Vec<Vec<usize>> = super::positions(shape).collect();
        let dtype = call.result(0).dtype;
        let value = |i: usize| {
            let at = parameter_offset(call, shape, &positions[i]);
            let (scale, zero) = (inputs[1].get(at).as_f64(), zeros.map_or(0, |z| z.get(at).as_i64()));
            if !self.down {
                return Scalar::F64(x.get(i).as_i64().wrapping_sub(zero) as f64 * scale);
            }
            let (low, high) = dtype.integer_range().expect("an integer type");
            // Both are rounded to f32: the definition is of f32, where a tie may be no tie in f64.
            let rounded = |value: f64| if x.dtype() == DType::F64 { value } else { f64::from(value as f32) };
            let scaled = rounded(x.get(i).as_f64() * rounded(1.0 / scale));
            Scalar::F64((scaled.round_ties_even() + zero as f64).clamp(low as f64, high as f64))
        };
        Ok(vec![from_scalars(dtype, shape, value)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let place = parameter_place(k, call, at);
            let (x, scale) = (k.input(0, at), k.input(1, &place));
            let zero = call.tensor("zero").map(|input| k.input(input, &place));
            if self.down { self.down(k, call, x, scale, zero) } else { self.up(k, call, x, scale, zero) }
        })
    }
}
