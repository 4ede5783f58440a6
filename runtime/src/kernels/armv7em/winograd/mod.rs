//! Exact integer Winograd F(2x2, 3x3): 16 products instead of 36 for four outputs.
//!
//! With the filter's transform doubled on each side, `U = (2G) g (2G)^T`, every number is an
//! integer and the outputs are four times the sums of the direct convolution: the division folds
//! into the rescale. Products and sums are taken modulo 2^32, so only four times the accumulator
//! must fit a word. Lavin and Gray, "Fast algorithms for convolutional neural networks" (2016).
//!
//! Two tiles of 2x2 outputs meet two output channels at 16 positions each. Filters are
//! transformed block by block into scratch: the artefact keeps their bits.
#![allow(unsafe_code)]

mod filter;
mod gather;
mod input;
mod nibbles;
mod output;
mod place;
mod tile;

use core::ops::Range;

use input::Band;
use place::{DROPPED, Lines};

use super::channels;
use super::scratch::{self, CHANNELS, PLACES, blocks, patch_words};
use super::store::{Places, Store};
use crate::kernels::args::{Conv2d, ConvAdd, TensorMut};
use crate::kernels::needs::{ALL, REFERENCE, has};
use crate::kernels::words;

/// Fills the rows of `out`; false, and nothing done, where the kernel does not suit the operation
/// or the scratch is too small.
pub(super) fn conv2d<const NEEDS: u32>(
    op: &Conv2d<'_>,
    add: Option<&ConvAdd<'_>>,
    rows: Range<usize>,
    scratch: &mut [u8],
    out: &mut TensorMut<'_>,
) -> bool {
    let filter = &op.filter;
    scratch::suits(&op.window, filter.shape, filter.bits, filter.layout, op.input.dtype)
        && run::<NEEDS>(op, add, rows, scratch, out).is_some()
}

/// Whether [`conv2d`] fills every row with so many bytes of scratch.
pub(super) fn suits(op: &Conv2d<'_>, add: Option<&ConvAdd<'_>>, out: &TensorMut<'_>, bytes: usize) -> bool {
    let filter = &op.filter;
    let zero_point = add.map_or(out.zero_point, |add| add.zero_point);
    scratch::suits(&op.window, filter.shape, filter.bits, filter.layout, op.input.dtype)
        && blocks(filter.shape, 1, bytes).is_some()
        && Store::<ALL>::new(op, add, out).is_some()
        && channels::suit(op, zero_point, 2)
}

#[inline(never)]
fn run<const NEEDS: u32>(
    op: &Conv2d<'_>,
    add: Option<&ConvAdd<'_>>,
    rows: Range<usize>,
    scratch: &mut [u8],
    out: &mut TensorMut<'_>,
) -> Option<()> {
    let filter = op.filter.shape;
    let [down, across] = [rows.len().div_ceil(2), out.shape.width.div_ceil(2).max(1)];
    let tiles = down * across;
    let scratch = words::unsigned(scratch);
    let blocks = blocks(filter, tiles.div_ceil(2), 4 * scratch.len())?;
    let [pair, pairs] = [16 * filter.inputs, filter.outputs / 2];
    let (patch, scratch) = scratch.split_at_mut_checked(patch_words(filter, blocks.filters))?;
    let (table, scratch) = scratch.split_at_mut_checked(CHANNELS * blocks.filters)?;
    let (places, scratch) = scratch.split_at_mut_checked(PLACES * blocks.tiles)?;
    let (filters, inputs) = scratch.split_at_mut_checked(pair * blocks.filters)?;
    let table: &mut [channels::Pair] = table.as_chunks_mut().0;
    let places: &mut [Places] = places.as_chunks_mut().0.as_chunks_mut().0;
    let made = Made::<NEEDS> {
        products: output::Products::new(filter.inputs)?,
        store: Store::new(op, add, out)?,
        pair,
    };
    let zero_point = add.map_or(out.zero_point, |add| add.zero_point);
    // Where the reference is linked, a channel may be for it alone: then nothing is written yet.
    if has(NEEDS, REFERENCE) && !channels::suit(op, zero_point, 2) {
        return None;
    }
    let channels =
        |index, to: &mut channels::Pair| channels::pair(&op.epilogue, zero_point, 2, index, to).then_some(());
    let other = add.and_then(|add| add.other.data);
    if other.unwrap_or(out.data).len() < out.dtype.row_bytes(filter.outputs) {
        return None;
    }
    let kept = blocks.filters > 1;
    let words = op.input.dtype.row_bytes(filter.inputs) / 4;
    let together = if kept { blocks.filters } else { pairs };
    for start in (0..pairs).step_by(together.max(1)) {
        let range = start..pairs.min(start + together);
        if kept {
            let to = filters.chunks_exact_mut(pair.max(1)).zip(table.iter_mut());
            for ((to, row), index) in to.zip(range.clone()) {
                filter::transform::<NEEDS>(&op.filter, index, to);
                channels(index, row)?;
            }
        }
        let mut lines = Lines::new(out);
        let mut band = Band::<NEEDS>::new(op, rows.start);
        for first in (0..tiles).step_by((2 * blocks.tiles).max(1)) {
            let block = 2 * blocks.tiles.min((tiles - first).div_ceil(2));
            let patch = if kept { &mut *patch } else { &mut *filters };
            let patch = patch.as_chunks_mut().0.get_mut(..words)?;
            for (at, place) in places.iter_mut().enumerate().take(block) {
                let tile = first + at;
                if tile < tiles {
                    let x = 2 * (tile % across);
                    if x == 0 {
                        let y = rows.start + 2 * (tile / across);
                        lines.begin(add, rows.end, out, y);
                        band = Band::new(op, y);
                    }
                    lines.tile(x, place);
                    let to = inputs.get_mut(at / 2 * pair..).unwrap_or_default();
                    band.transform(x, patch, to, at % 2);
                } else {
                    *place = DROPPED;
                }
            }
            let (inputs, places) = (inputs.get(..block / 2 * pair)?, places.as_chunks().0);
            if kept {
                let table = table.get(..range.len())?;
                // SAFETY: `Lines` has measured every place, for these slices.
                unsafe { made.meet((inputs, places), (filters, table), start, out.data, other) };
                continue;
            }
            for index in range.clone() {
                filter::transform::<NEEDS>(&op.filter, index, filters);
                let table = table.get_mut(..1)?;
                channels(index, table.first_mut()?)?;
                // SAFETY: as above.
                unsafe { made.meet((inputs, places), (filters, table), index, out.data, other) };
            }
        }
    }
    Some(())
}

/// What makes outputs of pairs.
struct Made<const NEEDS: u32> {
    products: output::Products,
    store: Store<NEEDS>,
    /// Words of a pair of tiles or filters.
    pair: usize,
}

impl<const NEEDS: u32> Made<NEEDS> {
    /// Every pair of tiles meets every pair of filters; the first of these is pair `index` of the
    /// output channels.
    ///
    /// # Safety
    ///
    /// Every pixel at a place but `NOWHERE` lies inside `out`, every other addend inside `other`.
    #[inline(never)]
    unsafe fn meet(
        &self,
        (inputs, places): (&[u32], &[[Places; 2]]),
        (filters, table): (&[u32], &[channels::Pair]),
        index: usize,
        out: &mut [u8],
        other: Option<&[u8]>,
    ) {
        let mut values = [[0; 4]; 4];
        let (pair, step) = (self.pair.max(1), self.store.step());
        for (inputs, places) in inputs.chunks_exact(pair).zip(places) {
            let mut skip = index * step;
            for (weights, channels) in filters.chunks_exact(pair).zip(table) {
                self.products.outputs(inputs, weights, channels, &mut values);
                // SAFETY: the caller's promise.
                unsafe { self.store.tiles(&values, skip, places, out, other) };
                skip += step;
            }
        }
    }
}
