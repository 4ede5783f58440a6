//! The float graph: what networks export and importers read into, and what `quantize` takes.
//!
//! A [`Graph`] is plain data in execution order: tensors with their quantization ranges, nodes
//! with float weights. Batch norm is still beside the convolution it follows, so that folding
//! has one implementation (`quantize::fold`). Shapes are `[height, width, channels]`, batch 1.
//!
//! Files (`NAME.graph`) are described in [`crate::graph_file`].

use half::f16;
use serde::{Deserialize, Serialize};

/// Index into [`Graph::tensors`].
pub type TensorId = usize;

/// A network with float weights, in execution order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// Architecture and width, for people: `resnet8-w1`.
    pub name: String,
    /// Every activation; `tensors[input]` is the image, `tensors[output]` the logits.
    pub tensors: Vec<Tensor>,
    /// Operations, each after the producers of its inputs.
    pub nodes: Vec<Node>,
    /// The image.
    pub input: TensorId,
    /// The logits, one per label.
    pub output: TensorId,
    /// Class names, in the order of the logits; may be empty.
    pub labels: Vec<String>,
}

/// An activation and how it is quantized.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    /// For people and error messages.
    pub name: String,
    /// `[height, width, channels]`.
    pub shape: [usize; 3],
    /// Range and bits; `None` in a float network that was not calibrated.
    pub range: Option<Range>,
}

/// A static per-tensor activation range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// 8 or 4.
    pub bits: u8,
    /// `true`: values in `[-bound, bound]`; `false`: values in `[0, bound]` (after a ReLU, and
    /// the image).
    pub signed: bool,
    /// Positive and finite.
    pub bound: f32,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// For people, the observer and error messages: `stage1.conv1`.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Tensors read.
    pub inputs: Vec<TensorId>,
    /// Tensor written; each tensor but the input has one writer.
    pub output: TensorId,
}

impl Node {
    /// Whether it has weights.
    pub fn is_linear(&self) -> bool {
        matches!(self.op, Op::Conv2d(_) | Op::DepthwiseConv2d(_) | Op::Dense(_))
    }
}

/// The operations of a float graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Op {
    /// Cross-correlation, weights `[out][kernel_h][kernel_w][in]`.
    Conv2d(Conv),
    /// One filter per channel (channel multiplier 1), weights `[kernel_h][kernel_w][channels]`.
    DepthwiseConv2d(Conv),
    /// `y = W x + b` over the flattened `[height][width][channels]` input, weights `[out][in]`;
    /// `kernel` is `[1, 1]`, `window` is the default.
    Dense(Conv),
    /// Elementwise sum of two tensors of one shape, then the activation.
    Add {
        /// Clamp after the sum.
        relu: bool,
    },
    /// Mean over the valid positions of each window.
    AvgPool(Window),
    /// Maximum over the valid positions of each window.
    MaxPool(Window),
}

/// A linear operation: convolution, depthwise convolution or dense layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conv {
    /// Kernel, stride and padding.
    pub window: Window,
    /// Weights in the order that the op names.
    pub weights: Vec<f32>,
    /// One per output channel.
    pub bias: Vec<f32>,
    /// Batch norm that follows, before the activation.
    pub norm: Option<BatchNorm>,
    /// Clamp at zero after bias and norm.
    pub relu: bool,
    /// 8 or 4; `None` in a float network.
    pub weight_bits: Option<u8>,
}

/// Kernel, stride and padding of a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// `[height, width]`.
    pub kernel: [usize; 2],
    /// `[vertical, horizontal]`.
    pub stride: [usize; 2],
    /// `[top, bottom, left, right]`, zeros (or nothing, for a pool).
    pub padding: [usize; 4],
}

/// Batch norm at inference: `(x - mean) / sqrt(var + eps) * gamma + beta`, one value per channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchNorm {
    /// Scale.
    pub gamma: Vec<f32>,
    /// Shift.
    pub beta: Vec<f32>,
    /// Running mean.
    pub mean: Vec<f32>,
    /// Running variance.
    pub var: Vec<f32>,
    /// Added to the variance.
    pub eps: f32,
}

impl Graph {
    /// A graph whose first tensor is the image; no class names.
    pub(crate) fn imported(name: &str, tensors: Vec<Tensor>, nodes: Vec<Node>, output: TensorId) -> Self {
        Self { name: name.to_owned(), tensors, nodes, input: 0, output, labels: Vec::new() }
    }

    /// Rounds what was trained to half precision, which halves the file; a value that has none stays.
    pub fn round_to_half(&mut self) {
        let round = |values: &mut Vec<f32>| {
            for value in values {
                let half = f16::from_f32(*value);
                if half.is_finite() {
                    *value = half.to_f32();
                }
            }
        };
        for node in &mut self.nodes {
            let (Op::Conv2d(conv) | Op::DepthwiseConv2d(conv) | Op::Dense(conv)) = &mut node.op else {
                continue;
            };
            round(&mut conv.weights);
            round(&mut conv.bias);
            if let Some(BatchNorm { gamma, beta, mean, var, .. }) = &mut conv.norm {
                [gamma, beta, mean, var].into_iter().for_each(round);
            }
        }
    }
}

impl Default for Window {
    fn default() -> Self {
        Self { kernel: [1, 1], stride: [1, 1], padding: [0; 4] }
    }
}
