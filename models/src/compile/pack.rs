//! Filters and per-channel constants as bytes, in the order of a layout.

use fourbit::artefact::Linear;
use fourbit::artefact::header::ALIGN;
use fourbit::layout::{FilterShape, Layout, WeightBits};

use crate::quantize::{QGraph, QLinear, QOp};

/// The weights and channels sections, and per node where its constants lie in them.
#[derive(Debug, Default)]
pub(super) struct Packed {
    pub(super) weights: Vec<u8>,
    pub(super) channels: Vec<u8>,
    pub(super) linears: Vec<Option<Linear>>,
}

/// Packs every filter once, in the order of the nodes.
pub(super) fn pack(graph: &QGraph) -> Packed {
    let mut packed = Packed::default();
    for node in &graph.nodes {
        let linear = node.op.linear().map(|linear| packed.push(linear, layout(&node.op)));
        packed.linears.push(linear);
    }
    packed
}

/// The order of a linear operation's weights.
pub(super) fn layout(op: &QOp) -> Layout {
    match op {
        QOp::DepthwiseConv2d(..) => Layout::TapMajor,
        _ => Layout::OutputMajor,
    }
}

impl Packed {
    fn push(&mut self, linear: &QLinear, layout: Layout) -> Linear {
        pad(&mut self.weights, ALIGN);
        pad(&mut self.channels, 4);
        // Sections that outgrow 32 bits are refused as a whole, before a record is read.
        let (weights, channels) = (self.weights.len() as u32, self.channels.len() as u32);
        self.weights.extend(filter(&linear.weights, linear.shape, linear.bits, layout));
        self.channels.extend(linear.bias.iter().flat_map(|bias| bias.to_le_bytes()));
        self.channels.extend(linear.rescale.iter().flat_map(|rescale| rescale.multiplier.to_le_bytes()));
        self.channels.extend(linear.rescale.iter().map(|rescale| rescale.shift));
        Linear { bits: linear.bits, layout, min: linear.min, max: linear.max, weights, channels }
    }
}

/// Zeros up to a multiple of `align`.
fn pad(bytes: &mut Vec<u8>, align: usize) {
    bytes.resize(bytes.len().next_multiple_of(align), 0);
}

/// A filter's bytes; `weights` are `[output][tap][input]`.
fn filter(weights: &[i8], shape: FilterShape, bits: WeightBits, layout: Layout) -> Vec<u8> {
    let (_, columns) = layout.rows(shape);
    let row_bytes = bits.row_bytes(columns);
    let mut bytes = vec![0; layout.bytes(shape, bits)];
    for (index, &weight) in weights.iter().enumerate() {
        let (output, rest) = (index / (shape.taps * shape.inputs), index % (shape.taps * shape.inputs));
        let (row, at) = layout.position(shape, output, rest / shape.inputs, rest % shape.inputs);
        bits.set(&mut bytes[row * row_bytes..(row + 1) * row_bytes], at, weight);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use fourbit::kernels::Filter;

    #[test]
    fn nibbles_by_hand() {
        let shape = FilterShape { outputs: 2, taps: 3, inputs: 1 };
        let weights = [1, -1, 2, -7, 7, -2];
        // A row per output: (1, -1) (2, 0) and (-7, 7) (-2, 0), low nibble first.
        assert_eq!(filter(&weights, shape, WeightBits::Four, Layout::OutputMajor), [0xF1, 0x02, 0x79, 0x0E]);
        // A row per tap: (1, -7) (-1, 7) (2, -2).
        assert_eq!(filter(&weights, shape, WeightBits::Four, Layout::TapMajor), [0x91, 0x7F, 0xE2]);
        assert_eq!(filter(&weights, shape, WeightBits::Eight, Layout::TapMajor), [1, 0xF9, 0xFF, 7, 2, 0xFE]);
    }

    #[test]
    fn the_runtime_reads_what_was_packed() {
        let shape = FilterShape { outputs: 5, taps: 3, inputs: 3 };
        let weights: Vec<i8> = (0..45).map(|i| i % 15 - 7).collect();
        for bits in [WeightBits::Four, WeightBits::Eight] {
            for layout in [Layout::OutputMajor, Layout::TapMajor] {
                let data = filter(&weights, shape, bits, layout);
                let read = Filter { data: &data, shape, bits, layout, offset: 0 };
                for (index, &weight) in weights.iter().enumerate() {
                    assert_eq!(read.get(index / 9, index / 3 % 3, index % 3), i32::from(weight));
                }
            }
        }
    }
}
