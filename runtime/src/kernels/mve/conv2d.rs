//! Convolutions and matrix products: blocks of output channels whose weights are widened once, and
//! for each some rows of outputs, a panel at a time.

use core::ops::Range;

use super::dot::Block;
use super::panel::Panel;
use super::scratch::{GROUP, TABLE, VECTOR, blocks, vectors};
use super::store::{Place, Store};
use super::weights;
use crate::kernels::args::{Conv2d, ConvAdd, TensorMut};
use crate::kernels::words;

/// Fills the rows of `out`; false, and nothing done, where the scratch is too small or a rescale does
/// not suit.
pub(super) fn conv2d(
    op: &Conv2d<'_>,
    add: Option<&ConvAdd<'_>>,
    rows: Range<usize>,
    scratch: &mut [u8],
    out: &mut TensorMut<'_>,
) -> bool {
    run(op, add, rows, scratch, out).is_some()
}

fn run(
    op: &Conv2d<'_>,
    add: Option<&ConvAdd<'_>>,
    rows: Range<usize>,
    scratch: &mut [u8],
    out: &mut TensorMut<'_>,
) -> Option<()> {
    let (filter, width) = (op.filter.shape, out.shape.width);
    let store = Store::new(op, add, out).filter(|_| weights::suits(&op.epilogue))?;
    let blocks = blocks(filter, &op.window, width, scratch.len())?;
    let (vectors, all) = (vectors(filter), filter.outputs.div_ceil(GROUP));
    let (table, scratch) = words::signed(scratch).split_at_mut_checked(TABLE * blocks.groups)?;
    let scratch = words::bytes(scratch);
    let (filters, scratch) = scratch.split_at_mut_checked(GROUP * VECTOR * vectors * blocks.groups)?;
    let (values, panel) = scratch.split_at_mut_checked(GROUP * blocks.columns * blocks.groups)?;
    let mut panel = Panel::new(op, panel);
    let step = panel.step();
    let zero_point = add.map_or(out.zero_point, |add| add.zero_point);
    for first in (0..all).step_by(blocks.groups.max(1)) {
        let groups = blocks.groups.min(all - first);
        let table = table.as_chunks_mut().0.get_mut(..groups)?;
        let filters = filters.get_mut(..GROUP * VECTOR * vectors * groups)?;
        weights::fill(op, first, filters, table);
        let (min, max) = (op.epilogue.min.into(), op.epilogue.max.into());
        let block = Block { vectors, weights: filters, table, zero_point, min, max };
        let first = GROUP * first;
        for y in rows.clone() {
            for x in (0..width).step_by(blocks.columns.max(1)) {
                let pixels = blocks.columns.min(width - x);
                let patches = panel.fill(y, x, pixels);
                if store.direct {
                    let channels = filter.outputs;
                    let to = out.row(y).get_mut(x * channels + first..).unwrap_or_default();
                    block.run(patches, step, pixels, to, channels);
                } else {
                    block.run(patches, step, pixels, values, GROUP * groups);
                    let channels = (GROUP * groups).min(filter.outputs - first);
                    store.put(values, GROUP * groups, Place { y, x, pixels, first, channels }, out);
                }
            }
        }
    }
    Some(())
}
