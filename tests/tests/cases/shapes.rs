//! Ops that move elements.

use super::{BOOL, FLOATS, INTEGERS};
use mlc::ops::{Attr, OpKind};
use mlc_codegen::base::{DType, Dim};
use mlc_tests::forms::Case;

/// The cases of an op of this kind.
pub(crate) fn cases(op: OpKind) -> Option<Vec<Case>> {
    if op == OpKind::Scalar {
        let number = |value: i64, dtype| Case::new(op, &[Attr::Dim(Dim::from(value)), Attr::DType(dtype)], &[]);
        let each = [DType::I64, DType::F32, DType::I32].into_iter();
        return Some(each.flat_map(|dtype| [number(-7, dtype), number(7, dtype)]).collect());
    }
    let uses = uses(op)?;
    let dtypes = [FLOATS, INTEGERS, BOOL].concat();
    let of = |dtype: DType| {
        uses.iter().map(move |(attrs, shapes)| {
            let inputs: Vec<_> = shapes.iter().map(|shape| (dtype, *shape)).collect();
            let case = Case::new(op, attrs, &inputs);
            if matches!(op, OpKind::Concat | OpKind::Stack) { case.counted(&[shapes.len() as u32]) } else { case }
        })
    };
    Some(dtypes.into_iter().flat_map(of).collect())
}

type Use = (Vec<Attr>, Vec<&'static [usize]>);

fn dims(dims: &[i64]) -> Attr {
    Attr::Dims(dims.iter().map(|d| Some(Dim::from(*d))).collect())
}

fn uses(op: OpKind) -> Option<Vec<Use>> {
    let pattern = |text: &str, sizes: &[(&str, i64)]| {
        let sizes = sizes.iter().map(|(name, size)| ((*name).to_owned(), Dim::from(*size))).collect();
        vec![Attr::Text(text.into()), Attr::Names(sizes)]
    };
    Some(match op {
        OpKind::Reshape => vec![
            (vec![dims(&[5, 6])], vec![&[2, 3, 5]]),
            (vec![dims(&[])], vec![&[1, 1]]),
            (vec![dims(&[7, 0])], vec![&[0]]),
        ],
        OpKind::Rearrange => vec![
            (pattern("b s (h d) -> b h s d", &[("h", 3)]), vec![&[2, 5, 12]]),
            (pattern("b h s d -> b s (h d)", &[]), vec![&[2, 3, 5, 4]]),
            (pattern("(a b c) d -> (c d a) b", &[("a", 2), ("b", 3)]), vec![&[30, 7]]),
            (pattern("b c h w -> b (c h w)", &[]), vec![&[2, 3, 5, 1]]),
            (pattern("b (c h w) -> b c h w", &[("c", 1), ("h", 3)]), vec![&[2, 12]]),
            (pattern("... c -> c ...", &[]), vec![&[2, 3, 5]]),
            (pattern("a ... -> (... a) 1", &[]), vec![&[2, 3, 5]]),
            (pattern("b (n a) -> (a b) n", &[("n", 2)]), vec![&[3, 0]]),
        ],
        OpKind::Slice => vec![
            (vec![dims(&[1, 2]), dims(&[3, 7]), Attr::None, Attr::None], vec![&[3, 7, 2]]),
            (vec![dims(&[1]), dims(&[12]), Attr::Ints(vec![4]), Attr::Ints(vec![1])], vec![&[3, 13]]),
            (vec![dims(&[2]), Attr::Dims(vec![None]), Attr::None, Attr::Ints(vec![0])], vec![&[5]]),
            (vec![dims(&[2]), dims(&[2]), Attr::None, Attr::None], vec![&[5, 3]]),
        ],
        OpKind::Concat => vec![
            (vec![Attr::Int(1)], vec![&[2, 3, 2], &[2, 1, 2], &[2, 0, 2], &[2, 5, 2]]),
            (vec![Attr::Int(0)], vec![&[7], &[2]]),
            (vec![Attr::Int(0)], vec![&[7, 2]]),
        ],
        OpKind::Expand => vec![
            (vec![dims(&[4, 2, 3, 5])], vec![&[2, 1, 5]]),
            (vec![dims(&[0, 3])], vec![&[3]]),
            (vec![dims(&[2, 2])], vec![&[]]),
        ],
        OpKind::Stack => [0, 1, 2, -1].map(|axis| (vec![Attr::Int(axis)], vec![&[2, 3][..]; 3])).to_vec(),
        OpKind::Unstack => [0, 1, 2].map(|axis| (vec![Attr::Int(axis)], vec![&[2, 3, 5][..]])).to_vec(),
        OpKind::Split => vec![
            (vec![Attr::Int(3), Attr::None, Attr::Int(1)], vec![&[2, 9]]),
            (vec![Attr::None, dims(&[2, 0, 5]), Attr::Int(0)], vec![&[7, 2]]),
            (vec![Attr::None, dims(&[1, 3, 1]), Attr::Int(2)], vec![&[2, 3, 5]]),
        ],
        OpKind::Pad => ["constant", "reflect", "edge"]
            .into_iter()
            .flat_map(|mode| {
                let word = || Attr::Text(mode.into());
                [
                    (vec![dims(&[0, 0, 2, 1]), word(), Attr::Float(1.5)], vec![&[2, 3][..]]),
                    (vec![dims(&[3, 4]), word(), Attr::Float(0.0)], vec![&[5]]),
                    (vec![dims(&[1, 0, 0, 0, 2, 2]), word(), Attr::Float(-2.0)], vec![&[2, 3, 4]]),
                ]
            })
            .collect(),
        OpKind::Tile => vec![
            (vec![dims(&[2, 1, 3])], vec![&[2, 3, 2]]),
            (vec![dims(&[0])], vec![&[3]]),
            (vec![dims(&[5, 4])], vec![&[1, 3]]),
        ],
        OpKind::Flip => vec![(vec![Attr::Int(0)], vec![&[5]]), (vec![Attr::Ints(vec![0, 2])], vec![&[2, 3, 4]])],
        OpKind::NonZero => vec![(vec![], vec![&[3, 5][..]]), (vec![], vec![&[0, 2]]), (vec![], vec![&[40]])],
        _ => return None,
    })
}
