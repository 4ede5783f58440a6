//! The inputs of a line of tiles: 4x4 pixels brought together, padding included, and transformed.

use core::ops::Range;

use super::super::dsp::both;
use super::super::patch::inside;
use super::gather::gather;
use super::tile::{self, Patch};
use crate::kernels::args::Conv2d;
use crate::kernels::needs::{NIBBLES, has};
use crate::shape::DType;

/// What the tiles whose outputs begin at one row read.
pub(super) struct Band<'a, const NEEDS: u32> {
    op: &'a Conv2d<'a>,
    /// Those outside the image or the memory are the nearest ones inside.
    rows: [&'a [u8]; 4],
    /// Which rows lie inside.
    down: Range<usize>,
}

impl<'a, const NEEDS: u32> Band<'a, NEEDS> {
    #[inline(never)]
    pub(super) fn new(op: &'a Conv2d<'_>, y: usize) -> Self {
        let (input, padding) = (&op.input, op.window.padding[0]);
        let down = inside(y, padding, input.shape.height, 4);
        let mut rows: [&[u8]; 4] = [&[]; 4];
        if !down.is_empty() {
            for (i, row) in rows.iter_mut().enumerate() {
                *row = input.row(y + i.max(down.start).min(down.end - 1) - padding);
            }
            // Where one row of outputs is made, what only the next one reads may not be in memory.
            let [.., third, last] = &mut rows;
            if last.is_empty() {
                *last = third;
            }
        }
        Self { op, rows, down }
    }

    /// Transforms the input of the tile whose outputs begin at column `x` into vector `vector` of the
    /// pair `to`. `patch` has an element per word of a pixel.
    #[inline(never)]
    pub(super) fn transform(&self, x: usize, patch: &mut [Patch], to: &mut [u32], vector: usize) {
        let (input, padding) = (&self.op.input, self.op.window.padding[2]);
        let across = inside(x, padding, input.shape.width, 4);
        let clipped = self.down.len() < 4 || across.len() < 4;
        let bytes = !has(NEEDS, NIBBLES) || input.dtype == DType::I8;
        // Nibbles have a zero point of 0.
        let zero_point = if bytes { input.zero_point } else { 0 };
        let outside = u32::from(zero_point as u8) * 0x0101_0101;
        if clipped {
            patch.fill([outside; 16]);
        }
        let pixel = 4 * patch.len();
        let start = (x + across.start).saturating_sub(padding) * pixel;
        gather(&self.rows, start, across.len(), patch, across.start, bytes);
        if clipped {
            for i in (0..self.down.start).chain(self.down.end..4) {
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
}
