//! Residual add: RESCALE of both sides to a common scale, ADD, RESCALE to the output (TOSA 1.0).

use core::ops::Range;

use crate::kernels::args::{Add, TensorMut};

/// Elementwise; an addend without data of its own is read from the output before it is replaced.
pub(super) fn add(op: &Add<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
    let (shape, dtype, zero_point) = (out.shape, out.dtype, out.zero_point);
    for y in rows {
        for x in 0..shape.width {
            let pixel = out.pixel(y, x);
            for channel in 0..shape.channels {
                let a = op.a.scaled(pixel, shape, [y, x, channel]);
                let b = op.b.scaled(pixel, shape, [y, x, channel]);
                let sum = op.out.apply(a.wrapping_add(b)).saturating_add(zero_point);
                dtype.set(pixel, channel, sum.max(i32::from(op.min)).min(i32::from(op.max)));
            }
            dtype.clear_tail(pixel, shape.channels);
        }
    }
}
