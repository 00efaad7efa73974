//! `depth_to_space` and `space_to_depth`: blocks of a picture become channels, and back.

use super::check::{bad_argument, positive, require_rank, require_static};
use super::numbers::{from_scalars, result_shape};
use super::{At, Target};
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::Dim;
use mlc_codegen::kernel::{Body, Index};
use mlc_runtime::tensor::Tensor;

/// One of the two directions.
pub(super) struct Blocks {
    signature: &'static Signature,
    to_space: bool,
}

const MODE: Param = Param::optional("mode", Kind::Word(&["dcr", "crd"]), Default::Text("dcr"));
const X: Param = Param::required("x", Kind::Tensor);
const BLOCK: Param = Param::required("block", Kind::Int);

/// `depth_to_space`.
pub(super) static DEPTH_TO_SPACE: Blocks = Blocks {
    signature: &Signature {
        name: "depth_to_space",
        params: &[X, BLOCK, MODE],
        result: "[n, c / block², h * block, w * block]",
        doc: "Lays channels of x [n, c, h, w] out as blocks of the picture. In mode \"dcr\" the place in the block is the \
              slower part of the channel, in \"crd\" (PyTorch's pixel_shuffle) the faster.",
        example: "let y = depth_to_space(x, block = 2)",
    },
    to_space: true,
};

/// `space_to_depth`.
pub(super) static SPACE_TO_DEPTH: Blocks = Blocks {
    signature: &Signature {
        name: "space_to_depth",
        params: &[X, BLOCK, MODE],
        result: "[n, c * block², h / block, w / block]",
        doc: "Gathers blocks of the picture x [n, c, h, w] into channels; undoes depth_to_space of the same mode.",
        example: "let y = space_to_depth(x, block = 2)",
    },
    to_space: false,
};

impl Blocks {
    /// The channel that holds place `(dy, dx)` of a block of `channels` channels: factors of c, dy, dx.
    fn factors(call: &Call, channels: i64) -> [i64; 3] {
        let b = call.int("block").expect("required");
        if call.text("mode") == Some("crd") { [b * b, b, 1] } else { [1, b * channels, channels] }
    }

    /// How many channels the side with the larger picture has.
    fn channels(&self, call: &Call) -> i64 {
        let wide = if self.to_space { call.result(0) } else { call.input(0) };
        wide.dims[1].as_constant().expect("infer required it")
    }
}

impl Op for Blocks {
    fn signature(&self) -> &'static Signature {
        self.signature
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_rank(call, 0, &["n", "c", "h", "w"], cx)?;
        let (x, b) = (call.input(0), positive(call, "block")?);
        let channels = require_static(call, 0, 1, cx)?;
        if self.to_space {
            if channels % (b * b) != 0 {
                return Err(bad_argument("block", format!("{channels} channels do not divide by {}", b * b), b));
            }
            let dims = [x.dims[0].clone(), Dim::from(channels / (b * b)), x.dims[2].clone() * b, x.dims[3].clone() * b];
            return Ok(vec![TensorType::new(x.dtype, dims)]);
        }
        let mut dims = vec![x.dims[0].clone(), Dim::from(channels * b * b)];
        for extent in &x.dims[2..] {
            let share = cx.slots.floor_div(extent, &Dim::from(b));
            if !cx.equal(&(share.clone() * b), extent, super::Blame::Input(0)) {
                let shown = cx.slots.show(extent);
                return Err(bad_argument("block", format!("`{shown}` is not divisible by {b}"), b).dim(extent));
            }
            dims.push(share);
        }
        Ok(vec![TensorType::new(x.dtype, dims)])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (x, shape) = (inputs[0], result_shape(call, 0, sizes)?);
        let b = call.int("block").expect("required") as usize;
        let [c, dy, dx] = Self::factors(call, self.channels(call)).map(|factor| factor as usize);
        let deep = |at: &[usize]| vec![at[0], at[1] * c + at[2] % b * dy + at[3] % b * dx, at[2] / b, at[3] / b];
        let wide: &[usize] = if self.to_space { &shape } else { x.shape() };
        let mut y = from_scalars(x.dtype(), &shape, |_| mlc_codegen::base::Scalar::zero(x.dtype()))?;
        for (i, at) in super::positions(wide).enumerate() {
            match self.to_space {
                true => y.set(i, x.get(super::offset(x.shape(), &deep(&at)))),
                false => y.set(super::offset(&shape, &deep(&at)), x.get(i)),
            }
        }
        Ok(vec![y])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::single(move |k| {
            let (b, channels) = (call.int("block").expect("required"), self.channels(call));
            let small = if self.to_space { call.input(0) } else { call.result(0) };
            let [n, c] = [k.axis("n", &small.dims[0]), k.axis("c", channels)];
            let [y, x] = [k.axis("y", &small.dims[2]), k.axis("x", &small.dims[3])];
            let [dy, dx] = [k.axis("dy", b), k.axis("dx", b)];
            let [fc, fy, fx] = Self::factors(call, channels);
            let affine = |terms: Vec<_>| At::index(Index::affine(terms, 0));
            let deep = [At::axis(n), affine(vec![(c, fc), (dy, fy), (dx, fx)]), At::axis(y), At::axis(x)];
            let wide = [At::axis(n), At::axis(c), affine(vec![(y, b), (dy, 1)]), affine(vec![(x, b), (dx, 1)])];
            let (from, to) = if self.to_space { (deep, wide) } else { (wide, deep) };
            let element = k.input(0, &from);
            Body::Map(k.store(Target::Result(0), &to, element))
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
