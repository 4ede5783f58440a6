//! Fake quantization: rounding to the integers of [`crate::scheme`], values still in `f32`.
//!
//! Weights round ties to even with one scale per output channel; activations round half up, as
//! the runtime's rescale does, with one learned bound per tensor. Gradients are straight through;
//! the bound's is that of LSQ (arXiv 1902.08153): a value inside the range moves it by its
//! rounding error, a clamped value by its limit.

use crate::graph::Range;
use crate::qat::tape::SliceOp;
use crate::scheme::{largest_magnitude, quantize_weight, weight_scale};

/// Adding and subtracting this rounds a float below 2^22 in magnitude to an integer, ties to even.
pub(super) const ROUND: f32 = 12_582_912.0;

/// The integer nearest to `value`, ties upwards; for magnitudes below 2^22.
#[inline]
pub fn round_half_up(value: f32) -> f32 {
    let even = (value + ROUND) - ROUND;
    even + if value - even >= 0.5 { 1.0 } else { 0.0 }
}

/// The integer that a fake-quantized `value` of this scale stands for.
pub fn integer(value: f32, scale: f32) -> f32 {
    (value / scale + ROUND) - ROUND
}

/// The integer, relative to the real zero, that an activation is rounded and clamped to.
pub fn activation_integer(value: f32, range: Range) -> f32 {
    let (low, high) = range.levels();
    round_half_up(bounded(value / range.scale(), low, high))
}

/// `f32::clamp` without its check, which keeps loops from being vectorised.
#[inline]
pub(super) fn bounded(value: f32, low: f32, high: f32) -> f32 {
    let value = if value < low { low } else { value };
    if value > high { high } else { value }
}

/// Weights rounded per output channel.
#[derive(Clone, Debug)]
pub struct Rounded {
    /// Integers, in the weights' order.
    pub integers: Vec<f32>,
    /// One scale per output channel.
    pub scales: Vec<f32>,
}

/// Rounds weights in an order whose first dimension is the output channel.
pub fn quantize_channels(weights: &[f32], channels: usize, bits: u8) -> Rounded {
    let filter = weights.len() / channels;
    let mut integers = Vec::with_capacity(weights.len());
    let mut scales = Vec::with_capacity(channels);
    for filter in weights.chunks_exact(filter) {
        let scale = weight_scale(largest_magnitude(filter), bits);
        integers.extend(filter.iter().map(|&w| f32::from(quantize_weight(w, scale, bits))));
        scales.push(scale);
    }
    Rounded { integers, scales }
}

impl Rounded {
    /// The rounded weights as real values.
    pub fn values(mut self) -> Vec<f32> {
        let filter = self.integers.len() / self.scales.len();
        for (filter, scale) in self.integers.chunks_exact_mut(filter).zip(&self.scales) {
            filter.iter_mut().for_each(|w| *w *= scale);
        }
        self.integers
    }
}

/// Fake quantization of an activation: inputs are the activation and its bound (one element).
#[derive(Debug)]
pub struct FakeQuant {
    /// Shape of the activation.
    pub shape: [usize; 4],
    /// Bits, signedness and the bound's current value.
    pub range: Range,
}

impl SliceOp for FakeQuant {
    fn output_shape(&self) -> Vec<usize> {
        self.shape.to_vec()
    }

    fn forward(&self, [x, _, _]: [&[f32]; 3]) -> Vec<f32> {
        let (scale, (low, high)) = (self.range.scale(), self.range.levels());
        let mut out = vec![0.0; x.len()];
        for (out, &x) in out.iter_mut().zip(x) {
            *out = round_half_up(bounded(x / scale, low, high)) * scale;
        }
        out
    }

    fn backward(&self, [x, _, _]: [&[f32]; 3], grad: &[f32], wanted: [bool; 3]) -> [Option<Vec<f32>>; 3] {
        let scale = self.range.scale();
        let (low, high) = self.range.levels();
        let grad_x = wanted[0].then(|| {
            let mut out = vec![0.0; x.len()];
            for ((out, &x), &grad) in out.iter_mut().zip(x).zip(grad) {
                let value = x / scale;
                *out = if (value >= low) & (value <= high) { grad } else { 0.0 };
            }
            out
        });
        let grad_bound = wanted[1].then(|| {
            let mut total = 0.0f64;
            for (x, grad) in x.chunks(1024).zip(grad.chunks(1024)) {
                let mut partial = 0.0f32;
                for (&x, &grad) in x.iter().zip(grad) {
                    let value = x / scale;
                    let clamped = bounded(value, low, high);
                    // Equal to `value` inside the range, so only the rounding error is left there.
                    let inside = if clamped == value { value } else { 0.0 };
                    partial += grad * (round_half_up(clamped) - inside);
                }
                total += f64::from(partial);
            }
            // LSQ's scale, carried over from the step size to the bound: it makes the relative
            // change of a bound per update about that of a weight.
            let features = x.len() / self.shape[0];
            vec![(total * f64::from(high) / (features as f64 * f64::from(high)).sqrt()) as f32]
        });
        [grad_x, grad_bound, None]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(bits: u8, signed: bool, bound: f32) -> Range {
        Range { bits, signed, bound }
    }

    #[test]
    fn rounding_goes_half_up() {
        for (value, expected) in [
            (0.5, 1.0),
            (1.5, 2.0),
            (2.5, 3.0),
            (-0.5, 0.0),
            (-1.5, -1.0),
            (-2.5, -2.0),
            (0.499_999_97, 0.0),
            (-0.500_000_06, -1.0),
            (254.5, 255.0),
        ] {
            assert_eq!(round_half_up(value), expected, "{value}");
        }
    }

    #[test]
    fn activations_on_edges() {
        // Scale 1/2: 0..=15 stands for 0..=7.5.
        let u4 = range(4, false, 7.5);
        for (value, expected) in
            [(-1.0, 0.0), (0.0, 0.0), (0.24, 0.0), (0.25, 1.0), (7.4, 15.0), (90.0, 15.0)]
        {
            assert_eq!(activation_integer(value, u4), expected, "{value}");
        }
        let i4 = range(4, true, 3.5);
        for (value, expected) in [(-9.0, -7.0), (-0.25, 0.0), (-0.75, -1.0), (0.25, 1.0), (9.0, 7.0)] {
            assert_eq!(activation_integer(value, i4), expected, "{value}");
        }
        assert_eq!(activation_integer(1.0, Range::IMAGE), 255.0);
        assert_eq!(activation_integer(-2.0, range(8, true, 1.0)), -127.0);
    }

    #[test]
    fn pixels_are_exact() {
        for pixel in 0..=255u8 {
            assert_eq!(integer(f32::from(pixel) / 255.0, Range::IMAGE.scale()), f32::from(pixel));
            assert_eq!(activation_integer(f32::from(pixel) / 255.0, Range::IMAGE), f32::from(pixel));
        }
    }

    #[test]
    fn fake_quantized_values_give_their_integers_back() {
        for bound in [0.013, 0.9, 3.77, 41.3] {
            for (bits, signed) in [(8, false), (8, true), (4, false), (4, true)] {
                let range = range(bits, signed, bound);
                let (low, high) = range.levels();
                for step in low as i32..=high as i32 {
                    let value = step as f32 * range.scale();
                    assert_eq!(integer(value, range.scale()), step as f32);
                    assert_eq!(activation_integer(value, range), step as f32);
                }
            }
        }
    }

    #[test]
    fn weights_equal_the_scheme() {
        // Largest magnitude 7, so 4-bit steps are whole; ties go to even.
        let rounded = quantize_channels(&[7.0, 0.5, 1.5, -2.5, 0.0, 0.0, 0.0, 0.0], 2, 4);
        assert_eq!(rounded.integers, [7.0, 0.0, 2.0, -2.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(rounded.scales, [1.0, 1.0]);
        let edges = [1.27, -1.27, 0.005, 0.015, -0.015, 1e-9, 0.635];
        let rounded = quantize_channels(&edges, 1, 8);
        let scale = weight_scale(1.27, 8);
        for (&w, &q) in edges.iter().zip(&rounded.integers) {
            assert_eq!(q, f32::from(quantize_weight(w, scale, 8)));
        }
    }

    #[test]
    fn gradients_by_hand() {
        // Scale 1: inside, above, below.
        let op = FakeQuant { shape: [1, 1, 1, 3], range: range(4, false, 15.0) };
        let x = [2.25, 20.0, -3.0];
        assert_eq!(op.forward([&x, &[15.0], &[0.0]]), [2.0, 15.0, 0.0]);
        let [gx, gb, none] = op.backward([&x, &[15.0], &[0.0]], &[1.0, 2.0, 3.0], [true, true, false]);
        assert_eq!(gx, Some(vec![1.0, 0.0, 0.0]));
        assert_eq!(none, None);
        // (2 - 2.25) * 1 + 15 * 2 + 0 * 3 = 29.75, times 15 / sqrt(3 * 15).
        let expected = 29.75 * 15.0 / 45.0f64.sqrt();
        assert!((f64::from(gb.expect("a gradient")[0]) - expected).abs() < 1e-4);
    }
}
