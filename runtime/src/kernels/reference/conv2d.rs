//! CONV2D and DEPTHWISE_CONV2D of TOSA 1.0, dilation 1, with their rescale and clamp; CONV2D also
//! with the residual add of its output.

use core::ops::Range;

use crate::kernels::args::{Conv2d, ConvAdd, TensorMut};

/// Fills the rows of `out`; with `add`, by the sum of the result and the other addend.
pub(super) fn conv2d(
    op: &Conv2d<'_>,
    add: Option<&ConvAdd<'_>>,
    inputs: Inputs,
    rows: Range<usize>,
    out: &mut TensorMut<'_>,
) {
    let (shape, dtype, zero_point) = (out.shape, out.dtype, out.zero_point);
    for y in rows {
        for x in 0..shape.width {
            let pixel = out.pixel(y, x);
            for channel in 0..shape.channels {
                let acc = accumulate(op, inputs, [y, x, channel]);
                let value = op.epilogue.finish(channel, acc, add.map_or(zero_point, |add| add.zero_point));
                let value = match add {
                    None => value,
                    Some(add) => {
                        add.finish(value, add.other.scaled(pixel, shape, [y, x, channel]), zero_point)
                    }
                };
                dtype.set(pixel, channel, value);
            }
            dtype.clear_tail(pixel, shape.channels);
        }
    }
}

/// What an output channel sums over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Inputs {
    /// All input channels.
    All,
    /// The input channel of its own number: the filter has one input.
    Own,
}

/// The accumulator of an output value: over the taps inside the input and over the input channels.
fn accumulate(op: &Conv2d<'_>, inputs: Inputs, [y, x, channel]: [usize; 3]) -> i32 {
    let (input, window) = (&op.input, &op.window);
    let first = if inputs == Inputs::Own { channel } else { 0 };
    let mut acc = op.epilogue.bias(channel);
    for ky in 0..window.kernel[0] {
        let Some(row) = window.source(0, y, ky, input.shape.height) else { continue };
        for kx in 0..window.kernel[1] {
            let Some(column) = window.source(1, x, kx, input.shape.width) else { continue };
            let (pixel, tap) = (input.pixel(row, column), ky * window.kernel[1] + kx);
            for i in 0..op.filter.shape.inputs {
                let x = input.dtype.get(pixel, first + i) - input.zero_point;
                acc += x * op.filter.get(channel, tap, i);
            }
        }
    }
    acc
}
