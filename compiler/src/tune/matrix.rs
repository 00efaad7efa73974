//! A product's weight as rows of channels, and the linear algebra that pruning and rounding need. All in f64.

use crate::passes::Product;
use mlc_codegen::base::{DType, Scalar};
use mlc_runtime::tensor::Tensor;

/// `[channels, summed]`: what one number of the result is a sum over stands in a row.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) numbers: Vec<f64>,
    /// The place in the tensor of each number.
    places: Vec<usize>,
    /// For each number, the position of the other operand's summed axis that it multiplies.
    partners: Vec<usize>,
    shape: Vec<usize>,
}

impl Rows {
    /// The weight of a product whose channels are one axis, where the other operand has `positions` along its summed axis;
    /// `None` where channels are none, or several.
    pub(super) fn of(product: &Product, weight: &Tensor, positions: usize) -> Option<Rows> {
        let (axis, _) = product.channels?;
        let shape = weight.shape().to_vec();
        let step = |axis: usize| shape[axis + 1..].iter().product::<usize>().max(1);
        let (rows, all) = (shape[axis], weight.to_f64_vec());
        let columns = all.len() / rows.max(1);
        let inner = product.summed.first().copied();
        let extent = inner.map_or(1, |inner| shape[inner]);
        // A grouped convolution's filters see only the channels of their group.
        let groups = (positions / extent.max(1)).max(1);
        let (mut places, mut partners) = (vec![0; all.len()], vec![0; all.len()]);
        let mut filled = vec![0; rows];
        for i in 0..all.len() {
            let row = i / step(axis) % rows;
            let at = row * columns + filled[row];
            filled[row] += 1;
            places[at] = i;
            partners[at] =
                inner.map_or(0, |inner| i / step(inner) % extent) + row / rows.div_ceil(groups).max(1) * extent;
        }
        let numbers = places.iter().map(|place| all[*place]).collect();
        Some(Rows { rows, columns, numbers, places, partners, shape })
    }

    /// What a number multiplies.
    pub(super) fn partner(&self, row: usize, column: usize) -> usize {
        self.partners[row * self.columns + column]
    }

    /// The weight, in its own shape again.
    pub(super) fn tensor(&self) -> Option<Tensor> {
        let mut all = vec![0.0; self.numbers.len()];
        self.places.iter().zip(&self.numbers).for_each(|(place, number)| all[*place] = *number);
        Tensor::from_fn(DType::F32, &self.shape, |i| Scalar::F64(all[i])).ok()
    }
}

/// A symmetric matrix `[n, n]`, its lower half in use.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Symmetric {
    pub(super) n: usize,
    pub(super) numbers: Vec<f64>,
}

impl Symmetric {
    pub(super) fn zeros(n: usize) -> Symmetric {
        Symmetric { n, numbers: vec![0.0; n * n] }
    }

    /// Adds `x xᵀ`.
    pub(super) fn add_square(&mut self, x: &[f32]) {
        for i in 0..self.n {
            let own = f64::from(x[i]);
            if own != 0.0 {
                let row = &mut self.numbers[i * self.n..][..=i];
                row.iter_mut().zip(x).for_each(|(sum, other)| *sum += own * f64::from(*other));
            }
        }
    }

    /// Adds to the diagonal a share of its mean; where it is 0, the mean, so that an input that is never there costs nothing.
    pub(super) fn dampen(&mut self, share: f64) {
        let mean = (0..self.n).map(|i| self.numbers[i * self.n + i]).sum::<f64>() / self.n.max(1) as f64;
        let mean = if mean > 0.0 { mean } else { 1.0 };
        for i in 0..self.n {
            let own = &mut self.numbers[i * self.n + i];
            *own = if *own == 0.0 { mean } else { *own + share * mean };
        }
    }

    /// `L` of `L Lᵀ`, row by row; `None` where the matrix is not positive definite.
    pub(super) fn cholesky(&self) -> Option<Symmetric> {
        let n = self.n;
        let mut lower = Symmetric::zeros(n);
        for i in 0..n {
            for j in 0..=i {
                let (a, b) = (&lower.numbers[i * n..][..j], &lower.numbers[j * n..][..j]);
                let dot: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
                let rest = self.numbers[i * n + j] - dot;
                lower.numbers[i * n + j] = match i == j {
                    true if rest > 0.0 => rest.sqrt(),
                    true => return None,
                    false => rest / lower.numbers[j * n + j],
                };
            }
        }
        Some(lower)
    }

    /// The inverse of a positive definite matrix, both halves filled.
    pub(super) fn inverse(&self) -> Option<Symmetric> {
        let (n, lower) = (self.n, self.cholesky()?);
        let mut half = Symmetric::zeros(n);
        for column in 0..n {
            for i in column..n {
                let own = f64::from(u8::from(i == column));
                let sum: f64 = (column..i).map(|k| lower.numbers[i * n + k] * half.numbers[k * n + column]).sum();
                half.numbers[i * n + column] = (own - sum) / lower.numbers[i * n + i];
            }
        }
        let mut inverse = Symmetric::zeros(n);
        for k in 0..n {
            let row = half.numbers[k * n..][..=k].to_vec();
            for i in 0..=k {
                let own = row[i];
                let target = &mut inverse.numbers[i * n..][..=k];
                target.iter_mut().zip(&row).for_each(|(sum, other)| *sum += own * other);
            }
        }
        Some(inverse)
    }

    /// `U` of `Uᵀ U` of the inverse, upper: what removing or rounding one column after another takes
    /// (E. Frantar and D. Alistarh, 2023).
    pub(super) fn steps(&self) -> Option<Symmetric> {
        let (n, lower) = (self.n, self.inverse()?.cholesky()?);
        let mut upper = Symmetric::zeros(n);
        for i in 0..n {
            for j in 0..=i {
                upper.numbers[j * n + i] = lower.numbers[i * n + j];
            }
        }
        Some(upper)
    }
}

#[cfg(test)]
mod tests {
    use super::Symmetric;

    fn drawn(n: usize) -> Symmetric {
        let mut matrix = Symmetric::zeros(n);
        for k in 0..3 * n {
            let x: Vec<f32> = (0..n).map(|i| ((k * 31 + i * 17) as f32 * 0.37).sin()).collect();
            matrix.add_square(&x);
        }
        matrix.dampen(0.01);
        matrix
    }

    fn at(matrix: &Symmetric, i: usize, j: usize) -> f64 {
        matrix.numbers[i.max(j) * matrix.n + i.min(j)]
    }

    #[test]
    fn a_matrix_times_its_inverse_is_one() {
        let matrix = drawn(9);
        let inverse = matrix.inverse().expect("it was dampened");
        for i in 0..9 {
            for j in 0..9 {
                let sum: f64 = (0..9).map(|k| at(&matrix, i, k) * inverse.numbers[k * 9 + j]).sum();
                assert!((sum - f64::from(u8::from(i == j))).abs() < 1e-9, "{i} {j} {sum}");
            }
        }
        let steps = matrix.steps().expect("it was dampened");
        let squared: f64 = (0..9).map(|k| steps.numbers[k * 9 + 2] * steps.numbers[k * 9 + 5]).sum();
        assert!((squared - inverse.numbers[2 * 9 + 5]).abs() < 1e-9);
    }

    #[test]
    fn what_is_not_positive_has_no_root() {
        assert_eq!(Symmetric::zeros(3).cholesky(), None);
    }
}
