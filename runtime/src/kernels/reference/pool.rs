//! AVG_POOL2D and MAX_POOL2D of TOSA 1.0. A 4-bit input may be widened exactly to 8 bits.

use core::ops::Range;

use crate::kernels::args::{Pool, TensorMut};
use crate::requant;

/// Sum over the valid positions times the reciprocal of their number.
pub(super) fn avg_pool2d(op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
    for_each_output(op, rows, out, |values| {
        let (sum, count) = values.fold((0, 0), |(sum, count), x| (sum + x, count + 1));
        requant::reciprocal(count).apply(sum)
    });
}

/// Maximum over the valid positions.
pub(super) fn max_pool2d(op: &Pool<'_>, rows: Range<usize>, out: &mut TensorMut<'_>) {
    for_each_output(op, rows, out, |values| values.max().unwrap_or(0));
}

/// Fills the rows of `out`: `reduce` gets the valid values of a window, widened and relative to the zero
/// point, and gives the output relative to the output's zero point.
fn for_each_output(
    op: &Pool<'_>,
    rows: Range<usize>,
    out: &mut TensorMut<'_>,
    reduce: impl Fn(&mut dyn Iterator<Item = i32>) -> i32,
) {
    let (shape, dtype, zero_point) = (out.shape, out.dtype, out.zero_point);
    let (input, window) = (op.input, op.window);
    let factor = input.dtype.widening(dtype);
    let (min, max) = dtype.limits();
    for y in rows {
        for x in 0..shape.width {
            let pixel = out.pixel(y, x);
            pixel.fill(0);
            for channel in 0..shape.channels {
                let mut values = (0..window.kernel[0]).flat_map(|ky| {
                    let row = window.source(0, y, ky, input.shape.height);
                    (0..window.kernel[1]).filter_map(move |kx| {
                        let column = window.source(1, x, kx, input.shape.width)?;
                        let value = input.dtype.get(input.pixel(row?, column), channel);
                        Some(factor * (value - input.zero_point))
                    })
                });
                let value = reduce(&mut values).saturating_add(zero_point);
                dtype.set(pixel, channel, value.max(min).min(max));
            }
        }
    }
}
