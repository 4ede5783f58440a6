//! Building blocks of graphs: convolution with batch norm, residual block, head.
//!
//! A [`Builder`] appends nodes, keeps shapes, and draws initial weights from its seed. Padding is
//! TensorFlow's SAME: what a stride leaves over goes to the bottom and the right.

use crate::graph::{BatchNorm, Conv, Graph, Node, Op, Tensor, TensorId, Window};
use crate::rng::Rng;

/// Added to variances, as in the MLPerf Tiny reference's framework.
const EPS: f32 = 1e-3;

/// A graph under construction.
#[derive(Debug)]
pub struct Builder {
    graph: Graph,
    rng: Rng,
}

impl Builder {
    /// A graph with only its image; `shape` is `[height, width, channels]`.
    pub fn new(name: String, shape: [usize; 3], labels: Vec<String>, seed: u64) -> Self {
        let image = Tensor { name: "image".into(), shape, range: None };
        let graph = Graph { name, tensors: vec![image], nodes: vec![], input: 0, output: 0, labels };
        Self { graph, rng: Rng::fork(seed, 0x1417) }
    }

    /// The image.
    pub fn image(&self) -> TensorId {
        self.graph.input
    }

    /// Shape of a tensor.
    pub fn shape(&self, tensor: TensorId) -> [usize; 3] {
        self.graph.tensors[tensor].shape
    }

    /// The finished graph, whose last tensor is the output.
    pub fn finish(mut self, output: TensorId) -> Graph {
        self.graph.output = output;
        self.graph
    }

    fn push(&mut self, name: &str, op: Op, inputs: Vec<TensorId>, shape: [usize; 3]) -> TensorId {
        let output = self.graph.tensors.len();
        self.graph.tensors.push(Tensor { name: name.into(), shape, range: None });
        self.graph.nodes.push(Node { name: name.into(), op, inputs, output });
        output
    }

    fn draw(&mut self, count: usize, bound: f32) -> Vec<f32> {
        (0..count).map(|_| self.rng.uniform(-bound, bound)).collect()
    }

    /// Convolution with a square kernel and SAME padding, batch norm, and perhaps a ReLU.
    pub fn conv(
        &mut self,
        name: &str,
        input: TensorId,
        channels: usize,
        kernel: usize,
        stride: usize,
        relu: bool,
    ) -> TensorId {
        let window = self.same(input, kernel, stride);
        self.conv_window(name, input, channels, window, relu)
    }

    /// Convolution of each channel with its own square kernel and SAME padding, batch norm, and
    /// perhaps a ReLU.
    pub fn depthwise(
        &mut self,
        name: &str,
        input: TensorId,
        kernel: usize,
        stride: usize,
        relu: bool,
    ) -> TensorId {
        let [height, width, channels] = self.shape(input);
        let window = self.same(input, kernel, stride);
        let conv = self.normed(window, channels, kernel * kernel, relu);
        let shape = [extent(&window, 0, height), extent(&window, 1, width), channels];
        self.push(name, Op::DepthwiseConv2d(conv), vec![input], shape)
    }

    /// A square window with SAME padding over a tensor.
    fn same(&self, input: TensorId, kernel: usize, stride: usize) -> Window {
        let [height, width, _] = self.shape(input);
        let (top, bottom) = same_padding(height, kernel, stride);
        let (left, right) = same_padding(width, kernel, stride);
        Window { kernel: [kernel, kernel], stride: [stride, stride], padding: [top, bottom, left, right] }
    }

    /// Convolution over a given window, batch norm, and perhaps a ReLU.
    pub fn conv_window(
        &mut self,
        name: &str,
        input: TensorId,
        channels: usize,
        window: Window,
        relu: bool,
    ) -> TensorId {
        let [height, width, depth] = self.shape(input);
        let fan_in = window.kernel[0] * window.kernel[1] * depth;
        let conv = self.normed(window, channels, fan_in, relu);
        let shape = [extent(&window, 0, height), extent(&window, 1, width), channels];
        self.push(name, Op::Conv2d(conv), vec![input], shape)
    }

    /// A linear operation of `fan_in` weights per channel, with a batch norm.
    fn normed(&mut self, window: Window, channels: usize, fan_in: usize, relu: bool) -> Conv {
        Conv {
            window,
            weights: self.draw(channels * fan_in, (6.0 / fan_in as f32).sqrt()),
            bias: vec![0.0; channels],
            norm: Some(BatchNorm {
                gamma: vec![1.0; channels],
                beta: vec![0.0; channels],
                mean: vec![0.0; channels],
                var: vec![1.0; channels],
                eps: EPS,
            }),
            relu,
            weight_bits: None,
        }
    }

    /// Maximum over windows.
    pub fn max_pool(&mut self, name: &str, input: TensorId, window: Window) -> TensorId {
        let [height, width, channels] = self.shape(input);
        let shape = [extent(&window, 0, height), extent(&window, 1, width), channels];
        self.push(name, Op::MaxPool(window), vec![input], shape)
    }

    /// Sum and ReLU.
    pub fn add(&mut self, name: &str, a: TensorId, b: TensorId) -> TensorId {
        let shape = self.shape(a);
        self.push(name, Op::Add { relu: true }, vec![a, b], shape)
    }

    /// Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes.
    pub fn residual(&mut self, name: &str, input: TensorId, channels: usize, stride: usize) -> TensorId {
        let y = self.conv(&format!("{name}.conv1"), input, channels, 3, stride, true);
        let y = self.conv(&format!("{name}.conv2"), y, channels, 3, 1, false);
        let shortcut = if stride == 1 && self.shape(input)[2] == channels {
            input
        } else {
            self.conv(&format!("{name}.shortcut"), input, channels, 1, stride, false)
        };
        self.add(&format!("{name}.add"), y, shortcut)
    }

    /// Mean over all positions.
    pub fn global_pool(&mut self, name: &str, input: TensorId) -> TensorId {
        let [height, width, channels] = self.shape(input);
        let window = Window { kernel: [height, width], stride: [height, width], padding: [0; 4] };
        self.push(name, Op::AvgPool(window), vec![input], [1, 1, channels])
    }

    /// Dense layer.
    pub fn dense(&mut self, name: &str, input: TensorId, channels: usize) -> TensorId {
        let fan_in: usize = self.shape(input).iter().product();
        let conv = Conv {
            window: Window::default(),
            weights: self.draw(channels * fan_in, 1.0 / (fan_in as f32).sqrt()),
            bias: vec![0.0; channels],
            norm: None,
            relu: false,
            weight_bits: None,
        };
        self.push(name, Op::Dense(conv), vec![input], [1, 1, channels])
    }
}

/// Positions of a window along an axis (0 vertical, 1 horizontal).
fn extent(window: &Window, axis: usize, size: usize) -> usize {
    let padding = window.padding[2 * axis] + window.padding[2 * axis + 1];
    (size + padding - window.kernel[axis]) / window.stride[axis] + 1
}

/// TensorFlow's SAME padding of one dimension: before and after.
fn same_padding(size: usize, kernel: usize, stride: usize) -> (usize, usize) {
    let total = ((size.div_ceil(stride) - 1) * stride + kernel).saturating_sub(size);
    (total / 2, total - total / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_as_tensorflow() {
        assert_eq!(same_padding(32, 3, 1), (1, 1));
        assert_eq!(same_padding(32, 3, 2), (0, 1));
        assert_eq!(same_padding(32, 1, 2), (0, 0));
        assert_eq!(same_padding(224, 7, 2), (2, 3));
    }
}
