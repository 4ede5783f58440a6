//! CONV2D and DEPTHWISE_CONV2D of TOSA 1.0, dilation 1, with their rescale and clamp; CONV2D also
//! with the residual add of its output.

use core::ops::Range;

use crate::kernels::args::{Conv2d, ConvAdd, TensorMut};

/// Every output channel sums over all taps and all input channels.
pub(super) fn conv2d(op: &Conv2d<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
    for_each_pixel(op, rows, out, all_inputs(op), |channel, acc, zero_point, _, _| {
        op.epilogue.finish(channel, acc, zero_point)
    });
}

/// The same, and the sum of the result and the other addend.
pub(super) fn conv2d_add(op: &Conv2d<'_>, add: &ConvAdd<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
    let shape = out.shape;
    for_each_pixel(op, rows, out, all_inputs(op), |channel, acc, zero_point, before, [y, x]| {
        let value = op.epilogue.finish(channel, acc, add.zero_point);
        add.finish(value, add.other.scaled(before, shape, [y, x, channel]), zero_point)
    });
}

/// Every channel sums over the taps of its own filter.
pub(super) fn depthwise_conv2d(op: &Conv2d<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
    let own_input = |channel, taps: &mut dyn Iterator<Item = (usize, &[u8])>| {
        let mut acc = op.epilogue.bias(channel);
        for (tap, pixel) in taps {
            let x = op.input.dtype.get(pixel, channel) - op.input.zero_point;
            acc += x * op.filter.get(channel, tap, 0);
        }
        acc
    };
    for_each_pixel(op, rows, out, own_input, |channel, acc, zero_point, _, _| {
        op.epilogue.finish(channel, acc, zero_point)
    });
}

/// The accumulator of an output channel over its taps (index and channels of each).
fn all_inputs<'a>(op: &Conv2d<'a>) -> impl Fn(usize, &mut dyn Iterator<Item = (usize, &'a [u8])>) -> i32 {
    let op = *op;
    move |output, taps| {
        let mut acc = op.epilogue.bias(output);
        for (tap, pixel) in taps {
            for input in 0..op.filter.shape.inputs {
                let x = op.input.dtype.get(pixel, input) - op.input.zero_point;
                acc += x * op.filter.get(output, tap, input);
            }
        }
        acc
    }
}

/// Fills the rows of `out`: `accumulate` gets an output channel and the taps inside the input, and
/// gives the accumulator; `finish` gets channel, accumulator, the output's zero point, the
/// pixel's bytes so far and its position, and gives the value.
fn for_each_pixel<'a>(
    op: &Conv2d<'a>,
    rows: Range<usize>,
    out: &mut TensorMut<'_>,
    accumulate: impl Fn(usize, &mut dyn Iterator<Item = (usize, &'a [u8])>) -> i32,
    finish: impl Fn(usize, i32, i32, &[u8], [usize; 2]) -> i32,
) {
    let (shape, dtype, zero_point) = (out.shape, out.dtype, out.zero_point);
    for y in rows {
        for x in 0..shape.width {
            let pixel = out.pixel(y, x);
            for channel in 0..shape.channels {
                let acc = accumulate(channel, &mut taps(op, y, x));
                let value = finish(channel, acc, zero_point, pixel, [y, x]);
                dtype.set(pixel, channel, value);
            }
            dtype.clear_tail(pixel, shape.channels);
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
