//! `shl`, `shr`: integers shifted by bits. The amount counts modulo the width of the type.

use super::broadcast::{broadcast, place, require_same_dtype, source};
use super::elementwise::Takes;
use super::fragments::wrapped;
use super::{Call, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::Scalar;
use mlc_codegen::kernel::Binary;
use mlc_runtime::tensor::Tensor;

/// To higher bits.
pub(super) static SHL: Shift = Shift { signature: &LEFT, op: Binary::Shl };
/// To lower bits.
pub(super) static SHR: Shift = Shift { signature: &RIGHT, op: Binary::Shr };

/// See the signatures.
pub(super) struct Shift {
    signature: &'static Signature,
    op: Binary,
}

const PARAMS: &[Param] = &[Param::required("a", Kind::Tensor), Param::required("b", Kind::Tensor)];

static LEFT: Signature = Signature {
    name: "shl",
    params: PARAMS,
    result: "the broadcast type of both",
    doc: "a shifted to higher bits by b, which counts modulo the width of the type.",
    example: "let y = shl(cast(x, i32), 2)",
};

static RIGHT: Signature = Signature {
    name: "shr",
    params: PARAMS,
    result: "the broadcast type of both",
    doc: "a shifted to lower bits by b, which counts modulo the width of the type; the sign is kept.",
    example: "let y = shr(cast(x, i32), 2)",
};

impl Op for Shift {
    fn signature(&self) -> &'static Signature {
        self.signature
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_same_dtype(call, cx)?;
        Takes::Integers.check(call, 0, cx)?;
        Ok(vec![TensorType::new(call.input(0).dtype, broadcast(call, cx)?)])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let shape = super::result_shape(call, 0, sizes)?;
        let (a, b, dtype) = (inputs[0], inputs[1], inputs[0].dtype());
        let positions: Vec<Vec<usize>> = super::positions(&shape).collect();
        let value = |i: usize| {
            let [x, amount] = [a, b].map(|t| t.get(source(t.shape(), &positions[i])).as_i64());
            let amount = amount.rem_euclid(i64::from(dtype.bits()));
            Scalar::I64(if self.op == Binary::Shl { x << amount } else { x >> amount })
        };
        Ok(vec![super::from_scalars(dtype, &shape, value)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let result = call.result(0);
            let [a, amount] = [0, 1].map(|i| k.input(i, &place(call.input(i), result, at)));
            let mask = k.constant(Scalar::from_i64(result.dtype, i64::from(result.dtype.bits()) - 1));
            let amount = k.binary(Binary::And, amount, mask);
            let value = k.binary(self.op, a, amount);
            wrapped(k, result.dtype, value)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
