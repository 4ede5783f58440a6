//! Exact integer Winograd: F(2x2, 3x3), 16 products instead of 36 for four outputs, and F(4x4, 3x3),
//! 36 instead of 144 for sixteen.
//!
//! Filters are transformed such that every number is an integer, and the outputs are [`two`] 4 times or
//! [`four`] 576 times the sums of the direct convolution. Products and sums are taken modulo 2^32. Lavin
//! and Gray, "Fast algorithms for convolutional neural networks" (2016).
//!
//! Two tiles of outputs meet two output channels at every position. Filters are transformed block by
//! block into scratch: the artefact keeps their bits.
#![allow(unsafe_code)]

mod four;
mod gather;
mod input;
mod place;
mod tile;
mod two;

use core::ops::Range;

use input::Band;
use place::{DROPPED, Lines};

use super::channels;
use super::dot::Sums;
use super::scratch::{self, CHANNELS, Tiles};
use super::store::{Places, Store};
use crate::kernels::args::{Conv2d, ConvAdd, Filter, TensorMut};
use crate::kernels::choice::Kernel;
use crate::kernels::needs::{ALL, REFERENCE, WINOGRAD_4, WINOGRAD_8, WINOGRAD_FOUR, has};
use crate::kernels::words;

/// What differs between the sizes of tiles: filters' transform, products, outputs' transform.
trait Form<'a, const NEEDS: u32>: Sized {
    /// Parts of a tile, four outputs each.
    const PARTS: usize;

    /// With its words of scratch; `None` for a number of input channels that it does not suit.
    fn new(inputs: usize, work: &'a mut [u32]) -> Option<Self>;

    /// Transforms output channels `2 * pair` and the next into `to`: as many words for every position as
    /// there are input channels. The lanes are in the order of those of an input.
    fn filter(filter: &Filter<'_>, pair: usize, to: &mut [u32]);

    /// Makes the outputs of two tiles `x` and two channels `w`, not clamped yet, in `own` or in its scratch:
    /// parts of the tiles, each with four pixels of each tile, two channels of a pixel.
    fn outputs<'v>(
        &'v mut self,
        x: &[u32],
        w: &[u32],
        channels: &channels::Pair,
        own: &'v mut [Sums; 4],
    ) -> &'v [[Sums; 4]];
}

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
    let suits =
        |tiles| scratch::suits(tiles, &op.window, filter.shape, filter.bits, filter.layout, op.input.dtype);
    match op.kernel {
        Kernel::Winograd if has(NEEDS, WINOGRAD_4 | WINOGRAD_8) && suits(Tiles::Two) => {
            run::<NEEDS, 4, 2, two::Two>(op, add, rows, scratch, out).is_some()
        }
        Kernel::Winograd4x4 if has(NEEDS, WINOGRAD_FOUR) && suits(Tiles::Four) => {
            run::<NEEDS, 6, 4, four::Four>(op, add, rows, scratch, out).is_some()
        }
        _ => false,
    }
}

/// Whether [`conv2d`] fills every row with so many bytes of scratch.
pub(super) fn suits(op: &Conv2d<'_>, add: Option<&ConvAdd<'_>>, out: &TensorMut<'_>, bytes: usize) -> bool {
    let filter = &op.filter;
    let zero_point = add.map_or(out.zero_point, |add| add.zero_point);
    let Some(tiles) = Tiles::of(op.kernel) else { return false };
    scratch::suits(tiles, &op.window, filter.shape, filter.bits, filter.layout, op.input.dtype)
        && tiles.blocks(filter.shape, 1, bytes).is_some()
        && Store::<ALL>::new(op, add, out).is_some()
        && channels::suit(op, zero_point, tiles.doublings())
}

/// `READ` rows are read for `MADE` rows of outputs.
#[inline(never)]
fn run<'a, const NEEDS: u32, const READ: usize, const MADE: usize, F: Form<'a, NEEDS>>(
    op: &Conv2d<'_>,
    add: Option<&ConvAdd<'_>>,
    rows: Range<usize>,
    scratch: &'a mut [u8],
    out: &mut TensorMut<'_>,
) -> Option<()> {
    let filter = op.filter.shape;
    let size = if MADE == 2 { Tiles::Two } else { Tiles::Four };
    let [down, across] = [rows.len().div_ceil(MADE), out.shape.width.div_ceil(MADE).max(1)];
    let tiles = down * across;
    let scratch = words::unsigned(scratch);
    let blocks = size.blocks(filter, tiles.div_ceil(2), 4 * scratch.len())?;
    let [pair, pairs] = [size.positions() * filter.inputs, filter.outputs / 2];
    let (work, scratch) = scratch.split_at_mut_checked(size.work())?;
    let (patch, scratch) = scratch.split_at_mut_checked(size.patch_words(filter, blocks.filters))?;
    let (table, scratch) = scratch.split_at_mut_checked(CHANNELS * blocks.filters)?;
    let (places, scratch) = scratch.split_at_mut_checked(size.places() * blocks.tiles)?;
    let (filters, inputs) = scratch.split_at_mut_checked(pair * blocks.filters)?;
    let table: &mut [channels::Pair] = table.as_chunks_mut().0;
    let places: &mut [Places] = places.as_chunks_mut().0.as_chunks_mut().0;
    let (form, store) = (F::new(filter.inputs, work)?, Store::new(op, add, out)?);
    let mut made = Made::<NEEDS, F> { form, store, pair };
    let zero_point = add.map_or(out.zero_point, |add| add.zero_point);
    // Where the reference is linked, a channel may be for it alone: then nothing is written yet.
    if has(NEEDS, REFERENCE) && !channels::suit(op, zero_point, size.doublings()) {
        return None;
    }
    let channels = |index, to: &mut channels::Pair| {
        channels::pair(&op.epilogue, zero_point, size.doublings(), index, to).then_some(())
    };
    let other = add.and_then(|add| add.other.data);
    if other.unwrap_or(out.data).len() < out.dtype.row_bytes(filter.outputs) {
        return None;
    }
    let kept = blocks.filters > 1;
    let patch_words = READ * READ * (op.input.dtype.row_bytes(filter.inputs) / 4);
    let together = if kept { blocks.filters } else { pairs };
    for start in (0..pairs).step_by(together.max(1)) {
        let range = start..pairs.min(start + together);
        if kept {
            let to = filters.chunks_exact_mut(pair.max(1)).zip(table.iter_mut());
            for ((to, row), index) in to.zip(range.clone()) {
                F::filter(&op.filter, index, to);
                channels(index, row)?;
            }
        }
        let mut lines = Lines::<MADE>::new(out);
        let mut band = Band::<NEEDS, READ>::new(op, rows.start);
        for first in (0..tiles).step_by((2 * blocks.tiles).max(1)) {
            let block = 2 * blocks.tiles.min((tiles - first).div_ceil(2));
            let patch = if kept { &mut *patch } else { &mut *filters };
            let patch = patch.get_mut(..patch_words)?;
            for at in 0..block {
                let tile = first + at;
                let x = MADE * (tile % across);
                if tile < tiles {
                    if x == 0 {
                        let y = rows.start + MADE * (tile / across);
                        lines.begin(add, rows.end, out, y);
                        band = Band::new(op, y);
                    }
                    let to = inputs.get_mut(at / 2 * pair..).unwrap_or_default();
                    band.transform(x, patch, to, at % 2);
                }
                let parts = places.get_mut(at / 2 * 2 * F::PARTS + at % 2..)?;
                for (part, place) in parts.iter_mut().step_by(2).take(F::PARTS).enumerate() {
                    if tile < tiles {
                        lines.part(x, part, place);
                    } else {
                        *place = DROPPED;
                    }
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
                F::filter(&op.filter, index, filters);
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
struct Made<const NEEDS: u32, F> {
    form: F,
    store: Store<NEEDS>,
    /// Words of a pair of tiles or filters.
    pair: usize,
}

impl<'a, const NEEDS: u32, F: Form<'a, NEEDS>> Made<NEEDS, F> {
    /// Every pair of tiles meets every pair of filters; the first of these is pair `index` of the
    /// output channels.
    ///
    /// # Safety
    ///
    /// Every pixel at a place but `NOWHERE` lies inside `out`, every other addend inside `other`.
    #[inline(never)]
    unsafe fn meet(
        &mut self,
        (inputs, places): (&[u32], &[[Places; 2]]),
        (filters, table): (&[u32], &[channels::Pair]),
        index: usize,
        out: &mut [u8],
        other: Option<&[u8]>,
    ) {
        let mut own = [[0; 4]; 4];
        let (pair, step) = (self.pair.max(1), self.store.step());
        let places = places.chunks_exact(F::PARTS);
        for (inputs, places) in inputs.chunks_exact(pair).zip(places) {
            let mut skip = index * step;
            for (weights, channels) in filters.chunks_exact(pair).zip(table) {
                let values = self.form.outputs(inputs, weights, channels, &mut own);
                if values.len() == places.len() {
                    // SAFETY: the caller's promise; a chunk of places is not empty.
                    unsafe { self.store.tiles(values, skip, places, out, other) };
                }
                skip += step;
            }
        }
    }
}
