//! The inputs of a line of tiles: 4x4 or 6x6 pixels brought together, padding included, and transformed.

use core::ops::Range;

use super::super::dsp::both;
use super::super::patch::inside;
use super::gather::gather;
use super::{four, tile};
use crate::kernels::args::Conv2d;
use crate::kernels::needs::{NIBBLES, has};
use crate::shape::DType;

/// What the tiles whose outputs begin at one row read.
pub(super) struct Band<'a, const NEEDS: u32, const READ: usize> {
    op: &'a Conv2d<'a>,
    /// Those outside the image or the memory are the nearest ones inside.
    rows: [&'a [u8]; READ],
    /// Which rows lie inside.
    down: Range<usize>,
}

impl<'a, const NEEDS: u32, const READ: usize> Band<'a, NEEDS, READ> {
    #[inline(never)]
    pub(super) fn new(op: &'a Conv2d<'_>, y: usize) -> Self {
        let (input, padding) = (&op.input, op.window.padding[0]);
        let down = inside(y, padding, input.shape.height, READ);
        let mut rows: [&[u8]; READ] = [&[]; READ];
        if !down.is_empty() {
            for (i, row) in rows.iter_mut().enumerate() {
                *row = input.row(y + i.max(down.start).min(down.end - 1) - padding);
            }
            // Where fewer rows of outputs are made, what only the others read may not be in memory.
            for i in 1..READ {
                if rows[i].is_empty() {
                    rows[i] = rows[i - 1];
                }
            }
        }
        Self { op, rows, down }
    }

    /// Transforms the input of the tile whose outputs begin at column `x` into vector `vector` of the
    /// pair `to`. `patch` has as many words per word of a pixel as a tile has pixels, column by column.
    #[inline(never)]
    pub(super) fn transform(&self, x: usize, patch: &mut [u32], to: &mut [u32], vector: usize) {
        let (input, padding) = (&self.op.input, self.op.window.padding[2]);
        let across = inside(x, padding, input.shape.width, READ);
        let clipped = self.down.len() < READ || across.len() < READ;
        let bytes = !has(NEEDS, NIBBLES) || input.dtype == DType::I8;
        // Nibbles have a zero point of 0.
        let zero_point = if bytes { input.zero_point } else { 0 };
        let outside = u32::from(zero_point as u8) * 0x0101_0101;
        if clipped {
            let (eights, rest) = patch.as_chunks_mut();
            eights.fill([outside; 8]);
            rest.fill(outside);
        }
        let pixel = 4 * (patch.len() / (READ * READ));
        let start = (x + across.start).saturating_sub(padding) * pixel;
        let (rows, count, first) = (&self.rows[..], across.len(), across.start);
        if let Some(rows) = rows.first_chunk().filter(|_| READ == 4) {
            gather(rows, start, count, patch.as_chunks_mut().0, first, bytes);
        } else if let Some(rows) = rows.first_chunk().filter(|_| READ == 6) {
            four::input::gather(rows, start, count, patch.as_chunks_mut().0, first, bytes);
        }
        if clipped {
            for i in (0..self.down.start).chain(self.down.end..READ) {
                let row = i % READ;
                for column in patch.as_chunks_mut::<READ>().0 {
                    column[row] = outside;
                }
            }
        }
        match (READ == 6, bytes) {
            (true, true) => four::input::bytes(patch.as_chunks().0, zero_point, to, vector),
            (true, false) => four::input::nibbles(patch.as_chunks().0, to, vector),
            (false, true) => tile::bytes(patch.as_chunks().0, both(-zero_point), to, vector),
            (false, false) => tile::nibbles(patch.as_chunks().0, to, vector),
        }
    }
}
