//! Direct convolution and matrix products: a filter's rows and the patches of two neighbouring
//! positions become vectors of lanes in scratch, and every pair of rows meets the pair of patches.

use core::ops::Range;

use super::scratch::direct_pairs;
use super::store::Store;
use super::{channels, dot, patch, weights};
use crate::kernels::args::{Conv2d, ConvAdd, TensorMut};
use crate::kernels::needs::ALL;
use crate::kernels::words;

/// Fills the rows of `out`; false, and nothing done, where the scratch is too small.
pub(super) fn conv2d<const NEEDS: u32>(
    op: &Conv2d<'_>,
    add: Option<&ConvAdd<'_>>,
    rows: Range<usize>,
    scratch: &mut [u8],
    out: &mut TensorMut<'_>,
) -> bool {
    run::<NEEDS>(op, add, rows, scratch, out).is_some()
}

/// Whether so many bytes of scratch suffice and every channel has a form here.
pub(super) fn suits(op: &Conv2d<'_>, add: Option<&ConvAdd<'_>>, out: &TensorMut<'_>, scratch: usize) -> bool {
    let zero_point = add.map_or(out.zero_point, |add| add.zero_point);
    op.window.kernel[0] <= patch::ROWS
        && direct_pairs(op.filter.shape, scratch) > 0
        && Store::<ALL>::new(op, add, out).is_some()
        && channels::suit(op, zero_point, 0)
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
    let groups = (filter.taps * filter.inputs).div_ceil(dot::GROUP);
    let block = direct_pairs(filter, scratch.len());
    let pairs = filter.outputs.div_ceil(2);
    let (bytes, scratch) = scratch.split_at_mut_checked(4 * groups)?;
    let (spare, scratch) = scratch.split_at_mut_checked(4 * pairs.div_ceil(2))?;
    let (table, scratch) = words::unsigned(scratch).split_at_mut_checked(8 * pairs)?;
    let (x, scratch) = scratch.split_at_mut_checked(dot::GROUP * groups)?;
    let (sums, scratch) = scratch.split_at_mut_checked(dot::GROUP * block)?;
    let (table, sums) = (table.as_chunks_mut().0, sums.as_chunks_mut().0);
    if sums.is_empty() || x.is_empty() {
        return None;
    }
    if op.window.kernel[0] > patch::ROWS {
        return None;
    }
    let store = Store::<NEEDS>::new(op, add, out);
    let store = store.as_ref()?;
    let zero_point = add.map_or(out.zero_point, |add| add.zero_point);
    if !channels::prepare(table, &op.epilogue, zero_point, 0) {
        return None;
    }
    let table: &[channels::Pair] = table;
    let pixel = out.dtype.row_bytes(filter.outputs);
    let shape = out.shape;
    for first in (0..pairs).step_by(block.max(1)) {
        let filled = scratch.chunks_exact_mut(x.len().max(1)).zip(first..pairs).take(block);
        for (to, pair) in filled {
            weights::pair(&op.filter, pair, to);
        }
        let sums = sums.get_mut(..block.min(pairs - first)).unwrap_or(&mut []);
        for y in rows.clone() {
            let other = add.map_or(&[][..], |add| add.other.row(shape, y));
            let row = out.row(y);
            let input = patch::Rows::<NEEDS>::new(op, y);
            let input = input.as_ref()?;
            for column in (0..shape.width).step_by(2) {
                if !input.gather_two(column, x) {
                    input.gather(column, bytes, x, 0);
                    if column + 1 < shape.width {
                        input.gather(column + 1, bytes, x, 1);
                    }
                }
                dot::with_each(x, scratch, sums);
                let (_, pixels) = row.split_at_mut_checked(column * pixel)?;
                let (one, rest) = pixels.split_at_mut_checked(pixel)?;
                let two = rest.get_mut(..pixel).unwrap_or(spare);
                let other = other.get(column * pixel..).unwrap_or_default();
                store.pixels(sums, table.get(first..).unwrap_or_default(), first, [one, two], other);
            }
        }
    }
    Some(())
}
