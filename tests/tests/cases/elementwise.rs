//! Ops that compute each element from one of each operand.

use super::{BOOL, FLOATS, INTEGERS};
use mlc::ops::{Attr, OpKind};
use mlc_codegen::base::DType;
use mlc_tests::forms::Case;

/// The cases of an op of this kind.
pub(crate) fn cases(op: OpKind) -> Option<Vec<Case>> {
    if op == OpKind::Where {
        return Some(selections());
    }
    let (dtypes, attrs) = takes(op)?;
    let two = op.op().signature().params.len() == 2 && attrs[0].is_empty();
    let shapes: &[[&[usize]; 2]] = match two {
        true => &[[&[7, 13], &[13]], [&[1, 5], &[3, 1]], [&[0, 2], &[2]], [&[], &[]]],
        false => &[[&[], &[]], [&[1], &[]], [&[7, 13], &[]], [&[3, 1, 5], &[]], [&[0, 4], &[]]],
    };
    let mut cases = vec![];
    for dtype in dtypes {
        for attrs in &attrs {
            cases.extend(shapes.iter().map(|[a, b]| match two {
                true => Case::new(op, attrs, &[(dtype, a), (dtype, b)]),
                false => Case::new(op, attrs, &[(dtype, a)]),
            }));
        }
    }
    Some(cases)
}

fn takes(op: OpKind) -> Option<(Vec<DType>, Vec<Vec<Attr>>)> {
    use OpKind::*;
    let none = vec![vec![]];
    let all = |lists: &[&[DType]]| lists.concat();
    Some(match op {
        Add | Sub | Mul | Div | Mod | Pow | Lt | Le | Gt | Ge | Prelu => (all(&[FLOATS, INTEGERS]), none),
        Relu | Relu6 | Neg | Abs | Sign | Square => (all(&[FLOATS, INTEGERS]), none),
        Sqrt | Rsqrt | Reciprocal | Exp | Log | Erf | Tanh | Sin | Cos | Floor | Ceil | Round | Trunc => {
            (FLOATS.to_vec(), none)
        }
        IsNan | IsInf | Sigmoid | Silu | Softplus | HardSigmoid | HardSwish => (FLOATS.to_vec(), none),
        Eq | Ne => (all(&[FLOATS, INTEGERS, BOOL]), none),
        And | Or | Xor | Not => (all(&[INTEGERS, BOOL]), none),
        Shl | Shr => (INTEGERS.to_vec(), none),
        Clip => {
            let bounds = [
                vec![Attr::Float(-1.5), Attr::Float(2.0)],
                vec![Attr::None, Attr::Float(3.0)],
                vec![Attr::None, Attr::None],
            ];
            (all(&[FLOATS, INTEGERS]), bounds.to_vec())
        }
        LeakyRelu | Elu => (FLOATS.to_vec(), vec![vec![Attr::Float(0.25)]]),
        Gelu => (FLOATS.to_vec(), ["none", "tanh"].map(|word| vec![Attr::Text(word.into())]).to_vec()),
        Cast => {
            let targets = all(&[FLOATS, INTEGERS, BOOL]);
            (targets.clone(), targets.into_iter().map(|dtype| vec![Attr::DType(dtype)]).collect())
        }
        _ => return None,
    })
}

fn selections() -> Vec<Case> {
    let shapes: [[&[usize]; 3]; 2] = [[&[7, 1], &[7, 13], &[13]], [&[], &[0], &[1]]];
    let all = [FLOATS, INTEGERS, BOOL].concat();
    let each = |d: DType| shapes.map(|[c, a, b]| Case::new(OpKind::Where, &[], &[(DType::Bool, c), (d, a), (d, b)]));
    all.into_iter().flat_map(each).collect()
}
