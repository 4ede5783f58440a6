//! CONV2D and DEPTHWISE_CONV2D of TOSA 1.0, dilation 1, with their rescale and clamp.

use crate::kernels::args::{Conv2d, TensorMut};

/// Every output channel sums over all taps and all input channels.
pub(super) fn conv2d(op: &Conv2d<'_>, out: &mut TensorMut<'_>) {
    let inputs = op.filter.shape.inputs;
    for_each_pixel(op, out, |output, taps| {
        let mut acc = op.epilogue.bias(output);
        for (tap, pixel) in taps {
            for input in 0..inputs {
                let x = op.input.dtype.get(pixel, input) - op.input.zero_point;
                acc += x * op.filter.get(output, tap, input);
            }
        }
        acc
    });
}

/// Every channel sums over the taps of its own filter.
pub(super) fn depthwise_conv2d(op: &Conv2d<'_>, out: &mut TensorMut<'_>) {
    for_each_pixel(op, out, |channel, taps| {
        let mut acc = op.epilogue.bias(channel);
        for (tap, pixel) in taps {
            let x = op.input.dtype.get(pixel, channel) - op.input.zero_point;
            acc += x * op.filter.get(channel, tap, 0);
        }
        acc
    });
}

/// Fills `out`: `accumulate` gets an output channel and the taps inside the input (index and
/// channels), and gives the accumulator.
fn for_each_pixel<'a>(
    op: &Conv2d<'a>,
    out: &mut TensorMut<'_>,
    accumulate: impl Fn(usize, &mut dyn Iterator<Item = (usize, &'a [u8])>) -> i32,
) {
    let (shape, dtype, zero_point) = (out.shape, out.dtype, out.zero_point);
    for y in 0..shape.height {
        for x in 0..shape.width {
            let pixel = out.pixel(y, x);
            pixel.fill(0);
            for channel in 0..shape.channels {
                let acc = accumulate(channel, &mut taps(op, y, x));
                dtype.set(pixel, channel, op.epilogue.finish(channel, acc, zero_point));
            }
        }
    }
}

/// The taps of an output position that lie inside the input.
fn taps<'a>(op: &Conv2d<'a>, y: usize, x: usize) -> impl Iterator<Item = (usize, &'a [u8])> {
    let (input, window) = (op.input, op.window);
    let [kernel_height, kernel_width] = window.kernel;
    (0..kernel_height).flat_map(move |ky| {
        let row = window.source(0, y, ky, input.shape.height);
        (0..kernel_width).filter_map(move |kx| {
            let column = window.source(1, x, kx, input.shape.width)?;
            Some((ky * kernel_width + kx, input.pixel(row?, column)))
        })
    })
}
