//! `cumsum`: running sums along an axis.

use super::elementwise::Takes;
use super::fragments::wrapped;
use super::{At, Target};
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::Scalar;
use mlc_codegen::kernel::{Body, Index, Loops, Statement};
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static CUMSUM: CumSum = CumSum;

/// See `SIGNATURE`.
pub(super) struct CumSum;

static SIGNATURE: Signature = Signature {
    name: "cumsum",
    params: &[
        Param::required("x", Kind::Tensor),
        Param::required("axis", Kind::Axis),
        Param::optional("exclusive", Kind::Bool, Default::Bool(false)),
        Param::optional("reverse", Kind::Bool, Default::Bool(false)),
    ],
    result: "the type of x",
    doc: "The sum of the elements up to and with each one along `axis`; without it where `exclusive`, from the end where \
          `reverse`. Integers wrap; f16 and bf16 are summed in f32.",
    example: "let y = cumsum(x, axis = -1)",
};

impl Op for CumSum {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        Takes::Numbers.check(call, 0, cx)?;
        Ok(vec![call.input(0).clone()])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], _sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let x = inputs[0];
        let mut y = x.clone();
        for mut row in super::rows(x.shape(), call.axis("axis")) {
            if call.bool("reverse") {
                row.reverse();
            }
            let (mut float, mut whole) = (0.0, 0i64);
            for i in row {
                let before = (float, whole);
                float += x.get(i).as_f64();
                whole = whole.wrapping_add(x.get(i).as_i64());
                let (f, w) = if call.bool("exclusive") { before } else { (float, whole) };
                y.set(i, if x.dtype().is_float() { Scalar::F64(f) } else { Scalar::I64(w) });
            }
        }
        Ok(vec![y])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::single(move |k| {
            let (x, along) = (call.input(0), call.axis("axis"));
            let axes = k.axes(&x.dims);
            let mut at = At::axes(&axes);
            if call.bool("reverse") {
                at[along] = At::index(Index::affine(vec![(axes[along], -1)], x.dims[along].clone() - 1));
            }
            let (element, sum, zero) = (k.input(0, &at), k.cell(0), k.constant(Scalar::zero(x.dtype)));
            let total = k.add(sum, element);
            let advance = Statement::SetCell { cell: 0, value: total };
            let kept = wrapped(k, x.dtype, sum);
            let store = k.put(Target::Result(0), &at, kept);
            let step = match call.bool("exclusive") {
                true => store.into_iter().chain([advance]).collect(),
                false => [advance].into_iter().chain(store).collect(),
            };
            let mut body = vec![Statement::SetCell { cell: 0, value: zero }, k.each(axes[along], step)];
            for (axis, id) in axes.iter().enumerate().rev().filter(|(axis, _)| *axis != along) {
                let outermost = axis == usize::from(along == 0);
                body = vec![if outermost { k.each_parallel(*id, body) } else { k.each(*id, body) }];
            }
            Body::Loops(Loops { cells: vec![x.dtype.compute()], statements: body })
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::SUMMATION
    }
}
