//! Convolutions of each channel with its own filter, a third of them such that kernels that take several
//! channels at once have a form for them.

use fourbit::Aligned;
use fourbit::kernels::{Conv2d, Kernel, Kernels, Ring, TensorRef};
use fourbit::layout::{FilterShape, Layout};
use fourbit::shape::Shape;

use super::linear::{Constants, Spec, choose, outputs};
use super::{TENSOR_BYTES, dtype, equal, fill, tiled, window, zero_point};
use crate::case::{Args, Case};
use crate::mismatch::Mismatch;
use crate::rng::Rng;

/// Compares [`Kernels::depthwise_conv2d`] with the reference.
pub fn depthwise_conv2d<K: Kernels>(kernels: &mut K, seed: u64) -> Result<(), Mismatch> {
    let rng = &mut Rng::new(seed);
    let in_groups = rng.one_in(3);
    let (mut window, extents) = if in_groups { tiled(rng) } else { window(rng, true) };
    if in_groups {
        window.stride = [rng.size(1, 2), rng.size(1, 2)];
    }
    let taps = window.kernel[0] * window.kernel[1];
    let (bits, style) = choose(rng);
    let rows = window.output(0, extents.height).unwrap_or(0);
    let columns = window.output(1, extents.width).unwrap_or(0);
    let largest = extents.pixels().max(rows * columns).max(1);
    let channels = outputs(rng, taps).min(TENSOR_BYTES / largest);
    let channels = if in_groups { (channels & !3).max(4) } else { channels };
    let shape = Shape { channels, ..extents };
    let [from, to] = [dtype(rng), dtype(rng)];
    let [zero, out_zero] = [zero_point(rng, from), zero_point(rng, to)];
    let layout = rng.pick([Layout::TapMajor, Layout::TapMajor, Layout::OutputMajor]);
    let (mut memory, mut constants) = (Aligned([0; TENSOR_BYTES]), Constants::new());
    let data = fill(rng, &mut memory.0, shape, from, zero, style, from.limits());
    let input = TensorRef { data, ring: Ring::whole(shape.height), shape, dtype: from, zero_point: zero };
    let filter = FilterShape { outputs: channels, taps, inputs: 1 };
    let spec = Spec { style, shape: filter, bits, layout, input: (from, zero), output: (to, out_zero) };
    let (filter, epilogue) = constants.fill(rng, &spec);
    let kernel = rng.pick(Kernel::ALL);
    let args = Args::DepthwiseConv2d(Conv2d { input, filter, epilogue, window, kernel });
    let shape = Shape::new(rows, columns, channels);
    equal(kernels, rng, seed, &Case { args, shape, dtype: to, zero_point: out_zero })
}
