//! ONNX files to graphs.
//!
//! [`network`] takes a file's bytes, gives a float graph or, where QuantizeLinear and
//! DequantizeLinear stand around its operations, an integer graph with the file's own scales and zero
//! points. Operator sets 11 to 21, weights in the file itself; dropped are Dropout, changes of layout,
//! and Softmax at the end. No input makes it panic.

mod constant;
mod integer;
mod proto;
mod walk;
mod window;

use prost::Message;

use super::{ImportError, Imported, Problem};
use crate::quantize::check;
use proto::{ModelProto, TensorProto};

/// Versions of the standard's operators that are read.
const OPSETS: std::ops::RangeInclusive<i64> = 11..=21;

/// Kinds of operations that are read, for people.
const RUNS: &str = "Conv, Gemm and MatMul with constant weights, Add, Sub, Mul and Div by a constant for each \
channel, BatchNormalization, Relu, MaxPool, AveragePool, GlobalMaxPool, GlobalAveragePool, ReduceMean, Flatten, Reshape and Squeeze before a dense layer, Transpose between NCHW and NHWC, Softmax at the end, \
and QuantizeLinear and DequantizeLinear around them all";

/// The same as the file calls them, with what computes shapes.
const KINDS: &str = "Add AveragePool BatchNormalization Cast Clip Concat Constant Conv DequantizeLinear Div Dropout \
Flatten Gather Gemm GlobalAveragePool GlobalMaxPool Identity LogSoftmax MatMul MaxPool Mul QuantizeLinear \
ReduceMean Relu Reshape Shape Softmax Squeeze Sub Transpose Unsqueeze";

/// Whether a file begins as ONNX files do: with the version of the format, field 1.
pub(super) fn recognized(file: &[u8]) -> bool {
    file.first() == Some(&0x08)
}

/// The network in a file's bytes.
///
/// `white` is the value that the network takes for the brightest pixel: the image that our graph
/// sees is `pixel / 255`, so the first weights are multiplied by it; a quantized network says it itself.
pub fn network(file: &[u8], name: &str, white: f32) -> Result<Imported, ImportError> {
    if file.is_empty() {
        return Err(ImportError::Empty);
    }
    if !recognized(file) {
        return Err(ImportError::Foreign);
    }
    let damaged = |_| ImportError::Damaged("it does not decode as an ONNX model");
    let model = ModelProto::decode(file).map_err(damaged)?;
    let graph = model.graph.ok_or(ImportError::Damaged("it holds no network"))?;
    let opset = model.opset_import.iter().find(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
    match opset.map(|set| set.version) {
        None => return Err(ImportError::Damaged("it names no version of its operators")),
        Some(found) if !OPSETS.contains(&found) => return Err(ImportError::Opset { found }),
        Some(_) => {}
    }
    let attributes = graph.node.iter().flat_map(|node| &node.attribute);
    let mut tensors = graph.initializer.iter().chain(attributes.filter_map(|attribute| attribute.t.as_ref()));
    if tensors.any(|tensor: &TensorProto| tensor.data_location != 0) {
        return Err(ImportError::External);
    }
    if let Some(node) = graph.node.iter().find(|node| on_integers(&node.op_type)) {
        return Err(ImportError::Quantized(node.kind()));
    }
    let quantizes = |kind: &str| matches!(kind, "QuantizeLinear" | "DequantizeLinear");
    if graph.node.iter().any(|node| quantizes(&node.op_type)) {
        let network = walk::walk(&graph, name, None)?;
        return integer::graph(&network, &graph, name).map(Imported::Integer);
    }
    let network = walk::walk(&graph, name, Some(white))?;
    if !network.problems.is_empty() {
        return Err(unsupported(network.problems));
    }
    check::structure(&network.graph)?;
    Ok(Imported::Float(network.graph))
}

/// Whether an operation computes with integers itself, without QuantizeLinear and DequantizeLinear.
fn on_integers(kind: &str) -> bool {
    kind.starts_with("QLinear") || matches!(kind, "ConvInteger" | "DynamicQuantizeLinear" | "MatMulInteger")
}

fn unsupported(problems: Vec<Problem>) -> ImportError {
    ImportError::Unsupported { problems, runs: RUNS }
}

#[cfg(test)]
mod tests;
