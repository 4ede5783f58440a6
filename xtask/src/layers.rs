//! An imported network as plain data: its layers, their shapes, their parameters.

use fourbit_models::graph::{Graph, Op};
use fourbit_models::quantize::{QGraph, QOp};
use serde::Serialize;

use crate::describe::window_text;

/// A layer.
#[derive(Debug, Serialize)]
pub(crate) struct Layer {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) reads: Vec<String>,
    /// `32x32x16`.
    pub(crate) output: String,
    /// Kernel, stride and padding; empty where the layer has none.
    pub(crate) window: String,
    /// Weights and biases.
    pub(crate) parameters: usize,
}

/// The layers of a float network.
pub(crate) fn float(graph: &Graph) -> Vec<Layer> {
    let layers = graph.nodes.iter().map(|node| {
        let (kind, window, conv) = match &node.op {
            Op::Conv2d(conv) => ("conv2d", Some(conv.window), Some(conv)),
            Op::DepthwiseConv2d(conv) => ("depthwise_conv2d", Some(conv.window), Some(conv)),
            Op::Dense(conv) => ("matmul", None, Some(conv)),
            Op::Add { .. } => ("add", None, None),
            Op::AvgPool(window) => ("avg_pool2d", Some(*window), None),
            Op::MaxPool(window) => ("max_pool2d", Some(*window), None),
        };
        let window = window.map(|w| fourbit::kernels::Window {
            kernel: w.kernel,
            stride: w.stride,
            padding: w.padding,
        });
        let [height, width, channels] = graph.tensors[node.output].shape;
        Layer {
            name: node.name.clone(),
            kind,
            reads: node.inputs.iter().map(|&id| graph.tensors[id].name.clone()).collect(),
            output: format!("{height}x{width}x{channels}"),
            window: window.as_ref().map(window_text).unwrap_or_default(),
            parameters: conv.map_or(0, |conv| conv.weights.len() + conv.bias.len()),
        }
    });
    layers.collect()
}

/// The layers of an integer network.
pub(crate) fn integer(graph: &QGraph) -> Vec<Layer> {
    let layers = graph.nodes.iter().map(|node| {
        let (kind, window) = match &node.op {
            QOp::Conv2d(window, _) => ("conv2d", Some(window)),
            QOp::DepthwiseConv2d(window, _) => ("depthwise_conv2d", Some(window)),
            QOp::MatMul(_) => ("matmul", None),
            QOp::Add(_) => ("add", None),
            QOp::AvgPool2d(window) => ("avg_pool2d", Some(window)),
            QOp::MaxPool2d(window) => ("max_pool2d", Some(window)),
        };
        let shape = graph.tensors[node.output].info.shape;
        Layer {
            name: node.name.clone(),
            kind,
            reads: node.inputs.iter().map(|&id| graph.tensors[id].name.clone()).collect(),
            output: crate::describe::shape(shape),
            window: window.map(window_text).unwrap_or_default(),
            parameters: node.op.linear().map_or(0, |linear| linear.weights.len() + linear.bias.len()),
        }
    });
    layers.collect()
}
