//! A tile's input: 4x4 pixels brought together, padding included, and transformed.

use super::super::dsp::both;
use super::super::patch::inside;
use super::tile::{self, Patch};
use crate::kernels::args::Conv2d;
use crate::shape::DType;

/// Transforms the input of the tile of outputs at (`y`, `x`) into vector `vector` of the pair `to`.
/// `patch` has an element per word of a pixel.
pub(super) fn transform(
    op: &Conv2d<'_>,
    [y, x]: [usize; 2],
    patch: &mut [Patch],
    to: &mut [u32],
    vector: usize,
) {
    let (input, padding) = (&op.input, op.window.padding);
    let down = inside(y, padding[0], input.shape.height, 4);
    let across = inside(x, padding[2], input.shape.width, 4);
    let bytes = input.dtype == DType::I8;
    // What padding is in each byte; nibbles have a zero point of 0.
    let zero_point = if bytes { input.zero_point } else { 0 };
    let outside = u32::from(zero_point as u8) * 0x0101_0101;
    if down.len() < 4 || across.len() < 4 {
        patch.fill([outside; 16]);
    }
    if !down.is_empty() && !across.is_empty() {
        let pixel = 4 * patch.len();
        let start = (x + across.start - padding[2]) * pixel;
        // Rows outside are read from the nearest one inside, and then padded.
        let rows = [0, 1, 2, 3].map(|i: usize| {
            let i = i.clamp(down.start, down.end - 1);
            input.row(y + i - padding[0]).get(start..start + across.len() * pixel).unwrap_or(&[])
        });
        tile::gather(rows, patch, across.start);
        for i in (0..down.start).chain(down.end..4) {
            for patch in patch.iter_mut() {
                for column in patch.as_chunks_mut::<4>().0 {
                    column[i & 3] = outside;
                }
            }
        }
    }
    if bytes {
        tile::bytes(patch, both(-zero_point), to, vector);
    } else {
        tile::nibbles(patch, to, vector);
    }
}
