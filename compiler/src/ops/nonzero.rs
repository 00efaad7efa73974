//! `nonzero`: where a tensor is not 0. The one op here whose result has a dim that only its run tells.
//!
//! The last result, i64[1], is the count. The first stage writes it and the second the positions, which lie `count` apart;
//! between them the plan sets the counted slot.

use super::elementwise::Takes;
use super::gather_elements::nest;
use super::{At, Target};
use super::{Call, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Stage, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::{DType, Dim, Scalar, SlotDef};
use mlc_codegen::kernel::{Body, Compare, ExprId, Loops, Statement};
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static NONZERO: NonZero = NonZero;

/// See `SIGNATURE`.
pub(super) struct NonZero;

static SIGNATURE: Signature = Signature {
    name: "nonzero",
    params: &[Param::required("x", Kind::Tensor)],
    result: "i64[rank, count], and the count as i64[1]",
    doc: "The positions of the elements that are not 0, in row-major order: a column for each, a row for each axis of x. \
          How many there are is known once it has run; memory is planned for all. NaN is not 0.",
    example: "let (places, n) = nonzero(x)",
};

/// Walks the elements that are not 0, with their number among them in cell 0.
fn walk(
    k: &mut dyn super::Build,
    call: &Call,
    found: impl FnOnce(&mut dyn super::Build, &[At], ExprId) -> Vec<Statement>,
    after: impl FnOnce(&mut dyn super::Build, ExprId) -> Vec<Statement>,
) -> Body {
    let x = call.input(0);
    let axes = k.axes(&x.dims);
    let at = At::axes(&axes);
    let (element, zero) = (k.input(0, &at), k.constant(Scalar::zero(x.dtype)));
    let condition = k.compare(Compare::Ne, element, zero);
    let (count, none, one) = (k.cell(0), k.integer(0), k.integer(1));
    let next = k.add(count, one);
    let mut inner = found(k, &at, count);
    inner.push(Statement::SetCell { cell: 0, value: next });
    let loops = nest(k, &axes, vec![Statement::If { condition, body: inner }]);
    let mut statements = vec![Statement::SetCell { cell: 0, value: none }];
    statements.extend(loops);
    statements.extend(after(k, count));
    Body::Loops(Loops { cells: vec![DType::I64], statements })
}

impl Op for NonZero {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        Takes::All.check(call, 0, cx)?;
        let x = call.input(0);
        let count = cx.slots.add(SlotDef::Counted { name: "count".into(), most: x.elements() });
        let positions = TensorType::new(DType::I64, [Dim::from(x.rank() as i64), Dim::slot(count)]);
        Ok(vec![positions, TensorType::fixed(DType::I64, &[1])])
    }

    fn eval(&self, _call: &Call, inputs: &[&Tensor], _sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let x = inputs[0];
        let all = super::positions(x.shape()).enumerate();
        let found: Vec<Vec<usize>> = all.filter(|(i, _)| x.get(*i).as_f64() != 0.0).map(|(_, p)| p).collect();
        let count = found.len();
        let shape = [x.shape().len(), count];
        let places = super::from_scalars(DType::I64, &shape, |i| Scalar::I64(found[i % count][i / count] as i64))?;
        Ok(vec![places, super::from_scalars(DType::I64, &[1], |_| Scalar::I64(count as i64))?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        let count: Stage<'a> = Box::new(move |k| {
            walk(k, call, |_, _, _| vec![], |k, count| k.put(Target::Result(1), &[At::zero()], count))
        });
        let places: Stage<'a> = Box::new(move |k| {
            let found = |k: &mut dyn super::Build, at: &[At], number: ExprId| {
                let rows = at.iter().enumerate().flat_map(|(axis, at)| {
                    let row = At::index(mlc_codegen::kernel::Index::constant(axis as i64));
                    let position = k.coordinate(at);
                    k.put(Target::Result(0), &[row, At::value(number)], position)
                });
                rows.collect()
            };
            walk(k, call, found, |_, _| vec![])
        });
        Lowering::Stages { temps: vec![], stages: vec![count, places] }
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
