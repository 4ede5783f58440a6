//! ResNets for 32x32 images: MLPerf Tiny's ResNet-8 and the CIFAR ResNet-20, -32, -56.
//!
//! Depth is `6 n + 2` with `n` residual blocks in each of three stacks of 16, 32 and 64 channels
//! times the width. Unlike the MLPerf reference every convolution has a batch norm, shortcuts
//! too: it folds away.

use crate::graph::Graph;
use crate::nets::Builder;

/// A ResNet's depth and width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResNet {
    /// Residual blocks per stack: 1 for ResNet-8, 3 for ResNet-20.
    pub blocks: usize,
    /// Factor of every channel count, which is then rounded to a multiple of 4.
    pub width: f32,
}

impl ResNet {
    /// The network of `depth` layers, if there is one: 8, 14, 20, ...
    pub fn with_depth(depth: usize, width: f32) -> Option<Self> {
        let blocks = depth.checked_sub(2)? / 6;
        (blocks > 0 && blocks * 6 + 2 == depth && width > 0.0 && width <= 16.0)
            .then_some(Self { blocks, width })
    }

    /// Convolutions and dense layers on the longest path.
    pub fn depth(self) -> usize {
        self.blocks * 6 + 2
    }

    /// The graph with initial weights drawn from `seed`; one logit per label.
    pub fn graph(self, labels: Vec<String>, seed: u64) -> Graph {
        let name = format!("resnet{}-w{}", self.depth(), self.width);
        let classes = labels.len();
        let mut net = Builder::new(name, [32, 32, 3], labels, seed);
        let mut x = net.conv("stem", net.image(), self.channels(16), 3, 1, true);
        for stack in 0..3 {
            for block in 0..self.blocks {
                let name = match self.blocks {
                    1 => format!("stack{}", stack + 1),
                    _ => format!("stack{}.block{}", stack + 1, block + 1),
                };
                let stride = if stack > 0 && block == 0 { 2 } else { 1 };
                x = net.residual(&name, x, self.channels(16 << stack), stride);
            }
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

    fn labels() -> Vec<String> {
        (0..10).map(|i| i.to_string()).collect()
    }

    fn parameters(graph: &Graph) -> usize {
        graph
            .nodes
            .iter()
            .map(|node| match &node.op {
                Op::Conv2d(c) | Op::Dense(c) => c.weights.len() + c.bias.len(),
                _ => 0,
            })
            .sum()
    }

    #[test]
    fn resnet8_is_the_mlperf_network() {
        let net = ResNet::with_depth(8, 1.0).expect("a depth").graph(labels(), 1);
        // 432 + 2 * 2304 + 4608 + 9216 + 512 + 18432 + 36864 + 2048 + 640 weights, 314 + 10 biases.
        assert_eq!(parameters(&net), 77_360 + 16 * 3 + 32 * 3 + 64 * 3 + 10);
        assert_eq!(net.nodes.len(), 14);
        assert_eq!(net.tensors[net.output].shape, [1, 1, 10]);
        let strided = net.nodes.iter().find(|n| n.name == "stack2.conv1").expect("the node");
        let Op::Conv2d(conv) = &strided.op else { panic!("a convolution") };
        assert_eq!(conv.window.padding, [0, 1, 0, 1]);
    }

    #[test]
    fn depths_and_widths() {
        assert_eq!(ResNet::with_depth(20, 1.0).map(|r| r.blocks), Some(3));
        assert!(ResNet::with_depth(9, 1.0).is_none());
        assert!(ResNet::with_depth(2, 1.0).is_none());
        let narrow = ResNet { blocks: 1, width: 0.25 };
        assert_eq!([16, 32, 64].map(|c| narrow.channels(c)), [4, 8, 16]);
        assert_eq!(
            ResNet { blocks: 1, width: 0.5 }.graph(labels(), 1),
            ResNet { blocks: 1, width: 0.5 }.graph(labels(), 1)
        );
    }
}
