//! The norm in which weights are rounded: how far a filter's sums move when its weights do.
//!
//! A filter's weights `v` instead of `w` change its sums by `(v - w) x`, in the mean square by
//! `(v - w)^T H (v - w)`, where `H` is the covariance of the patches `x`: the bias takes the mean. This
//! is the objective of Optimal Brain Quantization (arXiv 2208.11580) and of GPTQ (arXiv 2210.17323).

use rayon::prelude::*;

/// A covariance with a ridge, and its factor.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    pub(super) size: usize,
    /// Symmetric, `[column][column]`.
    matrix: Vec<f64>,
    /// Upper triangle `R` with `R^T R = matrix`.
    factor: Vec<f64>,
}

impl Norm {
    /// The covariance plus so many times its mean diagonal on the diagonal.
    ///
    /// The ridge keeps weights near where they were that the images say nothing about.
    pub(super) fn new(covariance: &[f64], size: usize, ridge: f64) -> Self {
        let mean = (0..size).map(|i| covariance[i * size + i]).sum::<f64>() / size.max(1) as f64;
        let ridge = (mean * ridge).max(f64::EPSILON);
        let mut matrix = covariance.to_vec();
        (0..size).for_each(|i| matrix[i * size + i] += ridge);
        let factor = cholesky(&matrix, size, ridge);
        Self { size, matrix, factor }
    }

    pub(super) fn row(&self, i: usize) -> &[f64] {
        &self.matrix[i * self.size..(i + 1) * self.size]
    }

    /// What stands in the factor's row from the diagonal on.
    pub(super) fn factor_row(&self, i: usize) -> &[f64] {
        &self.factor[i * self.size + i..(i + 1) * self.size]
    }

    /// `H v`.
    pub(super) fn product(&self, v: &[f64]) -> Vec<f64> {
        (0..self.size).map(|i| dot(self.row(i), v)).collect()
    }

    /// `H^-1 v`.
    pub(super) fn solve(&self, v: &[f64]) -> Vec<f64> {
        let mut x = v.to_vec();
        for i in 0..self.size {
            let row = self.factor_row(i);
            let (done, rest) = x.split_at_mut(i + 1);
            done[i] /= row[0];
            rest.iter_mut().zip(&row[1..]).for_each(|(x, r)| *x -= r * done[i]);
        }
        for i in (0..self.size).rev() {
            let row = self.factor_row(i);
            x[i] = (x[i] - dot(&row[1..], &x[i + 1..])) / row[0];
        }
        x
    }
}

/// The upper factor of a symmetric matrix whose pivots are at least `least`.
fn cholesky(matrix: &[f64], size: usize, least: f64) -> Vec<f64> {
    let mut factor = matrix.to_vec();
    for k in 0..size {
        let (above, below) = factor.split_at_mut((k + 1) * size);
        let row = &mut above[k * size..];
        row[..k].fill(0.0);
        let pivot = row[k].max(least).sqrt();
        row[k] = pivot;
        row[k + 1..].iter_mut().for_each(|x| *x /= pivot);
        below.par_chunks_exact_mut(size).enumerate().with_min_len(64).for_each(|(i, to)| {
            let from = &row[k + 1 + i..];
            to[k + 1 + i..].iter_mut().zip(from).for_each(|(to, x)| *to -= from[0] * x);
        });
    }
    factor
}

/// Eight partial sums, which one core computes side by side.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        sums.iter_mut().zip(a).zip(b).for_each(|((sum, a), b)| *sum += a * b);
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_columns_by_hand() {
        let norm = Norm::new(&[4.0, 2.0, 2.0, 10.0], 2, 0.0);
        assert!((norm.factor[3] - 3.0).abs() < 1e-12);
        assert_eq!((norm.factor[0], norm.factor[1], norm.factor[2]), (2.0, 1.0, 0.0));
        let near = |a: &[f64], b: [f64; 2]| assert!((a[0] - b[0]).abs() + (a[1] - b[1]).abs() < 1e-12);
        near(&norm.product(&[1.0, -1.0]), [2.0, -8.0]);
        near(&norm.solve(&[2.0, -8.0]), [1.0, -1.0]);
    }

    #[test]
    fn a_ridge_is_a_part_of_the_mean_diagonal() {
        assert_eq!(Norm::new(&[4.0, 2.0, 2.0, 10.0], 2, 0.5).matrix, [7.5, 2.0, 2.0, 13.5]);
        // Nothing seen: a norm all the same.
        assert_eq!(Norm::new(&[0.0; 4], 2, 0.5).solve(&[0.0; 2]), [0.0; 2]);
    }
}
