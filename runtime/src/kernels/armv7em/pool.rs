//! Average pools: four or eight channels at a time, in lanes.

use core::ops::Range;

use super::dsp::{add_even_bytes, add_odd_bytes, add16};
use super::lanes::UNSIGNED;
use super::patch::inside;
use crate::kernels::args::{Pool, TensorMut};
use crate::requant::reciprocal;
use crate::shape::DType;

/// Most positions of a window: so many values of 8 bits fit a lane.
const POSITIONS: usize = 255;

/// Fills the rows of `out`; false, and nothing done, for a window or a type that lanes do not hold.
pub(super) fn average(op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) -> bool {
    let (input, window, channels) = (&op.input, &op.window, out.shape.channels);
    let (factor, step) = match (input.dtype, out.dtype) {
        (DType::I8, DType::I8) => (1, 4),
        // 4 bits are widened so that 15 becomes 255.
        (DType::U4, DType::I8) => (17, 8),
        _ => return false,
    };
    if window.kernel[0] * window.kernel[1] > POSITIONS || !channels.is_multiple_of(step) {
        return false;
    }
    let zero_point = out.zero_point;
    for y in rows {
        for x in 0..out.shape.width {
            let [top, left] = [y * window.stride[0], x * window.stride[1]];
            let down = inside(top, window.padding[0], input.shape.height, window.kernel[0]);
            let across = inside(left, window.padding[2], input.shape.width, window.kernel[1]);
            let count = (down.len() * across.len()) as u32;
            let rescale = reciprocal(count);
            let zero = count as i32 * input.zero_point;
            for (group, to) in out.pixel(y, x).chunks_exact_mut(step).enumerate() {
                let mut sums = [0; 4];
                for row in down.clone() {
                    for column in across.clone() {
                        let pixel =
                            input.pixel(top + row - window.padding[0], left + column - window.padding[2]);
                        let stored = pixel.as_chunks::<4>().0.get(group).copied().unwrap_or([0; 4]);
                        sums = if step == 4 {
                            let word = u32::from_le_bytes(stored);
                            [add_even_bytes(sums[0], word), add_odd_bytes(sums[1], word), 0, 0]
                        } else {
                            let [a, b, c, d] = UNSIGNED.lanes(stored);
                            [add16(sums[0], a), add16(sums[1], b), add16(sums[2], c), add16(sums[3], d)]
                        };
                    }
                }
                for (channel, to) in to.iter_mut().enumerate() {
                    // Words hold channels 0 and 2, 1 and 3, 4 and 6, 5 and 7.
                    let word = sums[(channel & 4) / 2 + channel % 2];
                    let lane = i32::from((word >> (8 * (channel & 2))) as i16);
                    let value = rescale.apply(factor * (lane - zero)).saturating_add(zero_point);
                    *to = value.clamp(-128, 127) as u8;
                }
            }
        }
    }
    true
}
