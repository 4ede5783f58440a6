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
mod input;
mod output;
mod tile;

use core::ops::Range;

use super::family::words;
use super::scratch::{PLACES, blocks, suits};
use super::store::{NOWHERE, Places, Store};
use super::{channels, dot};
use crate::kernels::Ring;
use crate::kernels::args::{Conv2d, ConvAdd, TensorMut};
use crate::shape::DType;

/// Fills the rows of `out`; false, and nothing done, where the kernel does not suit the operation
/// or the scratch is too small.
pub(super) fn conv2d(
    op: &Conv2d<'_>,
    add: Option<&ConvAdd<'_>>,
    rows: Range<usize>,
    scratch: &mut [u8],
    out: &mut TensorMut<'_>,
) -> bool {
    let filter = &op.filter;
    suits(&op.window, filter.shape, filter.bits, filter.layout, op.input.dtype)
        && run(op, add, rows, scratch, out).is_some()
}

#[inline(never)]
fn run(
    op: &Conv2d<'_>,
    add: Option<&ConvAdd<'_>>,
    rows: Range<usize>,
    scratch: &mut [u8],
    out: &mut TensorMut<'_>,
) -> Option<()> {
    let filter = op.filter.shape;
    let [down, across] = [rows.len().div_ceil(2), out.shape.width.div_ceil(2).max(1)];
    let tiles = down * across;
    let scratch = words(scratch);
    let blocks = blocks(filter, tiles.div_ceil(2), 4 * scratch.len())?;
    let [pair, pairs] = [16 * filter.inputs, filter.outputs / 2];
    let (patch, scratch) = scratch.split_at_mut_checked(4 * filter.inputs)?;
    let (table, scratch) = scratch.split_at_mut_checked(8 * pairs)?;
    let patch: &mut [tile::Patch] = patch.as_chunks_mut().0;
    let (sums, scratch) = scratch.split_first_chunk_mut::<64>()?;
    let (places, scratch) = scratch.split_at_mut_checked(PLACES * blocks.tiles)?;
    let (filters, inputs) = scratch.split_at_mut_checked(pair * blocks.filters)?;
    let table = table.as_chunks_mut().0;
    let places: &mut [Places] = places.as_chunks_mut().0.as_chunks_mut().0;
    let sums: &mut [dot::Sums; 16] = sums.as_chunks_mut().0.first_chunk_mut()?;
    let store = Store::new(op, add, out);
    let store = store.as_ref()?;
    let zero_point = add.map_or(out.zero_point, |add| add.zero_point);
    if !channels::prepare(table, &op.epilogue, zero_point, 2) {
        return None;
    }
    let other = add.and_then(|add| add.other.data);
    let kept = blocks.filters > 1;
    let channels = if kept { blocks.filters } else { pairs };
    for (start, table) in (0..pairs).step_by(channels.max(1)).zip(table.chunks(channels.max(1))) {
        if kept {
            for (to, index) in filters.chunks_exact_mut(pair.max(1)).zip(start..pairs) {
                filter::transform(&op.filter, index, op.input.dtype, patch.as_flattened_mut(), to);
            }
        }
        for first in (0..tiles).step_by((2 * blocks.tiles).max(1)) {
            let block = 2 * blocks.tiles.min((tiles - first).div_ceil(2));
            for (at, place) in places.iter_mut().enumerate().take(block) {
                let tile = first + at;
                *place = [[NOWHERE; 2]; 4];
                if tile < tiles {
                    let [y, x] = [rows.start + 2 * (tile / across), 2 * (tile % across)];
                    *place = locate(add, rows.end, out, [y, x]);
                    let to = inputs.get_mut(at / 2 * pair..).unwrap_or_default();
                    input::transform(op, [y, x], patch, to, at % 2);
                }
            }
            for (at, channels) in table.iter().enumerate() {
                let index = start + at;
                if !kept {
                    filter::transform(&op.filter, index, op.input.dtype, patch.as_flattened_mut(), filters);
                }
                let weights = filters.get(if kept { at * pair } else { 0 }..).unwrap_or_default();
                let made = Made { store, index, channels, units: filter.inputs / 16, weights };
                let pairs = inputs.chunks_exact(pair.max(1)).zip(places.as_chunks().0).take(block / 2);
                // SAFETY: `locate` has measured every place, for these slices.
                unsafe { made.tiles(pairs, sums, out.data, other) };
            }
        }
    }
    Some(())
}

/// A pair of output channels, with its transformed filters.
struct Made<'a> {
    store: &'a Store,
    index: usize,
    channels: &'a channels::Pair,
    units: usize,
    weights: &'a [u32],
}

impl Made<'_> {
    /// Makes and stores the outputs of pairs of tiles.
    ///
    /// # Safety
    ///
    /// Every pixel at a place but `NOWHERE` lies inside `out`, its other addend inside `other`.
    #[inline(never)]
    unsafe fn tiles<'t>(
        &self,
        pairs: impl Iterator<Item = (&'t [u32], &'t [Places; 2])>,
        sums: &mut [dot::Sums; 16],
        out: &mut [u8],
        other: Option<&[u8]>,
    ) {
        let mut values = [[0; 4]; 4];
        for (inputs, places) in pairs {
            dot::sixteen(self.units, inputs, self.weights, sums);
            output::transform(sums, self.channels, &mut values);
            // SAFETY: the caller's promise.
            unsafe { self.store.tiles(&values, self.index, places, out, other) };
        }
    }
}

/// Where the outputs of the tile at (`y`, `x`) go, and where the other addend lies; rows from `end`
/// on, columns outside the image and what is outside the memory go nowhere.
#[inline(never)]
fn locate(add: Option<&ConvAdd<'_>>, end: usize, out: &TensorMut<'_>, [y, x]: [usize; 2]) -> Places {
    let (shape, mut places) = (out.shape, [[NOWHERE; 2]; 4]);
    let other = add.and_then(|add| Some((add.other.data?, &add.other)));
    for (k, place) in places.iter_mut().enumerate() {
        let [y, x] = [y + k / 2, x + k % 2];
        let start = |ring: Ring, dtype: DType, bytes: usize| {
            let pixel = dtype.row_bytes(shape.channels);
            let start = (ring.line(y) * shape.width + x) * pixel;
            (y < end && x < shape.width && start.checked_add(pixel)? <= bytes).then_some(start as u32)
        };
        let to = start(out.ring, out.dtype, out.data.len());
        let from = other.map_or(to, |(data, other)| start(other.ring, other.dtype, data.len()));
        if let (Some(to), Some(from)) = (to, from) {
            *place = [to, from];
        }
    }
    places
}
