//! Residual add: RESCALE of both sides to a common scale, ADD, RESCALE to the output (TOSA 1.0).

use crate::kernels::args::{Add, Addend, TensorMut};

/// Elementwise; an addend without data of its own is read from the output before it is replaced.
pub(super) fn add(op: &Add<'_>, out: &mut TensorMut<'_>) {
    let channels = out.shape.channels;
    for pixel in 0..out.shape.pixels() {
        let bytes = out.dtype.row_bytes(channels);
        let y = out.data.get_mut(pixel * bytes..(pixel + 1) * bytes).unwrap_or(&mut []);
        for channel in 0..channels {
            let a = scaled(&op.a, y, pixel, channel, channels);
            let b = scaled(&op.b, y, pixel, channel, channels);
            let sum = op.out.apply(a.wrapping_add(b)).saturating_add(out.zero_point);
            out.dtype.set(y, channel, sum.max(i32::from(op.min)).min(i32::from(op.max)));
        }
        if let (4, Some(last), false) = (out.dtype.bits(), y.last_mut(), channels.is_multiple_of(2)) {
            *last &= 0x0F;
        }
    }
}

/// An element of an addend at the common scale.
fn scaled(addend: &Addend<'_>, in_place: &[u8], pixel: usize, channel: usize, channels: usize) -> i32 {
    let row = match addend.data {
        Some(data) => data.get(pixel * addend.dtype.row_bytes(channels)..).unwrap_or(&[]),
        None => in_place,
    };
    addend.rescale.apply(addend.dtype.get(row, channel) - addend.zero_point)
}
