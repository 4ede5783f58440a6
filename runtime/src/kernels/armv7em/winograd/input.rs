//! A tile's input: 4x4 pixels brought together, padding included, and transformed.

use super::super::dsp::both;
use super::tile::{self, Patch};
use crate::kernels::args::Conv2d;
use crate::shape::DType;

/// Transforms the input of the tile of outputs at (`y`, `x`) into vector `vector` of the pair `to`.
/// `patch` has an element per four channels.
#[inline(never)]
pub(super) fn transform(
    op: &Conv2d<'_>,
    [y, x]: [usize; 2],
    patch: &mut [Patch],
    to: &mut [u32],
    vector: usize,
) {
    let (input, padding) = (&op.input, op.window.padding);
    let [top, left] = [y.wrapping_sub(padding[0]), x.wrapping_sub(padding[2])];
    let pixel = input.dtype.row_bytes(input.shape.channels);
    // Nibbles are shifted so that padding, and every other value, is that much too large.
    let (zero, padding) = match input.dtype {
        DType::I8 => (-input.zero_point, u32::from(input.zero_point as u8) * 0x0101_0101),
        DType::U4 => (0, 0),
        DType::S4 => (-8, 0x0808_0808),
    };
    let flip = if input.dtype == DType::S4 { 0x8888_8888 } else { 0 };
    for i in 0..4 {
        let row = top.wrapping_add(i);
        let line = if row < input.shape.height { input.row(row) } else { &[] };
        let mut start = left.wrapping_mul(pixel);
        if input.dtype == DType::I8
            && let Some(pixels) = line.get(start..start.wrapping_add(4 * pixel))
        {
            tile::row(pixels, patch, i);
            continue;
        }
        for at in 4 * i..4 * i + 4 {
            // A column before the first is far behind the end.
            let at = at & 15;
            match line.get(start..start.wrapping_add(pixel)) {
                None => {
                    for patch in patch.iter_mut() {
                        patch[at] = padding;
                    }
                }
                Some(values) if input.dtype == DType::I8 => {
                    for (patch, word) in patch.iter_mut().zip(values.as_chunks().0) {
                        patch[at] = u32::from_le_bytes(*word);
                    }
                }
                Some(values) => {
                    for (patch, word) in patch.as_chunks_mut::<2>().0.iter_mut().zip(values.as_chunks().0) {
                        let word = u32::from_le_bytes(*word) ^ flip;
                        patch[0][at] = word & 0x0F0F_0F0F;
                        patch[1][at] = word >> 4 & 0x0F0F_0F0F;
                    }
                }
            }
            start = start.wrapping_add(pixel);
        }
    }
    tile::input(patch, both(zero), to, vector);
}
