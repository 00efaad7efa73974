//! `matmul`, written `a @ b`: products of matrices, leading axes broadcast.

use super::contraction::{Contraction, product_dtype};
use super::{Blame, Call, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::Dim;
use mlc_runtime::tensor::Tensor;

/// The op.
pub(super) static MATMUL: Matmul = Matmul;

/// See `SIGNATURE`.
pub(super) struct Matmul;

static SIGNATURE: Signature = Signature {
    name: "matmul",
    params: &[Param::required("a", Kind::Tensor), Param::required("b", Kind::Tensor)],
    result: "[.., m, n] of a [.., m, k] and b [.., k, n]",
    doc: "The product of matrices in the last two axes; `a @ b` means the same. Leading axes broadcast. An operand with \
          one axis is a vector, and its axis is summed away. A float `b` may be narrower than `a`; f16 and bf16 add up in \
          f32, integers of at most 16 bits give i32.",
    example: "let y = matmul(x, transpose(x, perm = [0, 2, 1]))",
};

/// The operands as axes: leading axes first, then m, k and n where they are there.
fn contraction(a: &TensorType, b: &TensorType) -> Contraction {
    let (matrix_a, matrix_b) = (a.rank() > 1, b.rank() > 1);
    let leading = [&a.dims[..a.rank().saturating_sub(2)], &b.dims[..b.rank().saturating_sub(2)]];
    let width = leading[0].len().max(leading[1].len());
    let one = Dim::from(1);
    let mut extents = vec![one.clone(); width];
    for dims in leading {
        let aligned = extents[width - dims.len()..].iter_mut().zip(dims);
        aligned.filter(|(extent, _)| **extent == one).for_each(|(extent, dim)| *extent = dim.clone());
    }
    let batch = |dims: &[Dim]| -> Vec<Option<usize>> {
        let places = (width - dims.len()..width).zip(dims);
        places.map(|(axis, dim)| (*dim != one || extents[axis] == one).then_some(axis)).collect()
    };
    let (m, k, n) = (width, width + usize::from(matrix_a), width + usize::from(matrix_a) + 1);
    let left = batch(leading[0]).into_iter().chain(matrix_a.then_some(Some(m))).chain([Some(k)]).collect();
    let right = batch(leading[1]).into_iter().chain([Some(k)]).chain(matrix_b.then_some(Some(n))).collect();
    let result = (0..width).chain(matrix_a.then_some(m)).chain(matrix_b.then_some(n)).collect();
    extents.extend(matrix_a.then(|| a.dims[a.rank() - 2].clone()));
    extents.push(a.dims[a.rank() - 1].clone());
    extents.extend(matrix_b.then(|| b.dims[b.rank() - 1].clone()));
    Contraction { extents, operands: vec![left, right], result }
}

fn inner_dims_differ(call: &Call, (k, found): (&Dim, &Dim), cx: &Infer) -> OpError {
    let (a, b) = (call.input(0), call.input(1));
    let (x, y) = (cx.slots.show(k), cx.slots.show(found));
    let error = OpError::new(
        "MDL0301",
        format!("`@` needs equal inner dimensions: `{x}` is not `{y}`"),
        Blame::Call,
        "inner dimensions differ here",
    )
    .label(Blame::Input(0), format!("this is {}", cx.show(a)))
    .label(Blame::Input(1), format!("this is {}", cx.show(b)))
    .dim(k)
    .dim(found);
    match b.rank() == 2 && b.dims[1] == *k {
        true => error
            .help("the right side is stored [out, in]; contract its last axis: einsum(\"... i, o i -> ... o\", a, b)"),
        false => error,
    }
}

impl Op for Matmul {
    fn signature(&self) -> &'static Signature {
        &SIGNATURE
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        let (a, b) = (call.input(0), call.input(1));
        if let Some((input, ty)) = [a, b].into_iter().enumerate().find(|(_, ty)| ty.rank() == 0) {
            let label = format!("this is {}", cx.show(ty));
            let error = OpError::new("MDL0301", "`@` multiplies matrices, not scalars", Blame::Input(input), label);
            return Err(error.help("use `*` to scale"));
        }
        let (k, found) = (&a.dims[a.rank() - 1], &b.dims[b.rank().saturating_sub(2)]);
        if !cx.equal(k, found, Blame::Call) {
            return Err(inner_dims_differ(call, (k, found), cx));
        }
        let leading = a.dims.iter().rev().skip(2).zip(b.dims.iter().rev().skip(2));
        for (x, y) in leading {
            let one = Dim::from(1);
            if *x != one && *y != one && !cx.equal(x, y, Blame::Call) {
                let (p, q) = (cx.slots.show(x), cx.slots.show(y));
                let message = format!("`@` needs equal leading dimensions: `{p}` is not `{q}`");
                return Err(OpError::new("MDL0301", message, Blame::Call, "leading dimensions differ here")
                    .label(Blame::Input(0), format!("this is {}", cx.show(a)))
                    .label(Blame::Input(1), format!("this is {}", cx.show(b)))
                    .dim(x)
                    .dim(y));
            }
        }
        let whole = contraction(a, b);
        let dims = whole.result.iter().map(|axis| whole.extents[*axis].clone());
        Ok(vec![TensorType::new(product_dtype(call, a.dtype, 1)?, dims)])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], _sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        Ok(vec![contraction(call.input(0), call.input(1)).eval(inputs, call.result(0).dtype)?])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        contraction(call.input(0), call.input(1)).lower(call.result(0).dtype.compute())
    }

    fn contraction(&self, call: &Call) -> Option<Contraction> {
        Some(contraction(call.input(0), call.input(1)))
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::SUMMATION
    }
}
