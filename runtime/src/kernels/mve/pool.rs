//! Average pools: sums of whole pixels in 16-bit lanes, some channels at a time.

use core::ops::Range;

use super::lines;
use crate::kernels::args::{Pool, TensorMut};
use crate::requant::reciprocal;
use crate::shape::DType;

/// Most positions of a window: so many values of 8 bits fit 16.
const POSITIONS: usize = 255;
/// Channels at a time, an even number.
const PIECE: usize = 64;

/// Fills the rows of `out`; false, and nothing done, for a window or a type that lanes do not hold.
pub(super) fn average(op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) -> bool {
    let (input, window, channels) = (&op.input, &op.window, out.shape.channels);
    let factor = match (input.dtype, out.dtype) {
        (DType::I8, DType::I8) => 1,
        // 4 bits are widened so that 15 becomes 255.
        (DType::U4, DType::I8) => 17,
        _ => return false,
    };
    if window.kernel[0] * window.kernel[1] > POSITIONS {
        return false;
    }
    let zero_point = out.zero_point;
    for y in rows {
        let down = inside(y * window.stride[0], window.padding[0], input.shape.height, window.kernel[0]);
        for x in 0..out.shape.width {
            let across = inside(x * window.stride[1], window.padding[2], input.shape.width, window.kernel[1]);
            let count = down.len() * across.len();
            let rescale = reciprocal(count as u32);
            let zero = count as i32 * input.zero_point;
            let pieces = out.pixel(y, x).chunks_mut(PIECE).zip((0..channels).step_by(PIECE));
            for (to, first) in pieces {
                let mut sums = [0i16; PIECE];
                for row in down.clone() {
                    for column in across.clone() {
                        let pixel = input.pixel(row, column);
                        let pixel = pixel.get(input.dtype.row_bytes(first)..).unwrap_or_default();
                        if input.dtype == DType::I8 {
                            lines::accumulate(&mut sums, pixel);
                        } else {
                            let mut values = [0; PIECE];
                            lines::widen(pixel, input.dtype, &mut values);
                            lines::accumulate(&mut sums, &values);
                        }
                    }
                }
                for (to, sum) in to.iter_mut().zip(sums) {
                    let value = rescale.apply(factor * (i32::from(sum) - zero)).saturating_add(zero_point);
                    *to = value.clamp(-128, 127) as u8;
                }
            }
        }
    }
    true
}

/// The positions of a window that lie inside an axis of the input.
fn inside(start: usize, before: usize, input: usize, taps: usize) -> Range<usize> {
    let end = (start + taps).saturating_sub(before).min(input);
    start.saturating_sub(before).min(end)..end
}
