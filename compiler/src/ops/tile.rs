//! `tile`, `flip`: axes repeated, axes reversed.

use super::places::{remainder, scaled};
use super::reshape::{dims, require_size};
use super::{Blame, Call, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::Dim;
use mlc_runtime::tensor::Tensor;

/// Repeats.
pub(super) static TILE: Tile = Tile;
/// Reverses.
pub(super) static FLIP: Flip = Flip;

/// See `REPEATS`.
pub(super) struct Tile;
/// See `REVERSES`.
pub(super) struct Flip;

static REPEATS: Signature = Signature {
    name: "tile",
    params: &[Param::required("x", Kind::Tensor), Param::required("repeats", Kind::Dims)],
    result: "the dtype of x; dim d * repeats",
    doc: "x repeated `repeats[i]` times along axis i, one number for each axis.",
    example: "let y = tile(x, [1, 2, 1])",
};

static REVERSES: Signature = Signature {
    name: "flip",
    params: &[Param::required("x", Kind::Tensor), Param::required("axis", Kind::Axes)],
    result: "the type of x",
    doc: "x in reverse order along `axis`, an axis or a list.",
    example: "let y = flip(x, axis = -1)",
};

impl Op for Tile {
    fn signature(&self) -> &'static Signature {
        &REPEATS
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        let (x, repeats) = (call.input(0), dims(call, "repeats")?);
        if repeats.len() != x.rank() {
            let message = format!("`repeats` has {} numbers for {} axes", repeats.len(), x.rank());
            return Err(OpError::new("MDL0309", message, Blame::Argument("repeats"), "not one for each axis")
                .label(Blame::Input(0), format!("this is {}", cx.show(x))));
        }
        for times in &repeats {
            require_size(cx, "repeats", times)?;
        }
        Ok(vec![TensorType::new(x.dtype, x.dims.iter().zip(&repeats).map(|(dim, times)| dim.clone() * times))])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, shape) = (inputs[0], super::result_shape(call, 0, sizes)?);
        let element = |to: Vec<usize>| {
            let from: Vec<usize> = to.iter().zip(x.shape()).map(|(p, extent)| p % extent).collect();
            x.get(super::offset(x.shape(), &from))
        };
        let elements: Vec<_> = super::positions(&shape).map(element).collect();
        Ok(vec![super::from_scalars(x.dtype(), &shape, |i| elements[i])?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let (x, result) = (call.input(0), call.result(0));
            let mut from = at.to_vec();
            for (axis, dim) in x.dims.iter().enumerate().filter(|(axis, dim)| result.dims[*axis] != **dim) {
                from[axis] = remainder(k, &at[axis], dim);
            }
            k.input(0, &from)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}

impl Op for Flip {
    fn signature(&self) -> &'static Signature {
        &REVERSES
    }

    fn infer(&self, call: &Call, _cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        Ok(vec![call.input(0).clone()])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], _sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let x = inputs[0];
        let axes = call.ints("axis").unwrap_or_default();
        let element = |mut position: Vec<usize>| {
            for axis in axes.iter().map(|axis| *axis as usize) {
                position[axis] = x.shape()[axis] - 1 - position[axis];
            }
            x.get(super::offset(x.shape(), &position))
        };
        let elements: Vec<_> = super::positions(x.shape()).map(element).collect();
        Ok(vec![super::from_scalars(x.dtype(), x.shape(), |i| elements[i])?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let mut from = at.to_vec();
            for axis in call.ints("axis").unwrap_or_default().into_iter().map(|axis| axis as usize) {
                from[axis] = scaled(k, &at[axis], &Dim::from(-1), &(call.input(0).dims[axis].clone() - 1));
            }
            k.input(0, &from)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
