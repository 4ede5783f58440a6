//! Which kernels suit an operation and how they share out scratch: what the compiler reserves, the
//! check of an artefact demands and the kernels use. Compiles on every target.

use crate::kernels::args::Window;
use crate::kernels::choice::{Kernel, LinearSpec};
use crate::layout::{FilterShape, Layout, WeightBits};
use crate::shape::DType;

/// Into how many parts the work may be cut.
const PARTS: [usize; 12] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];
/// Input channels of a convolution in tiles, at most.
pub(super) const INPUTS: usize = 80;
/// Words of what the sums of a pair of output channels are finished with.
pub(super) const CHANNELS: usize = 8;

/// Bytes of scratch with which a kernel runs: step 0 is its best, the others take parts of the work
/// in turn.
/// `None` where it does not suit or has no such step.
pub fn bytes(kernel: Kernel, spec: &LinearSpec, step: usize) -> Option<usize> {
    let (filter, shape) = (spec.filter, spec.output.0);
    let pairs = filter.outputs.div_ceil(2);
    match kernel {
        Kernel::Direct if spec.depthwise => depthwise_bytes(spec, step),
        Kernel::Direct => Some(direct_bytes(filter, pairs.div_ceil(*PARTS.get(step)?))),
        Kernel::Winograd | Kernel::Winograd4x4 if !spec.depthwise => {
            let form = Tiles::of(kernel)?;
            if !suits(form, &spec.window, filter, spec.bits, spec.layout, spec.input.1) {
                return None;
            }
            let [down, across] = [shape.height, shape.width].map(|side| side.div_ceil(form.side()));
            let tiles = (down * across).div_ceil(2);
            let (tiles, filters) = match step {
                0..12 => (tiles.div_ceil(*PARTS.get(step)?), 1),
                12..24 => (1, pairs.div_ceil(*PARTS.get(step - 12)?)),
                24 => (4.min(tiles), pairs),
                25 => (8.min(tiles), pairs),
                _ => return None,
            };
            Some(form.bytes(filter, Blocks { tiles, filters }))
        }
        Kernel::Winograd | Kernel::Winograd4x4 => None,
    }
}

/// Channels that a depthwise convolution takes at once.
pub(super) const GROUP: usize = 4;

/// A depthwise convolution that has a form of its own; the others need no scratch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depthwise {
    /// Input columns that a row of outputs reads, those beside the image counted.
    pub columns: usize,
    /// Columns of the output.
    pub width: usize,
}

impl Depthwise {
    /// `None` for other windows than 3x3 at a horizontal stride of 1 or 2, for channels that are not whole
    /// groups, and for other layouts than a row per tap.
    pub fn new(window: &Window, filter: FilterShape, layout: Layout, width: usize) -> Option<Self> {
        let stride = window.stride[1];
        let three = window.kernel == [3, 3] && matches!(stride, 1 | 2);
        let whole = filter.outputs.is_multiple_of(GROUP) && layout == Layout::TapMajor;
        (three && whole && width > 0).then(|| Self { columns: (width - 1) * stride + 3, width })
    }

    /// Bytes of scratch for the constants of so many groups of channels at once.
    pub const fn bytes(&self, groups: usize) -> usize {
        // Sums and columns of a row; blocks of 34 words.
        16 * self.width + 24 * self.columns + 136 * groups
    }

    /// Groups of channels whose constants so many bytes hold; 0 where it cannot run.
    pub const fn groups_within(&self, bytes: usize) -> usize {
        bytes.saturating_sub(self.bytes(0)) / 136
    }
}

/// Bytes of scratch of a depthwise convolution, as [`bytes`].
fn depthwise_bytes(spec: &LinearSpec, step: usize) -> Option<usize> {
    let groups = spec.filter.outputs / GROUP;
    match Depthwise::new(&spec.window, spec.filter, spec.layout, spec.output.0.width) {
        Some(form) => Some(form.bytes(groups.div_ceil(*PARTS.get(step)?))),
        None => (step == 0).then_some(0),
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
    /// Pairs of output channels whose transformed filters are kept. One: each tile's input is
    /// transformed once, the filters for every block of tiles. More: the filters once, the inputs
    /// for every block of channels.
    pub filters: usize,
}

/// Sizes of Winograd's tiles of outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tiles {
    /// 2x2.
    Two,
    /// 4x4.
    Four,
}

/// Whether the kernel has a form for this filter, window and input.
pub const fn suits(
    tiles: Tiles,
    window: &Window,
    filter: FilterShape,
    bits: WeightBits,
    layout: Layout,
    dtype: DType,
) -> bool {
    let [[height, width], [down, across]] = [window.kernel, window.stride];
    let three = height == 3 && width == 3 && down == 1 && across == 1;
    let small = window.padding[0] < 3 && window.padding[2] < 3;
    let eights = filter.inputs.is_multiple_of(8) && matches!(filter.inputs, 8..=INPUTS);
    let channels = eights && filter.outputs.is_multiple_of(2);
    let plain = matches!(layout, Layout::OutputMajor);
    let four = matches!(bits, WeightBits::Four);
    let input = match tiles {
        Tiles::Two => matches!(dtype, DType::I8) || (matches!(dtype, DType::U4) && four),
        Tiles::Four => matches!(dtype, DType::I8 | DType::U4) && four,
    };
    three && small && channels && plain && input
}

impl Tiles {
    /// Those of a kernel.
    pub const fn of(kernel: Kernel) -> Option<Self> {
        match kernel {
            Kernel::Direct => None,
            Kernel::Winograd => Some(Self::Two),
            Kernel::Winograd4x4 => Some(Self::Four),
        }
    }

    /// Outputs on a side.
    pub const fn side(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Products for a tile.
    pub const fn positions(self) -> usize {
        (self.side() + 2) * (self.side() + 2)
    }

    /// How often the outputs are to be halved.
    pub const fn doublings(self) -> u8 {
        match self {
            Self::Two => 2,
            Self::Four => 6,
        }
    }

    /// Words of the places of a pair of tiles.
    pub(super) const fn places(self) -> usize {
        4 * self.side() * self.side()
    }

    /// Words in which outputs of a pair of tiles are made.
    pub(super) const fn work(self) -> usize {
        match self {
            Self::Two => 0,
            Self::Four => 160,
        }
    }

    /// Words of a tile's input where many filters are kept; where one is, it lies in the filter's place.
    pub(super) const fn patch_words(self, filter: FilterShape, filters: usize) -> usize {
        if filters > 1 { self.positions() * filter.inputs / 4 } else { 0 }
    }

    /// Bytes of scratch for so many pairs of tiles and of output channels.
    pub const fn bytes(self, filter: FilterShape, blocks: Blocks) -> usize {
        let pair = self.positions() * filter.inputs;
        let filters = (pair + CHANNELS) * blocks.filters;
        let tiles = (pair + self.places()) * blocks.tiles;
        4 * (self.work() + self.patch_words(filter, blocks.filters) + filters + tiles)
    }

    /// The blocks for `tiles` pairs of tiles that transform least within so many bytes; `None` where
    /// not one of each fits.
    pub fn blocks(self, filter: FilterShape, tiles: usize, bytes: usize) -> Option<Blocks> {
        let (pair, pairs) = (self.positions() * filter.inputs, filter.outputs / 2);
        let places = self.places();
        let words = (bytes / 4).checked_sub(self.work())?;
        let rest = |filters| words.saturating_sub(self.patch_words(filter, filters));
        let some = rest(1).checked_sub(pair + CHANNELS)?.checked_div(pair + places)?.min(tiles);
        if some == 0 {
            return None;
        }
        let kept = rest(pairs).saturating_sub(pair + places).checked_div(pair + CHANNELS)?.min(pairs);
        // Two pairs of tiles take about as long as three pairs of filters.
        let by_tiles = 3 * tiles + 2 * pairs * tiles.div_ceil(some);
        let by_filters = 3 * tiles * pairs.div_ceil(kept.max(1)) + 2 * pairs;
        Some(if by_filters < by_tiles && kept > 1 {
            let left = (rest(kept) - (pair + CHANNELS) * kept).checked_div(pair + places)?;
            Blocks { tiles: left.min(tiles), filters: kept }
        } else {
            Blocks { tiles: some, filters: 1 }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_by_hand() {
        let colours = FilterShape { outputs: 16, taps: 9, inputs: 3 };
        // Seven groups, eight pairs: 28 and 16 bytes, 256 of channels, 112 of patches, 128 a pair.
        assert_eq!(direct_bytes(colours, 8), 1436);
        assert_eq!([1436, 1435, 540, 539].map(|bytes| direct_pairs(colours, bytes)), [8, 7, 1, 0]);
        let block = FilterShape { outputs: 16, taps: 9, inputs: 16 };
        // A pair of filters of 264 and a pair of tiles of 272.
        assert_eq!(Tiles::Two.bytes(block, Blocks { tiles: 1, filters: 1 }), 2144);
        assert_eq!(Tiles::Two.blocks(block, 64, 2143), None);
        assert_eq!(Tiles::Two.blocks(block, 64, 2144), Some(Blocks { tiles: 1, filters: 1 }));
        // 64 words, four pairs of filters and one of tiles: inputs twice and 8 filters, not inputs once
        // and 8 filters 16 times.
        let four = Blocks { tiles: 1, filters: 4 };
        assert_eq!(Tiles::Two.bytes(block, four), 5568);
        assert_eq!(Tiles::Two.blocks(block, 64, 5568), Some(four));
        assert_eq!(Tiles::Two.blocks(block, 64, 1 << 20), Some(Blocks { tiles: 64, filters: 1 }));
        // 160 words beside them, filters of 584 and tiles of 640.
        assert_eq!(Tiles::Four.bytes(block, Blocks { tiles: 1, filters: 1 }), 5536);
        assert_eq!(Tiles::Four.blocks(block, 16, 5535), None);
        assert_eq!(Tiles::Four.blocks(block, 16, 5536), Some(Blocks { tiles: 1, filters: 1 }));
    }

    #[test]
    fn steps_end() {
        let shape = crate::shape::Shape::new(8, 8, 16);
        let spec = LinearSpec {
            depthwise: false,
            window: Window { kernel: [3; 2], stride: [1; 2], padding: [1; 4] },
            filter: FilterShape { outputs: 16, taps: 9, inputs: 16 },
            bits: WeightBits::Four,
            layout: Layout::OutputMajor,
            input: (shape, DType::I8),
            output: (shape, DType::I8),
        };
        for (kernel, steps) in [(Kernel::Direct, 12), (Kernel::Winograd, 26), (Kernel::Winograd4x4, 26)] {
            assert_eq!((0..).map_while(|step| bytes(kernel, &spec, step)).count(), steps);
        }
        let strided = LinearSpec { window: Window { stride: [2; 2], ..spec.window }, ..spec };
        assert_eq!(bytes(Kernel::Winograd, &strided, 0), None);
        let depthwise = LinearSpec { depthwise: true, layout: Layout::TapMajor, ..spec };
        let steps = |spec: &LinearSpec| (0..).map_while(|step| bytes(Kernel::Direct, spec, step)).count();
        // Eight sums, ten columns, four blocks.
        assert_eq!((bytes(Kernel::Direct, &depthwise, 0), steps(&depthwise)), (Some(128 + 240 + 544), 12));
        let odd = LinearSpec { filter: FilterShape { outputs: 15, ..spec.filter }, ..depthwise };
        assert_eq!((bytes(Kernel::Direct, &odd, 0), steps(&odd)), (Some(0), 1));
    }
}
