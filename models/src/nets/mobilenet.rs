//! MobileNetV1 (arXiv 1704.04861) for square RGB images: MLPerf Tiny's visual wake words network at
//! width 0.25 and 96 pixels.
//!
//! A 3x3 stem of stride 2, thirteen blocks of a depthwise 3x3 and a 1x1 convolution, each with batch
//! norm and ReLU, the mean over all positions, a dense layer.

use crate::graph::Graph;
use crate::nets::Builder;

/// Channels behind each block at width 1, and the stride of its depthwise convolution.
const BLOCKS: [(usize, usize); 13] = [
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
];

/// A MobileNetV1's width and images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MobileNetV1 {
    /// Factor of every channel count, which is then rounded to a multiple of 4, at least 4.
    pub width: f32,
    /// Pixels a side.
    pub size: usize,
}

impl MobileNetV1 {
    /// The network of MLPerf Tiny's visual wake words.
    pub const WAKE_WORDS: Self = Self { width: 0.25, size: 96 };

    /// The graph with initial weights drawn from `seed`; one logit per label.
    pub fn graph(self, labels: Vec<String>, seed: u64) -> Graph {
        let name = format!("mobilenetv1-w{}-{}", self.width, self.size);
        let classes = labels.len();
        let mut net = Builder::new(name, [self.size, self.size, 3], labels, seed);
        let mut x = net.conv("stem", net.image(), self.channels(32), 3, 2, true);
        for (block, (channels, stride)) in BLOCKS.into_iter().enumerate() {
            x = net.depthwise(&format!("block{}.depthwise", block + 1), x, 3, stride, true);
            x = net.conv(&format!("block{}.pointwise", block + 1), x, self.channels(channels), 1, 1, true);
        }
        x = net.global_pool("pool", x);
        x = net.dense("dense", x, classes);
        net.finish(x)
    }

    fn channels(self, base: usize) -> usize {
        ((base as f32 * self.width / 4.0).round() as usize).max(1) * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Op;

    #[test]
    fn the_published_sizes() {
        let labels = |classes| (0..classes).map(|class: usize| class.to_string()).collect();
        let full = MobileNetV1 { width: 1.0, size: 224 }.graph(labels(1000), 1);
        let small = MobileNetV1::WAKE_WORDS.graph(labels(2), 1);
        // Parameters (weights, scale and shift of every norm) of the published network; multiplications
        // of the visual wake words network.
        let (parameters, _) = count(&full);
        let (_, macs) = count(&small);
        assert_eq!((parameters, macs), (4_231_976, 7_489_664));
        let shape = |name: &str| small.tensors.iter().find(|t| t.name == name).map(|t| t.shape);
        assert_eq!(shape("block1.pointwise"), Some([48, 48, 16]));
        assert_eq!(shape("block13.depthwise"), Some([3, 3, 256]));
    }

    fn count(graph: &Graph) -> (usize, usize) {
        let (mut parameters, mut macs) = (0, 0);
        for node in &graph.nodes {
            let [height, width, _] = graph.tensors[node.output].shape;
            if let Op::Conv2d(conv) | Op::DepthwiseConv2d(conv) | Op::Dense(conv) = &node.op {
                let beside = if conv.norm.is_some() { 2 } else { 1 };
                parameters += conv.weights.len() + beside * conv.bias.len();
                macs += height * width * conv.weights.len();
            }
        }
        (parameters, macs)
    }
}
