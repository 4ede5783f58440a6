//! Depthwise convolutions: the weights of one channel meet every position in turn.

use core::ops::Range;

use super::constants::Channel;
use crate::kernels::args::{Conv2d, TensorMut};
use crate::shape::DType;

/// Most taps: a window of 7x7.
const TAPS: usize = 49;

/// Fills the rows of `out`; false, and nothing done, where the window has too many taps.
pub(super) fn conv2d(op: &Conv2d<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) -> bool {
    let mut weights = [0; TAPS];
    let Some(weights) = weights.get_mut(..op.filter.shape.taps) else { return false };
    let (window, input) = (&op.window, &op.input);
    let (taps, channels) = (window.kernel[1], out.shape.channels);
    for channel in 0..channels {
        for (tap, weight) in weights.iter_mut().enumerate() {
            *weight = op.filter.get(channel, tap, 0);
        }
        let constants = Channel::new(&op.epilogue, channel, out.zero_point);
        let read = Values::new(op, channel);
        for y in rows.clone() {
            for x in 0..out.shape.width {
                let start = x * window.stride[1];
                let first = window.padding[2].saturating_sub(start).min(taps);
                let end = (window.padding[2] + input.shape.width).saturating_sub(start).min(taps);
                let column = (start + first).saturating_sub(window.padding[2]);
                let mut sum = 0;
                for tap in 0..window.kernel[0] {
                    if let Some(y) = window.source(0, y, tap, input.shape.height) {
                        let weights = weights.get(tap * taps + first..tap * taps + end).unwrap_or_default();
                        sum += read.products(input.row(y), column, weights);
                    }
                }
                let (dtype, value) = (out.dtype, constants.finish(sum));
                let pixel = out.pixel(y, x);
                dtype.set(pixel, channel, value);
                if channel + 1 == channels {
                    dtype.clear_tail(pixel, channels);
                }
            }
        }
    }
    true
}

/// How the values of a channel are read.
struct Values {
    dtype: DType,
    zero_point: i32,
    /// Bytes of a pixel, the channel's byte in it, the bits before a nibble's highest one.
    pixel: usize,
    byte: usize,
    left: u32,
}

impl Values {
    fn new(op: &Conv2d<'_>, channel: usize) -> Self {
        let (dtype, zero_point) = (op.input.dtype, op.input.zero_point);
        let pixel = dtype.row_bytes(op.input.shape.channels);
        let (byte, left) = match dtype {
            DType::I8 => (channel, 24),
            DType::U4 | DType::S4 => (channel / 2, if channel.is_multiple_of(2) { 28 } else { 24 }),
        };
        Self { dtype, zero_point, pixel, byte, left }
    }

    /// The sum of neighbouring pixels' values, from `column` on, times the weights.
    #[inline]
    fn products(&self, row: &[u8], column: usize, weights: &[i32]) -> i32 {
        let row = row.get(column * self.pixel + self.byte..).unwrap_or_default();
        let bits = u32::from(self.dtype.bits());
        let (mut at, mut sum) = (0, 0);
        for weight in weights {
            let stored = u32::from(row.get(at).copied().unwrap_or(0)) << self.left;
            let value = match self.dtype {
                DType::U4 => (stored >> (32 - bits)) as i32,
                DType::I8 | DType::S4 => stored as i32 >> (32 - bits),
            };
            sum += (value - self.zero_point) * weight;
            at += self.pixel;
        }
        sum
    }
}
