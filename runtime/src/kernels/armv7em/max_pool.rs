//! Maximum pools: four bytes at a time, whatever they hold.
//!
//! The first position of a window is copied to the output, which every other one then raises.

use core::ops::Range;

use super::dsp::larger_bytes;
use super::patch::inside;
use crate::kernels::args::{Pool, TensorMut};
use crate::shape::DType;

/// Fills the rows of `out`; false, and nothing done, where input and output differ in type or zero point.
pub(super) fn max_pool2d(op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) -> bool {
    let (input, window) = (&op.input, &op.window);
    let (shape, dtype, zero_point) = (out.shape, out.dtype, out.zero_point);
    if (input.dtype, input.zero_point) != (dtype, zero_point) {
        return false;
    }
    for y in rows {
        for x in 0..shape.width {
            let [top, left] = [y * window.stride[0], x * window.stride[1]];
            let down = inside(top, window.padding[0], input.shape.height, window.kernel[0]);
            let across = inside(left, window.padding[2], input.shape.width, window.kernel[1]);
            let to = out.pixel(y, x);
            let mut first = true;
            for row in down {
                for column in across.clone() {
                    let from = input.pixel(top + row - window.padding[0], left + column - window.padding[2]);
                    match input.dtype {
                        _ if first => raise(to, from, |_, b| b),
                        DType::I8 => raise(to, from, larger_bytes::<true>),
                        DType::U4 => raise(to, from, |a, b| nibbles(a, b, 0)),
                        DType::S4 => raise(to, from, |a, b| nibbles(a, b, 0x8888_8888)),
                    }
                    first = false;
                }
            }
            if first {
                to.fill(0);
                (0..shape.channels).for_each(|channel| dtype.set(to, channel, zero_point));
            }
        }
    }
    true
}

/// Makes `to` the larger of itself and `from`, word by word and then byte by byte.
#[inline(always)]
fn raise(to: &mut [u8], from: &[u8], larger: impl Fn(u32, u32) -> u32) {
    let (words, to) = to.as_chunks_mut();
    let (other_words, from) = from.as_chunks();
    for (to, from) in words.iter_mut().zip(other_words) {
        *to = larger(u32::from_le_bytes(*to), u32::from_le_bytes(*from)).to_le_bytes();
    }
    for (to, &from) in to.iter_mut().zip(from) {
        *to = larger((*to).into(), from.into()) as u8;
    }
}

/// The larger of each pair of nibbles, of which `sign` says what makes them unsigned.
#[inline(always)]
fn nibbles(a: u32, b: u32, sign: u32) -> u32 {
    const EVEN: u32 = 0x0F0F_0F0F;
    let [a, b] = [a ^ sign, b ^ sign];
    let even = larger_bytes::<false>(a & EVEN, b & EVEN);
    (even | larger_bytes::<false>(a & !EVEN, b & !EVEN)) ^ sign
}
