//! Pools: a channel's values lie a pixel apart, and are read so.

use core::ops::Range;

use super::patch::inside;
use crate::kernels::args::{Pool, TensorMut};
use crate::kernels::needs::{MAX_POOL, NIBBLES, has};
use crate::requant::reciprocal;
use crate::shape::DType;

/// What becomes of a window's values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reduction {
    Mean,
    Maximum,
}

/// Where a channel's values lie, in bytes `step` apart, and how they are read:
/// `((byte >> shift & mask) ^ sign) - sign`.
#[derive(Clone, Copy)]
struct Lane {
    step: usize,
    shift: usize,
    mask: i32,
    sign: i32,
}

/// Fills the rows of `out`.
pub(super) fn pool<const NEEDS: u32>(
    op: &Pool<'_>,
    reduction: Reduction,
    rows: Range<usize>,
    out: &mut TensorMut<'_>,
) {
    let (input, window) = (&op.input, &op.window);
    let (channels, dtype, zero_point) = (out.shape.channels, out.dtype, out.zero_point);
    let (factor, (min, max)) = (input.dtype.widening(dtype), dtype.limits());
    let step = input.dtype.row_bytes(channels).max(1);
    let reduction = if has(NEEDS, MAX_POOL) { reduction } else { Reduction::Mean };
    let (mask, sign) = match input.dtype {
        _ if !has(NEEDS, NIBBLES) => (0xFF, 0x80),
        DType::I8 => (0xFF, 0x80),
        DType::U4 => (0x0F, 0),
        DType::S4 => (0x0F, 0x08),
    };
    let bits = usize::from(input.dtype.bits());
    for y in rows {
        for x in 0..out.shape.width {
            let [top, left] = [y * window.stride[0], x * window.stride[1]];
            let down = inside(top, window.padding[0], input.shape.height, window.kernel[0]);
            let across = inside(left, window.padding[2], input.shape.width, window.kernel[1]);
            let count = (down.len() * across.len()) as u32;
            let rescale = reciprocal(count);
            let first = (left + across.start).saturating_sub(window.padding[2]) * step;
            let pixels = first..first + across.len() * step;
            let to = out.pixel(y, x);
            for channel in 0..channels {
                let lane = Lane { step, shift: channel * bits % 8, mask, sign };
                let mut total = if reduction == Reduction::Mean { 0 } else { i32::MIN };
                for row in down.clone() {
                    let line = input.row((top + row).saturating_sub(window.padding[0]));
                    let values = line.get(pixels.clone()).unwrap_or_default();
                    let values = values.get(channel * bits / 8..).unwrap_or_default();
                    total = reduce::<NEEDS>(values, lane, reduction, total);
                }
                let value = match reduction {
                    Reduction::Mean => rescale.apply(factor * (total - count as i32 * input.zero_point)),
                    Reduction::Maximum => factor * total.saturating_sub(input.zero_point),
                };
                dtype.set(to, channel, value.saturating_add(zero_point).max(min).min(max));
            }
            dtype.clear_tail(to, channels);
        }
    }
}

/// Sum or maximum of `total` and a row's values.
#[inline(never)]
fn reduce<const NEEDS: u32>(values: &[u8], lane: Lane, reduction: Reduction, total: i32) -> i32 {
    let Lane { step, shift, mask, sign } = lane;
    if !has(NEEDS, NIBBLES) || mask == 0xFF {
        fold(values, step, reduction, total, |byte| i32::from(byte as i8))
    } else {
        fold(values, step, reduction, total, |byte| ((i32::from(byte) >> shift & mask) ^ sign) - sign)
    }
}

#[inline(always)]
fn fold(values: &[u8], step: usize, reduction: Reduction, mut total: i32, value: impl Fn(u8) -> i32) -> i32 {
    let mut at = 0;
    if reduction == Reduction::Mean {
        while let Some(&byte) = values.get(at) {
            at += step;
            total += value(byte);
        }
    } else {
        while let Some(&byte) = values.get(at) {
            at += step;
            total = total.max(value(byte));
        }
    }
    total
}
