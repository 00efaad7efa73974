//! Ops that make tensors of nothing.

use super::{BOOL, FLOATS, INTEGERS};
use mlc::ops::{Attr, OpKind};
use mlc_codegen::base::Dim;
use mlc_tests::forms::Case;

/// The cases of an op of this kind.
pub(crate) fn cases(op: OpKind) -> Option<Vec<Case>> {
    let all = [FLOATS, INTEGERS, BOOL].concat().into_iter().map(Attr::DType);
    let shape = |dims: &[i64]| Attr::Dims(dims.iter().map(|d| Some(Dim::from(*d))).collect());
    let case = |attrs: Vec<Attr>| Case::new(op, &attrs, &[]);
    let random = |range: [f64; 2]| {
        let attrs = move |dims: &[i64]| vec![shape(dims), Attr::Int(-7), Attr::Float(range[0]), Attr::Float(range[1])];
        [&[5, 67][..], &[], &[0, 3]].map(|dims| case(attrs(dims))).into()
    };
    Some(match op {
        OpKind::Iota => all.map(|dtype| case(vec![Attr::Int(130), dtype])).collect(),
        OpKind::Full => all.map(|dtype| case(vec![shape(&[3, 5]), Attr::Float(-1.75), dtype])).collect(),
        OpKind::Uniform => random([-2.0, 3.0]),
        OpKind::Normal => random([1.0, 0.5]),
        _ => return None,
    })
}
