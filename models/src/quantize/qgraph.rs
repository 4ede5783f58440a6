//! The integer graph: what `quantize` gives and `compile` takes.
//!
//! Constants are those of the runtime's kernels, in its types; weights are in one order,
//! `[output][tap][input]`, whatever layout the artefact will have.

use fourbit::artefact::TensorInfo;
use fourbit::kernels::Window;
use fourbit::layout::{FilterShape, WeightBits};
use fourbit::requant::Rescale;

use crate::graph::TensorId;

/// A network of integers, in execution order; one tensor more than nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct QGraph {
    /// Architecture and width, for people.
    pub name: String,
    /// Every activation.
    pub tensors: Vec<QTensor>,
    /// Operations, each after the producers of its inputs.
    pub nodes: Vec<QNode>,
    /// The image, int8.
    pub input: TensorId,
    /// The logits, int8.
    pub output: TensorId,
    /// Class names, in the order of the logits; may be empty.
    pub labels: Vec<String>,
}

/// An activation.
#[derive(Clone, Debug, PartialEq)]
pub struct QTensor {
    /// For people and error messages.
    pub name: String,
    /// Shape, type, zero point, scale.
    pub info: TensorInfo,
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct QNode {
    /// For people, the observer and error messages.
    pub name: String,
    /// What it computes.
    pub op: QOp,
    /// Tensors read.
    pub inputs: Vec<TensorId>,
    /// Tensor written.
    pub output: TensorId,
}

/// The operations of an integer graph.
#[derive(Clone, Debug, PartialEq)]
pub enum QOp {
    /// Convolution over all input channels.
    Conv2d(Window, QLinear),
    /// Convolution of each channel by itself.
    DepthwiseConv2d(Window, QLinear),
    /// Dense layer over the flattened input.
    MatMul(QLinear),
    /// Sum of two tensors.
    Add(QAdd),
    /// Mean over windows.
    AvgPool2d(Window),
    /// Maximum over windows.
    MaxPool2d(Window),
}

/// Constants of a linear operation.
#[derive(Clone, Debug, PartialEq)]
pub struct QLinear {
    /// Outputs, taps, inputs; one input for a depthwise filter.
    pub shape: FilterShape,
    /// Bits of a weight.
    pub bits: WeightBits,
    /// `[output][tap][input]`.
    pub weights: Vec<i8>,
    /// In units of the accumulator, one per output.
    pub bias: Vec<i32>,
    /// Accumulator to output, one per output.
    pub rescale: Vec<Rescale>,
    /// Smallest stored output.
    pub min: i8,
    /// Largest stored output.
    pub max: i8,
}

/// Constants of a residual add.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QAdd {
    /// First input to the common scale.
    pub a: Rescale,
    /// Second input to the common scale.
    pub b: Rescale,
    /// Common scale to the output.
    pub out: Rescale,
    /// Smallest stored output.
    pub min: i8,
    /// Largest stored output.
    pub max: i8,
}

impl QGraph {
    /// A graph whose first tensor is the image; no class names.
    pub(crate) fn imported(name: &str, tensors: Vec<QTensor>, nodes: Vec<QNode>, output: TensorId) -> Self {
        Self { name: name.to_owned(), tensors, nodes, input: 0, output, labels: Vec::new() }
    }
}

impl QOp {
    /// The constants of a linear operation.
    pub fn linear(&self) -> Option<&QLinear> {
        match self {
            QOp::Conv2d(_, linear) | QOp::DepthwiseConv2d(_, linear) | QOp::MatMul(linear) => Some(linear),
            QOp::Add(_) | QOp::AvgPool2d(_) | QOp::MaxPool2d(_) => None,
        }
    }
}
