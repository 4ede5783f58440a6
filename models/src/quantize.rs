//! Float graph with ranges and bits to integer graph.
//!
//! Takes a [`Graph`] whose tensors have ranges and whose filters have bits, gives a [`QGraph`]:
//! norms folded, weights and biases rounded, every rescale and clamp fixed. Promises that no
//! accumulator leaves 32 bits and that every rescale meets TOSA's precondition; a graph for which
//! this cannot be had is refused with the node's name.

pub(crate) mod add;
pub(crate) mod check;
mod error;
mod factor;
mod linear;
mod pool;
mod qgraph;

pub use error::{Malformed, QuantizeError};
pub use factor::rescale;
pub use qgraph::{QAdd, QGraph, QLinear, QNode, QOp, QTensor};

use fourbit::artefact::TensorInfo;
use fourbit::kernels::Window;
use fourbit::shape::{DType, Shape};
use half::f16;

use crate::graph::{self, Graph, Node, Op, Range, TensorId};

/// The integer graph of a graph whose bits and ranges are set.
pub fn quantize(graph: &Graph) -> Result<QGraph, QuantizeError> {
    check::structure(graph)?;
    check::interface(graph)?;
    let tensors = (0..graph.tensors.len()).map(|id| tensor(graph, id)).collect::<Result<_, _>>()?;
    let nodes = graph.nodes.iter().map(|node| quantized(graph, node)).collect::<Result<_, _>>()?;
    Ok(QGraph {
        name: graph.name.clone(),
        tensors,
        nodes,
        input: graph.input,
        output: graph.output,
        labels: graph.labels.clone(),
    })
}

fn quantized(graph: &Graph, node: &Node) -> Result<QNode, QuantizeError> {
    let op = match &node.op {
        Op::Conv2d(conv) => QOp::Conv2d(window(&conv.window), linear::linear(graph, node, conv)?),
        Op::DepthwiseConv2d(conv) => {
            QOp::DepthwiseConv2d(window(&conv.window), linear::linear(graph, node, conv)?)
        }
        Op::Dense(conv) => QOp::MatMul(linear::linear(graph, node, conv)?),
        Op::Add { relu } => QOp::Add(add::add(graph, node, *relu)?),
        Op::AvgPool(w) => QOp::AvgPool2d(pool::window(graph, node, w)?),
        Op::MaxPool(w) => QOp::MaxPool2d(pool::window(graph, node, w)?),
    };
    Ok(QNode { name: node.name.clone(), op, inputs: node.inputs.clone(), output: node.output })
}

fn tensor(graph: &Graph, id: TensorId) -> Result<QTensor, QuantizeError> {
    let range = range(graph, id)?;
    let graph::Tensor { name, shape: [height, width, channels], .. } = &graph.tensors[id];
    let info = TensorInfo {
        shape: Shape::new(*height, *width, *channels),
        dtype: dtype(range),
        // -128 or 0.
        zero_point: range.zero_point() as i8,
        scale: f16::from_f32(range.scale()),
    };
    Ok(QTensor { name: name.clone(), info })
}

/// A tensor's range, which must be there, of 4 or 8 bits, positive and finite.
fn range(graph: &Graph, id: TensorId) -> Result<Range, QuantizeError> {
    let tensor = &graph.tensors[id];
    let range = tensor.range.ok_or_else(|| QuantizeError::NoRange { tensor: tensor.name.clone() })?;
    let scale = range.scale();
    if !matches!(range.bits, 4 | 8) || !scale.is_normal() || scale < 0.0 {
        return Err(QuantizeError::Range {
            tensor: tensor.name.clone(),
            bits: range.bits,
            bound: range.bound,
        });
    }
    Ok(range)
}

/// How the values of a range are stored.
fn dtype(range: Range) -> DType {
    match (range.bits, range.signed) {
        (4, false) => DType::U4,
        (4, true) => DType::S4,
        _ => DType::I8,
    }
}

/// Smallest and largest stored value of an output, at least the real zero after a ReLU.
fn clamp(range: Range, relu: bool) -> (i8, i8) {
    let (low, high) = range.levels();
    let low = if relu { low.max(0.0) } else { low };
    let stored = |level: f32| (level as i32 + range.zero_point()) as i8;
    (stored(low), stored(high))
}

/// Largest distance of a stored value from the zero point, over the whole type: 255, 128, 15 or 8.
pub(crate) fn magnitude(range: Range) -> u64 {
    let (low, high) = dtype(range).limits();
    let distance = |limit: i32| u64::from((limit - range.zero_point()).unsigned_abs());
    distance(low).max(distance(high))
}

fn window(window: &graph::Window) -> Window {
    Window { kernel: window.kernel, stride: window.stride, padding: window.padding }
}

#[cfg(test)]
mod tests;
