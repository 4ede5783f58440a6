//! ResNet-18 and ResNet-50: 7x7 stem, max pool, four stages, for images of 224x224.
//!
//! Padding is symmetric, as in the published networks; a bottleneck has its stride in the 3x3
//! convolution (version 1.5).

use crate::graph::{Graph, TensorId, Window};
use crate::nets::Builder;

/// A ResNet for large images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageNetResNet {
    /// Residual blocks of each stage.
    pub blocks: [usize; 4],
    /// Blocks of 1x1, 3x3 and 1x1 with four times the channels, instead of two 3x3.
    pub bottleneck: bool,
}

impl ImageNetResNet {
    /// 1.8 billion multiplications at 224x224.
    pub const RESNET18: Self = Self { blocks: [2, 2, 2, 2], bottleneck: false };
    /// 4.1 billion multiplications at 224x224.
    pub const RESNET50: Self = Self { blocks: [3, 4, 6, 3], bottleneck: true };

    /// Convolutions and dense layers on the longest path.
    pub fn depth(self) -> usize {
        let per_block = if self.bottleneck { 3 } else { 2 };
        self.blocks.iter().sum::<usize>() * per_block + 2
    }

    /// The graph for RGB images of `size` pixels a side, with initial weights drawn from `seed`.
    pub fn graph(self, size: usize, classes: usize, seed: u64) -> Graph {
        let name = format!("resnet{}-{size}", self.depth());
        let mut net = Builder::new(name, [size, size, 3], vec![], seed);
        let x = net.conv_window("stem", net.image(), 64, square(7, 2), true);
        let mut x = net.max_pool("stem.pool", x, square(3, 2));
        for (stage, &blocks) in self.blocks.iter().enumerate() {
            for block in 0..blocks {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                x = self.block(&mut net, &format!("stage{}.{block}", stage + 1), x, 64 << stage, stride);
            }
        }
        x = net.global_pool("pool", x);
        x = net.dense("dense", x, classes);
        net.finish(x)
    }

    fn block(self, net: &mut Builder, name: &str, x: TensorId, width: usize, stride: usize) -> TensorId {
        let named = |part: &str| format!("{name}.{part}");
        let (y, channels) = if self.bottleneck {
            let y = net.conv_window(&named("conv1"), x, width, square(1, 1), true);
            let y = net.conv_window(&named("conv2"), y, width, square(3, stride), true);
            (net.conv_window(&named("conv3"), y, 4 * width, square(1, 1), false), 4 * width)
        } else {
            let y = net.conv_window(&named("conv1"), x, width, square(3, stride), true);
            (net.conv_window(&named("conv2"), y, width, square(3, 1), false), width)
        };
        let shortcut = if net.shape(x) == net.shape(y) {
            x
        } else {
            net.conv_window(&named("shortcut"), x, channels, square(1, stride), false)
        };
        net.add(&named("add"), y, shortcut)
    }
}

/// A square window with as much padding on every side as keeps the size at stride 1.
fn square(kernel: usize, stride: usize) -> Window {
    Window { kernel: [kernel; 2], stride: [stride; 2], padding: [kernel / 2; 4] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Op;

    #[test]
    fn the_published_sizes() {
        // Parameters of the published networks: weights, and scale and shift of every norm.
        for (net, depth, parameters) in
            [(ImageNetResNet::RESNET18, 18, 11_689_512), (ImageNetResNet::RESNET50, 50, 25_557_032)]
        {
            assert_eq!(net.depth(), depth);
            let graph = net.graph(224, 1000, 1);
            let per_node = graph.nodes.iter().map(|node| match &node.op {
                Op::Conv2d(conv) => conv.weights.len() + 2 * conv.bias.len(),
                Op::Dense(conv) => conv.weights.len() + conv.bias.len(),
                _ => 0,
            });
            assert_eq!(per_node.sum::<usize>(), parameters);
            let shape = |name: &str| graph.tensors.iter().find(|t| t.name == name).map(|t| t.shape);
            assert_eq!(shape("stem.pool"), Some([56, 56, 64]));
            assert_eq!(shape("pool").map(|s| s[2]), Some(if depth == 50 { 2048 } else { 512 }));
        }
    }
}
