//! `tril` and `triu`: what lies on one side of a diagonal of each matrix, zeros on the other.

use super::check::require_rank_from;
use super::{Call, Default, EvalError, Infer, Kind, Lowering, Op, OpError, Param, Signature, Tolerance};
use crate::types::TensorType;
use mlc_codegen::base::Scalar;
use mlc_codegen::kernel::Compare;
use mlc_runtime::tensor::Tensor;

/// Which side is kept, the diagonal with it.
#[derive(Clone, Copy)]
enum Side {
    /// Column minus row is at most the diagonal.
    Lower,
    /// It is at least the diagonal.
    Upper,
}

/// A side of each matrix in the last two axes.
pub(super) struct Triangle {
    side: Side,
    signature: &'static Signature,
}

const PARAMS: &[Param] = &[Param::required("x", Kind::Tensor), Param::optional("diagonal", Kind::Int, Default::Int(0))];

/// `tril`.
pub(super) static TRIL: Triangle = Triangle {
    side: Side::Lower,
    signature: &Signature {
        name: "tril",
        params: PARAMS,
        result: "the type of x",
        doc: "The lower triangle of each matrix in the last two axes: element (i, j) where j - i <= `diagonal`, elsewhere \
              zero, whatever stood there. Diagonal 0 is the main one, 1 the one above it, -1 the one below.",
        example: "let y = tril(x, diagonal = -1)",
    },
};

/// `triu`.
pub(super) static TRIU: Triangle = Triangle {
    side: Side::Upper,
    signature: &Signature {
        name: "triu",
        params: PARAMS,
        result: "the type of x",
        doc: "The upper triangle of each matrix in the last two axes: element (i, j) where j - i >= `diagonal`, elsewhere \
              zero, whatever stood there. Diagonal 0 is the main one, 1 the one above it, -1 the one below.",
        example: "let y = triu(x, diagonal = 1)",
    },
};

fn diagonal(call: &Call) -> i64 {
    call.int("diagonal").expect("it has a default")
}

impl Op for Triangle {
    fn signature(&self) -> &'static Signature {
        self.signature
    }

    fn infer(&self, call: &Call, cx: &mut Infer) -> Result<Vec<TensorType>, OpError> {
        require_rank_from(call, 0, &["rows", "columns"], cx)?;
        Ok(vec![call.input(0).clone()])
    }

    fn eval(&self, call: &Call, inputs: &[&Tensor], _sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
        let (mut y, diagonal) = (inputs[0].clone(), diagonal(call));
        for (i, place) in super::positions(inputs[0].shape()).enumerate() {
            let [.., row, column] = place[..] else { unreachable!("`infer` asks for two axes") };
            let from_main = column as i64 - row as i64;
            let kept = match self.side {
                Side::Lower => from_main <= diagonal,
                Side::Upper => from_main >= diagonal,
            };
            if !kept {
                y.set(i, Scalar::zero(y.dtype()));
            }
        }
        Ok(vec![y])
    }

    fn lower<'a>(&'a self, call: &'a Call<'a>) -> Lowering<'a> {
        Lowering::point(move |k, at| {
            let [.., row, column] = at else { unreachable!("`infer` asks for two axes") };
            let (row, column, diagonal) = (k.coordinate(row), k.coordinate(column), k.integer(diagonal(call)));
            let from_main = k.sub(column, row);
            let kept = match self.side {
                Side::Lower => k.compare(Compare::Le, from_main, diagonal),
                Side::Upper => k.compare(Compare::Le, diagonal, from_main),
            };
            let (x, zero) = (k.input(0, at), k.constant(Scalar::zero(call.input(0).dtype)));
            k.select(kept, x, zero)
        })
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance::EXACT
    }
}
