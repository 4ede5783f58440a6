//! How the kernels share out scratch: what the compiler reserves, the check of an artefact demands
//! and the kernels use. Compiles on every target.

use crate::kernels::args::Window;
use crate::kernels::choice::{Kernel, LinearSpec};
use crate::layout::{FilterShape, WeightBits};

/// Output channels that are computed together.
pub const GROUP: usize = 4;
/// Bytes of a vector.
pub const VECTOR: usize = 16;
/// Words of a group's constants: bias, multiplier and shift of each channel.
pub(super) const TABLE: usize = 3 * GROUP;
/// Words of sixteen channels' constants.
pub(super) const DEPTHWISE_TABLE: usize = 3 * VECTOR;
/// Most taps of which the products of int8 values with 4-bit weights sum up to 16 bits.
const TAPS: usize = 31;
/// Most neighbouring outputs of a row that share a panel.
const COLUMNS: usize = 32;
/// Into how many parts the channels may be cut.
const PARTS: [usize; 12] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64];

/// How a convolution shares out its scratch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// Neighbouring outputs of a row that share a panel.
    pub columns: usize,
    /// Groups of output channels whose weights are kept.
    pub groups: usize,
}

/// Bytes of scratch with which a kernel runs: step 0 is its best, the others take parts of the
/// channels in turn. `None` where it does not suit or has no such step.
pub fn bytes(kernel: Kernel, spec: &LinearSpec, step: usize) -> Option<usize> {
    match kernel {
        Kernel::Direct if spec.depthwise => {
            if !suits(spec.filter, spec.bits) {
                return (step == 0).then_some(0);
            }
            let columns = spec.output.0.width.min(COLUMNS) >> step.min(COLUMNS);
            (columns > 0).then(|| depthwise_bytes(spec.filter, &spec.window, columns))
        }
        Kernel::Direct => {
            let groups = spec.filter.outputs.div_ceil(GROUP).div_ceil(*PARTS.get(step)?);
            let columns = columns(spec).min(COLUMNS);
            Some(direct_bytes(spec.filter, &spec.window, Blocks { columns, groups }))
        }
        Kernel::Winograd | Kernel::Winograd4x4 => None,
    }
}

/// Outputs of a row; a product has one row.
fn columns(spec: &LinearSpec) -> usize {
    let shape = spec.output.0;
    if spec.filter.taps == 1 { shape.pixels() } else { shape.width }
}

/// Vectors of a patch.
pub const fn vectors(filter: FilterShape) -> usize {
    (filter.taps * filter.inputs).div_ceil(VECTOR)
}

/// Bytes of a panel, and of the vector that the last patch may read behind it.
pub(super) const fn panel_bytes(filter: FilterShape, window: &Window, columns: usize) -> usize {
    let across = columns.saturating_sub(1) * window.stride[1] + window.kernel[1];
    (across * window.kernel[0] * filter.inputs).next_multiple_of(4) + VECTOR
}

/// Bytes of a direct convolution's scratch.
pub const fn direct_bytes(filter: FilterShape, window: &Window, blocks: Blocks) -> usize {
    panel_bytes(filter, window, blocks.columns) + blocks.groups * group_bytes(filter, blocks.columns)
}

/// Bytes of a group: constants, weights, values that are not stored yet.
const fn group_bytes(filter: FilterShape, columns: usize) -> usize {
    4 * TABLE + GROUP * VECTOR * vectors(filter) + GROUP * columns
}

/// The blocks for rows of `width` outputs within so many bytes; `None` where not one group fits.
pub fn blocks(filter: FilterShape, window: &Window, width: usize, bytes: usize) -> Option<Blocks> {
    let mut columns = width.clamp(1, COLUMNS);
    loop {
        let rest = bytes.saturating_sub(panel_bytes(filter, window, columns));
        let groups = rest.checked_div(group_bytes(filter, columns))?.min(filter.outputs.div_ceil(GROUP));
        if groups > 0 {
            return Some(Blocks { columns, groups });
        }
        if columns == 1 {
            return None;
        }
        columns = columns.div_ceil(2);
    }
}

/// Whether the depthwise kernel has a form for a filter.
const fn suits(filter: FilterShape, bits: WeightBits) -> bool {
    filter.taps <= TAPS && matches!(bits, WeightBits::Four)
}

/// Bytes of a depthwise convolution's scratch: a panel, and per vector of channels constants,
/// weights, values that are not stored yet.
const fn depthwise_bytes(filter: FilterShape, window: &Window, columns: usize) -> usize {
    let panel = panel_bytes(FilterShape { inputs: filter.outputs, ..filter }, window, columns);
    let vector = 4 * DEPTHWISE_TABLE + VECTOR * (filter.taps + columns);
    panel + vector * filter.outputs.div_ceil(VECTOR)
}

/// Neighbouring outputs of a row of `width` that share a panel; `None` where the kernel does not
/// suit or not one fits.
pub fn depthwise_columns(
    filter: FilterShape,
    bits: WeightBits,
    window: &Window,
    width: usize,
    bytes: usize,
) -> Option<usize> {
    let most = width.clamp(1, COLUMNS);
    let mut steps = (0..).map(|step| most >> step).take_while(|&columns| columns > 0);
    steps.find(|&columns| suits(filter, bits) && depthwise_bytes(filter, window, columns) <= bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { kernel: [3; 2], stride: [1; 2], padding: [1; 4] };
    const FILTER: FilterShape = FilterShape { outputs: 16, taps: 9, inputs: 16 };

    #[test]
    fn bytes_by_hand() {
        // Ten columns of 48 bytes and a vector; per group 48 of constants, 576 of weights, 32 values.
        let all = Blocks { columns: 8, groups: 4 };
        assert_eq!(direct_bytes(FILTER, &WINDOW, all), 496 + 4 * 656);
        assert_eq!(blocks(FILTER, &WINDOW, 8, 496 + 4 * 656), Some(all));
        assert_eq!(blocks(FILTER, &WINDOW, 8, 496 + 4 * 656 - 1), Some(Blocks { columns: 8, groups: 3 }));
        // Four columns take 304 bytes and 640 a group; one 160 and 628.
        assert_eq!(blocks(FILTER, &WINDOW, 8, 1151), Some(Blocks { columns: 4, groups: 1 }));
        assert_eq!(blocks(FILTER, &WINDOW, 8, 788), Some(Blocks { columns: 1, groups: 1 }));
        assert_eq!(blocks(FILTER, &WINDOW, 8, 787), None);
    }
}
