//! Depthwise 3x3 convolutions, four neighbouring channels at a time.
//!
//! For a row of outputs and a group of four channels the three input rows become columns of lanes in
//! scratch ([`columns`]), each of which three neighbouring outputs read. A block of words holds all
//! constants of a group ([`block`]); [`taps`] walks over both.

mod block;
mod columns;
mod taps;

use core::ops::Range;

use self::block::{BLOCK, Block};
use self::columns::{COLUMN, Column};
use super::dot::Sums;
use super::scratch::{Depthwise, GROUP};
use super::store::Clamp;
use crate::kernels::args::{Conv2d, TensorMut, TensorRef, Window};
use crate::kernels::words;
use crate::shape::DType;

/// Fills the rows of `out`; false where the operation has no form here or the scratch is too small: the
/// rows then hold anything.
pub(super) fn conv2d(
    op: &Conv2d<'_>,
    rows: Range<usize>,
    scratch: &mut [u8],
    out: &mut TensorMut<'_>,
) -> bool {
    run(op, rows, scratch, out).is_some()
}

#[inline(never)]
fn run(op: &Conv2d<'_>, rows: Range<usize>, scratch: &mut [u8], out: &mut TensorMut<'_>) -> Option<()> {
    let (filter, window, input) = (&op.filter, &op.window, &op.input);
    let form = Depthwise::new(window, filter.shape, filter.layout, out.shape.width)?;
    let at_once = form.groups_within(scratch.len());
    let groups = filter.shape.outputs / GROUP;
    let (values, scratch) = words::unsigned(scratch).split_at_mut_checked(GROUP * out.shape.width)?;
    let (columns, blocks) = scratch.split_at_mut_checked(COLUMN * form.columns)?;
    let (values, columns) = (values.as_chunks_mut().0, columns.as_chunks_mut::<COLUMN>().0);
    let blocks = blocks.as_chunks_mut::<BLOCK>().0.get_mut(..at_once.min(groups))?;
    if blocks.is_empty() {
        return None;
    }
    // Columns beside the image stay zeros; those inside it are written row by row.
    let left = window.padding[2].min(columns.len());
    let inside = left..(left + input.shape.width).min(columns.len());
    columns.fill([0; COLUMN]);
    for first in (0..groups).step_by(blocks.len()) {
        let count = blocks.len().min(groups - first);
        for (group, to) in (first..).zip(blocks.iter_mut().take(count)) {
            block::prepare(to, filter, &op.epilogue, group, out.zero_point)?;
        }
        for y in rows.clone() {
            let (lines, there) = lines(input, window, y);
            let (pixel, dtype) = (out.dtype.row_bytes(out.shape.channels), out.dtype);
            let row = out.row(y);
            for (group, block) in (first..).zip(blocks.iter().take(count)) {
                let masked;
                let block = if there == [true; 3] {
                    block
                } else {
                    masked = block::without(block, there);
                    &masked
                };
                columns::fill(lines, input, group, columns.get_mut(inside.clone())?);
                let row = row.get_mut(group * dtype.row_bytes(GROUP)..).unwrap_or_default();
                put(op, block, columns, values, (row, dtype, pixel));
            }
        }
    }
    Some(())
}

/// The three input rows that a row of outputs reads, and which of them there are: a missing one is
/// stood for by another.
fn lines<'a>(input: &TensorRef<'a>, window: &Window, y: usize) -> ([&'a [u8]; 3], [bool; 3]) {
    let sources = [0, 1, 2].map(|tap| window.source(0, y, tap, input.shape.height));
    let any = sources.iter().flatten().next().map_or(&[][..], |&y| input.row(y));
    (sources.map(|source| source.map_or(any, |y| input.row(y))), sources.map(|source| source.is_some()))
}

/// Sums of a row of outputs of a group, finished and stored: in `row` from the group's bytes on.
fn put(
    op: &Conv2d<'_>,
    block: &Block,
    columns: &[Column],
    values: &mut [Sums],
    (row, dtype, pixel): (&mut [u8], DType, usize),
) {
    let (stride, min, max) = (op.window.stride[1], op.epilogue.min, op.epilogue.max);
    if dtype == DType::I8 && (min, max) == (-128, 127) {
        return taps::saturated(columns, stride, block, values.len(), row, pixel);
    }
    taps::values(columns, stride, block, values);
    let clamp = Clamp::new(min, max);
    for (to, values) in row.chunks_mut(pixel.max(1)).zip(&*values) {
        let [a, b, c, d] = values.map(|value| clamp.apply(value as i32) as u8);
        if dtype == DType::I8 {
            write(to, [a, b, c, d]);
        } else {
            write(to, [(a & 0x0F) | b << 4, (c & 0x0F) | d << 4]);
        }
    }
}

#[inline(always)]
fn write<const N: usize>(to: &mut [u8], bytes: [u8; N]) {
    if let Some(to) = to.first_chunk_mut() {
        *to = bytes;
    }
}
