//! Convolution with its gradients, in float or fake-quantized.
//!
//! Activations are NHWC, weights `[out][kernel_h][kernel_w][in]` as in [`crate::graph`]. The
//! quantized forward pass works on integers held in `f32`, so that it sums exactly what the
//! runtime sums as long as the sums stay below 2^24, and gives `sum * input scale * weight scale`.
//! Gradients are straight through: those of the same convolution with the rounded weights.

use crate::graph::Window;
use crate::qat::fake_quant::{integer, quantize_channels};
use crate::qat::matmul::{Matrix, matmul};
use crate::qat::tape::SliceOp;

/// A convolution of a batch: inputs are the activation, the weights and the bias (one element
/// where there is none).
#[derive(Debug)]
pub struct Conv2d {
    /// Images.
    pub batch: usize,
    /// `[height, width, channels]`.
    pub input: [usize; 3],
    /// `[height, width, channels]`.
    pub output: [usize; 3],
    /// Kernel, stride, padding.
    pub window: Window,
    /// Whether the third input is the bias.
    pub bias: bool,
    /// Weight bits and the scale of the input, where the convolution is fake-quantized.
    pub quant: Option<ConvQuant>,
}

/// Quantization of a convolution's operands.
#[derive(Clone, Copy, Debug)]
pub struct ConvQuant {
    /// 8 or 4.
    pub weight_bits: u8,
    /// Value of one step of the input.
    pub input_scale: f32,
}

impl Conv2d {
    /// Elements of one filter.
    pub(super) fn patch(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1] * self.input[2]
    }

    fn positions(&self) -> usize {
        self.output[0] * self.output[1]
    }

    fn image_len(&self) -> usize {
        self.input.iter().product()
    }

    /// Calls `visit(column offset, input offset, length)` for every run of input elements that
    /// lands in the patch matrix of one image, `[positions][patch]`.
    fn runs(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let [height, width, channels] = self.input;
        let [kernel_h, kernel_w] = self.window.kernel;
        let [stride_h, stride_w] = self.window.stride;
        let [top, _, left, _] = self.window.padding;
        let patch = self.patch();
        // One kernel row over one image row.
        let row: Vec<_> = (0..self.output[1])
            .filter_map(|ox| {
                // Kernel columns that fall inside the image.
                let first = left.saturating_sub(ox * stride_w);
                let last = (width + left).saturating_sub(ox * stride_w).min(kernel_w);
                let len = last.checked_sub(first).filter(|&len| len > 0)?;
                let x = ox * stride_w + first - left;
                Some((ox * patch + first * channels, x * channels, len * channels))
            })
            .collect();
        for oy in 0..self.output[0] {
            for ky in 0..kernel_h {
                let Some(y) = (oy * stride_h + ky).checked_sub(top).filter(|&y| y < height) else {
                    continue;
                };
                let column = oy * self.output[1] * patch + ky * kernel_w * channels;
                let offset = y * width * channels;
                for &(to, from, len) in &row {
                    visit(column + to, offset + from, len);
                }
            }
        }
    }

    /// Copies the patches of one image into `columns`, whose padding elements are zero already.
    fn gather(&self, image: &[f32], columns: &mut [f32]) {
        self.runs(|column, offset, len| {
            copy(&image[offset..offset + len], &mut columns[column..column + len]);
        });
    }

    /// Adds the patches' gradients to the image's.
    fn scatter(&self, columns: &[f32], image: &mut [f32]) {
        self.runs(|column, offset, len| {
            add(&columns[column..column + len], &mut image[offset..offset + len]);
        });
    }
}

/// Copies a short run: two blocks of a fixed size, which may overlap.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    match to.len() {
        8..=16 => blocks::<8>(from, to),
        17..=32 => blocks::<16>(from, to),
        33..=64 => blocks::<32>(from, to),
        _ => to.copy_from_slice(from),
    }
}

/// The first and the last `N` elements.
#[inline(always)]
fn blocks<const N: usize>(from: &[f32], to: &mut [f32]) {
    if let (Some(from), Some(to)) = (from.first_chunk::<N>(), to.first_chunk_mut()) {
        *to = *from;
    }
    if let (Some(from), Some(to)) = (from.last_chunk::<N>(), to.last_chunk_mut()) {
        *to = *from;
    }
}

/// Adds a short run, in blocks of fixed sizes.
#[inline(always)]
fn add(from: &[f32], to: &mut [f32]) {
    let ((wide, from), (wide_to, to)) = (from.as_chunks::<16>(), to.as_chunks_mut::<16>());
    for (to, from) in wide_to.iter_mut().zip(wide) {
        *to = std::array::from_fn(|i| to[i] + from[i]);
    }
    let ((four, from), (four_to, to)) = (from.as_chunks::<4>(), to.as_chunks_mut::<4>());
    for (to, from) in four_to.iter_mut().zip(four) {
        *to = std::array::from_fn(|i| to[i] + from[i]);
    }
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

impl SliceOp for Conv2d {
    fn output_shape(&self) -> Vec<usize> {
        vec![self.batch, self.output[0], self.output[1], self.output[2]]
    }

    fn forward(&self, [x, weights, bias]: [&[f32]; 3]) -> Vec<f32> {
        let (positions, patch, channels) = (self.positions(), self.patch(), self.output[2]);
        let mut out = vec![0.0; self.batch * positions * channels];
        let mut columns = vec![0.0; positions * patch];
        let mut integers = vec![0.0; self.image_len()];
        let rounded = self.quant.map(|q| quantize_channels(weights, channels, q.weight_bits));
        let weights = rounded.as_ref().map_or(weights, |r| &r.integers);
        for (image, out) in x.chunks_exact(self.image_len()).zip(out.chunks_exact_mut(positions * channels)) {
            match self.quant {
                Some(q) => {
                    for (to, &from) in integers.iter_mut().zip(image) {
                        *to = integer(from, q.input_scale);
                    }
                    self.gather(&integers, &mut columns);
                }
                None => self.gather(image, &mut columns),
            }
            matmul(
                Matrix::new(&columns, positions, patch),
                Matrix::new(weights, channels, patch).t(),
                out,
                false,
            );
        }
        match (self.quant, &rounded) {
            (Some(q), Some(rounded)) => {
                let scales: Vec<f32> = rounded.scales.iter().map(|s| q.input_scale * s).collect();
                let biases: Vec<f32> = match self.bias {
                    true => bias.iter().zip(&scales).map(|(b, s)| (b / s).round()).collect(),
                    false => vec![0.0; channels],
                };
                for row in out.chunks_exact_mut(channels) {
                    for ((value, bias), scale) in row.iter_mut().zip(&biases).zip(&scales) {
                        *value = (*value + bias) * scale;
                    }
                }
            }
            _ if self.bias => {
                for row in out.chunks_exact_mut(channels) {
                    for (value, bias) in row.iter_mut().zip(bias) {
                        *value += bias;
                    }
                }
            }
            _ => {}
        }
        out
    }

    fn backward(
        &self,
        [x, weights, _]: [&[f32]; 3],
        grad: &[f32],
        wanted: [bool; 3],
    ) -> [Option<Vec<f32>>; 3] {
        let (positions, patch, channels) = (self.positions(), self.patch(), self.output[2]);
        let rounded = self.quant.map(|q| quantize_channels(weights, channels, q.weight_bits).values());
        let weights = rounded.as_deref().unwrap_or(weights);
        let mut columns = vec![0.0; positions * patch];
        let mut grad_columns = vec![0.0; if wanted[0] { positions * patch } else { 0 }];
        let mut grad_x = wanted[0].then(|| vec![0.0; x.len()]);
        let mut grad_w = wanted[1].then(|| vec![0.0; weights.len()]);
        for (index, grad) in grad.chunks_exact(positions * channels).enumerate() {
            let image = index * self.image_len()..(index + 1) * self.image_len();
            let grad = Matrix::new(grad, positions, channels);
            if let Some(grad_w) = &mut grad_w {
                self.gather(&x[image.clone()], &mut columns);
                matmul(grad.t(), Matrix::new(&columns, positions, patch), grad_w, true);
            }
            if let Some(grad_x) = &mut grad_x {
                matmul(grad, Matrix::new(weights, channels, patch), &mut grad_columns, false);
                self.scatter(&grad_columns, &mut grad_x[image]);
            }
        }
        let grad_bias = (wanted[2] && self.bias).then(|| {
            let mut sums = vec![0.0; channels];
            for row in grad.chunks_exact(channels) {
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += value;
                }
            }
            sums
        });
        [grad_x, grad_w, grad_bias]
    }
}
