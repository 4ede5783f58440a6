//! The operations of this folder written with Burn's own tensor operations, for a GPU.
//!
//! [`apply`] runs an operation on slices where tensors lie in the CPU's memory, and in the form of
//! [`TensorOp`] elsewhere, so that nothing is copied back and forth. Both forms compute the same
//! function with the same gradients; integers are the same, real values differ by the order of
//! sums. What has no gradient of its own is detached.

use std::sync::Arc;

use burn::backend::DispatchDevice;
use burn::tensor::activation::relu;
use burn::tensor::module::{batch_norm_train, conv2d};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor};

use crate::qat::add::QuantAdd;
use crate::qat::conv::{Conv2d, ConvQuant};
use crate::qat::fake_quant::FakeQuant;
use crate::qat::norm::BatchNorm;
use crate::qat::pool::GlobalPool;
use crate::qat::tape::{self, SliceOp};
use crate::scheme::signed_max;

/// An operation that exists in both forms.
pub trait TensorOp: SliceOp {
    /// The result for an activation and up to two arrays.
    fn on_tensors(&self, x: Tensor<4>, b: Tensor<1>, c: Tensor<1>) -> Tensor<4>;
}

/// Applies `op` in the form that suits the tensors' device.
pub fn apply(op: Arc<impl TensorOp>, x: Tensor<4>, b: Tensor<1>, c: Tensor<1>) -> Tensor<4> {
    if on_cpu(&x.device()) { tape::apply(op, x, b, c) } else { op.on_tensors(x, b, c) }
}

/// Whether the CPU reads and writes the device's tensors in place.
pub fn on_cpu(device: &Device) -> bool {
    let device = device.clone().inner();
    matches!(device.as_dispatch(), DispatchDevice::Flex(_) | DispatchDevice::NdArray(_))
}

/// `x` rounded as `rounded` says, with the gradient of `x`. Exact, because the difference to the
/// nearest integer is.
fn straight_through<const D: usize>(x: Tensor<D>, rounded: impl FnOnce(Tensor<D>) -> Tensor<D>) -> Tensor<D> {
    let constant = x.clone().detach();
    x + (rounded(constant.clone()) - constant)
}

/// The nearest integers, ties to even.
fn integers<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    straight_through(x, |x| x.round())
}

/// The nearest integers, ties upwards; without a gradient.
fn round_half_up<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let even = x.clone().round();
    even.clone() + (x - even).greater_equal_elem(0.5).float()
}

impl Conv2d {
    fn convolve(&self, x: Tensor<4>, weights: Tensor<4>) -> Tensor<4> {
        let [top, bottom, left, right] = self.window.padding;
        let padding = [(top, bottom), (left, right)];
        let options = ConvOptions::new_with_padding(self.window.stride, padding, [1, 1], 1);
        let channels_first = |tensor: Tensor<4>| tensor.permute([0, 3, 1, 2]);
        conv2d(channels_first(x), channels_first(weights), None, options).permute([0, 2, 3, 1])
    }

    fn quantized(&self, quant: ConvQuant, x: Tensor<4>, weights: Tensor<4>, bias: Tensor<1>) -> Tensor<4> {
        let channels = self.output[2];
        let filters = weights.clone().detach().reshape([channels, self.patch()]);
        let scales = filters.abs().max_dim(1) / signed_max(quant.weight_bits);
        let silent = scales.clone().lower_equal_elem(0.0);
        let scales = scales.mask_fill(silent, 1.0);
        let weights = integers(weights / scales.clone().reshape([channels, 1, 1, 1]));
        let sums = self.convolve(integers(x / quant.input_scale), weights);
        let scales = (scales * quant.input_scale).reshape([1, 1, 1, channels]);
        if !self.bias {
            return sums * scales;
        }
        let bias = integers(bias.reshape([1, 1, 1, channels]) / scales.clone());
        (sums + bias) * scales
    }
}

impl TensorOp for Conv2d {
    fn on_tensors(&self, x: Tensor<4>, weights: Tensor<1>, bias: Tensor<1>) -> Tensor<4> {
        let ([height, width, inputs], channels) = (self.input, self.output[2]);
        let [kernel_h, kernel_w] = self.window.kernel;
        let x = x.reshape([self.batch, height, width, inputs]);
        let weights = weights.reshape([channels, kernel_h, kernel_w, inputs]);
        match self.quant {
            Some(quant) => self.quantized(quant, x, weights, bias),
            None if self.bias => self.convolve(x, weights) + bias.reshape([1, 1, 1, channels]),
            None => self.convolve(x, weights),
        }
    }
}

impl TensorOp for FakeQuant {
    fn on_tensors(&self, x: Tensor<4>, bound: Tensor<1>, _: Tensor<1>) -> Tensor<4> {
        let (scale, (low, high)) = (self.range.scale(), self.range.levels());
        let steps = x / scale;
        let clamped = steps.clone().clamp(low, high);
        let out = straight_through(clamped.clone(), round_half_up) * scale;
        if !bound.is_require_grad() {
            return out;
        }
        let (steps, clamped) = (steps.detach(), clamped.detach());
        let outside = steps.clone().not_equal(clamped.clone());
        let error = round_half_up(clamped) - steps.mask_fill(outside, 0.0);
        let features = self.shape[1..].iter().product::<usize>() as f32;
        let slope = error * (high / (features * high).sqrt());
        // Zero, with the bound's gradient.
        let moved = bound.clone() - bound.detach();
        out + slope * moved.reshape([1, 1, 1, 1])
    }
}

impl TensorOp for QuantAdd {
    /// The real sum, whose ties may fall to the other side than those of the integer sum.
    fn on_tensors(&self, x: Tensor<4>, b: Tensor<1>, bound: Tensor<1>) -> Tensor<4> {
        self.quantization().on_tensors(x + b.reshape(self.shape), bound.clone(), bound)
    }
}

impl TensorOp for BatchNorm {
    fn on_tensors(&self, x: Tensor<4>, gamma: Tensor<1>, beta: Tensor<1>) -> Tensor<4> {
        let [batch, height, width, channels] = self.shape;
        let rows = x.reshape([batch * height * width, channels]);
        let normalised = batch_norm_train(rows, gamma, beta, f64::from(self.eps));
        self.measured_on_device([normalised.mean, normalised.variance]);
        let out = normalised.output.reshape(self.shape);
        if self.relu { relu(out) } else { out }
    }
}

impl TensorOp for GlobalPool {
    fn on_tensors(&self, x: Tensor<4>, _: Tensor<1>, _: Tensor<1>) -> Tensor<4> {
        let [height, width, channels] = self.input;
        let x = x.reshape([self.batch, height * width, channels]);
        let out = match self.quant {
            None => x.mean_dim(1),
            Some(q) => {
                let sums = integers(x / q.input_scale).sum_dim(1) * q.widening;
                straight_through(sums / (height * width) as f32, round_half_up) * q.output_scale
            }
        };
        out.reshape([self.batch, 1, 1, channels])
    }
}

#[cfg(test)]
mod tests;
