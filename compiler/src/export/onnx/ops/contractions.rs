//! Products.

use super::super::node::{Op, text};
use super::{Made, Rows, one};
use mlc_codegen::base::DType;

pub(super) const ROWS: Rows = &[("einsum", einsum), ("matmul", matmul)];

/// Whether integers of 8 bits, which have products of their own.
pub(super) fn is_byte(dtype: DType) -> bool {
    matches!(dtype, DType::I8 | DType::U8)
}

fn matmul(o: &mut Op) -> Made {
    let (a, b) = (o.x("a"), o.x("b"));
    let (left, right, result) = (o.ty("a").dtype, o.ty("b").dtype, o.dtype());
    if is_byte(left) && is_byte(right) {
        return one(o.plain("MatMulInteger", &[a, b]));
    }
    let common = if result.is_float() { left } else { result };
    let (a, b) = (o.cast(a, left, common), o.cast(b, right, common));
    let product = o.plain("MatMul", &[&a, &b]);
    one(o.cast(&product, common, result))
}

/// A product of two tensors is one of matrices where their axes lie so; the rest is the format's einsum.
fn einsum(o: &mut Op) -> Made {
    let pattern = o.call.text("pattern").expect("the signature requires the pattern");
    let equation = crate::ops::equation(pattern).ok_or("the pattern names more than 52 axes")?;
    let result = o.dtype();
    let common = if result.is_float() { o.call.input(0).dtype } else { result };
    let given: Vec<DType> = o.call.inputs.iter().map(|ty| ty.dtype).collect();
    let operands: Vec<String> = o.inputs.iter().zip(given).map(|(x, dtype)| o.cast(x, dtype, common)).collect();
    let product = match (Side::of(&equation), operands.as_slice()) {
        (Some(side), [a, b]) => {
            let rank = o.call.input(1).rank();
            let mut perm: Vec<usize> = (0..rank).collect();
            if side == Side::Rows {
                perm.swap(rank - 2, rank - 1);
            }
            let b = o.transposed(b, &perm);
            o.plain("MatMul", &[a, &b])
        }
        _ => {
            let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
            o.node("Einsum", &operands, vec![text("equation", &equation)])
        }
    };
    one(o.cast(&product, common, result))
}

/// How the right matrices of a product lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// `[k, n]`.
    Columns,
    /// `[n, k]`.
    Rows,
}

impl Side {
    /// Of `ab,cb->ac`: the matrices of both sides under the same leading axes, or one matrix on the right under all.
    fn of(equation: &str) -> Option<Side> {
        let (operands, result) = equation.split_once("->")?;
        let (left, right) = operands.split_once(',')?;
        let (k, n) = (left.chars().next_back()?, result.chars().next_back()?);
        let above = left.strip_suffix(k)?;
        let mut letters: Vec<char> = format!("{left}{n}").replace("...", "").chars().collect();
        let count = letters.len();
        letters.sort_unstable();
        letters.dedup();
        if letters.len() < count || letters.contains(&'.') || format!("{above}{n}") != result {
            return None;
        }
        // Leading axes without names broadcast, which a product of matrices does for one matrix on the right only.
        let batch = above.strip_suffix(|row: char| row != '.').filter(|batch| !batch.contains('.')).unwrap_or("");
        let is = |matrix: String| right == matrix || right == format!("{batch}{matrix}");
        match (is(format!("{k}{n}")), is(format!("{n}{k}"))) {
            (true, _) => Some(Side::Columns),
            (_, true) => Some(Side::Rows),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Side;

    #[test]
    fn products_of_matrices_are_told_from_other_sums() {
        assert_eq!(Side::of("...a,ba->...b"), Some(Side::Rows));
        assert_eq!(Side::of("ab,bc->ac"), Some(Side::Columns));
        assert_eq!(Side::of("abcd,abed->abce"), Some(Side::Rows));
        assert_eq!(Side::of("abcd,abde->abce"), Some(Side::Columns));
        for other in ["aa,ba->ab", "ab,cb->ca", "abc,bc->ab", "ab,ab->a", "a,a->", "...ab,...cb->...ac"] {
            assert_eq!(Side::of(other), None, "{other}");
        }
    }
}
