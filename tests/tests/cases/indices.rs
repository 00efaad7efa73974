//! Ops that pick and write by index.

use super::{BOOL, FLOATS, INTEGERS};
use mlc::ops::{Attr, OpKind};
use mlc_codegen::base::DType;
use mlc_tests::forms::Case;

/// The cases of an op of this kind.
pub(crate) fn cases(op: OpKind) -> Option<Vec<Case>> {
    let numbers = [FLOATS, INTEGERS].concat();
    let all = [FLOATS, INTEGERS, BOOL].concat();
    Some(match op {
        OpKind::Gather => all.into_iter().flat_map(gathers).collect(),
        OpKind::GatherElements => all.into_iter().flat_map(elements).collect(),
        OpKind::GatherNd => all.into_iter().flat_map(places).collect(),
        OpKind::Scatter => {
            let both = numbers.iter().map(|d| (*d, "add")).chain(all.iter().map(|d| (*d, "none")));
            both.flat_map(|(dtype, word)| writes(dtype, word)).collect()
        }
        OpKind::ScatterNd => {
            let both = numbers.iter().map(|d| (*d, "add")).chain(all.iter().map(|d| (*d, "none")));
            both.flat_map(|(dtype, word)| place_writes(dtype, word)).collect()
        }
        OpKind::OneHot => all.into_iter().flat_map(hots).collect(),
        _ => return None,
    })
}

fn gathers(dtype: DType) -> Vec<Case> {
    let shapes: [(i64, &[usize], &[usize]); 4] =
        [(0, &[7, 3], &[2, 5]), (1, &[2, 7, 3], &[5]), (2, &[2, 3, 7], &[]), (0, &[7, 2], &[0])];
    let of = if dtype == DType::F32 { DType::I32 } else { DType::I64 };
    let case =
        |(axis, x, indices)| Case::new(OpKind::Gather, &[Attr::Int(axis)], &[(dtype, x), (of, indices)]).indexed(1, 7);
    shapes.map(case).into()
}

fn elements(dtype: DType) -> Vec<Case> {
    let shapes: [(i64, &[usize], &[usize]); 3] = [(0, &[7, 3], &[9, 2]), (1, &[2, 7, 3], &[2, 4, 3]), (0, &[7], &[0])];
    let case = |(axis, x, indices)| {
        let op = OpKind::GatherElements;
        Case::new(op, &[Attr::Int(axis)], &[(dtype, x), (DType::I64, indices)]).indexed(1, 7)
    };
    shapes.map(case).into()
}

fn places(dtype: DType) -> Vec<Case> {
    let shapes: [(&[usize], &[usize]); 4] =
        [(&[3, 3, 5], &[4, 2]), (&[3, 5], &[2, 2, 1]), (&[3, 3], &[2]), (&[3, 2], &[2, 0])];
    let case = |(x, indices)| Case::new(OpKind::GatherNd, &[], &[(dtype, x), (DType::I64, indices)]).indexed(1, 3);
    shapes.map(case).into()
}

fn writes(dtype: DType, word: &str) -> Vec<Case> {
    let shapes: [(i64, &[usize], &[usize]); 3] = [(0, &[7, 3], &[9, 2]), (1, &[2, 7, 3], &[2, 4, 3]), (0, &[7], &[0])];
    let case = |(axis, x, indices)| {
        let attrs = [Attr::Int(axis), Attr::Text(word.into())];
        let inputs = [(dtype, x), (DType::I64, indices), (dtype, indices)];
        Case::new(OpKind::Scatter, &attrs, &inputs).indexed(1, 7)
    };
    shapes.map(case).into()
}

fn place_writes(dtype: DType, word: &str) -> Vec<Case> {
    let shapes: [(&[usize], &[usize], &[usize]); 3] =
        [(&[3, 3, 5], &[4, 2], &[4, 5]), (&[3, 5], &[2, 2, 1], &[2, 2, 5]), (&[3, 3], &[6, 2], &[6])];
    let case = |(x, indices, updates)| {
        let inputs = [(dtype, x), (DType::I64, indices), (dtype, updates)];
        Case::new(OpKind::ScatterNd, &[Attr::Text(word.into())], &inputs).indexed(1, 3)
    };
    shapes.map(case).into()
}

fn hots(dtype: DType) -> Vec<Case> {
    let shapes: [&[usize]; 3] = [&[3, 2], &[], &[0]];
    let attrs = [Attr::Int(5), Attr::DType(dtype)];
    shapes.map(|shape| Case::new(OpKind::OneHot, &attrs, &[(DType::I64, shape)]).indexed(0, 6)).into()
}
