//! Ops that make one element of many.

use super::{BOOL, FLOATS, INTEGERS};
use mlc::ops::{Attr, OpKind};
use mlc_tests::forms::Case;

/// The cases of an op of this kind.
pub(crate) fn cases(op: OpKind) -> Option<Vec<Case>> {
    use OpKind::*;
    let dtypes = match op {
        Sum | Prod | CumSum | Max | Min | ArgMax | ArgMin => [FLOATS, INTEGERS].concat(),
        Mean | LogSumExp | L2Norm => FLOATS.to_vec(),
        Any | All => [INTEGERS, BOOL].concat(),
        _ => return None,
    };
    let some = !matches!(op, Max | Min | ArgMax | ArgMin);
    let mut cases = vec![];
    for dtype in dtypes {
        if op == CumSum {
            for (axis, exclusive, reverse) in [(0, false, false), (1, true, false), (2, false, true), (1, true, true)] {
                let attrs = [Attr::Int(axis), Attr::Bool(exclusive), Attr::Bool(reverse)];
                cases.push(Case::new(op, &attrs, &[(dtype, &[3, 5, 7])]));
            }
            cases.push(Case::new(op, &[Attr::Int(0), Attr::Bool(false), Attr::Bool(false)], &[(dtype, &[9])]));
            continue;
        }
        let counts: &[u32] = if matches!(op, Max | Min) { &[1, 0] } else { &[1] };
        let axes: &[&[i64]] =
            if matches!(op, ArgMax | ArgMin) { &[&[0], &[1], &[2]] } else { &[&[1], &[0, 2], &[0, 1, 2]] };
        for (axes, keep) in axes.iter().flat_map(|axes| [(axes, false), (axes, true)]) {
            let axis = if axes.len() == 1 { Attr::Int(axes[0]) } else { Attr::Ints(axes.to_vec()) };
            let attrs = [axis, Attr::Bool(keep)];
            cases.push(Case::new(op, &attrs, &[(dtype, &[3, 5, 7])]).counted(counts));
            cases.push(Case::new(op, &attrs, &[(dtype, &[1, 1, 1])]).counted(counts));
            if some {
                cases.push(Case::new(op, &attrs, &[(dtype, &[2, 0, 4])]).counted(counts));
            }
        }
        if matches!(op, Max | Min) {
            let attrs = [Attr::None, Attr::Bool(false)];
            cases.push(Case::new(op, &attrs, &[(dtype, &[7, 13]), (dtype, &[13])]));
            cases.push(Case::new(op, &attrs, &[(dtype, &[3, 4])]).counted(counts));
        }
    }
    Some(cases)
}
