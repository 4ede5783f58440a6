//! Which kernels suit an operation and how they share out scratch: what the compiler reserves, the
//! check of an artefact demands and the kernels use. Compiles on every target.

use crate::kernels::args::Window;
use crate::kernels::choice::{Kernel, LinearSpec};
use crate::layout::{FilterShape, Layout, WeightBits};
use crate::shape::DType;

/// Words of the places of a pair of Winograd tiles.
pub(super) const PLACES: usize = 16;

/// Bytes of scratch with which a kernel runs; from step 0, its best, to step 3 with less and less.
/// `None` where it does not suit or has no such step.
pub fn bytes(kernel: Kernel, spec: &LinearSpec, step: usize) -> Option<usize> {
    let (filter, shape) = (spec.filter, spec.output.0);
    let pairs = filter.outputs.div_ceil(2);
    match kernel {
        Kernel::Direct if spec.depthwise => (step == 0).then_some(0),
        Kernel::Direct if step < 4 => Some(direct_bytes(filter, pairs.div_ceil(1 << step))),
        Kernel::Winograd if !spec.depthwise => {
            if !suits(&spec.window, filter, spec.bits, spec.layout, spec.input.1) {
                return None;
            }
            let across = shape.width.div_ceil(2);
            let row = across.div_ceil(2);
            let (tiles, filters) = match step {
                0 => ((shape.height.div_ceil(2) * across).div_ceil(2), 1),
                1 => (row, pairs),
                2 => (row, 1),
                3 => (row.div_ceil(2), 1),
                _ => return None,
            };
            Some(winograd_bytes(filter, Blocks { tiles, filters }))
        }
        Kernel::Direct | Kernel::Winograd => None,
    }
}

/// Pairs of output channels in a block of a direct convolution with so many bytes; 0 where it
/// cannot run.
pub fn direct_pairs(filter: FilterShape, bytes: usize) -> usize {
    let pair = direct_bytes(filter, 1) - direct_bytes(filter, 0);
    let rest = bytes.saturating_sub(direct_bytes(filter, 0));
    rest.checked_div(pair).unwrap_or(0).min(filter.outputs.div_ceil(2))
}

/// Bytes of a direct convolution's scratch for blocks of `pairs` pairs of output channels.
pub const fn direct_bytes(filter: FilterShape, pairs: usize) -> usize {
    let groups = (filter.taps * filter.inputs).div_ceil(4);
    let all = filter.outputs.div_ceil(2);
    // A patch's bytes and a pixel without a place; the channels, the patches, sums and weights.
    4 * groups + 4 * all.div_ceil(2) + 32 * all + 16 * groups + 16 * (groups + 1) * pairs
}

/// How scratch is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// Pairs of tiles in a block.
    pub tiles: usize,
    /// Pairs of output channels whose transformed filters are kept: all, or one at a time.
    pub filters: usize,
}

/// Whether the kernel has a form for this filter, window and input.
pub const fn suits(
    window: &Window,
    filter: FilterShape,
    bits: WeightBits,
    layout: Layout,
    dtype: DType,
) -> bool {
    let [[height, width], [down, across]] = [window.kernel, window.stride];
    let three = height == 3 && width == 3 && down == 1 && across == 1;
    let small = window.padding[0] < 3 && window.padding[2] < 3;
    let channels = matches!(filter.inputs, 16 | 32 | 64) && filter.outputs % 2 == 0;
    let plain = matches!(layout, Layout::OutputMajor);
    let input =
        matches!(dtype, DType::I8) || (matches!(dtype, DType::U4) && matches!(bits, WeightBits::Four));
    three && small && channels && plain && input
}

/// Words beside the blocks: channels, a tile's input, the sums of a block of outputs.
const fn fixed_words(filter: FilterShape) -> usize {
    4 * filter.outputs + 4 * filter.inputs + 64
}

/// Bytes of Winograd's scratch for so many pairs of tiles and of output channels.
pub const fn winograd_bytes(filter: FilterShape, blocks: Blocks) -> usize {
    let pair = 16 * filter.inputs;
    4 * (fixed_words(filter) + pair * blocks.filters + (pair + PLACES) * blocks.tiles)
}

/// The blocks for `tiles` pairs of tiles that transform the filters least often within so many
/// bytes; `None` where not one of each fits.
pub fn blocks(filter: FilterShape, tiles: usize, bytes: usize) -> Option<Blocks> {
    let pair = 16 * filter.inputs;
    let fit = |filters: usize| {
        let rest = (bytes / 4).checked_sub(fixed_words(filter) + pair * filters)?;
        let tiles = rest.checked_div(pair + PLACES)?.min(tiles);
        (tiles > 0).then_some(Blocks { tiles, filters })
    };
    let one = fit(1)?;
    if one.tiles >= tiles { Some(one) } else { fit(filter.outputs / 2).or(Some(one)) }
}
