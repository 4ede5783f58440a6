//! Batch norm over the batch's own statistics, with an optional ReLU, as one operation.

use std::sync::OnceLock;

use burn::tensor::Tensor;

use crate::qat::tape::{SliceOp, floats};

/// Rows summed in `f32` before they are added to the total in `f64`.
const BLOCK: usize = 256;
/// Channels computed side by side, in registers.
const LANES: usize = 8;

type Lanes = [f32; LANES];

/// Channels of a row from `first` on; zeros behind its end.
#[inline(always)]
fn lanes(row: &[f32], first: usize) -> Lanes {
    let rest = &row[first..];
    match rest.first_chunk() {
        Some(&whole) => whole,
        None => std::array::from_fn(|i| rest.get(i).copied().unwrap_or(0.0)),
    }
}

/// Writes channels of a row from `first` on, as far as it goes.
#[inline(always)]
fn put(row: &mut [f32], first: usize, values: Lanes) {
    let rest = &mut row[first..];
    match rest.first_chunk_mut() {
        Some(whole) => *whole = values,
        None => rest.iter_mut().zip(values).for_each(|(to, from)| *to = from),
    }
}

/// Adds lanes to the totals of their channels.
fn add(totals: &mut [f64], first: usize, values: Lanes) {
    totals[first..].iter_mut().zip(values).for_each(|(total, value)| *total += f64::from(value));
}

/// Batch norm of `[rows][channels]`: inputs are the activation, gamma and beta.
#[derive(Debug)]
pub struct BatchNorm {
    /// Shape of the activation; the last dimension is the channels.
    pub shape: [usize; 4],
    /// Added to the variance.
    pub eps: f32,
    /// Clamp at zero.
    pub relu: bool,
    /// Filled by the forward pass on slices.
    statistics: OnceLock<Statistics>,
    /// Mean and biased variance, filled by the forward pass on tensors.
    on_device: OnceLock<[Tensor<1>; 2]>,
}

/// Mean and biased variance per channel.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Mean.
    pub mean: Vec<f32>,
    /// Biased variance.
    pub var: Vec<f32>,
}

impl BatchNorm {
    /// A norm that has not run yet.
    pub fn new(shape: [usize; 4], eps: f32, relu: bool) -> Self {
        Self { shape, eps, relu, statistics: OnceLock::new(), on_device: OnceLock::new() }
    }

    /// What the forward pass measured, read from the device where it is still there.
    pub fn statistics(&self) -> Option<Statistics> {
        let read = |[mean, var]: &[Tensor<1>; 2]| Statistics {
            mean: floats(mean.clone()),
            var: floats(var.clone()),
        };
        self.statistics.get().cloned().or_else(|| self.on_device.get().map(read))
    }

    /// Keeps mean and biased variance of the first forward pass on tensors, without waiting for them.
    pub(super) fn measured_on_device(&self, statistics: [Tensor<1>; 2]) {
        self.on_device.get_or_init(|| statistics);
    }

    fn channels(&self) -> usize {
        self.shape[3]
    }

    fn rows(&self) -> usize {
        self.shape[0] * self.shape[1] * self.shape[2]
    }

    /// Statistics of `x`, and the factor and offset that normalise it.
    fn measure(&self, x: &[f32]) -> Statistics {
        let (rows, channels) = (self.rows() as f64, self.channels());
        let (mut sums, mut squares) = (vec![0.0f64; channels], vec![0.0f64; channels]);
        for block in x.chunks(BLOCK * channels) {
            for first in (0..channels).step_by(LANES) {
                let (mut sum, mut square) = ([0.0f32; LANES], [0.0f32; LANES]);
                for row in block.chunks_exact(channels) {
                    let x = lanes(row, first);
                    for i in 0..LANES {
                        sum[i] += x[i];
                        square[i] += x[i] * x[i];
                    }
                }
                add(&mut sums, first, sum);
                add(&mut squares, first, square);
            }
        }
        let mean: Vec<f64> = sums.iter().map(|s| s / rows).collect();
        let var = squares.iter().zip(&mean).map(|(s, m)| (s / rows - m * m).max(0.0) as f32).collect();
        Statistics { mean: mean.into_iter().map(|m| m as f32).collect(), var }
    }

    /// `x * factor + offset` is the normalised, scaled and shifted value.
    fn affine(&self, gamma: &[f32], beta: &[f32]) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let statistics = self.statistics.get().expect("the forward pass comes first");
        let inverse: Vec<f32> = statistics.var.iter().map(|v| 1.0 / (v + self.eps).sqrt()).collect();
        let factor: Vec<f32> = gamma.iter().zip(&inverse).map(|(g, i)| g * i).collect();
        let offset = beta.iter().zip(&factor).zip(&statistics.mean).map(|((b, f), m)| b - m * f).collect();
        (inverse, factor, offset)
    }
}

impl SliceOp for BatchNorm {
    fn output_shape(&self) -> Vec<usize> {
        self.shape.to_vec()
    }

    fn forward(&self, [x, gamma, beta]: [&[f32]; 3]) -> Vec<f32> {
        self.statistics.get_or_init(|| self.measure(x));
        let (_, factor, offset) = self.affine(gamma, beta);
        let floor = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        let channels = self.channels();
        let mut out = vec![0.0; x.len()];
        for (out, x) in out.chunks_mut(BLOCK * channels).zip(x.chunks(BLOCK * channels)) {
            for first in (0..channels).step_by(LANES) {
                let (factor, offset) = (lanes(&factor, first), lanes(&offset, first));
                for (out, x) in out.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
                    let x = lanes(x, first);
                    put(out, first, std::array::from_fn(|i| (x[i] * factor[i] + offset[i]).max(floor)));
                }
            }
        }
        out
    }

    fn backward(&self, [x, gamma, beta]: [&[f32]; 3], grad: &[f32], _: [bool; 3]) -> [Option<Vec<f32>>; 3] {
        let channels = self.channels();
        let (inverse, factor, offset) = self.affine(gamma, beta);
        let mean = &self.statistics.get().expect("the forward pass comes first").mean;
        let floor = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        // Gradient after the ReLU's mask, its sums, and its products with the centred input.
        let mut masked = grad.to_vec();
        let (mut sums, mut products) = (vec![0.0f64; channels], vec![0.0f64; channels]);
        for (block, x) in masked.chunks_mut(BLOCK * channels).zip(x.chunks(BLOCK * channels)) {
            for first in (0..channels).step_by(LANES) {
                let [factor, offset, mean] = [&factor, &offset, mean].map(|values| lanes(values, first));
                let (mut sum, mut product) = ([0.0f32; LANES], [0.0f32; LANES]);
                for (grad, x) in block.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
                    let (mut g, x) = (lanes(grad, first), lanes(x, first));
                    for i in 0..LANES {
                        g[i] = if x[i] * factor[i] + offset[i] > floor { g[i] } else { 0.0 };
                        sum[i] += g[i];
                        product[i] += g[i] * (x[i] - mean[i]);
                    }
                    put(grad, first, g);
                }
                add(&mut sums, first, sum);
                add(&mut products, first, product);
            }
        }
        let grad_beta: Vec<f32> = sums.iter().map(|&s| s as f32).collect();
        let grad_gamma: Vec<f32> =
            products.iter().zip(&inverse).map(|(&p, &i)| (p * f64::from(i)) as f32).collect();
        // dx = factor * (g - mean(g) - xhat * mean(g xhat)) = factor * (g - a - (x - mean) * b)
        let rows = self.rows() as f32;
        let a: Vec<f32> = grad_beta.iter().map(|g| g / rows).collect();
        let b: Vec<f32> = grad_gamma.iter().zip(&inverse).map(|(g, i)| g * i / rows).collect();
        for (block, x) in masked.chunks_mut(BLOCK * channels).zip(x.chunks(BLOCK * channels)) {
            for first in (0..channels).step_by(LANES) {
                let [factor, mean, a, b] = [&factor, mean, &a, &b].map(|values| lanes(values, first));
                for (grad, x) in block.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
                    let (g, x) = (lanes(grad, first), lanes(x, first));
                    let gradient = |i: usize| factor[i] * (g[i] - a[i] - (x[i] - mean[i]) * b[i]);
                    put(grad, first, std::array::from_fn(gradient));
                }
            }
        }
        [Some(masked), Some(grad_gamma), Some(grad_beta)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn norm(relu: bool) -> BatchNorm {
        BatchNorm::new([4, 1, 1, 1], 0.0, relu)
    }

    #[test]
    fn normalises_by_hand() {
        // Mean 3, variance 4: (x - 3) / 2 * 2 + 1.
        let x = [1.0, 1.0, 5.0, 5.0];
        assert_eq!(norm(false).forward([&x, &[2.0], &[1.0]]), [-1.0, -1.0, 3.0, 3.0]);
        let clamped = norm(true);
        assert_eq!(clamped.forward([&x, &[2.0], &[1.0]]), [0.0, 0.0, 3.0, 3.0]);
        let statistics = clamped.statistics().expect("measured");
        assert_eq!((statistics.mean[0], statistics.var[0]), (3.0, 4.0));
        // Only the last two pass: d beta = 5, d gamma = xhat . g = 1 * 2 + 1 * 3.
        let [_, gamma, beta] = clamped.backward([&x, &[2.0], &[1.0]], &[7.0, 7.0, 2.0, 3.0], [true; 3]);
        assert_eq!((gamma, beta), (Some(vec![5.0]), Some(vec![5.0])));
    }
}
